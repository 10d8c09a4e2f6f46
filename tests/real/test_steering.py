"""Budgets, settings and retries while a sweep runs and after, starting points: real Keras, by the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kerasweep.trackers.events import StartingPoints
from kerasweep.trackers.history import History
from kerasweep.trackers.journal import Reader

from .rig import MODEL, PACE, Rig, check_journal, check_mlflow

pytestmark = pytest.mark.real
Make = Callable[..., Rig]

BROKEN = MODEL.replace(
    "    model = keras.Sequential", '    if hp.Int("layers", 1, 2) == 2:\n        check()\n    model = keras.Sequential'
).replace(
    "def build(hp):",
    'def check():\n    import os\n\n    try:\n        os.remove("broken")\n    except FileNotFoundError:\n        return\n    raise ValueError("it was broken")\n\n\ndef build(hp):',
)
SWEEP = """
name: rig
model: model.py:build
data: model.py:load
objective: max val_accuracy
fit: {epochs: 9, batch_size: 32}
search: {sampler: random, stop: asha, seed: 1}
start: {try: [{layers: 1, units_0: 16}, {units_0: 24, learning_rate: 1e-2}]}
budget: {trials: 500, slot_hours: 3, no_improvement: 400}
parallel: 2
"""
AGAIN = """
name: again
model: model.py:build
data: model.py:load
objective: min val_loss
fit: {epochs: 3, batch_size: [32, 64]}
space: {units_0: {min: 8, max: 16, step: 8}}
search: {seed: 2}
start: {from: {sweep: rig, top: 2}}
budget: {trials: 50, goal: 50.0}
parallel: 2
"""


def epochs(history: History) -> int:
    """Return how many epochs stand."""
    return sum(len(one.metrics) for one in history.trials.values())


def params(history: History, number: int) -> Mapping[str, object]:
    """Return what a trial's model read."""
    return history.trials[number].params


def test_a_sweep_is_steered_and_another_one_starts_from_it(rig: Make, tmp_path: Path) -> None:
    """Points first, more budget live, an exact end, the failure once more; then its best elsewhere, and a goal."""
    sweep = rig(BROKEN + PACE, SWEEP)
    (tmp_path / "broken").touch()
    sweep.start()
    started = sweep.launcher
    sweep.wait(lambda history: sum(one.outcome is not None for one in history.trials.values()) >= 4)
    before = sweep.history()
    assert {"layers": 1, "units_0": 16}.items() <= params(before, 0).items()
    assert {"units_0": 24, "learning_rate": 1e-2}.items() <= before.trials[1].params.items() or (
        before.trials[1].state == "failed"
    )
    steer_live(sweep, epochs(before) + 250)
    sweep.launcher = started
    sweep.hurry()
    code, text = sweep.finish()
    limit = sweep.history().spec["budget"]["epochs"]
    assert code == 0, text
    assert f"the budget of {limit} epochs is spent" in text
    history = sweep.history()
    assert epochs(history) == limit
    check_mlflow(tmp_path, history)
    retry_what_failed(sweep, history)
    start_elsewhere(sweep)


def steer_live(sweep: Rig, limit: int) -> None:
    """Give the running sweep a budget of epochs; what it refuses changes nothing."""
    code, text = sweep.run("set", "rig", f"budget.epochs={limit}", "retry.crash=1")
    assert (code, text) == (0, f"rig: budget.epochs is {limit}, was none; retry.crash is 1, was 2\n")
    code, text = sweep.run("set", "rig", "budget.trials=0")
    assert code == 2
    assert text.startswith("set budget.trials: must be above 0")
    assert f"set: budget.epochs is {limit}, was none" in sweep.history().notices[-1]


def retry_what_failed(sweep: Rig, history: History) -> None:
    """Have the trial run again that broke: the same seed, a further attempt, the same run in MLflow."""
    (failed,) = [one.number for one in history.trials.values() if one.state == "failed"]
    code, text = sweep.run("retry", "rig")
    again = f"rig: trial {failed} runs again with `kerasweep resume rig --set budget.epochs=…`"
    assert (code, " ".join(text.split())) == (0, again)
    counted = sum(one.outcome.counts for one in history.trials.values() if one.outcome is not None)
    code, text = sweep.run("resume", "rig", "--set", "budget.epochs=null", "--set", f"budget.trials={counted}")
    assert code == 0, text
    after = check_journal(sweep.folder, trials=counted)
    assert after.trials[failed].state in ("completed", "stopped")
    assert after.trials[failed].attempt == history.trials[failed].attempt + 1
    assert after.trials[failed].seed == history.trials[failed].seed
    check_mlflow(sweep.home, after)


def start_elsewhere(sweep: Rig) -> None:
    """Another space, another scale: the best are tried again as far as they fit, the others are history."""
    (sweep.home / "again.yaml").write_text(AGAIN)
    code, text = sweep.run("run", "again.yaml")
    assert code == 0, text
    assert "the goal of 50 is reached: val_loss" in text
    folder = sweep.home / "sweeps" / "again"
    with Reader(folder) as reader:
        entries = list(reader.after())
    (start,) = [one.event for one in entries if isinstance(one.event, StartingPoints)]
    assert len(start.points) == 2
    assert start.prior
    for number, point in enumerate(start.points):
        read = History.of(entries).trials[number].params
        assert {name: read[name] for name in point["values"] if name in read} == {
            name: value for name, value in point["values"].items() if name in read
        }
    setting = ("--set", "budget.goal=null", "--set", "budget.no_improvement=3")
    code, text = sweep.run("resume", "again", *setting)
    assert code == 0, text
    assert "no better value in 3 trials in a row" in text
    code, text = sweep.run("resume", "again", "--set", "budget.no_improvement=null", "--set", "budget.slot_hours=1e-4")
    assert code == 0, text
    assert "the budget of 0.0001 slot hours is spent" in text
