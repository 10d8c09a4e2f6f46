"""Tests of `kerasweep.spaces.hp`: models written for KerasTuner, read through the sweep's own `hp`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kerasweep.spaces.hp import hyperparameters_class
from kerasweep.spaces.known import Declared, Known
from kerasweep.spaces.parameter import Boolean, Choice, Condition, Fixed, Number, Parameter, Sampling, Steps, identity
from kerasweep.spaces.trace import NeedsParameters, Trace
from kerasweep.spaces.trial import Scalar

pytestmark = pytest.mark.real

MakeHp = Callable[[Trace], Any]


@pytest.fixture(scope="session")
def make_hp() -> MakeHp:
    """Return how to make an `hp`; KerasTuner, and with it TensorFlow, is imported here."""
    pytest.importorskip("keras_tuner")
    return hyperparameters_class()


def trace(
    *known: tuple[Parameter, Scalar], declared: Mapping[str, Declared] | None = None, fitting: bool = False
) -> Trace:
    """Return the trace of a trial that arrives with values for the known parameters."""
    assigned = {identity(parameter): value for parameter, value in known}
    return Trace(assigned=assigned, declared=declared or {}, fitting=fitting)


def used(one: Trace) -> list[Parameter]:
    """Return the parameters that were read, in order."""
    return [parameter for parameter, _ in one.used.values()]


UNITS = Number(name="units", min=8, max=64, integer=True, step=8)


def test_each_kind_is_read_as_the_code_has_it(make_hp: MakeHp) -> None:
    """What an unknown parameter of each kind gives the model is KerasTuner's default; its spec is noted as a miss."""
    one = trace()
    hp = make_hp(one)
    assert hp.Int("units", 8, 64, step=8) == 8
    assert hp.Float("rate", 1e-4, 1e-1, sampling="log", default=1e-2) == 1e-2
    assert hp.Choice("activation", ["relu", "gelu"]) == "relu"
    assert hp.Choice("kernel", [3, 5, 7], default=5) == 5
    assert hp.Boolean("norm", default=True) is True
    assert hp.Fixed("depth", 2) == 2
    searched = [
        UNITS,
        Number(name="rate", min=1e-4, max=1e-1, integer=False, sampling=Sampling.LOG, default=1e-2),
        Choice(name="activation", values=("relu", "gelu")),
        Choice(name="kernel", values=(3, 5, 7), ordered=True, default=5),
        Boolean(name="norm", default=True),
    ]
    assert list(one.misses.values()) == searched
    assert used(one) == [*searched, Fixed(name="depth", value=2)]
    assert one.params == {
        "units": 8,
        "rate": 1e-2,
        "activation": "relu",
        "kernel": 5,
        "norm": True,
        "depth": 2,
    }


def test_a_known_parameter_has_the_sweeps_value(make_hp: MakeHp) -> None:
    """The trial's value reaches the model, whatever default the code gives, and is no miss."""
    one = trace((UNITS, 48))
    assert make_hp(one).Int("units", 8, 64, step=8, default=16) == 48
    assert not one.misses
    assert one.params == {"units": 48}


def test_a_parameter_of_another_range_is_another_parameter(make_hp: MakeHp) -> None:
    """A value that was drawn for one range is not given to another of the same name."""
    one = trace((UNITS, 48))
    assert make_hp(one).Int("units", 8, 32, step=8) == 8
    assert len(one.misses) == 1


def test_only_what_is_read_is_recorded(make_hp: MakeHp) -> None:
    """Values that travel with the trial for branches not taken leave no trace."""
    other = Boolean(name="norm")
    one = trace((UNITS, 48), (other, True))
    make_hp(one).Int("units", 8, 64, step=8)
    assert used(one) == [UNITS]


def test_reading_twice_is_reading_once(make_hp: MakeHp) -> None:
    """The second mention of a name gives the first one's value."""
    one = trace((UNITS, 48))
    hp = make_hp(one)
    assert [hp.Int("units", 8, 64, step=8) for _ in range(2)] == [48, 48]
    assert len(one.used) == 1


