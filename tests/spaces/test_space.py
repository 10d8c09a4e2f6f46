"""Tests of `kerasweep.spaces.space` and of the functions that fill it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasweep import spaces
from kerasweep.spaces import Space, boolean, choice, fixed, integer, real, repeat
from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.known import Declared, Known
from kerasweep.spaces.parameter import Condition, Number, Sampling
from kerasweep.spaces.yaml_form import declare_all

from ..strategies import declared_spaces

SPACE = Space(
    [
        real("learning_rate", 1e-5, 1e-1, sampling="log", default=1e-3),
        repeat(integer("layers", 1, 3), [integer("units", 32, 256, step=32), choice("activation", ["relu", "no"])]),
        choice("optimizer", {"adam": [real("beta_1", 0.8, 0.99)], "sgd": [boolean("nesterov")], "lion": []}),
        real("decay", 0, 0.1, when={"optimizer": ["adam", "sgd"], "layers": 3}),
        fixed("seed", 7),
    ],
    where=["units_0 >= units_1", "units_1 >= units_2"],
)
YAML = """\
space:
  learning_rate: {min: 1e-05, max: 0.1, default: 0.001, sampling: log}
  layers:
    min: 1
    max: 3
    repeat: {units: {min: 32, max: 256, step: 32}, activation: [relu, no]}
  optimizer:
    choice:
      adam: {beta_1: {min: 0.8, max: 0.99}}
      sgd: {nesterov: [false, true]}
      lion:
  decay: {min: 0.0, max: 0.1, when: {optimizer: [adam, sgd], layers: 3}}
  seed: {fixed: 7}
where: ["units_0 >= units_1", units_1>=units_2]
"""


def test_what_is_offered_is_what_is_listed() -> None:
    """The public names, each of which there is."""
    assert spaces.__all__ == sorted(spaces.__all__)
    assert set(spaces.__all__) == set(spaces._FROM)  # pyright: ignore[reportPrivateUsage]
    assert set(spaces.__all__) >= {"Space", "boolean", "choice", "fixed", "integer", "real", "repeat"}
    assert all(callable(getattr(spaces, name)) for name in spaces.__all__)
    assert set(spaces.__all__) <= set(dir(spaces))
    with pytest.raises(AttributeError, match="has no attribute 'chioce'"):
        _ = spaces.chioce


def test_importing_the_spaces_imports_nothing_heavy() -> None:
    """Neither Keras nor Optuna, nor NumPy."""
    code = "import sys; from kerasweep import spaces; spaces.integer('a', 1, 2); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"keras", "keras_tuner", "tensorflow", "optuna", "numpy", "ray"} & set(done.stdout.split())


# One internal form ----------------------------------------------------------------------------------------------------


def test_python_and_yaml_say_the_same() -> None:
    """However it is written, equal spaces are equal, hash equal, and have one digest."""
    read = Space.from_yaml(YAML)
    assert read == SPACE
    assert hash(read) == hash(SPACE)
    assert read.digest == SPACE.digest
    assert len({read, SPACE}) == 1


def test_the_digest_is_for_ever() -> None:
    """It may be kept in files: it is no matter of the process or the machine."""
    small = Space([integer("units", 32, 64), choice("activation", ["relu", "gelu"])], where=["units < 60"])
    assert small.digest == "3b6aca19050062de4309aa9e8f51e0027e3fc2f30d14cf126c8059d7b9ffd52a"


@pytest.mark.parametrize(
    "other",
    [
        Space([integer("a", 1, 4)]),
        Space([integer("a", 1, 3, default=2)]),
        Space([real("a", 1, 3)]),
        Space([choice("a", [1, 2, 3])]),
        Space([integer("b", 1, 3)]),
        Space([integer("a", 1, 3, sampling="linear")]),
        Space([integer("a", 1, 3)], where=["a < 3"]),
        Space([integer("a", 1, 3), fixed("b", 1)]),
        Space(),
    ],
    ids=lambda one: repr(one)[:60],
)
def test_spaces_that_differ_are_not_equal(other: Space) -> None:
    """In a bound, a default, a kind, a name, a clause."""
    assert Space([integer("a", 1, 3)]) != other


def test_the_order_counts() -> None:
    """Proposals depend on it."""
    one, other = integer("a", 1, 3), boolean("b")
    assert Space([one, other]) != Space([other, one])


def test_true_and_1_are_two_values() -> None:
    """So are 1 and 1.0, and "1"."""
    spaces_ = [Space([fixed("a", value)]) for value in (True, 1, 1.0, "1")]
    assert len(set(spaces_)) == 4


@settings(max_examples=12)
@given(declared_spaces())
def test_a_space_survives_yaml(space: Space) -> None:
    """All of it, to the last bit of a float and the type of a value; what is written is a sweep file's."""
    text = space.to_yaml()
    again = Space.from_yaml(text)
    assert again == space
    assert again.declared == space.declared
    assert again.to_yaml() == text


