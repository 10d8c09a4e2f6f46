"""A model written for KerasTuner in a sweep of its own: no objective, presets, callbacks by a function."""

from __future__ import annotations

import json
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
    print(json.dumps({
        "values": list(table["value"]),
        "best": result.best.value,
        "again": float(np.mean(np.abs(predicted - 2 * x))),
        "rates": list(table["params/learning_rate"]),
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
    assert all(1e-3 <= rate <= 1e-1 for rate in told["rates"])
    assert len(set(told["rates"])) > 2  # not the two of the code
    always = {"units", "dropout", "learning_rate", "shuffle", "patience"}
    recorded = [set(trial.params) for trial in history.trials.values()]
    assert recorded == [always | ({"rate"} if trial.params["dropout"] else set()) for trial in history.trials.values()]
    assert len({len(names) for names in recorded}) == 2  # the seed brings both branches
