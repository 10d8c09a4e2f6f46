"""Tests of `kerasweep.search.sweepfile` and of what it is made of."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kerasweep.search.budget import Budget
from kerasweep.search.objective import At, Direction, Objective
from kerasweep.search.spec import Checkpointing, Keep, Resources, Retry, Search, SweepSpec
from kerasweep.search.stop import Rungs
from kerasweep.search.sweepfile import load
from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.parameter import Choice, Number, Sampling
from kerasweep.spaces.yaml_text import MAX_BYTES, MAX_DEPTH, MAX_NODES

from ..contracts.stop_rules import standing

GOOD = dedent(
    """\
    name: digits-mlp
    model: model.py:build             # build(hp)
    data: model.py:load
    objective: max val_accuracy
    fit: {epochs: 20, batch_size: [32, 64, 128]}
    space:
      learning_rate: {min: 1e-5, max: 1e-1, sampling: log, default: 1e-3}
      units: {min: 32, max: 512, step: 32}
      activation: [relu, gelu, swish]
      optimizer:
        choice:
          adam: {beta_1: {min: 0.8, max: 0.99}}
          sgd: {nesterov: [true, false]}
    search: {sampler: tpe, stop: asha, seed: 7}
    budget: {trials: 200, hours: 4}
    parallel: 2
    resources: {cpu: 1, gpu: 0.5}
    retry: {lost: 3, error: 1}
    track: {uri: "http://localhost:5000", experiment: digits}
    """
)
LEAST = "model: model.py:build\nobjective: min val_loss\nfit: {epochs: 3}\nbudget: {trials: 5}\n"
MODEL = dedent(
    """\
    import keras
    from there import helper as helped
    try:
        import fast
    except ImportError:
        fast = None
    def build(hp): ...
    def load(): ...
    class Model: ...
    small, (large, *rest) = 1, (2, 3)
    typed: int = 4
    if keras:
        def sometimes(hp): ...
    with open("x") as opened:
        pass
    """
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with a model in it."""
    (tmp_path / "model.py").write_text(MODEL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(text: str | bytes, *overrides: str) -> SweepSpec:
    """Return what a sweep file of this text in the current folder means."""
    Path("sweep.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load("sweep.yaml", overrides)


def fault(text: str | bytes, *overrides: str) -> str:
    """Return the one line that loading this text ends with."""
    with pytest.raises(BadInput) as caught:
        loaded(text, *overrides)
    line = str(caught.value)
    assert line.isprintable()
    return line


# What is understood ---------------------------------------------------------------------------------------------------------


def test_a_full_file_is_read_to_the_letter(folder: Path) -> None:
    """Every section arrives in the specification."""
    spec = loaded(GOOD)
    assert (spec.name, spec.model, spec.data) == ("digits-mlp", "model.py:build", "model.py:load")
    assert spec.folder == str(folder)
    assert spec.objective == Objective(metric="val_accuracy", direction=Direction.MAX)
    assert spec.budget == Budget(trials=200, hours=4)
    assert spec.search == Search(sampler="tpe", stop=({"rule": "asha", "min_epochs": 1, "factor": 3},), seed=7)
    assert (spec.parallel, spec.resources) == (2, Resources(cpu=1, gpu=0.5))
    assert spec.retry == Retry(lost=3, error=1)
    assert (spec.track.uri, spec.track.experiment) == ("http://localhost:5000", "digits")


def test_the_space_becomes_declared_parameters(folder: Path) -> None:
    """Searched arguments of fit come first, then the space in its order, branches under full names."""
    declared = {one.parameter.name: one.parameter for one in loaded(GOOD).declared}
    assert list(declared) == [
        *("fit/batch_size", "learning_rate", "units", "activation", "optimizer"),
        *("optimizer/adam/beta_1", "optimizer/sgd/nesterov"),
    ]
    assert declared["fit/batch_size"] == Choice(name="fit/batch_size", values=(32, 64, 128), ordered=True)
    rate = declared["learning_rate"]
    assert rate == Number(name="learning_rate", min=1e-5, max=0.1, integer=False, sampling=Sampling.LOG, default=0.001)


def test_the_least_file_has_sound_defaults(folder: Path) -> None:
    """What is absent has a default: the folder's name, a database here, an experiment of the sweep's name."""
    spec = loaded(LEAST)
    assert spec.name == folder.name
    assert spec.track.uri == f"sqlite:///{folder}/mlflow.db"
    assert spec.track.experiment == spec.name
    assert (spec.search.sampler, spec.search.taken, spec.search.stop) == ("auto", "gp", ())
    assert (spec.data, spec.parallel) == (None, None)
    assert spec.declared == ()


@pytest.mark.parametrize("text", [GOOD, LEAST, LEAST.replace("3}", "3, class_weight: {0: 1.0, 1: 2}}")])
def test_the_specification_survives_the_journal(folder: Path, text: str) -> None:
    """As JSON and back it is the same."""
    spec = loaded(text)
    assert SweepSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_an_absent_seed_is_drawn_once_and_kept(folder: Path) -> None:
    """Two sweeps without a seed differ, and each knows its own."""
    assert loaded(LEAST).search.seed != loaded(LEAST).search.seed


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("small.yaml", "small"),
        ("small.v2.yaml", "small.v2"),
        ("my sweep.yml", "my-sweep"),
        ("été.yaml", "t"),
        ("数字.yaml", "sweep"),
        ("some folder/sweep.yaml", "some-folder"),
    ],
)
def test_a_sweep_is_named_for_its_file_or_folder(folder: Path, path: str, name: str) -> None:
    """A file called sweep.yaml says nothing, so its folder's name is taken; odd characters become dashes."""
    there = folder / path
    there.parent.mkdir(exist_ok=True)
    there.write_text(LEAST, encoding="utf-8")
    (there.parent / "model.py").write_text(MODEL, encoding="utf-8")
    assert load(path).name == name


