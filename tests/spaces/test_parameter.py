"""Tests of `kerasweep.spaces.parameter`."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.parameter import (
    Boolean,
    Categories,
    Choice,
    Condition,
    Fixed,
    Interval,
    Number,
    Parameter,
    Sampling,
    Steps,
    identity,
    parameter_from_json,
    without_conditions,
)
from kerasweep.spaces.trial import Scalar

from ..strategies import numbers, parameters


def number(low: float, high: float, **rest: object) -> Number:
    """Return a number named `x`, a float unless told otherwise."""
    return replace(Number(name="x", min=low, max=high, integer=False), **rest)


def grid(low: float, high: float, step: float, **rest: object) -> tuple[Scalar, ...]:
    """Return the values of a stepped number."""
    domain = number(low, high, step=step, **rest).domain
    assert isinstance(domain, Steps)
    return domain.values


# Domains --------------------------------------------------------------------------------------------------------------


def test_a_number_without_a_step_is_an_interval() -> None:
    """Without a step, all numbers between the ends can be drawn."""
    assert number(0.5, 2.0).domain == Interval(low=0.5, high=2.0)


@pytest.mark.parametrize(
    ("sampling", "log", "mirrored"),
    [(Sampling.LINEAR, False, False), (Sampling.LOG, True, False), (Sampling.REVERSE_LOG, True, True)],
)
def test_sampling_shapes_the_interval(sampling: Sampling, log: bool, mirrored: bool) -> None:
    """Logarithmic sampling is uniform in the logarithm, the reverse one in that of the mirrored range."""
    assert number(1.0, 9.0, sampling=sampling).domain == Interval(low=1.0, high=9.0, log=log, mirrored=mirrored)


def test_whole_numbers_one_apart_are_an_interval_too() -> None:
    """A step of 1 says nothing about an integer that its kind does not."""
    assert number(2, 5, integer=True, step=1).domain == Interval(low=2, high=5, integer=True)


def test_a_doubling_integer_is_not_an_interval() -> None:
    """Under logarithmic sampling a step multiplies, so it is a grid whatever its size."""
    assert number(2, 32, integer=True, step=2, sampling=Sampling.LOG).domain == Steps(values=(2, 4, 8, 16, 32))


@pytest.mark.parametrize(
    ("values", "ordered", "domain"),
    [
        ((1, 2, 3), True, Steps(values=(1, 2, 3))),
        ((1, 2, 3), False, Categories(values=(1, 2, 3))),
        ((1, 2), True, Categories(values=(1, 2))),
        (("a", "b", "a"), False, Categories(values=("a", "b"))),
        ((3, 1, 3, 2), True, Steps(values=(3, 1, 2))),
    ],
)
def test_a_choice_has_each_of_its_values_once(
    values: tuple[Scalar, ...], ordered: bool, domain: Steps | Categories
) -> None:
    """A repeated value is no more likely than another; an order of two values means nothing."""
    assert Choice(name="x", values=values, ordered=ordered).domain == domain


def test_a_choice_tells_equal_values_of_different_types_apart() -> None:
    """1, 1.0 and True are equal in Python and still three choices."""
    domain = Choice(name="x", values=(1, 1.0, True)).domain
    assert [type(value) for value in domain.values] == [int, float, bool]  # type: ignore[union-attr]


def test_a_boolean_is_false_or_true() -> None:
    """A boolean has its two values."""
    assert Boolean(name="x").domain == Categories(values=(False, True))


def test_a_fixed_value_is_its_own_domain() -> None:
    """A fixed parameter has one value."""
    assert Fixed(name="x", value="same").domain == Categories(values=("same",))


# Grids ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "step", "values"),
    [
        (0.0, 0.5, 0.1, (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)),
        (0.1, 0.7, 0.2, (0.1, 0.3, 0.5, 0.7)),
        (0.0, 1.0, 0.3, (0.0, 0.3, 0.6, 0.9)),
        (-0.3, 0.3, 0.3, (-0.3, 0.0, 0.3)),
        (1e-5, 3e-5, 1e-5, (1e-5, 2e-5, 3e-5)),
        (2.0, 2.0, 0.5, (2.0,)),
        (1.0, 2.0, 5.0, (1.0,)),
    ],
)
def test_a_linear_grid_is_exact_in_decimal(low: float, high: float, step: float, values: tuple[float, ...]) -> None:
    """0.1 + 0.2 is 0.3 on a grid, and the upper end belongs to it where a step meets it."""
    assert grid(low, high, step) == values


@pytest.mark.parametrize(
    ("low", "high", "step", "values"),
    [
        (1e-4, 1e-1, 10, (1e-4, 1e-3, 1e-2, 1e-1)),
        (0.1, 0.9, 3, (0.1, 0.3, 0.9)),
        (1.0, 10.0, 2, (1.0, 2.0, 4.0, 8.0)),
        (1.0, 999_999.9999, 10, (1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0)),
    ],
)
def test_a_logarithmic_step_multiplies(low: float, high: float, step: float, values: tuple[float, ...]) -> None:
    """Points are `min * step**k`, exact in decimal and never above the upper end."""
    assert grid(low, high, step, sampling=Sampling.LOG) == values


@pytest.mark.parametrize(
    ("low", "high", "step", "values"),
    [(1.0, 9.0, 3, (9.0, 7.0, 1.0)), (0.1, 0.3, 3, (0.3, 0.1)), (1.0, 10.0, 2, (10.0, 9.0, 7.0, 3.0))],
)
def test_a_reverse_logarithmic_step_multiplies_from_the_top(
    low: float, high: float, step: float, values: tuple[float, ...]
) -> None:
    """Points are the logarithmic ones, mirrored: dense at the upper end, which is one of them."""
    assert grid(low, high, step, sampling=Sampling.REVERSE_LOG) == values


def test_an_integer_grid_repeats_no_value() -> None:
    """Points that round down to one integer are one value."""
    assert grid(1, 8, 1.5, integer=True, sampling=Sampling.LOG) == (1, 2, 3, 5, 7)


@given(numbers(stepped=True))
def test_every_grid_stays_in_its_range_and_order(parameter: Number) -> None:
    """A grid has at least one value, all of them inside the range, in one direction, of the parameter's kind."""
    domain = parameter.domain
    if isinstance(domain, Interval):
        assert parameter.integer
        assert parameter.step == 1
        return
    values = [float(value) for value in domain.values]
    assert values
    assert all(parameter.min <= value <= parameter.max for value in values)
    assert values == sorted(set(values), reverse=parameter.sampling is Sampling.REVERSE_LOG)
    assert {type(value) for value in domain.values} == {int if parameter.integer else float}


