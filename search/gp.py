"""Bayesian optimization with a Gaussian process, over mixed spaces with conditions.

Before there is something to model, trials cover the space evenly. Then each gets the configuration of which most is
expected, of random ones and of neighbours of the best: those that improve are themselves varied, a few times over.

- Losses are taken as they are, or by the logarithm of how far they are from the best, whichever the model makes
  likelier; of what was stopped, failed or broke a constraint, only that it is worse than what was not.
- Where trials lack parameters that others have, some are proposed by TPE, which models each branch by itself: one model
  of all branches settles on one of them, and knows it better and better.
- Running trials count with what is expected of them, so that the next goes elsewhere.
- With several objectives each proposal goes by one weighing of them, drawn at random (ParEGO: Knowles, IEEE TEC 2006).
- The model is made of the best trials and of an even pick of the others, so that a proposal costs the same after 10,000.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from .cube import Cube
from .gaussian_process import GaussianProcess, log_expected_improvement
from .optuna_sampler import Tpe
from .parzen import Array
from .quasi_random import Sobol
from .sampler import Ask, Proposal
from .study import Study
from .tpe_history import History

if TYPE_CHECKING:
    import optuna
    from threadpoolctl import ThreadpoolController

STARTUP = 8
"""So many trials cover the space before there is a model."""
TURN = 3
"""In a space with branches every third trial is TPE's."""
BEST, OTHERS = 80, 80
"""So many of the best trials, and of all others, make the model at most."""
BENDS = (0.03, 10.0)
"""Where losses begin to count by their logarithm, as shares of how far most are from the best: near it, and beyond all."""
MOST, NEAR = 0.9, 0.1
"""Most losses, and those near the best at least, as shares of all."""
LARGEST = 1e150
"""Losses beyond are no worse: their differences would be infinite."""
WEIGHED_SUM = 0.05
"""What the weighed sum of several objectives counts, beside the largest of them."""
RANDOM, NEIGHBOURS = 150, 150
"""So many candidates are drawn from the space, and near the best trials."""
ROUNDS, IMPROVED, VARIATIONS = 2, 5, 12
"""So often, so many of the best candidates are varied, so many times each."""
PARENTS = 10
"""Neighbours are those of so many of the best trials."""
WIDE, NARROW = (0.03, 0.1, 0.3), (0.01, 0.05, 0.15)
"""How far a number moves, as shares of its range: of neighbours, and of what is varied."""


@final
class Gp:
    """Proposes where a Gaussian process expects the largest improvement."""

    tries = 5

    def __init__(self) -> None:
        self._history = History()
        self._of: optuna.Study | None = None
        self._tpe = Tpe()

    def propose(self, ask: Ask, study: Study) -> Proposal:
        """Return promising parameters; `study` is the same each time, but for one that was made anew.

        On one thread: matrices are small, the other processors train, and so sums are rounded alike everywhere.
        """
        with one_thread():
            return self._proposed(ask, study)

    def _proposed(self, ask: Ask, study: Study) -> Proposal:
        if study.told is not self._of:
            self._history, self._of = History(), study.told
        history = self._history
        history.read(study.told)
        rows, cube = history.ranked, Cube(study)
        losses = history.losses(rows)
        if len(rows) < STARTUP or not np.isfinite(losses).all(axis=1).any() or cube.is_one_point:
            return Sobol().propose(ask, study)
        random = np.random.default_rng(ask.derived)
        worth = ordered(weighed(losses, random))
        models = picked(worth)
        points = cube.seen(history, rows[models])
        if cube.has_branches(points) and ask.number % TURN == TURN - 1:
            return self._tpe.propose(ask, study)
        model = likeliest(cube.modelled(points), worth[models], cube.categorical)
        expected = model.predict(cube.modelled(points))[0]
        if history.running:
            model.believe(cube.modelled(cube.running(history.running)))

        def promise(candidates: Array) -> Array:
            return log_expected_improvement(*model.predict(cube.modelled(candidates)), float(expected.min()))

        parents = points[np.argsort(expected, kind="stable")[:PARENTS]]
        chosen = parents[np.minimum(random.geometric(0.4, NEIGHBOURS) - 1, len(parents) - 1)]
        candidates = np.vstack([cube.drawn(RANDOM, random), cube.varied(chosen, WIDE, random)])
        candidates = cube.settled(candidates, ask.pinned)
        promises = promise(candidates)
        for _ in range(ROUNDS):
            best = candidates[np.argsort(-promises, kind="stable")[:IMPROVED]]
            nearby = cube.settled(cube.varied(np.repeat(best, VARIATIONS, axis=0), NARROW, random), ask.pinned)
            candidates, promises = np.vstack([candidates, nearby]), np.append(promises, promise(nearby))
        proposals = (cube.params(candidates[place], ask.pinned) for place in np.argsort(-promises, kind="stable"))
        first = next(proposals)
        if not ask.refusal(first):
            return Proposal(params=first)
        return Proposal(params=next((one for one in proposals if not ask.refusal(one)), first))


