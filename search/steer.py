"""The commands `set` and `retry`: to a running sweep by its inbox, to another one by its journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..spaces.errors import Infrastructure, SweepHeld
from ..trackers.events import Event
from ..trackers.journal import Journal, Lock, Reader
from . import sweeps
from .budget import enough, limits_used
from .core import replay
from .inbox import ask
from .requests import again, changed, in_words, retried_in_words
from .spec import SweepSpec
from .state import State
from .terminal import Terminal

ANSWER_S = 20.0
"""A driver answers within a second; one that has just been started, once Ray is up."""
Asked = tuple[list[Event], str]


def set_command(name: str, settings: Sequence[str], home: Path | None) -> int:
    """Change settings of a sweep."""

    def change(folder: Path, state: State) -> Asked:
        del state
        spec = SweepSpec.from_json(sweeps.read(folder).spec)
        event = changed(spec, settings)
        return [event], f"{in_words(spec, event)}; `kerasweep resume {name}` goes by it"

    return _do(name, home, {"type": "set", "settings": list(settings)}, change)


def retry_command(name: str, numbers: Sequence[int], home: Path | None) -> int:
    """Run trials again that failed or were lost."""

    def retry(folder: Path, state: State) -> Asked:
        del folder
        events = again(state, numbers)
        return list(events), f"{retried_in_words(events)} with `kerasweep resume {name}{_more(state)}`"

    return _do(name, home, {"type": "retry", "trials": list(numbers)}, retry)


def _more(state: State) -> str:
    """Return what `resume` needs so that a sweep does not end at once again, whatever is in its queue."""
    if enough(state, state.last_at) is None:
        return ""
    spent = [one.name for one in limits_used(state, state.last_at) if one.name != "trials" and one.share >= 1]
    return f" --set budget.{(spent or ['goal'])[0]}=…"


def _do(name: str, home: Path | None, request: dict[str, Any], offline: Callable[[Path, State], Asked]) -> int:
    """Have it done by the driver where one is at work, else journal it here.

    Survives: a kill -9 at any point; it is done or it is not.
    """
    folder = sweeps.find(sweeps.home_folder(home), name)
    sweeps.check_own(folder)
    deadline = time.monotonic() + ANSWER_S
    while True:
        said = _by_driver(folder, request) or _by_journal(folder, offline)
        if said is not None:
            Terminal().print(said, soft_wrap=True)
            return 0
        if time.monotonic() > deadline:
            raise Infrastructure(f"the journal of {name} is held, but nobody answers; nothing is changed")


def _by_driver(folder: Path, request: dict[str, Any]) -> str | None:
    def alive() -> bool:
        return Lock.holder(folder / "journal.lock") is not None

    return ask(folder, request, ANSWER_S, alive) if alive() else None


def _by_journal(folder: Path, offline: Callable[[Path, State], Asked]) -> str | None:
    """Journal what is asked for; return None where a driver was started meanwhile."""
    try:
        journal = Journal(folder)
    except SweepHeld:
        return None
    with journal:
        rules = SweepSpec.from_json(sweeps.read(folder).spec).rules()
        with Reader(folder) as reader:
            state = replay(rules, reader.after())
        events, said = offline(folder, state)
        journal.append(*events)
    return f"{folder.name}: {said}"
