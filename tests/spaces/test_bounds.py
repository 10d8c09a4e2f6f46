"""Tests of `kerasweep.spaces.bounds`."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.spaces.bad_form import BadForm
from kerasweep.spaces.bounds import MEASURES, OF_THE_MODEL, Bounds, checked_bounds, epoch_order, median_seconds

numbers = st.floats(-1e6, 1e6)


@given(numbers, numbers)
def test_a_violation_is_zero_exactly_where_the_clause_holds(left: float, right: float) -> None:
    """Each kind of comparison, at and around equality."""
    values = {"a": left, "b": right}
    texts = {"a <= b": left <= right, "a < b": left < right, "a == b": left == right, "a != b": left != right}
    for text, holds in texts.items():
        (violation,) = Bounds.of([text]).violations(values)
        assert (violation == 0) is holds
        assert 0 <= violation <= 2


@given(st.floats(1.001, 1e6), st.floats(1.001, 100))
def test_a_violation_grows_with_the_distance(left: float, factor: float) -> None:
    """So that a sampler may learn which way to go; its unit does not matter."""
    bound = Bounds.of(["a <= 1"])
    assert bound.violations({"a": left}) < bound.violations({"a": left * factor})
    scaled = Bounds.of(["a <= 1000"])
    assert scaled.violations({"a": left * 1000})[0] == pytest.approx(bound.violations({"a": left})[0], abs=1e-6)


@pytest.mark.parametrize(
    ("text", "violation"),
    [
        ("a <= 1 and b <= 1", 0.5 + 0.75),
        ("a <= 1 or b <= 1", 0.5),
        ("a <= 1 or b <= 4", 0.0),
        ("not a <= 2", 1.0),
        ("1 < a < 1.5", 0.25),
        ("max(a, b) <= 1", 0.75),
        ("a in (1, 3)", 1.0),
        ("a / (b - 4) <= 1", 1.0),
    ],
)
def test_violations_add_up_by_the_form(text: str, violation: float) -> None:
    """`and` adds, `or` takes the least; what has no order, or cannot be computed, counts whole."""
    assert Bounds.of([text]).violations({"a": 2.0, "b": 4.0}) == pytest.approx((violation,))


def test_no_number_is_no_way_to_hold() -> None:
    """A metric that is not a number breaks what it is compared in, by a number."""
    (violation,) = Bounds.of(["a <= 1"]).violations({"a": math.nan})
    assert violation == 1.0


def test_what_is_not_known_holds_for_the_time_being() -> None:
    """Only clauses whose names are all known can be broken; they can be picked out."""
    bounds = Bounds.of(["params <= 10", "params * latency_ms <= 10", "loss <= 1"])
    assert bounds.violations({"params": 5.0}) == (0.0, 0.0, 0.0)
    assert bounds.names == ("params", "latency_ms", "loss")
    assert [one.text for one in bounds.among(["params", "loss"]).clauses] == ["params <= 10", "loss <= 1"]


def test_a_refusal_says_which_and_with_what() -> None:
    """The clause and the values of all its names."""
    bounds = Bounds.of(["loss <= 1", "params <= 1e6 and flops <= 2"])
    values = {"loss": 0.5, "params": 1234567.0, "flops": 1.0}
    assert (
        bounds.refusal(values) == "constraint 'params <= 1e6 and flops <= 2' does not hold: params 1.23457e+06, flops 1"
    )
    assert bounds.refusal({"loss": 0.5}) == ""


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ("params <= 1", "is no list"),
        ([3], "a clause is 3"),
        (["flops"], "neither true nor false; expected a comparison such as `params <= 1e6`"),
        (["params <="], "is not understood"),
        (["a == 'b'"], "expected two values of one kind"),
        (["2 > 1"], "mentions no metric"),
        (["a.b < 1"], "is not in the language of clauses"),
        (["open('x') < 1"], "is not in the language"),
    ],
)
def test_what_is_no_constraint_is_refused(given_: object, words: str) -> None:
    """In words of constraints, not of the space."""
    with pytest.raises(BadForm) as caught:
        checked_bounds(given_)
    assert words in str(caught.value)
    assert "units" not in str(caught.value)


def test_constraints_are_kept_as_they_are_written() -> None:
    """None and an empty list are no constraints."""
    assert checked_bounds(["params <= 1e6"]) == ("params <= 1e6",)
    assert checked_bounds(None) == checked_bounds([]) == ()


def test_epochs_are_ordered_by_feasibility_then_objectives() -> None:
    """The first objective decides, then the next; what is measured of the model decides nothing."""
    goals, bounds = [("acc", True), ("loss", False), ("params", False)], Bounds.of(["recall >= 0.5", "params <= 3"])
    low = epoch_order({"acc": 0.9, "loss": 1.0, "recall": 0.4}, goals, bounds)
    high = epoch_order({"acc": 0.6, "loss": 1.0, "recall": 0.6}, goals, bounds)
    tie = epoch_order({"acc": 0.6, "loss": 0.5, "recall": 0.6}, goals, bounds)
    assert low is not None
    assert high is not None
    assert tie is not None
    assert low < high < tie
    assert epoch_order({"acc": 0.9, "recall": 0.6}, goals, bounds) is None
    assert epoch_order({"acc": 0.9, "loss": 1.0}, goals, bounds) is None


def test_the_pace_is_that_of_the_epochs_after_the_first() -> None:
    """The first also compiles; where it is the only one it has to do; epochs that took no time told none."""
    assert median_seconds([9.0, 1.0, 2.0, 3.0]) == 2.0
    assert median_seconds([9.0]) == 9.0
    assert median_seconds([0.0, 0.0]) is None
    assert median_seconds([]) is None


def test_measures_of_the_model_are_measures() -> None:
    """Each has an explanation; those of the model are some of them."""
    assert set(OF_THE_MODEL) < set(MEASURES)