@cache
def _libraries() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which linear algebra has one thread."""
    return _libraries().limit(limits=1, user_api="blas")


def weighed(losses: Array, random: np.random.Generator) -> Array:
    """Return (trials,) of losses (trials, objectives): those of one objective, or of several by weights drawn at random."""
    losses = np.clip(losses, -LARGEST, LARGEST)
    if losses.shape[1] == 1:
        return losses[:, 0]
    weights = random.dirichlet(np.ones(losses.shape[1]))
    known = losses[np.isfinite(losses).all(axis=1)]
    low, high = known.min(axis=0), known.max(axis=0)
    weighted = weights * (losses - low) / np.where(high > low, high - low, 1.0)
    return weighted.max(axis=1) + WEIGHED_SUM * weighted.sum(axis=1)


def ordered(losses: Array) -> Array:
    """Return losses, in the history's order, with numbers also for those that have none: evenly beyond the worst."""
    known = np.isfinite(losses)
    worst = losses[known].max()
    room = (worst - np.median(losses[known])) or abs(worst) or 1.0
    result = losses.copy()
    lacking = np.count_nonzero(~known)
    result[~known] = worst + room * np.arange(1, lacking + 1) / lacking
    return result


def likeliest(points: Array, losses: Array, categorical: NDArray[np.bool_]) -> GaussianProcess:
    """Return the model of the losses as they are or of their logarithms, whichever makes them likelier.

    Losses over several orders of magnitude are told apart near the best by the logarithm, which would take the luckiest
    of noisy ones for a peak (warped Gaussian processes: Snelson et al., NeurIPS 2003).
    """
    forms = [form for form in (standardized(losses, bend) for bend in BENDS) if form is not None]
    if not forms:
        ranks = np.argsort(np.argsort(losses, kind="stable"), kind="stable").astype(np.float64)
        return GaussianProcess(points, (ranks - ranks.mean()) / (ranks.std() or 1.0), categorical)
    models = [(GaussianProcess(points, values, categorical), density) for values, density in forms]
    return max(models, key=lambda one: one[0].evidence + one[1])[0]


def standardized(losses: Array, bend: float) -> tuple[Array, float] | None:
    """Return log(1 + excess over the least / near) with mean 0 and variance 1, and what that adds to log densities.

    None where losses are all alike, or too far apart for floating point.

    Args:
        losses: (trials,).
        bend: `near` is this share of how far most losses are from the least, and a tenth of all losses is near at least.
    """
    with np.errstate(all="ignore"):
        excess = losses - losses.min()
        near = max(bend * np.quantile(excess, MOST), np.quantile(excess, NEAR), 1e-12 * excess.max())
        found = np.log1p(excess / near)
        deviation = found.std()
        values = (found - found.mean()) / deviation
        density = -np.log((near + excess) * deviation).sum()
    return (values, float(density)) if np.isfinite(values).all() and np.isfinite(density) else None


def picked(losses: Array) -> NDArray[np.intp]:
    """Return the places of the trials that make a model: the best, and an even pick of the others, the best first."""
    order = np.argsort(losses, kind="stable")
    others = order[BEST:]
    if len(others) > OTHERS:
        others = others[np.linspace(0, len(others) - 1, OTHERS).round().astype(np.intp)]
    return np.append(order[:BEST], others)