def test_home_is_where_the_default_database_stands(folder: Path) -> None:
    """`--dir` moves the default database; one that is named stays relative to the current folder."""
    Path("sweep.yaml").write_text(LEAST, encoding="utf-8")
    home = folder / "elsewhere"
    assert load("sweep.yaml", home=home).track.uri == f"sqlite:///{home}/mlflow.db"
    assert load("sweep.yaml", ["track.uri=sqlite:///a.db"], home=home).track.uri == f"sqlite:///{folder}/a.db"


def test_a_storage_is_a_place_that_any_process_understands(folder: Path) -> None:
    """A folder from the current one, a URL as it is; none where the file has none."""
    assert loaded(LEAST).storage == ""
    assert loaded(LEAST, "storage=copies").storage == str(folder / "copies")
    assert loaded(LEAST, "storage=memory://copies/").storage == "memory://copies"


def test_a_storage_that_cannot_be_is_refused_at_its_place(folder: Path) -> None:
    """A scheme that nobody knows, with the nearest one; a package that is not installed."""
    assert "did you mean 'memory'" in fault(GOOD, "storage=memry://x")
    assert "needs a package that is not installed" in fault(GOOD, "storage=dropbox://x")


@pytest.mark.parametrize("uri", ["sqlite:////data/mlflow.db", "https://host:5000/x", "databricks", "file:///data/runs"])
def test_an_absolute_uri_is_kept(folder: Path, uri: str) -> None:
    """What any process understands is left alone."""
    assert loaded(LEAST, f"track.uri={uri}").track.uri == uri


def test_a_plain_folder_as_uri_is_made_absolute(folder: Path) -> None:
    """MLflow also takes a folder."""
    assert loaded(LEAST, "track.uri=./runs").track.uri == str(folder / "runs")


def test_the_long_objective(folder: Path) -> None:
    """A mapping says which epoch counts."""
    spec = loaded(GOOD.replace("max val_accuracy", "{minimize: val_loss, at: last}"))
    assert spec.objective == Objective(metric="val_loss", direction=Direction.MIN, at=At.LAST)


def test_the_long_stop_rule(folder: Path) -> None:
    """A mapping sets the rungs."""
    spec = loaded(GOOD.replace("stop: asha", "stop: {rule: asha, min_epochs: 2, factor: 4}"))
    assert spec.rungs(0) == (2, 8)


@pytest.mark.parametrize(
    ("form", "rules"),
    [
        ("none", []),
        ("median", [{"rule": "median", "min_epochs": 1, "min_trials": 5}]),
        ("{rule: patience, epochs: 4}", [{"rule": "patience", "epochs": 4}]),
        ("{rule: threshold, epoch: 3, value: 0.5}", [{"rule": "threshold", "epoch": 3, "value": 0.5}]),
        ("[divergence, {rule: hyperband, factor: 4}]", ["divergence", "hyperband"]),
        ("auto", [{"rule": "asha", "min_epochs": 2, "factor": 3}]),
        ("{rule: auto}", [{"rule": "asha", "min_epochs": 2, "factor": 3}]),
    ],
)
def test_every_stop_rule_can_be_asked_for(folder: Path, form: str, rules: list[Any]) -> None:
    """By its name, with its numbers, or with others; and it survives the journal."""
    spec = loaded(GOOD.replace("stop: asha", f"stop: {form}"))
    found = [dict(one) for one in spec.search.stop]
    assert found == rules or [one["rule"] for one in found] == rules
    assert SweepSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert spec.stop.decide(Rungs(), standing(0, [0.1, 0.7]))[1] == ""


def test_a_threshold_is_in_the_objectives_units(folder: Path) -> None:
    """A loss that is to be small must have come down to it."""
    text = GOOD.replace("stop: asha", "stop: {rule: threshold, epoch: 2, value: 0.5}")
    spec = loaded(text.replace("max val_accuracy", "min val_loss"))
    assert spec.stop.decide(Rungs(), standing(0, [-0.7, -0.6]))[1]
    assert not spec.stop.decide(Rungs(), standing(0, [-0.7, -0.4]))[1]


def test_a_journal_of_an_older_version_names_one_rule(folder: Path) -> None:
    """Its specification had a name and two numbers."""
    spec = loaded(GOOD)
    old = {**spec.to_json(), "search": {"sampler": "tpe", "stop": "asha", "min_epochs": 1, "factor": 3, "seed": 7}}
    assert SweepSpec.from_json(old) == spec


def test_where_is_kept_as_it_is_written(folder: Path) -> None:
    """Clauses over what is declared, over arguments of `fit`, and over what only the model may have."""
    clauses = ["units <= 256 or activation == 'relu'", 'p["fit/batch_size"] < 128', "dropout_0 < 0.5"]
    spec = loaded(GOOD + f"where: {json.dumps(clauses)}\n")
    assert spec.where == tuple(clauses)
    assert spec.constraints.constants == {"fit/epochs": 20}
    assert SweepSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert loaded(GOOD + "where:\n").where == ()


def test_a_specification_of_an_older_journal_has_no_where(folder: Path) -> None:
    """It is read as it was."""
    plain = {key: value for key, value in loaded(GOOD).to_json().items() if key != "where"}
    assert SweepSpec.from_json(plain) == loaded(GOOD)


def test_a_name_that_the_code_mentions_may_stand_in_where(folder: Path) -> None:
    """However near it is to a declared one: the model may read it."""
    (folder / "model.py").write_text(MODEL + "NAMES = ['unit']\n", encoding="utf-8")
    assert loaded(GOOD + "where: [unit > 64]\n").where == ("unit > 64",)


