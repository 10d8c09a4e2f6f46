"""Confirmation: once the search is over, its best trials are trained again on fresh seeds, and the champion chosen there.

The best of many noisy values flatters its trial (the winner's curse). The runs of a confirmation are trials of their
own: journaled and numbered on, with the parameters of the trial that they confirm. No sampler learns from them, no
stop rule judges them, and they count against no budget.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import final

from ..spaces.trial import Outcome, Scalar

Rank = Callable[[float, int, int], tuple[float, ...]]
"""What sorts trials by value, epoch and number, best first."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """How many of the best trials are trained again, on how many fresh seeds each; `top` 0: none."""

    top: int = 0
    seeds: int = 5


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One of the best trials of the search, with the parameters that it had in the end, by identity."""

    number: int
    value: float
    epoch: int
    params: Mapping[str, Scalar]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The best run so far of those that confirm one trial."""

    number: int
    value: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Confirming:
    """The best trials of the search so far, best first; and what was done to confirm them.

    `asked` has the confirmed trial of each run, `best` the best run of each confirmed trial.
    """

    candidates: tuple[Candidate, ...] = ()
    asked: Mapping[int, int] = field(default_factory=dict[int, int])
    best: Mapping[int, Run] = field(default_factory=dict[int, Run])

    def enter(self, outcome: Outcome, number: int, params: Mapping[str, Scalar], top: int, rank: Rank) -> Confirming:
        """Return it with a trial of the search that has ended; the best `top` stay, by `rank`."""
        if not top or outcome.value is None or outcome.epoch is None or not math.isfinite(outcome.value):
            return self
        one = Candidate(number=number, value=outcome.value, epoch=outcome.epoch, params=params)
        ranked = sorted((*self.candidates, one), key=lambda other: rank(other.value, other.epoch, other.number))
        return replace(self, candidates=tuple(ranked[:top]))

    def ask(self, number: int, confirms: int) -> Confirming:
        """Return it with a run that was asked for."""
        return replace(self, asked={**self.asked, number: confirms})

    def end(self, outcome: Outcome, number: int, better: Callable[[float, float | None], bool]) -> Confirming:
        """Return it with a run that has ended."""
        confirms = self.asked[number]
        best = self.best.get(confirms)
        if outcome.value is None or not better(outcome.value, None if best is None else best.value):
            return self
        return replace(self, best={**self.best, confirms: Run(number=number, value=outcome.value)})

    def next(self, plan: Confirm) -> int | None:
        """Return the trial that is to be trained again next: all of them once, then all a second time; None: done."""
        done = Counter(self.asked.values())
        for index in range(plan.seeds):
            for one in self.candidates:
                if done[one.number] <= index:
                    return one.number
        return None

    def times(self, confirms: int) -> int:
        """Return how many runs of a trial were asked for."""
        return sum(one == confirms for one in self.asked.values())

    def params(self, confirms: int) -> Mapping[str, Scalar]:
        """Return the parameters of a candidate."""
        return next(one.params for one in self.candidates if one.number == confirms)
