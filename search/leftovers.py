"""What dead sweeps have left on this machine: folders, processes, and sweeps that nobody drives or delivers any more."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from ..cluster.checkpoint_files import FILES
from ..cluster.local_cluster import FOLDER, START_S, forgotten, remove
from ..cluster.slot import LOGS
from ..spaces.errors import KerasweepError, one_line
from ..trackers.journal import Lock
from ..trackers.status import delivery_status
from . import sweeps
from .checks import Check, State
from .job import ALIVE, SCRATCH
from .launcher import clean_up

YOUNG_S = 60.0
"""A scratch folder may be so old before its driver holds a lock in it."""


def leftovers(home: Path, temporary: Path) -> Iterator[Check]:
    """Yield what can be removed or taken up again, each with the command for it.

    Args:
        home: The folder that holds `sweeps/`.
        temporary: Where drivers have their scratch folders.
    """
    of_temporary = (_scratch, _slots, _files, _clusters)
    found = [*(one for look in of_temporary for one in look(temporary)), *_prepared(home), *_sweeps(home)]
    yield from found
    if not found:
        yield Check(name="leftovers", state=State.OK, said="nothing of a dead sweep is left")


def _scratch(temporary: Path) -> Iterator[Check]:
    """Find the scratch folders of drivers that were killed together with their launchers, and what they had started."""
    processes = _marked()
    known = {str(path): path for path in temporary.glob("ks-*") if _is_mine(path)}
    dead = [path for name, path in known.items() if name not in processes and not _is_alive(path)]
    if dead:
        yield _removable(f"{_several(len(dead), 'scratch folder')} of dead drivers in {temporary}", dead)
    for name, group in sorted(processes.items()):
        path = Path(name)
        if not _has_driver(group) and not (path.exists() and _is_alive(path)):
            yield _removable(f"{_several(len(group), 'process')} of a sweep whose driver is gone ({name})", [path])


def _slots(temporary: Path) -> Iterator[Check]:
    """Find the folders of slots that were killed, with the arrays that their trainers shared."""
    dead: list[Path] = []
    for path in filter(_is_mine, temporary.glob("kerasweep-*")):
        owners: list[str] = []
        with suppress(FileNotFoundError):  # it has gone since it was listed
            owners = [one.stem.rpartition("-")[2] for one in path.glob("trainers-*.sock")]
        if owners and not any(Path("/proc", one).exists() for one in owners):
            dead.append(path)
    if dead:
        yield _removable(f"{_several(len(dead), 'folder')} of dead slots in {temporary}", dead)


def _files(temporary: Path) -> Iterator[Check]:
    """Find the drafts and logs of processes that were killed; their names have the process's number."""
    dead = [
        path
        for prefix in (FILES, LOGS)
        for path in filter(_is_mine, temporary.glob(f"{prefix}*"))
        if not Path("/proc", path.name.removeprefix(prefix).partition("-")[0]).exists()
    ]
    if dead:
        yield _removable(f"{_several(len(dead), 'folder')} with drafts or logs of dead processes in {temporary}", dead)


def _clusters(temporary: Path) -> Iterator[Check]:
    """Find the folders of clusters of this machine of which no process lives, and clusters that nobody can end."""
    folders = [path for path in temporary.glob(f"{FOLDER}*") if _is_mine(path) and not _is_young(path)]
    words = _words() if folders else ""
    dead = [path for path in folders if str(path) not in words]
    if dead:
        yield _removable(f"{_several(len(dead), 'folder')} of dead clusters in {temporary}", dead)
    for path in folders:
        if path not in dead and forgotten(path) and not _is_young(path, 2 * START_S):  # none that is being started

            def end(path: Path = path) -> bool:
                remove(path)
                return not path.exists()

            said = f"a Ray cluster that `cluster up` started and did not write down ({path})"
            yield Check(name="leftovers", state=State.NOTE, said=said, mend="kerasweep doctor --fix", fix=end)


