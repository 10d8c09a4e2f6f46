"""Where a search starts: points to try first, and what an earlier sweep found, as far as it fits this one's space.

The best trials of an earlier sweep are tried again here. Its others become history: their values are of another scale
(other data, another objective, other epochs), so only their ranks are taken, and each stands for the value that this
sweep's own trials have at that rank.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Self, final

from ..spaces.constraints import Constraints
from ..spaces.errors import BadInput, did_you_mean
from ..spaces.known import Known
from ..spaces.parameter import Interval, Parameter
from ..spaces.prior import configuration
from ..spaces.trial import Json, Scalar
from ..trackers.events import StartingPoints
from .codec import encode
from .objective import Objective

TOP = 5
"""So many of an earlier sweep's best trials are tried again, where nothing else is said."""
MOST_PRIOR = 200
"""So many of its other trials are taken as history: the better half as they stand, every so many of the rest."""
TRY = "start.try"

Point = Mapping[str, Scalar]
"""Values by plain name; what it leaves out is sampled."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An earlier sweep, by its folder, of which the `top` best trials are tried again."""

    folder: str
    top: int = TOP


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a sweep file says under `start`; `points` are tried in their order, before those of the sources."""

    points: tuple[Point, ...] = ()
    sources: tuple[Source, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """Return the plain form."""
        sources = [{"folder": one.folder, "top": one.top} for one in self.sources]
        return {"points": [dict(one) for one in self.points], "sources": sources}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_json` wrote."""
        sources = tuple(Source(folder=one["folder"], top=one["top"]) for one in data.get("sources", ()))
        return cls(points=tuple(data.get("points", ())), sources=sources)

    def __bool__(self) -> bool:
        return bool(self.points or self.sources)


# Values and parameters ----------------------------------------------------------------------------------------------------


def fitted(parameter: Parameter, value: Scalar) -> Scalar | None:
    """Return `value` as the parameter has it, None where that cannot be."""
    domain = parameter.domain
    if not isinstance(domain, Interval):
        place = encode(parameter, value)
        return None if place is None else domain.values[int(place)]
    if isinstance(value, bool | str) or not math.isfinite(value) or not domain.low <= value <= domain.high:
        return None
    if domain.integer:
        return int(value) if value == int(value) else None
    return float(value)


def pinned(point: Point, space: Known) -> dict[str, Scalar]:
    """Return, by identity, the values of a point that fit parameters of the space."""
    found: dict[str, Scalar] = {}
    for key, parameter in space.parameters.items():
        if parameter.name in point:
            value = fitted(parameter, point[parameter.name])
            if value is not None:
                found[key] = value
    return found


def with_parents(point: Point, space: Known) -> dict[str, Scalar]:
    """Return the point with the branches that its parameters stand in, where it does not name these itself."""
    whole = dict(point)
    for parameter in reversed(list(space.parameters.values())):  # a parent comes before its children
        if parameter.name in whole:
            for condition in parameter.conditions:
                if len(condition.values) == 1:
                    whole.setdefault(condition.parent, condition.values[0])
    return whole


def with_branches(point: Point, space: Known, constraints: Constraints, random: Random) -> dict[str, Scalar]:
    """Return the point with a branch for each of its parameters, one at random where several have it.

    It is one that has all of them, and that `constraints` allow, where there is such a one.
    """
    whole = with_parents(point, space)
    for parameter in reversed(list(space.parameters.values())):
        for condition in parameter.conditions if parameter.name in whole else ():
            if condition.parent in whole:
                continue
            sets = [
                set(one.values)
                for other in space.parameters.values()
                for one in other.conditions
                if other.name in whole and one.parent == condition.parent
            ]
            common = [value for value in condition.values if all(value in one for one in sets)] or [*condition.values]
            random.shuffle(common)
            whole[condition.parent] = next(
                (one for one in common if not constraints.refusal({**_each(whole), condition.parent: (one,)})),
                common[0],
            )
    return whole


