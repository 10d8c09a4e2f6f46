"""The points of a space that `plan` builds."""

from __future__ import annotations

from kerasweep.search.points import Points, combinations, ends
from kerasweep.spaces.constraints import Constraints
from kerasweep.spaces.known import Declared
from kerasweep.spaces.parameter import (
    Boolean,
    Choice,
    Condition,
    Fixed,
    Interval,
    Number,
    Parameter,
    Sampling,
    identity,
)
from kerasweep.spaces.trial import Scalar

UNITS = Number(name="units", min=32, max=128, integer=True, step=32)
RATE = Number(name="rate", min=1e-4, max=1e-1, integer=False, sampling=Sampling.LOG, default=1e-3)
KIND = Choice(name="kind", values=("sgd", "adam"))
MOMENTUM = Number(
    name="momentum", min=0.0, max=0.9, integer=False, conditions=(Condition(parent="kind", values=("sgd",)),)
)
DEPTH = Number(name="depth", min=1, max=3, integer=True, conditions=(Condition(parent="kind", values=("adam",)),))


def walked(reads: list[Parameter]) -> list[tuple[str, dict[str, Scalar]]]:
    """Return the points, each by label and by name, of a model that reads what is active."""
    points = Points((), 0)
    names = {identity(one): one.name for one in reads}
    seen: list[tuple[str, dict[str, Scalar]]] = []
    for point in points:
        by_name = {names[key]: value for key, value in point.params.items()}
        values = {one.name: by_name.get(one.name, one.initial) for one in reads}
        points.learn([one for one in reads if one.active(values)], point)
        seen.append((point.label, by_name))
    return seen


def test_the_default_comes_first_and_then_both_ends_of_all() -> None:
    """Parameters are found at the default; every end is one change from it."""
    seen = walked([UNITS, RATE])
    assert seen[0] == ("the defaults", {})
    assert [point for _, point in seen[1:5]] == [{"units": 32}, {"units": 128}, {"rate": 1e-4}, {"rate": 1e-1}]


def test_the_corners_and_random_points_follow() -> None:
    """All parameters at their lowest, at their highest, and 20 random configurations."""
    seen = dict(walked([UNITS, RATE]))
    assert seen["all at their lowest"] == {"units": 32, "rate": 1e-4}
    assert seen["all at their highest"] == {"units": 128, "rate": 1e-1}
    assert sum(label.startswith("random point") for label in seen) == 20


def test_what_is_found_in_a_branch_gets_its_ends_there() -> None:
    """A child of the other branch is met when that branch is built, and its ends are tried within it."""
    points = [point for _, point in walked([KIND, MOMENTUM, DEPTH])]
    assert {"kind": "adam", "depth": 3} in points
    assert {"momentum": 0.9} in points


def test_no_point_comes_twice() -> None:
    """A small space is walked once."""
    points = [tuple(sorted(point.items())) for _, point in walked([Boolean(name="bias")])]
    assert len(points) == len(set(points)) == 3


def test_a_choice_of_many_values_has_two_ends() -> None:
    """Few values are all tried; of many, the first and the last."""
    assert ends(Choice(name="few", values=("a", "b", "c"))) == ["a", "b", "c"]
    assert ends(Choice(name="many", values=tuple(range(20)))) == [0, 19]
    assert ends(Fixed(name="one", value=3)) == []


def test_only_points_that_where_allows_are_built() -> None:
    """The defaults are looked at in any case; ends, corners and random points keep to the clauses."""
    points = Points([Declared(parameter=UNITS)], 0, Constraints.of(["units <= 64"]))
    labels = [(point.label, [*point.params.values()]) for point in points]
    assert labels[0] == ("the defaults", [])
    assert len(labels) > 1
    assert all(value <= 64 for _, values in labels for value in values if isinstance(value, int))


def test_combinations_heed_conditions() -> None:
    """Four units, times three depths under adam and one way under a fixed sgd; floats make a continuum."""
    assert combinations([UNITS, KIND, DEPTH]) == 4 * (1 + 3)
    assert combinations([UNITS, RATE]) is None
    assert isinstance(RATE.domain, Interval)
    assert combinations([]) == 1
