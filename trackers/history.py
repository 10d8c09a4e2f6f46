"""The sweep so far as plain records, folded from the journal: what the terminal, `show`, results and MLflow look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from ..spaces.bounds import measures_of, median_seconds
from ..spaces.trial import Cause, Outcome, Scalar
from .events import (
    AttemptEnded,
    AttemptStarted,
    Differed,
    Donor,
    Entry,
    GraphicsMeasured,
    Noticed,
    ParametersUsed,
    Reported,
    RoundEnded,
    SlotsPacked,
    StartingPoints,
    SweepAmended,
    SweepClosing,
    SweepEnded,
    SweepRestored,
    SweepResumed,
    SweepStarted,
    Timed,
    TrialAsked,
    TrialEnded,
    TrialRetried,
)


@final
@dataclass(slots=True, kw_only=True)
class TrialRecord:
    """One trial: `params` are those that its model read, by plain name; `metrics`, `reported_at` (a time, in seconds)
    and `seconds`, its length, are by epoch.

    `confirms`: the trial of the search that it trains again; `donor`: the one that it inherits from.
    """

    number: int
    seed: int
    asked_at: float
    params: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metrics: dict[int, Mapping[str, float]] = field(default_factory=dict[int, Mapping[str, float]])
    reported_at: dict[int, float] = field(default_factory=dict[int, float])
    seconds: dict[int, float] = field(default_factory=dict[int, float])
    attempt: int = 0
    running: bool = False
    started_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome | None = None
    causes: list[Cause] = field(default_factory=list[Cause])
    timings: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    reproduced: bool = True
    batch_divisor: int = 1
    confirms: int | None = None
    donor: Donor | None = None
    retries: int = 0
    """How often it was asked to run again after its end."""
    held_s: float = 0.0
    """For how long it has held slots, but for the present time since `placed_at`."""
    placed_at: float = 0.0
    start: str = ""
    """What its starting point is of; empty where the sampler alone proposed it."""
    upto: str = ""
    """The last event about it that is shown, as `number@time`."""

    @property
    def measured(self) -> dict[str, float]:
        """Return what was measured of the trial, by name."""
        pace = median_seconds([seconds for _, seconds in sorted(self.seconds.items())])
        return {**measures_of(self.facts), **({} if pace is None else {"seconds_per_epoch": pace})}

    @property
    def state(self) -> str:
        """Return the outcome's kind, or `running` or `waiting`."""
        if self.outcome is not None:
            return str(self.outcome.kind)
        return "running" if self.running else "waiting"

    @property
    def epochs(self) -> int:
        """Return how many epochs it has trained; those of its donor are none of its own."""
        return max(0, max(self.metrics, default=0) - (0 if self.donor is None else self.donor.epoch))

    def slot_seconds(self, at: float) -> float:
        """Return for how long it has held slots by the time `at`."""
        return self.held_s + (max(0.0, at - self.placed_at) if self.running else 0.0)

    def leave(self, at: float) -> None:
        """Note that it holds no slot any more."""
        self.held_s, self.running = self.slot_seconds(at), False

    def curve(self, metric: str) -> list[tuple[int, float]]:
        """Return the metric's values by epoch, ascending; epochs that did not log it are left out."""
        return [(epoch, row[metric]) for epoch, row in sorted(self.metrics.items()) if metric in row]