@pytest.mark.parametrize(("least", "epochs", "noted"), [(2, 3, False), (3, 3, True), (9, 3, True), (1, 1, True)])
def test_a_stop_rule_without_rungs_is_noted(folder: Path, least: int, epochs: int, noted: bool) -> None:
    """It is no mistake, as a sweep may be tried with fewer epochs, but it says that nothing will be judged."""
    spec = loaded(LEAST + f"search: {{stop: {{rule: asha, min_epochs: {least}}}}}\n", f"fit.epochs={epochs}")
    words = f"stop: asha never judges: it would at epoch {least} at the earliest, a trial has {epochs}"
    assert spec.notes == ((words,) if noted else ())
    assert loaded(LEAST).notes == ()


@pytest.mark.parametrize(
    ("rule", "first"),
    [
        ("{rule: threshold, epoch: 8, value: 0.5}", 8),
        ("{rule: patience, epochs: 7}", 8),
        ("{rule: median, min_epochs: 8}", 8),
        ("{rule: hyperband, min_epochs: 8}", 8),
    ],
)
def test_any_rule_that_comes_too_late_is_noted(folder: Path, rule: str, first: int) -> None:
    """Of a trial of eight epochs the last is judged by none; of nine the last but one is."""
    (note,) = loaded(LEAST + f"search: {{stop: {rule}}}\n", "fit.epochs=8").notes
    assert note.endswith(f"never judges: it would at epoch {first} at the earliest, a trial has 8")
    assert loaded(LEAST + f"search: {{stop: {rule}}}\n", "fit.epochs=9").notes == ()


@pytest.mark.parametrize("form", ["{min: 5, max: 30}", "[5, 30, 10]"])
def test_searched_epochs_bound_the_rungs_by_their_most(folder: Path, form: str) -> None:
    """The rungs are those of the longest trial."""
    spec = loaded(GOOD.replace("epochs: 20", f"epochs: {form}"))
    assert spec.declared[0].parameter.name == "fit/epochs"
    assert (spec.max_epochs, spec.rungs(0)) == (30, (1, 3, 9, 27))


def test_an_empty_section_is_an_absent_one(folder: Path) -> None:
    """A section whose lines are all commented out changes nothing."""
    spec = loaded(LEAST + "space:\n  # units: [1, 2]\nretry:\nsearch: {seed: }\nparallel:\n")
    assert (spec.declared, spec.retry, spec.parallel) == ((), Retry(), None)


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("digits}", "Größen 数字}").encode(),
        b"---\n" + GOOD.encode() + b"...\n",
    ],
    ids=["CRLF", "BOM", "unicode", "document marks"],
)
def test_text_as_editors_leave_it(folder: Path, text: bytes) -> None:
    """Line ends, a byte order mark and any script are no matter."""
    assert loaded(text).name == "digits-mlp"


def test_an_alias_repeats_a_value(folder: Path) -> None:
    """Anchors and aliases work, within bounds."""
    spec = loaded(LEAST + "space: {a: &range {min: 1, max: 9}, b: *range}\n")
    assert [one.parameter.name for one in spec.declared] == ["a", "b"]


@pytest.mark.parametrize("text", ["no", "1_000", "0b1", "2001-01-01", "1:30", "'7'", '"a\\u0021"'])
def test_only_what_yaml_1_2_calls_a_number_is_one(folder: Path, text: str) -> None:
    """`no` is text, and so are dates and sexagesimals."""
    (declared,) = loaded(LEAST + f"space: {{a: {{fixed: {text}}}}}\n").declared
    assert isinstance(declared.parameter.initial, str)


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), ("010", 10), ("0x1F", 31), ("0o17", 15), ("-.5", -0.5), ("TRUE", True)]
)
def test_numbers_are_those_of_yaml_1_2(folder: Path, text: str, value: object) -> None:
    """An exponent needs no point, a leading zero is no octal."""
    (declared,) = loaded(LEAST + f"space: {{a: {{fixed: {text}}}}}\n").declared
    assert (declared.parameter.initial, type(declared.parameter.initial)) == (value, type(value))


# Overrides --------------------------------------------------------------------------------------------------------------------


def test_an_override_replaces_adds_and_removes(folder: Path) -> None:
    """Values are read as YAML; a mapping on the way is made; an empty value takes the key away."""
    spec = loaded(GOOD, "fit.epochs=3", "space.units.max=64", "limits.trial_s=9.5", "parallel=", "fit.shuffle=false")
    assert spec.fit == {"epochs": 3, "shuffle": False}
    assert (spec.limits.trial_s, spec.parallel) == (9.5, None)
    assert next(one.parameter for one in spec.declared if one.parameter.name == "units").domain


def test_an_override_may_hold_a_whole_form(folder: Path) -> None:
    """A parameter can be declared from the command line, and the last override wins."""
    spec = loaded(LEAST, "space.rate={min: 0, max: 0.5}", "fit.epochs=4", "fit.epochs=5", "objective=max val_accuracy")
    assert spec.declared[0].parameter == Number(name="rate", min=0, max=0.5, integer=False)
    assert (spec.max_epochs, str(spec.objective)) == (5, "max val_accuracy")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("fit.epochs=3.0", "'fit.epochs' is 3.0; expected a whole number from 1 to 1000000"),
        ("fit.epochs", "expected `key=value`"),
        ("=3", "expected `key=value`"),
        ("fit..epochs=3", "expected `key=value`"),
        ("fit.epochs.x=3", "there is no 'x' in 20"),
        ("space.activation.0=relu", "there is no '0' in a list"),
        ("search.samplr=tpe", "unknown key 'samplr' in 'search'"),
        ("budget.trials=[", "this is not YAML"),
        ("space.units=[]", "'units' is an empty list"),
        ("space.units={choice: {a: {b: []}}}", "'units/a/b' is an empty list"),
        ("model=nosuch.py:build", "there is no 'nosuch.py'"),
    ],
)
def test_a_mistake_in_an_override_names_the_override(folder: Path, setting: str, words: str) -> None:
    """The place of such a mistake is the command line."""
    line = fault(GOOD, "parallel=1", setting)
    assert line.startswith(f"--set {setting}: ")
    assert words in line


