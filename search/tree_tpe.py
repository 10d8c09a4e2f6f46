"""TPE for a tree of parameters: what a branch brings with it is modelled by the trials that took that branch.

Optuna's TPE draws conditional parameters one by one, from a split into good and bad trials that is made over all
trials: a branch that is not among the best of all has no good trials, and is searched at random. Here

- parameters that are always active together are drawn together, as Optuna does at the root;
- each such *block* has its own good trials, its best tenth, and at least those of it that are among the best of all;
- the kernels of a block are weighted by how likely they make what has been decided before it in this trial, so that
  the joint density over root and branch is kept: p(block | ancestors), from one Parzen estimator over both;
- a trial that did not take a branch has no part in that branch's model.

What a branch is shows in the trials alone (which parameters they used), so that the conditions of plain Python code
need not be declared, and the order in which parameters are suggested says what was decided before.

The cost is bounded: at most `MOST_GOOD` good and `kernels` bad trials make a model, the bad ones drawn evenly along
their weights, which Optuna lets rise from the oldest to the newest.

Stopped trials, running ones, constraints and failures count as in Optuna's TPE. With several objectives the good trials
are the first by non-dominated rank, as in its MOTPE, but by crowding instead of hypervolume within the last front.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

from .parzen import Array, Axis, Parzen, log_sum
from .tpe_history import History, Rows

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

STARTUP = 10
"""So many trials are drawn at random before there is a model, as in Optuna."""
GOOD = 0.1
"""This share of the trials is good, as in Optuna,"""
MOST_GOOD = 25
"""and so many at most."""
BRANCH_STARTUP = 3
"""So many trials of a branch are drawn at random before it has a model of its own."""
SHARPNESS = 3.0
"""So many times narrower than in Optuna the kernels of few good trials may become, which makes up for there being few,"""
HALF_SHARP = 15
"""half-way so with so many trials: the best of two or three need not be near what is good."""
KERNELS = 500
"""So many bad trials make a model at most."""
CANDIDATES = 24
"""So many draws from the model of good trials compete, as in Optuna."""


@final
class TreeModel:
    """Draws blocks of parameters, one after another, for one trial at a time."""

    def __init__(
        self, seed: int | None, *, candidates: int = CANDIDATES, kernels: int = KERNELS, history: History | None = None
    ) -> None:
        self.history = history or History()
        self._random = np.random.default_rng(seed)
        self._candidates = candidates
        self._kernels = kernels

    def draw(self, name: str, distribution: BaseDistribution, trial: FrozenTrial) -> dict[str, float]:
        """Return internal values for `name`, and for all that is always active with it and not decided yet."""
        history = self.history
        block = {name: distribution}
        for one in history.companions(name):
            if one not in trial.params and not history.distributions[one].single():
                block[one] = history.distributions[one]
        before = {
            one: distribution
            for one, distribution in trial.distributions.items()
            if one in history.distributions and not distribution.single()
        }
        axes = {one: Axis.of(it) for one, it in (before | block).items()}
        rows = history.ranked
        has = axes[name].holds(history.column(name, rows))
        trials = int(np.count_nonzero(has))
        if len(rows) < STARTUP or trials < BRANCH_STARTUP:
            return {one: self._anything(axes[one]) for one in block}
        good, bad = self._split(rows, has)
        bad, weights = thinned(bad, self._kernels)
        decided = [trial.distributions[one].to_internal_repr(trial.params[one]) for one in before]
        running = self._running(name, axes, trial)
        return self._most_promising(
            axes,
            decided,
            Parzen([*axes.values()], self._points(axes, good), np.ones(len(good)), sharpness(trials)),
            Parzen(
                [*axes.values()],
                np.vstack([self._points(axes, bad), running]),
                np.append(weights, np.ones(len(running))),
            ),
        )

    def _split(self, rows: Rows, has: Any) -> tuple[Rows, Rows]:
        """Return the good and the bad rows of a block, the oldest first."""
        history = self.history
        good, bad = history.split(rows, min(math.ceil(GOOD * len(rows)), MOST_GOOD))
        if not has.all():
            own = rows[has]
            took = np.zeros(len(rows), dtype=np.bool_)
            took[own] = True
            count = min(math.ceil(GOOD * len(own)), MOST_GOOD)
            good, bad = history.split(own, max(count, int(np.count_nonzero(took[good]))))
        return history.by_number(good), history.by_number(bad)

    def _most_promising(
        self, axes: Mapping[str, Axis], decided: Sequence[float], good: Parzen, bad: Parzen
    ) -> dict[str, float]:
        """Return the candidate, of those that the good model draws, that is likeliest under it beside the bad one."""
        known = len(decided)
        columns = range(known, len(axes))
        before = np.array(
            [[one.unit(np.array([value]))[0] for one, value in zip(axes.values(), decided, strict=False)]]
        )
        given_good, given_bad = (conditioned(one, before) for one in (good, bad))
        shares = np.cumsum(np.exp(given_good))
        kernels = np.searchsorted(shares / shares[-1], self._random.random(self._candidates))
        samples = good.sample(np.minimum(kernels, len(shares) - 1), columns, self._random)
        ratio = log_sum(good.log_kernels(samples, columns) + given_good)
        ratio -= log_sum(bad.log_kernels(samples, columns) + given_bad)
        best = samples[int(np.argmax(ratio))]
        names = [*axes][known:]
        return {one: float(axes[one].value(best[place : place + 1])[0]) for place, one in enumerate(names)}

    def _points(self, axes: Mapping[str, Axis], rows: Rows) -> Array:
        return np.column_stack([axis.unit(self.history.column(name, rows)) for name, axis in axes.items()])

    def _running(self, name: str, axes: Mapping[str, Axis], trial: FrozenTrial) -> Array:
        """Return where other trials run that took this branch: they count as bad, so that the next goes elsewhere."""
        points = [
            [one.distributions[it].to_internal_repr(one.params[it]) if it in one.params else np.nan for it in axes]
            for one in self.history.running
            if name in one.params and one.number != trial.number
        ]
        values = np.array(points, dtype=np.float64).reshape(len(points), len(axes))
        return np.column_stack([axis.unit(values[:, place]) for place, axis in enumerate(axes.values())])

    def _anything(self, axis: Axis) -> float:
        u = self._random.random(1)
        return float(axis.value(np.floor(u * axis.values) if axis.categorical else u)[0])


def sharpness(trials: int) -> float:
    """Return how many times narrower than in Optuna kernels may become in a block of so many trials."""
    return 1 + (SHARPNESS - 1) * trials / (trials + HALF_SHARP)


def conditioned(parzen: Parzen, before: Array) -> Array:
    """Return the logarithms of the kernels' weights, given the values (1, parameters) of the first parameters."""
    weights = parzen.log_weights + parzen.log_kernels(before, range(before.shape[1]))[0]
    return weights - log_sum(weights)


