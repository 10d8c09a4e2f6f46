"""Bring a sweep back from its copy in a storage, here or on another machine."""

from __future__ import annotations

import json
import logging
import re
import secrets
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any, cast

from ..cluster.checkpoint_files import Files, files_at
from ..cluster.program import write_sources
from ..spaces.errors import BadInput, Infrastructure, KerasweepError, SweepHeld, one_line
from ..trackers.events import SweepRestored
from ..trackers.history import History
from ..trackers.journal import Journal, Lock, Reader
from ..trackers.redaction import redact
from ..trackers.tracker_db import forget
from . import sweeps
from .claim import Past, claim
from .copies import journals
from .place import absolute_place
from .sweepform import NAME

logger = logging.getLogger(__name__)

LOGS = ("-wal", "-shm", "")
"""The journal's files by their ends; the database itself goes last, so that no log is left to another one."""


def is_place(name: str) -> bool:
    """Say whether what was given for a sweep's name is the place of a copy."""
    return "/" in name


def restore(place: str, home: Path) -> Path:
    """Bring the sweep whose copy is in `place` back below `home`; return its folder.

    Survives: a kill -9 leaves the sweep as it was, or without a journal, which the same command mends.

    Raises:
        BadInput: there is no copy, or the sweep is here already and has come as far.
        SweepHeld: it is here and at work.
        Infrastructure: the storage cannot be read, or all copies are damaged.
    """
    place = absolute_place(place)
    (home / "sweeps").mkdir(parents=True, exist_ok=True)
    staging = home / "sweeps" / f"{sweeps.STAGING}restore-{secrets.token_hex(4)}"
    staging.mkdir(mode=0o700)
    try:
        with closing(files_at(place)) as files:
            return _restore(files, redact(place), staging)
    except KerasweepError:
        raise
    except Exception as error:  # a storage has its own
        text = one_line(redact(str(error) or type(error).__name__), 200)
        raise Infrastructure(f"cannot read the copy in {redact(place)}: {text}; nothing was changed here") from error
    finally:
        sweeps.unstage(staging)


def _restore(files: Files, place: str, staging: Path) -> Path:
    history = _fetch(files, place, staging)
    name = str(history.spec.get("name"))
    if not re.fullmatch(NAME, name):
        raise BadInput(f"the copy in {place} is of a sweep with the name {name!r}, which cannot be a folder's")
    folder = staging.parent / name
    if (folder / "journal.db").exists():
        _check_behind(folder, history, Past.of(staging / "journal.db"))
    with Journal(staging) as journal:
        journal.append(SweepRestored(why=f"from the copy in {place}"))
        _claim(files, journal.path)
    (staging / "journal.lock").unlink()
    if folder.exists():
        _replace(folder, staging)
        return folder
    for text in ("sweep.yaml", "sweep.json"):
        if text in files.names():
            (staging / text).write_bytes(files.local(text).read_bytes())
    write_sources(_code(files), staging / "code")
    sweeps.settle(staging, folder)
    return folder


def _fetch(files: Files, place: str, staging: Path) -> History:
    """Bring the newest sound copy of the journal into `staging`; return what it says.

    Raises:
        BadInput: there is none.
        Infrastructure: none is sound.
    """
    names = journals(files)
    if not names:
        there = ", ".join(one_line(name, 80) for name in files.names()[:8])
        what = f"it holds {there}: one of them?" if there else "expected STORAGE/NAME, as the sweep's `storage` was"
        raise BadInput(f"no copy of a sweep in {place}; {what}")
    for name in names:
        copy = staging / "journal.db"
        shutil.copyfile(files.local(name), copy)
        try:
            with Reader(staging) as reader:
                reader.verify()
        except Infrastructure:
            continue
        with closing(sqlite3.connect(copy)) as db:
            db.execute("PRAGMA journal_mode = WAL")
        return sweeps.read(staging)
    raise Infrastructure(f"every copy in {place} is damaged ({', '.join(names)}); nothing was changed here")


def _claim(files: Files, journal: Path) -> None:
    """Take the place over: a driver of another machine that still goes on with the sweep ends at its next copy."""
    try:
        claim(files, Past.of(journal))
    except Exception:  # a place that can only be read; the copies that follow will say so
        logger.exception("the place was not taken over")


def _check_behind(folder: Path, copy: History, past: Past) -> None:
    """Refuse to take the place of a sweep that is at work, another one, or no less far with no turn of its own left out.

    Raises:
        BadInput: it is another one, or as far.
        SweepHeld: it is at work.
    """
    name = folder.name
    for lock in ("journal.lock", "tracker.lock"):
        if (holder := Lock.holder(folder / lock)) is not None:
            raise SweepHeld(f"{name} is at work here: {holder}")
    try:
        with Reader(folder) as reader:
            reader.verify()
        here = sweeps.read(folder)
    except Infrastructure:  # damaged
        return
    if here.started_at != copy.started_at:
        raise BadInput(f"{folder} is another sweep of the same name; choose another folder with --dir")
    own = Past.of(folder / "journal.db")
    if here.seq >= copy.seq and set(past.sessions) <= set(own.sessions):
        raise BadInput(f"{folder} has {here.seq} events, the copy {copy.seq}; go on with `kerasweep resume {name}`")


def _replace(folder: Path, staging: Path) -> None:
    """Put the journal into the place of one that is damaged or behind, which is kept beside it; all else stays.

    The tracker's memo goes: it may know of more than this journal has.
    """
    lock = Lock(folder / "journal.lock")
    lock.acquire()
    try:
        forget(folder)
        for end in LOGS:
            if (old := folder / f"journal.db{end}").exists():
                old.rename(folder / f"journal.db.replaced{end}")
        sweeps.settle(staging / "journal.db", folder / "journal.db")
    finally:
        lock.release()


def _code(files: Files) -> Mapping[str, str]:
    """Return the user's code by relative path; no path leads out of its folder.

    Raises:
        BadInput: one would.
    """
    code: Any = json.loads(files.local("code.json").read_bytes())
    if not isinstance(code, dict):
        raise BadInput("code.json of the copy is no mapping of files")
    sources = cast(Mapping[str, Any], code)
    for name, text in sources.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not name.endswith(".py") or not isinstance(text, str):
            raise BadInput(f"code.json of the copy has the path {one_line(name, 80)!r}, which leads out of its folder")
    return sources
