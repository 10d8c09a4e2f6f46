"""How far the tracker is, for whoever waits for it or wants to know where in MLflow the sweep is; imports little."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import final

from .journal import Lock, Reader
from .runs import SWEEP
from .tracker_db import Destination


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStatus:
    """`delivered_seq`: all events up to this one are in MLflow, but for the items that it `refused`.

    `tracker` is the tracker at work, in its own words, None where there is none. The ids are None before the first
    delivery.
    """

    delivered_seq: int = 0
    last_seq: int = 0
    refused: int = 0
    tracker: str | None = None
    experiment_id: str | None = None
    parent_run_id: str | None = None
    view_id: str | None = None

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
    memo, tracker = folder / "tracker.db", Lock.holder(folder / "tracker.lock")
    row: tuple[str, str | None, str | None, int, int] | None = None
    parent: tuple[str] | None = None
    if memo.exists():
        try:
            with closing(sqlite3.connect(f"{memo.resolve().as_uri()}?mode=ro", uri=True, timeout=10.0)) as db:
                row = db.execute(
                    "SELECT key, experiment_id, view_id, cursor, refused FROM destinations"
                    " WHERE key = coalesce(?, key) ORDER BY at DESC LIMIT 1",
                    (None if destination is None else destination.key,),
                ).fetchone()
                if row is not None:
                    query = "SELECT run_id FROM runs WHERE key = ? AND trial = ?"
                    parent = db.execute(query, (row[0], SWEEP)).fetchone()
        except sqlite3.DatabaseError:  # about to be made, or made anew by the next tracker
            row = None
    if row is None:
        return DeliveryStatus(last_seq=last_seq, tracker=tracker)
    _, experiment_id, view_id, cursor, refused = row
    return DeliveryStatus(
        delivered_seq=cursor,
        last_seq=last_seq,
        refused=refused,
        tracker=tracker,
        experiment_id=experiment_id,
        parent_run_id=parent[0] if parent else None,
        view_id=view_id,
    )
