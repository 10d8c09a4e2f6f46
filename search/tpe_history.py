"""What a study holds, as arrays, ranked: read once per trial, so that a proposal costs the same after 10,000."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from .parzen import Array

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Rows = NDArray[np.intp]
Rank = tuple[float, int, float, float, int]


@final
class History:
    """Trials of one study that finished, a row each, with a column per parameter, NaN where it was not active."""

    def __init__(self) -> None:
        self.distributions: dict[str, BaseDistribution] = {}
        self.running: list[FrozenTrial] = []
        self._columns: dict[str, int] = {}
        self._values = np.full((64, 8), np.nan)
        self._numbers = np.zeros(64, dtype=np.intp)
        self._losses: list[list[float]] = []
        self._ranks: list[Rank] = []
        self._best_first = np.zeros(0, dtype=np.intp)
        self._together = np.zeros((8, 8), dtype=np.intp)
        self._size = 0
        self._seen = 0
        self._open: list[int] = []

    def __len__(self) -> int:
        return self._size

    def read(self, study: optuna.Study) -> None:
        """Take in what has changed since the last time."""
        trials = study.get_trials(deepcopy=False)
        unread = [*self._open, *range(self._seen, len(trials))]
        self._seen = len(trials)
        self._open = [number for number in unread if not trials[number].state.is_finished()]
        self.running = [trials[number] for number in self._open if trials[number].state.name == "RUNNING"]
        signs = [-1.0 if one.name == "MAXIMIZE" else 1.0 for one in study.directions]
        for number in unread:
            if trials[number].state.name in ("COMPLETE", "PRUNED"):
                self._add(trials[number], signs)

    def best_first(self) -> Rows:
        """Return all rows, the best trial first."""
        return self._best_first

    def column(self, name: str, rows: Rows) -> Array:
        """Return a parameter's internal values in these rows."""
        return self._values[rows, self._columns[name]] if name in self._columns else np.full(len(rows), np.nan)

    def by_number(self, rows: Rows) -> Rows:
        """Return the rows, the oldest trial first."""
        return rows[np.argsort(self._numbers[rows], kind="stable")]

    def companions(self, name: str) -> list[str]:
        """Return the parameters that were active in the very trials in which `name` was, itself among them."""
        if name not in self._columns:
            return [name]
        own, counts = self._together[self._columns[name]], np.diagonal(self._together)
        count = own[self._columns[name]]
        return [one for one, column in self._columns.items() if own[column] == count == counts[column]]

    def _add(self, trial: FrozenTrial, signs: list[float]) -> None:
        active = [self._column(name) for name in trial.params]
        row = self._size
        if row == len(self._values):
            self._values = np.vstack([self._values, np.full_like(self._values, np.nan)])
            self._numbers = np.concatenate([self._numbers, np.zeros_like(self._numbers)])
        for column, (name, value) in zip(active, trial.params.items(), strict=True):
            self.distributions[name] = trial.distributions[name]
            self._values[row, column] = trial.distributions[name].to_internal_repr(value)
        self._numbers[row] = trial.number
        self._size += 1
        if trial.state.name == "COMPLETE" or trial.intermediate_values:  # a failed one need not have said what it used
            self._together[np.ix_(active, active)] += 1
        rank = rank_of(trial, signs[0])
        place = bisect_left(self._ranks, rank)
        self._ranks.insert(place, rank)
        self._best_first = np.insert(self._best_first, place, row)

    def _column(self, name: str) -> int:
        if name not in self._columns:
            self._columns[name] = column = len(self._columns)
            if column == self._values.shape[1]:
                self._values = np.hstack([self._values, np.full_like(self._values, np.nan)])
                self._together = np.pad(self._together, (0, column))
        return self._columns[name]


def rank_of(trial: FrozenTrial, sign: float) -> Rank:
    """Return by what trials are ranked, the best least, as Optuna's TPE does.

    Feasible before infeasible, less violated before more; completed before stopped; further before less far; by
    value; without a value last.
    """
    violation = sum(max(0.0, one) for one in trial.constraints.values())
    if violation > 0:
        return violation, 0, 0.0, 0.0, trial.number
    if trial.state.name == "COMPLETE":
        return 0.0, 0, 0.0, _number(sign * (trial.value or 0.0)), trial.number
    if not trial.intermediate_values:
        return 0.0, 1, 1.0, 0.0, trial.number
    step, value = max(trial.intermediate_values.items())
    return 0.0, 1, -float(step), _number(sign * value), trial.number


def _number(loss: float) -> float:
    return math.inf if math.isnan(loss) else loss
