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

from .rig import Rig, check_journal, entries

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
            file.write(f"{os.getpid()} {epoch + 1}\\n")
        time.sleep(0.4)


def build(hp):
    units = hp.Int("units", 8, 64)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10, activation="softmax"),
        ]
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
budget: {trials: 1}
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
        _, text = sweep.run()
        sweep.close()
    assert "1 completed" in text, text
    return sweep


def reported(count: int) -> Callable[[History], bool]:
    """Return the condition that a running trial has reported so many epochs."""
    return lambda history: any(one.running and len(one.metrics) >= count for one in history.trials.values())


def curves(history: History) -> dict[int, dict[int, dict[str, float]]]:
    """Return all metrics, by trial and epoch."""
    return {
        number: {epoch: dict(row) for epoch, row in trial.metrics.items()} for number, trial in history.trials.items()
    }


def notices(folder: Path) -> list[str]:
    """Return what the user was told."""
    return [one.event.text for one in entries(folder) if isinstance(one.event, Noticed)]


def trained(home: Path) -> list[list[int]]:
    """Return the epochs that each process trained, in order."""
    runs: dict[str, list[int]] = {}
    for line in (home / "epochs.txt").read_text().splitlines():
        pid, epoch = line.split()
        runs.setdefault(pid, []).append(int(epoch))
    return list(runs.values())


def check(sweep: Rig, undisturbed: Rig, *, attempts: int) -> None:
    """Assert that a disturbed trial came to the same end, epoch by epoch, and trained nothing before a checkpoint again."""
    history = check_journal(sweep.folder, trials=1)
    assert curves(history) == curves(undisturbed.history())
    assert not [one for one in entries(sweep.folder) if isinstance(one.event, Differed)]
    told = [found for text in notices(sweep.folder) if (found := re.search(r"goes on after epoch (\d+)", text))]
    assert len(told) == attempts - 1, notices(sweep.folder)
    assert [run[0] for run in trained(sweep.home)] == [1, *(int(one[1]) + 1 for one in told)]
    assert not list((sweep.folder / "checkpoints").glob("*/epochs")), "the checkpoints of an ended trial are left"
    assert same_weights(Result(sweep.folder), Result(undisturbed.folder))


def same_weights(one: Result, other: Result) -> bool:
    """Say whether the best models of two sweeps have the same weights."""
    models: list[Any] = [one.best.model(), other.best.model()]
    first, second = (model.get_weights() for model in models)
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
    sweep.wait(lambda history: reported(7)(history) and saved(sweep))
    kill_trainer(sweep)
    _, text = sweep.finish()
    assert "1 completed" in text, text
    check(sweep, undisturbed, attempts=2)


def test_a_sweep_that_is_interrupted_and_one_whose_driver_is_killed(rig: Make, undisturbed: Rig) -> None:
    """Ctrl-C saves the trial though no checkpoint was due for an hour; what it saved serves for the driver's kill, too."""
    sweep = rig(MODEL, SWEEP.replace("every_s: 0.2", "every_s: 3600"))
    launcher = sweep.start()
    sweep.wait(reported(6))
    launcher.send_signal(signal.SIGINT)
    code, text = sweep.finish()
    assert code == 130, text
    assert saved(sweep), text
    before = len(sweep.history().trials[0].metrics)
    sweep.start("resume", "rig")
    sweep.wait(reported(before + 2))
    sweep.kill("driver")
    sweep.finish()
    _, text = sweep.run("resume", "rig")
    assert "1 completed" in text, text
    check(sweep, undisturbed, attempts=3)