def test_loops_and_branches_are_plain_python(make_hp: MakeHp) -> None:
    """How many parameters there are may hang on the values of others."""

    def build(hp: Any) -> list[int]:
        widths = [hp.Int(f"units_{index}", 8, 64, step=8) for index in range(hp.Int("layers", 1, 3))]
        if hp.Boolean("drop"):
            hp.Float("rate", 0.0, 0.5)
        return widths

    layers, drop = Number(name="layers", min=1, max=3, integer=True, step=1), Boolean(name="drop")
    first = trace((layers, 2), (drop, False))
    assert build(make_hp(first)) == [8, 8]
    assert [parameter.name for parameter in first.misses.values()] == ["units_0", "units_1"]
    second = trace((layers, 2), (drop, True), *((one, 16) for one in first.misses.values()))
    assert build(make_hp(second)) == [16, 16]
    assert [parameter.name for parameter in second.misses.values()] == ["rate"]


def test_a_name_scope_is_part_of_the_name(make_hp: MakeHp) -> None:
    """Names join with a slash."""
    one = trace()
    hp = make_hp(one)
    with hp.name_scope("encoder"), hp.name_scope("first"):
        hp.Boolean("norm")
        assert hp.get("norm") is False
    assert list(one.params) == ["encoder/first/norm"]


@pytest.mark.parametrize(("kind", "value"), [("cnn", 5), ("mlp", None)])
def test_a_conditional_scope_is_read_where_its_condition_holds(make_hp: MakeHp, kind: str, value: int | None) -> None:
    """In a scope that does not hold nothing is read, missed or recorded, and the model gets None."""
    parent = Choice(name="kind", values=("mlp", "cnn"))
    under = (Condition(parent="kind", values=("cnn",)),)
    child = Choice(name="kernel", values=(3, 5), ordered=True, conditions=under)
    one = trace((parent, kind), (child, 5))
    hp = make_hp(one)
    hp.Choice("kind", ["mlp", "cnn"])
    with hp.conditional_scope("kind", ["cnn"]):
        assert hp.Choice("kernel", [3, 5]) == value
    assert used(one) == [parent, child][: 1 if value is None else 2]
    assert not one.misses


def test_a_nested_scope_may_hang_on_an_outer_parent(make_hp: MakeHp) -> None:
    """A scope inside another may name a parent from outside both (KerasTuner issue 738)."""
    one = trace()
    hp = make_hp(one)
    hp.Choice("kind", ["cnn", "mlp"])
    hp.Boolean("deep", default=True)
    with hp.conditional_scope("kind", ["cnn"]), hp.conditional_scope("deep", [True]):
        assert hp.Boolean("skip") is False
    conditions = (Condition(parent="kind", values=("cnn",)), Condition(parent="deep", values=(True,)))
    assert used(one)[-1] == Boolean(name="skip", default=False, conditions=conditions)


def test_a_scope_whose_parent_nobody_defined_is_still_an_error(make_hp: MakeHp) -> None:
    """Looking further up does not mean to find what is not there."""
    with pytest.raises(ValueError, match="not defined"), make_hp(trace()).conditional_scope("nothing", [1]):
        pass


def test_one_name_may_have_two_ranges_in_two_branches(make_hp: MakeHp) -> None:
    """The branch that is taken gives the value."""
    parent = Choice(name="kind", values=("small", "large"))
    one = trace((parent, "large"))
    hp = make_hp(one)
    hp.Choice("kind", ["small", "large"])
    with hp.conditional_scope("kind", ["small"]):
        assert hp.Int("units", 1, 8) is None
    with hp.conditional_scope("kind", ["large"]):
        assert hp.Int("units", 100, 800) == 100
    assert one.params == {"kind": "large", "units": 100}


def test_a_value_that_the_code_sets_itself_is_not_searched(make_hp: MakeHp) -> None:
    """`hp.values[...] = ...` before a mention pins it, as in KerasTuner; the trial does not record it as searched."""
    one = trace((UNITS, 48))
    hp = make_hp(one)
    hp.values["units"] = 24
    assert hp.Int("units", 8, 64, step=8) == 24
    assert not one.used


def test_get_gives_what_was_read(make_hp: MakeHp) -> None:
    """`hp.get` and `hp[...]` give the value; an unknown name is KerasTuner's error."""
    hp = make_hp(trace((UNITS, 48)))
    hp.Int("units", 8, 64, step=8)
    assert hp.get("units") == hp["units"] == 48
    assert "units" in hp
    assert "none" not in hp
    with pytest.raises(KeyError):
        hp.get("none")


def test_get_reads_what_only_the_sweep_file_declares(make_hp: MakeHp) -> None:
    """A name that the code never defines, but the file does, has the trial's value, and counts as read."""
    rate = Number(name="rate", min=0.1, max=0.9, integer=False)
    one = trace((rate, 0.5), declared={"rate": Declared(parameter=rate)})
    assert make_hp(one).get("rate") == 0.5
    assert one.params == {"rate": 0.5}


