"""`rm`: a sweep's folder goes, whole; what MLflow has of it stays there."""

from __future__ import annotations

import secrets
import shutil
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import final

import typer

from ..cluster.memory import size_in_words
from ..spaces.errors import BadInput, KerasweepError, SweepHeld, one_line
from ..trackers.journal import Lock
from ..trackers.redaction import redact
from ..trackers.status import delivery_status
from . import sweeps
from .place import join
from .spec import SweepSpec
from .terminal import echo


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """What would go, and what would not; `trials` is None where the journal cannot be read."""

    folder: Path
    trials: int | None
    bytes: int
    lacking: int = 0
    kept: str = ""

    def __str__(self) -> str:
        trials = "damaged journal" if self.trials is None else f"{self.trials} trials"
        lacking = f"; MLflow lacks {self.lacking} events of it, `kerasweep sync {self.folder.name}` delivers them"
        return f"{self.folder} ({trials}, {size_in_words(self.bytes)}){lacking if self.lacking else ''}"


def remove_command(name: str, home: Path | None, *, yes: bool) -> None:
    """Remove a sweep's folder.

    Survives: the folder loses its name first; what a kill -9 leaves of it is removed by the next `run` or `rm`.

    Raises:
        SweepHeld: its driver or its tracker is at work.
        BadInput: there is no such sweep, it is somebody else's, or nobody can be asked.
    """
    folder = sweeps.find(sweeps.home_folder(home), name)
    sweeps.check_own(folder)
    with ExitStack() as held:
        for lock, what in (("journal.lock", "is running"), ("tracker.lock", "is being delivered to MLflow")):
            _hold(folder / lock, f"{name} {what}", held)
        doomed = _look(folder)
        if not (yes or _agreed(doomed)):
            echo(f"{name} stays")
            return
        gone = folder.with_name(f"{sweeps.GONE}{name}-{secrets.token_hex(4)}")
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    sweeps.remove_stale(folder.parent)
    echo(f"{name} is removed{doomed.kept}")


def _hold(path: Path, what: str, held: ExitStack) -> None:
    lock = Lock(path)
    try:
        lock.acquire(0.0)
    except SweepHeld as error:
        raise SweepHeld(f"{what}, so it is not removed: {error}") from None
    held.callback(lock.release)


def _look(folder: Path) -> Doomed:
    size = sum(path.lstat().st_size for path in folder.rglob("*"))
    try:
        history, delivery = sweeps.read(folder), delivery_status(folder)
        spec = SweepSpec.from_json(history.spec)
    except (KerasweepError, KeyError, TypeError, ValueError):
        return Doomed(folder=folder, trials=None, bytes=size)
    kept = f"; its runs in MLflow stay: {one_line(f'experiment {spec.track.experiment!r} at {spec.track.uri}')}"
    lacking = max(0, delivery.last_seq - delivery.delivered_seq)
    kept = kept if delivery.experiment_id is not None else ""
    if spec.storage:
        kept += f"; its copies stay: {one_line(redact(join(spec.storage, folder.name)))}"
    return Doomed(folder=folder, trials=len(history.trials), bytes=size, lacking=lacking, kept=kept)


def _agreed(doomed: Doomed) -> bool:
    if not sys.stdin.isatty():
        raise BadInput(f"{doomed}: nobody can be asked here whether to remove it; say so with --yes")
    return typer.confirm(f"{doomed}. Remove it?")