# Mistakes ---------------------------------------------------------------------------------------------------------------------

CODE = "expected `file.py:name` or `package.module:name`"
WHOLE = "expected a whole number from 1 to 1000000"
AT_ONCE = "expected a whole number from 1 to 10000"
MISTAKES = [
    ("name: digits-mlp", "nmae: x", "1:1", "unknown key 'nmae'; expected one of name, model,"),
    ("name: digits-mlp", "nmae: x", "1:1", "(did you mean 'name'?)"),
    ("name: digits-mlp", "name: 7", "1:7", "'name' is 7; expected up to 64 letters"),
    ("name: digits-mlp", "name: 7", "1:7", "needs quotes"),
    ("name: digits-mlp", "name: -a", "1:7", "a letter or digit first"),
    ("name: digits-mlp", "name: ../x", "1:7", "a letter or digit first"),
    ("name: digits-mlp", f"name: {'x' * 65}", "1:7", "up to 64 letters"),
    ("name: digits-mlp", "7: x", "1:1", "unknown key 7"),
    ("model: model.py:build", "", "1:1", f"'model' is missing; {CODE}"),
    ("model.py:build", "", "2:1", f"'model' is empty; {CODE}"),
    ("model.py:build", "modl.py:build", "2:8", "there is no 'modl.py'"),
    ("model.py:build", "modl.py:build", "2:8", "(did you mean 'model.py'?)"),
    ("model.py:build", "model.py:bild", "2:8", "does not define 'bild' at its top level"),
    ("model.py:build", "model.py:bild", "2:8", "(did you mean 'build'?)"),
    ("model.py:build", "model.py:9", "2:8", "'9' after the colon is not a name"),
    ("model.py:build", "model.py", "2:8", "(did you mean 'model.py:build'?)"),
    ("model.py:build", "'a b:c'", "2:8", f"names no code; {CODE}"),
    ("model.py:build", "no_such_package.x:build", "2:8", "there is no module 'no_such_package.x'"),
    ("model.py:build", "modl:build", "2:8", "(did you mean 'model'?)"),
    ("model.py:build", "model:bild", "2:8", "model does not define 'bild'"),
    ("model.py:build", f"{'x' * 300}.py:build", "2:8", "cannot be read"),
    ("model.py:load", "model.py:laod", "3:7", "(did you mean 'load'?)"),
    ("max val_accuracy", "val_accuracy", "4:12", "write `max val_accuracy` or `min val_loss`"),
    ("max val_accuracy", "mx val_accuracy", "4:12", "(did you mean 'max'?)"),
    ("max val_accuracy", "{maximise: a}", "4:13", "(did you mean 'maximize'?)"),
    ("max val_accuracy", "{at: last}", "4:12", "needs one of 'maximize' and 'minimize'"),
    ("max val_accuracy", "{maximize: a, minimize: b}", "4:12", "needs one of 'maximize' and 'minimize'"),
    ("max val_accuracy", "{maximize: a, at: lst}", "4:30", "expected best or last (did you mean 'last'?)"),
    ("max val_accuracy", "[]", "4:12", "'objective' is an empty list"),
    ("max val_accuracy", "[max a, b]", "4:20", "objective 'b' was not understood; write `max val_accuracy`"),
    ("max val_accuracy", "[max a, mni b]", "4:20", "(did you mean 'min'?)"),
    ("max val_accuracy", "[max a, min b, min a]", "4:27", "'a' is there twice"),
    ("max val_accuracy", "[max a, 3]", "4:20", "'objective.1' is 3; expected `max val_accuracy`"),
    ("max val_accuracy", "[max a, {minimise: b}]", "4:21", "(did you mean 'minimize'?)"),
    ("max val_accuracy", "[max a, {minimize: b, at: last}]", "4:20", "say it of the first one, a"),
    ("max val_accuracy", "max a\nconstraints: params <= 1", "5:14", "'constraints' is no list"),
    ("max val_accuracy", "max a\nconstraints: ['params <= 1', 'flops']", "5:30", "neither true nor false"),
    ("max val_accuracy", "max a\nconstraints: ['params <= ']", "5:15", "is not understood"),
    ("max val_accuracy", "max a\nconstraints: [\"a == 'b'\"]", "5:15", "expected two values of one kind"),
    ("max val_accuracy", "max a\nconstraints: ['1 < 2']", "5:15", "mentions no metric"),
    ("max val_accuracy", "max a\nconstraints: ['__import__(\"os\") < 2']", "5:15", "is not in the language"),
    ("max val_accuracy", "", "4:1", "'objective' is empty"),
    ("epochs: 20", "epoch: 20", "5:7", "(did you mean 'epochs'?)"),
    ("epochs: 20", "epochs: '20'", "5:15", f"'fit.epochs' is '20'; {WHOLE}"),
    ("epochs: 20", "epochs: 2.0", "5:15", f"is 2.0; {WHOLE}"),
    ("epochs: 20", "epochs: true", "5:15", f"is true; {WHOLE}"),
    ("epochs: 20", "epochs: 0", "5:15", f"is 0; {WHOLE}"),
    ("epochs: 20, ", "", "5:6", "'fit.epochs' is missing"),
    ("epochs: 20", "epochs: [1, 2.5]", "5:15", f"is 1.0; {WHOLE}"),
    ("epochs: 20", "epochs: 20, x: data", "5:19", "'x' cannot stand in 'fit'; data come from `data:`"),
    ("epochs: 20", "epochs: 20, callbacks: []", "5:19", "callbacks are code"),
    ("epochs: 20", "epochs: 20, initial_epoch: 3", "5:19", "counts its epochs"),
    ("epochs: 20", "epochs: 20, shuffle: yes", "5:28", "expected true or false"),
    ("epochs: 20", "epochs: 20, verbose: 3", "5:28", "expected 0, 1, 2 or auto"),
    ("epochs: 20", "epochs: 20, validation_split: 1", "5:37", "expected a number from 0 to below 1"),
    ("epochs: 20", "epochs: 20, class_weight: {a: 1}", "5:37", "by its number"),
    ("[32, 64, 128]", "[32, 0]", "5:31", f"'fit.batch_size' is 0; {WHOLE}"),
    ("[32, 64, 128]", "{min: 0, max: 9}", "5:31", f"'fit.batch_size' is 0; {WHOLE}"),
    ("[32, 64, 128]", "{choice: {8: {a: [1]}}}", "5:31", "cannot have branches"),
    ("[32, 64, 128]", "[]", "5:31", "is an empty list"),
    ("min: 1e-5", "min: 1", "7:24", "'learning_rate' has min 1 > max 0.1"),
    ("sampling: log", "sampling: lgo", "7:51", "(did you mean 'log'?)"),
    ("1e-3", "7", "7:65", "has default 7, outside"),
    ("step: 32", "stp: 32", "8:30", "(did you mean 'step'?)"),
    ("[relu, gelu, swish]", "[]", "9:15", "'activation' is an empty list"),
    ("[relu, gelu, swish]", "{}", "9:15", "'activation' is an empty mapping"),
    ("[relu, gelu, swish]", "", "9:3", "'activation' is empty"),
    ("[relu, gelu, swish]", "relu", "9:15", "`{fixed: relu}`"),
    ("[relu, gelu, swish]", "[relu, [gelu]]", "9:22", "is a list; expected text"),
    ("units:", "fit/x:", "8:3", "expected it under `fit:`"),
    ("units:", "7:", "8:3", "the parameter's name is 7"),
    ("units:", "optimizer/adam/beta_1:", "12:14", "'optimizer/adam/beta_1' is declared twice"),
    ("units:", "learning_rate:", "8:3", "duplicate key 'learning_rate'; expected it once, it is on line 7 too"),
    ("min: 0.8", "min: 1.8", "12:28", "'optimizer/adam/beta_1' has min 1.8"),
    ("[true, false]", "[true, true]", "13:30", "lists true twice"),
    ("step: 32", "step: 50", "8:25", "'units': steps of 50 from 32 miss max 512; the nearest max that fits is 532"),
    (
        "step: 32",
        "step: 32, default: 50",
        "8:49",
        "default 50 is not on the grid of 'units'; the nearest value on it is 64",
    ),
    ("min: 1e-5", "min: 0", "7:48", "min must be above 0, got 0"),
    ("[relu, gelu, swish]", "{choice: {0.5: {a: [1]}}}", "9:25", "'activation' branches on 0.5, a float"),
    ("step: 32", "when: {optimizer: adm}", "8:48", "did you mean 'adam'"),
    ("step: 32", "when: {optimiser: adam}", "8:37", "hangs on 'optimiser', which is not declared"),
    ("step: 32", "when: {learning_rate: 0.01}", "8:37", "hangs on 'learning_rate', a float"),
    ("step: 32", "when: {units: 32}", "8:44", "cyclic condition: units → units"),
    ("step: 32", "repeat: {x: [1]}", "8:30", "'repeat' needs a count"),
    ("search:", "where: [units < 32]\nsearch:", "14:9", "none of 16 configurations keeps to 'units < 32'"),
    ("search:", "where: [units <]\nsearch:", "14:9", "where: 'units <' is not understood"),
    ("search:", "where: units > 3\nsearch:", "14:8", "'where' is no list; expected clauses"),
    ("search:", "where: [units > 64, untis > 64]\nsearch:", "14:21", "no code names it (did you mean 'units'?)"),
    ("search:", "where: [activation == 'rleu']\nsearch:", "14:9", "(did you mean 'relu'?)"),
    ("search:", "where:\n  - units > 'a'\nsearch:", "15:5", "expected two values of one kind"),
    ("search:", "where: ['p[\"fit/epochs\"] > 20']\nsearch:", "14:9", "keeps to 'p[\"fit/epochs\"] > 20'"),
    ("search:", "were: []\nsearch:", "14:1", "(did you mean 'where'?)"),
    ("tpe", "tpee", "14:19", "'search.sampler' is 'tpee'; expected one of tpe, random, grid"),
    ("tpe", "{nam: tpe}", "14:19", "'name' is missing in 'search.sampler'; expected one of tpe"),
    ("tpe", "{name: nsga2, population: 8}", "14:33", "'population' is no argument of NSGAIISampler"),
    ("tpe", "{name: nsga2, population_size: 2.5}", "14:33", "is 2.5; expected a whole number"),
    ("tpe", '"optuna.samplers:TPESamplr"', "14:19", "optuna.samplers has no 'TPESamplr' (did you mean 'TPESampler'?)"),
    ("tpe", "grid", "14:19", "a grid cannot enumerate 'learning_rate', a continuous range; give it a `step`"),
    ("tpe", "random, duplicates: maybe", "14:39", "'search.duplicates' is 'maybe'; expected true or false"),
    (
        "asha",
        '"optuna.pruners:MedianPrunr"',
        "14:30",
        "optuna.pruners has no 'MedianPrunr' (did you mean 'MedianPruner'?)",
    ),
    (
        "asha",
        '{rule: "optuna.pruners:MedianPruner", interval: 2}',
        "14:68",
        "'interval' is no argument of MedianPruner",
    ),
    ("asha", "ahsa", "14:30", "(did you mean 'asha'?)"),
    ("asha", "{rule: ahsa}", "14:37", "(did you mean 'asha'?)"),
    ("asha", "3", "14:30", "'search.stop' is 3; expected one of none, auto, asha, hyperband"),
    ("asha", "[asha, asha]", "14:37", "the stop rule 'asha' is there twice"),
    ("asha", "[asha, none]", "14:37", "'search.stop.1' is 'none'; expected one of asha, hyperband"),
    ("asha", "[asha, {rule: patience, epochs: 0}]", "14:62", "expected a whole number from 1 to 1000000"),
    ("asha", "{rule: threshold, epoch: 3}", "14:30", "'search.stop.value' is missing; expected a number"),
    ("asha", "{rule: divergence, factor: 1}", "14:57", "a number above 1"),
    ("asha", "{rule: asha, facter: 3}", "14:43", "unknown key 'facter' in 'search.stop'"),
    ("asha", "{rule: asha, factor: 1}", "14:51", "a whole number from 2 to 1000000"),
    ("asha", "{min_epochs: 1}", "14:30", "'rule' is missing in 'search.stop'; expected one of asha"),
    ("seed: 7", "seed: -1", "14:42", "from 0 to 4294967295"),
    ("trials: 200, hours: 4", "", "15:9", "the sweep has no end; expected `budget: {trials: 50}`"),
    ("budget: {trials: 200, hours: 4}", "", "1:1", "the sweep has no end"),
    ("trials: 200", "trials: 0", "15:18", f"'budget.trials' is 0; {WHOLE}"),
    ("hours: 4", "hours: -1", "15:30", "expected a number above 0"),
    ("hours: 4", "slot_hours: 0", "15:35", "'budget.slot_hours' is 0; expected a number above 0 and at most 100000"),
    ("hours: 4", "epochs: 2.5", "15:31", "'budget.epochs' is 2.5; expected a whole number from 1"),
    ("hours: 4", "epochs: 0", "15:31", "'budget.epochs' is 0; expected a whole number from 1"),
    ("hours: 4", "no_improvement: -2", "15:39", "'budget.no_improvement' is -2; expected a whole number from 1"),
    ("hours: 4", "goal: high", "15:29", "'budget.goal' is 'high'; expected a number, in the objective's units"),
    ("hours: 4", "goal: true", "15:29", "'budget.goal' is true; expected a number"),
    ("hours: 4", "goal: 99", "15:29", "'budget.goal' is 99, but val_accuracy is never above 1; expected one that"),
    ("hours: 4", "hours: 1000000", "15:30", "at most 100000"),
    ("hours: 4", "no_improvment: 3", "15:23", "did you mean 'no_improvement'?"),
    ("{trials: 200, hours: 4}", "50", "15:9", "'budget' is 50; expected a mapping, such as {trials: 50}"),
    ("parallel: 2", "parallel: 0", "16:11", f"'parallel' is 0; {AT_ONCE}"),
    ("parallel: 2", "parallel: 2\nparallel: 3", "17:1", "duplicate key 'parallel'"),
    ("parallel: 2", "parallel: !!int 2", "16:11", "is not allowed; expected plain values"),
    ("parallel: 2", "parallel: !!python/object/apply:os.getpid []", "16:11", "is not allowed"),
    ("parallel: 2", "parallel: *two", "16:11", "the alias 'two' has no anchor before it"),
    ("parallel: 2", "parallel: &two [*two]", "16:17", "has no anchor before it"),
    ("parallel: 2", "parallel: .nan", "16:11", "expected a finite one"),
    ("parallel: 2", "parallel: 1e999", "16:11", "too large"),
    ("parallel: 2", f"parallel: {'9' * 5000}", "16:11", "at most 18 digits"),
    ("parallel: 2", 'parallel: "\\ud800"', "16:11", "cannot be stored"),
    ("parallel: 2", "? [1]\n: 2", "16:3", "a key is a list"),
    ("parallel: 2", "\tparallel: 2", "16:1", "a tab cannot indent YAML, use spaces"),
    ("parallel: 2", "- parallel", "16:1", "this is not YAML"),
    ("parallel: 2", "parallel: \x07", "16:11", "the character U+0007 is not allowed"),
    ("parallel: 2", "---", "17:1", "a second document begins here"),
    ("cpu: 1", "cpu: 0", "17:18", f"'resources.cpu' is 0; {AT_ONCE}"),
    ("cpu: 1", "cpu: 1.5", "17:18", f"'resources.cpu' is 1.5; {AT_ONCE}"),
    ("gpu: 0.5", "gpu: aut", "17:26", "or auto (did you mean 'auto'?)"),
    ("gpu: 0.5", "gpu: -1", "17:26", "expected a fraction of one, a whole number up to 1000, or auto"),
    (
        "lost: 3",
        "lots: 3",
        "18:9",
        "expected one of lost, crash, oom, hang, error, smaller_batch (did you mean 'lost'?)",
    ),
    ("lost: 3", "lost: -3", "18:15", "expected a whole number from 0 to 1000"),
    ("http://localhost:5000", "sqlite://mlflow.db", "19:14", "three slashes"),
    ("http://localhost:5000", "sqlite:///:memory:", "19:14", "expected a file"),
    ("experiment: digits", "experiment: ''", "19:51", "expected a name"),
]


