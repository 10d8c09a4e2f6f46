"""Tests of `kerasweep.spaces.known`."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.spaces import Space, boolean, choice, integer, repeat
from kerasweep.spaces.known import Declared, Known
from kerasweep.spaces.parameter import Boolean, Choice, Condition, Fixed, Number, Parameter, Sampling, identity
from kerasweep.spaces.trace import Trace
from kerasweep.spaces.trial import Scalar

from ..strategies import parameters, spaces

CODE = Number(name="units", min=8, max=64, integer=True, step=8, default=32)


def initial(_: str, parameter: Parameter) -> Scalar:
    """Draw the default."""
    return parameter.initial


def names(space: Known) -> list[str]:
    """Return the names of the known parameters, in order."""
    return [parameter.name for parameter in space.parameters.values()]


# narrow ---------------------------------------------------------------------------------------------------------------


def test_a_declared_range_takes_the_place_of_the_codes() -> None:
    """The sweep file says where to search, the code's default holds where it lies inside."""
    declared = Declared(parameter=Number(name="units", min=16, max=48, integer=True, step=16))
    assert declared.narrow(CODE) == replace(CODE, min=16, max=48, step=16)


def test_what_a_declaration_leaves_open_is_the_codes() -> None:
    """Kind, step and sampling that the sweep file does not name are as in the code."""
    declared = Declared(
        parameter=Number(name="units", min=16.0, max=48.0, integer=False), open=frozenset({"kind", "step", "sampling"})
    )
    assert declared.narrow(CODE) == replace(CODE, min=16, max=48)


def test_a_default_outside_the_declared_range_is_dropped() -> None:
    """The code's default is no default for a range that does not have it; the declaration's own one stands."""
    declared = Declared(parameter=Number(name="units", min=40, max=64, integer=True))
    assert declared.narrow(CODE).initial == 40
    declared = Declared(parameter=Number(name="units", min=40, max=64, integer=True, default=48))
    assert declared.narrow(CODE).initial == 48


def test_logarithmic_sampling_is_not_taken_over_where_zero_is_declared() -> None:
    """A range from 0 has no logarithm: it stays linear, and a multiplying step stays out of it."""
    code = Number(name="rate", min=0.1, max=10.0, integer=False, step=10, sampling=Sampling.LOG)
    declared = Declared(
        parameter=Number(name="rate", min=0.0, max=1.0, integer=False), open=frozenset({"step", "sampling"})
    )
    narrowed = declared.narrow(code)
    assert isinstance(narrowed, Number)
    assert (narrowed.sampling, narrowed.step) == (Sampling.LINEAR, None)


def test_the_codes_conditions_hold_whatever_is_declared() -> None:
    """Where a parameter is read is for the code to say."""
    under = (Condition(parent="kind", values=("mlp",)),)
    declared = Declared(parameter=Choice(name="units", values=(8, 16)))
    assert declared.narrow(replace(CODE, conditions=under)) == Choice(name="units", values=(8, 16), conditions=under)


def test_declared_conditions_hold_where_the_code_states_none() -> None:
    """A plain loop or `if` says nothing; the declaration does, as long as it agrees with what was read."""
    conditions = (Condition(parent="layers", values=(2, 3)),)
    declared = Declared(parameter=replace(CODE, conditions=conditions), open=frozenset())
    assert declared.narrow(CODE, {"layers": 2}).conditions == conditions
    assert declared.narrow(CODE, {"layers": 1}).conditions == ()
    assert declared.narrow(CODE).conditions == ()
    own = (Condition(parent="kind", values=("mlp",)),)
    assert declared.narrow(replace(CODE, conditions=own), {"layers": 2}).conditions == own


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_loop_over_a_declared_group_needs_no_further_round(layers: int) -> None:
    """What the driver proposes for a declared group is just what the model's loop asks for."""
    group = [integer("units", 8, 64, step=8), choice("kind", {"a": [boolean("b")], "c": []})]
    declared = Space([repeat(integer("layers", 1, 3), group)]).declared
    known = Known.of(declared)
    params = known.walk(lambda _, one: layers if one.name == "layers" else one.initial)
    trace = Trace(assigned=params, declared={one.parameter.name: one for one in declared})
    for layer in range(int(trace.read(Number(name="layers", min=1, max=5, integer=True)))):
        trace.read(Number(name=f"units_{layer}", min=1, max=512, integer=True))
        if trace.read(Choice(name=f"kind_{layer}", values=("a", "c"))) == "a":
            trace.read(Boolean(name=f"kind_{layer}/a/b"))
    assert trace.misses == {}
    assert set(trace.used) == set(params)
    assert known.learn(one for one, _ in trace.used.values()).parameters == known.parameters


