"""What a sweep looks for: one objective or several, and constraints on outcomes. Pure.

With several, a trial stands for the values of one epoch, as it is one model that is taken in the end: the epoch that is
best by the first objective (`spaces.bounds.epoch_order`), or the last where the first says `at: last`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, final

from ..spaces.bounds import MEASURES, Bounds, epoch_order, measures_of, median_seconds
from ..spaces.errors import did_you_mean
from ..spaces.pareto import Point
from ..spaces.trial import Outcome, OutcomeKind
from .objective import Objective
from .stop import Ending, Respect

SECONDS = "seconds_per_epoch"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How one objective has gone in a trial: its values so far."""

    best: float
    best_epoch: int
    mean: float
    count: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of a live trial's outcome: what was measured of its model, or why not, and its epochs so far.

    `best` and `last` are what was logged of all that the goals name: at the best epoch, whose place is `order`, and at
    the last. `courses` has one for each objective.
    """

    measures: Mapping[str, float] = field(default_factory=dict[str, float])
    unmeasured: Mapping[str, str] = field(default_factory=dict[str, str])
    seconds: tuple[float, ...] = ()
    courses: tuple[Course, ...] = ()
    order: tuple[float, ...] = ()
    best: Mapping[str, float] = field(default_factory=dict[str, float])
    last: Mapping[str, float] = field(default_factory=dict[str, float])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Goals:
    """The objectives, the first one first, and the constraints."""

    objectives: tuple[Objective, ...]
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def plain(self) -> bool:
        """Whether there is one objective, a logged metric, and nothing else."""
        return len(self.objectives) == 1 and not self.bounds.clauses and self.objectives[0].metric not in MEASURES

    @property
    def names(self) -> tuple[str, ...]:
        """All that the goals mention: an epoch counts where all of it is known."""
        return tuple(dict.fromkeys([*(one.metric for one in self.objectives), *self.bounds.names]))

    # A live trial -----------------------------------------------------------------------------------------------------

    def built(self, seen: Seen, facts: Mapping[str, Any]) -> Seen:
        """Return what is seen with what the trainer found out about the model; what an attempt before has said stands."""
        why: Mapping[str, str] = facts.get("unmeasured") or {}
        return replace(seen, measures={**measures_of(facts), **seen.measures}, unmeasured={**why, **seen.unmeasured})

    def timed(self, seen: Seen, seconds: float) -> Seen:
        """Return what is seen after one more epoch of so many seconds; kept only where it is asked for."""
        return replace(seen, seconds=(*seen.seconds, seconds)) if SECONDS in self.names else seen

    def values(self, seen: Seen, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return all that is known by name: what the model logs itself goes before what is measured."""
        pace = median_seconds(seen.seconds)
        paced = {} if pace is None else {SECONDS: pace}
        return {**seen.measures, **paced, **metrics}

    def missing(self, values: Mapping[str, float]) -> tuple[str, ...]:
        """Return what the goals name and nobody knows."""
        return tuple(name for name in self.names if name not in values)

    def non_finite(self, values: Mapping[str, float]) -> str:
        """Return the first objective whose value is no finite number; empty if there is none."""
        return next((one.metric for one in self.objectives if not math.isfinite(values[one.metric])), "")

    def reported(self, seen: Seen, epoch: int, metrics: Mapping[str, float]) -> tuple[Seen, bool]:
        """Return what is seen after an epoch at which nothing is missing, and whether it is the best so far."""
        values = self.values(seen, metrics)
        here = {name: metrics[name] for name in self.names if name in metrics}
        order = epoch_order(metrics, [(one.metric, one.score(1.0) > 0) for one in self.objectives], self.bounds) or ()
        better = not seen.courses or order > seen.order
        courses = seen.courses or (None,) * len(self.objectives)
        return (
            replace(
                seen,
                courses=tuple(
                    _course(one, objective, values[objective.metric], epoch)
                    for one, objective in zip(courses, self.objectives, strict=True)
                ),
                order=order if better else seen.order,
                best=here if better else seen.best,
                last=here,
            ),
            better,
        )

    def each(self, seen: Seen) -> tuple[Respect, ...]:
        """Return how a trial stands by each objective."""
        values = self.values(seen, seen.last)
        return tuple(
            Respect(
                metric=one.metric,
                score=one.score(values[one.metric]),
                best=one.score(course.best),
                best_epoch=course.best_epoch,
                mean=one.score(course.mean),
            )
            for one, course in zip(self.objectives, seen.courses, strict=True)
        )

    def last_point(self, seen: Seen) -> Point:
        """Return where a trial stands by the last epoch at which all was known."""
        values = self.values(seen, seen.last)
        return Point(tuple(one.score(values[one.metric]) for one in self.objectives), self.violation(values))

    def endings(self, seen: Seen, outcome: Outcome, ending: Ending) -> dict[str, Ending]:
        """Return how a trial ended by each objective."""
        values = outcome.values or (None,) * len(self.objectives)
        last = {one.metric: one.score for one in self.each(seen)} if seen.courses else {}
        return {
            one.metric: replace(
                ending, score=None if value is None else one.score(value), last=last.get(one.metric), each={}
            )
            for one, value in zip(self.objectives, values, strict=True)
        }

    def violation(self, values: Mapping[str, float]) -> float:
        """Return how far values are from keeping to all constraints, as far as these can be told."""
        return sum(self.bounds.violations(values))

    def refused(self, seen: Seen) -> Outcome | None:
        """Return the outcome of a trial whose model breaks a constraint whatever it will log; None if it does not."""
        decided = self.bounds.among(seen.measures)
        why = decided.refusal(seen.measures)
        if not why:
            return None
        violations = self.bounds.violations(seen.measures)
        return Outcome(kind=OutcomeKind.INFEASIBLE, reason=why, violations=violations)

    # One that ended ---------------------------------------------------------------------------------------------------

    def outcome(self, seen: Seen, outcome: Outcome, *, last: bool, value: float | None = None) -> Outcome:
        """Return the outcome with all values of its epoch, and what became of the constraints.

        Args:
            seen: The trial.
            outcome: With the value of the first objective, and the epoch.
            last: Whether the last epoch counts.
            value: What a `fit` of the user's own gave for the first objective.
        """
        if self.plain:
            return outcome
        values = self.values(seen, seen.last if last else seen.best)
        if value is not None:
            values[self.objectives[0].metric] = value
        why = self.bounds.refusal(values)
        return replace(
            outcome,
            value=values[self.objectives[0].metric],
            reason="; ".join(filter(None, [outcome.reason, why])),
            values=tuple(values[one.metric] for one in self.objectives),
            violations=self.bounds.violations(values),
        )

    def point(self, outcome: Outcome) -> Point:
        """Return where an outcome that has a value stands."""
        values = outcome.values or (outcome.value or 0.0,)
        scores = tuple(one.score(value) for one, value in zip(self.objectives, values, strict=False))
        return Point(scores, sum(outcome.violations))


