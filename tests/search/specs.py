"""Specifications and histories made by hand, for tests of what reads or runs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kerasweep.search.budget import Budget
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.spec import SweepSpec
from kerasweep.spaces.known import Declared
from kerasweep.spaces.parameter import Number
from kerasweep.spaces.trial import Outcome, OutcomeKind, Report, Scalar
from kerasweep.trackers.events import (
    AttemptStarted,
    Entry,
    Event,
    ParametersUsed,
    Reported,
    SweepStarted,
    TrialAsked,
    TrialEnded,
)
from kerasweep.trackers.history import History

START_AT = 1_700_000_000.0
X = Number(name="x", min=0.0, max=1.0, integer=False)


def spec(**changes: Any) -> SweepSpec:
    """Return a small sweep's specification."""
    one = SweepSpec(
        name="small",
        folder="/nowhere",
        model="model.py:build",
        data=None,
        objective=Objective(metric="acc", direction=Direction.MAX),
        budget=Budget(trials=4),
        fit={"epochs": 9},
        declared=(Declared(parameter=X),),
        parallel=2,
    )
    return replace(one, **changes)


def entries(events: Iterable[Event], *, every_s: float = 1.0) -> list[Entry]:
    """Return the events as a journal would hold them, so many seconds apart."""
    return [Entry(seq=seq, at=START_AT + every_s * (seq - 1), event=event) for seq, event in enumerate(events, 1)]


def history(*events: Event, every_s: float = 1.0, **changes: Any) -> History:
    """Return the history of a small sweep in which these things happened."""
    return History.of(entries([SweepStarted(spec=spec(**changes).to_json()), *events], every_s=every_s))


def begun(trial: int, params: Mapping[str, Scalar] | None = None) -> list[Event]:
    """Return the events with which a trial gets going."""
    used = {"x": 0.5} if params is None else params
    return [
        TrialAsked(trial=trial, seed=trial, params={}, history_seq=0),
        AttemptStarted(trial=trial, attempt=1),
        ParametersUsed(trial=trial, attempt=1, params=used),
    ]


def reported(trial: int, *values: float) -> list[Event]:
    """Return a report for each value, from epoch 1."""
    return [
        Reported(trial=trial, attempt=1, report=Report(epoch=epoch, metrics={"acc": value}, seconds=0.5))
        for epoch, value in enumerate(values, 1)
    ]


def ended(trial: int, kind: OutcomeKind, value: float | None = None, epoch: int | None = None, why: str = "") -> Event:
    """Return a trial's end."""
    return TrialEnded(trial=trial, attempt=1, outcome=Outcome(kind=kind, value=value, epoch=epoch, reason=why))


def completed(trial: int, *values: float, params: Mapping[str, Scalar] | None = None) -> list[Event]:
    """Return a whole trial that ran to its end."""
    best = max(values)
    end = ended(trial, OutcomeKind.COMPLETED, best, values.index(best) + 1)
    return [*begun(trial, params), *reported(trial, *values), end]
