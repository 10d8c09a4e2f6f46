"""A deterministic sweep in two runs, of which the second is disturbed; and its trials, trained again alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kerasweep.trackers.events import Entry, TrialEnded
from kerasweep.trackers.history import History

from ..search.lab import traces_of
from .rig import KERASWEEP, Rig, entries

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]
Make = Callable[..., Rig]

MODEL = """
import json
import os
import pathlib
import time

import keras

HERE = pathlib.Path(__file__).parent
TURNS, GO = HERE / "turns.json", HERE / "go"


def slow(rate):
    if not TURNS.exists():
        return False
    return abs(json.loads(TURNS.read_text())["last"] / rate - 1) < 1e-5


class Turns(keras.callbacks.Callback):
    \"\"\"Takes now longer, now shorter; once told, the one trial ends after the other.\"\"\"

    def on_epoch_begin(self, epoch, logs=None):
        time.sleep(os.urandom(1)[0] / 255 * 0.15)
        if epoch == 0 and slow(float(self.model.optimizer.learning_rate)):
            until = time.monotonic() + 100
            while not GO.exists() and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(1.5)

    def on_epoch_end(self, epoch, logs=None):
        turns = json.loads(TURNS.read_text()) if TURNS.exists() else {"first": 1.0, "epochs": 0}
        first = abs(turns["first"] / float(self.model.optimizer.learning_rate) - 1) < 1e-5
        if first and epoch + 1 == turns["epochs"]:
            GO.touch()


def build(hp):
    model = keras.Sequential([keras.Input((64,))])
    for layer in range(hp.Int("layers", 1, 2)):
        model.add(keras.layers.Dense(hp.Int(f"units_{layer}", 8, 32, step=8), activation="relu"))
        model.add(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5)))
    model.add(keras.layers.Dense(10, activation="softmax"))
    rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def load():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    part = {"x": x[:600], "y": y[:600], "validation_data": (x[1000:1300], y[1000:1300])}
    return {**part, "callbacks": lambda: [Turns()]}
"""

SWEEP = """
name: rig
model: model.py:build
data: model.py:load
objective: max val_accuracy
fit: {epochs: 5, batch_size: 32}
search: {sampler: tpe, stop: {rule: asha, min_epochs: 1, factor: 2}, seed: 3, deterministic: true}
budget: {trials: 14}
parallel: 2
"""


def ends(journaled: list[Entry]) -> list[int]:
    """Return the trials in the order of their ends."""
    return [one.event.trial for one in journaled if isinstance(one.event, TrialEnded)]


def replay(home: Path, number: int) -> subprocess.Popen[str]:
    """Begin to train a trial again."""
    command = [KERASWEEP, "replay", "rig", str(number), "--json", "--dir", str(home)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def files(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_who_is_faster_changes_no_trial_and_each_can_be_trained_again(rig: Make, tmp_path: Path) -> None:
    """The second run has the first two trials end in the other order: the same parameters, stops and metrics.

    A completed and a stopped trial come out equal alone, and one whose code was changed does not.
    """
    sweep = rig(MODEL, SWEEP)
    code, said = sweep.run()
    assert code == 0, said
    first = entries(sweep.folder)
    history = History.of(first)
    early, late = (number for number in ends(first) if number < 2)
    turns = {
        "last": history.trials[early].params["learning_rate"],
        "first": history.trials[late].params["learning_rate"],
        "epochs": max(history.trials[late].metrics),
    }
    (sweep.home / "turns.json").write_text(json.dumps(turns))
    code, said = sweep.run("run", "sweep.yaml", "--set", "name=again")
    assert code == 0, said
    again = entries(sweep.home / "sweeps" / "again")
    assert [number for number in ends(again) if number < 2] == [late, early], "the second run was not disturbed"
    assert traces_of(again) == traces_of(first)

    state = {one.state: number for number, one in history.trials.items()}
    other = tmp_path / "changed"
    shutil.copytree(sweep.folder, other / "sweeps" / "rig")
    model = other / "sweeps" / "rig" / "code" / "model.py"
    model.write_text(model.read_text().replace('"relu"', '"tanh"'))
    before = files(sweep.folder)
    replays = [replay(sweep.home, state["completed"]), replay(sweep.home, state["stopped"]), replay(other, 0)]
    outputs = [one.communicate(timeout=240)[0] for one in replays]
    assert [one.returncode for one in replays] == [0, 0, 1], outputs
    completed, stopped, changed = map(json.loads, outputs)
    assert (completed["equal"], completed["epochs"], completed["notes"], completed["versions"]) == (True, 5, [], {})
    assert (stopped["equal"], stopped["epochs"]) == (True, len(history.trials[state["stopped"]].metrics))
    assert (changed["equal"], changed["parted"]["epoch"]) == (False, 1)
    assert files(sweep.folder) == before, "a replay has written to the sweep"
