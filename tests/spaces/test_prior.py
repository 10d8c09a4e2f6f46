"""Tests of `kerasweep.spaces.prior`: uniform on the parameter's scale, in bounds, all there is."""

from __future__ import annotations

import math
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.spaces import Space, boolean, choice, fixed, integer, real, repeat
from kerasweep.spaces.known import Known
from kerasweep.spaces.parameter import Interval, Number, Parameter, Sampling
from kerasweep.spaces.prior import configurations, draw, members
from kerasweep.spaces.space import Entry

from ..strategies import parameters

MANY = 4_000
P_VALUE = 1e-3
"""The seed is fixed, so a test that passes always passes."""


@given(parameters, st.randoms(use_true_random=False))
def test_a_draw_is_in_bounds_and_on_the_grid(parameter: Parameter, random: Random) -> None:
    """A value of the domain, of its type."""
    value = draw(parameter, random)
    domain = parameter.domain
    if isinstance(domain, Interval):
        assert type(value) is (int if domain.integer else float)
        assert domain.low <= value <= domain.high
    else:
        assert (type(value), value) in [(type(one), one) for one in domain.values]


def scaled(number: Number, value: float) -> float:
    """Return where the value is between the ends, on the parameter's scale: uniform from 0 to 1."""
    match number.sampling:
        case Sampling.LINEAR:
            return (value - number.min) / (number.max - number.min)
        case Sampling.LOG:
            return math.log(value / number.min) / math.log(number.max / number.min)
        case Sampling.REVERSE_LOG:
            return 1 - math.log((number.max + number.min - value) / number.min) / math.log(number.max / number.min)


@pytest.mark.parametrize("sampling", Sampling)
@pytest.mark.parametrize(("low", "high"), [(1e-5, 1e-1), (0.5, 2.0), (3.0, 1e6)])
def test_a_float_is_uniform_on_its_scale(sampling: Sampling, low: float, high: float) -> None:
    """By the test of Kolmogorov and Smirnov."""
    from scipy import stats

    number = Number(name="x", min=low, max=high, integer=False, sampling=sampling)
    random = Random(1)
    sample = [scaled(number, float(draw(number, random))) for _ in range(MANY)]
    assert stats.kstest(sample, "uniform").pvalue > P_VALUE


@pytest.mark.parametrize(
    "parameter",
    [
        *(integer("x", 3, 12), integer("x", -40, 40, step=10), real("x", 0, 1, step=0.1), boolean("x")),
        *(choice("x", ["a", "b", "c"]), choice("x", [1, 2, 4, 8, 16]), integer("x", 1, 64, step=2, sampling="log")),
        integer("x", 2, 162, step=3, sampling="reverse_log"),
    ],
    ids=str,
)
def test_what_is_finite_is_uniform_over_its_values(parameter: Entry) -> None:
    """By the chi-squared test; no value is missing."""
    from scipy import stats

    (declared,) = Space([parameter]).declared
    one, random = declared.parameter, Random(2)
    counts = Counter(draw(one, random) for _ in range(MANY))
    values = members(one, 1000)
    assert values is not None
    assert set(counts) == set(values)
    assert stats.chisquare([counts[value] for value in values]).pvalue > P_VALUE


def test_an_integer_under_log_sampling_owns_what_rounds_to_it() -> None:
    """As Optuna has it: 1 has the logarithms from 0.5 to 1.5."""
    from scipy import stats

    number, random = Number(name="x", min=1, max=8, integer=True, sampling=Sampling.LOG), Random(3)
    counts = Counter(draw(number, random) for _ in range(MANY))
    shares = [math.log((value + 0.5) / (value - 0.5)) / math.log(8.5 / 0.5) for value in range(1, 9)]
    observed = [counts[value] for value in range(1, 9)]
    assert stats.chisquare(observed, [share * MANY for share in shares]).pvalue > P_VALUE


def test_all_configurations_are_listed() -> None:
    """Each once, with just what is active in it."""
    space = Space([repeat(integer("n", 0, 2), [boolean("b")]), choice("o", {"a": [fixed("f", 1)], "c": []})])
    known = Known.of(space.declared)
    every = configurations(known, 100)
    assert every is not None
    named = [{known.parameters[key].name: value for key, value in one.items()} for one in every]
    assert len(named) == (1 + 2 + 4) * 2
    assert len({tuple(sorted(one.items(), key=str)) for one in named}) == len(named)
    assert {len(one) for one in named if one["o"] == "c"} == {2, 3, 4}
    assert configurations(known, 13) is None
    assert configurations(known, 14) is not None


def test_a_space_with_a_float_has_no_list_of_configurations() -> None:
    """Unless the float has one value."""
    assert configurations(Known.of(Space([real("x", 0, 1)]).declared), 10**6) is None
    assert configurations(Known.of(Space([real("x", 1, 1)]).declared), 1) == [
        dict.fromkeys(Known.of(Space([real("x", 1, 1)]).declared).parameters, 1.0)
    ]
    assert configurations(Known(), 1) == [{}]
