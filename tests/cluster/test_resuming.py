"""Trials that are killed and go on, on real Keras in this process: their curves are those of undisturbed ones, bit by bit."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from kerasweep.cluster.checkpointing import place_of_trial
from kerasweep.cluster.settings import Settings
from kerasweep.cluster.training import Training
from kerasweep.cluster.user_code import UserCode
from kerasweep.spaces.trial import Assignment

if TYPE_CHECKING:
    import keras

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 6)).astype("float32")
Y = (X[:, 0] * X[:, 1] > 0).astype("int64")
DATA = (X[:80], Y[:80]), (X[80:], Y[80:])
EPOCHS = 7
KILLED_AT = 5

Message = dict[str, Any]


class Killed(BaseException):
    """The process ended here, as far as the trial can tell."""


@dataclass
class Attempt:
    """What an attempt said and trained."""

    folder: Path
    said: list[Message] = field(default_factory=list[Message])
    began: list[int] = field(default_factory=list[int])

    @property
    def curve(self) -> dict[int, Mapping[str, float]]:
        """The metrics of each epoch."""
        return {one["epoch"]: one["metrics"] for one in self.said if one["type"] == "report"}

    @property
    def notices(self) -> str:
        """What the user was told."""
        return "\n".join(one["text"] for one in self.said if one["type"] == "notice")


@dataclass
class Trial:
    """One trial in one folder, attempt after attempt."""

    model: Any
    folder: Path
    data: Any = DATA
    callbacks: Callable[[], list[Any]] = list
    fit: Mapping[str, Any] = field(default_factory=lambda: {"epochs": EPOCHS, "batch_size": 16})
    every_s: float = 1e-9
    attempts: int = 0

    def attempt(self, kill_at: int | None = None, stop_at: int | None = None, reported: int = 0) -> Attempt:
        """Train; be killed at the report of an epoch, once there is a checkpoint; or be stopped there, to go on later."""
        import keras

        self.attempts += 1
        seen = Attempt(self.folder)
        place = place_of_trial(str(self.folder), 0)

        def began(epoch: int, logs: Any) -> None:
            seen.began.append(epoch + 1)

        def data(hp: Any) -> Any:
            note = keras.callbacks.LambdaCallback(on_epoch_begin=began)
            (x, y), held = self.data
            return {"x": x, "y": y, "validation_data": held, "callbacks": lambda: [*self.callbacks(), note]}

        def say(message: Mapping[str, Any]) -> None:
            seen.said.append(dict(message))
            if message["type"] != "report":
                return
            if message["epoch"] == kill_at:
                _wait_for(Path(place))
                raise Killed
            if message["epoch"] == stop_at:
                training.stop(save=True)

        settings = Settings(
            metric="val_accuracy",
            maximize=True,
            at_last=False,
            fit=self.fit,
            weights=str(self.folder),
            checkpoints=str(self.folder),
            checkpoint_every_s=self.every_s,
            checkpoint_share=1e9,
        )
        assignment = Assignment(
            number=0,
            attempt=self.attempts,
            round=0,
            seed=3,
            params={},
            resume_from=place if self.attempts > 1 else "",
            reported=reported,
        )
        source = self.data if "folds" in self.fit else data
        training = Training(UserCode.of(self.model, source), assignment, settings, say)
        training.run()
        return seen


def _wait_for(place: Path) -> None:
    """Wait until a checkpoint is there; the thread that writes it is not killed with the trial."""
    deadline = time.monotonic() + 30
    while not list(place.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)


Undisturbed = Callable[[Trial], Attempt]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Give what trains a trial as it goes when nothing happens to it, once for all tests that ask."""
    known: list[tuple[Trial, Attempt]] = []

    def train(trial: Trial) -> Attempt:
        for one, attempt in known:
            if (one.model, one.callbacks, one.fit) == (trial.model, trial.callbacks, trial.fit):
                return attempt
        folder = tmp_path_factory.mktemp("undisturbed")
        one = Trial(trial.model, folder, trial.data, trial.callbacks, trial.fit, every_s=1e9)
        known.append((one, one.attempt()))
        return known[-1][1]

    return train


def check(whole: Attempt, *attempts: Attempt) -> int:
    """Assert that the attempts together are the undisturbed trial; return the epoch after which the last one went on."""
    assert whole.said[-1]["kind"] == "completed", whole.said[-1]
    assert attempts[-1].said[-1]["kind"] == "completed", attempts[-1].said[-1]
    for one in attempts:
        for epoch, metrics in one.curve.items():
            assert metrics == whole.curve[epoch], f"epoch {epoch}"
    assert {epoch for one in attempts for epoch in one.curve} == set(whole.curve)
    return min(attempts[-1].began, default=len(whole.curve) + 1) - 1


