"""The journal: one SQLite file per sweep, append-only, one writer, any number of readers; the truth about the sweep.

    events(seq INTEGER PRIMARY KEY, at REAL, kind TEXT, trial INTEGER, body TEXT, crc INTEGER)

The writer holds a kernel lock (`flock` on `journal.lock` beside it) for as long as it lives: a stopped process keeps
it, a dead one loses it. The format's version stands in the file's header and is read from there before anything opens
the file, so that a newer format is left untouched.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, final

from ..spaces.errors import BadInput, Infrastructure, SweepHeld
from .events import Entry, Event, decode, encode

FORMAT = 1
APPLICATION_ID = 0x4B535750  # "KSWP"
GROUP_S = 1.0
"""Reports wait at most this long for a commit that they share."""

_NETWORK_FILESYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "fuse.sshfs",
    "lustre",
    "beegfs",
    "ceph",
    "9p",
    "glusterfs",
}


def _checksum(seq: int, at: float, kind: str, trial: int | None, body: str) -> int:
    return zlib.crc32(f"{seq}|{at!r}|{kind}|{trial}|{body}".encode())


def check_format(path: Path) -> None:
    """Refuse a file that is no journal or has a newer format, reading nothing but its header.

    Raises:
        BadInput: the file is not a journal that this version can read.
    """
    with path.open("rb") as file:
        header = file.read(100)
    version, owner = int.from_bytes(header[60:64], "big"), int.from_bytes(header[68:72], "big")
    if header[:15] != b"SQLite format 3" or owner != APPLICATION_ID:
        raise BadInput(f"{path} is not a Kerasweep journal")
    if version > FORMAT:
        raise BadInput(f"{path} has journal format {version}, this Kerasweep reads up to {FORMAT}; upgrade Kerasweep")


def filesystem_of(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Return the type of the file system that `path` is on, or an empty string where that cannot be told."""
    if not mounts.exists():
        return ""
    best, kind = "", ""
    for line in mounts.read_text().splitlines():
        _, point, fstype, *_ = line.replace("\\040", "\0").split(" ")
        point = point.replace("\0", " ")
        inside = str(path.resolve()) == point or str(path.resolve()).startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fstype
    return kind


@final
class Lock:
    """The kernel lock that makes a process the sweep's one driver.

    Survives: a kill -9 frees it at once; SIGSTOP does not.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self, patience_s: float = 1.0) -> None:
        """Take the lock.

        Raises:
            SweepHeld: another process has it.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # a reader's probe holds it for a moment; a driver names itself
                holder = os.pread(fd, 200, 0).decode(errors="replace").strip()
                if time.monotonic() > deadline or _alive(holder):
                    os.close(fd)
                    who = holder or "another process"
                    raise SweepHeld(f"{self._path.parent.name} is held by {who}; stop that driver first") from None
                time.sleep(0.05)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"pid {os.getpid()} on {socket.gethostname()} since {time.strftime('%F %T')}".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the lock back."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    @staticmethod
    def holder(path: Path) -> str | None:
        """Return who holds the lock (its own words), or None where nobody does."""
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(fd, 200, 0).decode(errors="replace").strip() or "another process"
        finally:
            os.close(fd)
        return None


def _alive(holder: str) -> bool:
    words = holder.split()
    if len(words) < 4 or words[3] != socket.gethostname():
        return False
    return Path(f"/proc/{words[1]}").exists()


def _create(path: Path) -> None:
    """Make an empty journal; under another name first, so that nobody ever finds half a one.

    Survives: a kill -9 leaves either no journal or a whole one.
    """
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    db = sqlite3.connect(unfinished, isolation_level=None)
    try:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {FORMAT}")
        db.execute(
            "CREATE TABLE events (seq INTEGER PRIMARY KEY, at REAL, kind TEXT, trial INTEGER, body TEXT, crc INTEGER)"
        )
        db.execute("PRAGMA journal_mode = WAL")
    finally:
        db.close()
    unfinished.rename(path)


@final
class Journal:
    """The writing end.

    Survives: what `append` was called with is on disk when it returns; of what `append_soon` was called with, a kill
    -9 loses at most the last second. An append is one transaction: all of its events are there, or none.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Open, or create, the journal in `folder` and become its one writer.

        Raises:
            SweepHeld: another driver has it.
            BadInput: it has a newer format, or `folder` cannot hold one.
        """
        self.path = folder / "journal.db"
        self._clock = clock
        self._pending: list[tuple[int, float, str, int | None, str, int]] = []
        self._pending_since = 0.0
        if self.path.exists():
            check_format(self.path)
        if (kind := filesystem_of(folder)) in _NETWORK_FILESYSTEMS:
            raise BadInput(f"{folder} is on {kind}, where SQLite's WAL is not safe; choose a local disk with --dir")
        self._lock = Lock(folder / "journal.lock")
        self._lock.acquire()
        try:
            if not self.path.exists():
                _create(self.path)
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA synchronous = FULL")
            self._seq: int = self._db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        except sqlite3.Error as error:
            self._lock.release()
            raise Infrastructure(f"{self.path} cannot be opened: {error}; it was left as it is") from error
        except BaseException:
            self._lock.release()
            raise

    @property
    def seq(self) -> int:
        """The number of the last event, journaled or pending."""
        return self._seq

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
        self._seq, at = self._seq + 1, float(self._clock())
        self._pending.append((self._seq, at, kind, trial, body, _checksum(self._seq, at, kind, trial, body)))
        return Entry(seq=self._seq, at=at, event=event)

    def _commit(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
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
        """
        self.path = folder / "journal.db"
        if not self.path.exists():
            raise BadInput(f"no sweep in {folder}; `kerasweep list` shows those there are")
        check_format(self.path)
        self._db = sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True, timeout=10.0)

    def after(self, seq: int = 0, limit: int = -1) -> Iterator[Entry]:
        """Yield the journaled events that follow number `seq`, in order.

        Raises:
            Infrastructure: a row is damaged.
        """
        query = "SELECT seq, at, kind, trial, body, crc FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
        try:
            rows: Sequence[tuple[int, float, str, int | None, str, int]] = self._db.execute(
                query, (seq, limit)
            ).fetchall()
        except sqlite3.DatabaseError as error:
            raise Infrastructure(f"{self.path} cannot be read: {error}; it was left as it is") from error
        for number, at, kind, trial, body, crc in rows:
            if _checksum(number, at, kind, trial, body) != crc:
                raise Infrastructure(f"{self.path} is damaged at event {number}; it was left as it is")
            yield Entry(seq=number, at=at, event=decode(kind, trial, body))

    def last_seq(self) -> int:
        """Return the number of the last journaled event."""
        return int(self._db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