@pytest.mark.parametrize(("old", "new", "place", "words"), MISTAKES, ids=[f"{new}"[:50] for _, new, _, _ in MISTAKES])
@pytest.mark.usefixtures("folder")
def test_a_mistake_is_one_line_with_its_place(old: str, new: str, place: str, words: str) -> None:
    """The line begins with file, line and column, and says what was expected."""
    assert old in GOOD
    line = fault(GOOD.replace(old, new, 1))
    assert line.startswith(f"sweep.yaml:{place}: ")
    assert words in line


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "1:1", "the file is empty"),
        ("# nothing\n", "1:1", "the file is empty"),
        ("- 1\n", "1:1", "the file is a list; expected a mapping"),
        ("a string\n", "1:1", "the file is 'a string'; expected a mapping"),
        (b"name: \xff\n", "1:7", "byte 0xff is not UTF-8"),
        (b"a: 1\r\nb: 2\r\n  \xff\n", "3:3", "byte 0xff is not UTF-8"),
        ("a: [1,\n b", "2:3", "expected ',' or ']', but got '<stream end>'"),
        ("[" * (MAX_DEPTH + 2), f"1:{MAX_DEPTH + 1}", "nested too deeply"),
        ("[" * 100_000, f"1:{MAX_DEPTH + 1}", "nested too deeply"),
        ("a: [" + "1, " * MAX_NODES + "1]", "1:29996", "too long; expected at most 10000 values"),
        ('a: "\\UFFFFFFFF"', "1:1", "this is not YAML"),
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.usefixtures("folder")
def test_a_file_that_is_no_sweep_is_placed_too(text: str | bytes, place: str, words: str) -> None:
    """Whatever the text, the line says where it goes wrong."""
    line = fault(text)
    assert line.startswith(f"sweep.yaml:{place}: ")
    assert words in line


