"""Delivery: the journal's tail, folded, goes to MLflow run by run, at MLflow's pace.

What a run shall show follows from the records alone, and writing it twice is writing it once; so it does not matter
where a delivery broke off. The cursor moves only after everything up to it has arrived.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from . import leaderboard, mirror
from .events import Entry, ParametersUsed, Reported, SweepEnded, SweepResumed, SweepStarted, TrialEnded
from .history import History, TrialRecord
from .journal import Reader
from .mirror import Goal, Status
from .mlflow_runs import Found, Item, Refused, RunGone, Runs, Tag, Unreachable
from .redaction import redact
from .tracker_db import SWEEP, TrackerDb

NOTE_S = 10.0
"""The note is written at most so often while the sweep runs."""
DOUBT_S = 15.0
"""So long after a `create` whose answer was lost, its run may still turn up."""
STUBBORN = 5
"""After so many failures in a row, with others succeeding, the fault is in what is written."""
_CHUNK = 5_000

log = logging.getLogger("kerasweep.tracker")


@final
class Delivery:
    """One sweep on its way to one experiment."""

    def __init__(
        self,
        reader: Reader,
        db: TrackerDb,
        connect: Callable[[], Runs],
        experiment: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take up where `db` says; `connect` is called at the first delivery."""
        self._reader = reader
        self._db = db
        self._connect = connect
        self._experiment = experiment
        self._monotonic = monotonic
        self._mlflow: Runs | None = None
        self._experiment_id = ""
        self._over = False
        self._gone: set[int] = set()
        self._status: dict[int, str] = {}
        self._tags: dict[int, dict[str, str]] = {}
        self._failures: dict[str, int] = {}
        self._searches: list[float] = [-1.0]
        self._doubt = bool(db.runs)
        self._view = ""
        self._note, self._note_at = "", -NOTE_S
        self._begin()

    def _begin(self) -> None:
        """Start to fold from the first event, which costs no request."""
        self.history = History()
        self._specs: dict[str, Mapping[str, Any]] = {}
        self._epochs: dict[int, set[int]] = {}
        self._dirty: dict[int, None] = {SWEEP: None}
        self._ids = dict(self._db.runs)

    # Reading ----------------------------------------------------------------------------------------------------------

    def read(self) -> int:
        """Take in what was journaled since the last time; return how many events that were."""
        before, cursor = self.history.seq, self._db.cursor
        while True:
            entries = list(self._reader.after(self.history.seq, _CHUNK))
            for entry in entries:
                self.history.apply(entry)
                self._note_down(entry, cursor)
            if len(entries) < _CHUNK:
                return self.history.seq - before

    def _note_down(self, entry: Entry, cursor: int) -> None:
        """Remember what there is to write about an entry."""
        match entry.event:
            case ParametersUsed(specs=specs):
                self._specs |= {str(spec["name"]): spec for spec in specs}
            case SweepStarted() | SweepResumed() | SweepEnded():
                self._open_trials_changed()
            case _:
                pass
        record = None if entry.trial is None else self.history.trials[entry.trial]
        if entry.seq <= cursor:
            if record is not None and record.outcome is None:
                self._dirty[record.number] = None  # an end without a driver is not journaled
            if record is not None and isinstance(entry.event, TrialEnded):
                self._dirty.pop(record.number, None)
                record.metrics.clear()  # delivered long ago
            return
        self._dirty[SWEEP] = None
        if record is None:
            return
        self._dirty[record.number] = None
        if isinstance(entry.event, Reported):
            self._epochs.setdefault(record.number, set()).add(entry.event.report.epoch)

    def _open_trials_changed(self) -> None:
        self._dirty[SWEEP] = None
        self._dirty |= {number: None for number, one in self.history.trials.items() if one.outcome is None}

    @property
    def over(self) -> bool:
        """Whether no driver works on the sweep any more."""
        return self._over

    @over.setter
    def over(self, value: bool) -> None:
        if value != self._over:
            self._over = value
            self._open_trials_changed()

    @property
    def pending(self) -> bool:
        """Whether there is something to deliver."""
        return bool(self.history.spec) and (bool(self._dirty) or self._note_due)

    # Writing ----------------------------------------------------------------------------------------------------------

    def deliver(self, keep_going: Callable[[], bool] = lambda: True) -> bool:
        """Write all that is pending; return whether all was written or `keep_going` broke it off.

        Raises:
            Unreachable: MLflow cannot take it now; what is left stays pending.
        """
        mlflow = self._connected()
        upto = self.history.seq
        if self._doubt and self._over:
            self._searches.append(-1.0)
        self._search_where_due(mlflow)
        upto = self.history.seq
        parent = self._run_of_sweep(mlflow)
        for number in sorted(self._dirty, key=self._urgency):
            if number == SWEEP:
                continue
            if not keep_going():
                return False
            self._deliver_trial(mlflow, self.history.trials[number], parent)
            self._dirty.pop(number, None)
        self._deliver_sweep(mlflow, parent)
        self._dirty.pop(SWEEP, None)
        if self._doubt and self._over:
            self._search(mlflow)
            self._doubt = False
        self._db.advance(upto)
        return True