@settings(max_examples=12)
@given(declared_spaces(), st.booleans())
def test_a_space_survives_json(space: Space, sort_keys: bool) -> None:
    """Whatever becomes of the order of keys, and though JSON has only text for keys."""
    again = Space.from_json(json.loads(json.dumps(space.to_json(), sort_keys=sort_keys)))
    assert again == space
    assert again.declared == space.declared
    assert again.to_yaml() == space.to_yaml() or sort_keys


@settings(max_examples=12)
@given(declared_spaces(), st.integers(0, 2**32))
def test_a_sample_has_what_is_active_and_keeps_to_where(space: Space, seed: int) -> None:
    """Each active parameter has a value of its domain, parents come first, clauses hold."""
    sample = space.sample(seed)
    for one in space.declared:
        parameter = one.parameter
        assert (parameter.name in sample) == parameter.active(sample)
        assert all(condition.parent in sample for condition in parameter.conditions if parameter.name in sample)
    if space.where and "late_0" in sample:
        assert float(sample["late_0"]) < 0.5 or sample["kind"] == "cnn" or int(sample["depth"]) <= 2
    assert space.sample(seed) == sample


def test_long_spaces_are_written_in_lines() -> None:
    """As one would by hand: short pieces on one line."""
    assert SPACE.to_yaml().splitlines()[:6] == [
        "space:",
        "  learning_rate: {min: 1e-05, max: 0.1, default: 0.001, sampling: log}",
        "  layers:",
        "    min: 1",
        "    max: 3",
        '    repeat: {units: {min: 32, max: 256, step: 32}, activation: {choice: [relu, "no"]}}',
    ]


# Names and conditions -------------------------------------------------------------------------------------------------


def conditions(space: Space) -> dict[str, list[tuple[str, tuple[object, ...]]]]:
    """Return what each parameter hangs on, by name."""
    return {one.parameter.name: [(it.parent, it.values) for it in one.parameter.conditions] for one in space.declared}


def test_a_repeated_group_is_named_as_models_name_it_in_a_loop() -> None:
    """`units_0`, `units_1`, …; a turn is active where the count goes so far; the first ones always."""
    space = Space([repeat(integer("layers", 1, 3), [integer("units", 8, 64)])])
    assert conditions(space) == {
        "layers": [],
        "units_0": [],
        "units_1": [("layers", (2, 3))],
        "units_2": [("layers", (3,))],
    }


def test_a_count_may_be_a_choice_or_fixed() -> None:
    """Any whole numbers from 0."""
    chosen = Space([repeat(choice("layers", [0, 2]), [boolean("skip")])])
    assert conditions(chosen) == {"layers": [], "skip_0": [("layers", (2,))], "skip_1": [("layers", (2,))]}
    always = Space([repeat(fixed("layers", 2), [boolean("skip")])])
    assert conditions(always) == {"layers": [], "skip_0": [], "skip_1": []}