def _each(values: Point) -> dict[str, tuple[Scalar]]:
    return {name: (value,) for name, value in values.items()}


# What an earlier sweep found ----------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The trials of a sweep that have a value, best first: number and parameters by plain name."""

    name: str
    trials: tuple[tuple[int, Point], ...]


def read(source: Source, objective: Objective) -> Found:
    """Return what a sweep has found.

    Raises:
        BadInput: there is no such sweep, or none of its trials has a value, or it wants the opposite.
    """
    from . import sweeps
    from .summary import Summary

    folder = Path(source.folder)
    history = sweeps.read(folder)
    if not history.spec:
        raise BadInput(f"the sweep {folder.name} has not begun; expected one with results")
    summary = Summary.of(history)
    theirs = summary.objective
    if theirs.metric == objective.metric and theirs.direction is not objective.direction:
        raise BadInput(
            f"the sweep {folder.name} looks for {theirs}, this one for {objective}: its best is the worst here"
        )
    trials = tuple((one.number, dict(one.params)) for one in summary.ranked())
    if not trials:
        raise BadInput(
            f"no trial of the sweep {folder.name} has a value ({summary.counts()}); expected one with results"
        )
    return Found(name=folder.name, trials=trials)


def resolve(start: Start, objective: Objective, space: Known, constraints: Constraints) -> StartingPoints:
    """Return what the sweep starts from, with all that is taken from earlier sweeps.

    Args:
        start: What is wanted.
        objective: This sweep's.
        space: The declared parameters; values of others stay as they are, until a model reads them.
        constraints: What every trial keeps to.

    Raises:
        BadInput: an earlier sweep cannot be read, or does not fit.
    """
    points = [
        {"values": with_branches(point, space, constraints, Random(index)), "of": f"{TRY}.{index}"}
        for index, point in enumerate(start.points)
    ]
    prior: list[Mapping[str, Any]] = []
    for source in start.sources:
        found = read(source, objective)
        taken, count = 0, len(found.trials)
        for place, (number, params) in enumerate(found.trials):
            values = _adapted(params, space)
            if not values or constraints.refusal({name: (one,) for name, one in values.items()}):
                continue
            of = f"{found.name}, trial {number}"
            if taken < source.top:
                if all(values != one["values"] for one in points):
                    points.append({"values": values, "of": of})
                    taken += 1
            else:
                prior.append({"values": values, "of": of, "worse": 1 - (place + 0.5) / count})
    return StartingPoints(points=tuple(points), prior=_thinned(prior))


def _adapted(params: Point, space: Known) -> dict[str, Scalar]:
    """Return the values that may be used here: in the ranges that are declared, the others left to the model."""
    declared = {parameter.name: parameter for parameter in space.parameters.values()}
    values: dict[str, Scalar] = {}
    for name, value in params.items():
        if name not in declared:
            values[name] = value
            continue
        alike = (one for one in space.parameters.values() if one.name == name)
        value = next((fit for one in alike if (fit := fitted(one, value)) is not None), None)
        if value is not None:
            values[name] = value
    return values