def _words() -> str:
    """Return the command lines of all processes: those of a Ray node name its folder."""
    words: list[str] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words += process.cmdline()
    return "\n".join(words)


def _removable(said: str, scratch: Sequence[Path]) -> Check:
    def remove() -> bool:
        for path in scratch:
            clean_up(path)
        return not any(path.exists() for path in scratch)

    return Check(name="leftovers", state=State.NOTE, said=said, mend="kerasweep doctor --fix", fix=remove)


def _is_mine(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:  # it has gone since it was listed
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _is_alive(scratch: Path) -> bool:
    """Say whether a driver has the folder, or is just about to take it."""
    return Lock.holder(scratch / ALIVE) is not None or _is_young(scratch)


def _is_young(folder: Path, young_s: float = YOUNG_S) -> bool:
    try:
        return time.time() - folder.stat().st_mtime < young_s
    except FileNotFoundError:  # it has gone: nothing is to be done about it
        return True


def _marked() -> dict[str, list[psutil.Process]]:
    """Return the processes that drivers have started, by the scratch folder."""
    found: dict[str, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        try:
            mine = process.pid != os.getpid() and process.uids().real == os.geteuid()
            scratch = process.environ().get(SCRATCH, "") if mine else ""
        except (psutil.Error, OSError):  # of another user, or gone by now
            continue
        if scratch:
            found.setdefault(scratch, []).append(process)
    return found


def _has_driver(group: Sequence[psutil.Process]) -> bool:
    """Say whether a Python process that is none of the group is the parent of one: what is orphaned has another one."""
    inside = {one.pid for one in group}
    for process in group:
        try:
            parent = process.parent()
            if parent is not None and parent.pid not in inside and parent.name().startswith(("python", "kerasweep")):
                return True
        except psutil.Error:
            continue
    return False


def _several(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "es" if word.endswith("s") else "s")


def _prepared(home: Path) -> Iterator[Check]:
    stale = sweeps.stale(home / "sweeps")
    if stale:
        yield Check(
            name="leftovers",
            state=State.NOTE,
            said=f"{len(stale)} folders in {home / 'sweeps'} that were never begun, or begun to be removed",
            mend="kerasweep doctor --fix",
            fix=lambda: sweeps.remove_stale(home / "sweeps"),
        )


def _sweeps(home: Path) -> Iterator[Check]:
    """Find sweeps that lost their driver, that nobody delivers to MLflow, or that cannot be read; these harm no other."""
    for name in sweeps.names(home):
        folder = home / "sweeps" / name
        try:
            history, delivery = sweeps.read(folder), delivery_status(folder)
            state = sweeps.state(folder, history)
        except KerasweepError as error:
            said, _, mend = one_line(str(error)).rpartition("; ")
            if (folder / "journal.db").exists():  # else it was removed meanwhile
                yield Check(name="sweep", state=State.NOTE, said=said or mend, mend=mend if said else "")
            continue
        if state == "driver lost" and history.spec:
            yield Check(
                name="sweep",
                state=State.NOTE,
                said=f"{name} lost its driver; nothing that was journaled is lost",
                mend=f"kerasweep resume {name}",
                fix=None if delivery.tracker else lambda name=name: _deliver(name, home),
            )
        elif state != "running" and not delivery.complete and delivery.tracker is None:
            yield Check(
                name="sweep",
                state=State.NOTE,
                said=f"MLflow lacks {delivery.last_seq - delivery.delivered_seq} events of {name}, which are safe",
                mend=f"kerasweep sync {name}",
                fix=lambda name=name: _deliver(name, home),
            )


def _deliver(name: str, home: Path) -> bool:
    """Bring MLflow up to date: runs of a sweep without a driver are shown as killed."""
    command = [sys.executable, "-P", "-m", "kerasweep", "sync", name, "--dir", str(home)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