@pytest.mark.usefixtures("folder")
def test_aliases_cannot_explode() -> None:
    """Nine levels of nine aliases would be 387 million values; the bound counts them before they are made."""
    levels = ["a: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert "aliases counted" in fault("\n".join(levels))


@pytest.mark.usefixtures("folder")
def test_aliases_cannot_nest_without_end() -> None:
    """A chain of aliases is as deep as what it stands for."""
    chain = ["a0: &a0 [1]", *[f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 200)]]
    assert "nested too deeply" in fault("\n".join(chain))


@pytest.mark.usefixtures("folder")
def test_a_huge_file_is_not_read() -> None:
    """Beyond a megabyte it is no sweep file."""
    assert fault("#" * (MAX_BYTES + 1)) == "sweep.yaml:1:1: too large; expected at most 1 MB"


def test_a_missing_file_has_a_near_match(folder: Path) -> None:
    """The YAML files beside it are looked at."""
    (folder / "sweep.yaml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(BadInput, match=r"^swep.yaml: there is no such file; .* \(did you mean 'sweep.yaml'\?\)$"):
        load("swep.yaml")


def test_a_folder_in_place_of_a_file_names_the_file_in_it(folder: Path) -> None:
    """`kerasweep run examples/digits` is a near miss."""
    (folder / "deep").mkdir()
    for name in ("other.yaml", "sweep.yaml"):
        (folder / "deep" / name).write_text(GOOD, encoding="utf-8")
    with pytest.raises(BadInput, match=r"^deep: this is a folder; .* \(did you mean 'deep/sweep.yaml'\?\)$"):
        load("deep")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("path", ["/dev/null", "x" * 300, "a\0b"], ids=["device", "long", "NUL"])
def test_an_impossible_path_is_bad_input(path: str) -> None:
    """No operating system error gets out."""
    with pytest.raises(BadInput):
        load(path)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("uri", ["http://me:S3CRET@host/x", "postgresql://me:S3CR@ET@host/db", "https://S3CRET@host"])
def test_a_password_is_refused_and_not_repeated(uri: str) -> None:
    """Neither the file's line nor an override's place shows it."""
    for line in (fault(GOOD.replace("http://localhost:5000", uri)), fault(GOOD, f"track.uri={uri}")):
        assert "MLFLOW_TRACKING_USERNAME" in line
        assert "S3CR" not in line


# The code that a sweep names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["build", "Model", "helped", "fast", "small", "large", "rest", "typed", "sometimes", "opened", "keras"],
)
@pytest.mark.usefixtures("folder")
def test_a_name_may_be_defined_in_any_way(name: str) -> None:
    """Functions, classes, imports, assignments, also under `if`, `try` and `with`."""
    assert loaded(LEAST.replace(":build", f":{name}")).model == f"model.py:{name}"


