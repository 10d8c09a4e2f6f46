"""The backlog: the journal, folded, and what of it is still to be written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from ..spaces.trial import Outcome
from .events import (
    Entry,
    GraphicsMeasured,
    ParametersUsed,
    Reported,
    RoundEnded,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    Timed,
    TrialEnded,
)
from .history import History, TrialRecord
from .journal import Reader

_CHUNK = 5_000
ROOM = 20_000
"""About so many epochs are held at most until they are delivered; what follows waits in the journal."""


def entries(reader: Reader, after: int = 0) -> Iterator[Entry]:
    """Yield what is journaled after number `after`; a long journal is not held in memory at once."""
    while True:
        chunk = list(reader.after(after, _CHUNK))
        yield from chunk
        if len(chunk) < _CHUNK:
            return
        after = chunk[-1].seq


@final
@dataclass(slots=True)
class Due:
    """What is to be written of one trial besides its tags and status, which are compared with what was sent."""

    params: bool = False
    epochs: set[int] = field(default_factory=set[int])


@final
class Backlog:
    """The records up to the last event read, and which of them differ from what was delivered.

    Of a trial that has ended and was delivered only what ranks it is kept, so that memory does not grow with its epochs;
    but of one that may be run again, all.
    """

    def __init__(self, reader: Reader, cursor: int) -> None:
        """Fold from the first event; those up to `cursor` have been delivered."""
        self._reader = reader
        self._cursor = cursor
        self.history = History()
        self.trials: dict[int, Due] = {}
        self.sweep_due = True
        self.caught_up = False
        """Whether all that was journaled at the last look has been read."""
        self.specs: dict[str, Mapping[str, Any]] = {}
        """The forms of the parameters that models read, by name."""

    def read(self, *, all_of_it: bool = False) -> None:
        """Take in what was journaled since the last time: as much as there is room for, or all of it."""
        self.caught_up = False
        while not self.caught_up and (all_of_it or sum(len(due.epochs) for due in self.trials.values()) < ROOM):
            chunk = list(self._reader.after(self.history.seq, _CHUNK))
            for entry in chunk:
                self.history.apply(entry)
                self._note(entry)
            self.caught_up = len(chunk) < _CHUNK

    def _note(self, entry: Entry) -> None:
        if isinstance(entry.event, ParametersUsed):
            self.specs |= {str(spec["name"]): spec for spec in entry.event.specs}
        if isinstance(entry.event, (SweepStarted, SweepResumed, SweepEnded)):
            self.all_open_due()
        if isinstance(entry.event, (Timed, RoundEnded, GraphicsMeasured)):  # nothing of these is shown
            self.history.trials[entry.event.trial].timings.clear()
        elif entry.trial is None:
            self.sweep_due = True
        elif entry.seq > self._cursor:
            self._note_news(entry, self.trials.setdefault(entry.trial, Due()))
        else:
            self._note_delivered(entry, self.history.trials[entry.trial])

    def _note_news(self, entry: Entry, due: Due) -> None:
        if isinstance(entry.event, Reported):
            due.epochs.add(entry.event.report.epoch)
        else:
            due.params |= isinstance(entry.event, ParametersUsed)
            self.sweep_due = True

    def _note_delivered(self, entry: Entry, record: TrialRecord) -> None:
        """Leave open trials due: whether their driver still lives is not journaled."""
        if isinstance(entry.event, TrialEnded):
            self.trials.pop(record.number, None)
            _slim(record, entry.event.outcome)
        elif record.outcome is None:
            self.trials.setdefault(record.number, Due())

    def all_open_due(self) -> None:
        """Look at the sweep and at all trials without an outcome again: their status may have changed."""
        self.sweep_due = True
        for number, record in self.history.trials.items():
            if record.outcome is None:
                self.trials.setdefault(number, Due())

    def written(self, number: int) -> None:
        """Strike a trial off; the metrics of one that has ended are not needed any more."""
        self.trials.pop(number, None)
        record = self.history.trials[number]
        if record.outcome is not None:
            _slim(record, record.outcome)


def _slim(record: TrialRecord, outcome: Outcome) -> None:
    if outcome.retryable:
        return
    record.metrics, record.reported_at, record.seconds, record.facts = {}, {}, {}, {}
    record.causes, record.timings = [], []
