"""What a tracker needs of MLflow: runs to find, create and write, in our words, with two kinds of error.

Unreachable    it may work later
└── Busy       … and the fault is not in what was sent
Refused        it will never work
├── RunGone    … since the run was deleted by hand
└── Vanished   … since this is not the store that it was
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, final

SWEEP = -1
"""Stands for the sweep where a trial's number would."""

SWEEP_ID = "kerasweep.sweep_id"
TRIAL_KEY = "kerasweep.trial_key"
PARENT = "mlflow.parentRunId"
RESTORED = "kerasweep.restored"
"""The event by which the trial's journal came back from a copy; a run with an earlier one may show what never was."""

UPTO = "kerasweep.upto"
"""The last event that a trial's run shows, as `number@time`: a journal without it lost its end after that was sent."""


class Unreachable(Exception):
    """It may work later: MLflow is down, slow, locked or not set up; whether it did what it was asked is open."""


class Busy(Unreachable):
    """MLflow has too much to do, or its database is locked: whatever is sent fails."""


class Refused(Exception):
    """MLflow will never take this."""


class RunGone(Refused):
    """The run was deleted."""


class Vanished(Refused):
    """The run, its experiment or the whole database is not there and was not deleted in MLflow either."""


@final
@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a run."""

    key: str
    value: str


@final
@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of a run."""

    key: str
    value: str


@final
@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric; `at_ms` is milliseconds since 1970. MLflow takes an equal point twice and keeps one."""

    key: str
    value: float
    step: int
    at_ms: int


Item = Param | Tag | Point


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A run's status, and when it ended where it has."""

    name: str
    ended_ms: int | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A run that carries our tags; `trial` is None for that of the sweep, which is the `parent` of the others."""

    run_id: str
    trial: int | None
    parent: str | None
    started_ms: int
    status: Status
    deleted: bool = False
    restored: int = 0
    upto: str = ""


class Runs(Protocol):
    """What a tracker needs of MLflow; every call may raise `Unreachable`."""

    def experiment(self, name: str) -> str:
        """Return the id of the experiment, created where there is none."""
        ...

    def find(self, experiment_id: str, sweep_id: str) -> list[Found]:
        """Return all runs of the sweep, deleted ones too as long as MLflow has them."""
        ...

    def create(self, experiment_id: str, name: str, started_ms: int, tags: Mapping[str, str]) -> str:
        """Create a run, running, and return its id."""
        ...

    def write(self, run_id: str, items: Sequence[Item]) -> None:
        """Write items; what is there already may be written again. Raises `Refused`: at least one was not taken."""
        ...

    def set_status(self, run_id: str, status: Status) -> None:
        """Set a run's status, and its end where it has one. Raises `Refused`."""
        ...

    def delete(self, run_id: str) -> None:
        """Delete a run. Raises `Refused`."""
        ...

    def set_view(self, experiment_id: str, key: str, value: str) -> None:
        """Write a tag of the experiment. Raises `Refused`."""
        ...
