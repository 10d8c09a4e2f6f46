"""Tests of `kerasweep.cluster.tuner`: tuners as their users make them for KerasTuner's `search`, run as trials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import pytest

from kerasweep.cluster.rehearsal import rehearse
from kerasweep.cluster.tuner import asked_of, is_tuner
from kerasweep.cluster.user_code import UserCode
from kerasweep.cluster.weights import load_models

from .test_training import DATA, Message, X, Y, network, of_type, train, with_settings

if TYPE_CHECKING:
    import keras

keras_tuner = pytest.importorskip("keras_tuner")
pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]

ARRAYS = {"x": X[:40], "y": Y[:40], "validation_data": (X[40:], Y[40:])}
EPOCHS = with_settings(fit={"epochs": 2})


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tuners make their folders where they harm nobody."""
    monkeypatch.chdir(tmp_path)


def build(hp: Any) -> keras.Model:
    """Return a network whose width is searched."""
    return network(hp.Int("units", 2, 8))


def params(said: list[Message]) -> Mapping[str, Any]:
    """Return what was recorded as used."""
    return of_type(said, "used")[-1]["params"]


def run(tuner: Any, data: Any = ARRAYS, settings: Any = EPOCHS) -> list[Message]:
    """Train one trial of a tuner as it comes out of a pickle."""
    assert is_tuner(tuner)
    said = train(cloudpickle.loads(cloudpickle.dumps(tuner)), data, settings, loop=True)
    assert said[-1]["kind"] == "completed", said[-1]
    return said


