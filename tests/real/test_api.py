"""`kerasweep.sweep` from Python: under pytest, with a HyperModel of its own `fit`, resumed, and from a script."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

import kerasweep
from kerasweep.spaces import Space, integer
from kerasweep.spaces.errors import BadInput

from .rig import Rig, check_journal, check_mlflow

if TYPE_CHECKING:
    import keras

Make = Callable[..., Rig]
SIZE = 40


def data() -> Any:
    """Return points on a line, to train on and to validate with."""
    import numpy as np

    x = np.linspace(0.0, 1.0, SIZE, dtype="float32")[:, None]
    return (x, 2 * x + 1), (x, 2 * x + 1)


def build(hp: Any) -> keras.Model:
    """Return a small network of a width and a learning rate to search."""
    import keras

    model = keras.Sequential()
    model.add(keras.Input((1,)))
    model.add(keras.layers.Dense(hp.Int("units", 4, 16, step=4)))
    model.add(keras.layers.Dense(1))
    model.compile(keras.optimizers.Adam(hp.Float("rate", 1e-3, 1e-1, sampling="log")), "mse", metrics=["mae"])
    return model


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")  # TensorFlow's, Ray's and Keras's own, which are imported into this process
def test_a_sweep_from_python(rig: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions of a test module, the best model as it was, all trials as a table; then more trials, another model."""
    sweep = rig()
    monkeypatch.chdir(tmp_path)
    arguments: dict[str, Any] = {"data": data, "name": "rig", "fit": {"epochs": 3, "batch_size": [8, 16]}, "seed": 1}
    arguments |= {"space": Space([integer("units", 4, 16, step=4)], where=["units <= 12"]), "where": ["rate < 0.05"]}
    arguments |= {"objective": "min val_loss", "sampler": "random", "parallel": 2, "progress": False}
    result = kerasweep.sweep(build, trials=4, **arguments)
    check_mlflow(sweep.home, check_journal(sweep.folder, trials=4))
    check_result(result)
    with pytest.raises(BadInput, match="already used"):
        kerasweep.sweep(build, trials=6, **arguments)
    before = dict(result.summary.history.trials)
    more = kerasweep.sweep(build, trials=6, resume=True, **arguments)
    history = check_journal(sweep.folder, trials=6)
    for number, trial in before.items():
        assert history.trials[number].outcome == trial.outcome
        assert history.trials[number].attempt == trial.attempt
    assert len(more.trials) == 6
    check_mlflow(sweep.home, history)


def check_result(result: kerasweep.Result) -> None:
    """Assert that the best trial is the one with the least loss, and that its model has just that loss."""
    best = result.best
    table = cast(Any, result.trials)
    assert list(table.index) == [0, 1, 2, 3]
    assert set(table["state"]) == {"completed"}
    assert best.value == table["value"].min()
    assert best.number == table["value"].idxmin()
    assert set(best.params) == {"units", "rate", "fit/batch_size"}
    assert table["params/units"].max() <= 12
    assert table["params/rate"].max() < 0.05
    assert best.params["units"] == table.loc[best.number, "params/units"]
    model = cast(Any, best.model())
    loss, _ = model.evaluate(*data()[1], verbose=0, batch_size=SIZE)
    assert loss == pytest.approx(best.value, rel=1e-5)


SCRIPT = '''
import keras_tuner
import kerasweep


class Model(keras_tuner.HyperModel):
    """Trains by itself, and returns a number."""

    def build(self, hp):
        import keras

        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(hp.Int("units", 1, 8))])
        model.compile("sgd", "mse")
        return model

    def fit(self, hp, model, *args, **kwargs):
        model.fit(*args, shuffle=hp.Boolean("shuffle"), **kwargs)
        return float(model.count_params())


def build(hp):
    import keras

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(hp.Int("units", 1, 8))])
    model.compile("sgd", "mse")
    return model


if __name__ == "__main__":
    import numpy as np

    x = np.zeros((8, 1), "float32")
    one = kerasweep.sweep(Model, (x, x), objective="min loss", trials=2, fit={"epochs": 2}, name="own", parallel=1)
    print("own", one.best.value is not None, sorted(one.best.params))
    two = kerasweep.sweep(build, (x, x), objective="min loss", trials=2, fit={"epochs": 1}, name="main", parallel=1)
    print("main", len(two.trials), type(two.best.model()).__name__)
'''


@pytest.mark.real
def test_a_script_of_its_own(rig: Make, tmp_path: Path) -> None:
    """`python script.py`: a HyperModel class with its own `fit`, and a `build` of `__main__`, one after the other."""
    rig()
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["own True ['shuffle', 'units']", "main 2 Sequential"]
    check_journal(tmp_path / "sweeps" / "own", trials=2)
    check_journal(tmp_path / "sweeps" / "main", trials=2)


# What is refused at once ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"trials": None}, "needs trials=… or hours=… to end"),
        ({"trials": 0}, "trials must be a number above 0, got 0"),
        ({"trials": "2"}, "trials must be a number above 0, got '2'"),
        ({"trials": None, "hours": float("nan")}, "hours must be a number above 0"),
        ({"objective": "best val_loss"}, "objective 'best val_loss' was not understood"),
        ({"sampler": "tpee"}, r"'sampler' is 'tpee'; expected one of tpe, random, .* \(did you mean 'tpe'\?\)"),
        ({"stop": "ashaa"}, r"'stop' is 'ashaa'; expected one of none, auto, asha, .* \(did you mean 'asha'\?\)"),
        ({"name": "../elsewhere"}, "the name '../elsewhere' cannot be a folder's"),
        ({"space": {"units": {"min": 3, "max": 1}}}, "min 3 > max 1"),
        ({"space": {"units": {"min": 1, "max": 4}}, "where": ["units > 4"]}, "none of 4 configurations keeps to"),
        ({"where": ["units >"]}, "where: 'units >' is not understood"),
        ({"where": "units > 3"}, "'where' is no list"),
        ({"space": {"fit/epochs": [1, 2]}}, "'fit/epochs' is an argument of `fit`"),
        ({"space": [1]}, "space is a list; expected a kerasweep.spaces.Space"),
        ({"resources": {"cpus": 1}}, "unknown key .cpus. in .resources.; expected one of cpu, gpu"),
        ({"resources": {"cpu": 4096}}, "this machine has"),
        ({"track": "htp://localhost"}, "no address that MLflow knows"),
        ({"directory": "/proc/nope"}, "cannot write in /proc/nope"),
    ],
    ids=lambda value: "",
)
def test_a_mistake_in_the_arguments_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any], words: str
) -> None:
    """The word, what was expected and the near match, before anything is imported or made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERASWEEP_DIR", raising=False)
    arguments: dict[str, Any] = {"objective": "min val_loss", "trials": 2, **wrong}
    with pytest.raises(BadInput, match=words):
        kerasweep.sweep(build, data, **arguments)
    assert os.listdir(tmp_path) == []


def test_a_conditional_space_may_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Branches are understood as in the sweep file; the mistake that is found is another one."""
    monkeypatch.chdir(tmp_path)
    space = {"optimizer": {"choice": {"adam": {"beta_1": {"min": 0.8, "max": 0.99}}, "sgd": {}}}}
    with warnings.catch_warnings(), pytest.raises(BadInput, match="this machine has"):
        kerasweep.sweep(build, data, objective="min loss", trials=2, space=space, resources={"cpu": 4096})
