"""The sweep so far as plain records, folded from the journal: what the terminal, `show`, results and MLflow look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

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
    SweepClosing,
    SweepEnded,
    SweepRestored,
    SweepResumed,
    SweepStarted,
    Timed,
    TrialAsked,
    TrialEnded,
)


@final
@dataclass(slots=True, kw_only=True)
class TrialRecord:
    """One trial: `params` are those that its model read, by plain name; `metrics` is by epoch, `at` in seconds.

    `confirms`: the trial of the search that it trains again; `donor`: the one that it inherits from.
    """

    number: int
    seed: int
    asked_at: float
    params: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metrics: dict[int, Mapping[str, float]] = field(default_factory=dict[int, Mapping[str, float]])
    reported_at: dict[int, float] = field(default_factory=dict[int, float])
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
    upto: str = ""
    """The last event about it that is shown, as `number@time`."""

    @property
    def state(self) -> str:
        """Return the outcome's kind, or `running` or `waiting`."""
        if self.outcome is not None:
            return str(self.outcome.kind)
        return "running" if self.running else "waiting"

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
    started_at: float = 0.0
    session_at: float = 0.0
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
        self.seq, self.last_at = entry.seq, entry.at
        match entry.event:
            case SweepStarted() as event:
                self.spec, self.versions, self.origin = event.spec, event.versions, event.origin
                self.started_at = self.session_at = entry.at
            case SweepResumed() as event:
                self.spec, self.versions, self.session_at = event.spec, event.versions, entry.at
                self.closing = self.ended = None
            case SweepRestored():
                self.restored = entry.seq
                self.settled = frozenset(one.number for one in self.trials.values() if one.outcome is not None)
            case SweepClosing() as event:
                self.closing = event
            case SweepEnded() as event:
                self.ended = event
            case Noticed() as event:
                self.notices.append(event.text)
            case SlotsPacked() as event:
                self.notices.append(event.why)
            case TrialAsked() as event:
                self.trials[event.trial] = TrialRecord(
                    number=event.trial,
                    seed=event.seed,
                    asked_at=entry.at,
                    confirms=event.confirms,
                    donor=event.donor,
                )
            case event:
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
    | TrialEnded,
    at: float,
) -> None:
    match event:
        case AttemptStarted():
            record.running, record.attempt, record.batch_divisor = True, event.attempt, event.batch_divisor
            record.started_at = at if record.started_at is None else record.started_at
        case RoundEnded() | GraphicsMeasured():
            pass
        case ParametersUsed():
            record.params, record.facts = event.params, event.facts or record.facts
        case Reported(report=report):
            if report.epoch not in record.metrics:
                record.metrics[report.epoch] = report.metrics
                record.reported_at[report.epoch] = at
        case AttemptEnded():
            record.running = False
            record.causes.append(event.cause)
        case Differed():
            record.reproduced = False
        case Timed():
            record.timings.append({"slot": event.slot, "pid": event.pid, **event.times})
        case TrialEnded():
            record.running, record.outcome, record.ended_at = False, event.outcome, at