def _course(before: Course | None, objective: Objective, value: float, epoch: int) -> Course:
    if before is None:
        return Course(best=value, best_epoch=epoch, mean=value, count=1)
    better = objective.better(value, before.best)
    return Course(
        best=value if better else before.best,
        best_epoch=epoch if better else before.best_epoch,
        mean=before.mean + (value - before.mean) / (before.count + 1),
        count=before.count + 1,
    )


def without_value(goals: Goals, logged: Iterable[str], seen: Seen) -> str:
    """Return why a trial that logged these has no value: the first name that is missing, with what may be meant."""
    missing = goals.missing(goals.values(seen, dict.fromkeys(logged, 0.0)))
    if not missing and len(goals.names) > 1:
        return f"no epoch logged all of {', '.join(goals.names)}; an epoch counts where all of them are known"
    name = next(iter((*missing, *goals.names)))
    names = sorted(set(logged) - {"learning_rate"})
    objective = name in [one.metric for one in goals.objectives]
    what = f"the objective {name!r}" if objective else f"{name!r}, which `constraints` mentions,"
    if name in MEASURES:
        why = seen.unmeasured.get(name) or "the model is not known: a training loop tells it as report(…, model=model)"
        return f"{what} could not be measured: {why}"
    hint = did_you_mean(name, [*names, *MEASURES])
    have = f"it logs {', '.join(names)}" if names else "it logged nothing"
    return f"{what} is not among the model's metrics{hint}: {have}"
