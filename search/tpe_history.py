"""What a study holds, as arrays, ranked: each trial is read once, so that a proposal costs the same after 10,000."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
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
    """The finished trials of one study, a row each, with a column per parameter, NaN where it was not active.

    Those that run are kept beside them, as they are.
    """

    def __init__(self) -> None:
        self.distributions: dict[str, BaseDistribution] = {}
        """As each parameter was last used."""
        self.running: list[FrozenTrial] = []
        self.ranked: Rows = np.zeros(0, dtype=np.intp)
        """All rows, the best trial first; with several objectives the completed ones stand in no order."""
        self._ranks: list[Rank] = []
        self._columns: dict[str, int] = {}
        self._values = np.full((64, 8), np.nan)
        self._numbers = np.zeros(64)
        self._losses = np.zeros((64, 0))
        self._together = np.zeros((8, 8), dtype=np.intp)
        self._seen = 0
        self._open: list[int] = []

    def read(self, study: optuna.Study) -> None:
        """Take in what has changed since the last time."""
        trials = study.get_trials(deepcopy=False)
        signs = [-1.0 if one.name == "MAXIMIZE" else 1.0 for one in study.directions]
        if not self._losses.shape[1]:
            self._losses = np.full((64, len(signs)), np.nan)
        unread = [*self._open, *range(self._seen, len(trials))]
        self._seen = len(trials)
        self._open = [number for number in unread if not trials[number].state.is_finished()]
        self.running = [trials[number] for number in self._open if trials[number].state.name == "RUNNING"]
        for number in unread:
            if trials[number].state.name in ("COMPLETE", "PRUNED"):
                self._add(trials[number], signs)

    def column(self, name: str, rows: Rows) -> Array:
        """Return a parameter's internal values in these rows."""
        return self._values[rows, self._columns[name]] if name in self._columns else np.full(len(rows), np.nan)

    def losses(self, rows: Rows) -> Array:
        """Return (rows, objectives): the values of completed trials that keep all constraints, less being better; else NaN."""
        return self._losses[rows]

    def by_number(self, rows: Rows) -> Rows:
        """Return the rows, the oldest trial first."""
        return rows[np.argsort(self._numbers[rows])]

    def split(self, rows: Rows, count: int) -> tuple[Rows, Rows]:
        """Return the `count` best of these rows, which stand as in `ranked`, and the others.

        With several objectives, completed trials go by non-dominated rank, and by crowding within the last one.
        """
        if self._losses.shape[1] > 1:
            peers = rows[np.isfinite(self._losses[rows]).all(axis=1)]
            if count < len(peers):
                best = peers[foremost(self._losses[peers], count)]
                return best, rows[~np.isin(rows, best)]
        return rows[:count], rows[count:]

    def companions(self, name: str) -> list[str]:
        """Return the other parameters that were active in the very trials in which `name` was.

        A trial that failed before it had a value does not count, since it need not have said what it used.
        """
        if name not in self._columns:
            return []
        column, counts = self._columns[name], np.diagonal(self._together)
        alike = (self._together[column] == counts[column]) & (counts == counts[column])
        return [one for one, other in self._columns.items() if alike[other] and one != name]

    def _add(self, trial: FrozenTrial, signs: Sequence[float]) -> None:
        row = len(self._ranks)
        columns = [self._column(name) for name in trial.params]
        if row == len(self._numbers):
            self._values, self._losses = longer(self._values), longer(self._losses)
            self._numbers = np.append(self._numbers, np.zeros_like(self._numbers))
        for column, (name, value) in zip(columns, trial.params.items(), strict=True):
            self.distributions[name] = trial.distributions[name]
            self._values[row, column] = trial.distributions[name].to_internal_repr(value)
        self._numbers[row] = trial.number
        if trial.state.name == "COMPLETE" or trial.intermediate_values:
            self._together[np.ix_(columns, columns)] += 1
        rank = rank_of(trial, signs)
        if rank[:2] == (0.0, 0):
            self._losses[row] = np.multiply(signs, trial.values)
        place = bisect_left(self._ranks, rank)
        self._ranks.insert(place, rank)
        self.ranked = np.insert(self.ranked, place, row)

    def _column(self, name: str) -> int:
        if name not in self._columns:
            column = self._columns[name] = len(self._columns)
            if column == self._values.shape[1]:
                self._values = np.hstack([self._values, np.full_like(self._values, np.nan)])
                self._together = np.pad(self._together, (0, column))
        return self._columns[name]


