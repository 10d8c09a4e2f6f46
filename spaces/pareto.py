"""Trade-offs: which points are best where better in one respect may be worse in another. Pure.

Scores are turned so that more is better. `violation` says by how much a point breaks constraints, 0 for not at all:
what breaks none is before what breaks some, and of these the lesser violation is first (constrained domination: Deb et
al., A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, IEEE TEC 2002).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Point:
    """Scores, one for each objective, and how far it is from being feasible."""

    scores: tuple[float, ...]
    violation: float = 0.0

    @property
    def order(self) -> tuple[float, ...]:
        """What sorts points, best first, by the first objective, then by the next; never a point before its betters."""
        return (self.violation, *(-score for score in self.scores))


Levels = tuple[tuple[Point, ...], ...]
"""The first has the points that none covers, the second those that only these cover, and so on."""


def covers(one: Point, other: Point) -> bool:
    """Say whether a point is at least as good as another in every respect; equal ones cover each other."""
    if one.violation != other.violation:
        return one.violation < other.violation
    return all(score >= against for score, against in zip(one.scores, other.scores, strict=True))


def entered(levels: Levels, point: Point) -> tuple[Levels, int]:
    """Return the levels with one more point, and the level that it is on; of equal points the first goes before.

    What the newcomer covers moves down a level, and so on (Li et al., Efficient Nondomination Level Update Method for
    Steady-State Evolutionary Multiobjective Optimization, IEEE Transactions on Cybernetics, 2017).
    """
    place = next((at for at, level in enumerate(levels) if not any(covers(one, point) for one in level)), len(levels))
    changed, moving = list(levels), (point,)
    for at in range(place, len(levels)):
        stay = tuple(one for one in levels[at] if not any(covers(mover, one) for mover in moving))
        leaving = tuple(one for one in levels[at] if any(covers(mover, one) for mover in moving))
        changed[at] = (*stay, *moving)
        moving = leaving
        if not moving:
            return tuple(changed), place
    return (*changed, moving), place


def levels_of(points: Sequence[Point]) -> list[list[int]]:
    """Return the places of the points by level, each level in the order of `Point.order`.

    Taken in that order, a point is covered only by those before it (Zhang et al., An Efficient Approach to Nondominated
    Sorting, IEEE TEC 2015).
    """
    levels: list[list[int]] = []
    for place in sorted(range(len(points)), key=lambda one: points[one].order):
        free = (level for level in levels if not any(covers(points[one], points[place]) for one in reversed(level)))
        level = next(free, None)
        if level is None:
            levels.append([place])
        else:
            level.append(place)
    return levels


def front(points: Sequence[Point]) -> list[int]:
    """Return the places of the points that no other covers, in the order of `Point.order`; of equal ones the first."""
    found: list[int] = []
    for place in sorted(range(len(points)), key=lambda one: points[one].order):
        if not any(covers(points[one], points[place]) for one in found):
            found.append(place)
    return found


def spread(points: Sequence[Point]) -> list[int]:
    """Return the places of points on one level so that the first few stand for all: best by the first objective, then far.

    Each next one is the farthest from those before: an epsilon-net, as in multi-objective successive halving (Schmucker
    et al., Multi-objective Asynchronous Successive Halving, arXiv:2106.12639, 2021). Distances are between ranks, so
    that neither units nor orders of magnitude matter. The order of the points does not change which are taken first.
    """
    left = sorted(range(len(points)), key=lambda one: points[one].order)
    ranks = _ranks(points)
    taken: list[int] = left[:1]
    left = left[1:]
    nearest = {one: _distance(ranks[one], ranks[taken[0]]) for one in left}
    while left:
        farthest = max(left, key=lambda one: nearest[one])  # the first of equals, as `left` is sorted
        left.remove(farthest)
        taken.append(farthest)
        for one in left:
            nearest[one] = min(nearest[one], _distance(ranks[one], ranks[farthest]))
    return taken


def ordered(points: Sequence[Point]) -> list[int]:
    """Return the places of the points, best first: level by level, each so that its first few stand for all of it."""
    if points and len(points[0].scores) == 1:  # a level is a point
        return sorted(range(len(points)), key=lambda one: points[one].order)
    return [level[at] for level in levels_of(points) for at in spread([points[one] for one in level])]


def standing_order(points: Sequence[tuple[Point, int]], *, folds: bool) -> list[int]:
    """Return the places of trials, best first; over folds, those that did more of them: the others may be harder.

    Args:
        points: Where each stands, and the epoch that its values are from.
        folds: Whether an epoch is a fold.
    """
    if not folds:
        return ordered([point for point, _ in points])
    found: list[int] = []
    for epoch in sorted({epoch for _, epoch in points}, reverse=True):
        group = [place for place, (_, at) in enumerate(points) if at == epoch]
        found.extend(group[one] for one in ordered([points[place][0] for place in group]))
    return found


def _ranks(points: Sequence[Point]) -> list[tuple[float, ...]]:
    """Return the scores' ranks among all points, from 0 to 1."""
    columns = [sorted(set(column)) for column in zip(*(one.scores for one in points), strict=True)]
    return [
        tuple(
            bisect_left(column, score) / max(1, len(column) - 1)
            for column, score in zip(columns, one.scores, strict=True)
        )
        for one in points
    ]


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    return sum((left - right) ** 2 for left, right in zip(one, other, strict=True))
