"""The journal: one SQLite file per sweep, append-only, one writer, any number of readers; the truth about the sweep.

    events(seq INTEGER PRIMARY KEY, at REAL, kind TEXT, trial INTEGER, body TEXT, crc INTEGER)

The writer holds a kernel lock (`flock` on `journal.lock` beside it) for as long as it lives: a stopped process keeps
it, a dead one loses it. The format's version stands in the file's header and is read from there before anything opens
the file, so that a newer format is left untouched. Events are in the order of their numbers; their times never go back.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from ..spaces.errors import BadInput, Infrastructure
from .events import Entry, Event, decode, encode
from .filesystem import NETWORK, filesystem_of
from .lock import Lock
from .redaction import redact
from .steady_clock import SteadyClock

__all__ = ["APPLICATION_ID", "FORMAT", "GROUP_S", "Journal", "Lock", "Reader", "check_format"]

FORMAT = 1
APPLICATION_ID = 0x4B535750  # "KSWP"
GROUP_S = 1.0
"""Reports wait at most this long for a commit that they share."""
HELD_S = 60.0
"""So long the writer waits for another program that has locked the file."""

_BUSY_S = 1.0
_SCHEMA = "CREATE TABLE events (seq INTEGER PRIMARY KEY, at REAL, kind TEXT, trial INTEGER, body TEXT, crc INTEGER)"
_CHUNK = 1_000
_COLUMNS = "seq, at, kind, trial, body, crc"
_Row = tuple[int, float, str, int | None, str, int]

Connect = Callable[[Path], sqlite3.Connection]
"""Opens a file for writing; in autocommit mode, for any thread."""

logger = logging.getLogger(__name__)


def _checksum(seq: int, at: float, kind: str, trial: int | None, body: str) -> int:
    return zlib.crc32(f"{seq}|{at!r}|{kind}|{trial}|{body}".encode())


def check_format(path: Path) -> None:
    """Refuse a file that is no journal or has a newer format, reading nothing but its header.

    Raises:
        BadInput: its format is newer, or it may not be read.
        Infrastructure: it is no journal, or no longer.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    version, owner = int.from_bytes(header[60:64], "big"), int.from_bytes(header[68:72], "big")
    if len(header) < 100 or header[:16] != b"SQLite format 3\0" or owner != APPLICATION_ID:
        raise _damaged(path, "is not a Kerasweep journal, or is damaged at its beginning")
    if version > FORMAT:
        raise BadInput(f"{path} has journal format {version}, this Kerasweep reads up to {FORMAT}; upgrade Kerasweep")


def _damaged(path: Path, what: str) -> Infrastructure:
    return Infrastructure(f"{path} {what}; it was left as it is; {_last_copy(path.parent)}")