def test_groups_and_branches_nest_to_any_depth() -> None:
    """A group in a group has two indices; a branch in a group hangs on that turn's choice."""
    layer = choice("kind", {"dense": [integer("units", 8, 64)], "none": []})
    block = repeat(integer("layers", 0, 2), [layer])
    space = Space([choice("model", {"cnn": [repeat(integer("blocks", 1, 2), [block])], "mlp": []})])
    names = conditions(space)
    assert names["model/cnn/kind_1_0/dense/units"] == [
        ("model", ("cnn",)),
        ("model/cnn/blocks", (2,)),
        ("model/cnn/layers_1", (1, 2)),
        ("model/cnn/kind_1_0", ("dense",)),
    ]
    sample = {"model": "cnn", "model/cnn/blocks": 2, "model/cnn/layers_1": 0, "model/cnn/layers_0": 1}
    active = {name for name, parents in names.items() if all(sample.get(one) in values for one, values in parents)}
    assert {"model/cnn/kind_0_0", "model/cnn/layers_1"} <= active
    assert not {"model/cnn/kind_1_0", "model/cnn/kind_0_1"} & active


def test_when_may_name_what_stands_beside_it() -> None:
    """In a group or a branch the nearest parameter of that name is meant, else the one of that full name."""
    block = [choice("kind", ["conv", "dense"]), integer("kernel", 1, 7, when={"kind": "conv", "wide": True})]
    space = Space([boolean("wide"), repeat(integer("blocks", 2, 2), block), boolean("kind")])
    assert conditions(space)["kernel_1"] == [("kind_1", ("conv",)), ("wide", (True,))]
    branch = [choice("kind", ["a", "b"]), boolean("x", when={"kind": "a"})]
    space = Space([choice("model", {"m": branch})])
    assert conditions(space)["model/m/x"] == [("model", ("m",)), ("model/m/kind", ("a",))]


def test_a_parameter_may_stand_before_what_it_hangs_on() -> None:
    """Parents are proposed first wherever they are written; all else stays in order."""
    space = Space([real("decay", 0, 1, when={"optimizer": "sgd"}), boolean("z"), choice("optimizer", ["sgd", "lion"])])
    assert list(conditions(space)) == ["z", "optimizer", "decay"]


def test_what_is_not_said_is_as_the_model_has_it() -> None:
    """A step or a sampling that is left out is open to the code; one that is given is not."""
    (plain,), (said,) = (Space([one]).declared for one in (real("x", 1, 2), real("x", 1, 2, sampling="linear")))
    assert plain == Declared(
        parameter=Number(name="x", min=1, max=2, integer=False), open=frozenset({"sampling", "step"})
    )
    assert said.open == {"step"}
    (log,) = Space([integer("x", 1, 8, step=2, sampling="log")]).declared
    assert log.parameter == Number(name="x", min=1, max=8, integer=True, step=2, sampling=Sampling.LOG)


def test_a_fixed_count_has_no_condition_to_declare() -> None:
    """What always holds is not said."""
    (one,) = (it for it in Space([repeat(integer("n", 1, 1), [boolean("b")])]).declared if it.parameter.name == "b_0")
    assert one.parameter.conditions == ()
    assert Condition(parent="n", values=(1,)) not in one.parameter.conditions


# Mistakes -------------------------------------------------------------------------------------------------------------

