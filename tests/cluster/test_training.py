"""Tests of `kerasweep.cluster.training` on real Keras, in this process: fits, folds, loops, settings, stops."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from kerasweep.cluster.backend import KerasSettings
from kerasweep.cluster.rehearsal import rehearse
from kerasweep.cluster.settings import Settings
from kerasweep.cluster.training import Training
from kerasweep.cluster.user_code import UserCode
from kerasweep.cluster.weights import load_models
from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.parameter import identity, parameter_from_json
from kerasweep.spaces.trial import Assignment

if TYPE_CHECKING:
    import keras

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")
DATA = (X[:40], Y[:40]), (X[40:], Y[40:])
SETTINGS = Settings(metric="val_accuracy", maximize=True, at_last=False, fit={"epochs": 2, "batch_size": 20})

Message = dict[str, Any]


def network(units: int = 4, *, built: bool = True) -> keras.Model:
    """Return a compiled classifier of two classes."""
    import keras

    model = keras.Sequential([keras.Input((4,))] if built else [])
    model.add(keras.layers.Dense(units, activation="relu"))
    model.add(keras.layers.Dense(2, activation="softmax"))
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def build(hp: Any) -> keras.Model:
    """Return a network whose width is searched."""
    return network(hp.Int("units", 2, 8))


def train(
    model: Any,
    data: Any = DATA,
    settings: Settings = SETTINGS,
    *,
    loop: bool = False,
    keras: KerasSettings | None = None,
    on_message: Callable[[Training, Message], None] = lambda training, message: None,
    seed: int = 3,
) -> list[Message]:
    """Train one trial through its rounds, each missing parameter at its default; return what it said."""
    code = UserCode.of(model, data, loop=loop, keras=keras)
    params: dict[str, Any] = {}
    said: list[Message] = []
    for number in range(10):
        assignment = Assignment(number=0, attempt=1, round=number, seed=seed, params=params)
        training: Training = Training(code, assignment, settings, lambda message: hear(dict(message)))

        def hear(message: Message, training: Training = training) -> None:
            said.append(message)
            on_message(training, message)

        thread = threading.Thread(target=training.run)
        thread.start()
        thread.join()
        if said[-1]["type"] != "needs":
            return said
        parameters = [parameter_from_json(spec) for spec in said[-1]["specs"]]
        params = {**params, **{identity(one): one.initial for one in parameters}}
    raise AssertionError(said)


def of_type(said: list[Message], kind: str) -> list[Message]:
    """Return the messages of one type."""
    return [message for message in said if message["type"] == kind]


def with_settings(**changes: Any) -> Settings:
    """Return the settings with some changed."""
    return replace(SETTINGS, **changes)


# Models ------------------------------------------------------------------------------------------------------------------


def test_a_model_that_is_built_by_its_first_batch(tmp_path: Path) -> None:
    """Its parameters are counted once they are there, and its weights are kept."""

    def make(hp: Any) -> keras.Model:
        return network(hp.Int("units", 4, 8), built=False)

    said = train(make, settings=with_settings(weights=str(tmp_path)))
    assert [message["facts"]["parameters"] for message in of_type(said, "used")] == [None, 30]
    assert [message["epoch"] for message in of_type(said, "report")] == [1, 2]
    assert said[-1]["kind"] == "completed"
    assert (tmp_path / "0" / "weights.npz").exists()


def test_a_subclassed_model_with_a_train_step_of_its_own(tmp_path: Path) -> None:
    """What its step logs is reported, and its weights are kept."""
    import keras

    class Own(keras.Model):
        def __init__(self, units: int) -> None:
            super().__init__()
            self.inner: Any = network(units)
            self.seen: Any = keras.metrics.Mean(name="seen")

        def call(self, x: Any) -> Any:
            return self.inner(x)

        def train_step(self, data: Any) -> Any:
            logs: dict[str, Any] = cast(Any, super()).train_step(data)
            self.seen.update_state(7.0)
            return {**logs, "seen": self.seen.result()}

    def make(hp: Any) -> keras.Model:
        model = Own(hp.Int("units", 2, 8))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    said = train(make, settings=with_settings(weights=str(tmp_path)))
    assert [message["metrics"]["seen"] for message in of_type(said, "report")] == [7.0, 7.0]
    assert said[-1]["kind"] == "completed"
    assert (tmp_path / "0" / "weights.json").exists()


def test_the_settings_of_the_sweep_hold_for_the_fit() -> None:
    """Policy while building and training, XLA and steps per call in `fit`; set anew though the session was cleared."""
    import keras

    seen: list[Any] = []

    def make(hp: Any) -> keras.Model:
        seen.append(cast(Any, keras.config.dtype_policy()).name)
        model = network()
        seen.append(model.layers[0].compute_dtype)

        def note(logs: Any) -> None:
            seen.append((model.jit_compile, model.steps_per_execution))

        arguments["callbacks"] = lambda: keras.callbacks.LambdaCallback(on_train_begin=note)
        return model

    def data(hp: Any) -> Any:
        return arguments

    arguments: dict[str, Any] = {"x": X, "y": Y, "validation_split": 0.3}
    settings = KerasSettings(dtype_policy="mixed_bfloat16", jit_compile=True, steps_per_execution=2)
    for _ in range(2):
        said = train(make, data, keras=settings)
        assert said[-1]["kind"] == "completed", said
    assert seen == ["mixed_bfloat16", "bfloat16", (True, 2)] * 2
    assert cast(Any, keras.config.dtype_policy()).name in ("float32", "mixed_bfloat16")


def test_one_seed_gives_one_result() -> None:
    """Two trials of one seed report the same numbers, one of another seed does not."""
    curves = [[one["metrics"]["loss"] for one in of_type(train(build, seed=seed), "report")] for seed in (1, 1, 2)]
    assert curves[0] == curves[1]
    assert curves[0] != curves[2]


# Data --------------------------------------------------------------------------------------------------------------------


def test_data_of_hp_are_made_for_the_trial() -> None:
    """Its parameters are found in one pass with the model's, and its batches are those of the trial."""
    import keras

    sizes: list[int] = []

    class Batches(keras.utils.PyDataset):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.size = size

        def __len__(self) -> int:
            return len(X) // self.size

        def __getitem__(self, index: int) -> Any:
            part = slice(index * self.size, (index + 1) * self.size)
            sizes.append(len(X[part]))
            return X[part], Y[part]

    def data(hp: Any) -> Any:
        return Batches(hp.Choice("batch", [10, 30])), DATA[1]

    said = train(build, data, with_settings(fit={"epochs": 1}))
    (needs,) = of_type(said, "needs")
    assert [spec["name"] for spec in needs["specs"]] == ["units", "batch"]
    assert said[-1]["kind"] == "completed", said
    assert set(sizes) == {10}
    assert of_type(said, "used")[-1]["params"] == {"units": 2, "batch": 10}


