"""The sweeps in a home folder: where they are, how they stand, how a new one gets its place."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path

from ..spaces.errors import BadInput, Infrastructure, KerasweepError, SweepHeld, did_you_mean
from ..trackers.history import History
from ..trackers.journal import Lock, Reader

STALE_S = 3600.0
STAGING = ".new-"
GONE = ".gone-"
PARTS = (
    *("code", "checkpoints", "logs", "inbox", "sweep.json", "sweep.yaml", "journal.lock", "tracker.lock"),
    *("journal.db", "journal.db-wal", "journal.db-shm", "tracker.db", "tracker.db-wal", "tracker.db-shm"),
    *("logs/driver.log", "logs/tracker.log", "logs/trainers.log"),
)
"""What commands run, write or remove in a sweep's folder."""
_NAME = re.compile(r"[^\W_][\w.-]{0,63}", re.ASCII)


def home_folder(chosen: Path | None) -> Path:
    """Return the folder that holds `sweeps/` and the default `mlflow.db`: `--dir`, KERASWEEP_DIR, or the current one."""
    return (chosen or Path(os.environ.get("KERASWEEP_DIR") or Path.cwd())).expanduser().resolve()


def names(home: Path) -> list[str]:
    """Return the names of the sweeps, oldest first."""
    found: list[tuple[float, str]] = []
    for path in (home / "sweeps").glob("[!.]*/journal.db"):
        with suppress(FileNotFoundError):  # it was removed meanwhile
            found.append((path.parent.stat().st_ctime, path.parent.name))
    return [name for _, name in sorted(found) if _NAME.fullmatch(name)]


def find(home: Path, name: str) -> Path:
    """Return the folder of a sweep.

    Raises:
        BadInput: there is no such sweep.
    """
    if _NAME.fullmatch(name) and (home / "sweeps" / name / "journal.db").exists():
        return home / "sweeps" / name
    known = names(home)
    hint = did_you_mean(name, known)
    have = f"there are {', '.join(known[-8:])}" if known else "there is none yet"
    raise BadInput(f"no sweep {name!r} in {home / 'sweeps'}{hint}; {have}")


def check_own(folder: Path) -> None:
    """Refuse to act on a sweep that somebody else could have written: its code is run, its files are written, its
    tracker is given this user's credentials.

    Raises:
        BadInput: the folder belongs to another user, or a part of it is somewhere else.
    """
    if folder.stat().st_uid != os.geteuid():
        raise BadInput(f"{folder} belongs to another user, who alone acts on it; copy it, if you trust what is in it")
    for part in PARTS:
        if (folder / part).is_symlink():
            raise BadInput(
                f"{folder / part} is a symbolic link, which Kerasweep never makes; put the thing itself there"
            )


def read(folder: Path) -> History:
    """Return a sweep's history."""
    with Reader(folder) as reader:
        return History.of(reader.after(0))


def state(folder: Path, history: History) -> str:
    """Return `running`, `done`, `no success`, `refused`, `interrupted`, or `driver lost`."""
    if Lock.holder(folder / "journal.lock") is not None:
        return "running"
    if history.ended is None:
        return "driver lost"
    return {0: "done", 1: "no success", 2: "refused"}.get(history.ended.exit_code, "interrupted")


def folder_mark(folder: Path) -> Path:
    """Return a file by whose content another machine can tell that it sees the same folder, made if need be.

    Raises:
        OSError: the folder cannot be written to.
    """
    mark = folder / ".shared"
    if not mark.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = folder / f"{STAGING}{secrets.token_hex(8)}"
        new.write_text(secrets.token_hex(16))
        try:
            mark.hardlink_to(new)
        except FileExistsError:
            pass
        except OSError:  # a mounted store may have no links
            new.replace(mark)
        new.unlink(missing_ok=True)
    return mark


def stage(home: Path, name: str) -> tuple[Path, Path]:
    """Return a new folder to prepare a sweep in, and the one that it becomes.

    Raises:
        SweepHeld: the sweep of that name runs.
        BadInput: the name is used, or the folder cannot be written.
    """
    folder = home / "sweeps" / name
    if folder.exists():
        raise taken(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(folder.parent)
        staging = folder.parent / f"{STAGING}{name}-{secrets.token_hex(4)}"
        staging.mkdir(mode=0o700)
    except OSError as error:
        raise BadInput(
            f"cannot write in {folder.parent}: {error.strerror}; choose another folder with --dir"
        ) from error
    return staging, folder


def taken(folder: Path) -> KerasweepError:
    """Return what is to be raised for a new sweep, or a driver, that comes second."""
    name, holder = folder.name, Lock.holder(folder / "journal.lock")
    if holder is not None:
        return SweepHeld(
            f"{name} is running: {holder}; `kerasweep show {name}` shows it, `kerasweep stop {name}` stops it"
        )
    return BadInput(
        f"the sweep name {name!r} is already used in {folder.parent}; choose another with --set name=…, "
        f"or go on with `kerasweep resume {name}`"
    )


def settle(staging: Path, folder: Path) -> None:
    """Give a prepared sweep its name.

    Survives: a kill -9 or a power cut leaves the whole sweep or none of it.

    Raises:
        SweepHeld: another driver has given it to a sweep meanwhile, which runs.
        BadInput: the name is used.
        Infrastructure: the disk is full or broken.
    """
    try:
        for path in [*staging.rglob("*"), staging]:
            _sync(path)
        staging.rename(folder)
        _sync(folder.parent)
    except OSError as error:
        if folder.exists():
            raise taken(folder) from error
        raise Infrastructure(f"cannot write {folder}: {error.strerror}; nothing was left behind") from error


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def unstage(staging: Path) -> None:
    """Remove what was prepared, and `sweeps/` where nothing else is in it."""
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.parent.rmdir()
    except OSError:
        return


def remove_stale(folder: Path) -> bool:
    """Remove what was prepared and never begun, or begun to be removed, by a command that is long dead."""
    for path in stale(folder):
        shutil.rmtree(path, ignore_errors=True)
    return not stale(folder)


def stale(folder: Path) -> list[Path]:
    """Return the folders that such commands left in `sweeps/`."""
    prepared = [path for path in folder.glob(f"{STAGING}*") if _age_s(path) > STALE_S]
    return [path for path in (*prepared, *folder.glob(f"{GONE}*")) if not path.is_symlink()]


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:  # it has its name by now, or is undone
        return 0.0
