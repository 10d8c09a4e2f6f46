"""Functions of COCO, the platform for comparing continuous optimizers: mixed-integer ones, and pairs of two objectives."""

from __future__ import annotations

import json
import os
import random
import statistics
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, final

import numpy as np

from kerasweep.spaces import Space
from kerasweep.spaces.trial import Scalar

from .task import ONE, TWO, Losses, Params
from .worth import hypervolume

SAMPLES = 400
"""The median configuration is that of so many."""


@final
class MixedInteger:
    """A function of COCO's suite bbob-mixint: eight integers of 2 to 16 values and two continuous variables."""

    metrics = ONE
    epochs = 1
    mean_s = 1.0

    def __init__(self, function: int) -> None:
        self.name = f"bbob-mixint/f{function}"
        self._function = _Function("bbob-mixint", function, dimension=10)
        problem = self._function.problem
        integers = int(problem.number_of_integer_variables)
        ends: Iterable[tuple[float, float]] = zip(problem.lower_bounds, problem.upper_bounds, strict=True)
        forms: dict[str, Any] = {}
        for place, (low, high) in enumerate(ends):
            whole = place < integers
            forms[f"x{place:02d}"] = {
                "min": int(low) if whole else float(low),
                "max": int(high) if whole else float(high),
            }
        self.space = Space.from_yaml(json.dumps({"space": forms}))
        self.usual = statistics.median(self.truth(self.space.sample(seed=seed), 1)[0] for seed in range(SAMPLES))
        (best,) = self._function.optima()
        self.best = best[0]

    def run(self, params: Params, seed: int) -> Sequence[tuple[Losses, float]]:
        """Return the value; a run takes from half a second to one and a half, drawn by the seed."""
        return [(self.truth(params, 1), _seconds(seed))]

    def truth(self, params: Params, epoch: int) -> Losses:
        """Return the function's value."""
        del epoch
        return self._function.at(params)


BEST_HYPERVOLUMES: Mapping[int, float] = {
    2: 0.953384084311242,
    21: 0.912545592283940,
    36: 0.885952164445788,
    47: 0.942803986114097,
    54: 0.986735978557260,
}
"""By function: the largest hypervolume that COCO 2.8 knows of the first instance in five dimensions.

From its `suite_biobj_best_values_hyp.c`: what was ever found by those who ran on COCO, in [-100, 100].
"""


@final
class BiObjective:
    """A function of COCO's suite bbob-biobj in five dimensions: two functions of bbob, to be minimised together.

    The space is [-5, 5] in each dimension, where the optima of both functions lie; COCO's own is twenty times as wide, so
    that a little of the front may lie outside. Truth is normalized as in COCO, by the
    ideal point and the nadir point: that of the best values of both, and that of the worst values on the Pareto front,
    which are each function's at the other's optimum.
    """

    metrics = TWO
    epochs = 1
    mean_s = 1.0

    def __init__(self, function: int) -> None:
        self.name = f"bbob-biobj/f{function}"
        self._function = _Function("bbob-biobj", function, dimension=5)
        self.space = Space.from_yaml(
            json.dumps({"space": {f"x{place:02d}": {"min": -5.0, "max": 5.0} for place in range(5)}})
        )
        self._ideal, self._nadir = ends_of_front(self._function.optima())
        self.best = -BEST_HYPERVOLUMES[function]
        samples = (self.truth(self.space.sample(seed=seed), 1) for seed in range(SAMPLES))
        self.usual = statistics.median(-hypervolume([one]) for one in samples)

    def run(self, params: Params, seed: int) -> Sequence[tuple[Losses, float]]:
        """Return both values; a run takes from half a second to one and a half, drawn by the seed."""
        return [(self._function.at(params), _seconds(seed))]

    def truth(self, params: Params, epoch: int) -> Losses:
        """Return both values, normalized."""
        del epoch
        values = zip(self._function.at(params), self._ideal, self._nadir, strict=True)
        return tuple((value - ideal) / (nadir - ideal) for value, ideal, nadir in values)


def ends_of_front(optima: Sequence[Losses]) -> tuple[Losses, Losses]:
    """Return the ideal and the nadir point, from the values of both functions at the optimum of each."""
    (first_best, second_worst), (first_worst, second_best) = optima
    return (first_best, second_best), (first_worst, second_worst)


@final
class _Function:
    """The first instance of a function; variables are in the order of their names."""

    def __init__(self, suite: str, function: int, *, dimension: int) -> None:
        import cocoex  # pyright: ignore[reportMissingImports]  # of the extra `benchmarks`

        which = f"function_indices:{function} dimensions:{dimension} instance_indices:1"
        self._suite: Any = cast(Any, cocoex).Suite(suite, "", which)  # the problem is its, and goes with it
        self.problem: Any = self._suite.get_problem(0)
        self._seen: dict[tuple[Scalar, ...], Losses] = {}

    def at(self, params: Params) -> Losses:
        """Return the values at a configuration, computed once."""
        point = tuple(params[name] for name in sorted(params))
        if point not in self._seen:
            self._seen[point] = self._values([float(one) for one in point])
        return self._seen[point]

    def optima(self) -> list[Losses]:
        """Return the values at each function's optimum, which COCO knows and only writes to a file in the current folder."""
        here = Path.cwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                self.problem._best_parameter("print")
                (path,) = Path().glob("._bbob_*problem_best_parameter.txt")
                numbers = [float(one) for one in path.read_text().split()]
            finally:
                os.chdir(here)
        size = int(self.problem.dimension)
        return [self._values(numbers[place : place + size]) for place in range(0, len(numbers), size)]

    def _values(self, point: list[float]) -> Losses:
        return tuple(float(one) for one in np.atleast_1d(self.problem(point)))


def _seconds(seed: int) -> float:
    return random.Random(seed).uniform(0.5, 1.5)
