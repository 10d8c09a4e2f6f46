"""Several objectives, and constraints on outcomes, as MLflow shall show them: columns, the front, what is feasible.

A trial's run has a metric `objective/NAME` for each objective, whose last point is the trial's value, and one for each
built-in measure that the sweep names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, final

from ..spaces.bounds import MEASURES, Bounds, epoch_order
from ..spaces.pareto import Point as Place
from ..spaces.pareto import front, standing_order
from . import mirror
from .history import History, TrialRecord
from .mirror import OBJECTIVE, Goal, cleaned_names, milliseconds, rounded, several_fits
from .runs import Point

FEASIBLE = "feasible"
"""The tag of a trial that says whether it keeps to the constraints."""


@final
@dataclass(frozen=True, slots=True)
class Goals:
    """What a journaled specification looks for: its objectives, the first one first, and its constraints."""

    each: tuple[Goal, ...]
    bounds: Bounds

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Self:
        """Return the goals of a journaled specification; one of an older version has one objective."""
        further = (Goal.of({**spec, "objective": one}) for one in spec.get("further", ()))
        return cls((Goal.of(spec), *further), Bounds.of(spec.get("bounds", ())))

    @property
    def plain(self) -> bool:
        """Whether there is one objective, a logged metric, and nothing else."""
        return len(self.each) == 1 and not self.bounds.clauses and self.each[0].metric not in MEASURES

    @property
    def columns(self) -> list[str]:
        """The metrics that have the trials' values, the first objective's first."""
        return [OBJECTIVE] if self.plain else _columns([goal.metric for goal in self.each])

    @property
    def measures(self) -> list[str]:
        """The built-in measures that the sweep names."""
        named = {*(goal.metric for goal in self.each), *self.bounds.names}
        return [name for name in MEASURES if name in named]

    def values(self, record: TrialRecord) -> tuple[float, ...]:
        """Return the values of a trial that has some, one for each objective."""
        return () if record.outcome is None else record.outcome.values or (mirror.value_of(record),)

    def place(self, record: TrialRecord) -> Place:
        """Return where a trial that has values stands."""
        turned = (
            value if goal.maximize else -value for goal, value in zip(self.each, self.values(record), strict=False)
        )
        return Place(tuple(turned), 0.0 if record.outcome is None else sum(record.outcome.violations))

    def __str__(self) -> str:
        return ", ".join(map(str, self.each))


def points(record: TrialRecord, epochs: Iterable[int], spec: Mapping[str, Any]) -> Iterator[Point]:
    """Yield the metrics of `epochs`, what was measured, and the objectives: where they are news, and as they are in the end."""
    goals, wanted = Goals.of(spec), sorted(epochs)
    if goals.plain:
        yield from mirror.points(record, wanted, goals.each[0])
        return
    columns = goals.columns
    yield from mirror.logged(record, wanted, taken=columns)
    logged = {name for row in record.metrics.values() for name in row}
    began_ms = milliseconds(record.started_at or record.asked_at)
    for name in goals.measures:
        if (
            name in record.measured
            and name not in logged
            and (name != "seconds_per_epoch" or record.outcome is not None)
        ):
            yield Point(name, record.measured[name], 0, began_ms)
    news = {epoch for epoch in _news(record, goals) if epoch in wanted}
    for epoch in sorted(news):
        for column, goal in zip(columns, goals.each, strict=True):
            value = record.metrics[epoch].get(goal.metric, math.nan)
            if math.isfinite(value):
                yield Point(column, rounded(value), epoch, milliseconds(record.reported_at[epoch]))
    outcome = record.outcome
    if outcome is None or not record.metrics:
        return
    ended_ms = milliseconds(record.ended_at or record.asked_at)
    for column, value in zip(columns, goals.values(record) if outcome.value is not None else (), strict=False):
        yield Point(column, rounded(value), outcome.epoch or 0, ended_ms)
    if outcome.value is None:  # else the table would rank it
        yield from (Point(column, math.nan, max(record.metrics), ended_ms) for column in columns)


def trial_tags(record: TrialRecord, spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the tag that says whether a trial that has ended keeps to the constraints, where there are some."""
    outcome = record.outcome
    if outcome is None or not Goals.of(spec).bounds.clauses or not outcome.violations:
        return {}
    return {FEASIBLE: "true" if outcome.feasible else "false"}


def ranking(history: History) -> list[TrialRecord]:
    """Return the trials of the search that have a value, best first; with several objectives the first front, then the next."""
    goals, valued = Goals.of(history.spec), mirror.ranking(history)
    if goals.plain:
        return valued
    by_number = sorted(valued, key=lambda one: one.number)
    places = standing_order([_standing(goals, one) for one in by_number], folds=several_fits(history.spec))
    return [by_number[place] for place in places]


def best_of(history: History) -> TrialRecord | None:
    """Return the first of the ranking, without the others' order: the best by the first objective of those on the front."""
    goals, several = Goals.of(history.spec), several_fits(history.spec)

    def order(one: TrialRecord) -> tuple[float, tuple[float, ...]]:
        place, epoch = _standing(goals, one)
        return -epoch if several else 0, place.order

    return min(mirror.ranking(history), key=order, default=None)


def front_of(history: History) -> list[TrialRecord]:
    """Return the trials that no other is as good as in every respect, best by the first objective first.

    Where none keeps to the constraints, it is those that break them least; of several fits, those that did most of them.
    """
    goals, valued = Goals.of(history.spec), mirror.ranking(history)
    if several_fits(history.spec):
        most = max((_standing(goals, one)[1] for one in valued), default=0)
        valued = [one for one in valued if _standing(goals, one)[1] == most]
    by_number = sorted(valued, key=lambda one: one.number)
    return [by_number[place] for place in front([goals.place(one) for one in by_number])]


def _standing(goals: Goals, record: TrialRecord) -> tuple[Place, int]:
    return goals.place(record), (record.outcome.epoch or 0) if record.outcome is not None else 0


def _news(record: TrialRecord, goals: Goals) -> Iterator[int]:
    """Yield the epochs at which the trial was better than before; with `at: last`, all."""
    best: tuple[float, ...] | None = None
    for epoch, row in sorted(record.metrics.items()):
        order = epoch_order(row, [(goal.metric, goal.maximize) for goal in goals.each], goals.bounds)
        if order is not None and (goals.each[0].last or best is None or order > best):
            best = order
            yield epoch


def _columns(metrics: Iterable[str]) -> list[str]:
    names = [f"{OBJECTIVE}/{metric}" for metric in metrics]
    return list(cleaned_names(names).values())