def _thinned(prior: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    ranked = sorted(prior, key=lambda one: -one["worse"])
    if len(ranked) <= MOST_PRIOR:
        return tuple(ranked)
    half = MOST_PRIOR // 2
    step = (len(ranked) - half) / half
    return (*ranked[:half], *(ranked[half + int(index * step)] for index in range(half)))


# What the sampler asks ----------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """What a search starts from, as it was journaled."""

    points: tuple[Mapping[str, Any], ...] = ()
    prior: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, event: StartingPoints) -> Self:
        """Return what the event says."""
        return cls(points=event.points, prior=event.prior)

    def pins(self, number: int, space: Known) -> dict[str, Scalar]:
        """Return the values, by identity, that a trial of this number gets, of parameters known so far."""
        return pinned(self.points[number]["values"], space) if number < len(self.points) else {}

    def is_ahead(self, number: int, space: Known) -> bool:
        """Say whether a trial of this number starts from values of parameters that are not known so far."""
        if number >= len(self.points):
            return False
        return not self.points[number]["values"].keys() <= {one.name for one in space.parameters.values()}

    def history(self, space: Known, scores: Sequence[float]) -> list[tuple[dict[str, Scalar], float]]:
        """Return parameters by identity and a score, more is better, for each trial of the past, best first.

        A parameter that it did not have gets a random value, so that it says nothing about that one.

        Args:
            space: The parameters known so far.
            scores: Those of this sweep's own trials, ascending.
        """
        return [
            (
                configuration(space, Random(index), pinned(one["values"], space)),
                at_quantile(scores, one["worse"]),
            )
            for index, one in enumerate(self.prior)
        ]

    def given(self, number: int) -> str:
        """Return where the user gave the point of a trial; empty where that is of another sweep, or of none."""
        of = str(self.points[number]["of"]) if number < len(self.points) else ""
        return of if of.startswith(TRY) else ""

    def mistake(self, read: Iterable[Parameter]) -> str:
        """Return what is wrong with the points that the user gave, where a model has these parameters."""
        parameters = list(read)
        for one in self.points:
            if not one["of"].startswith(TRY):
                continue
            for name, value in one["values"].items():
                alike = [parameter for parameter in parameters if parameter.name == name]
                if alike and all(fitted(parameter, value) is None for parameter in alike):
                    return f"{one['of']}.{name} is {value!r}; expected {expected(alike[0])}"
        return ""

    def unread(self, number: int, names: Sequence[str]) -> str:
        """Return what is wrong with the point that the user gave for a trial, where these are all that it has read."""
        for name in self.points[number]["values"] if self.given(number) else ():
            if name not in names:
                have = f"the model reads {', '.join(names)} there" if names else "the model reads none"
                return f"{self.given(number)}: no parameter {name!r}{did_you_mean(name, names)}; {have}"
        return ""


def at_quantile(scores: Sequence[float], worse: float) -> float:
    """Return the score that the share `worse` of ascending `scores` is below, between two of them in proportion.

    Ranks that fall on one score stay apart by a trifle, a ten-thousandth of the spread, so that their order is kept.
    """
    if not scores:
        return worse
    place = worse * len(scores) - 0.5
    below = min(max(math.floor(place), 0), len(scores) - 1)
    above = min(below + 1, len(scores) - 1)
    part = min(max(place - below, 0.0), 1.0)
    spread = min(scores[-1] - scores[0], sys.float_info.max) or abs(scores[0]) or 1.0
    found = scores[below] * (1 - part) + scores[above] * part + (worse - 0.5) * spread * 1e-4
    return min(max(found, -sys.float_info.max), sys.float_info.max)


def expected(parameter: Parameter) -> str:
    """Return what a parameter takes, in words."""
    domain = parameter.domain
    if isinstance(domain, Interval):
        kind = "a whole number" if domain.integer else "a number"
        return f"{kind} from {domain.low:g} to {domain.high:g}"
    shown = ", ".join(str(value) for value in domain.values[:8])
    return f"one of {shown}{', …' if len(domain.values) > 8 else ''}"


def journaled(start: Start, objective: Objective, space: Known, constraints: Constraints) -> list[StartingPoints]:
    """Return the events that a sweep begins with.

    Raises:
        BadInput: an earlier sweep cannot be read any more.
    """
    return [resolve(start, objective, space, constraints)] if start else []


def in_words(start: Start) -> str:
    """Return `2 points, the top 5 of digits`."""
    count = len(start.points)
    points = [f"{count} point{'' if count == 1 else 's'}"] if count else []
    return ", ".join([*points, *(f"the top {one.top} of {Path(one.folder).name}" for one in start.sources)])
