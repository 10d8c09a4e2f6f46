"""The lowest words: what a trial is told (`Assignment`), what it says (`Report`), how it ends (`Outcome`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

Scalar = bool | int | float | str
"""A value of a parameter."""

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
"""Anything that goes into a message or the journal."""


class OutcomeKind(StrEnum):
    """How a trial ended."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"
    INFEASIBLE = "infeasible"
    INTERRUPTED = "interrupted"
    LOST = "lost"


class Cause(StrEnum):
    """Why an attempt ended without deciding its trial."""

    LOST = "lost"
    CRASH = "crash"
    OOM = "oom"
    HANG = "hang"
    ERROR = "error"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Legacy:
    """The checkpoint of another trial with which one begins: whose, of which epoch, where it is.

    `identity` is what its manifest must say.
    """

    trial: int
    epoch: int
    place: str
    identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a slot is asked to train.

    `params` holds a value for every parameter that the driver knows, active or not, by the parameter's identity;
    `specs` are these parameters, for code that looks at a value before it says what it is.
    `keep_above` is the objective's value from which the trial's best weights are worth writing (None: always).
    `batch_divisor`: the batch size is divided by so much, since the memory did not suffice for all of it.
    `resume_from` is where an earlier attempt may have left checkpoints; `reported` the epochs that are journaled.
    `until`: the epoch at which a turn of a population ends, with a checkpoint (0: there is none). `legacy`: what it
    begins with.
    """

    number: int
    attempt: int
    round: int
    seed: int
    params: Mapping[str, Scalar]
    specs: tuple[Mapping[str, Json], ...] = ()
    rungs: tuple[int, ...] = ()
    keep_above: float | None = None
    batch_divisor: int = 1
    resume_from: str = ""
    reported: int = 0
    until: int = 0
    legacy: Legacy | None = None

    def to_json(self) -> dict[str, Json]:
        """Return the form in which it travels."""
        return {**asdict(self), "specs": list(self.specs), "rungs": list(self.rungs)}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Assignment:
        """Return the assignment that `to_json` wrote."""
        given: dict[str, Any] = dict(data)
        given["specs"], given["rungs"] = tuple(given["specs"]), tuple(given["rungs"])
        given["legacy"] = None if given.get("legacy") is None else Legacy(**given["legacy"])
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The metrics of one epoch; `epoch` counts completed epochs, so the first is 1; `seconds` is the epoch's length."""

    epoch: int
    metrics: Mapping[str, float]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a trial ended: its value and the epoch that the value is from where it has one, else the reason.

    `values` has one for each objective where there are several, or constraints; `violations` says for each constraint
    by how much it was broken, 0 for not at all.
    """

    kind: OutcomeKind
    value: float | None = None
    epoch: int | None = None
    reason: str = ""
    traceback: str = field(default="", repr=False)
    values: tuple[float, ...] = ()
    violations: tuple[float, ...] = ()

    @property
    def feasible(self) -> bool:
        """Whether it keeps to all constraints."""
        return not any(self.violations)

    @property
    def counts(self) -> bool:
        """Whether the trial counts against the budget."""
        return self.kind in (OutcomeKind.COMPLETED, OutcomeKind.STOPPED, OutcomeKind.FAILED)

    @property
    def retryable(self) -> bool:
        """Whether the trial may be run again: it was not decided by what it is."""
        return self.kind in (OutcomeKind.FAILED, OutcomeKind.LOST, OutcomeKind.INTERRUPTED)

    def to_json(self) -> dict[str, Json]:
        """Return the form in which it is journaled."""
        return {**asdict(self), "kind": str(self.kind)}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Outcome:
        """Return the outcome that `to_json` wrote; fields of a later version are left out."""
        known = {one.name for one in fields(cls)}
        given: dict[str, Any] = {name: value for name, value in data.items() if name in known}
        given["kind"] = OutcomeKind(given["kind"])
        for name in {"values", "violations"} & given.keys():
            given[name] = tuple(given[name])
        return cls(**given)
