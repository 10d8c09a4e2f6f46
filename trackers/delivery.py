"""Delivery: the backlog goes to MLflow run by run, at MLflow's pace.

What a run shall show follows from the records alone, and writing it twice is writing it once; so it does not matter
where a delivery broke off. The cursor moves only after everything up to it has arrived.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import final

from . import leaderboard, mirror
from .backlog import Backlog
from .journal import Reader
from .mirror import Goal
from .mlflow_runs import SWEEP_ID, Found, Item, Refused, RunGone, Runs, Status, Tag, Unreachable
from .redaction import redact
from .tracker_db import SWEEP, TrackerDb

NOTE_S = 10.0
"""The note is written at most so often while the sweep runs."""
DOUBT_S = 15.0
"""So long after a `create` whose answer was lost, its run may still turn up."""
STUBBORN = 5
"""After so many failures of one run, while another one takes what it is sent, the fault is in what is written."""

log = logging.getLogger("kerasweep.tracker")


@final
class Delivery:
    """One sweep on its way to one experiment.

    Survives: a kill -9 between any two calls; the next one goes on, and finds runs that were created unnoticed.
    """

    def __init__(
        self,
        reader: Reader,
        db: TrackerDb,
        connect: Callable[[], Runs],
        experiment: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take up where `db` says; `connect` is called when there is something to deliver."""
        self._reader = reader
        self._db = db
        self._connect = connect
        self._experiment = experiment
        self._clock = clock
        self._mlflow: Runs | None = None
        self._experiment_id = ""
        self._over = False
        self._ids = dict(db.runs)
        self._searches: list[float] = [clock()]
        self._doubt = bool(self._ids)
        self._gone: set[int] = set()
        self._statuses: dict[int, Status] = {}
        self._tags: dict[int, dict[str, str]] = {}
        self._failures: dict[str, int] = {}
        self._view = ""
        self._note_at: float | None = None
        self._note_stale = True
        self.backlog = Backlog(reader, db.cursor)

    @property
    def over(self) -> bool:
        """Whether no driver works on the sweep any more: what has not ended was killed."""
        return self._over

    @over.setter
    def over(self, value: bool) -> None:
        if value != self._over:
            self._over = value
            self.backlog.all_open_due()

    @property
    def pending(self) -> bool:
        """Whether there is something to deliver now."""
        if not self.backlog.history.spec:
            return False
        return self.backlog.sweep_due or bool(self.backlog.trials) or self._search_is_due or self._note_is_due

    @property
    def _search_is_due(self) -> bool:
        return any(at <= self._clock() for at in self._searches)

    @property
    def _note_is_due(self) -> bool:
        return self._note_stale and (self._over or self._note_at is None or self._clock() - self._note_at >= NOTE_S)

    def deliver(self, keep_going: Callable[[], bool] = lambda: True) -> bool:
        """Write all that is pending; return False where `keep_going` broke it off.

        Raises:
            Unreachable: MLflow cannot take it now; what is left stays pending.
        """
        mlflow = self._connected()
        if self._search_is_due:
            self._search(mlflow)
        upto = self.backlog.history.seq
        parent = self._run(mlflow, SWEEP)
        for number in sorted(self.backlog.trials, key=self._urgency):
            if not keep_going():
                return False
            self._guarded(number, lambda number=number: self._deliver_trial(mlflow, number, parent))
            self.backlog.written(number)
        self._guarded(SWEEP, lambda: self._deliver_sweep(mlflow, parent))
        if self._over and self._doubt:
            self._search(mlflow)
            self._doubt = False
        self._db.advance(upto)
        return True

    def _connected(self) -> Runs:
        if self._mlflow is None:
            mlflow = self._connect()
            self._experiment_id = mlflow.experiment(self._experiment)
            self._db.place(self._experiment_id, leaderboard.view_id(mirror.sweep_id(self.backlog.history)))
            self._mlflow = mlflow
        return self._mlflow

    def _urgency(self, number: int) -> tuple[int, bool, int]:
        """Order trials: those that make trouble last, and once the sweep is over those to be killed first."""
        ended = self.backlog.history.trials[number].outcome is not None
        return self._failures.get(self._ids.get(number, ""), 0), self._over and ended, number

    # Which run is whose -------------------------------------------------------------------------------------------

    def _search(self, mlflow: Runs) -> None:
        """Compare the runs there are with those we know of; adopt unknown ones, delete duplicates."""
        runs: dict[int, list[Found]] = {}
        for one in mlflow.find(self._experiment_id, mirror.sweep_id(self.backlog.history)):
            runs.setdefault(SWEEP if one.trial is None else one.trial, []).append(one)
        first = not self._statuses
        if first and SWEEP in self._ids and SWEEP not in runs:
            self._start_over()
        parents = [one.parent for same in runs.values() for one in same]
        for number, same in runs.items():
            known = self._ids.get(number)
            keep = min(
                same, key=lambda one: (one.run_id != known, -parents.count(one.run_id), one.started_ms, one.run_id)
            )
            for one in same:
                if one is not keep:
                    log.info("deleting %s, a duplicate of %s", one.run_id, keep.run_id)
                    self._guarded(number, lambda one=one: mlflow.delete(one.run_id))
            if keep.run_id != known:
                self._know(number, keep.run_id)
            self._statuses.setdefault(number, keep.status)
        if first:  # a trial's run that was deleted by hand stays deleted
            self._gone |= self._ids.keys() - runs.keys()
        now = self._clock()
        self._searches = [at for at in self._searches if at > now]

    def _start_over(self) -> None:
        log.warning("the sweep's run is not there any more: everything is delivered again")
        self._db.forget()
        self._ids = {}
        self.backlog = Backlog(self._reader, 0)
        self.backlog.read()

    def _run(self, mlflow: Runs, number: int) -> str:
        """Return the id of a run, created where there is none."""
        if number in self._ids:
            return self._ids[number]
        history = self.backlog.history
        if number == SWEEP:
            name, started_at, tags = str(history.spec["name"]), history.started_at, mirror.sweep_identity(history)
        else:
            record = history.trials[number]
            name, started_at = mirror.run_name(number), record.started_at or record.asked_at
            tags = mirror.trial_identity(history, number, self._ids[SWEEP])
        try:
            run = mlflow.create(self._experiment_id, name, mirror.milliseconds(started_at), tags)
        except Refused as error:  # it is the experiment that is refused
            raise Unreachable(str(error)) from None
        except Unreachable:
            self._doubt = True
            self._searches = [self._clock(), self._clock() + DOUBT_S]
            raise
        self._know(number, run)
        self._tags[number] = tags
        self._statuses[number] = Status(name="RUNNING")
        return run

    def _know(self, number: int, run: str) -> None:
        self._ids[number] = run
        self._db.set_run(number, run)

    # What they show -----------------------------------------------------------------------------------------------

    def _deliver_trial(self, mlflow: Runs, number: int, parent: str) -> None:
        history, due = self.backlog.history, self.backlog.trials[number]
        record = history.trials[number]
        if not mirror.begun(record):
            return
        run = self._run(mlflow, number)
        items: list[Item] = [*mirror.params(record)] if due.params else []
        items += mirror.points(record, due.epochs & record.metrics.keys(), Goal.of(history.spec))
        self._write(mlflow, number, run, items, mirror.trial_tags(history, record, parent))
        self._set_status(mlflow, number, run, mirror.trial_status(history, record, over=self._over))

    def _deliver_sweep(self, mlflow: Runs, run: str) -> None:
        history = self.backlog.history
        self._note_stale |= self.backlog.sweep_due
        self.backlog.sweep_due = False
        tags = mirror.sweep_tags(history)
        view = leaderboard.view_id(mirror.sweep_id(history))
        if noting := self._note_is_due:
            tags["mlflow.note.content"] = leaderboard.note(history, self._experiment_id, view, self._ids)
        self._write(mlflow, SWEEP, run, [], tags)
        if noting:
            self._note_stale, self._note_at = False, self._clock()
        self._save_view(mlflow, leaderboard.VIEW + view, run)
        self._set_status(mlflow, SWEEP, run, mirror.sweep_status(history, over=self._over))

    def _save_view(self, mlflow: Runs, key: str, parent: str) -> None:
        params = mirror.searched(self.backlog.history, self.backlog.specs.values())
        value = leaderboard.saved_view(self.backlog.history, parent, params)
        if value != self._view:
            mlflow.set_view(self._experiment_id, key, value)
            self._view = value

    def _set_status(self, mlflow: Runs, number: int, run: str, status: Status) -> None:
        known = self._statuses.get(number)
        if known is None or known.name != status.name or status.ended_ms not in (None, known.ended_ms):
            mlflow.set_status(run, status)
            self._statuses[number] = status

    def _write(self, mlflow: Runs, number: int, run: str, items: Sequence[Item], tags: Mapping[str, str]) -> None:
        """Write items, and those tags that differ from the last ones."""
        sent = self._tags.get(number, {})
        changed = [Tag(name, value) for name, value in tags.items() if sent.get(name) != value]
        self._write_items(mlflow, run, [*items, *changed])
        self._tags[number] = {**sent, **tags}
        self._failures.pop(run, None)

    def _write_items(self, mlflow: Runs, run: str, items: Sequence[Item]) -> None:
        """Write what MLflow takes; what it refuses is found by halving, and left out."""
        if not items:
            return
        try:
            mlflow.write(run, items)
        except RunGone:
            raise
        except Refused as error:
            fault: Exception = error
        except Unreachable as error:
            if not self._is_alone(mlflow, run):
                raise
            fault = error
        else:
            return
        if len(items) == 1:
            self._refuse(run, f"{items[0]}: {fault}")
            return
        half = len(items) // 2
        self._write_items(mlflow, run, items[:half])
        self._write_items(mlflow, run, items[half:])

    def _is_alone(self, mlflow: Runs, run: str) -> bool:
        """Say whether a run has failed many times while MLflow takes what is written to another one."""
        self._failures[run] = self._failures.get(run, 0) + 1
        if self._failures[run] < STUBBORN:
            return False
        try:
            mlflow.write(self._ids[SWEEP], [Tag(SWEEP_ID, mirror.sweep_id(self.backlog.history))])
        except Unreachable:
            return False
        except Refused:
            pass
        return True

    def _guarded(self, number: int, call: Callable[[], None]) -> None:
        """Call, but for a run that was deleted; a refusal is counted and holds nothing up."""
        if number in self._gone:
            return
        try:
            call()
        except RunGone as error:
            log.warning("a run was deleted in MLflow and is left alone: %s", error)
            self._gone.add(number)
        except Refused as error:
            self._refuse(self._ids.get(number, ""), str(error))

    def _refuse(self, run: str, what: str) -> None:
        log.warning("MLflow refuses for run %s: %s", run, redact(what))
        self._db.refuse()
