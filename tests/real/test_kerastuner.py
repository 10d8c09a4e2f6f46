"""Models written for KerasTuner in sweeps of their own: no objective, presets, callbacks by a function, a tuner."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from .rig import Rig, check_journal, check_mlflow

SCRIPT = '''
import json

import keras_tuner
import numpy as np

import kerasweep


class Regressor(keras_tuner.HyperModel):
    """Evaluates by itself and returns a number to minimise; one branch has a parameter that the other has not."""

    table = np.zeros(20_000_000, "float32")  # the program is more than Ray takes with an actor's class

    def build(self, hp):
        import keras

        layers = [keras.Input((1,)), keras.layers.Dense(hp.Int("units", 2, 64, step=2, default=4), activation="relu")]
        if hp.Boolean("dropout"):
            layers.append(keras.layers.Dropout(hp.Float("rate", 0.1, 0.5)))
        model = keras.Sequential([*layers, keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(hp.Choice("learning_rate", [1e-3, 1e-4])), "mean_squared_error")
        return model

    def fit(self, hp, model, x, y, validation_data, **kwargs):
        model.fit(x, y, shuffle=hp.Boolean("shuffle"), **kwargs)
        x_val, y_val = validation_data
        return np.mean(np.abs(model.predict(x_val) - y_val))


def stop_early(hp):
    import keras

    return [keras.callbacks.EarlyStopping("loss", patience=hp.Int("patience", 1, 3))]


if __name__ == "__main__":
    presets = keras_tuner.HyperParameters()
    presets.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    x = np.linspace(0, 1, 32, dtype="float32")[:, None]
    data = {"x": x, "y": 2 * x, "validation_data": (x, 2 * x), "callbacks": stop_early}
    result = kerasweep.sweep(
        Regressor, data, hyperparameters=presets, trials=8, fit={"epochs": 2}, name="kt", seed=3, parallel=2
    )
    table = result.trials
    predicted = result.best.model().predict(x, verbose=0)
    hp = result.best.hyperparameters
    model = Regressor()
    again = model.fit(hp, model.build(hp), x, 2 * x, (x, 2 * x), verbose=0)
    print(json.dumps({
        "values": list(table["value"]),
        "best": result.best.value,
        "again": float(np.mean(np.abs(predicted - 2 * x))),
        "rates": list(table["params/learning_rate"]),
        "top": [one.value for one in result.top(3)],
        "retrained": {name: value == hp.values[name] for name, value in result.best.params.items()},
        "new": sorted(set(hp.values) - set(result.best.params)),
        "trained": bool(again > 0),
    }))
'''


@pytest.mark.real
def test_a_hypermodel_unchanged(rig: Callable[..., Rig], tmp_path: Path) -> None:
    """What `fit` returned is each trial's value, presets decide the range, and exactly what was read is recorded."""
    rig()
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    history = check_journal(tmp_path / "sweeps" / "kt", trials=8)
    check_mlflow(tmp_path, history)
    assert told["best"] == min(told["values"]) == pytest.approx(told["again"], rel=1e-4)
    assert told["top"] == sorted(told["values"])[:3]
    assert all(told["retrained"].values())
    assert (told["new"], told["trained"]) == ([], True)
    assert all(1e-3 <= rate <= 1e-1 for rate in told["rates"])
    assert len(set(told["rates"])) > 2  # not the two of the code
    always = {"units", "dropout", "learning_rate", "shuffle", "patience"}
    recorded = [set(trial.params) for trial in history.trials.values()]
    assert recorded == [always | ({"rate"} if trial.params["dropout"] else set()) for trial in history.trials.values()]
    assert len({len(names) for names in recorded}) == 2  # the seed brings both branches


PAGE = Path(__file__).parents[2] / "docs" / "kerastuner.md"
MAIN = """

if __name__ == "__main__":
    import json

    import numpy as np

    x = np.linspace(0, 1, 400, dtype="float32")[:, None]
    result = search(x, 2 * x)
    print(json.dumps([result.best.value, result.best.model().evaluate(x, 2 * x, verbose=0)]))
"""


@pytest.mark.real
def test_the_pages_tuner_runs(rig: Callable[..., Rig], tmp_path: Path) -> None:
    """What docs/kerastuner.md shows: a tuner in the place of its `search`, with all that it was made with."""
    rig()
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    (tmp_path / "script.py").write_text(block + MAIN)
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    history = check_journal(tmp_path / "sweeps" / "sweep-1", trials=8)
    check_mlflow(tmp_path, history)
    value, loss = json.loads(done.stdout.splitlines()[-1])
    values = [trial.outcome.value for trial in history.trials.values() if trial.outcome and trial.outcome.value]
    assert (value, len(values)) == (min(values), 8)
    assert loss > 0
    assert all(set(trial.params) == {"units", "batch_size"} for trial in history.trials.values())
    assert {len(trial.metrics) for trial in history.trials.values()} == {10}  # two executions of five epochs
