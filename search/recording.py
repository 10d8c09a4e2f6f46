"""A finished sweep as something to simulate from: what was proposed, the curves, and the times that nobody trained in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, final

from ..spaces.parameter import Parameter, identity, parameter_from_json
from ..spaces.trial import Outcome, OutcomeKind, Scalar
from ..trackers.events import (
    AttemptStarted,
    Entry,
    ParametersUsed,
    Reported,
    RoundEnded,
    StartingPoints,
    SweepResumed,
    SweepStarted,
    Timed,
    TrialAsked,
    TrialEnded,
)
from .neighbours import Neighbours
from .simulator import Curve, Epoch
from .spec import SweepSpec

SHAPES = 3
"""So many of the nearest longer curves give a stopped one its continuation."""
MOST_DRIFT = 1.5
"""Epochs are stretched to a rung's time by at most so much."""


def of_search(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries without those of trials that confirm others, which are no part of the search."""
    confirming = set[int]()
    for entry in entries:
        if isinstance(entry.event, TrialAsked) and entry.event.confirms is not None:
            confirming.add(entry.event.trial)
        if entry.trial not in confirming:
            yield entry


@final
@dataclass(slots=True, kw_only=True)
class RecordedTrial:
    """One trial: `asked` and `read` by identity, `used` by name, its epochs in order, the passes that its slot timed."""

    number: int
    asked: Mapping[str, Scalar]
    read: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    used: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    epochs: dict[int, Epoch] = field(default_factory=dict[int, Epoch])
    reported_at: dict[int, float] = field(default_factory=dict[int, float])
    passes: list[tuple[str, Mapping[str, float]]] = field(default_factory=list[tuple[str, Mapping[str, float]]])
    started_at: float = math.inf
    outcome: Outcome | None = None
    ended_at: float = math.nan
    attempts: int = 0

    @property
    def length(self) -> int:
        """How many epochs it has, without a gap, from the first."""
        return next(count for count in range(len(self.epochs) + 1) if count + 1 not in self.epochs)

    def paced(self, rungs: Iterable[int]) -> list[Epoch]:
        """Return its epochs, their seconds such that it comes to each rung when it did.

        Rungs are journaled at once, and an epoch's own seconds do not hold what passes between two: which of two trials
        is first at a rung may hang on it.
        """
        times = self.timing
        found = [self.epochs[epoch] for epoch in range(1, self.length + 1)]
        if times is None:
            return found
        before, at = 0, times["fit_start"]
        for rung in sorted(one for one in rungs if one <= self.length):
            known = sum(seconds for _, seconds in found[before:rung])
            share = (self.reported_at[rung] - at) / known if known > 0 else 0.0
            if 1 / MOST_DRIFT < share < MOST_DRIFT:
                found[before:rung] = [(metrics, seconds * share) for metrics, seconds in found[before:rung]]
            before, at = rung, self.reported_at[rung]
        return found

    @property
    def timing(self) -> Mapping[str, float] | None:
        """The pass that trained it, where one was timed from its beginning to its end."""
        fits = [times for _, times in self.passes if {"start", "fit_start", "fit_end", "end"} <= times.keys()]
        return fits[-1] if fits and self.attempts == 1 else None


@final
@dataclass(slots=True, kw_only=True)
class Recording:
    """All of a sweep that a simulation can use; `known` has each parameter that a model read, by identity."""

    trials: dict[int, RecordedTrial] = field(default_factory=dict[int, RecordedTrial])
    known: dict[str, Parameter] = field(default_factory=dict[str, Parameter])
    sessions: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """When each driver's first attempt started, and its last event came."""
    spec: SweepSpec | None = None
    start: StartingPoints | None = None

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Recording:
        """Return the recording of a journal."""
        recording = cls()
        for entry in entries:
            recording._apply(entry)
        return recording

    def _apply(self, entry: Entry) -> None:
        event = entry.event
        if self.sessions:
            self.sessions[-1] = (self.sessions[-1][0], entry.at)
        match event:
            case SweepStarted() | SweepResumed():
                self.sessions.append((math.inf, entry.at))
                self.spec = SweepSpec.from_json(event.spec)
            case StartingPoints():
                self.start = event
            case TrialAsked():
                self.trials[event.trial] = RecordedTrial(number=event.trial, asked=event.params)
            case RoundEnded():
                self.trials[event.trial].asked = event.params
            case AttemptStarted():
                trial = self.trials[event.trial]
                trial.started_at = min(trial.started_at, entry.at)
                trial.attempts = event.attempt
                begin, end = self.sessions[-1]
                self.sessions[-1] = (min(begin, entry.at), end)
            case ParametersUsed():
                specs = {identity(one): one for one in map(parameter_from_json, event.specs)}
                self.known = {**specs, **self.known} if specs.keys() - self.known.keys() else self.known
                self.trials[event.trial].used = event.params
                self.trials[event.trial].facts = {**event.facts, **self.trials[event.trial].facts}
                self.trials[event.trial].read = {key: event.params[one.name] for key, one in specs.items()}
            case Reported(report=report):
                self.trials[event.trial].epochs.setdefault(report.epoch, (report.metrics, report.seconds))
                self.trials[event.trial].reported_at.setdefault(report.epoch, entry.at)
            case Timed():
                self.trials[event.trial].passes.append((event.slot, event.times))
            case TrialEnded():
                self.trials[event.trial].outcome = event.outcome
                self.trials[event.trial].ended_at = entry.at
            case _:
                pass

    def paced(self, number: int) -> list[Epoch]:
        """Return the epochs of a trial, with the seconds that they took in all."""
        return self.trials[number].paced(() if self.spec is None else self.spec.rungs(number))

    @property
    def usable(self) -> list[RecordedTrial]:
        """The trials that say something of training: with an epoch, or that ended otherwise than by accident."""
        by_accident = (None, OutcomeKind.INTERRUPTED, OutcomeKind.LOST)
        return [
            one for one in self.trials.values() if one.length or (one.outcome and one.outcome.kind not in by_accident)
        ]

    @property
    def makespan_s(self) -> float:
        """Seconds from the first trial's start to the last one's end; time between drivers is left out."""
        ends = [one.ended_at for one in self.trials.values() if one.outcome is not None]
        spans = [(begin, max([at for at in ends if begin <= at <= end], default=end)) for begin, end in self.sessions]
        return sum(end - begin for begin, end in spans if math.isfinite(begin))

    @property
    def proposed(self) -> dict[int, Mapping[str, Scalar]]:
        """The parameters of each trial, by identity: those that its model read, as far as it came."""
        return {number: one.read or one.asked for number, one in self.trials.items()}


@final
class RecordedCurves:
    """The curves of a recorded sweep, as far as they go, and a plain guess beyond.

    A trial that was recorded has its own epochs. Where it was stopped, it goes on as the `SHAPES` nearest trials did that
    went further: their mean change of a metric since that epoch is added, within what any trial has shown at that epoch;
    where none went further it stays as it is. Its epochs take their mean time. Parameters that were never tried have the
    curve of the nearest trial of the space.
    """

    def __init__(self, recording: Recording, *, max_epochs: int, replayed: Iterable[int] = ()) -> None:
        """Get ready.

        Args:
            recording: The sweep.
            max_epochs: The epochs of a full trial.
            replayed: The trials, by number, that are given their recorded parameters.
        """
        self._recording = recording
        self._max_epochs = max_epochs
        self._replayed = set(replayed)
        self._trials = [one for one in recording.usable if one.used]
        self._at = {one.number: place for place, one in enumerate(self._trials)}
        self._neighbours = Neighbours(recording.known.values(), [one.used for one in self._trials])
        self._overheads = _overheads(recording)
        self._dead = {one.number: one for one in recording.usable if not one.used}
        self._curves: dict[int, Curve] = {}
        self.real: dict[int, int] = {}
        """How many epochs of a trial that was asked for were recorded; 0 where its parameters were never tried."""

    def of(self, number: int, params: Mapping[str, Scalar]) -> Curve:
        """Return the recorded curve of a trial that is replayed, else that of the nearest one."""
        if number in self._replayed and number in self._dead:
            before_s, after_s = self._overheads[number]
            dead = self._dead[number]
            return Curve(epochs=(), before_s=before_s, after_s=after_s, end=dead.outcome, facts=dead.facts)
        if number in self._replayed and number in self._at:
            place = self._at[number]
        else:
            place = self._neighbours.nearest(params)[0]
        trial = self._trials[place]
        if place not in self._curves:
            self._curves[place] = self._curve(trial)
        self.real[number] = trial.length if dict(trial.used) == dict(params) else 0
        return self._curves[place]

    def _curve(self, trial: RecordedTrial) -> Curve:
        own = self._recording.paced(trial.number)
        before_s, after_s = self._overheads[trial.number]
        kind = None if trial.outcome is None else trial.outcome.kind
        if kind in (OutcomeKind.FAILED, OutcomeKind.INFEASIBLE):
            return Curve(epochs=own, before_s=before_s, after_s=after_s, end=trial.outcome, facts=trial.facts)
        if kind is not OutcomeKind.COMPLETED and own:
            own = [*own, *self._continuation(trial, own)]
        return Curve(epochs=own, before_s=before_s, after_s=after_s, facts=trial.facts)

    def _continuation(self, trial: RecordedTrial, own: Sequence[Epoch]) -> list[Epoch]:
        there = len(own)
        seconds = sum(one for _, one in own[1:] or own) / len(own[1:] or own)
        order = self._neighbours.nearest(trial.used, len(self._trials))
        longer = [one for one in (self._trials[place] for place in order) if one.length > there]
        found: list[Epoch] = []
        for epoch in range(there + 1, self._max_epochs + 1):
            shapes = [one for one in longer if one.length >= epoch][:SHAPES]
            row = {name: _guess(name, value, shapes, there, epoch) for name, value in own[-1][0].items()}
            if epoch > there + 1 and not shapes:
                row = dict(found[-1][0])
            found.append((row, seconds))
        return found


def _guess(name: str, value: float, shapes: Sequence[RecordedTrial], there: int, epoch: int) -> float:
    """Return a metric at a later epoch, from its value at epoch `there`."""
    pairs = [
        (one.epochs[there][0][name], one.epochs[epoch][0][name])
        for one in shapes
        if name in one.epochs[there][0] and name in one.epochs[epoch][0]
    ]
    pairs = [(before, after) for before, after in pairs if math.isfinite(before) and math.isfinite(after)]
    if not pairs:
        return value
    guess = value + sum(after - before for before, after in pairs) / len(pairs)
    seen = [after for _, after in pairs]
    return min(max(guess, min(value, *seen)), max(value, *seen))


def _overheads(recording: Recording) -> dict[int, tuple[float, float]]:
    """Return, by trial, the seconds before its first epoch and those after its last one until its slot is free again.

    Those of a trial that was not timed are the medians. A slot's first trial begins when its driver's first one does.
    """
    timed = sorted((one for one in recording.trials.values() if one.timing is not None), key=lambda one: one.started_at)
    free: dict[str, float] = {}
    before: dict[int, float] = {}
    after: dict[int, float] = {}
    gaps: list[float] = []
    for one in timed:
        slot, times = one.passes[-1][0], one.timing
        assert times is not None  # noqa: S101
        trained_s = sum(seconds for _, seconds in recording.paced(one.number))
        after[one.number] = max(0.0, times["end"] - times["fit_start"] - trained_s)
        begin = max((at for at, _ in recording.sessions if at <= one.started_at), default=one.started_at)
        if free.get(slot, -math.inf) >= begin:
            gaps.append(max(0.0, one.started_at - free[slot]))
            begin = max(one.started_at, free[slot])
        before[one.number] = max(0.0, times["fit_start"] - begin)
        free[slot] = times["end"]
    gap = median(gaps) if gaps else 0.0
    usual = (median(before.values()), median(after.values())) if timed else (0.0, 0.0)
    return {number: (before.get(number, usual[0]) + gap, after.get(number, usual[1])) for number in recording.trials}


def slots_of(recording: Recording) -> int:
    """Return how many trials ran at a time, at most."""
    marks: list[tuple[float, int]] = []
    for one in recording.trials.values():
        if one.outcome is not None and math.isfinite(one.started_at):
            marks += [(one.started_at, 1), (one.ended_at, -1)]
    running = most = 0
    for _, change in sorted(marks, key=lambda mark: (mark[0], mark[1])):
        running += change
        most = max(most, running)
    return max(1, most)