@given(numbers(stepped=True).filter(lambda one: one.sampling is Sampling.LINEAR))
def test_every_linear_grid_is_all_that_the_step_meets(parameter: Number) -> None:
    """Neighbours are one decimal step apart, the first is `min`, and the next after the last would be above `max`."""
    domain = parameter.domain
    values = range(int(parameter.min), int(parameter.max) + 1) if isinstance(domain, Interval) else domain.values
    low, high, step = (Decimal(str(one)) for one in (parameter.min, parameter.max, parameter.step))
    assert [Decimal(str(value)) for value in values] == [low + k * step for k in range(len(values))]
    assert low + len(values) * step > high


@given(numbers(stepped=True).filter(lambda one: one.sampling is not Sampling.LINEAR and not one.integer))
def test_every_logarithmic_grid_multiplies_by_its_step(parameter: Number) -> None:
    """The distance from the mirror's end grows by the step; one more step would leave the range."""
    domain = parameter.domain
    assert isinstance(domain, Steps)
    points = [float(value) for value in domain.values]
    if parameter.sampling is Sampling.REVERSE_LOG:
        points = [parameter.max + parameter.min - point for point in points]
    assert parameter.step is not None
    for k, point in enumerate(points):
        assert math.isclose(point, parameter.min * parameter.step**k, rel_tol=1e-6)
    assert parameter.min * parameter.step ** len(points) > parameter.max * (1 - 1e-9)


