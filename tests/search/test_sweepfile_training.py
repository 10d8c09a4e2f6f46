"""Tests of what a sweep file says of training: `train:`, `keras:` and folds; and what the search makes of folds."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from kerasweep.cluster.backend import KerasSettings, default_backend, environment
from kerasweep.search.objective import At
from kerasweep.search.settings import code_of, settings_of
from kerasweep.search.spec import SweepSpec
from kerasweep.search.sweepfile import load
from kerasweep.spaces.errors import BadInput
from kerasweep.trackers.mirror import Goal

LEAST = dedent(
    """\
    model: code.py:build
    objective: max val_accuracy
    fit: {epochs: 30}
    budget: {trials: 5}
    search: {stop: asha, seed: 7}
    """
)
LOOP = LEAST.replace("model: code.py:build", "train: code.py:train")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code.py").write_text("def build(hp): ...\ndef train(hp, report): ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))


def loaded(text: str, *overrides: str) -> SweepSpec:
    """Return what a sweep file of this text means."""
    Path("sweep.yaml").write_text(text)
    return load("sweep.yaml", overrides)


def test_a_training_loop_is_the_program(tmp_path: Path) -> None:
    """It stands in the place of the model, in the specification, its JSON and the program that trainers get."""
    spec = loaded(LOOP)
    assert (spec.train, spec.model) == ("code.py:train", "")
    assert SweepSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    program = code_of(spec, {})
    assert (program.model, program.loop) == ("code.py:train", True)
    assert not code_of(loaded(LEAST), {}).loop


def test_all_settings_of_keras_arrive() -> None:
    """In the specification, in its JSON, and with the program that trainers get."""
    text = "keras: {dtype_policy: mixed_float16, jit_compile: false, steps_per_execution: 8, deterministic: true}\n"
    spec = loaded(LEAST + text)
    expected = KerasSettings(dtype_policy="mixed_float16", jit_compile=False, steps_per_execution=8, deterministic=True)
    assert spec.keras == expected
    assert SweepSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert type(code_of(spec, {})).from_json(json.loads(json.dumps(code_of(spec, {}).to_json()))).keras == expected
    assert loaded(LEAST + "keras: {jit_compile: auto}\n").keras == KerasSettings()


def test_the_backend_is_what_keras_would_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable goes before the configuration file, and the sweep file before both."""
    assert default_backend() == "tensorflow"
    Path("keras.json").write_text('{"backend": "jax"}')
    assert default_backend() == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert default_backend() == "torch"
    assert loaded(LEAST + "keras: {backend: tensorflow}\n").keras.backend == "tensorflow"
    monkeypatch.delenv("KERAS_BACKEND")
    Path("keras.json").write_text("nonsense")
    assert default_backend() == "tensorflow"


def test_a_backend_that_is_absent_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with its place."""
    found = importlib.util.find_spec

    def find(name: str) -> Any:
        return None if name == "torch" else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    with pytest.raises(BadInput, match=r'^sweep.yaml:6:18: .*torch is not installed.*pip install "kerasweep\[torch\]"'):
        loaded(LEAST + "keras: {backend: torch}\n")
    monkeypatch.setenv("KERAS_BACKEND", "openvino")
    with pytest.raises(BadInput, match=r"is 'openvino'.*expected one of tensorflow, jax, torch"):
        loaded(LEAST)


def test_each_backend_is_told_of_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in the environment before Keras is imported; flags that are there are kept."""
    monkeypatch.setenv("XLA_FLAGS", "--mine")
    assert environment(KerasSettings(), 2) == {"KERAS_BACKEND": "tensorflow"}
    jax = environment(KerasSettings(backend="jax", deterministic=True), 2)
    assert (jax["KERAS_BACKEND"], jax["PJRT_NPROC"], jax["XLA_PYTHON_CLIENT_PREALLOCATE"]) == ("jax", "2", "false")
    assert jax["XLA_FLAGS"].startswith("--mine ")
    assert jax["TF_NUM_INTRAOP_THREADS"] == "2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LEAST + "train: code.py:train\n", "6:1: 'model' and 'train' are both there"),
        (LEAST.replace("model: code.py:build\n", ""), "1:1: 'model' is missing; expected `file.py:name`"),
        (LOOP.replace(":train\n", ":trian\n"), "1:8: code.py does not define 'trian'"),
        (LOOP + "keras: {jit_compile: true}\n", "6:9: 'keras.jit_compile' cannot stand beside 'train'"),
        (LOOP + "keras: {steps_per_execution: 8}\n", "6:9: 'keras.steps_per_execution' cannot stand beside 'train'"),
        (LOOP.replace("30}", "30, folds: 3}"), "3:19: 'fit.folds' cannot stand beside 'train'"),
        (LEAST + "kras: {backend: jax}\n", "(did you mean 'keras'?)"),
        (LEAST + "keras: {backnd: jax}\n", "6:9: unknown key 'backnd' in 'keras'"),
        (LEAST + "keras: {backnd: jax}\n", "(did you mean 'backend'?)"),
        (LEAST + "keras: {backend: jacks}\n", "6:18: 'keras.backend' is 'jacks'; expected tensorflow, jax or torch"),
        (LEAST + "keras: {dtype_policy: mixed_float61}\n", "(did you mean 'mixed_float16'?)"),
        (LEAST + "keras: {dtype_policy: 16}\n", "6:23: 'keras.dtype_policy' is 16; expected float32, mixed_float16"),
        (LEAST + "keras: {jit_compile: maybe}\n", "6:22: 'keras.jit_compile' is 'maybe'; expected true, false or auto"),
        (
            LEAST + "keras: {steps_per_execution: 0}\n",
            "6:30: 'keras.steps_per_execution' is 0; expected a whole number",
        ),
        (LEAST + "keras: {deterministic: yes}\n", "6:24: 'keras.deterministic' is 'yes'; expected true or false"),
        (LEAST.replace("30}", "30, folds: 1}"), "3:26: 'fit.folds' is 1; expected a whole number from 2 to 1000"),
        (LEAST.replace("30}", "30, folds: [3, 5]}"), "'fit.folds' is a list; expected a whole number from 2 to 1000"),
        (LEAST.replace("30}", "30, folds: 3, validation_split: 0.2}"), "3:29: 'fit.validation_split' cannot stand"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, words: str) -> None:
    """File, line and column; what was expected, and the near match."""
    with pytest.raises(BadInput) as caught:
        loaded(text)
    assert words in str(caught.value)
    assert str(caught.value).startswith("sweep.yaml:")


def test_folds_are_the_epochs_of_the_search() -> None:
    """Trials are judged between folds, and a trial's value is the mean over all of them, not over the best few."""
    spec = loaded(LEAST.replace("30}", "30, folds: 5}"))
    assert (spec.max_epochs, spec.rungs(0)) == (5, (1, 3))
    assert spec.rules().objective.at is At.LAST
    assert spec.objective.at is At.BEST
    assert Goal.of(spec.to_json()).last
    settings = settings_of(spec, "")
    assert (settings.folds, settings.at_last, settings.seed, settings.fit["epochs"]) == (5, False, 7, 30)
    plain: dict[str, Any] = loaded(LEAST).to_json()
    assert not Goal.of(plain).last