def _last_copy(folder: Path) -> str:
    """Say where the sweep's last copy is."""
    try:
        spec: Any = json.loads((folder / "sweep.json").read_text())
        place = f"{str(spec['storage']).rstrip('/')}/{spec['name']}" if spec.get("storage") else ""
    except (OSError, ValueError, AttributeError, KeyError):
        place = ""
    if not place:
        return "no copy of it is known, since the sweep has no `storage`"
    return redact(f"its last copy is in {place}: `kerasweep resume {place}`")


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _create(path: Path, connect: Connect, original: sqlite3.Connection | None = None) -> None:
    """Make an empty journal, or a copy of one; under another name first, so that nobody ever finds half of it.

    Survives: a kill -9 leaves either no journal or a whole one.

    Raises:
        BadInput: the file system cannot have a write-ahead log.
    """
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    db = connect(unfinished)
    try:
        if original is None:
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute(_SCHEMA)
        else:
            original.backup(db)
        (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    finally:
        db.close()
    if mode != "wal":
        unfinished.unlink()
        raise _no_log(path.parent, filesystem_of(path.parent))
    for end in ("-wal", "-shm"):  # of a file that was removed
        path.with_name(path.name + end).unlink(missing_ok=True)
    unfinished.rename(path)
    _sync(path.parent)


def _no_log(folder: Path, kind: str) -> BadInput:
    return BadInput(
        f"{folder} is on {kind or 'a file system'}, where SQLite's WAL is not safe; choose a local disk with --dir, "
        "and `storage:` for a copy elsewhere"
    )


@final
class Journal:
    """The writing end.

    Survives: what `append` was called with is on disk when it returns; of what `append_soon` was called with, a kill
    -9 loses at most the last second. An append is one transaction: all of its events are there, or none.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float] | None = None,
        connect: Connect = _connect,
        patience_s: float = HELD_S,
    ) -> None:
        """Open, or create, the journal in `folder` and become its one writer.

        Raises:
            SweepHeld: another driver has it.
            BadInput: it has a newer format, or `folder` cannot hold one.
            Infrastructure: it is damaged; not a byte of it was changed.
        """
        self.path = folder / "journal.db"
        self._connect = connect
        self._patience_s = patience_s
        self._pending: list[_Row] = []
        self._pending_since = 0.0
        if self.path.exists():
            check_format(self.path)
        if (kind := filesystem_of(folder)) in NETWORK:
            raise _no_log(folder, kind)
        self._lock = Lock(folder / "journal.lock")
        self._lock.acquire()
        try:
            if not self.path.exists():
                _create(self.path, connect)
            with Reader(folder) as reader:
                self._seq, self._at = reader.verify()
            self._db = connect(self.path)
            self._db.execute("PRAGMA synchronous = FULL")
            self._inode = self.path.stat().st_ino
        except (sqlite3.Error, OSError) as error:
            self._lock.release()
            raise Infrastructure(f"{self.path} cannot be opened: {error}; it was left as it is") from error
        except BaseException:
            self._lock.release()
            raise
        if clock is None:
            clock = SteadyClock()
            clock.not_before(self._at)
        self._clock = clock

    @property
    def seq(self) -> int:
        """The number of the last event, journaled or pending."""
        return self._seq

    def now(self) -> float:
        """Return the time that an event would have now; never earlier than that of the last one."""
        return max(self._at, float(self._clock()))

    def append(self, *events: Event) -> list[Entry]:
        """Write events, with all that is pending, in one transaction; on disk when this returns.

        Raises:
            Infrastructure: the disk is full or broken; none of `events` is written, what was pending still is pending.
        """
        seq, pending = self._seq, list(self._pending)
        try:
            entries = [self._add(event) for event in events]
            self._commit()
        except BaseException:
            self._seq, self._pending = seq, pending
            raise
        return entries

    def append_soon(self, event: Event) -> Entry:
        """Write an event within a second, in a transaction that it shares; `tick` sees to that."""
        if not self._pending:
            self._pending_since = time.monotonic()
        return self._add(event)

    def tick(self) -> None:
        """Commit what has been pending for a second; to be called often."""
        if self._pending and time.monotonic() - self._pending_since >= GROUP_S:
            self._commit()

    def _add(self, event: Event) -> Entry:
        kind, trial, body = encode(event)
        self._seq, self._at = self._seq + 1, self.now()
        crc = _checksum(self._seq, self._at, kind, trial, body)
        self._pending.append((self._seq, self._at, kind, trial, body, crc))
        return Entry(seq=self._seq, at=self._at, event=event)

    def _commit(self) -> None:
        self._check_place()
        try:
            self._begin()
            self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", self._pending)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise Infrastructure(
                f"cannot write {self.path}: {error}; what was journaled before is safe: free the disk, then resume"
            ) from error
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        self._pending = []

    def _check_place(self) -> None:
        """See to it that what is written will be found again.

        Raises:
            Infrastructure: another file has taken the journal's place, or its folder is gone.
        """
        try:
            if self.path.stat().st_ino == self._inode:
                return
        except FileNotFoundError:
            self._write_back()
            return
        raise Infrastructure(f"{self.path} was replaced under its driver; {_last_copy(self.path.parent)}")

    def _write_back(self) -> None:
        """Write the journal anew where somebody has removed it: the open file still has everything.

        Survives: a kill -9 leaves no journal or a whole one.
        """
        logger.warning("%s was removed: it is written back", self.path)
        try:
            _create(self.path, self._connect, self._db)
            self._db.close()
            self._db = self._connect(self.path)
            self._db.execute("PRAGMA synchronous = FULL")
            self._inode = self.path.stat().st_ino
        except (sqlite3.Error, OSError) as error:
            raise Infrastructure(
                f"{self.path} was removed under its driver and cannot be written back: {error}; "
                f"{_last_copy(self.path.parent)}"
            ) from error

    def _begin(self) -> None:
        """Begin a transaction; wait for another program that reads the file exclusively, and say so."""
        deadline = time.monotonic() + self._patience_s
        said = False
        while True:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
            if not said:
                logger.warning("another program has locked %s: waiting for it", self.path)
            said = True

    def close(self) -> None:
        """Commit what is pending and give the sweep free."""
        try:
            if self._pending:
                self._commit()
        finally:
            self._db.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


@final
class Reader:
    """The reading end, for any process at any time; keeps its connection, remembers nothing else."""

    def __init__(self, folder: Path) -> None:
        """Open the journal in `folder`.

        Raises:
            BadInput: there is none, or its format is newer.
            Infrastructure: it is no journal.
        """
        self.path = folder / "journal.db"
        if not self.path.exists():
            raise BadInput(f"no sweep in {folder}; `kerasweep list` shows those there are")
        check_format(self.path)
        self._db = sqlite3.connect(f"{self.path.resolve().as_uri()}?{self._how(folder)}", uri=True, timeout=10.0)
        try:
            if self._rows("SELECT sql FROM sqlite_master", ()) != [(_SCHEMA,)]:  # it would look empty, and sound
                raise _damaged(self.path, "is damaged in its schema")
        except BaseException:
            self._db.close()
            raise

    def _how(self, folder: Path) -> str:
        """Return how to open the file; a folder that cannot be written has no place for the index of a log."""
        if os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            return "mode=ro"
        log, index = (self.path.with_name(f"journal.db-{end}") for end in ("wal", "shm"))
        if not log.exists() or not log.stat().st_size:
            return "immutable=1"
        if not index.exists():
            raise BadInput(f"{folder} cannot be written, and its driver was killed; copy it to where you can write")
        return "mode=ro"

    def after(self, seq: int = 0, limit: int = -1) -> Iterator[Entry]:
        """Yield the journaled events that follow number `seq`, in order.

        Raises:
            Infrastructure: a row is damaged.
        """
        query = f"SELECT {_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608
        for number, at, kind, trial, body, _ in self._checked(self._rows(query, (seq, limit)), seq):
            try:
                event = decode(kind, trial, body)
            except KeyError:
                raise BadInput(
                    f"{self.path} has an event of the kind {kind!r} at {number}; upgrade Kerasweep"
                ) from None
            yield Entry(seq=number, at=at, event=event)

    def verify(self) -> tuple[int, float]:
        """Return number and time of the last event, (0, 0.0) where there is none, after a look at the whole file.

        Raises:
            Infrastructure: a page or a row is damaged.
        """
        found = self._rows("PRAGMA quick_check(1)", ())
        if found != [("ok",)]:
            raise _damaged(self.path, f"is damaged ({found[0][0].splitlines()[-1]})")
        seq, at = 0, 0.0
        query = f"SELECT {_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT {_CHUNK}"  # noqa: S608
        while rows := list(self._checked(self._rows(query, (seq,)), seq)):
            seq, at = rows[-1][0], max(at, *(row[1] for row in rows))
        return seq, at

    def _rows(self, query: str, values: tuple[int, ...]) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except (sqlite3.DatabaseError, UnicodeDecodeError, OverflowError) as error:
            raise _damaged(self.path, f"cannot be read: {error}") from error

    def _checked(self, rows: list[_Row], before: int) -> Iterator[_Row]:
        for expected, row in enumerate(rows, before + 1):
            number, at, kind, trial, body, crc = row
            if number != expected or _checksum(number, at, kind, trial, body) != crc:
                raise _damaged(self.path, f"is damaged at event {expected}")
            yield row

    def last_seq(self) -> int:
        """Return the number of the last journaled event."""
        return int(self._rows("SELECT coalesce(max(seq), 0) FROM events", ())[0][0])

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