def test_a_miss_inside_fit_ends_the_pass_at_once(make_hp: MakeHp) -> None:
    """No default is trained with; a user's `except Exception` does not swallow it, and the miss is noted."""
    one = trace(fitting=True)
    hp = make_hp(one)

    def careless() -> None:
        try:
            hp.Int("batch", 8, 64)
        except Exception:
            pytest.fail("the pass went on")

    with pytest.raises(NeedsParameters, match="batch"):
        careless()
    assert [parameter.name for parameter in one.misses.values()] == ["batch"]
    assert one.params == {}


def test_what_is_known_inside_fit_is_read(make_hp: MakeHp) -> None:
    """Neither a known parameter nor a fixed one ends a fit."""
    one = trace((UNITS, 48), fitting=True)
    hp = make_hp(one)
    assert hp.Int("units", 8, 64, step=8) == 48
    assert hp.Fixed("epochs", 3) == 3


def test_the_sweep_files_range_takes_the_place_of_the_codes(make_hp: MakeHp) -> None:
    """What is searched is the declared range on the code's terms, and its value reaches the model."""
    declared = Declared(
        parameter=Number(name="units", min=16, max=32, integer=True), open=frozenset({"kind", "step", "sampling"})
    )
    narrowed = Number(name="units", min=16, max=32, integer=True, step=8, default=24)
    missing = trace(declared={"units": declared})
    assert make_hp(missing).Int("units", 8, 64, step=8, default=24) == 24
    assert list(missing.misses.values()) == [narrowed]
    known = trace((narrowed, 32), declared={"units": declared})
    assert make_hp(known).Int("units", 8, 64, step=8, default=24) == 32
    assert used(known) == [narrowed]


def test_a_sweep_file_may_fix_what_the_code_searches(make_hp: MakeHp) -> None:
    """A literal in the file is no miss."""
    one = trace(declared={"units": Declared(parameter=Fixed(name="units", value=40))})
    assert make_hp(one).Int("units", 8, 64, step=8) == 40
    assert not one.misses
    assert one.params == {"units": 40}


def test_what_a_pass_misses_the_next_one_knows(make_hp: MakeHp) -> None:
    """To learn the misses and walk the space gives the next pass a value for all that it reads."""

    def build(hp: Any) -> None:
        hp.Choice("kind", ["cnn", "mlp"])
        with hp.conditional_scope("kind", ["cnn"]):
            hp.Int("filters", 4, 8)

    first = trace()
    build(make_hp(first))
    space = Known().learn(first.misses.values())
    second = Trace(assigned=space.walk(lambda _key, parameter: parameter.initial))
    build(make_hp(second))
    assert not second.misses
    assert second.used.keys() == space.parameters.keys()


@pytest.mark.parametrize(
    ("low", "high", "step", "sampling"),
    [(0.0, 1.0, 0.25, "linear"), (1.0, 9.0, 3.0, "log"), (1.0, 9.0, 3.0, "reverse_log"), (2.0, 20.0, 2.0, "log")],
)
def test_a_grid_has_keras_tuners_values(make_hp: MakeHp, low: float, high: float, step: float, sampling: str) -> None:
    """What KerasTuner could draw from a stepped range is what the sweep draws from."""
    import keras_tuner

    theirs: Any = keras_tuner.HyperParameters()
    theirs.Float("x", low, high, step=step, sampling=sampling)
    one = trace()
    make_hp(one).Float("x", low, high, step=step, sampling=sampling)
    domain = used(one)[0].domain
    assert isinstance(domain, Steps)
    values: list[float] = sorted(theirs.space[0].values)
    assert sorted(domain.values) == pytest.approx(values)


# KerasTuner's container, in all respects ------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["without a trace", "with a trace"])
def make_any(request: pytest.FixtureRequest, make_hp: MakeHp) -> Callable[[], Any]:
    """Return how to make an `hp` for which nothing is known: alone, or in a trial's first pass."""
    return (lambda: make_hp(trace())) if request.param else make_hp  # type: ignore[return-value]


def test_the_class_is_at_hand_by_name(make_hp: MakeHp) -> None:
    """`kerasweep.HyperParameters` is the class that a trial uses, and is made without arguments."""
    import keras_tuner

    import kerasweep
    from kerasweep.spaces import hp as module

    kind: Any = kerasweep.HyperParameters
    assert kind is make_hp is module.HyperParameters
    assert issubclass(kind, keras_tuner.HyperParameters)
    assert (kind().values, kind().space) == ({}, [])
    with pytest.raises(AttributeError, match="no attribute 'HyperParameter'"):
        _ = module.HyperParameter