@pytest.mark.parametrize(
    "source",
    [
        "from there import *",
        "globals()['build'] = print",
        "def __getattr__(name): ...",
        "exec('build = 1')",
        "if True:\n    from there import *",
    ],
)
def test_a_module_that_defines_names_as_it_runs_is_trusted(folder: Path, source: str) -> None:
    """What only running it could tell is not guessed."""
    (folder / "model.py").write_text(source, encoding="utf-8")
    assert loaded(LEAST).model == "model.py:build"


def test_no_code_is_run(folder: Path) -> None:
    """The model is read, not imported."""
    (folder / "model.py").write_text("open('ran', 'w')\ndef build(hp): ...", encoding="utf-8")
    loaded(LEAST)
    assert not (folder / "ran").exists()


def test_a_name_inside_a_function_is_not_at_the_top(folder: Path) -> None:
    """A nested function cannot be imported."""
    (folder / "model.py").write_text("def outer():\n    def build(hp): ...", encoding="utf-8")
    assert "does not define 'build'" in fault(LEAST)


@pytest.mark.parametrize("source", ["def build(", "x = '\0'", "-" * 100_000 + "1"], ids=["syntax", "NUL", "deep"])
def test_a_model_that_is_not_python_is_placed_at_its_mention(folder: Path, source: str) -> None:
    """The sweep's line says what is wrong with the other file."""
    (folder / "model.py").write_text(source, encoding="utf-8")
    line = fault(LEAST)
    assert line.startswith("sweep.yaml:1:8: model.py cannot be read as Python: ")