def test_a_parameter_that_is_read_where_it_was_not_declared_to_be_is_found() -> None:
    """The code decides what it reads: under no condition, it gets a value of its own in the next round."""
    declared = Space([repeat(integer("layers", 1, 3), [boolean("skip")])]).declared
    known = Known.of(declared)
    params = known.walk(lambda _, one: one.initial)
    trace = Trace(assigned=params, declared={one.parameter.name: one for one in declared})
    trace.read(Number(name="layers", min=1, max=3, integer=True))
    trace.read(Boolean(name="skip_2"))
    (missed,) = trace.misses.values()
    assert missed == Boolean(name="skip_2")
    more = known.learn([missed]).walk(lambda _, one: one.initial, params)
    assert identity(missed) in more


@given(parameters, st.frozensets(st.sampled_from(["kind", "step", "sampling"])))
def test_a_declaration_reads_back_from_json(parameter: Parameter, leaves_open: frozenset[str]) -> None:
    """What is journaled of a declaration is all of it."""
    declared = Declared(parameter=parameter, open=leaves_open)
    assert Declared.from_json(json.loads(json.dumps(declared.to_json()))) == declared


@given(parameters)
def test_narrowing_is_done_once(parameter: Parameter) -> None:
    """A declaration that meets its own result changes nothing more."""
    declared = Declared(parameter=Number(name=parameter.name, min=1.0, max=2.0, integer=False))
    narrowed = declared.narrow(parameter)
    assert declared.narrow(narrowed) == narrowed


# learn ----------------------------------------------------------------------------------------------------------------


@given(spaces())
def test_what_is_known_is_not_learned_twice(space: Known) -> None:
    """To learn all of a space again leaves it as it was, order included."""
    again = space.learn(space.parameters.values())
    assert list(again.parameters.items()) == list(space.parameters.items())


def test_what_is_new_comes_last() -> None:
    """Parameters are known in the order in which they became known."""
    first, second = Boolean(name="first"), Boolean(name="second")
    assert names(Known().learn([first]).learn([second, first])) == ["first", "second"]


def test_learning_leaves_the_space_before_as_it_was() -> None:
    """A space is a value."""
    before = Known().learn([Boolean(name="first")])
    before.learn([Boolean(name="second")])
    assert names(before) == ["first"]


def test_two_branches_may_use_one_name_with_two_ranges() -> None:
    """Both are known: they are two parameters."""
    small, large = replace(CODE, max=16, default=None), replace(CODE, min=128, max=256, default=None)
    assert set(Known().learn([small, large]).parameters) == {identity(small), identity(large)}


def test_what_the_code_makes_of_a_declaration_takes_its_place() -> None:
    """Once a model has read a declared name, the declaration's own form is searched no more."""
    declared = Declared(parameter=replace(CODE, step=None, default=None), open=frozenset({"step"}))
    read = declared.narrow(CODE)
    assert list(Known.of([declared]).learn([read]).parameters.values()) == [read]


def test_a_declared_parent_that_is_read_stays_before_its_children() -> None:
    """The form that the code made of a parent stands where the declaration stood."""
    parent = Declared(parameter=Number(name="depth", min=1, max=3, integer=True), open=frozenset({"step"}))
    child = Declared(parameter=Boolean(name="skip", conditions=(Condition(parent="depth", values=(2, 3)),)))
    read = parent.narrow(Number(name="depth", min=1, max=9, integer=True, step=2, default=2))
    assert identity(read) != identity(parent.parameter)
    space = Known.of([parent, child]).learn([read])
    assert names(space) == ["depth", "skip"]
    assert set(space.walk(initial)) == {identity(read), identity(child.parameter)}


def test_a_declared_parent_that_is_read_as_it_stands_stays_before_its_children() -> None:
    """To hear again of what was declared changes nothing in the order."""
    parent = Declared(parameter=Choice(name="kind", values=("a", "b")))
    child = Declared(parameter=Boolean(name="skip", conditions=(Condition(parent="kind", values=("a",)),)))
    assert names(Known.of([parent, child]).learn([parent.parameter])) == ["kind", "skip"]