def script(hp: Any) -> list[Any]:
    """Do what the documentation of KerasTuner shows, and return what can be seen of it."""
    seen: list[Any] = [hp.Choice("a", [1, 2, 3], default=2), hp.Choice("flag", [True, False])]
    seen.append(hp.Int("b", 0, 10, parent_name="a", parent_values=1, default=5))
    seen.append(hp.Int("b", 0, 100, parent_name="a", parent_values=[2], default=4))
    with hp.name_scope("s"), hp.name_scope("t"):
        seen.append(hp.Float("a", 0.5, 9.5, step=0.1))
    with hp.conditional_scope("a", [2, 3]):
        seen += [hp.Boolean("c", default=True), hp.Fixed("d", "x"), hp.get("a")]
        with hp.conditional_scope("c", False):
            seen.append(hp.Int("e", 2, 32, step=2, sampling="log"))
    seen += ["e" in hp, "c" in hp, "none" in hp, hp["b"], hp.is_active("e"), hp.is_active("b")]
    hp.values["a"] = 1
    seen += [hp.get("a"), hp.is_active("c"), hp.Choice("a", [1, 2, 3])]
    hp.values["a"] = 2
    for name, error in (("e", ValueError), ("none", KeyError)):
        with pytest.raises(error):
            hp.get(name)
    with pytest.raises(ValueError, match="cannot have the same name"), hp.conditional_scope("a", 2):
        hp.Int("a", 0, 1)
    return [*seen, dict(hp.values), [str(one) for one in hp.space], hp.get_config()]


def test_it_behaves_as_keras_tuners_own(make_any: Callable[[], Any]) -> None:
    """Values, look-ups, errors, activity, space and configuration, step by step the same."""
    import keras_tuner

    assert script(make_any()) == script(keras_tuner.HyperParameters())


def test_it_goes_through_configurations_copies_and_pickles(make_any: Callable[[], Any]) -> None:
    """Space and values stay what they are."""
    import copy
    import pickle

    hp = make_any()
    script(hp)
    others: list[Any] = [hp.copy(), copy.deepcopy(hp), type(hp).from_config(hp.get_config())]
    others += [pickle.loads(pickle.dumps(hp)), type(hp).from_proto(hp.to_proto())]  # noqa: S301
    for other in others[:4]:
        assert other.get_config() == hp.get_config()
    assert others[4].values == hp.values


def test_merging_takes_over_what_is_active(make_any: Callable[[], Any]) -> None:
    """Overwriting or not, as KerasTuner does."""
    import keras_tuner

    other: Any = keras_tuner.HyperParameters()
    other.Fixed("a", 5)
    other.Choice("d", [1, 2, 3], default=2)
    with other.conditional_scope("d", 1):
        other.Fixed("e", 4)
    for overwrite, a in ((True, 5), (False, 0)):
        hp = make_any()
        hp.Int("a", 0, 100)
        hp.merge(other, overwrite=overwrite)
        assert (hp.get("a"), hp.get("d")) == (a, 2)
        assert "e" not in hp.values
        assert len(hp.space) == 4 if overwrite else 3


def test_inactive_values_are_dropped_on_request(make_any: Callable[[], Any]) -> None:
    """And a parameter that has become active has a value within its range."""
    hp = make_any()
    hp.Choice("kind", ["a", "b"])
    for kind in "ab":
        with hp.conditional_scope("kind", kind):
            hp.Int(f"size_{kind}", 1, 5)
    hp.values["kind"] = "b"
    hp.ensure_active_values()
    assert "size_a" not in hp.values
    assert 1 <= hp.values["size_b"] <= 5


def test_what_is_declared_is_read_on_the_first_look(make_hp: MakeHp) -> None:
    """Each way of looking counts as reading, and nothing else does."""
    looks: list[Callable[[Any], Any]] = [
        lambda hp: hp.get("units"),
        lambda hp: hp["units"],
        lambda hp: hp.values["units"],
        lambda hp: hp.values.get("units"),
        lambda hp: hp.Int("units", 8, 64, step=8),
    ]
    for look in looks:
        one = trace((UNITS, 40), (Boolean(name="norm"), True))
        hp = make_hp(one)
        with hp.declaration():
            assert hp.Int("units", 8, 64, step=8) == 40
            assert hp.Boolean("norm") is True
        assert (one.params, one.misses) == ({}, {})
        assert look(hp) == 40
        assert one.params == {"units": 40}


