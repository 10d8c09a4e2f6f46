"""Tests of `kerasweep.search.sampler_form`: what may stand under `search.sampler`, and what `auto` stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from kerasweep.search import sampler_form as forms
from kerasweep.search.sampler_form import automatic, chosen, is_endless, sampler_form
from kerasweep.spaces.known import Declared
from kerasweep.spaces.parameter import Boolean, Condition, Number
from kerasweep.spaces.yaml_form import BadForm

NSGA2, TPE = "optuna.samplers:NSGAIISampler", "optuna.samplers:TPESampler"
X, Y = (Declared(parameter=Number(name=name, min=0.0, max=1.0, integer=False)) for name in "xy")
N = Declared(parameter=Number(name="n", min=1, max=9, integer=True))
B = Declared(parameter=Boolean(name="b"))
UNDER = Declared(
    parameter=Number(name="u", min=0, max=1, integer=True, conditions=(Condition(parent="b", values=(True,)),))
)


def _all_but(*lacking: str) -> Callable[[str], bool]:
    def is_installed(library: str) -> bool:
        return library not in lacking

    return is_installed


NAMED: Sequence[tuple[Any, tuple[str, Mapping[str, Any]]]] = [
    ("tpe", ("tpe", {})),
    ({"name": "random"}, ("random", {})),
    ({"name": "nsga2", "population_size": 10}, ("nsga2", {"population_size": 10})),
    ({"name": TPE, "n_startup_trials": 5}, (TPE, {"n_startup_trials": 5})),
    (
        {"name": NSGA2, "crossover": {"name": "optuna.samplers.nsgaii:BLXAlphaCrossover", "alpha": 1}},
        (NSGA2, {"crossover": {"name": "optuna.samplers.nsgaii:BLXAlphaCrossover", "alpha": 1}}),
    ),
]


@pytest.mark.parametrize(("value", "expected"), NAMED)
def test_a_name_or_a_mapping_with_arguments_names_a_sampler(value: Any, expected: object) -> None:
    """Of ours, or of anybody's for Optuna; an argument may be an object itself."""
    assert sampler_form(value) == expected


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        ("tpee", (), "'search.sampler' is 'tpee'; expected one of tpe, random, grid"),
        ("tpee", (), "(did you mean 'tpe'?)"),
        ("CmaEsSampler", (), "(did you mean 'optuna.samplers:CmaEsSampler'?)"),
        (3, (), "'search.sampler' is 3; expected one of tpe"),
        ({"sampler": "tpe"}, (), "'name' is missing in 'search.sampler'"),
        ({"name": "gird"}, ("name",), "'search.sampler.name' is 'gird'"),
        (
            {"name": "random", "seed": 3},
            ("seed",),
            "'seed' cannot stand in 'search.sampler': random takes no arguments",
        ),
        ({"name": "tpe", "n_startup_trials": 3}, ("n_startup_trials",), "'optuna.samplers:TPESampler' does"),
        ({"name": "nsga2", "populaton_size": 3}, ("populaton_size",), "(did you mean 'population_size'?)"),
        ({"name": "nsga2", "population_size": "3"}, ("population_size",), "is '3'; expected a whole number"),
        ({"name": "nsga2", "population_size": 1}, ("name",), "NSGAIISampler refuses its arguments: `population_size`"),
        ({"name": "nsga2", "constraints_func": "f"}, ("constraints_func",), "expected an object"),
        (
            {"name": TPE, "seed": 3},
            ("seed",),
            "'seed' is not TPESampler's to choose here; expected it as `search: {seed",
        ),
        ("optuna.samplers:TPESamplr", (), "optuna.samplers has no 'TPESamplr' (did you mean 'TPESampler'?)"),
        ("optuna.sampler:TPESampler", (), "there is no module 'optuna.sampler' (did you mean 'optuna.samplers'?)"),
        ("os:getcwd", (), "'os:getcwd' is something else"),
        (":TPESampler", (), "':TPESampler' names no class"),
        (
            "optuna.samplers:QMCSampler",
            (),
            "cannot be resumed: it counts in a store that ends with the process; expected",
        ),
        ("optuna.samplers:GridSampler", (), "expected 'grid', which does the same"),
    ],
)
def test_a_sampler_that_is_none_is_refused_at_once(value: Any, path: tuple[str, ...], words: str) -> None:
    """One line, which says what was expected, and where it stands."""
    with pytest.raises(BadForm) as caught:
        sampler_form(value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.path == ("search", "sampler", *path)


@pytest.mark.parametrize(
    ("name", "lacking", "words"),
    [
        ("cmaes", {"cmaes"}, "cmaes needs cmaes, which is not installed: `pip install cmaes`"),
        (
            "optuna.samplers:GPSampler",
            {"torch"},
            "optuna.samplers:GPSampler needs torch, which is not installed: `pip install torch` "
            '(or `pip install "kerasweep[torch]"`)',
        ),
    ],
)
def test_a_library_that_is_not_there_is_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch, name: str, lacking: set[str], words: str
) -> None:
    """Before anything runs."""
    monkeypatch.setattr(forms, "is_installed", _all_but(*lacking))
    with pytest.raises(BadForm) as caught:
        sampler_form(name)
    assert words in str(caught.value)


CMAES: Mapping[str, Any] = {"name": "cmaes"}


