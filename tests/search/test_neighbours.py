"""Tests of `kerasweep.search.neighbours`: distances in a conditional space."""

from __future__ import annotations

import pytest

from kerasweep.search.neighbours import Neighbours
from kerasweep.spaces.parameter import Boolean, Choice, Condition, Number, Sampling

RATE = Number(name="rate", min=1e-4, max=1.0, integer=False, sampling=Sampling.LOG)
KIND = Choice(name="kind", values=("a", "b", "c"))
DEPTH = Number(name="depth", min=1, max=5, integer=True, conditions=(Condition(parent="kind", values=("a",)),))


def test_numbers_count_on_their_own_scale_and_choices_by_being_the_same() -> None:
    """A decade of four is a quarter; another choice is all of its part; a part that one lacks is all of it."""
    near = Neighbours([RATE, KIND, DEPTH], [{"rate": 1e-4, "kind": "a", "depth": 1}, {"rate": 1e-2, "kind": "c"}])
    point = {"rate": 1e-3, "kind": "a", "depth": 3}
    assert near.distances(point) == pytest.approx([(0.25 + 0 + 0.5) / 3, (0.25 + 1 + 1) / 3])
    assert near.nearest(point, 2) == [0, 1]


def test_a_configuration_is_nearest_to_itself() -> None:
    """Whatever it is made of; of equals the first."""
    flag = Boolean(name="flag")
    points = [{"rate": 10**-place, "kind": kind, "flag": place > 2} for place in range(5) for kind in "abc"]
    near = Neighbours([RATE, KIND, flag], [*points, *points])
    assert [near.nearest(point)[0] for point in points] == list(range(len(points)))


def test_a_value_outside_of_its_range_counts_as_missing() -> None:
    """A space that was changed meanwhile has such."""
    near = Neighbours([RATE], [{"rate": 0.1}, {"rate": 7.0}])
    assert near.distances({"rate": 0.1}) == pytest.approx([0.0, 1.0])


def test_two_ranges_of_one_name_are_each_on_their_own() -> None:
    """The form that holds the value is the one that counts."""
    wide = Number(name="depth", min=10, max=20, integer=True, conditions=(Condition(parent="kind", values=("b",)),))
    near = Neighbours([KIND, DEPTH, wide], [{"kind": "a", "depth": 5}, {"kind": "b", "depth": 20}])
    assert near.nearest({"kind": "b", "depth": 15}) == [1]