def test_a_declared_parameter_read_under_a_condition_comes_after_its_parent() -> None:
    """A declaration without conditions that the code reads in one branch is drawn after what the branch hangs on."""
    declared = Declared(parameter=Boolean(name="skip"))
    parent = Choice(name="kind", values=("a", "b"))
    read = declared.narrow(Boolean(name="skip", conditions=(Condition(parent="kind", values=("a",)),)))
    assert names(Known.of([declared]).learn([parent, read])) == ["kind", "skip"]


def test_two_branches_may_read_one_declared_name() -> None:
    """The second form of a declared name is learned beside the first, not in its place."""
    declared = Declared(parameter=replace(CODE, step=None), open=frozenset({"step"}))
    one, other = declared.narrow(CODE), declared.narrow(replace(CODE, step=4))
    assert set(Known.of([declared]).learn([one]).learn([other]).parameters) == {identity(one), identity(other)}


# walk -----------------------------------------------------------------------------------------------------------------


@given(spaces(), st.randoms(use_true_random=False))
def test_a_walk_draws_what_is_active_and_nothing_else(space: Known, random: Random) -> None:
    """Each parameter whose conditions hold under the values so far gets one, in order; no other is ever drawn."""
    drawn: list[str] = []

    def draw(key: str, parameter: Parameter) -> Scalar:
        drawn.append(key)
        values = parameter.values if isinstance(parameter, Choice) else (0.0, 0.5, 1.0)
        return random.choice(values)

    chosen = space.walk(draw)
    by_name = {space.parameters[key].name: value for key, value in chosen.items()}
    active = [key for key, parameter in space.parameters.items() if parameter.active(by_name)]
    assert list(chosen) == active
    assert drawn == [key for key in active if not isinstance(space.parameters[key], Fixed)]


@given(spaces())
def test_a_walk_visits_parents_before_children(space: Known) -> None:
    """When a parameter is drawn, the parents of its conditions have values already."""
    seen: list[str] = []

    def draw(_: str, parameter: Parameter) -> Scalar:
        assert all(condition.parent in seen for condition in parameter.conditions)
        seen.append(parameter.name)
        return parameter.initial

    space.walk(draw)
    assert len(seen) == len(set(seen))


@given(spaces(), st.data())
def test_pinned_values_are_kept_and_not_drawn_again(space: Known, data: st.DataObject) -> None:
    """A further pass draws only what the one before did not have; a walk with all pinned draws nothing."""
    before = space.walk(initial)
    pinned = {key: before[key] for key in data.draw(st.sets(st.sampled_from(sorted(before))))}
    drawn: list[str] = []

    def draw(key: str, parameter: Parameter) -> Scalar:
        drawn.append(key)
        return parameter.initial

    after = space.walk(draw, pinned)
    assert after == before
    assert not pinned.keys() & set(drawn)


def test_a_pinned_value_whose_parent_was_drawn_otherwise_is_dropped() -> None:
    """What a pass read in a branch that is not taken any more has no value."""
    parent = Choice(name="kind", values=("a", "b"))
    child = Boolean(name="skip", conditions=(Condition(parent="kind", values=("a",)),))
    space = Known().learn([parent, child])
    assert space.walk(lambda _key, _one: "b", {identity(child): True}) == {identity(parent): "b"}


def test_a_fixed_value_is_recorded_and_can_be_a_parent() -> None:
    """A fixed parameter is never drawn, but has its value, and conditions may hang on it."""
    parent = Fixed(name="kind", value="a")
    child = Boolean(name="skip", conditions=(Condition(parent="kind", values=("a",)),))
    space = Known().learn([parent, child])
    assert space.walk(initial) == {identity(parent): "a", identity(child): False}


@pytest.mark.parametrize("kind", ["a", "b"])
def test_two_forms_of_one_name_follow_their_own_conditions(kind: str) -> None:
    """Of two ranges under one name, the one whose branch is taken is drawn."""
    parent = Choice(name="kind", values=("a", "b"))
    forms = {
        value: replace(CODE, max=high, conditions=(Condition(parent="kind", values=(value,)),))
        for value, high in (("a", 48), ("b", 64))
    }
    space = Known().learn([parent, *forms.values()])
    chosen = space.walk(lambda _, one: kind if one.name == "kind" else one.initial)
    assert set(chosen) == {identity(parent), identity(forms[kind])}
