"""What a tracker remembers: per destination, how far it has delivered and which run is whose.

    destinations(key TEXT PRIMARY KEY, experiment_id TEXT, view_id TEXT, cursor INTEGER, refused INTEGER, at REAL)
    runs(key TEXT, trial INTEGER, run_id TEXT)       trial -1 is the sweep itself
    troubles(key TEXT PRIMARY KEY, since REAL, why TEXT)     while MLflow does not take it; seconds since 1970

The file is a memo, not a truth: lost or damaged, it is made anew and filled by a search for our tags. Its one writer
holds a kernel lock, `tracker.lock` beside it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, final

from .redaction import redact

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS destinations (key TEXT PRIMARY KEY, experiment_id TEXT, view_id TEXT,"
    " cursor INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0, at REAL)",
    "CREATE TABLE IF NOT EXISTS runs (key TEXT, trial INTEGER, run_id TEXT, PRIMARY KEY (key, trial))",
    "CREATE TABLE IF NOT EXISTS troubles (key TEXT PRIMARY KEY, since REAL NOT NULL, why TEXT NOT NULL)",
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """An MLflow tracking URI and the name of an experiment there."""

    uri: str
    experiment: str

    @property
    def key(self) -> str:
        """What it is filed under; holds no password."""
        return f"{redact(self.uri).rstrip('/')} {self.experiment}"


def forget(folder: Path) -> None:
    """Remove the memo of the sweep in `folder`, which knows of more than has happened."""
    for end in ("-wal", "-shm", ""):
        (folder / f"tracker.db{end}").unlink(missing_ok=True)


@final
class TrackerDb:
    """The memo for one destination.

    Survives: whatever a kill -9 leaves is a state that the next tracker can go on from.
    """

    def __init__(self, folder: Path, destination: Destination) -> None:
        self.key = destination.key
        self._path = folder / "tracker.db"
        try:
            self._db = self._open()
        except sqlite3.DatabaseError:
            forget(folder)
            self._db = self._open()
        with self._db:
            self._db.execute("INSERT OR IGNORE INTO destinations (key) VALUES (?)", (self.key,))
            self._db.execute("UPDATE destinations SET at = ? WHERE key = ?", (time.time(), self.key))

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        db = sqlite3.connect(self._path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        with db:
            for statement in _SCHEMA:
                db.execute(statement)
        return db

    @property
    def cursor(self) -> int:
        """The number of the last event that was delivered with all before it."""
        return int(self._db.execute("SELECT cursor FROM destinations WHERE key = ?", (self.key,)).fetchone()[0])

    def advance(self, seq: int) -> None:
        """Remember that all up to event `seq` has been delivered."""
        with self._db:
            self._db.execute("UPDATE destinations SET cursor = ? WHERE key = ?", (seq, self.key))

    def refuse(self, count: int = 1) -> None:
        """Count items that MLflow will never take."""
        with self._db:
            self._db.execute("UPDATE destinations SET refused = refused + ? WHERE key = ?", (count, self.key))

    def place(self, experiment_id: str, view_id: str) -> None:
        """Remember where the sweep is to be seen."""
        query = "UPDATE destinations SET experiment_id = ?, view_id = ? WHERE key = ?"
        with self._db:
            self._db.execute(query, (experiment_id, view_id, self.key))

    @property
    def runs(self) -> Mapping[int, str]:
        """The run of each trial, and of the sweep under `SWEEP`."""
        return dict(self._db.execute("SELECT trial, run_id FROM runs WHERE key = ?", (self.key,)).fetchall())

    def set_run(self, trial: int, run_id: str) -> None:
        """Remember a trial's run."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", (self.key, trial, run_id))

    def forget(self, trials: Iterable[int] | None = None) -> None:
        """Start over: nothing delivered, and no run known of `trials`, by default of none."""
        with self._db:
            if trials is None:
                self._db.execute("DELETE FROM runs WHERE key = ?", (self.key,))
            else:
                keys = [(self.key, trial) for trial in trials]
                self._db.executemany("DELETE FROM runs WHERE key = ? AND trial = ?", keys)
            self._db.execute("UPDATE destinations SET cursor = 0, refused = 0 WHERE key = ?", (self.key,))

    def trouble(self, why: str) -> None:
        """Remember that MLflow does not take what is to be delivered: why, and since when it has been so."""
        query = "INSERT INTO troubles VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET why = excluded.why"
        with self._db:
            self._db.execute(query, (self.key, time.time(), why))

    def recover(self) -> None:
        """Remember that MLflow takes it again."""
        with self._db:
            self._db.execute("DELETE FROM troubles WHERE key = ?", (self.key,))

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
