"""Tests of `kerasweep.search.codec`: what goes through Optuna comes back as it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from kerasweep.search.codec import decode, distribution, encode
from kerasweep.spaces.parameter import Boolean, Categories, Choice, Fixed, Interval, Number, Parameter, Sampling, Steps
from kerasweep.spaces.trial import Scalar

from ..strategies import booleans, choices, fixed_ones, numbers, parameters

searched = st.one_of(numbers(), choices(), booleans)


def internals(parameter: Parameter) -> st.SearchStrategy[float]:
    """Return what Optuna may choose for the parameter."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match distribution(parameter):
        case IntDistribution() as one:
            return st.integers(one.low, one.high)
        case FloatDistribution() as one:
            return st.floats(one.low, one.high)
        case CategoricalDistribution() as one:
            return st.sampled_from([int(str(choice)) for choice in one.choices])
        case other:
            raise AssertionError(other)


def within(parameter: Parameter, value: Scalar) -> bool:
    """Say whether the value is one that the parameter can take, type included."""
    match parameter.domain:
        case Interval() as domain:
            assert not isinstance(value, str)
            return type(value) is (int if domain.integer else float) and domain.low <= value <= domain.high
        case Steps(values=values) | Categories(values=values):
            return (type(value), value) in [(type(one), one) for one in values]


@given(parameters, st.data())
def test_what_optuna_chooses_is_a_value_of_the_parameter(parameter: Parameter, data: DataObject) -> None:
    """In bounds, on the grid, of the right type."""
    assert within(parameter, decode(parameter, data.draw(internals(parameter))))


@given(parameters, st.data())
def test_a_value_comes_back_from_optuna_as_it_was(parameter: Parameter, data: DataObject) -> None:
    """What was decided stands to the last bit, whatever of the parameter Optuna knows."""
    value = decode(parameter, data.draw(internals(parameter)))
    back = encode(parameter, value)
    assert back is not None
    again = decode(parameter, back)
    if isinstance(parameter, Number) and isinstance(parameter.domain, Interval) and parameter.domain.mirrored:
        assert again == pytest.approx(value, rel=1e-9, abs=1e-12)
    else:
        assert (type(again), again) == (type(value), value)


@given(parameters, st.data())
def test_optuna_takes_what_was_decided(parameter: Parameter, data: DataObject) -> None:
    """The value of a finished trial is one that its distribution contains, or Optuna would refuse the trial."""
    import optuna

    value = decode(parameter, data.draw(internals(parameter)))
    one = distribution(parameter)
    params: dict[str, Any] = {"x": encode(parameter, value)}
    trial = optuna.trial.create_trial(value=0.0, params=params, distributions={"x": one})
    assert trial.params == params


@given(searched)
def test_the_default_of_a_number_is_known_to_optuna(parameter: Parameter) -> None:
    """The default is in the domain where the range has it, unless a grid steps over it."""
    assume(not isinstance(parameter.domain, Steps))
    assert encode(parameter, parameter.initial) is not None


@pytest.mark.parametrize("value", [-0.001, 1.001, "0.5"])
def test_a_value_out_of_bounds_is_unknown_to_optuna(value: Scalar) -> None:
    """What the range does not have is left out of the history rather than bent."""
    assert encode(Number(name="x", min=0.0, max=1.0, integer=False), value) is None


def test_a_value_off_the_grid_is_unknown_to_optuna() -> None:
    """Between two steps there is nothing."""
    grid = Number(name="x", min=0.0, max=1.0, step=0.25, integer=False)
    assert [encode(grid, value) for value in (0.0, 0.25, 0.3, 1.0)] == [0, 1, None, 4]


def test_equal_values_of_different_types_stay_apart() -> None:
    """1, 1.0, True and `"1"` are four choices."""
    choice = Choice(name="x", values=(1, 1.0, True, "1"))
    assert [encode(choice, value) for value in choice.values] == [0, 1, 2, 3]


def test_a_value_may_be_written_otherwise() -> None:
    """A sweep file's 1 is a model's 1.0 where there is no other."""
    assert encode(Choice(name="x", values=(1.0, 2.0)), 1) == 0
    assert encode(Choice(name="x", values=("1",)), 1) is None


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (Number(name="x", min=1, max=9, integer=True), "IntDistribution(high=9, log=False, low=1, step=1)"),
        (
            Number(name="x", min=1, max=9, integer=True, sampling=Sampling.LOG),
            "IntDistribution(high=9, log=True, low=1, step=1)",
        ),
        (
            Number(name="x", min=0.5, max=2.0, integer=False, sampling=Sampling.REVERSE_LOG),
            "FloatDistribution(high=2.0, log=True, low=0.5, step=None)",
        ),
        (
            Number(name="x", min=8, max=64, step=8, integer=True),
            "IntDistribution(high=7, log=False, low=0, step=1)",
        ),
        (
            Number(name="x", min=1, max=64, step=2, integer=True, sampling=Sampling.LOG),
            "IntDistribution(high=6, log=False, low=0, step=1)",
        ),
        (Choice(name="x", values=("a", "b", "a")), "CategoricalDistribution(choices=(0, 1))"),
        (Choice(name="x", values=(1, 2, 4), ordered=True), "IntDistribution(high=2, log=False, low=0, step=1)"),
        (Boolean(name="x"), "CategoricalDistribution(choices=(0, 1))"),
        (Fixed(name="x", value=3), "CategoricalDistribution(choices=(0,))"),
    ],
)
def test_what_optuna_samples(parameter: Parameter, expected: str) -> None:
    """Order and scale reach Optuna: a grid is an ordered index, a choice is not."""
    assert str(distribution(parameter)) == expected


def test_a_mirrored_range_is_dense_at_its_upper_end() -> None:
    """Optuna's small numbers are the parameter's large ones, and the ends are exact."""
    mirrored = Number(name="x", min=0.1, max=0.7, integer=False, sampling=Sampling.REVERSE_LOG)
    assert decode(mirrored, 0.1) == 0.7
    assert decode(mirrored, 0.7) == 0.1
    assert encode(mirrored, 0.7) == 0.1
    assert encode(mirrored, 0.1) == 0.7


@given(fixed_ones)
def test_a_fixed_value_is_itself(parameter: Fixed) -> None:
    """There is nothing to choose."""
    assert decode(parameter, 0) == parameter.value
