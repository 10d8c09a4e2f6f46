"""Constraints and infeasible configurations, the whole way: proposed, built, journaled, in MLflow."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from .rig import Rig, check_journal, check_mlflow

pytestmark = pytest.mark.real
Make = Callable[..., Rig]

MODEL = """
import keras
import kerasweep
import numpy as np


def build(hp):
    model = keras.Sequential([keras.Input((4,))])
    width = 0
    for layer in range(hp.Int("layers", 1, 4)):
        units = hp.Int(f"units_{layer}", 1, 8)
        width += units
        model.add(keras.layers.Dense(units, activation=hp.get("activation")))
    if hp.get("optimizer") == "sgd":
        optimizer = keras.optimizers.SGD(0.1, momentum=hp.get("optimizer/sgd/momentum"))
    else:
        optimizer = keras.optimizers.Adam(hp.Float("late_rate", 1e-4, 1e-1, sampling="log"))
    if width > 6:
        raise kerasweep.Infeasible(f"{width} units are too many")
    model.add(keras.layers.Dense(1))
    model.compile(optimizer, "mse")
    return model


def load():
    x = np.linspace(0, 1, 64, dtype="float32").reshape(16, 4)
    return (x, x[:, :1]), (x, x[:, :1])
"""
SWEEP = """
name: rig
model: model.py:build
data: model.py:load
objective: min val_loss
fit: {epochs: 1, batch_size: 8}
space:
  layers: {min: 1, max: 3, repeat: {units: {min: 2, max: 8, step: 2}}}
  activation: [relu, tanh]
  optimizer: {choice: {sgd: {momentum: {min: 0.0, max: 0.9}}, adam: }}
where:
  - units_0 >= units_1
  - units_1 >= units_2
  - activation == "relu" or layers == 1
  - p["optimizer/sgd/momentum"] > 0.5
  - late_rate < 1e-2
search: {sampler: random, seed: 3}
budget: {trials: 8}
parallel: 2
"""


def test_every_trial_keeps_to_where_and_infeasible_ones_cost_nothing(rig: Make) -> None:
    """Groups, branches and late-bound parameters; what the model refuses is recorded, and another is proposed."""
    sweep = rig(MODEL, SWEEP)
    code, text = sweep.run()
    assert code == 0, text
    history = check_journal(sweep.folder, trials=8)
    refused = 0
    for trial in history.trials.values():
        used = cast(dict[str, Any], dict(trial.params))
        units = [used[f"units_{layer}"] for layer in range(used["layers"])]
        assert set(used) == {
            *("layers", "activation", "optimizer", *(f"units_{layer}" for layer in range(len(units)))),
            "optimizer/sgd/momentum" if used["optimizer"] == "sgd" else "late_rate",
        }
        assert units == sorted(units, reverse=True)
        assert set(units) <= {2, 4, 6, 8}
        assert used["activation"] == "relu" or used["layers"] == 1
        assert used.get("optimizer/sgd/momentum", 0.9) > 0.5
        assert used.get("late_rate", 0.0) < 1e-2
        if sum(units) > 6:
            refused += 1
            assert trial.outcome is not None
            assert (trial.state, trial.outcome.reason) == ("infeasible", f"{sum(units)} units are too many")
        else:
            assert trial.state == "completed"
    assert refused > 0
    assert len(history.trials) == 8 + refused
    check_mlflow(sweep.home, history)
    assert tags_of(sweep.home).count("infeasible") == refused


def tags_of(home: Path) -> list[str]:
    """Return the tag `outcome` of each trial's run."""
    from mlflow import MlflowClient

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, of SQLAlchemy
        client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
        experiments = [one.experiment_id for one in client.search_experiments() if one.name != "Default"]
        runs = list(cast(Any, client.search_runs(experiments, max_results=500)))
    return [run.data.tags["outcome"] for run in runs if "mlflow.parentRunId" in run.data.tags]


def test_what_no_round_can_satisfy_ends_the_sweep(rig: Make) -> None:
    """A clause over a late-bound parameter that it never keeps to: 50 infeasible in a row, one line, exit 1."""
    text = SWEEP.replace("late_rate < 1e-2", "width < 0").replace("parallel: 2", "parallel: 1")
    sweep = rig(MODEL.replace("width = 0", 'width = hp.Int("width", 1, 3)'), text)
    code, said = sweep.run()
    assert code == 1, said
    assert "50 configurations in a row were infeasible" in said
    history = check_journal(sweep.folder, trials=0)
    assert {one.state for one in history.trials.values()} == {"infeasible"}
    assert not any(one.metrics for one in history.trials.values())
    check_mlflow(sweep.home, history, "FAILED")
