"""Tests of `kerasweep.spaces.yaml_form`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.spaces.known import Declared
from kerasweep.spaces.parameter import Boolean, Choice, Condition, Fixed, Number, Sampling
from kerasweep.spaces.yaml_form import MANY_VALUES, BadForm, declare


def one(form: object) -> Declared:
    """Return the only parameter of a form, named `x`."""
    (declared,) = declare("x", form)
    return declared


def fault(form: object) -> BadForm:
    """Return what is wrong with a form."""
    with pytest.raises(BadForm) as caught:
        declare("x", form)
    return caught.value


def test_whole_ends_make_an_integer_that_yields_to_the_code() -> None:
    """A range of whole numbers is an integer; kind, sampling and step stay open, as nothing was said of them."""
    declared = one({"min": 32, "max": 512})
    assert declared.parameter == Number(name="x", min=32, max=512, integer=True)
    assert declared.open == {"kind", "sampling", "step"}


def test_a_broken_end_makes_a_float() -> None:
    """One float among the numbers makes the parameter a float, which is then not open to the code."""
    declared = one({"min": 0, "max": 1.0})
    assert declared.parameter == Number(name="x", min=0, max=1.0, integer=False)
    assert declared.open == {"sampling", "step"}


@pytest.mark.parametrize(
    "form",
    [{"min": 0, "max": 1, "step": 0.1}, {"min": 0, "max": 1, "default": 0.5}],
    ids=["step", "default"],
)
def test_step_and_default_count_among_the_numbers(form: dict[str, Any]) -> None:
    """Whole ends with a broken step or default are a float's."""
    parameter = one(form).parameter
    assert isinstance(parameter, Number)
    assert not parameter.integer


def test_a_full_range_is_closed() -> None:
    """What the form says is kept, and not open to the code."""
    declared = one({"min": 1e-5, "max": 1e-1, "step": 10, "sampling": "log", "default": 1e-3})
    expected = Number(name="x", min=1e-5, max=1e-1, integer=False, step=10, sampling=Sampling.LOG, default=1e-3)
    assert declared == Declared(parameter=expected)


def test_a_list_of_text_is_a_choice_without_order() -> None:
    """Text has no order."""
    assert one(["relu", "gelu"]) == Declared(parameter=Choice(name="x", values=("relu", "gelu"), ordered=False))


def test_a_list_of_numbers_is_ordered() -> None:
    """Numbers have an order."""
    assert one([16, 32]).parameter == Choice(name="x", values=(16, 32), ordered=True)


def test_numbers_of_a_list_have_one_type() -> None:
    """A whole number among floats becomes a float, as KerasTuner wants values of one type."""
    parameter = one([1, 0.5]).parameter
    assert isinstance(parameter, Choice)
    assert [type(value) for value in parameter.values] == [float, float]


@pytest.mark.parametrize("values", [[True, False], [False, True]])
def test_true_and_false_are_a_switch(values: list[bool]) -> None:
    """Both truth values make a Boolean, in whatever order."""
    assert one(values).parameter == Boolean(name="x")


def test_a_switch_has_a_default() -> None:
    """The long form of a switch takes a default."""
    assert one({"choice": [True, False], "default": True}).parameter == Boolean(name="x", default=True)


def test_the_long_choice_says_more() -> None:
    """Default and order can be given."""
    form = {"choice": [16, 32], "default": 32, "ordered": False}
    assert one(form).parameter == Choice(name="x", values=(16, 32), ordered=False, default=32)


@pytest.mark.parametrize("value", [0.5, 7, "relu", True], ids=str)
def test_a_fixed_value_is_kept_as_it_is(value: object) -> None:
    """A literal of any type can be fixed."""
    parameter = one({"fixed": value}).parameter
    assert isinstance(parameter, Fixed)
    assert parameter.value is value


def test_branches_are_named_and_conditional() -> None:
    """A branch's parameters carry the full name and hold only where the branch is chosen."""
    form = {"choice": {"adam": {"beta_1": {"min": 0.8, "max": 0.99}}, "sgd": {"nesterov": [True, False]}, "lion": None}}
    parent, beta, nesterov = (declared.parameter for declared in declare("optimizer", form))
    assert parent == Choice(name="optimizer", values=("adam", "sgd", "lion"))
    assert beta.name == "optimizer/adam/beta_1"
    assert beta.conditions == (Condition(parent="optimizer", values=("adam",)),)
    assert nesterov.active({"optimizer": "sgd"})
    assert not nesterov.active({"optimizer": "adam"})


def test_branches_nest() -> None:
    """A parameter three levels down needs every choice on its way."""
    form = {"choice": {"a": {"y": {"choice": {"b": {"z": {"choice": {"c": {"deep": [1, 2]}}}}}}}}}
    deep = declare("x", form)[-1].parameter
    assert deep.name == "x/a/y/b/z/c/deep"
    assert [condition.parent for condition in deep.conditions] == ["x", "x/a/y", "x/a/y/b/z"]