def test_a_module_in_the_folder_is_checked_like_a_file(folder: Path) -> None:
    """`package.module:name` resolves from the sweep file's folder first."""
    (folder / "nets").mkdir()
    (folder / "nets" / "__init__.py").write_text("def build(hp): ...", encoding="utf-8")
    (folder / "nets" / "cnn.py").write_text("def build(hp): ...", encoding="utf-8")
    assert loaded(LEAST.replace("model.py:", "nets.cnn:")).model == "nets.cnn:build"
    assert loaded(LEAST.replace("model.py:", "nets:")).model == "nets:build"
    assert "(did you mean 'nets.cnn'?)" in fault(LEAST.replace("model.py:", "nets.cn:"))


@pytest.mark.usefixtures("folder")
def test_an_installed_module_is_accepted_unseen() -> None:
    """Looking into a package would mean importing its parents."""
    assert loaded(LEAST.replace("model.py:build", "json.decoder:JSONDecoder")).model == "json.decoder:JSONDecoder"


# At large ---------------------------------------------------------------------------------------------------------------------

MARKS = [*"{}[]:-?&*!|>'\"%@`#,\n\r\t \0\x85\u2028\ufeffé😀"]
WORDS = [": ", "- ", "\n  ", "&a ", "*a", "!!x ", "---\n", "%YAML 1.1\n", "1e999", ".nan", "0x", "null", "true", "-1"]
FORMS = ["fixed", "choice", "min", "\\ud800", '"\\0"', "step: 1e-300", "max: 1e308", "fit", "space: {a: [1, 2]}"]
PIECES = st.sampled_from([*MARKS, *WORDS, *FORMS])


def outcome(*overrides: str) -> SweepSpec | str:
    """Return what the sweep file in the current folder means, or the line that loading it ends with."""
    try:
        return load("sweep.yaml", overrides)
    except BadInput as error:
        return str(error)


@st.composite
def mangled(draw: st.DrawFn) -> str:
    """Draw the good file with a few pieces cut out, moved or put in."""
    text = GOOD
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 20)))
        text = text[:start] + draw(PIECES | st.text(max_size=3)) + text[end:]
    return text


@given(text=mangled() | st.text() | st.lists(PIECES).map("".join) | st.binary())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_text_is_a_sweep_or_one_line(folder: Path, text: str | bytes) -> None:
    """No text brings anything but a specification that the journal can hold, or one line of BadInput."""
    data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    (folder / "sweep.yaml").write_bytes(data)
    result = outcome()
    if isinstance(result, str):
        assert result.isprintable()
        assert result.startswith("sweep.yaml:")
    else:
        json.dumps(result.to_json(), ensure_ascii=False, allow_nan=False).encode()


@given(setting=st.text() | st.tuples(st.sampled_from(["fit.epochs", "space.a", "name"]), st.text()).map("=".join))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_override_is_a_sweep_or_one_line(folder: Path, setting: str) -> None:
    """The same holds for the command line."""
    (folder / "sweep.yaml").write_text(GOOD, encoding="utf-8")
    result = outcome(setting)
    assert isinstance(result, SweepSpec) or result.isprintable()


def test_reading_a_sweep_file_imports_nothing_heavy() -> None:
    """A mistake is answered at once: neither Keras nor Ray nor numpy is loaded."""
    code = "import sys, kerasweep.search.sweepfile; print([*sys.modules])"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = {"keras", "keras_tuner", "tensorflow", "ray", "mlflow", "optuna", "numpy", "pandas"}
    assert not [name for name in heavy if f"'{name}'" in modules]


@pytest.mark.usefixtures("folder")
def test_a_smaller_batch_needs_a_batch_size() -> None:
    """A dataset's own batches cannot be halved from outside."""
    assert loaded(LEAST.replace("3}", "3, batch_size: 8}") + "retry: {smaller_batch: true}\n").retry.smaller_batch
    line = fault(LEAST + "retry: {smaller_batch: true}\n")
    assert line.startswith("sweep.yaml:5:9: 'retry.smaller_batch' needs 'fit.batch_size'; give it, as")


# Checkpoints -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Checkpointing(enabled=True, every_s=10.0, share=0.02)),
        ("checkpoint: false\n", Checkpointing(enabled=False)),
        ("checkpoint: true\n", Checkpointing()),
        ("checkpoint: {every_s: 60, share: 0.1}\n", Checkpointing(every_s=60.0, share=0.1)),
    ],
)
@pytest.mark.usefixtures("folder")
def test_checkpoints_are_on_unless_they_are_off(text: str, expected: Checkpointing) -> None:
    """A switch, or how often and for how much."""
    assert loaded(LEAST + text).checkpoint == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("checkpoint: {every: 3}\n", "did you mean 'every_s'"),
        ("checkpoint: {every_s: 0}\n", "a number above 0, in seconds"),
        ("checkpoint: {share: 2}\n", "a number above 0, up to 1"),
        ("checkpoint: 5\n", "{every_s: 10}, or false"),
        ("keep: {best: 0}\n", "a whole number from 1 to"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_checkpoints_cannot_be_is_refused(text: str, words: str) -> None:
    """In one line, with what was expected."""
    with pytest.raises(BadInput, match=re.escape(words)):
        loaded(LEAST + text)


@pytest.mark.usefixtures("folder")
def test_as_many_weights_are_kept_as_the_file_says() -> None:
    """Three without a word."""
    assert (loaded(LEAST).keep, loaded(LEAST + "keep: {best: 7}\n").rules().keep) == (Keep(best=3), 7)
