"""Tests of `kerasweep.trackers.student` against SciPy's own statistics, and where there is nothing to compute."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.trackers.student import below, interval, mean

SAMPLES = st.lists(st.floats(-10, 10).map(lambda value: round(value, 3)), min_size=2, max_size=6)


def test_the_interval_is_that_of_the_tables() -> None:
    """t with four degrees of freedom is 2.776 at 95 %."""
    ends = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert ends is not None
    half = 2.776445 * math.sqrt(2.5 / 5)
    assert ends == pytest.approx((3 - half, 3 + half), rel=1e-6)
    assert interval([1.0]) is None


@given(one=SAMPLES, other=SAMPLES)
def test_the_test_is_welchs(one: list[float], other: list[float]) -> None:
    """The p value is SciPy's wherever there is a spread, and swapping the sides gives the rest to 1."""
    from scipy import stats

    if len(set(one)) == 1 or len(set(other)) == 1:
        return
    theirs: Any = cast(Any, stats).ttest_ind(one, other, equal_var=False, alternative="less")
    assert below(one, other) == pytest.approx(float(theirs.pvalue), abs=1e-9)
    assert below(one, other) + below(other, one) == pytest.approx(1.0)


def test_without_any_spread_the_means_decide() -> None:
    """As where both are at the same accuracy each time; one value tells nothing."""
    assert below([0.5, 0.5], [0.6, 0.6]) == 0.0
    assert below([0.6, 0.6], [0.5, 0.5]) == below([0.5, 0.5], [0.5, 0.5]) == 1.0
    assert below([0.1], [0.5, 0.6]) == 1.0


@given(one=SAMPLES, other=SAMPLES)
def test_the_largest_floats_are_no_exception(one: list[float], other: list[float]) -> None:
    """Sums and squares of those are no floats; where there is a result, it is that of the same in another unit."""
    huge, large = ([value * 1.7e307 for value in values] for values in (one, other))
    assert below(huge, large) == pytest.approx(below(one, other), abs=1e-9)
    assert mean(huge) == pytest.approx(mean(one) * 1.7e307)
    assert interval(huge) is not None
    assert below([1e308, -1e308], [0.5, 0.5, 0.5]) == pytest.approx(0.5)


def test_the_least_values_have_a_p_value() -> None:
    """Squares of their errors are no numbers above zero any more."""
    assert below([1e-90, 2e-90], [3e-90, 4e-90, 5e-90]) == pytest.approx(below([1, 2], [3, 4, 5]))
