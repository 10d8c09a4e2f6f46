"""The points of a space that `plan` builds: the default, the ends of every parameter, the corners, some at random."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import final

from ..spaces.constraints import Constraints
from ..spaces.known import Declared, Known
from ..spaces.parameter import Boolean, Choice, Fixed, Interval, Number, Parameter, identity
from ..spaces.prior import configuration
from ..spaces.trial import Scalar
from .summary import scalar

RANDOM_POINTS = 20
MANY_VALUES = 8
"""Of a choice with more values only the first and the last one are its ends."""
MANY_BRANCHES = 20_000
MANY_PARENTS = 100
TRIES = 100
"""So many draws for one random point that `where` allows."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point: what it is in words, and its parameters by identity."""

    label: str
    params: Mapping[str, Scalar]


@final
class Points:
    """Yields points of a space, and grows by what the models built there turn out to read."""

    def __init__(self, declared: Iterable[Declared], seed: int, constraints: Constraints | None = None) -> None:
        self.space = Known.of(declared)
        self._constraints = constraints or Constraints()
        self._random = Random(seed)
        self._ends: deque[Point] = deque()
        self._known: set[str] = set()
        self._given: set[tuple[tuple[str, Scalar], ...]] = set()

    def learn(self, specs: Iterable[Parameter], point: Point) -> None:
        """Take in what the model read at a point: parameters met for the first time get their ends tried there."""
        read = list(specs)
        self.space = self.space.learn(read)
        for parameter in read:
            key = identity(parameter)
            if key not in self._known:
                self._known.add(key)
                for value in ends(parameter):
                    label = f"{parameter.name}={scalar(value)}"
                    self._ends.append(Point(label=label, params={**point.params, key: value}))

    def __iter__(self) -> Iterator[Point]:
        """Yield the points one after another; the ends of what `learn` takes in meanwhile come next."""
        yield from self._fresh(Point(label="the defaults", params={}))
        yield from self._rest()
        for label, high in (("all at their lowest", False), ("all at their highest", True)):
            yield from self._fresh(Point(label=label, params=self.space.walk(_corner(high))))
            yield from self._rest()
        for number in range(1, RANDOM_POINTS + 1):
            tries = (configuration(self.space, self._random) for _ in range(TRIES))
            params = next((one for one in tries if self._allowed(one)), None)
            if params is not None:
                yield from self._fresh(Point(label=f"random point {number}", params=params))
            yield from self._rest()

    def _rest(self) -> Iterator[Point]:
        while self._ends:
            yield from self._fresh(self._ends.popleft())

    def _fresh(self, point: Point) -> Iterator[Point]:
        key = tuple(sorted(point.params.items()))
        if key not in self._given and (not point.params or self._allowed(point.params)):
            self._given.add(key)
            yield point

    def _allowed(self, params: Mapping[str, Scalar]) -> bool:
        """Say whether the model may be built there; what a point does not name takes its default."""
        full = self.space.walk(lambda key, parameter: params.get(key, parameter.initial))
        return self._constraints.broken(self.space.named(full)) is None


def _corner(high: bool) -> Callable[[str, Parameter], Scalar]:
    def value(_: str, parameter: Parameter) -> Scalar:
        if not isinstance(parameter, Number):
            return parameter.initial
        low_high = ends(parameter)
        return low_high[-1 if high else 0] if low_high else parameter.initial

    return value


def ends(parameter: Parameter) -> list[Scalar]:
    """Return both ends of a number, and of a choice its values where they are few."""
    match parameter:
        case Fixed():
            return []
        case Boolean():
            return [False, True]
        case Choice():
            values = list(dict.fromkeys(parameter.values))
            return values if len(values) <= MANY_VALUES else [values[0], values[-1]]
        case Number():
            domain = parameter.domain
            if isinstance(domain, Interval):
                cast = int if domain.integer else float
                found: list[Scalar] = [cast(domain.low), cast(domain.high)]
            else:
                found = [min(domain.values), max(domain.values)]
            return list(dict.fromkeys(found))


def combinations(parameters: Iterable[Parameter]) -> int | None:
    """Return how many configurations there are, conditions heeded; None where a float makes them a continuum."""
    known = list(parameters)
    if any(size(one) is None for one in known):
        return None
    parents = {condition.parent for one in known for condition in one.conditions}
    branches = math.prod(size(one) or 1 for one in known if one.name in parents)
    if branches > MANY_BRANCHES or len(parents) > MANY_PARENTS:
        return math.prod(size(one) or 1 for one in known)
    return _count(known, parents, {})


def _count(known: list[Parameter], parents: set[str], chosen: dict[str, Scalar]) -> int:
    total = 1
    for index, one in enumerate(known):
        if not one.active(chosen):
            continue
        if one.name in parents:
            rest = known[index + 1 :]
            return total * sum(_count(rest, parents, {**chosen, one.name: value}) for value in _values(one))
        total *= size(one) or 1
    return total


def size(parameter: Parameter) -> int | None:
    """Return how many values a parameter has; None for a float without a step."""
    domain = parameter.domain
    if not isinstance(domain, Interval):
        return len(domain.values)
    if domain.low == domain.high:
        return 1
    return int(domain.high) - int(domain.low) + 1 if domain.integer else None


def _values(parameter: Parameter) -> Iterable[Scalar]:
    domain = parameter.domain
    if isinstance(domain, Interval):
        return range(int(domain.low), int(domain.high) + 1)
    return domain.values
