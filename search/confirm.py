"""Confirmation: once the search is over, its best trials are trained again on fresh seeds, and the champion chosen there.

The best of many noisy values flatters its trial (the winner's curse). The runs of a confirmation are trials of their
own: journaled and numbered on, with the parameters of the trial that they confirm. No sampler learns from them, no
stop rule judges them, and they count against no budget.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import final

from ..spaces.pareto import Point, standing_order
from ..spaces.trial import Outcome, Scalar


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """How many of the best trials are trained again, on how many fresh seeds each; `top` 0: none."""

    top: int = 0
    seeds: int = 5


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A trial of the search that may be confirmed: where it stands, and the parameters that it had, by identity."""

    number: int
    point: Point
    epoch: int
    params: Mapping[str, Scalar]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The best run so far of those that confirm one trial."""

    number: int
    value: float
    point: Point


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Confirming:
    """The trials of the search so far that may be confirmed, by number; and what was done to confirm them.

    With one objective the candidates are the best alone; of several, which one trial more may put in another order, all.
    `asked` has the confirmed trial of each run, `best` the best run of each confirmed trial.
    """

    candidates: tuple[Candidate, ...] = ()
    asked: Mapping[int, int] = field(default_factory=dict[int, int])
    best: Mapping[int, Run] = field(default_factory=dict[int, Run])

    def enter(self, one: Candidate, top: int, *, folds: bool) -> Confirming:
        """Return it with a trial of the search that has ended with a value; `folds` as in `standing_order`."""
        candidates = tuple(sorted((*self.candidates, one), key=lambda other: other.number))
        entered = replace(self, candidates=candidates)
        if len(one.point.scores) > 1:
            return entered
        return replace(self, candidates=tuple(sorted(entered.foremost(top, folds=folds), key=lambda one: one.number)))

    def foremost(self, top: int, *, folds: bool) -> tuple[Candidate, ...]:
        """Return the best `top` candidates, best first."""
        places = standing_order([(one.point, one.epoch) for one in self.candidates], folds=folds)
        return tuple(self.candidates[place] for place in places[:top])

    def ask(self, number: int, confirms: int) -> Confirming:
        """Return it with a run that was asked for."""
        return replace(self, asked={**self.asked, number: confirms})

    def end(self, outcome: Outcome, number: int, point: Point) -> Confirming:
        """Return it with a run that has ended, at `point` where it has a value."""
        confirms = self.asked[number]
        best = self.best.get(confirms)
        if outcome.value is None or not math.isfinite(outcome.value):
            return self
        if best is not None and best.point.order <= point.order:
            return self
        return replace(self, best={**self.best, confirms: Run(number=number, value=outcome.value, point=point)})

    def next(self, plan: Confirm, *, folds: bool) -> int | None:
        """Return the trial that is to be trained again next: all of them once, then all a second time; None: done."""
        done, candidates = Counter(self.asked.values()), self.foremost(plan.top, folds=folds)
        for index in range(plan.seeds):
            for one in candidates:
                if done[one.number] <= index:
                    return one.number
        return None

    def times(self, confirms: int) -> int:
        """Return how many runs of a trial were asked for."""
        return sum(one == confirms for one in self.asked.values())

    def params(self, confirms: int) -> Mapping[str, Scalar]:
        """Return the parameters of a candidate."""
        return next(one.params for one in self.candidates if one.number == confirms)
