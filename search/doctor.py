"""`doctor`: whether sweeps can run here, and what dead ones have left; what is quick first, the rest side by side."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from rich.table import Table
from rich.text import Text

from ..spaces.errors import one_line
from ..trackers.redaction import redact
from ..trackers.status import delivery_status
from . import sweeps
from .checks import Check, State, quick
from .leftovers import leftovers
from .probe import MENDS
from .spec import SweepSpec
from .terminal import Terminal, echo_json

PATIENCE_S = 180.0
MARKS = {State.OK: ("✓", "green"), State.NOTE: ("!", "yellow"), State.BAD: ("✗", "bold red")}
NAME_WIDTH = 14


def doctor_command(
    name: str | None, home: Path | None, *, fix: bool = False, quick: bool = False, as_json: bool = False
) -> int:
    """Examine this machine; return 1 where something has to be mended before a sweep can run."""
    place = sweeps.home_folder(home)
    uri, experiment = _tracker(name, place)
    console = Terminal()
    found: list[Check] = []
    checks = _checks(place) if quick else _all_checks(place, uri, experiment)
    waiting = (
        nullcontext() if as_json or quick or not console.is_terminal else console.status("TensorFlow, Ray, MLflow")
    )
    with waiting:
        for check in checks:
            found.append(_mended(check) if fix else check)
            if not as_json:
                _show(found[-1], console)
    bad = [one for one in found if one.state is State.BAD]
    if as_json:
        echo_json({"ok": not bad, "checks": [one.to_json() for one in found]})
    else:
        console.print()
        console.print(_verdict(found))
    return 1 if bad else 0


def _tracker(name: str | None, home: Path) -> tuple[str, str]:
    """Return where sweeps are recorded: those of this folder by default, or the one of this name."""
    if name is None:
        return f"sqlite:///{home / 'mlflow.db'}", ""
    folder = sweeps.find(home, name)
    uri = SweepSpec.from_json(sweeps.read(folder).spec).track.uri
    return uri, delivery_status(folder).experiment_id or ""


def _checks(home: Path) -> Iterator[Check]:
    yield from quick(home)
    yield from leftovers(home, Path(tempfile.gettempdir()))


def _all_checks(home: Path, uri: str, experiment: str) -> Iterator[Check]:
    """Yield the quick ones, and then each of the others as it is done; all of these start at once."""
    probes: Iterable[Sequence[str]] = (("tensorflow",), ("ray",), ("mlflow", uri, experiment))
    with ThreadPoolExecutor(max_workers=3) as pool:
        running = [pool.submit(probed, *words) for words in probes]
        yield from _checks(home)
        for one in as_completed(running):
            yield one.result()


def probed(name: str, *arguments: str) -> Check:
    """Run one probe in a process of its own; one that crashes or hangs is a finding like any other."""
    command = [sys.executable, "-P", "-m", "kerasweep.search.probe", name, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Check(name=name, state=State.BAD, said=f"no answer in {PATIENCE_S:g} s", mend=MENDS[name])
    try:
        answer: dict[str, str] = json.loads(done.stdout)
    except ValueError:
        last = one_line(redact((done.stderr.strip() or "it said nothing").splitlines()[-1]), 300)
        return Check(name=name, state=State.BAD, said=f"it ended with code {done.returncode}: {last}", mend=MENDS[name])
    return Check(name=name, state=State(answer["state"]), said=redact(answer["said"]), mend=answer["mend"])


def _mended(check: Check) -> Check:
    if check.fix is None or not check.fix():
        return check
    return replace(check, said=f"{check.said}: mended", state=State.OK, mend="", fix=None)


def _show(check: Check, console: Terminal) -> None:
    mark, style = MARKS[check.state]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(width=NAME_WIDTH)
    grid.add_column(overflow="fold")
    grid.add_row(Text(mark, style=style), Text(check.name, style="bold"), Text(check.said))
    if check.mend:
        grid.add_row("", "", Text.assemble(("→ ", style), (check.mend, "bold")))
    console.print(grid)


def _verdict(found: Sequence[Check]) -> Text:
    bad = sum(1 for one in found if one.state is State.BAD)
    notes = sum(1 for one in found if one.state is State.NOTE)
    if bad:
        return Text(f"{bad} to mend before a sweep can run", style="bold red")
    safe = any(one.fix is not None for one in found)
    if notes:
        hint = "; `kerasweep doctor --fix` does what is safe" if safe else ""
        return Text(f"sweeps can run here; {notes} to look at{hint}", style="yellow")
    return Text("sweeps can run here", style="green")
