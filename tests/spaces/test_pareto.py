"""Tests of `kerasweep.spaces.pareto`."""

from __future__ import annotations

from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from kerasweep.spaces.pareto import Levels, Point, covers, entered, front, levels_of, ordered, spread

values = st.integers(0, 4).map(float)
points = st.builds(Point, st.tuples(values, values, values), st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0]))
clouds = st.lists(points, max_size=14)


def beats(one: Point, other: Point) -> bool:
    """Say, by the definition, whether a point dominates another: constraints first, then every score."""
    if one.violation != other.violation:
        return one.violation < other.violation
    pairs = list(zip(one.scores, other.scores, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


@given(clouds)
def test_the_front_has_what_nothing_beats(cloud: list[Point]) -> None:
    """Each different point that no other dominates, once."""
    wanted = {one for one in cloud if not any(beats(other, one) for other in cloud)}
    found = front(cloud)
    assert {cloud[place] for place in found} == wanted
    assert len(found) == len(wanted)
    assert all(cloud.index(cloud[place]) == place for place in found), "of equal points the first is taken"


@given(clouds, st.randoms(use_true_random=False))
def test_the_front_does_not_depend_on_the_order(cloud: list[Point], random: object) -> None:
    """The same points in another order have the same front, in the same order, and the same levels."""
    shuffled = list(cloud)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert [cloud[one] for one in front(cloud)] == [shuffled[one] for one in front(shuffled)]
    as_sets = [sorted(map(repr, (cloud[one] for one in level))) for level in levels_of(cloud)]
    assert as_sets == [sorted(map(repr, (shuffled[one] for one in level))) for level in levels_of(shuffled)]
    assert [cloud[one] for one in ordered(cloud)] == [shuffled[one] for one in ordered(shuffled)]


@given(clouds)
def test_entering_one_by_one_gives_the_levels_of_all(cloud: list[Point]) -> None:
    """The incremental update and the sorting agree; a newcomer's level is where it is found."""
    levels: Levels = ()
    for point in cloud:
        levels, place = entered(levels, point)
        assert point in levels[place]
    whole = [sorted(map(repr, (cloud[one] for one in level))) for level in levels_of(cloud)]
    assert [sorted(map(repr, level)) for level in levels] == whole


@given(clouds)
def test_a_level_is_covered_by_the_one_above(cloud: list[Point]) -> None:
    """Every point has one that covers it on the level before, and none on its own."""
    levels = levels_of(cloud)
    for above, level in pairwise(levels):
        assert all(any(covers(cloud[one], cloud[place]) for one in above) for place in level)
    for level in levels:
        assert not any(covers(cloud[one], cloud[two]) for one, two in product(level, level) if one != two)


@given(clouds)
def test_the_order_is_whole_and_feasible_first(cloud: list[Point]) -> None:
    """Every point has a place, before all that it dominates and that break constraints more."""
    order = ordered(cloud)
    assert sorted(order) == list(range(len(cloud)))
    for place, one in enumerate(order):
        assert not any(beats(cloud[later], cloud[one]) for later in order[place + 1 :])


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from((0.0, 0.5))), max_size=12))
def test_one_objective_has_a_level_for_each_point(given_points: list[tuple[int, float]]) -> None:
    """So that these need not be found: the order is that of level after level, with ties as they came."""
    points = [Point((float(score),), violation) for score, violation in given_points]
    assert ordered(points) == [one for level in levels_of(points) for one in level]


def test_equal_points_are_on_different_levels() -> None:
    """What is there already adds nothing to the front."""
    same = Point((1.0, 2.0))
    assert levels_of([same, Point((0.0, 0.0)), same]) == [[0], [2], [1]]
    levels, place = entered(((same,),), same)
    assert (levels, place) == (((same,), (same,)), 1)


def test_the_first_few_stand_for_all() -> None:
    """Best by the first objective, then the other end, then the middle: whatever the units, and orders of magnitude."""
    line = [Point((float(accuracy), -(10.0**accuracy))) for accuracy in range(9)]
    assert [line[one].scores[0] for one in spread(line)][:3] == [8.0, 0.0, 4.0]
    tripled = [Point((one.scores[0] * 3, one.scores[1] * 7)) for one in line]
    assert spread(tripled) == spread(line)


def test_what_breaks_no_constraint_goes_first() -> None:
    """However good its scores."""
    bad, worse, good = Point((9.0,), 0.1), Point((10.0,), 0.2), Point((1.0,))
    assert [[bad, worse, good][one] for one in ordered([bad, worse, good])] == [good, bad, worse]


def test_nothing_is_in_order() -> None:
    """No points, no front."""
    assert (front([]), ordered([]), levels_of([]), spread([])) == ([], [], [], [])