def test_a_declared_child_brings_its_parent(make_hp: MakeHp) -> None:
    """Whether a declared parameter is active hangs on its parent, which is read with it."""
    one = trace()
    hp = make_hp(one)
    with hp.declaration():
        hp.Choice("kind", ["cnn", "mlp"])
        with hp.conditional_scope("kind", ["cnn"]):
            hp.Int("filters", 4, 8)
        with hp.conditional_scope("kind", ["mlp"]):
            hp.Int("units", 4, 8)
    assert "units" not in hp
    assert hp.get("filters") == 4
    assert list(one.params) == ["kind", "filters"]


def test_a_copy_searches_nothing_but_what_was_declared(make_hp: MakeHp) -> None:
    """New parameters have their defaults, also in `fit`, and leave no trace; the sweep file's are read."""
    rate = Number(name="rate", min=0.1, max=0.9, integer=False)
    one = trace((rate, 0.5), (UNITS, 40), declared={"rate": Declared(parameter=rate)}, fitting=True)
    hp = make_hp(one)
    hp.Int("units", 8, 64, step=8)
    other: Any = hp.copy()
    assert (other.Int("units", 8, 64, step=8), other.Int("depth", 1, 3, default=2)) == (40, 2)
    assert other.Float("rate", 0.0, 1.0) == 0.5
    other.values["depth"] = 3
    assert one.params == {"units": 40, "rate": 0.5}
    assert "depth" not in hp


def test_a_default_outside_the_range_is_none(make_hp: MakeHp) -> None:
    """KerasTuner lets it pass; the smallest value stands in."""
    one = trace()
    assert make_hp(one).Int("units", 8, 64, default=4) == 8
    assert used(one)[0] == Number(name="units", min=8, max=64, integer=True, step=1)


def test_a_condition_on_what_the_code_set_is_none_to_the_driver(make_hp: MakeHp) -> None:
    """The driver does not know such a parent: the child would never be given a value."""
    one = trace()
    hp = make_hp(one)
    hp.values["kind"] = "cnn"
    hp.Choice("kind", ["mlp", "cnn"])
    with hp.conditional_scope("kind", "cnn"):
        hp.Int("filters", 4, 8)
    assert used(one) == [Number(name="filters", min=4, max=8, integer=True, step=1)]
    assert one.params == {"kind": "cnn", "filters": 4}


def test_a_value_is_there_before_the_code_says_what_it_is(make_hp: MakeHp) -> None:
    """As under KerasTuner, whose container is filled beforehand: what an earlier pass has found may be looked at first."""

    def build(hp: Any) -> tuple[Any, Any, Any]:
        before = hp.get("extra") if "extra" in hp.values else None
        return before, hp.values.get("other", "none"), hp.Choice("extra", [0, 1, 2])

    extra = Choice(name="extra", values=(0, 1, 2), ordered=True)
    assert build(make_hp(trace())) == (None, "none", 0)
    one = Trace(assigned={identity(extra): 2}, known=(extra,))
    assert build(make_hp(one)) == (2, "none", 2)
    assert used(one) == [extra]
    assert not one.misses


def test_a_value_of_an_inactive_parameter_is_not_there(make_hp: MakeHp) -> None:
    """Looking for it finds nothing and records nothing, but what the answer hangs on."""
    parent = Choice(name="kind", values=("mlp", "cnn"))
    child = Choice(name="kernel", values=(3, 5), ordered=True, conditions=(Condition(parent="kind", values=("cnn",)),))
    one = Trace(assigned={identity(parent): "mlp", identity(child): 5}, known=(parent, child))
    hp = make_hp(one)
    assert "kernel" not in hp.values
    assert hp.values.get("kernel") is None
    assert used(one) == [parent]


def test_a_known_parameter_that_is_not_searched_here_has_its_default(make_hp: MakeHp) -> None:
    """In a copy, of which `tunable=False` makes use, nothing but what was there before has the sweep's value."""
    extra = Choice(name="extra", values=(0, 1, 2), ordered=True)
    one = Trace(assigned={identity(extra): 2}, known=(extra,))
    hp = make_hp(one).copy()
    assert "extra" not in hp.values
    assert hp.Choice("extra", [0, 1, 2]) == 0