def longer(rows: Array) -> Array:
    """Return the rows with room for as many more."""
    return np.vstack([rows, np.full_like(rows, np.nan)])


def rank_of(trial: FrozenTrial, signs: Sequence[float]) -> Rank:
    """Return by what trials are ranked, the best least, as Optuna's TPE does.

    Feasible before infeasible, less violated before more; completed before stopped; further before less far; by
    value; without a value last. One that failed before its constraints were known is worse than any that is infeasible.
    """
    if not (trial.constraints or trial.intermediate_values or trial.state.name == "COMPLETE"):
        return math.inf, 1, 1.0, 0.0, trial.number
    violation = sum(max(0.0, one) for one in trial.constraints.values())
    if violation > 0:
        return violation, 0, 0.0, 0.0, trial.number
    if trial.state.name == "COMPLETE":
        return 0.0, 0, 0.0, _loss(signs[0] * trial.values[0]) if len(signs) == 1 else 0.0, trial.number
    if not trial.intermediate_values:
        return 0.0, 1, 1.0, 0.0, trial.number
    step, value = max(trial.intermediate_values.items())
    return 0.0, 1, -float(step), _loss(signs[0] * value), trial.number


def foremost(losses: Array, count: int) -> NDArray[np.intp]:
    """Return `count` of the points, front by front, of the last one those with the most room around them.

    Fronts by non-dominated sorting, room by crowding distance, as in NSGA-II (Deb et al., IEEE TEC 2002).
    """
    chosen: list[NDArray[np.intp]] = []
    left = contenders(losses, count)
    left = left[np.lexsort(losses[left].T[::-1])]  # a point can only be dominated by one that comes before it
    while count > 0:
        front = left[_undominated(losses[left])]
        if len(front) > count:
            front = front[np.argsort(-_room(losses[front]), kind="stable")[:count]]
        chosen.append(front)
        count -= len(front)
        left = left[~np.isin(left, front)]
    return np.concatenate(chosen) if chosen else left[:0]


def contenders(losses: Array, count: int) -> NDArray[np.intp]:
    """Return the points that may be among the `count` foremost, and few others: what as many dominate is behind them."""
    by_metric = np.ascontiguousarray(losses.T)
    places = np.argsort(np.argsort(by_metric, axis=1), axis=1).sum(axis=0)
    likely = by_metric[:, np.argsort(places, kind="stable")[: 2 * count]]
    dominators = np.zeros(len(losses), dtype=np.intp)
    for one in likely.T:
        dominators += np.logical_and.reduce(one[:, None] < by_metric)
    return np.flatnonzero(dominators < count)


def _undominated(losses: Array) -> NDArray[np.bool_]:
    """Say of each point, in lexicographic order, whether no other is as good in all respects and better in one."""
    result = np.ones(len(losses), dtype=np.bool_)
    for place in range(len(losses)):
        if result[place]:
            later = losses[place + 1 :]
            covered = (losses[place] <= later).all(axis=1) & (losses[place] < later).any(axis=1)
            result[place + 1 :] &= ~covered
    return result


def _room(losses: Array) -> Array:
    """Return the crowding distance of each point of a front; without bound at its ends."""
    room = np.zeros(len(losses))
    for one in losses.T:
        order = np.argsort(one, kind="stable")
        span = one[order[-1]] - one[order[0]]
        gaps = np.full(len(one), np.inf)
        if span > 0:
            gaps[1:-1] = (one[order[2:]] - one[order[:-2]]) / span
        room[order] += gaps
    return room


def _loss(value: float) -> float:
    return math.inf if math.isnan(value) else value