def test_run_trial_that_adds_an_argument_of_fit(tmp_path: Path) -> None:
    """What it reads is found and recorded, each epoch is reported once, and the best one's model is kept."""

    class Batches(keras_tuner.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
            kwargs["batch_size"] = trial.hyperparameters.Int("batch_size", 8, 32, step=8)
            returned: Any = super().run_trial(trial, *args, **kwargs)
            return returned

    tuner = Batches(build, objective="val_accuracy", max_trials=7)
    said = run(tuner, settings=with_settings(fit={"epochs": 3}, weights=str(tmp_path)))
    reports = of_type(said, "report")
    assert [message["epoch"] for message in reports] == [1, 2, 3]
    assert params(said) == {"units": 2, "batch_size": 8}
    best = max(message["metrics"]["val_accuracy"] for message in reports)
    assert said[-1]["value"] == pytest.approx(best)
    assert load_models(tmp_path, 0)["model"].evaluate(*DATA[1], verbose=0)[1] == pytest.approx(best)


def test_a_tuner_of_any_function() -> None:
    """Without a hypermodel and without an objective: what `run_trial` returns is the value."""

    class Anything(keras_tuner.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            return trial.hyperparameters.Float("x", -1.0, 1.0) ** 2 + 1

    said = run(Anything(max_trials=3), None)
    assert (params(said), said[-1]["value"]) == ({"x": -1.0}, 2.0)


def test_a_loop_that_calls_the_hooks(tmp_path: Path) -> None:
    """`on_epoch_end` reports, batches are counted, and the trial's id tells trials apart."""
    ids: list[str] = []

    class Loop(keras_tuner.Tuner):
        def run_trial(self, trial: Any, samples: Any, rounds: int) -> None:
            ids.append(trial.trial_id)
            model = self.hypermodel.build(trial.hyperparameters)
            rate = trial.hyperparameters.Float("rate", 0.1, 0.5)
            for epoch in range(rounds):
                self.on_epoch_begin(trial, model, epoch, logs={})
                loss, _ = model.train_on_batch(*samples)
                self.on_batch_end(trial, model, 0, logs={"loss": loss})
                self.on_epoch_end(trial, model, epoch, logs={"val_accuracy": rate + epoch})

    oracle = keras_tuner.oracles.RandomSearchOracle(keras_tuner.Objective("val_accuracy", "max"), max_trials=2)
    data = {"samples": (X, Y), "rounds": 2}
    said = train(Loop(oracle, build), data, with_settings(weights=str(tmp_path)), loop=True)
    assert [one["metrics"] for one in of_type(said, "report")] == [{"val_accuracy": 0.1}, {"val_accuracy": 1.1}]
    assert (params(said), set(ids)) == ({"units": 2, "rate": 0.1}, {"0000"})
    assert list(load_models(tmp_path, 0)) == ["model"]


def test_folds_that_update_the_oracle(tmp_path: Path) -> None:
    """What `update_trial` is told is the value; the last model that was built is kept, `save_model` may be called."""

    class Folds(keras_tuner.RandomSearch):
        def run_trial(self, trial: Any, x: Any, y: Any, batch_size: int = 32, epochs: int = 1) -> None:
            values, model = list[float](), None
            for fold in range(2):
                model = self.hypermodel.build(trial.hyperparameters)
                model.fit(x[fold::2], y[fold::2], batch_size=batch_size, epochs=epochs, verbose=0)
                values.append(model.evaluate(x[1 - fold :: 2], y[1 - fold :: 2], verbose=0)[1])
            updated = self.oracle.update_trial(trial.trial_id, {"val_accuracy": sum(values) / 2})
            assert updated.status == "RUNNING"
            self.save_model(trial.trial_id, model)

    tuner = Folds(build, objective="val_accuracy", max_trials=2)
    said = run(tuner, (X, Y), with_settings(fit={"epochs": 2}, weights=str(tmp_path)))
    (report,) = of_type(said, "report")
    assert (report["epoch"], set(report["metrics"])) == (1, {"val_accuracy"})
    assert list(load_models(tmp_path, 0)) == ["model"]


def test_a_tuner_as_it_comes_compiles_and_repeats_as_it_was_asked(tmp_path: Path) -> None:
    """Its optimizer, loss and metrics stand above the model's; of two executions the mean is the value."""
    tuner = keras_tuner.RandomSearch(
        build,
        objective="val_loss",
        max_trials=1,
        executions_per_trial=2,
        optimizer="sgd",
        loss="sparse_categorical_crossentropy",
        metrics=["sparse_categorical_accuracy"],
    )
    said = run(tuner)
    reports = of_type(said, "report")
    assert [message["epoch"] for message in reports] == [1, 2, 3, 4]
    assert "val_sparse_categorical_accuracy" in reports[0]["metrics"]
    losses = [message["metrics"]["val_loss"] for message in reports]
    mean = (min(losses[:2]) + min(losses[2:])) / 2
    said = run(tuner, settings=with_settings(metric="val_loss", maximize=False, fit={"epochs": 2}))
    assert said[-1]["value"] == pytest.approx(mean)
    assert not list(tmp_path.rglob("*.h5"))  # the tuner's own checkpoints are nobody's


def test_an_argument_that_the_sweep_and_run_trial_give_is_run_trials() -> None:
    """As for a hypermodel's own `fit`."""

    class Own(keras_tuner.RandomSearch):
        def run_trial(self, trial: Any, x: Any, y: Any, **kwargs: Any) -> Any:
            model = self.hypermodel.build(trial.hyperparameters)
            return model.fit(x, y, epochs=trial.hyperparameters.Int("epochs", 3, 5), **kwargs)

    said = run(Own(build, objective="val_accuracy", max_trials=1))
    assert [message["epoch"] for message in of_type(said, "report")] == [1, 2, 3]


def test_a_stopped_trial_ends_in_its_tuner() -> None:
    """No longer than to the end of the batch."""
    tuner = keras_tuner.RandomSearch(build, objective="val_accuracy", max_trials=1)

    def stop(training: Any, message: Message) -> None:
        if message["type"] == "report":
            training.stop()

    said = train(tuner, ARRAYS, with_settings(fit={"epochs": 9}), loop=True, on_message=stop)
    assert (len(of_type(said, "report")), said[-1]["kind"]) == (1, "stopped")


def test_a_tuner_is_rehearsed() -> None:
    """Up to its first report."""
    tuner = keras_tuner.RandomSearch(build, objective="val_accuracy", max_trials=1)
    seen = rehearse(UserCode.of(tuner, ARRAYS, loop=True), EPOCHS, {})
    assert (seen["failed"], [spec["name"] for spec in seen["specs"]]) == ("", ["units"])
    assert "val_accuracy" in seen["logged"]


def test_what_a_tuner_was_made_with_is_asked_of_the_sweep() -> None:
    """Its objective, trials, parameters and what becomes of new ones."""
    presets = keras_tuner.HyperParameters()
    presets.Int("units", 4, 6)
    tuner = keras_tuner.BayesianOptimization(
        build,
        objective=keras_tuner.Objective("val_loss", "min"),
        max_trials=7,
        hyperparameters=presets,
        tune_new_entries=False,
        max_retries_per_trial=2,
    )
    asked = asked_of(tuner)
    assert (str(asked.objective.name), asked.trials, asked.retries) == ("val_loss", 7, 2)
    assert [(one.name, one.min_value) for one in asked.hyperparameters.space] == [("units", 4)]
    assert asked.undeclared == "default"
    assert not is_tuner(keras_tuner.RandomSearch)
    assert not is_tuner(build)
