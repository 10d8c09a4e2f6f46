"""A trial that loses its process in mid-fit goes on where it was saved, and ends as if nothing had happened."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from kerasweep.search.results import Result
from kerasweep.trackers.events import Differed, Noticed
from kerasweep.trackers.history import History

from .rig import Rig, check_journal, check_mlflow, entries

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]
Make = Callable[..., Rig]

MODEL = """
import os
import pathlib
import time

import keras
import numpy as np

SEEN = pathlib.Path(__file__).with_name("epochs.txt")


class Slow(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        with SEEN.open("a") as file:
            file.write(f"{os.getpid()} {self.model.name} {epoch + 1}\\n")
        time.sleep(0.15)


def build(hp):
    units = hp.Int("units", 8, 64)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10, activation="softmax"),
        ],
        name=f"units_{units}",
    )
    steps = 20 * 16
    rate = keras.optimizers.schedules.CosineDecay(0.05, steps)
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def callbacks():
    return [keras.callbacks.EarlyStopping("val_loss", patience=12, restore_best_weights=True), Slow()]


def load():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    return {"x": x[:500], "y": y[:500], "validation_data": (x[1000:1300], y[1000:1300]), "callbacks": callbacks}
"""

SWEEP = """
name: rig
model: model.py:build
data: model.py:load
objective: max val_accuracy
fit: {epochs: 20, batch_size: 32}
keras: {deterministic: true}
search: {sampler: random, seed: 1}
budget: {trials: 2}
checkpoint: {every_s: 0.2, share: 1}
parallel: 1
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give the sweep as it goes when nothing happens to it."""
    home = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERASWEEP_RIG", str(home))
        patch.delenv("KERASWEEP_DIR", raising=False)
        sweep = Rig(home, MODEL, SWEEP)
        code, text = sweep.run()
        sweep.close()
    assert code == 0, text
    return sweep


def in_mid_fit(history: History) -> bool:
    """Return the condition that a trial has reported some epochs."""
    return any(one.running and len(one.metrics) >= 7 for one in history.trials.values())


def curves(history: History) -> dict[int, dict[int, dict[str, float]]]:
    """Return all metrics, by trial and epoch."""
    return {
        number: {epoch: dict(row) for epoch, row in trial.metrics.items()} for number, trial in history.trials.items()
    }


def notices(folder: Path) -> list[str]:
    """Return what the user was told."""
    return [one.event.text for one in entries(folder) if isinstance(one.event, Noticed)]


def trained(home: Path) -> dict[str, list[list[int]]]:
    """Return the epochs that each process trained of each model, in order; Keras's looks at the model left out."""
    runs: dict[tuple[str, str], list[int]] = {}
    for line in (home / "epochs.txt").read_text().splitlines():
        pid, model, epoch = line.split()
        runs.setdefault((pid, model), []).append(int(epoch))
    by_model: dict[str, list[list[int]]] = {}
    for (_, model), epochs in runs.items():
        by_model.setdefault(model, []).append(epochs)
    return by_model


def check(sweep: Rig, undisturbed: Rig) -> None:
    """Assert that a disturbed sweep came to the same end, epoch by epoch, and trained nothing before a checkpoint again."""
    history = check_journal(sweep.folder, trials=2)
    assert curves(history) == curves(undisturbed.history())
    assert not [one for one in entries(sweep.folder) if isinstance(one.event, Differed)]
    check_mlflow(sweep.home, history)
    went_on = [
        int(found[1]) for text in notices(sweep.folder) if (found := re.search(r"goes on after epoch (\d+)", text))
    ]
    assert went_on, notices(sweep.folder)
    assert not [text for text in notices(sweep.folder) if "anew" in text]
    again = [runs for runs in trained(sweep.home).values() if len(runs) > 1]
    assert [runs[-1][0] for runs in again] == [epoch + 1 for epoch in went_on]
    assert not list((sweep.folder / "checkpoints").glob("*/epochs")), "checkpoints of ended trials are left"
    assert same_weights(Result(sweep.folder), Result(undisturbed.folder))


def same_weights(one: Result, other: Result) -> bool:
    """Say whether the best models of two sweeps have the same weights."""
    first, second = one.best.model().get_weights(), other.best.model().get_weights()
    return all((a == b).all() for a, b in zip(first, second, strict=True))


def kill_trainer(sweep: Rig) -> None:
    """Kill the process that trains, by the pid that it wrote."""
    pid = int((sweep.home / "epochs.txt").read_text().splitlines()[-1].split()[0])
    os.kill(pid, signal.SIGKILL)


def saved(sweep: Rig) -> Iterable[Path]:
    """Return the manifests on the disk."""
    return list((sweep.folder / "checkpoints").glob("*/epochs/*-?.json"))


def test_a_trainer_killed_in_mid_fit(rig: Make, undisturbed: Rig) -> None:
    """With kill -9: dropout, batch normalization, momentum, a schedule, early stopping and the shuffled arrays go on."""
    sweep = rig(MODEL, SWEEP)
    sweep.start()
    sweep.wait(lambda history: in_mid_fit(history) and saved(sweep))
    kill_trainer(sweep)
    code, text = sweep.finish()
    assert code == 0, text
    check(sweep, undisturbed)


def test_a_driver_killed_in_mid_fit_is_resumed(rig: Make, undisturbed: Rig) -> None:
    """In another process of another driver."""
    sweep = rig(MODEL, SWEEP)
    sweep.start()
    sweep.wait(lambda history: in_mid_fit(history) and saved(sweep))
    sweep.kill("driver")
    assert sweep.finish()[0] == 3
    code, text = sweep.run("resume", "rig")
    assert code == 0, text
    check(sweep, undisturbed)


def test_a_sweep_that_is_interrupted_saves_its_trial(rig: Make, undisturbed: Rig) -> None:
    """Ctrl-C: at the end of the epoch, though no checkpoint was due for an hour."""
    sweep = rig(MODEL, SWEEP.replace("every_s: 0.2", "every_s: 3600"))
    launcher = sweep.start()
    sweep.wait(in_mid_fit)
    launcher.send_signal(signal.SIGINT)
    code, text = sweep.finish()
    assert code == 130, text
    assert saved(sweep), text
    code, text = sweep.run("resume", "rig")
    assert code == 0, text
    check(sweep, undisturbed)
