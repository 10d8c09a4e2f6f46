"""What `doctor` finds out in no time: versions, room, clock, locks; each check says one thing in words."""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import platform
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import final

import psutil
from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from ..cluster.memory import size_in_words
from ..spaces.errors import one_line
from ..spaces.trial import Json

TESTED = {
    "keras": "3.15.1",
    "keras-tuner": "1.4.8",
    "mlflow": "3.17.2",
    "numpy": "2.4.6",
    "optuna": "5.0.0",
    "ray": "2.60.0",
    "tensorflow": "2.21.0",
}
"""The versions of `requirements.lock`, which all tests run with."""
LITTLE_DISK, NO_DISK = 5_000_000_000, 500_000_000
LITTLE_MEMORY = 1_500_000_000
"""A trainer with TensorFlow takes about half of it before it has a model."""
FEW_FILES = 1024
LATE_S = 2.0
NOT_LOCAL = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "lustre", "beegfs", "ceph", "9p", "glusterfs")


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding; `mend` is a command or a thing to do, `fix` does it where that cannot hurt, and says whether it did."""

    name: str
    state: State
    said: str
    mend: str = ""
    fix: Callable[[], bool] | None = None

    def to_json(self) -> dict[str, Json]:
        """Return the plain form."""
        return {"name": self.name, "state": str(self.state), "said": self.said, "mend": self.mend}


def quick(home: Path) -> Iterator[Check]:
    """Yield what can be said about this machine and installation without starting anything."""
    yield _python()
    yield from _versions()
    yield _disk("disk", home)
    if os.stat(tempfile.gettempdir()).st_dev != os.stat(_existing(home)).st_dev:
        yield _disk("temporary disk", Path(tempfile.gettempdir()))
    yield _memory()
    yield _files()
    yield _folder(home)
    yield _clock(home)


def _python() -> Check:
    version, cpus = _installed("kerasweep") or "from a checkout", os.cpu_count()
    said = f"Python {platform.python_version()}, kerasweep {version}, {cpus} cpus"
    return Check(name="python", state=State.OK, said=said)


def _versions() -> Iterator[Check]:
    """Compare what is installed with what is asked for, and with what was tested."""
    wanted = [Requirement(text) for text in importlib.metadata.requires("kerasweep") or []]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate()]
    wrong: list[str] = []
    for one in wanted:
        have = _installed(one.name)
        if have is None or not one.specifier.contains(have, prereleases=True):
            wrong.append(one.name)
            asked = f"{one.name}{one.specifier}"
            said = f"{one.name} {have or 'is not installed'}; kerasweep needs {asked}"
            yield Check(name="versions", state=State.BAD, said=said, mend=f"pip install '{one}'")
    others = {name: _installed(name) for name in TESTED if name not in wrong}
    differ = [
        f"{name} {have} ({TESTED[name]})" for name, have in others.items() if have and not _alike(have, TESTED[name])
    ]
    if differ:
        said = f"other than the tested ones, in brackets: {', '.join(differ)}"
        yield Check(
            name="versions", state=State.NOTE, said=said, mend="pip install --require-hashes -r requirements.lock"
        )
    elif not wrong:
        yield Check(name="versions", state=State.OK, said=", ".join(f"{name} {have}" for name, have in others.items()))


def _alike(one: str, other: str) -> bool:
    try:
        return Version(one).release[:2] == Version(other).release[:2]
    except InvalidVersion:
        return one == other


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _disk(name: str, folder: Path) -> Check:
    free = shutil.disk_usage(_existing(folder)).free
    state = State.BAD if free < NO_DISK else State.NOTE if free < LITTLE_DISK else State.OK
    mend = "" if state is State.OK else "free some: `kerasweep rm SWEEP` removes a sweep, `df -h` shows where room is"
    return Check(name=name, state=state, said=f"{size_in_words(free)} free at {_existing(folder)}", mend=mend)


def _memory() -> Check:
    memory = psutil.virtual_memory()
    said = f"{size_in_words(memory.available)} of {size_in_words(memory.total)} free"
    if memory.available < LITTLE_MEMORY:
        return Check(name="memory", state=State.NOTE, said=said, mend="run fewer trials at a time: --set parallel=1")
    return Check(name="memory", state=State.OK, said=said)


def _files() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = f"{soft} files may be open" if soft != resource.RLIM_INFINITY else "any number of files may be open"
    if soft != resource.RLIM_INFINITY and soft < FEW_FILES:
        return Check(name="open files", state=State.NOTE, said=said, mend=f"ulimit -n {min(hard, 65536)}")
    return Check(name="open files", state=State.OK, said=said)


def _folder(home: Path) -> Check:
    """Try what the journal needs: a private file, the kernel's lock on it, a flush."""
    from ..trackers.journal import filesystem_of

    place = _existing(home)
    kind = filesystem_of(place) or "unknown"
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".kerasweep-doctor-") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        said = f"{place} cannot hold a sweep: {one_line(error.strerror or str(error))}"
        return Check(name="folder", state=State.BAD, said=said, mend="choose another with --dir or KERASWEEP_DIR")
    if kind in NOT_LOCAL:
        said = f"{place} is on {kind}, a network's file system, where a journal is slow or refused"
        return Check(name="folder", state=State.NOTE, said=said, mend="choose a local disk with --dir or KERASWEEP_DIR")
    return Check(name="folder", state=State.OK, said=f"{place} can hold sweeps ({kind})")


def _clock(home: Path) -> Check:
    """Compare the clock with the file system's, and its pace with that of the monotonic one."""
    wall, steady = time.time(), time.monotonic()
    try:
        with tempfile.NamedTemporaryFile(dir=_existing(home), prefix=".kerasweep-doctor-") as file:
            there = os.stat(file.name).st_mtime - time.time()
    except OSError:
        there = 0.0
    time.sleep(0.1)
    drift = (time.time() - wall) - (time.monotonic() - steady)
    booted = time.time() - psutil.boot_time()
    said, mend = f"{time.strftime('%F %T %Z')}", "set it: `timedatectl set-ntp true`"
    if abs(there) > LATE_S:
        said = f"the clock of the disk at {_existing(home)} is {there:+.0f} s off this machine's"
    elif abs(drift) > 0.05:
        said = f"the clock is being set just now ({drift:+.2f} s in 0.1 s)"
    elif booted < 0 or time.localtime().tm_year < 2026:
        said = f"the clock says {time.strftime('%F %T')}, which cannot be"
    else:
        return Check(name="clock", state=State.OK, said=said)
    return Check(name="clock", state=State.NOTE, said=said, mend=mend)


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(one for one in (folder, *folder.parents) if one.exists())