def same_weights(one: Path, other: Path) -> bool:
    """Say whether the best weights that two trials kept are the same."""
    with np.load(one / "0" / "weights.npz") as first, np.load(other / "0" / "weights.npz") as second:
        return all(np.array_equal(first[name], second[name]) for name in [*first.files, *second.files])


# Models ------------------------------------------------------------------------------------------------------------------


def network(*extra: Any, built: bool = True) -> keras.Sequential:
    """Return a classifier with batch normalization and dropout."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            *([keras.Input((6,))] if built else []),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            *extra,
            layers.Dropout(0.4),
            layers.Dense(2, activation="softmax"),
        ]
    )


def compiled(model: Any, optimizer: Any) -> Any:
    """Return the model, compiled."""
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def adam(hp: Any) -> Any:
    """Build with Adam."""
    import keras

    return compiled(network(), keras.optimizers.Adam(0.01))


def momentum(hp: Any) -> Any:
    """Build with Nesterov's momentum."""
    import keras

    return compiled(network(), keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True))


def schedule(hp: Any) -> Any:
    """Build with a schedule over all steps, with warm-up."""
    import keras

    rate: Any = keras.optimizers.schedules.CosineDecay(0.05, EPOCHS * 5, warmup_target=0.1, warmup_steps=8)
    return compiled(network(), keras.optimizers.RMSprop(rate))


def averaged(hp: Any) -> Any:
    """Build with an exponential moving average of the weights, which overwrites them now and then."""
    import keras

    return compiled(network(), keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=7))


def unbuilt(hp: Any) -> Any:
    """Build what its first batch builds."""
    return compiled(network(built=False), "adam")


