"""One trial as the journal has it, in the form in which a slot can train it again from its first epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import final

from ..spaces.errors import BadInput
from ..spaces.known import Known
from ..spaces.parameter import Parameter, identity, parameter_from_json
from ..spaces.trial import Assignment, OutcomeKind, Scalar
from ..trackers.events import (
    AttemptStarted,
    Entry,
    ParametersUsed,
    RoundEnded,
    SweepResumed,
    SweepStarted,
    TrialAsked,
)
from ..trackers.history import History, TrialRecord
from .spec import SweepSpec

ENDED_WELL = (OutcomeKind.COMPLETED, OutcomeKind.STOPPED)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A trial: what a slot is asked for, what was journaled of it, the versions that it was trained with last."""

    assignment: Assignment
    trial: TrialRecord
    versions: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def last_epoch(self) -> int:
        """The last epoch that has metrics."""
        return max(self.trial.metrics)

    @classmethod
    def of(cls, entries: Iterable[Entry], spec: SweepSpec, number: int) -> Recorded:
        """Find the trial in a sweep's journal.

        Raises:
            BadInput: there is no such trial, or it cannot be trained again to the same end.
        """
        history = History()
        params: Mapping[str, Scalar] = {}
        found: list[Parameter] = []
        running: Mapping[str, str] = {}
        versions: Mapping[str, str] = {}
        for entry in entries:
            history.apply(entry)
            match entry.event:
                case SweepStarted(versions=now) | SweepResumed(versions=now):
                    running = now
                case TrialAsked(trial=trial, params=proposed) if trial == number:
                    params = proposed
                case RoundEnded(specs=specs) | ParametersUsed(specs=specs):
                    found += map(parameter_from_json, specs)
                    if isinstance(entry.event, RoundEnded) and entry.event.trial == number:
                        params = entry.event.params
                case AttemptStarted(trial=trial) if trial == number:
                    versions = running
                case _:
                    pass
        record = _checked(history, spec, number)
        known = {**Known.of(spec.declared).parameters, **{identity(one): one for one in found}}
        assignment = Assignment(
            number=number,
            attempt=1,
            round=0,
            seed=record.seed,
            params=params,
            specs=tuple(known[key].to_json() for key in params if key in known),
            rungs=(max(record.metrics),),
            batch_divisor=record.batch_divisor,
        )
        return cls(assignment=assignment, trial=record, versions=versions)


def _checked(history: History, spec: SweepSpec, number: int) -> TrialRecord:
    trial = history.trials.get(number)
    if trial is None:
        raise BadInput(f"{spec.name} has no trial {number}; it has {len(history.trials)}, numbered from 0")
    only = "only completed and stopped trials are replayed"
    if trial.outcome is None:
        raise BadInput(f"trial {number} of {spec.name} has not ended, it is {trial.state}; {only}")
    if trial.outcome.kind not in ENDED_WELL:
        raise BadInput(f"trial {number} of {spec.name} ended {trial.state}; {only}")
    if trial.donor is not None:
        donor = f"what trial {trial.donor.trial} had learned by epoch {trial.donor.epoch}"
        raise BadInput(f"trial {number} of {spec.name} went on from {donor}; only trials that began anew are replayed")
    if not trial.metrics:
        raise BadInput(f"trial {number} of {spec.name} has no metrics to compare with")
    return trial
