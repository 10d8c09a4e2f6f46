"""How the best trials of a sweep did when they were trained again on fresh seeds, from the records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from ..spaces.pareto import Point, front
from .history import History, TrialRecord
from .mirror import Goal, value_of
from .student import interval, mean
from .trade_offs import Goals, ranking


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """A confirmed trial by one objective: its searched value, and those of its runs on fresh seeds."""

    goal: Goal
    searched: float
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the runs that have a value."""
        return mean(self.values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % t interval of the mean; None with fewer than two values."""
        return interval(self.values)

    @property
    def flattered(self) -> float:
        """By how much the searched value was better than the mean, negative where it was worse."""
        difference = self.searched - self.mean
        return difference if self.goal.maximize else -difference

    @property
    def in_words(self) -> tuple[str, str]:
        """The mean with its interval, and what that says of the searched value."""
        ends = self.interval
        between = "" if ends is None else f" (95 % t interval {ends[0]:.5g} to {ends[1]:.5g})"
        if set(self.values) == {self.searched}:  # what is measured of a model is the same at each seed
            return f"{self.goal.metric} {self.mean:.5g}", "as searched"
        how = "flattered it by" if self.flattered >= 0 else "was worse by"
        return (
            f"{self.goal.metric} {self.mean:.5g}{between}",
            f"the searched value {self.searched:.5g} {how} {abs(self.flattered):.3g}",
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """A trial of the search and those of its runs on fresh seeds that have a value.

    `each` has its means by each objective, the first one's first; `violations` by how much each run breaks constraints.
    """

    number: int
    runs: tuple[int, ...]
    asked: int
    best_run: int
    each: tuple[Means, ...]
    violations: tuple[float, ...]

    @property
    def searched(self) -> float:
        """The trial's value in the search; as all that follow by the first objective."""
        return self.each[0].searched

    @property
    def values(self) -> tuple[float, ...]:
        """The runs' values."""
        return self.each[0].values

    @property
    def mean(self) -> float:
        """The mean over the runs that have a value."""
        return self.each[0].mean

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % t interval of the mean; None with fewer than two values."""
        return self.each[0].interval

    @property
    def flattered(self) -> float:
        """By how much the searched value was better than the mean, negative where it was worse."""
        return self.each[0].flattered

    @property
    def means(self) -> tuple[float, ...]:
        """The means by all objectives."""
        return tuple(one.mean for one in self.each)

    @property
    def point(self) -> Point:
        """Where it stands by its means; constraints are broken as far as by its runs on average."""
        scores = (one.mean if one.goal.maximize else -one.mean for one in self.each)
        return Point(tuple(scores), mean(self.violations))

    @property
    def in_words(self) -> str:
        """Its means with their intervals, and what these say of the searched values."""
        seeds = f"{len(self.runs)}" if len(self.runs) == self.asked else f"{len(self.runs)} of {self.asked}"
        told = [one.in_words for one in self.each]
        broken = sum(one > 0 for one in self.violations)
        so = f"; {broken} of {len(self.runs)} break constraints" if broken else ""
        if len(told) == 1:
            return f"{told[0][0]} on {seeds} fresh seeds; {told[0][1]}{so}"
        return f"on {seeds} fresh seeds {'; '.join(', '.join(one) for one in told)}{so}"


def confirmation(history: History) -> list[Confirmed]:
    """Return how the best trials did on fresh seeds, the champion first; none before all of them are through.

    Those with more values go first. Then constraints count, then the first objective's mean, then the next one's.
    """
    plan: Mapping[str, int] = history.spec.get("confirm", {})
    count, seeds, runs = plan.get("top", 0), plan.get("seeds", 0), runs_of(history)
    top = ranking(history)[:count] if count and runs else []
    if any(len(_ended(runs.get(one.number, ()))) < seeds for one in top):
        return []
    goals = Goals.of(history.spec)
    found = [_confirmed(one, runs[one.number], goals) for one in top]
    valued = [one for one in found if one is not None]
    return sorted(valued, key=lambda one: (-len(one.runs), one.point.order, one.number))


def confirmed_front(trials: Sequence[Confirmed]) -> list[Confirmed]:
    """Return those of confirmed trials that no other is as good as by every mean; what failed on a seed stands aside."""
    whole = [one for one in trials if len(one.runs) == len(trials[0].runs)]
    return [whole[place] for place in front([one.point for one in whole])]


def runs_of(history: History) -> dict[int, list[TrialRecord]]:
    """Return the runs of each trial that is, or was, confirmed."""
    runs: dict[int, list[TrialRecord]] = {}
    for record in history.trials.values():
        if record.confirms is not None:
            runs.setdefault(record.confirms, []).append(record)
    return runs


def _ended(runs: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [one for one in runs if one.outcome is not None]


def _confirmed(record: TrialRecord, runs: Sequence[TrialRecord], goals: Goals) -> Confirmed | None:
    valued = [one for one in runs if math.isfinite(value_of(one))]
    if not valued:
        return None
    values = zip(*map(goals.values, valued), strict=True)
    places = {one.number: goals.place(one) for one in valued}
    return Confirmed(
        number=record.number,
        runs=tuple(places),
        asked=len(runs),
        best_run=min(places, key=lambda number: places[number].order),
        each=tuple(
            Means(goal=goal, searched=searched, values=of_runs)
            for goal, searched, of_runs in zip(goals.each, goals.values(record), values, strict=True)
        ),
        violations=tuple(one.violation for one in places.values()),
    )