def test_branches_may_be_numbers() -> None:
    """Numbers choose branches too; the condition holds the number, the name its text."""
    child = declare("x", {"choice": {2: {"rate": [0.1, 0.2]}, 4: None}})[-1].parameter
    assert child.name == "x/2/rate"
    assert child.conditions == (Condition(parent="x", values=(2,)),)


WRONG: list[tuple[Any, tuple[object, ...], str]] = [
    (None, (), "'x' is empty"),
    ([], (), "'x' is an empty list"),
    ({}, (), "'x' is an empty mapping"),
    (64, (), "a literal is `{fixed: 64}`"),
    ("relu", (), "'x' is 'relu'"),
    ({"min": 1}, (), "has no 'max'"),
    ({"min": 5, "max": 1}, ("min",), "swap"),
    ({"min": "1", "max": 5}, ("min",), "'min' of 'x' is '1'; expected a number"),
    ({"min": True, "max": 5}, ("min",), "is true; expected a number"),
    ({"min": 0, "max": 1, "sampling": "log"}, ("sampling",), "min must be above 0"),
    ({"min": 1, "max": 2, "sampling": "lgo"}, ("sampling",), "did you mean 'log'?"),
    ({"min": 0, "max": 1, "step": 0}, ("step",), "step 0"),
    ({"min": 1, "max": 9, "step": 1, "sampling": "log"}, ("step",), "it multiplies"),
    ({"min": 0, "max": 1, "step": 1e-9}, ("step",), f"over {MANY_VALUES} steps"),
    ({"min": 1, "max": 2, "step": 1 + 1e-9, "sampling": "log"}, ("step",), f"over {MANY_VALUES} steps"),
    ({"min": 0, "max": 1, "default": 2}, ("default",), "outside 0 to 1"),
    ({"min": 0, "max": 1, "stp": 1}, ("stp",), "did you mean 'step'?"),
    ({"min_value": 0, "max": 1}, ("min_value",), "did you mean 'min'?"),
    ({"min": 0, "max": 1, "ordered": True}, ("ordered",), "does not go with 'min'"),
    ({"values": [1, 2]}, ("values",), "did you mean 'choice'?"),
    ({"choice": "relu"}, ("choice",), "expected a list of values"),
    ({"choice": []}, ("choice",), "empty list"),
    ({"choice": {}}, ("choice",), "empty mapping"),
    ({"choice": {"a": [1, 2]}}, ("choice", "a"), "expected its parameters"),
    ({"choice": {"a": {"y": []}}}, ("choice", "a", "y"), "'x/a/y' is an empty list"),
    ({"choice": {"a": {"": [1]}}}, ("choice", "a", ""), "cannot name a parameter"),
    ({"choice": {"a": {7: [1]}}}, ("choice", "a", 7), "put it in quotes"),
    ({"choice": {"a": {"y" * 199: [1]}}}, ("choice", "a", "y" * 199), "cannot name a parameter"),
    ({"choice": ["a"], "default": "b"}, ("default",), "expected one of 'a'"),
    ({"choice": [1, 2], "default": True}, ("default",), "is true; expected one of 1, 2"),
    ({"choice": [1, 2], "ordered": 1}, ("ordered",), "expected true or false"),
    ({"fixed": [1]}, ("fixed",), "is a list"),
    ({"fixed": 1, "min": 0}, ("min",), "does not go with 'fixed'"),
    ([[1]], (0,), "is a list; expected text, a number"),
    ([1, None], (1,), "is empty"),
    ([1, "a"], (), "mixes number and text"),
    ([1, True], (), "mixes a switch and number"),
    (["a", "b", "a"], (2,), "lists 'a' twice"),
    ([1, 1.0], (1,), "twice"),
]


@pytest.mark.parametrize(("form", "path", "words"), WRONG, ids=[str(form)[:40] for form, _, _ in WRONG])
def test_a_mistake_is_placed_and_explained(form: object, path: tuple[object, ...], words: str) -> None:
    """Each mistake names the piece at fault and what was expected."""
    error = fault(form)
    assert error.path == path
    assert words in str(error)


@pytest.mark.parametrize("name", ["", "a//b", "/a", "a\nb", "x" * 201, " ", 7], ids=repr)
def test_a_name_is_visible_text(name: Any) -> None:
    """A name that a tracker or a terminal could not show is refused, at the key."""
    with pytest.raises(BadForm) as caught:
        declare(name, [1, 2], ("space", name))
    assert caught.value.at_key
    assert caught.value.path == ("space", name)


def test_the_path_goes_before_the_form_s_own() -> None:
    """A fault deep in a file can be found from the file's root."""
    with pytest.raises(BadForm) as caught:
        declare("x", [1, None], ("space", "x"))
    assert caught.value.path == ("space", "x", 1)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["min", "max", "step", "sampling", "default", "choice", "ordered", "fixed", "a"]), inner
        )
    ),
    max_leaves=12,
)


@given(form=plain)
def test_any_data_is_a_parameter_or_a_bad_form(form: object) -> None:
    """Whatever stands there is understood or refused; what is understood has a domain, and survives the journal."""
    try:
        declared = declare("x", form)
    except BadForm:
        declared = []
    for parameter in declared:
        assert parameter.parameter.domain
        assert Declared.from_json(parameter.to_json()) == parameter
