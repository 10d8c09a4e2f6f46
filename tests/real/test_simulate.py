"""A real sweep, simulated: the same trials are stopped, and it takes as long."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from .rig import Rig, check_journal

pytestmark = pytest.mark.real
Make = Callable[..., Rig]
SWEEP = """
name: rig
model: model.py:build
data: model.py:load
objective: max val_accuracy
fit: {epochs: 9, batch_size: 64}
search: {sampler: tpe, stop: asha, seed: 3}
budget: {trials: 40}
parallel: 2
"""
TRIALS = 40


def test_a_recorded_sweep_is_simulated_as_it_was(rig: Make) -> None:
    """Forty trials on two slots under ASHA: makespan and set of stopped trials within 5 %; then as it would have been.

    Before, `plan` has measured an epoch of it, and says how long it takes and how many trials come to each rung.
    """
    sweep = rig(sweep=SWEEP)
    code, text = sweep.run("plan", "sweep.yaml", "--limit", "1", "--json")
    assert code == 0, text
    expected = json.loads(text)["forecast"]
    assert 0 < expected["epoch_s"] < 60
    assert (expected["trials"], expected["slots"], expected["rungs"]["1"]) == (TRIALS, 2, TRIALS)
    assert expected["rungs"]["1"] > expected["rungs"]["3"] > expected["rungs"]["9"] >= 1
    assert expected["seconds"] >= expected["epochs"] * expected["epoch_s"] / 2
    code, text = sweep.run("run", "sweep.yaml")
    assert code == 0, text
    history = check_journal(sweep.folder, trials=TRIALS)
    code, text = sweep.run("simulate", "rig", "--set", "search.stop=none", "--json")
    assert code == 0, text
    found = json.loads(text)
    stopped = {one.number for one in history.trials.values() if one.state == "stopped"}
    assert set(found["was"]["stopped"]) == stopped
    assert abs(found["makespan_error"]) < 0.05
    assert len(found["stopped_otherwise"]) <= 0.05 * TRIALS
    then = found["would_have_been"]
    assert (then["trials"], then["stopped"], then["rungs"]["9"]) == (TRIALS, [], TRIALS)
    assert then["epochs"] == 9 * TRIALS == found["epochs_recorded"] + found["epochs_guessed"]
    assert found["epochs_recorded"] == sum(len(one.metrics) for one in history.trials.values())
    assert then["seconds"] > found["was"]["seconds"]
    code, text = sweep.run("simulate", "rig", "--set", "search.stop=ahsa")
    assert code == 2
    assert "did you mean 'asha'?" in text
    assert text.count("\n") == 1