@pytest.mark.parametrize("name", ["cmaes", "optuna.samplers:CmaEsSampler"])
@pytest.mark.parametrize(
    ("argument", "value", "words"),
    [
        ("sigma0", -1, "'search.sampler.sigma0' is -1; expected a number above 0"),
        ("sigma0", float("nan"), "expected a number above 0"),
        ("restart_strategy", "x", "'search.sampler.restart_strategy' has no effect: Optuna's CMA-ES does not restart"),
    ],
)
def test_what_cma_es_has_no_use_for_is_refused(name: str, argument: str, value: Any, words: str) -> None:
    """Optuna would draw one point for ever, or go on as if nothing had been said."""
    pytest.importorskip("cmaes")
    with pytest.raises(BadForm) as caught:
        sampler_form({"name": name, argument: value})
    assert words in str(caught.value)
    assert caught.value.path == ("search", "sampler", argument)
    assert sampler_form({"name": name, "sigma0": 0.2, "restart_strategy": None})[0] == name


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({**CMAES, "popsize": -3}, "CmaEsSampler cannot work with its arguments: popsize must be"),
        ({**CMAES, "popsize": 0}, "CmaEsSampler cannot work with its arguments: popsize must be"),
        ({**CMAES, "popsize": 1}, "CmaEsSampler cannot work with its arguments: invalid learning rate"),
        ({**CMAES, "x0": {"z": 1}}, "CmaEsSampler cannot work with its arguments: Parameter configuration must"),
        ({"name": TPE, "n_ei_candidates": 0}, "TPESampler cannot work with its arguments: The size of `samples`"),
        ({"name": TPE, "n_ei_candidates": 0, "n_startup_trials": 99}, "TPESampler cannot work with its arguments: The"),
    ],
)
def test_arguments_that_would_end_the_sweep_after_some_trials_are_refused_at_once(value: Any, words: str) -> None:
    """One line: the class takes them, but cannot propose."""
    pytest.importorskip("cmaes")
    with pytest.raises(BadForm) as caught:
        chosen(value, [X, Y, B], trials=99, stops=False, duplicates=False)
    assert str(caught.value).startswith(f"'search.sampler': {words}")
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.path == ("search", "sampler")


@pytest.mark.parametrize(
    ("value", "declared", "objectives"),
    [
        ({**CMAES, "popsize": 4}, [X, Y, B], 1),
        ({**CMAES, "popsize": 4}, [B], 1),
        ({**CMAES, "x0": {"x": 0.5, "n": 3}}, [X, N], 1),
        ({**CMAES, "x0": {"x": 0.5}}, [], 1),
        ({"name": TPE, "n_startup_trials": 99}, [UNDER, B], 2),
        ({"name": "nsga2", "population_size": 4}, [N], 2),
        ({"name": "optuna.samplers:RandomSampler"}, [], 2),
    ],
)
def test_arguments_that_fit_are_taken(value: Any, declared: Sequence[Declared], objectives: int) -> None:
    """Whatever is declared: with nothing, `x0` may name what only the model says."""
    pytest.importorskip("cmaes")
    found = chosen(value, declared, trials=9, stops=False, duplicates=False, objectives=objectives)
    assert found["sampler"] == value["name"]


def test_a_grid_needs_no_budget_and_nothing_continuous() -> None:
    """Steps, lists and whole numbers can be enumerated; it has no configuration twice."""
    assert chosen("grid", [N, B, UNDER], trials=None, stops=False, duplicates=False)["sampler"] == "grid"
    assert not is_endless("grid")
    assert not is_endless({"name": "grid"})
    assert is_endless("tpe")
    with pytest.raises(BadForm, match=r"cannot enumerate 'x', a continuous range; give it a `step` or a list"):
        chosen("grid", [N, X], trials=3, stops=False, duplicates=False)
    with pytest.raises(BadForm, match=r"'search.duplicates' cannot stand beside a grid"):
        chosen("grid", [N], trials=3, stops=False, duplicates=True)


AUTOMATIC: Sequence[tuple[Sequence[Declared], int | None, Mapping[str, Any], str]] = [
    ([], 100, {}, "gp"),
    ([B, UNDER], 500, {}, "gp"),
    ([B, UNDER], 501, {}, "tpe"),
    ([X, N], None, {}, "gp"),
    ([X, N], 100, {"stops": True}, "tpe"),
    ([X, N], None, {"stops": True}, "tpe"),
    ([X, Y], 999, {}, "tpe"),
    ([X, Y], 1000, {"stops": True}, "cmaes"),
    ([X, Y], 1000, {"installed": _all_but("cmaes")}, "tpe"),
    ([X], 1000, {}, "tpe"),
    ([X, B], 1000, {}, "tpe"),
    ([X, B], 2000, {"objectives": 2}, "nsga2"),
    ([X, Y], 999, {"objectives": 2}, "tpe"),
    ([X, B], 100, {"objectives": 2}, "gp"),
    ([X, B], None, {"objectives": 2}, "gp"),
    ([X, B], 100, {"objectives": 2, "stops": True}, "tpe"),
]


@pytest.mark.parametrize(("declared", "trials", "more", "taken"), AUTOMATIC)
def test_auto_goes_by_space_budget_and_objectives(
    declared: Sequence[Declared], trials: int | None, more: Mapping[str, Any], taken: str
) -> None:
    """The rule of the README, and a reason in words."""
    arguments: dict[str, Any] = {"stops": False, "installed": _all_but(), **more}
    name, reason = automatic(declared, trials=trials, **arguments)
    assert name == taken
    assert reason