# What is refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"min": 2.0, "max": 1.0}, "min 2 > max 1"),
        ({"min": math.nan}, "finite"),
        ({"max": math.inf}, "finite"),
        ({"sampling": Sampling.LOG, "min": 0.0}, "above 0"),
        ({"sampling": Sampling.REVERSE_LOG, "min": -1.0}, "above 0"),
        ({"step": 0.0}, "above 0"),
        ({"step": -1.0}, "above 0"),
        ({"step": math.nan}, "above 0"),
        ({"step": math.inf}, "above 0"),
        ({"step": 1.0, "sampling": Sampling.LOG, "min": 0.1}, "above 1"),
        ({"default": 7.0}, "outside"),
        ({"default": math.nan}, "outside"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(broken: dict[str, object], says: str) -> None:
    """An empty range, a logarithm of zero, a step that leads nowhere: refused by name, with what was expected."""
    with pytest.raises(BadInput, match=says) as refusal:
        number(0.0, 1.0, **broken)
    assert str(refusal.value).startswith("'x' ")


def test_a_choice_of_nothing_is_refused() -> None:
    """A choice needs a value."""
    with pytest.raises(BadInput, match="no values"):
        Choice(name="x", values=())


def test_a_default_that_is_no_choice_is_refused() -> None:
    """A choice's default is one of its values."""
    with pytest.raises(BadInput, match="not one of"):
        Choice(name="x", values=("a", "b"), default="c")


# Defaults and conditions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "initial"),
    [
        (number(0.5, 2.0), 0.5),
        (number(0.5, 2.0, default=1.0), 1.0),
        (number(2, 8, integer=True), 2),
        (Choice(name="x", values=("a", "b")), "a"),
        (Choice(name="x", values=("a", "b"), default="b"), "b"),
        (Choice(name="x", values=(True, False), default=False), False),
        (Boolean(name="x"), False),
        (Boolean(name="x", default=True), True),
        (Fixed(name="x", value=3), 3),
    ],
)
def test_initial_is_the_default_or_what_keras_tuner_takes_for_it(parameter: Parameter, initial: Scalar) -> None:
    """Without a default: the lower end, the first value, False."""
    assert parameter.initial == initial
    assert type(parameter.initial) is type(initial)


@pytest.mark.parametrize(
    ("values", "active"),
    [
        ({}, False),
        ({"kind": "cnn"}, False),
        ({"kind": "cnn", "deep": True}, True),
        ({"kind": "rnn", "deep": True}, True),
        ({"kind": "mlp", "deep": True}, False),
    ],
)
def test_a_parameter_is_active_when_all_its_conditions_hold(values: dict[str, Scalar], active: bool) -> None:
    """Each condition wants its parent present, with one of its values."""
    kind, deep = Condition(parent="kind", values=("cnn", "rnn")), Condition(parent="deep", values=(True,))
    parameter = Boolean(name="x", conditions=(kind, deep))
    assert parameter.active(values) is active
    assert without_conditions(parameter).active({})


# Identity and JSON ----------------------------------------------------------------------------------------------------


@given(parameters)
def test_json_gives_the_parameter_back(parameter: Parameter) -> None:
    """What is journaled reads back as it was, value types included."""
    again = parameter_from_json(json.loads(json.dumps(parameter.to_json())))
    assert again == parameter
    assert repr(again) == repr(parameter)
    assert identity(again) == identity(parameter)


@given(parameters, parameters)
def test_one_identity_means_one_parameter_but_for_the_default(one: Parameter, other: Parameter) -> None:
    """Two parameters share an identity only if name, domain and conditions are equal."""
    if identity(one) == identity(other):
        assert (one.name, one.domain, one.conditions) == (other.name, other.domain, other.conditions)
    else:
        assert repr(one) != repr(other)


@given(numbers(), st.floats(0, 1))
def test_a_default_is_no_part_of_the_identity(parameter: Number, share: float) -> None:
    """Another default is the same parameter."""
    default = min(max(parameter.min + share * (parameter.max - parameter.min), parameter.min), parameter.max)
    assert identity(replace(parameter, default=default)) == identity(replace(parameter, default=None))


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "y"},
        {"min": 2.0},
        {"max": 9.0},
        {"integer": True},
        {"step": 2.0},
        {"sampling": Sampling.LOG},
        {"conditions": (Condition(parent="kind", values=("cnn",)),)},
    ],
)
def test_whatever_shapes_a_number_is_part_of_its_identity(changed: dict[str, object]) -> None:
    """Name, ends, kind, step, sampling, conditions: a change of one makes another parameter."""
    assert identity(number(1.0, 8.0, **changed)) != identity(number(1.0, 8.0))


def test_whole_and_fractional_ends_are_one_bound() -> None:
    """A sweep file's `min: 1` is the code's `1.0`."""
    assert identity(number(1, 8, step=2)) == identity(number(1.0, 8.0, step=2.0))


def test_choices_of_different_types_are_different() -> None:
    """1, 1.0, True and "1" are four parameters."""
    values: list[Scalar] = [1, 1.0, True, "1"]
    assert len({identity(Choice(name="x", values=(value,))) for value in values}) == 4
