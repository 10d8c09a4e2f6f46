"""Delivery: the backlog goes to MLflow run by run, at MLflow's pace.

What a run shall show follows from the records alone, and writing it twice is writing it once; so it does not matter
where a delivery broke off. The cursor moves only after everything up to it has arrived.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import final

from ..spaces.errors import one_line
from . import leaderboard, mirror, trade_offs
from .backlog import Backlog, Due
from .journal import Reader
from .redaction import redact
from .run_book import RunBook
from .runs import SWEEP, Busy, Found, Item, Refused, RunGone, Runs, Status, Tag, Unreachable, Vanished
from .standing import standing_tags
from .tracker_db import TrackerDb

NOTE_S = 10.0
"""The note is written at most so often while the sweep runs."""
LOOKS = 3
"""At the end it is looked so often for writes that took effect late; some may never be taken."""
STUBBORN = 5
"""After so many failures of one run, each time while another one takes what it is sent, the fault is in what is written."""

log = logging.getLogger("kerasweep.tracker")


@final
class _OnlyHere(Unreachable):
    """MLflow does not take what one run is sent, but takes other things."""


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
        self._book = RunBook(db, clock)
        self._tags: dict[int, dict[str, str]] = {}
        self._failures: dict[int, int] = {}
        self._suspect: dict[int, int] = {}
        self._stuck: set[int] = set()
        self._looks = 0
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
            self._over, self._looks = value, 0
            self.backlog.all_open_due()

    @property
    def pending(self) -> bool:
        """Whether there is something to deliver now."""
        due = self.backlog.sweep_due or bool(self.backlog.trials) or self._book.search_is_due or self._note_is_due
        return bool(self.backlog.history.spec) and due

    @property
    def _note_is_due(self) -> bool:
        return self._note_stale and (self._over or self._note_at is None or self._clock() - self._note_at >= NOTE_S)

    def deliver(self, keep_going: Callable[[], bool] = lambda: True) -> bool:
        """Write all that is pending; return False where `keep_going` broke it off.

        Raises:
            Unreachable: MLflow cannot take it now, or not all of it; what is left stays pending.
        """
        try:
            mlflow = self._connected()
            if self._book.search_is_due:
                self._search(mlflow)
            return self._deliver(mlflow, keep_going)
        except Vanished as error:
            self._book.distrust()
            self._experiment_id = ""
            raise Unreachable(str(error)) from None

    def _deliver(self, mlflow: Runs, keep_going: Callable[[], bool]) -> bool:
        upto = self.backlog.history.seq
        parent = self._run(mlflow, SWEEP)
        left: _OnlyHere | None = None
        for number in sorted(self.backlog.trials, key=self._urgency):
            if not keep_going():
                return False
            try:
                self._guarded(number, lambda number=number: self._deliver_trial(mlflow, number, parent))
            except _OnlyHere as error:
                left = error
                continue
            self.backlog.written(number)
            if self.backlog.history.trials[number].outcome is not None:
                self._tags.pop(number, None)
        self._note_stale |= self.backlog.sweep_due
        if self.backlog.sweep_due or self._note_is_due:
            noting = self._note_is_due
            self._guarded(SWEEP, lambda: self._deliver_sweep(mlflow, parent, noting=noting))
            self.backlog.sweep_due = False
            if noting:
                self._note_stale, self._note_at = False, self._clock()
        if left is not None:
            raise left
        if self._over and self._book.doubtful:
            self._search(mlflow)
            self._book.doubtful = False
            self._looks += 1
            if self._looks <= LOOKS:
                self._look_again()
        if not self.pending:
            self._db.advance(upto)
        return True

    def _look_again(self) -> None:
        """Let what MLflow shows otherwise than it was told, and the sweep's tags, be written once more."""
        history = self.backlog.history
        for number, record in history.trials.items():
            known = number in self._book.statuses and number not in self._stuck
            if known and not self._shows(number, mirror.trial_status(history, record, over=True)):
                self.backlog.trials.setdefault(number, Due())
        self.backlog.sweep_due |= self._tags.pop(SWEEP, None) is not None

    def _shows(self, number: int, status: Status) -> bool:
        known = self._book.statuses.get(number)
        return known is not None and known.name == status.name and status.ended_ms in (None, known.ended_ms)

    def _connected(self) -> Runs:
        if self._mlflow is None:
            self._mlflow = self._connect()
        if not self._experiment_id:
            self._experiment_id = self._mlflow.experiment(self._experiment)
            self._db.place(self._experiment_id, leaderboard.view_id(mirror.sweep_id(self.backlog.history)))
        return self._mlflow

    def _search(self, mlflow: Runs) -> None:
        history = self.backlog.history

        def stale(run: Found) -> bool:
            return mirror.is_stale(history, run) or not self._has(run.upto)

        if self._book.search(mlflow, self._experiment_id, mirror.sweep_id(history), stale):
            log.warning("runs of the sweep are not there any more: everything is delivered again")
            self._tags.clear()
            self._view = ""
            self._note_stale, self._note_at = True, None
            self.backlog = Backlog(self._reader, 0)
            self.backlog.read(all_of_it=self._over)

    def _has(self, upto: str) -> bool:
        """Say whether the journal has the event that a run shows last; where the run does not say, it has."""
        number, _, at = upto.partition("@")
        if not number.isdecimal():
            return True
        entry = next(iter(self._reader.after(int(number) - 1, 1)), None)
        return entry is not None and entry.seq == int(number) and repr(entry.at) == at

    def _urgency(self, number: int) -> tuple[int, bool, int]:
        """Order trials: those that make trouble last, and once the sweep is over those to be killed first."""
        ended = self.backlog.history.trials[number].outcome is not None
        return self._failures.get(number, 0), self._over and ended, number

    def _run(self, mlflow: Runs, number: int) -> str:
        """Return the id of a run, created where there is none."""
        if number in self._book.ids:
            return self._book.ids[number]
        history = self.backlog.history
        if number == SWEEP:
            name, started_at, tags = str(history.spec["name"]), history.started_at, mirror.sweep_identity(history)
        else:
            record = history.trials[number]
            name, started_at = mirror.run_name(number), record.started_at or record.asked_at
            tags = mirror.trial_identity(history, number, self._book.ids[SWEEP])
        started_ms = mirror.milliseconds(started_at)
        return self._book.create(number, lambda: mlflow.create(self._experiment_id, name, started_ms, tags))

    # What the runs show -----------------------------------------------------------------------------------------------

    def _deliver_trial(self, mlflow: Runs, number: int, parent: str) -> None:
        history, due = self.backlog.history, self.backlog.trials[number]
        record = history.trials[number]
        if not mirror.begun(record):
            return
        self._run(mlflow, number)
        items: list[Item] = [*mirror.params(record)] if due.params else []
        items += trade_offs.points(record, due.epochs & record.metrics.keys(), history.spec)
        tags = {**mirror.trial_tags(history, record, parent), **trade_offs.trial_tags(record, history.spec)}
        self._write(mlflow, number, items, tags)
        self._set_status(mlflow, number, mirror.trial_status(history, record, over=self._over))

    def _deliver_sweep(self, mlflow: Runs, parent: str, *, noting: bool) -> None:
        history = self.backlog.history
        view = leaderboard.view_id(mirror.sweep_id(history))
        tags = {**mirror.sweep_tags(history), **standing_tags(history)}
        if noting:
            tags["mlflow.note.content"] = leaderboard.note(history, self._experiment_id, view, self._book.ids)
        self._write(mlflow, SWEEP, [], tags)
        self._save_view(mlflow, leaderboard.VIEW + view, parent)
        self._set_status(mlflow, SWEEP, mirror.sweep_status(history, over=self._over))

    def _save_view(self, mlflow: Runs, key: str, parent: str) -> None:
        params = mirror.searched(self.backlog.history, self.backlog.specs.values())
        value = leaderboard.saved_view(self.backlog.history, parent, params)
        if value != self._view:
            self._insist(mlflow, SWEEP, "the leaderboard", lambda: mlflow.set_view(self._experiment_id, key, value))
            self._view = value

    def _set_status(self, mlflow: Runs, number: int, status: Status) -> None:
        if not self._shows(number, status):
            run = self._book.ids[number]
            if self._insist(mlflow, number, str(status), lambda: mlflow.set_status(run, status)):
                self._book.statuses[number] = status
            else:
                self._stuck.add(number)

    def _write(self, mlflow: Runs, number: int, items: Sequence[Item], tags: Mapping[str, str]) -> None:
        """Write items, and those tags that differ from the last ones."""
        sent = self._tags.get(number, {})
        changed = [Tag(name, value) for name, value in tags.items() if sent.get(name) != value]
        self._write_items(mlflow, number, [*items, *changed])
        self._tags[number] = {**sent, **tags}

    def _write_items(self, mlflow: Runs, number: int, items: Sequence[Item]) -> None:
        """Write what MLflow takes; what it refuses is found by halving, and left out."""
        if not items:
            return
        run = self._book.ids[number]
        if len(items) == 1:
            self._insist(mlflow, number, str(items[0]), lambda: mlflow.write(run, items))
            return
        if self._fault(mlflow, number, lambda: mlflow.write(run, items)):
            half = len(items) // 2
            self._write_items(mlflow, number, items[:half])
            self._write_items(mlflow, number, items[half:])

    def _insist(self, mlflow: Runs, number: int, what: str, call: Callable[[], None]) -> bool:
        """Call until it is done or it is certain that it never will be, which is counted; return whether it is done."""
        fault: Exception | None = None
        for _ in range(STUBBORN):
            fault = self._fault(mlflow, number, call)
            if fault is None:
                return True
            if isinstance(fault, Refused):
                break
        self._refuse(number, f"{what}: {fault}")
        return False

    def _fault(self, mlflow: Runs, number: int, call: Callable[[], None]) -> Exception | None:
        """Call; return None where it was done, else what may be wrong with what was sent.

        Raises:
            Unreachable: the fault is MLflow's, which does not take what it took before either.
            _OnlyHere: it may yet be MLflow's.
        """
        try:
            call()
        except (RunGone, Vanished, Busy):
            raise
        except Refused as error:
            return error
        except Unreachable as error:
            self._probe(mlflow)
            self._suspect[number] = self._suspect.get(number, 0) + 1
            if self._suspect[number] < STUBBORN:
                raise _OnlyHere(str(error)) from None
            return error
        return None

    def _probe(self, mlflow: Runs) -> None:
        """Write to the sweep's run what it has already."""
        harmless = [Tag(*pair) for pair in mirror.sweep_identity(self.backlog.history).items()]
        try:
            mlflow.write(self._book.ids[SWEEP], harmless)
        except Vanished:
            raise
        except Refused:
            pass

    def _guarded(self, number: int, call: Callable[[], None]) -> None:
        """Call, but for a run that was deleted; a refusal is counted and holds nothing up."""
        if number in self._book.gone:
            return
        try:
            call()
        except RunGone as error:
            log.warning("a run was deleted in MLflow and is left alone: %s", error)
            self._book.gone.add(number)
        except Vanished:
            raise
        except Refused as error:
            self._refuse(number, str(error))
        except Unreachable:
            self._failures[number] = self._failures.get(number, 0) + 1
            self._book.doubtful = True
            raise
        self._failures.pop(number, None)
        self._suspect.pop(number, None)

    def _refuse(self, number: int, what: str) -> None:
        log.warning("MLflow refuses for run %s: %s", self._book.ids.get(number), one_line(redact(what)))
        self._db.refuse()
