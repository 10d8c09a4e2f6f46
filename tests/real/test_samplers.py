"""Real sweeps on digits by samplers and a pruner that are not the default ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kerasweep.trackers.events import RoundEnded, SweepEnded, TrialAsked

from .rig import MODEL, SWEEP, Rig, check_journal, check_mlflow, entries

pytestmark = pytest.mark.real
Make = Callable[..., Rig]

GENERATION = "NSGAIISampler:generation"
OPTUNAS = (
    '{sampler: {name: "optuna.samplers:NSGAIISampler", population_size: 4},'
    ' stop: {rule: "optuna.pruners:SuccessiveHalvingPruner", reduction_factor: 4}, seed: 1}'
)
CHOICES = """
import keras


def build(hp):
    model = keras.Sequential([keras.Input((64,))])
    if hp.Choice("kind", ["plain", "deep"]) == "deep":  # which the driver learns by running it
        model.add(keras.layers.Dense(hp.Int("units", 8, 16, step=8), activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""
LOAD = MODEL[MODEL.index("def load") :]


def test_a_sampler_and_a_pruner_of_optunas_by_name(rig: Make) -> None:
    """Generations go on, trials are stopped with a reason in words, and MLflow has it all."""
    sweep = rig(MODEL, SWEEP.replace("{sampler: random, seed: 1}", OPTUNAS).replace("trials: 6", "trials: 10"))
    code, text = sweep.run()
    assert code == 0, text
    history = check_journal(sweep.folder, trials=10)
    events = [one.event for one in entries(sweep.folder)]
    asked = [one for one in events if isinstance(one, TrialAsked | RoundEnded) and GENERATION in one.attrs]
    generations = {one.trial: one.attrs[GENERATION] for one in asked}
    assert sorted(generations) == list(range(10))
    assert max(generations.values()) >= 1
    stopped = [one for one in history.trials.values() if one.state == "stopped"]
    assert stopped
    for one in stopped:
        assert one.outcome is not None
        assert one.outcome.reason.startswith("SuccessiveHalvingPruner: val_accuracy was ")
    check_mlflow(sweep.home, history)


def test_a_grid_over_what_only_the_code_names(rig: Make) -> None:
    """No budget: each of the three models is trained once, and the sweep ends well."""
    text = SWEEP.replace("{sampler: random, seed: 1}", "{sampler: grid}").replace("budget: {trials: 6}\n", "")
    sweep = rig(CHOICES + LOAD, text.replace("parallel: 2", "parallel: 1"))
    code, text = sweep.run()
    assert code == 0, text
    models = [one.params for one in sweep.history().trials.values() if one.state == "completed"]
    assert models == [{"kind": "plain"}, {"kind": "deep", "units": 8}, {"kind": "deep", "units": 16}]
    (ended,) = [one.event for one in entries(sweep.folder) if isinstance(one.event, SweepEnded)]
    assert ended.why == "the grid is exhausted"
    assert "the grid is exhausted" in text
