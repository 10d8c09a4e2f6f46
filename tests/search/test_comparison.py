"""Tests of `kerasweep.search.comparison`."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from kerasweep.search.comparison import Comparison, Difference

metrics = st.dictionaries(
    st.integers(1, 9), st.dictionaries(st.sampled_from(["loss", "acc"]), st.floats(), min_size=1), max_size=5
)


@given(metrics)
def test_a_record_equals_itself(one: dict[int, dict[str, float]]) -> None:
    """Whatever its numbers, those that are none included; what was trained beyond it does not count."""
    assert Comparison.of(one, {**one, 100: {"loss": 1.0}}) == Comparison(epochs=len(one))


@given(metrics, metrics)
def test_it_is_equal_only_where_every_number_is(
    one: dict[int, dict[str, float]], other: dict[int, dict[str, float]]
) -> None:
    """As their texts say, but for the sign of zero."""
    alike = all(
        {name: repr(value + 0.0) for name, value in row.items()}
        == {name: repr(value + 0.0) for name, value in other.get(epoch, {}).items()}
        for epoch, row in one.items()
    )
    assert Comparison.of(one, other).equal is alike


def test_the_first_difference_and_the_largest_are_told() -> None:
    """By epoch; the difference is relative to the larger of the two."""
    journaled = {1: {"loss": 1.0, "acc": 0.5}, 2: {"loss": 0.8, "acc": 0.6}, 3: {"loss": 0.5, "acc": 0.7}}
    again = {**journaled, 2: {"loss": 0.8000001, "acc": 0.6}, 3: {"loss": 1.0, "acc": 0.7}}
    found = Comparison.of(journaled, again)
    assert found.first == Difference(epoch=2, metric="loss", journaled=0.8, replayed=0.8000001)
    assert found.largest == Difference(epoch=3, metric="loss", journaled=0.5, replayed=1.0)
    assert found.largest is not None
    assert found.largest.relative == 0.5


def test_what_is_missing_is_a_difference() -> None:
    """An epoch, a metric, or one more metric; the epochs after one that is missing say nothing new."""
    full = {1: {"loss": 1.0, "acc": 0.5}, 2: {"loss": 0.5, "acc": 0.6}, 3: {"loss": 0.4, "acc": 0.6}}
    assert Comparison.of(full, {1: full[1]}).first == Difference(epoch=2, metric="loss", journaled=0.5, replayed=None)
    less = Comparison.of(full, {**full, 1: {"loss": 1.0}})
    assert less.first == Difference(epoch=1, metric="acc", journaled=0.5, replayed=None)
    assert less.first is not None
    assert less.first.relative == math.inf
    more = Comparison.of({1: {"loss": 1.0}}, full)
    assert more.first == Difference(epoch=1, metric="acc", journaled=None, replayed=0.5)


def test_the_largest_of_floats_can_be_compared() -> None:
    """Their difference alone would be infinite."""
    assert Difference(epoch=1, metric="loss", journaled=1.7e308, replayed=-1.7e308).relative == 2.0