def noisy(hp: Any) -> Any:
    """Build with a layer that draws from Keras's common generator."""
    import keras

    class Noise(keras.layers.Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            return x + 0.1 * cast(Any, keras).random.normal(cast(Any, keras).ops.shape(x)) if training else x

    return compiled(network(Noise()), "adam")


def mixed(hp: Any) -> Any:
    """Build with float16, whose loss is scaled by a factor that grows."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, dtype="mixed_float16"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(2, activation="softmax", dtype="float32"),
        ]
    )
    return compiled(model, keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), dynamic_growth_steps=5))


def two_optimizers(hp: Any) -> Any:
    """Build with a training step that has a second optimizer, built when it first trains."""
    import keras
    import tensorflow as tf

    class Two(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first: Any = network()
            self.second: Any = keras.layers.Dense(2)
            self.other: Any = keras.optimizers.Adam(0.01)

        def call(self, x: Any, training: bool = False) -> Any:
            return self.first(x, training=training) + 0.1 * self.second(x)

        def train_step(self, data: Any) -> Any:
            logs: dict[str, Any] = cast(Any, super()).train_step(data)
            variables = self.second.trainable_variables
            with cast(Any, tf).GradientTape() as tape:
                loss = cast(Any, tf).reduce_mean(self.second(data[0]) ** 2)
            self.other.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            return {**logs, "second": loss}

    return compiled(Two(), "adam")


def rate_of(epoch: int, rate: float) -> float:
    """Lower the rate that stands; a state that only the optimizer has."""
    return float(rate * 0.8)


def stopping() -> list[Any]:
    """Return callbacks that count, one of which lowers the rate and one of which holds weights."""
    import keras

    return [
        keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=0.05),
    ]


def scheduling() -> list[Any]:
    """Return a LearningRateScheduler."""
    import keras

    return [keras.callbacks.LearningRateScheduler(rate_of)]


def swapping() -> list[Any]:
    """Return a callback that has the averaged weights in the model between two epochs."""
    import keras

    return [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]


TABLE: dict[str, tuple[Any, Callable[[], list[Any]]]] = {
    "adam": (adam, list),
    "early stopping, plateau": (adam, stopping),
    "momentum, scheduler": (momentum, scheduling),
    "schedule": (schedule, list),
    "moving average": (averaged, list),
    "swapped average": (averaged, swapping),
    "unbuilt": (unbuilt, list),
    "noise": (noisy, list),
    "float16": (mixed, list),
    "two optimizers": (two_optimizers, list),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_killed_trial_goes_on_bit_by_bit(name: str, tmp_path: Path, undisturbed: Undisturbed) -> None:
    """From its last checkpoint, with the order of its batches, and keeps the best weights of all its epochs."""
    model, callbacks = TABLE[name]
    trial = Trial(model, tmp_path / "killed", callbacks=callbacks)
    whole = undisturbed(trial)
    first = trial.attempt(kill_at=KILLED_AT)
    second = trial.attempt()
    resumed = check(whole, first, second)
    assert 1 <= resumed < KILLED_AT, second.notices
    assert f"goes on after epoch {resumed}" in second.notices
    assert "begins anew" not in second.notices
    assert sorted(second.began) == list(range(resumed + 1, max(whole.began) + 1))
    assert same_weights(tmp_path / "killed", whole.folder)


def test_early_stopping_stops_at_the_same_epoch(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """Its patience is counted through the kill; killed after its decision, it is not trained on."""
    import keras

    def callbacks() -> list[Any]:
        return [keras.callbacks.EarlyStopping("loss", mode="max", patience=4)]

    fit = {"epochs": 50, "batch_size": 16}
    trial = Trial(adam, tmp_path / "killed", callbacks=callbacks, fit=fit)
    whole = undisturbed(trial)
    assert 4 <= max(whole.curve) < 50
    first = trial.attempt(kill_at=3)
    assert check(whole, first, trial.attempt()) < 3


def test_a_trial_that_is_killed_again_and_again_comes_to_its_end(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """Each attempt begins where the last one was saved; at most two checkpoints are on the disk."""
    trial = Trial(adam, tmp_path / "killed")
    whole = undisturbed(trial)
    attempts = [trial.attempt(kill_at=epoch) for epoch in (3, 5, 6)]
    attempts.append(trial.attempt())
    assert check(whole, *attempts) >= 4
    manifests = list((tmp_path / "killed" / "0" / "epochs").glob("*.json"))
    assert len([one for one in manifests if "-fit" not in one.name]) <= 2


@pytest.mark.parametrize("reported", [0, 2, 4])
def test_a_stop_saves_at_once_and_the_journal_gets_what_it_lacks(
    tmp_path: Path, undisturbed: Undisturbed, reported: int
) -> None:
    """A trial that is to go on later is saved at the end of its epoch, however long ago the last checkpoint was."""
    trial = Trial(adam, tmp_path / "killed", every_s=3600.0)
    whole = undisturbed(trial)
    first = trial.attempt(stop_at=4)
    assert (first.said[-1]["kind"], list(first.curve)) == ("stopped", [1, 2, 3, 4])
    second = trial.attempt(reported=reported)
    assert list(second.curve) == list(range(reported + 1, EPOCHS + 1))
    assert check(whole, first, second) == 4


def test_what_callbacks_hold_and_no_checkpoint_does_is_said(tmp_path: Path) -> None:
    """By callback and attribute, when a trial goes on without it; what is saved, or never changes, is not named."""
    import keras

    class Counter(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.epochs = 0
            self.seen: set[int] = set()
            self.pair = (1, 2)
            self.best = keras.metrics.Mean()
            self.curve: list[float] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.epochs += 1
            self.seen.add(epoch)
            self.best.update_state(epoch)
            self.curve.append(float(epoch))

    trial = Trial(adam, tmp_path / "killed", callbacks=lambda: [Counter(), keras.callbacks.CSVLogger(tmp_path / "log")])
    trial.attempt(stop_at=3)
    second = trial.attempt()
    assert second.notices.splitlines()[1:] == [
        "goes on without what checkpoints cannot hold: Counter.seen, Counter.best"
    ]


def test_a_stop_at_the_last_epoch_loses_nothing(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """There is nothing left to train, and the trial is complete."""
    trial = Trial(adam, tmp_path / "killed", every_s=3600.0)
    whole = undisturbed(trial)
    first = trial.attempt(stop_at=EPOCHS)
    second = trial.attempt()
    assert check(whole, first, second) == EPOCHS
    assert second.began == []
    assert same_weights(tmp_path / "killed", whole.folder)


def test_a_short_trial_writes_nothing(tmp_path: Path) -> None:
    """Neither a file nor a folder before a checkpoint is due."""
    done = Trial(adam, tmp_path / "one", every_s=10.0).attempt()
    assert done.said[-1]["kind"] == "completed"
    assert not (tmp_path / "one" / "0" / "epochs").exists()


def test_the_one_before_a_damaged_checkpoint_is_used(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """The damaged one is named, the curve is the same."""
    trial = Trial(adam, tmp_path / "killed")
    whole = undisturbed(trial)
    first = trial.attempt(kill_at=EPOCHS)
    newest = max((tmp_path / "killed" / "0" / "epochs").glob("*.weights.h5"))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(bytes(data))
    second = trial.attempt()
    resumed = check(whole, first, second)
    assert 1 <= resumed < int(newest.name[:6])
    assert newest.name in second.notices


def test_a_model_that_has_changed_begins_anew(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """The reason is told, and the old checkpoints go."""

    def wider(hp: Any) -> Any:
        import keras

        return compiled(network(keras.layers.Dense(9)), "adam")

    trial = Trial(adam, tmp_path / "killed")
    trial.attempt(kill_at=KILLED_AT)
    trial.model = wider
    second = trial.attempt()
    assert "begins anew" in second.notices
    assert check(undisturbed(trial), second) == 0


def test_folds_that_are_done_are_not_trained_again(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """The mean goes on over them; the fold that was under way is trained anew."""
    trial = Trial(adam, tmp_path / "killed", data=(X, Y), fit={"epochs": 2, "batch_size": 16, "folds": 4})
    whole = undisturbed(trial)
    first = trial.attempt(kill_at=3)
    second = trial.attempt(reported=3)
    assert "goes on after epoch 2" in second.notices or "goes on after epoch 1" in second.notices
    check(whole, first, second)
    assert min(second.curve) in (2, 3), "the fold that was under way"
    assert same_weights(tmp_path / "killed", whole.folder)


# A fit of the user's own -------------------------------------------------------------------------------------------------


def own(fit: Callable[[Any, Any, Any, dict[str, Any]], Any]) -> Any:
    """Return a hypermodel with a `fit` of its own; its data come in a fixed order."""
    import keras_tuner

    class Own(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            return adam(hp)

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            return fit(hp, model, args, kwargs)

    return Own()


def plain_fit(hp: Any, model: Any, args: Any, kwargs: dict[str, Any]) -> float:
    """Fit with callbacks made here, after those that are handed in, and look at the history."""
    import keras

    callbacks = [*kwargs.pop("callbacks"), keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=0.05)]
    history = model.fit(*args, callbacks=callbacks, shuffle=False, **kwargs)
    assert history.epoch == list(range(EPOCHS))
    return 1.0 - min(history.history["loss"])


def test_a_fit_of_the_users_own_goes_on_too(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """Callbacks that it makes itself keep their counts, and the history that it gets has all epochs."""
    trial = Trial(own(plain_fit), tmp_path / "killed")
    whole = undisturbed(trial)
    first = trial.attempt(kill_at=KILLED_AT)
    second = trial.attempt()
    assert 1 <= check(whole, first, second) < KILLED_AT
    assert second.said[-1]["value"] == whole.said[-1]["value"]


def test_only_the_first_of_several_fits_has_checkpoints(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """Killed in the second, the trial goes on from the first, and trains the second again."""

    def twice(hp: Any, model: Any, args: Any, kwargs: dict[str, Any]) -> None:
        for _ in range(2):
            model.fit(*args, shuffle=False, **{**kwargs, "epochs": 3})

    trial = Trial(own(twice), tmp_path / "killed")
    whole = undisturbed(trial)
    assert list(whole.curve) == [1, 2, 3, 4, 5, 6]
    first = trial.attempt(kill_at=5)
    second = trial.attempt()
    check(whole, first, second)
    assert second.began[-3:] == [1, 2, 3]
    assert len(second.began) < 6


def test_a_fit_that_ignores_where_it_should_begin_begins_anew(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """It is noticed before its first batch; nothing that it reports is wrong."""
    import keras

    class Stubborn(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner: Any = network()

        def call(self, x: Any, training: bool = False) -> Any:
            return self.inner(x, training=training)

        def fit(self, *args: Any, **kwargs: Any) -> Any:
            return cast(Any, super()).fit(*args, **{**kwargs, "initial_epoch": 0, "shuffle": False})

    def stubborn(hp: Any) -> Any:
        return compiled(Stubborn(), "adam")

    trial = Trial(stubborn, tmp_path / "killed")
    whole = undisturbed(trial)
    first = trial.attempt(kill_at=KILLED_AT)
    second = trial.attempt()
    assert "its fit begins with epoch 0" in second.notices
    assert second.began[-EPOCHS:] == list(range(1, EPOCHS + 1))
    check(whole, first, second)


def test_a_loop_of_the_users_own_begins_anew(tmp_path: Path) -> None:
    """Nobody knows its state: no checkpoint is made."""

    def loop(hp: Any, report: Any, data: Any) -> None:
        for epoch in (1, 2):
            report(epoch=epoch, val_accuracy=0.5)

    said: list[Message] = []
    settings = Settings(metric="val_accuracy", maximize=True, at_last=False, checkpoints=str(tmp_path))
    for attempt in (1, 2):
        place = place_of_trial(str(tmp_path), 0) if attempt > 1 else ""
        assignment = Assignment(number=0, attempt=attempt, round=0, seed=3, params={}, resume_from=place)
        Training(UserCode.of(loop, DATA, loop=True), assignment, settings, lambda one: said.append(dict(one))).run()
    assert [one["epoch"] for one in said if one["type"] == "report"] == [1, 2, 1, 2]
    shutil.rmtree(tmp_path)