def test_mapped_arrays_reach_keras_without_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow gets tensors on the mapped memory itself; a fit of the user's own gets the arrays."""
    import keras
    import keras_tuner

    from kerasweep.cluster import array_cache

    if keras.backend.backend() != "tensorflow":
        pytest.skip("other backends slice the mapped array")
    monkeypatch.setattr(array_cache, "MAPPED_BYTES", 100)
    code = UserCode.of(build, DATA, cache=tmp_path)
    given = code.data.arguments(None)
    mapped = cast(Any, {name: given[name] for name in ("x", "y")})
    unlike = {**mapped, "shuffle": "batch"}  # which is Keras's affair
    tensor = code.data.for_keras(unlike, None, seed=0)["x"]
    assert (type(given["x"]), type(tensor).__name__) == (np.memmap, "EagerTensor")
    assert code.data.for_keras(unlike, None, seed=0)["x"] is tensor
    np.testing.assert_array_equal(tensor.numpy(), X[:40])
    kinds: list[str] = []

    class Own(keras_tuner.HyperModel):
        def build(self, hp: Any) -> keras.Model:
            return network()

        def fit(self, hp: Any, model: Any, x: Any, y: Any, **rest: Any) -> Any:
            kinds.append(type(x).__name__)
            return model.fit(x, y, **rest)

    said: list[Message] = []
    own = UserCode.of(Own(), DATA, cache=tmp_path)
    assignment = Assignment(number=0, attempt=1, round=0, seed=3, params={})
    Training(own, assignment, SETTINGS, lambda message: said.append(dict(message))).run()
    assert (kinds, said[-1]["kind"]) == (["memmap"], "completed")


