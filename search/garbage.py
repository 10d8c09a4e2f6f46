"""`gc`: what a sweep's trials have left on the disk and nobody needs any more goes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from ..cluster.checkpoint_files import files_at
from ..cluster.leftovers import Removed, remove_drafts, remove_leftovers
from ..cluster.memory import size_in_words
from ..spaces.errors import Infrastructure, KerasweepError, SweepHeld, one_line
from ..trackers.journal import Lock, Reader
from ..trackers.redaction import redact
from . import sweeps
from .claim import Past, check_claim
from .core import replay
from .place import absolute_place, join
from .settings import checkpoints_of
from .spec import SweepSpec
from .terminal import echo, echo_json


def gc_command(name: str, home: Path | None, *, as_json: bool) -> None:
    """Remove checkpoints of trials that have ended, weights of those that are not among the best, and drafts.

    Survives: a kill leaves less than there was, and nothing by halves that `resume` or `best` would read.

    Raises:
        SweepHeld: its driver is at work, and cleans by itself; or the sweep has gone on elsewhere.
        BadInput: there is no such sweep, or what its storage has is another one's or further.
        Infrastructure: the place cannot be read or written.
    """
    folder = sweeps.find(sweeps.home_folder(home), name)
    sweeps.check_own(folder)
    with _held(folder, name):
        removed = collect(folder)
    if as_json:
        echo_json({"trials": removed.trials, "bytes": removed.bytes})
    elif removed.bytes:
        echo(f"{name}: removed {size_in_words(removed.bytes)} that nothing needs any more")
    else:
        echo(f"{name}: nothing to remove")


def collect(folder: Path) -> Removed:
    """Remove what the journal says that nobody needs; return what went.

    Raises:
        SweepHeld: the sweep has gone on elsewhere: what is in its storage is needed there.
        BadInput: what its storage has is another sweep's, or further than the journal; or it cannot be reached from here.
        Infrastructure: the place cannot be read or written.
    """
    with Reader(folder) as reader:
        entries = list(reader.after(0))
    spec = SweepSpec.from_json(sweeps.read(folder).spec)
    state = replay(spec.rules(), entries)
    root = checkpoints_of(spec, folder)
    stay = {*state.live, *state.donors}
    try:
        if place := absolute_place(spec.storage and join(spec.storage, folder.name)):
            with closing(files_at(place)) as files:
                check_claim(files, redact(place), Past.of(folder / "journal.db"))
        removed = remove_leftovers(
            root, over=lambda number: number < state.asked and number not in stay, best=state.kept
        )
        return Removed(trials=removed.trials, bytes=removed.bytes + remove_drafts(root))
    except KerasweepError:
        raise
    except Exception as error:  # a storage has its own
        text = one_line(redact(str(error) or type(error).__name__), 200)
        raise Infrastructure(
            f"cannot clean {redact(root)}: {text}; nothing that is needed is gone, `kerasweep gc {folder.name}` goes on"
        ) from error


@contextmanager
def _held(folder: Path, name: str) -> Generator[None]:
    lock = Lock(folder / "journal.lock")
    try:
        lock.acquire(0.0)
    except SweepHeld as error:
        raise SweepHeld(f"{name} is running and cleans by itself: {error}") from None
    try:
        yield
    finally:
        lock.release()