@final
@dataclass(slots=True, kw_only=True)
class History:
    """All records; `apply` one entry at a time, in order."""

    spec: Mapping[str, Any] = field(default_factory=dict[str, Any])
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    origin: Mapping[str, str] = field(default_factory=dict[str, str])
    trials: dict[int, TrialRecord] = field(default_factory=dict[int, TrialRecord])
    notices: list[str] = field(default_factory=list[str])
    closing: SweepClosing | None = None
    ended: SweepEnded | None = None
    restored: int = 0
    settled: frozenset[int] = frozenset()
    """The number of the event by which the journal came back from a copy, and the trials that had ended by then."""
    reopened: bool = False
    """Whether there is something to do that was asked for after the sweep ended."""
    starts: tuple[Mapping[str, Any], ...] = ()
    """The points of the first trials."""
    started_at: float = 0.0
    session_at: float = 0.0
    worked_s: float = 0.0
    """For how long drivers worked on it before the present one."""
    last_at: float = 0.0
    seq: int = 0

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> History:
        """Return the history that the entries make."""
        history = cls()
        for entry in entries:
            history.apply(entry)
        return history

    def apply(self, entry: Entry) -> None:
        """Take in one more entry."""
        before_at, self.seq, self.last_at = self.last_at, entry.seq, entry.at
        match entry.event:
            case SweepStarted() as event:
                self.spec, self.versions, self.origin = event.spec, event.versions, event.origin
                self.started_at = self.session_at = entry.at
            case SweepResumed() as event:
                self.worked_s += max(0.0, before_at - self.session_at)
                self.spec, self.versions, self.session_at = event.spec, event.versions, entry.at
                self.closing = self.ended = None
                self.reopened = False
                for record in self.trials.values():
                    if record.running:
                        record.held_s, record.placed_at = record.slot_seconds(before_at), entry.at
            case SweepRestored():
                self.restored = entry.seq
                self.settled = frozenset(one.number for one in self.trials.values() if one.outcome is not None)
            case SweepAmended() as event:
                self.notices.append(_in_words(event, self.spec))
                self.spec, self.reopened = event.spec, self.ended is not None
                if self.closing is not None and not self.closing.cancel:
                    self.closing = None
            case StartingPoints() as event:
                self.starts = event.points
            case SweepClosing() as event:
                self.closing = event
            case SweepEnded() as event:
                self.ended = event
            case Noticed() as event:
                self.notices.append(event.text)
            case SlotsPacked() as event:
                self.notices.append(event.why)
            case TrialAsked() as event:
                given = event.trial < len(self.starts) and not event.apart
                self.trials[event.trial] = TrialRecord(
                    number=event.trial,
                    seed=event.seed,
                    asked_at=entry.at,
                    start=str(self.starts[event.trial]["of"]) if given else "",
                    confirms=event.confirms,
                    donor=event.donor,
                )
            case event:
                self.reopened |= isinstance(event, TrialRetried) and self.ended is not None
                _apply_to_trial(self.trials[event.trial], event, entry.at)
                if not isinstance(event, RoundEnded | Timed | GraphicsMeasured):
                    self.trials[event.trial].upto = f"{entry.seq}@{entry.at!r}"


def _apply_to_trial(
    record: TrialRecord,
    event: AttemptStarted
    | RoundEnded
    | ParametersUsed
    | Reported
    | AttemptEnded
    | Differed
    | Timed
    | GraphicsMeasured
    | TrialEnded
    | TrialRetried,
    at: float,
) -> None:
    match event:
        case AttemptStarted():
            record.running, record.attempt, record.batch_divisor = True, event.attempt, event.batch_divisor
            record.started_at = at if record.started_at is None else record.started_at
            record.placed_at = at
        case RoundEnded():
            record.held_s, record.placed_at = record.slot_seconds(at), at
        case GraphicsMeasured():
            pass
        case ParametersUsed():
            record.params, record.facts = (
                event.params,
                {**event.facts, **record.facts},
            )  # what was measured first stands
        case Reported(report=report):
            if report.epoch not in record.metrics:
                record.metrics[report.epoch] = report.metrics
                record.reported_at[report.epoch] = at
                record.seconds[report.epoch] = report.seconds
        case AttemptEnded():
            record.leave(at)
            record.causes.append(event.cause)
        case Differed():
            record.reproduced = False
        case Timed():
            record.timings.append({"slot": event.slot, "pid": event.pid, **event.times})
        case TrialEnded():
            record.leave(at)
            record.outcome, record.ended_at = event.outcome, at
        case TrialRetried():
            record.outcome = record.ended_at = None
            record.retries += 1


def _in_words(event: SweepAmended, before: Mapping[str, Any]) -> str:
    changes: list[str] = []
    for key, value in event.settings.items():
        section, _, name = key.rpartition(".")
        was = (before.get(section, {}) if section else before).get(name)
        changes.append(f"{key} is {'none' if value is None else value}, was {'none' if was is None else was}")
    return f"set: {'; '.join(changes)}"