# Folds -------------------------------------------------------------------------------------------------------------------


def test_a_trial_over_folds_is_the_mean_of_its_folds(tmp_path: Path) -> None:
    """A model for each fold, an epoch reported for each: the mean so far of each fold's best epoch, and its own."""
    models: list[int] = []

    def make(hp: Any) -> keras.Model:
        model = network()
        models.append(id(model))
        return model

    settings = with_settings(fit={"epochs": 3, "folds": 4}, weights=str(tmp_path))
    said = train(make, (X, Y), settings)
    reports = of_type(said, "report")
    assert [message["epoch"] for message in reports] == [1, 2, 3, 4]
    assert (len(models), said[-1]["kind"]) == (4, "completed")
    own = [reports[fold]["metrics"][f"fold_{fold + 1}/val_accuracy"] for fold in range(4)]
    for done, message in enumerate(reports, 1):
        assert message["metrics"]["val_accuracy"] == pytest.approx(np.mean(own[:done]))
    about = json.loads((tmp_path / "0" / "weights.json").read_text())
    assert (about["epoch"], about["value"]) == (4, pytest.approx(np.mean(own)))


def ticking() -> Any:
    """Return a callback that logs the number of each epoch."""
    import keras

    class Ticking(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            assert logs is not None
            logs["ticks"] = float(epoch + 1)

    return Ticking()


@pytest.mark.parametrize(("bounds", "ticks"), [(("ticks <= 1",), {1.0}), (("ticks >= 3",), {3.0})])
def test_the_epoch_of_a_repeat_is_one_that_keeps_to_the_constraints(bounds: tuple[str, ...], ticks: set[float]) -> None:
    """However good the others are."""
    data = {"x": X, "y": Y, "validation_data": (X[:40], Y[:40]), "callbacks": [ticking()]}
    settings = with_settings(fit={"epochs": 3}, repeats=2, bounds=bounds)
    reports = of_type(train(build, data, settings), "report")
    assert {one["metrics"][f"repeat_{index}/ticks"] for index, one in enumerate(reports, 1)} == ticks


def test_a_trial_is_stopped_between_folds() -> None:
    """A stop that comes at the report of a fold ends the trial there."""

    def stop(training: Training, message: Message) -> None:
        if message["type"] == "report" and message["epoch"] == 2:
            training.stop()

    said = train(build, (X, Y), with_settings(fit={"epochs": 1, "folds": 5}), on_message=stop)
    assert [message["epoch"] for message in of_type(said, "report")] == [1, 2]
    assert said[-1]["kind"] == "stopped"


def test_folds_of_what_cannot_be_split_fail_with_the_reason() -> None:
    """Validation data of their own."""
    said = train(build, DATA, with_settings(fit={"epochs": 1, "folds": 3}))
    assert "take 'validation_data' out" in said[-1]["reason"]


# Loops -------------------------------------------------------------------------------------------------------------------


def loop(hp: Any, report: Any, data: Any) -> None:
    """Train two models by hand, and hand both over."""
    (x, y), (x_val, y_val) = data
    models = {"one": network(hp.Int("units", 2, 8)), "other": network()}
    for epoch in range(1, report.epochs + 1):
        for model in models.values():
            model.train_on_batch(x, y)
            report.batch()
        loss, accuracy = cast(Any, models["one"]).evaluate(x_val, y_val, verbose=0)
        report(epoch=epoch, model=models, val_accuracy=accuracy, val_loss=np.float32(loss))


def test_a_loop_reports_and_its_models_are_kept(tmp_path: Path) -> None:
    """Its parameter is found, its epochs are told, and each model can be loaded as it was at the best of them."""
    said = train(loop, settings=with_settings(weights=str(tmp_path)), loop=True)
    assert [message["type"] for message in said] == ["needs", "used", "report", "report", "ended"]
    reports = of_type(said, "report")
    assert [message["epoch"] for message in reports] == [1, 2]
    assert of_type(said, "used")[0]["facts"]["parameters"] == 2 * 4 + 2 + 2 * 2 + 2 + 30
    best = max(message["metrics"]["val_accuracy"] for message in reports)
    models = load_models(tmp_path, 0)
    assert set(models) == {"one", "other"}
    assert models["one"].evaluate(*DATA[1], verbose=0)[1] == pytest.approx(best)


def test_a_loops_model_without_a_config_is_kept_as_weights(tmp_path: Path) -> None:
    """What to do with them is said."""
    import keras

    class Own(keras.Model):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def call(self, x: Any) -> Any:
            return self.inner(x)

        def get_config(self) -> Any:
            raise NotImplementedError

    def run(hp: Any, report: Any) -> None:
        model = Own(network())
        model(X)
        report(epoch=1, model=model, val_accuracy=0.5)

    said = train(run, None, with_settings(weights=str(tmp_path)), loop=True)
    assert said[-1]["kind"] == "completed", said
    with pytest.raises(BadInput, match=r"model\.load_weights"):
        load_models(tmp_path, 0)


def test_a_loop_is_stopped_in_its_report() -> None:
    """No `except Exception` of the loop's keeps it going; the epoch it was in is told."""
    after: list[int] = []

    def run(hp: Any, report: Any) -> None:
        for epoch in range(1, 10):
            try:
                report(epoch=epoch, val_accuracy=0.1)
            except Exception:
                after.append(epoch)

    said = train(run, None, loop=True, on_message=lambda training, message: training.stop())
    assert [message["epoch"] for message in of_type(said, "report")] == [1]
    assert (said[-1]["kind"], after) == ("stopped", [])


@pytest.mark.parametrize(
    ("returned", "metrics"),
    [(0.25, {"val_accuracy": 0.25}), ({"val_accuracy": 0.25, "n": 1}, {"val_accuracy": 0.25, "n": 1.0})],
)
def test_what_a_loop_returns_is_its_result(returned: Any, metrics: dict[str, float]) -> None:
    """A number is the objective, a dict names metrics, as in KerasTuner."""

    def run(hp: Any, report: Any) -> Any:
        return returned

    said = train(run, None, loop=True)
    (report,) = of_type(said, "report")
    assert (report["epoch"], report["metrics"], said[-1]["value"]) == (1, metrics, 0.25)


@pytest.mark.parametrize(
    ("reported", "words"),
    [
        ({"epoch": 0, "loss": 1.0}, "epochs are counted from 1"),
        ({"epoch": 1, "loss": "low"}, "expected a number"),
        ({}, "must return"),
    ],
)
def test_a_mistake_in_a_loop_fails_the_trial_with_the_reason(reported: dict[str, Any], words: str) -> None:
    """The reason is what the call said, or what it should have returned."""

    def run(hp: Any, report: Any) -> Any:
        return report(**reported) if reported else "low"

    said = train(run, None, loop=True)
    assert (said[-1]["kind"], words in said[-1]["reason"]) == ("error", True), said[-1]


# Rehearsal ---------------------------------------------------------------------------------------------------------------


def test_a_rehearsal_of_a_loop_ends_at_its_first_report() -> None:
    """It says what is logged, and which parameters are read."""
    seen = rehearse(UserCode.of(loop, DATA, loop=True), SETTINGS, {})
    assert (seen["failed"], seen["logged"]) == ("", ["val_accuracy", "val_loss"])
    assert [spec["name"] for spec in seen["specs"]] == ["units"]


def test_a_rehearsal_with_folds_validates_with_one() -> None:
    """So `val_accuracy` is logged, though the data bring no validation set."""
    seen = rehearse(UserCode.of(build, (X, Y)), with_settings(fit={"epochs": 2, "folds": 3}), {})
    assert "val_accuracy" in seen["logged"]


# Objectives and constraints -------------------------------------------------------------------------------------------


def test_a_model_that_breaks_a_constraint_is_not_trained() -> None:
    """It ends after the build with the reason; what costs more to measure is not measured any more."""
    settings = with_settings(bounds=("params <= 10", "latency_ms <= 5"), further=(("flops", False),))
    said = train(build, settings=settings)
    assert of_type(said, "report") == []
    (used,) = of_type(said, "used")
    assert used["facts"] == {"parameters": 16}
    assert (said[-1]["kind"], said[-1]["reason"]) == (
        "infeasible",
        "constraint 'params <= 10' does not hold: params 16",
    )


def test_what_the_sweep_names_is_measured_before_the_first_epoch() -> None:
    """Once, and it is no part of the epoch's seconds; what is not named is not measured."""
    said = train(build, settings=with_settings(further=(("flops", False), ("model_mb", False))))
    (used,) = of_type(said, "used")
    assert said.index(used) < said.index(of_type(said, "report")[0])
    assert used["facts"]["parameters"] == 16
    assert used["facts"]["flops"] > 2 * (4 * 2 + 2 * 2)
    assert used["facts"]["model_mb"] > 0.001
    assert "latency_ms" not in used["facts"]


def test_a_model_that_is_built_by_its_first_batch_is_measured_then() -> None:
    """From what a sample of the data is like."""

    def make(hp: Any) -> keras.Model:
        return network(hp.Int("units", 4, 8), built=False)

    said = train(make, settings=with_settings(further=(("flops", False), ("latency_ms", False))))
    before, after = of_type(said, "used")
    assert before["facts"] == {"parameters": None}
    assert (after["facts"]["parameters"], after["facts"]["latency_ms"] > 0, after["facts"]["flops"] > 40) == (
        30,
        True,
        True,
    )
    assert said.index(after) < said.index(of_type(said, "report")[0])


def test_why_something_could_not_be_measured_is_told() -> None:
    """A model of no shape, and data that cannot be asked."""
    import keras

    def make(hp: Any) -> keras.Model:
        model = keras.Sequential([keras.Input((None,)), keras.layers.Reshape((4,)), keras.layers.Dense(2)])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        hp.Int("units", 1, 2)
        return model

    def batches() -> Any:
        while True:
            yield X[:20], Y[:20]

    arguments = {"x": batches(), "steps_per_epoch": 2, "validation_data": DATA[1]}
    said = train(make, arguments, settings=SETTINGS_OF_SIZE)
    assert said[-1]["kind"] == "completed", said[-1]
    assert "neither arrays nor a dataset" in of_type(said, "used")[-1]["facts"]["unmeasured"]["flops"]


SETTINGS_OF_SIZE = with_settings(further=(("flops", False),), fit={"epochs": 1})


def test_a_training_loop_tells_the_model_that_is_measured() -> None:
    """With its first report; the time that takes is not the epoch's."""

    def loop(hp: Any, report: Any, data: Any) -> None:
        model = network(hp.Int("units", 2, 8))
        for epoch in range(2):
            report(epoch=epoch + 1, model=model, val_accuracy=0.5)

    said = train(loop, settings=with_settings(further=(("flops", False), ("params", False))), loop=True)
    used = of_type(said, "used")[-1]
    assert used["facts"]["parameters"] == 16
    assert used["facts"].get("flops", 0) > 0, used["facts"]


def test_the_weights_of_the_epoch_that_counts_are_kept() -> None:
    """Of two epochs alike in the first objective it is the better one by the second; constraints go before both."""

    def loop(hp: Any, report: Any, data: Any) -> None:
        model = network(hp.Int("units", 2, 8))
        for epoch, (accuracy, loss) in enumerate([(0.9, 0.9), (0.5, 0.4), (0.5, 0.3), (0.4, 0.1)], 1):
            report(epoch=epoch, model=model, val_accuracy=accuracy, val_loss=loss)

    kept: list[tuple[int, float | None]] = []
    settings = with_settings(further=(("val_loss", False),), bounds=("val_loss <= 0.5",))

    def look(training: Training, message: Message) -> None:
        if message["type"] == "report":
            kept.append((training.weights.epoch, training.weights.value))

    train(loop, settings=settings, loop=True, on_message=look)
    assert kept == [(1, 0.9), (2, 0.5), (3, 0.5), (3, 0.5)]
