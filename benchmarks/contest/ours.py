"""Kerasweep in its own simulator: the core, the sampler and the stop rule of a live sweep."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import final

from kerasweep.search.budget import Budget
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.sampler_form import automatic
from kerasweep.search.simulator import Curve, simulated
from kerasweep.search.spec import Search, SweepSpec
from kerasweep.search.stop_form import stop_forms
from kerasweep.spaces.trial import Scalar

from .clock import Trace
from .task import Seen, Task

SAMPLER = "auto"
STOP = "auto"
"""The default sampler, of what it knows; where there are epochs, the rungs that `stop: auto` makes of the budget."""


@final
class _Curves:
    """A task's runs as curves."""

    def __init__(self, task: Task, seed: int) -> None:
        self._task, self._seed = task, seed

    def of(self, number: int, params: Mapping[str, Scalar]) -> Curve:
        """Return the run of a trial."""
        run = self._task.run(params, self._seed * 1_000_003 + number)
        return Curve(epochs=[(dict(zip(self._task.metrics, losses, strict=True)), seconds) for losses, seconds in run])


def sweep(task: Task, *, workers: int, limit_s: float, seed: int, sampler: str = SAMPLER) -> Trace:
    """Run Kerasweep on a task for so many simulated seconds."""
    objective, *further = (Objective(metric=metric, direction=Direction.MIN) for metric in task.metrics)
    stop = stop_forms(STOP, max_epochs=task.epochs, trials=None)
    if sampler == "auto":
        sampler, _ = automatic(task.space.declared, trials=None, stops=bool(stop), objectives=len(task.metrics))
    spec = SweepSpec(
        name="quality",
        folder="/",
        model="model.py:build",
        data=None,
        objective=objective,
        further=tuple(further),
        budget=Budget(hours=limit_s / 3600),
        fit={"epochs": task.epochs},
        declared=task.space.declared,
        search=Search(sampler=sampler, stop=stop, seed=seed),
        parallel=workers,
    )
    began = time.process_time()
    history = simulated(spec, _Curves(task, seed), slots=workers)
    cpu_s = time.process_time() - began
    seen = [
        Seen(trial.reported_at[epoch], trial.params, epoch, tuple(row[metric] for metric in task.metrics))
        for trial in history.trials.values()
        for epoch, row in trial.metrics.items()
        if trial.reported_at[epoch] <= limit_s and all(math.isfinite(row[metric]) for metric in task.metrics)
    ]
    return Trace(sorted(seen, key=lambda one: one.at_s), len(history.trials), cpu_s)
