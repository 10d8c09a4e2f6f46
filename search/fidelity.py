"""How far a trial came, told to samplers that learn from completed trials alone.

A stopped trial's value is of fewer epochs than a completed one's, so that the two do not compare. What does is what
Optuna's TPE goes by: completed trials by their values; below these all stopped ones, the further a trial came the
better, at one epoch by value; below these all that failed. A sampler that sees completed trials only is shown values in
that order: those of completed trials as they are, then evenly spaced ones, as far below the worst as that is below the
median.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial


def as_completed(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> list[FrozenTrial]:
    """Return the trials that ran or run, those that were stopped or failed as completed ones with the values of their ranks.

    With several objectives, which have no common rank, these are left out. So are failures that did not come to know
    all the parameters that every valued trial has: samplers model what all completed trials have in common, constraints
    on outcomes too, so that trials are left out that lack those, as what an earlier sweep has found.
    """
    from optuna.trial import TrialState

    running = [one for one in trials if one.state is TrialState.RUNNING]
    bounds = {name for one in trials for name in one.constraints}
    ended = [one for one in trials if bounds <= one.constraints.keys()]
    completed = [one for one in ended if one.state is TrialState.COMPLETE]
    if len(directions) > 1:
        return [*completed, *running]
    sign = -1.0 if directions[0].name == "MAXIMIZE" else 1.0
    pruned = [one for one in ended if one.state is TrialState.PRUNED]
    stopped = [one for one in pruned if one.intermediate_values]
    stopped.sort(key=lambda one: _rank(one, sign))
    common = _common([*completed, *stopped])
    failed = [one for one in pruned if not one.intermediate_values and common <= one.distributions.keys()]
    losses = [sign * one.value for one in completed if one.value is not None]
    worst = max(losses, default=0.0)
    room = (worst - median(losses) if losses else 0.0) or abs(worst) or 1.0
    steps = len(stopped) + 1
    valued = {one.number: worst + room * rank / steps for rank, one in enumerate(stopped, 1)}
    valued |= {one.number: worst + room for one in failed}
    found = [
        _completed(one, sign * valued[one.number]) if one.number in valued else one
        for one in ended
        if one.number in valued or one.state is TrialState.COMPLETE
    ]
    return [*found, *running]


def _rank(trial: FrozenTrial, sign: float) -> tuple[float, float]:
    step, value = max(trial.intermediate_values.items())
    return -step, sign * value


def _common(trials: Sequence[FrozenTrial]) -> set[str]:
    """Return the names of the parameters that all trials have."""
    names = [set(one.distributions) for one in trials]
    return set[str].intersection(*names) if names else set()


def _completed(trial: FrozenTrial, value: float) -> FrozenTrial:
    from optuna.trial import TrialState

    changed = copy.copy(trial)
    changed.state = TrialState.COMPLETE
    changed.value = value
    return changed
