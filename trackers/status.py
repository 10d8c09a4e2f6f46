"""How far the tracker is, for whoever waits for it or wants to know where in MLflow the sweep is; imports little."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from .journal import Lock, Reader
from .runs import SWEEP
from .tracker_db import Destination

_LAST = "SELECT key, experiment_id, view_id, cursor, refused FROM destinations WHERE key = coalesce(?, key) ORDER BY at DESC LIMIT 1"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStatus:
    """`delivered_seq`: all events up to this one are in MLflow, but for the items that it `refused`.

    `tracker` is the tracker at work, in its own words, None where there is none. The ids are None before the first
    delivery. `trouble` says since when and why MLflow takes nothing, empty where it does.
    """

    delivered_seq: int = 0
    last_seq: int = 0
    refused: int = 0
    tracker: str | None = None
    experiment_id: str | None = None
    parent_run_id: str | None = None
    view_id: str | None = None
    trouble: str = ""

    @property
    def complete(self) -> bool:
        """Whether MLflow has everything that is journaled."""
        return self.delivered_seq >= self.last_seq


def delivery_status(folder: Path, destination: Destination | None = None) -> DeliveryStatus:
    """Return how far the delivery to `destination` is, by default to the one that a tracker used last.

    Raises:
        BadInput: there is no journal in `folder`.
    """
    with Reader(folder) as reader:
        last_seq = reader.last_seq()
    tracker = Lock.holder(folder / "tracker.lock")
    key = None if destination is None else destination.key
    found = _ask(folder, _LAST, (key,))
    if found is None:
        return DeliveryStatus(last_seq=last_seq, tracker=tracker)
    key, experiment_id, view_id, cursor, refused = found
    parent = _ask(folder, "SELECT run_id FROM runs WHERE key = ? AND trial = ?", (key, SWEEP))
    return DeliveryStatus(
        delivered_seq=cursor,
        last_seq=last_seq,
        refused=refused,
        tracker=tracker,
        experiment_id=experiment_id,
        parent_run_id=parent[0] if parent else None,
        view_id=view_id,
        trouble=trouble(folder, key),
    )


def trouble(folder: Path, key: str | None = None) -> str:
    """Return since when and why MLflow takes nothing of the sweep, in words, or an empty string where it does."""
    if key is None:
        found = _ask(folder, _LAST, (None,))
        key = None if found is None else found[0]
    found = _ask(folder, "SELECT since, why FROM troubles WHERE key = ?", (key,))
    if found is None:
        return ""
    since, why = found
    day = "" if time.time() - since < 12 * 3600 else "%F "
    return f"since {time.strftime(day + '%T', time.localtime(since))}: {why}"


def _ask(folder: Path, query: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
    """Return the first row that the tracker's memo has, None also where it is about to be made, or made anew."""
    memo = folder / "tracker.db"
    if not memo.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{memo.resolve().as_uri()}?mode=ro", uri=True, timeout=10.0)) as db:
            row: tuple[Any, ...] | None = db.execute(query, values).fetchone()
            return row
    except sqlite3.DatabaseError:
        return None
