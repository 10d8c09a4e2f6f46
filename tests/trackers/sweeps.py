"""Sweeps made by hand: journals with all that a tracker can meet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from kerasweep.spaces.trial import Cause, Outcome, OutcomeKind, Report
from kerasweep.trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Differed,
    Event,
    ParametersUsed,
    Reported,
    SweepClosing,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TrialAsked,
    TrialEnded,
)
from kerasweep.trackers.journal import Journal

START_AT = 1_700_000_000.0


def spec(uri: str = "sqlite:////nowhere/mlflow.db", **changes: Any) -> dict[str, Any]:
    """Return a specification as far as a tracker reads it."""
    declared: list[dict[str, Any]] = [
        {"parameter": {"name": "learning_rate", "kind": "float"}, "open": []},
        {"parameter": {"name": "units", "kind": "int"}, "open": []},
        {"parameter": {"name": "fit/epochs", "kind": "fixed"}, "open": []},
    ]
    return {
        "name": "digits",
        "objective": {"metric": "val_accuracy", "direction": "max", "at": "best"},
        "declared": declared,
        "track": {"uri": uri, "experiment": "lab"},
        **changes,
    }


def started(uri: str = "sqlite:////nowhere/mlflow.db", **changes: Any) -> SweepStarted:
    """Return the first event."""
    origin = {"kerasweep.sweep_id": "digits-1", "mlflow.user": "ada", "mlflow.source.name": "sweep.yaml"}
    return SweepStarted(spec=spec(uri, **changes), origin=origin)


def begun(trial: int, attempt: int = 1) -> list[Event]:
    """Return the events with which a trial gets going, to the point where its parameters are known."""
    params = {"learning_rate": 10.0 ** -(trial % 4 + 1), "units": 32 * (trial + 1)}
    specs = ({"name": "learning_rate", "kind": "float"}, {"name": "units", "kind": "int"})
    asked = TrialAsked(trial=trial, seed=trial, params={}, history_seq=0)
    return [
        *([asked] if attempt == 1 else []),
        AttemptStarted(trial=trial, attempt=attempt),
        ParametersUsed(trial=trial, attempt=attempt, params=params, specs=specs),
    ]


def reported(trial: int, epoch: int, accuracy: float, attempt: int = 1) -> Reported:
    """Return an epoch's report."""
    metrics = {"val_accuracy": accuracy, "loss": 1.0 / epoch}
    return Reported(trial=trial, attempt=attempt, report=Report(epoch=epoch, metrics=metrics, seconds=0.5))


def ended(trial: int, kind: OutcomeKind, attempt: int = 1, **fields: Any) -> TrialEnded:
    """Return a trial's end."""
    return TrialEnded(trial=trial, attempt=attempt, outcome=Outcome(kind=kind, **fields))


def first_session() -> list[Event]:
    """Return a session that ends by Ctrl-C with trial 3 still running."""
    return [
        started(),
        *begun(0),
        reported(0, 1, 0.5),
        *begun(1),
        reported(0, 2, 0.7),
        reported(1, 1, 0.2),
        reported(0, 3, 0.6),
        ended(0, OutcomeKind.COMPLETED, value=0.7, epoch=2),
        ended(1, OutcomeKind.STOPPED, value=0.2, epoch=1, reason="rung 1: 2nd of 2"),
        *begun(2),
        reported(2, 1, math.inf),
        ended(2, OutcomeKind.FAILED, reason="NonFiniteObjective: val_accuracy was inf at epoch 1"),
        *begun(3),
        reported(3, 1, 0.4),
        SweepClosing(why="Ctrl-C", cancel=True, exit_code=130),
        AttemptEnded(trial=3, attempt=1, cause=Cause.INTERRUPTED, why="Ctrl-C"),
        SweepEnded(why="Ctrl-C", exit_code=130),
    ]


def second_session() -> list[Event]:
    """Return what follows when the sweep is taken up again and runs to its end."""
    return [
        SweepResumed(spec=spec()),
        AttemptStarted(trial=3, attempt=2),
        reported(3, 2, 0.8, attempt=2),
        Differed(trial=3, epoch=1),
        ended(3, OutcomeKind.COMPLETED, attempt=2, value=0.8, epoch=2),
        TrialAsked(trial=4, seed=4, params={}, history_seq=0),
        AttemptStarted(trial=4, attempt=1),
        ended(4, OutcomeKind.INFEASIBLE, reason="too large"),
        *begun(5),
        ended(5, OutcomeKind.LOST, reason="its node went away"),
        SweepEnded(why="budget", exit_code=0),
    ]


def clock() -> Iterator[float]:
    """Yield the times of a journal that writes an event every quarter of a second."""
    return (START_AT + 0.25 * step for step in count())


def journal(folder: Path, events: Iterable[Event]) -> Path:
    """Write a journal, let go of it, and return its folder."""
    times = clock()
    with Journal(folder, clock=lambda: next(times)) as one:
        one.append(*events)
    return folder