def thinned(rows: Rows, most: int) -> tuple[Rows, Array]:
    """Return at most so many rows with their weights, which rise from the oldest to the newest as in Optuna.

    Those that stay are even along the weights, and weigh the same.
    """
    count = len(rows)
    weights = np.ones(count)
    weights[: max(0, count - 25)] = np.linspace(1 / max(count, 1), 1, max(0, count - 25))
    if count <= most:
        return rows, weights
    along = np.cumsum(weights)
    return rows[np.searchsorted(along, (np.arange(most) + 0.5) / most * along[-1])], np.ones(most)


def tree_tpe(
    seed: int | None = None,
    *,
    candidates: int = CANDIDATES,
    kernels: int = KERNELS,
    history: History | None = None,
) -> optuna.samplers.BaseSampler:
    """Return the sampler, for Optuna; its class derives from Optuna's, so it is made where Optuna may be imported.

    Args:
        seed: What it proposes is a function of the seed, of the study, and of how often it was asked.
        candidates: So many draws from the model of good trials compete for each block of parameters.
        kernels: So many bad trials make a model at most.
        history: What earlier samplers on this very study have read of it.
    """
    from optuna.samplers import BaseSampler

    class TreeTpe(BaseSampler):
        """Draws a block when the first of its parameters is suggested."""

        def __init__(self) -> None:
            self._model = TreeModel(seed, candidates=candidates, kernels=kernels, history=history)
            self._trial = -1
            self._drawn: dict[str, float] = {}

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return {}

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            return {}

        def sample_independent(
            self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
        ) -> Any:
            if trial.number != self._trial:
                self._trial, self._drawn = trial.number, {}
                self._model.history.read(study)
            as_drawn = self._model.history.distributions.get(param_name) == param_distribution
            if param_name not in self._drawn or not as_drawn:
                self._drawn |= self._model.draw(param_name, param_distribution, trial)
            return param_distribution.to_external_repr(self._drawn[param_name])

        def reseed_rng(self) -> None:
            """Go on from a seed of chance, as Optuna asks of each of several processes."""
            self._model = TreeModel(None, candidates=candidates, kernels=kernels, history=history)

    return TreeTpe()