MISTAKES: list[tuple[Callable[[], object], str]] = [
    (lambda: integer("x", 3, 1), "'x' has min 3 > max 1"),
    (lambda: integer("x", 0, 1.5), "max_value of 'x' is 1.5; expected a whole number, or use `real`"),  # pyright: ignore[reportArgumentType]
    (lambda: integer("x", True, 3), "min_value of 'x' is True"),
    (lambda: integer("x", 1, 10**17), "too large"),
    (
        lambda: integer("x", 1, 2**53 + 1),
        "'x' goes from 1 to 9007199254740993, which is too large; expected whole numbers",
    ),
    (
        lambda: real("x", -1e308, 1e308),
        "'x' goes from -1e+308 to 1e+308, which is too wide; expected a finite difference",
    ),
    (lambda: real("x", 0, 1, sampling="log"), "min must be above 0"),
    (lambda: real("x", 0, 1, sampling="lgo"), "did you mean 'log'"),  # pyright: ignore[reportArgumentType]
    (lambda: real("x", 0, float("inf")), "expected a number"),
    (lambda: real("x", 0, 1, default=2), "default 2, outside 0 to 1"),
    (lambda: integer("x", 20, 100, step=32), "steps of 32 from 20 miss max 100; the nearest max that fits is 84"),
    (lambda: real("x", 0, 1, step=0.3), "the nearest max that fits is 0.9"),
    (lambda: real("x", 1e-4, 0.5, step=10, sampling="log"), "the nearest max that fits is 0.1"),
    (lambda: real("x", 0, 1, step=5), "the nearest max that fits is 5.0"),
    (
        lambda: integer("x", 0, 9, step=3, default=4),
        "default 4 is not on the grid of 'x'; the nearest value on it is 3",
    ),
    (lambda: choice("x", []), "'x' is an empty list"),
    (lambda: choice("x", {}), "at least one branch"),
    (lambda: choice("x", ["a", "a"]), "lists 'a' twice"),
    (lambda: choice("x", ["a", 1]), "mixes number and text"),
    (lambda: choice("x", ["relu"], default="rleu"), "did you mean 'relu'"),
    (lambda: choice("x", {0.5: []}), "branches on 0.5, a float"),
    (lambda: choice("x", {"a": [boolean("y"), boolean("y")]}), "'y' is declared twice in 'x/a'"),
    (lambda: fixed("x", [1]), "a value of 'x' is a list"),  # pyright: ignore[reportArgumentType]
    (lambda: fixed("", 1), "cannot name a parameter"),
    (lambda: repeat(real("x", 1, 3), [boolean("y")]), "'repeat' needs a count"),
    (lambda: repeat(integer("x", -1, 3), [boolean("y")]), "'repeat' needs a count"),
    (lambda: repeat(integer("x", 1, 101), [boolean("y")]), "whole numbers from 0 to 100"),
    (lambda: repeat(boolean("x"), [boolean("y")]), "'repeat' needs a count"),
    (lambda: repeat(choice("x", ["a"]), [boolean("y")]), "'repeat' needs a count"),
    (
        lambda: repeat(integer("x", 1, 100), [repeat(integer("y", 1, 100), [boolean("z")])]),
        "over 2000 parameters",
    ),
    (lambda: Space([boolean("x"), boolean("x")]), "'x' is declared twice"),
    (lambda: Space([repeat(integer("n", 1, 2), [boolean("x")]), boolean("x_1")]), "'x_1' is declared twice"),
    (lambda: Space([boolean("x", when={"y": 1})]), "'x' hangs on 'y', which is not declared"),
    (lambda: Space([boolean("units"), boolean("x", when={"unts": True})]), "did you mean 'units'"),
    (lambda: Space([real("r", 0, 1), boolean("x", when={"r": 0.5})]), "'x' hangs on 'r', a float"),
    (lambda: Space([integer("n", 1, 3), boolean("x", when={"n": 4})]), "'n' is never 4; it is from 1 to 3"),
    (lambda: Space([choice("o", ["adam"]), boolean("x", when={"o": "adm"})]), "did you mean 'adam'"),
    (lambda: Space([boolean("b"), boolean("x", when={"b": 1})]), "'b' is never 1; it is one of false, true"),
    (lambda: Space([boolean("x", when={"x": True})]), "cyclic condition: x → x"),
    (
        lambda: Space([boolean("a", when={"b": True}), boolean("b", when={"c": True}), boolean("c", when={"a": True})]),
        "cyclic condition: a → b → c → a",
    ),
    (lambda: Space([boolean("a", when={})]), "'when' of 'a' is a mapping; expected values by parameter"),
    (lambda: Space([boolean("a", when={"b": []})]), "expected a value or a list of values"),
    (lambda: Space([integer("n", 1, 3)], where="n < 3"), "expected a list of clauses"),
    (lambda: Space([integer("n", 1, 3)], where=["n <"]), "is not understood"),
    (lambda: Space([integer("n", 1, 3)], where=["n > 3"]), "none of 3 configurations keeps to 'n > 3'"),
    (lambda: Space([integer("n", 1, 3)], where=["n > 'a'"]), "cannot tell whether 1 > 'a'"),
    (lambda: Space([integer("n", 1, 3)], where=["n > 1", "n < 2"]), "keeps to all clauses together"),
    (lambda: Space([real("a", 0, 1), real("b", 0, 1)], where=["a == b"]), "none of 10000 random configurations"),
]


@pytest.mark.parametrize(("make", "words"), MISTAKES, ids=[words[:50] for _, words in MISTAKES])
def test_a_mistake_is_told_where_it_is_made(make: Callable[[], object], words: str) -> None:
    """In one line, with what was expected."""
    with pytest.raises(BadInput) as caught:
        make()
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


PLACED = [
    (
        "space:\n  a: {min: 1, max: 2, when: {b: x}}\n  b: {choice: [x, y], when: {a: 1}}\n",
        "2:33",
        "cyclic condition: a",
    ),
    ("space:\n  u: {min: 20, max: 100, step: 32}\n", "2:21", "miss max 100"),
    ("space:\n  u: {min: 16, max: 64, step: 16, default: 20}\n", "2:44", "not on the grid"),
    ("space:\n  u: {choice: {0.5: {a: [1]}}}\n", "2:16", "branches on 0.5"),
    ("space:\n  r: {min: 0.0, max: 1.0}\n  u: {fixed: 1, when: {r: 0.1}}\n", "3:24", "a float"),
    ("space:\n  o: [adam, sgd]\n  u: {fixed: 1, when: {o: adm}}\n", "3:27", "did you mean 'adam'"),
    ("space:\n  n: {min: 1, max: 2, repeat: {u: {min: 2, max: 1}}}\n", "2:41", "'u_0' has min 2 > max 1"),
    ("space:\n  n: {min: 1, max: 2, repeat: [u]}\n", "2:31", "'repeat' of 'n' is a list"),
    ("space:\n  n: {min: 1, max: 2, each: {u: [1]}}\n", "2:23", "did you mean 'repeat'"),
    ("space:\n  n: {min: 1.5, max: 2, repeat: {u: [1]}}\n", "2:25", "'repeat' needs a count"),
    ("space:\n  n: {min: 1, max: 2, repeat: {u: [1]}}\n  u_1: [2]\n", "3:3", "declared twice"),
    ("space:\n  u: {min: 1, max: 9}\nwhere:\n  - u > 3\n  - u > 10\n", "5:5", "none of 9 configurations"),
    ("space:\n  u: {min: 1, max: 9}\nwhere: u > 3\n", "3:8", "'where' is no list"),
    ("space:\n  u: {min: 1, max: 9}\nwere: [u > 3]\n", "3:1", "unknown key 'were'"),
    ("- a\n", "1:1", "expected a mapping"),
    ("space: 3\n", "1:8", "is no mapping"),
]


@pytest.mark.parametrize(("text", "place", "words"), PLACED, ids=[words for _, _, words in PLACED])
def test_a_mistake_in_yaml_has_its_place(text: str, place: str, words: str) -> None:
    """Line and column of the very piece."""
    with pytest.raises(BadInput) as caught:
        Space.from_yaml(text, "here.yaml")
    assert str(caught.value).startswith(f"here.yaml:{place}: ")
    assert words in str(caught.value)


def test_a_step_from_code_may_miss_its_max() -> None:
    """From `build(hp)` KerasTuner's semantics hold: the last step below is the last value."""
    assert Number(name="x", min=0, max=10, step=4, integer=True).grid() == (0, 4, 8)


def test_forms_of_any_group_are_all_read() -> None:
    """An empty group, a branch without parameters and an alias to the same group are fine."""
    forms: dict[str, Any] = {"n": {"fixed": 2, "repeat": None}, "o": {"choice": {"a": None, "b": {}}}}
    assert [one.parameter.name for one in declare_all(forms)] == ["n", "o"]
    assert Known.of(declare_all(forms)).parameters
