"""Tests of `kerasweep.cluster.hypermodel`: models written for KerasTuner, trained as a trial trains them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from kerasweep.cluster.hypermodel import FitResult, UserModel, callbacks_for, fit_result
from kerasweep.cluster.settings import Settings
from kerasweep.cluster.training import Training
from kerasweep.cluster.user_code import UserCode
from kerasweep.spaces.hp import declared_by, hyperparameters_class
from kerasweep.spaces.known import Declared, Known
from kerasweep.spaces.parameter import Parameter, parameter_from_json
from kerasweep.spaces.trial import Assignment, Scalar

pytestmark = pytest.mark.real

keras_tuner: Any = pytest.importorskip("keras_tuner")
keras: Any = pytest.importorskip("keras")
np: Any = pytest.importorskip("numpy")


@dataclass
class Trial:
    """What a trial said, over all its rounds."""

    rounds: int = 0
    messages: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    @property
    def end(self) -> Mapping[str, Any]:
        """How it ended."""
        return self.messages[-1]

    @property
    def params(self) -> Mapping[str, Scalar]:
        """What was recorded as used."""
        return [one for one in self.messages if one["type"] == "used"][-1]["params"]

    def curve(self, metric: str) -> list[float]:
        """A metric by epoch, where it was reported."""
        reports = [one["metrics"] for one in self.messages if one["type"] == "report"]
        return [metrics[metric] for metrics in reports if metric in metrics]


Draw = Callable[[Parameter], Scalar]


def train(
    model: Any,
    data: Any = None,
    *,
    objective: str = "max val_accuracy",
    fit: Mapping[str, Any] | None = None,
    draw: Draw | None = None,
    declared: tuple[Declared, ...] = (),
    undeclared: str = "search",
) -> Trial:
    """Run one trial with as many rounds as it takes; `draw` decides, else every parameter has its default."""
    direction, metric = objective.split()
    settings = Settings(
        metric=metric,
        maximize=direction == "max",
        at_last=False,
        fit=fit or {},
        declared=tuple(one.to_json() for one in declared),
        undeclared=undeclared,
    )
    code, trial = UserCode.of(model, data), Trial()
    space, params = Known.of(declared), dict[str, Scalar]()

    def value(key: str, parameter: Parameter) -> Scalar:
        del key
        return parameter.initial if draw is None else draw(parameter)

    params = space.walk(value)
    while trial.rounds < 12:
        trial.messages.clear()
        assignment = Assignment(number=0, attempt=1, round=trial.rounds, seed=3, params=params)
        Training(code, assignment, settings, trial.messages.append).run()
        if trial.end["type"] != "needs":
            return trial
        trial.rounds += 1
        space = space.learn(map(parameter_from_json, trial.end["specs"]))
        params = space.walk(value, pinned=params)
    pytest.fail(f"no end of rounds: {trial.end}")


def by_name(**values: Scalar) -> Draw:
    """Return a draw with these values, and defaults for the rest."""
    return lambda parameter: values.get(parameter.name, parameter.initial)


def table(samples: int = 8, features: int = 4) -> dict[str, Any]:
    """Return a small classification as arguments of `fit`."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(samples, features)).astype("float32")
    y = (x[:, 0] > 0).astype("int32")
    return {"x": x, "y": y, "validation_data": (x, y)}


def classifier(*hidden: Any, units: int = 2) -> Any:
    """Return a compiled model."""
    model = keras.Sequential([*hidden, keras.layers.Dense(units, activation="softmax")])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model


def layered(hp: Any) -> Any:
    """Build as the guides do: a loop over layers, a choice of branches, a rate that only one branch has."""
    hidden: list[Any] = []
    for index in range(hp.Int("layers", 1, 3)):
        hidden.append(keras.layers.Dense(hp.Int(f"units_{index}", 4, 16, step=4), activation="relu"))
    if hp.Boolean("dropout"):
        hidden.append(keras.layers.Dropout(hp.Float("rate", 0.1, 0.5, step=0.1)))
    return classifier(*hidden)


class Layered(keras_tuner.HyperModel):
    """The same as a class."""

    def build(self, hp: Any) -> Any:
        """Build."""
        return layered(hp)


class Bare(keras_tuner.HyperModel):
    """A class that leaves out `super().__init__()`, as many do."""

    def __init__(self) -> None:
        """Keep nothing of the base's."""

    def build(self, hp: Any) -> Any:
        """Build."""
        return layered(hp)


class Plain:
    """No HyperModel at all, but with a `build`."""

    def build(self, hp: Any) -> Any:
        """Build."""
        return layered(hp)


# Ways to write a model --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [layered, Layered, Layered(), Bare, Bare(), Plain, Plain()])
def test_a_model_may_be_written_in_several_ways(model: Any) -> None:
    """A function, a class and an instance read the same parameters and train."""
    trial = train(model, table(), draw=by_name(layers=2, dropout=True, units_1=12))
    assert trial.end["kind"] == "completed", trial.end
    assert trial.params == {"layers": 2, "units_0": 4, "units_1": 12, "dropout": True, "rate": 0.1}
    assert len(trial.curve("val_accuracy")) == 1


def test_a_class_that_needs_arguments_says_so() -> None:
    """The mend is to give an instance."""

    class Sized(keras_tuner.HyperModel):
        def __init__(self, size: int) -> None:
            super().__init__()

    with pytest.raises(TypeError, match=r"class Sized cannot be made without arguments: .*'size'; give an instance"):
        UserModel(Sized)


@pytest.mark.parametrize("model", [3, "model.py", None])
def test_what_is_no_model_is_refused(model: Any) -> None:
    """Neither a number nor a path builds anything."""
    with pytest.raises(TypeError, match="must be a function build"):
        UserModel(model)


def test_a_built_model_is_refused() -> None:
    """A Keras model has a `build` too, of another kind."""
    with pytest.raises(TypeError, match=r"must be a function build.*got Sequential"):
        UserModel(keras.Sequential([keras.layers.Dense(1)]))


@pytest.mark.parametrize(("result", "what"), [(None, "nothing"), ({}, "dict")])
def test_a_build_that_returns_no_model_fails(result: Any, what: str) -> None:
    """As a forgotten `return` does."""

    def build(hp: Any) -> Any:
        del hp
        return result

    trial = train(build, table())
    assert trial.end["kind"] == "error"
    assert f"must return a compiled Keras model, it returned {what}" in trial.end["reason"]


def test_declared_hyperparameters_are_recorded_where_they_are_read() -> None:
    """`declare_hyperparameters` makes a parameter known to `hp.get`; one that nobody reads is not recorded."""

    class Declares(keras_tuner.HyperModel):
        def declare_hyperparameters(self, hp: Any) -> None:
            hp.Int("units", 4, 16, default=8)
            hp.Boolean("unread")

        def build(self, hp: Any) -> Any:
            return classifier(keras.layers.Dense(hp.get("units")))

    trial = train(Declares, table(), draw=by_name(units=12))
    assert trial.params == {"units": 12}
    assert trial.rounds == 1


def test_a_hypermodel_that_is_not_tunable_has_its_defaults() -> None:
    """Its parameters are neither searched nor recorded; one that was supplied beforehand holds."""

    class Inner(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            assert (hp.Int("width", 4, 16, default=8), hp.Int("depth", 1, 3)) == (12, 1)
            return keras.layers.Dense(hp.get("width"))

    def build(hp: Any) -> Any:
        with hp.name_scope("inner"):
            hp.Int("width", 4, 16, default=8)
            layer = Inner(tunable=False).build(hp)
        return classifier(layer, keras.layers.Dense(hp.Int("units", 4, 8)))

    trial = train(build, table(), draw=by_name(**{"inner/width": 12, "units": 5}))
    assert trial.params == {"inner/width": 12, "units": 5}


# Late binding ---------------------------------------------------------------------------------------------------------


def test_a_space_of_three_levels_is_found_in_as_many_rounds() -> None:
    """A new branch costs at most a round for each level; what other branches have is not recorded."""

    def build(hp: Any) -> Any:
        hidden: list[Any] = []
        if hp.Choice("kind", ["flat", "deep"]) == "deep":
            for index in range(hp.Int("depth", 1, 2)):
                if hp.Boolean(f"norm_{index}"):
                    hidden.append(keras.layers.BatchNormalization(momentum=hp.Float(f"momentum_{index}", 0.8, 0.99)))
                hidden.append(keras.layers.Dense(hp.Int(f"units_{index}", 4, 8)))
        return classifier(*hidden)

    flat = train(build, table())
    assert (flat.rounds, flat.params) == (1, {"kind": "flat"})
    deep = train(build, table(), draw=by_name(kind="deep", depth=2, norm_0=True, norm_1=True))
    assert set(deep.params) == {"kind", "depth", "norm_0", "norm_1", "momentum_0", "momentum_1", "units_0", "units_1"}
    assert deep.rounds <= 4


def test_scopes_record_exactly_what_is_active() -> None:
    """In a conditional scope that does not hold nothing is recorded, whatever the order of branches."""

    def build(hp: Any) -> Any:
        kind = hp.Choice("kind", ["narrow", "wide"])
        with hp.conditional_scope("kind", ["narrow"]):
            narrow = hp.Int("units", 2, 4)
        with hp.conditional_scope("kind", ["wide"]):
            wide = hp.Int("units", 16, 32)
            with hp.name_scope("wide"), hp.name_scope("more"):
                hp.Float("rate", 0.1, 0.2)
        assert (narrow is None) == (kind == "wide")
        return classifier(keras.layers.Dense(narrow or wide))

    assert train(build, table()).params == {"kind": "narrow", "units": 2}
    wide = train(build, table(), draw=by_name(kind="wide"))
    assert wide.params == {"kind": "wide", "units": 16, "wide/more/rate": 0.1}


def test_values_that_the_code_sets_decide_and_are_recorded() -> None:
    """`hp.values[…] = …` pins a parent; its children are found all the same, and rounds come to an end."""

    def build(hp: Any) -> Any:
        hp.values["kind"] = "wide"
        hp.Choice("kind", ["narrow", "wide"])
        with hp.conditional_scope("kind", ["wide"]):
            units = hp.Int("units", 16, 32)
        hp.values["half"] = units // 2
        return classifier(keras.layers.Dense(hp.get("half")))

    trial = train(build, table(), draw=by_name(units=20))
    assert trial.params == {"kind": "wide", "units": 20, "half": 10}
    assert trial.rounds == 1


def test_an_error_on_the_default_path_is_a_round_not_a_failure() -> None:
    """The values that are then drawn may be good ones."""

    def build(hp: Any) -> Any:
        if hp.Int("units", 0, 8) == 0:
            raise keras_tuner.errors.FailedTrialError("no units")
        return classifier(keras.layers.Dense(hp.get("units")))

    assert train(build, table(), draw=by_name(units=4)).end["kind"] == "completed"
    failed = train(build, table(), draw=by_name(units=0))
    assert (failed.end["kind"], failed.rounds) == ("failed", 1)


def test_a_miss_that_fit_swallows_is_a_round_still() -> None:
    """Not even a bare `except` trains an epoch with a default."""

    class Careless(Layered):
        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                batch = hp.Int("batch", 4, 8)
            except BaseException:
                batch = 4
            return model.fit(*args, batch_size=batch, **kwargs)

    trial = train(Careless, table(), draw=by_name(batch=6))
    assert trial.end["kind"] == "completed"
    assert trial.params["batch"] == 6
    assert len(trial.curve("loss")) == 1


# fit ------------------------------------------------------------------------------------------------------------------


class Shuffles(Layered):
    """Tunes how it trains, as the guide does."""

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Fit."""
        return model.fit(*args, shuffle=hp.Boolean("shuffle"), batch_size=hp.Choice("batch", [4, 8]), **kwargs)


class Crops(keras_tuner.HyperModel):
    """Reads in `fit` what `build` defined, and takes data by name."""

    def build(self, hp: Any) -> Any:
        """Build."""
        size = hp.Int("size", 2, 4)
        return classifier(keras.Input((size,)), keras.layers.Dense(4))

    def fit(self, hp: Any, model: Any, x: Any, y: Any, validation_data: Any = None, **kwargs: Any) -> Any:
        """Fit."""
        size = hp.get("size")
        if hp.Boolean("normalize"):
            x = keras.layers.Normalization()(x)
        x_val, y_val = validation_data
        return model.fit(x[:, :size], y, validation_data=(x_val[:, :size], y_val), **kwargs)


def test_fit_may_have_hyperparameters_of_its_own() -> None:
    """They are found as `fit` meets them, and recorded with those of `build`."""
    trial = train(Shuffles, table(), draw=by_name(batch=8, shuffle=True), fit={"epochs": 2})
    assert trial.end["kind"] == "completed", trial.end
    assert {"shuffle": True, "batch": 8}.items() <= trial.params.items()
    assert len(trial.curve("val_accuracy")) == 2
    assert trial.rounds == 3


def test_fit_reads_what_build_defined() -> None:
    """With `hp.get`, and the data under their names."""
    trial = train(Crops, table(), draw=by_name(size=3, normalize=True))
    assert trial.end["kind"] == "completed", trial.end
    assert trial.params == {"size": 3, "normalize": True}


def test_what_fit_sets_itself_stands_above_the_sweeps() -> None:
    """An `epochs` of its own is no conflict with that of the sweep file, nor is `verbose`."""

    class Own(Layered):
        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            return model.fit(*args, epochs=hp.Int("epochs", 2, 3), verbose=0, **kwargs)

    trial = train(Own, table(), fit={"epochs": 7, "verbose": 1})
    assert trial.end["kind"] == "completed", trial.end
    assert len(trial.curve("loss")) == 2


def test_a_fit_without_room_for_the_sweeps_arguments_goes_without() -> None:
    """`fit(self, hp, model, x, y)` need not take callbacks; a History that it returns is reported."""

    class Short(Layered):
        def fit(self, hp: Any, model: Any, x: Any, y: Any, validation_data: Any) -> Any:
            return model.fit(x, y, validation_data=validation_data, epochs=2, verbose=0)

    trial = train(Short, table(), fit={"epochs": 1})
    assert trial.end["kind"] == "completed", trial.end
    assert len(trial.curve("val_accuracy")) == 2


def test_a_fit_may_have_data_of_names_of_its_own() -> None:
    """As KerasTuner's guide on training loops says; a name that neither it nor Keras's knows is refused."""

    class Own(Layered):
        def fit(self, hp: Any, model: Any, windows: Any, rate: float = 0.0, **rest: Any) -> float:
            return float(len(windows)) + rate

    class Strict(Layered):
        def fit(self, hp: Any, model: Any, x: Any, y: Any, validation_data: Any) -> float:
            return 1.0

    assert train(Own, {"windows": [1, 2, 3], "rate": 0.5}).end["value"] == 3.5
    end = train(Strict, {**table(), "windows": [1]}).end
    assert "no argument of fit" in end["reason"]


class Returns(Layered):
    """Trains, and returns what it is told."""

    def __init__(self, result: Callable[[Any], Any], *, reports: bool = True) -> None:
        """Keep the result."""
        super().__init__()
        self.result, self.reports = result, reports

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Fit."""
        if not self.reports:
            kwargs.pop("callbacks")
        return self.result(model.fit(*args, **kwargs))


RESULTS: list[tuple[Any, float]] = [
    (0.25, 0.25),
    (1, 1.0),
    (np.float32(0.5), 0.5),
    ({"score": 0.75, "other": 2.0}, 0.75),
    ([0.25, 0.75], 0.5),
    ([{"score": 0.25}, {"score": 0.5}], 0.375),
]


@pytest.mark.parametrize(("result", "value"), RESULTS)
@pytest.mark.parametrize("reports", [True, False])
def test_what_fit_returns_is_the_value(result: Any, value: float, reports: bool) -> None:
    """A number, a dict or a mean over several, whether or not the epochs were reported."""
    trial = train(Returns(lambda _: result, reports=reports), table(), objective="min score")
    assert (trial.end["kind"], trial.end["value"]) == ("completed", value)
    assert trial.curve("score") == [value]
    assert len(trial.curve("loss")) == reports
    assert all(one["awaits_result"] for one in trial.messages if one["type"] == "report")


def test_a_history_is_read_by_its_epochs() -> None:
    """Alone it stands for its epochs; in a list its best epoch counts, and the mean of them is the value."""
    trial = train(Returns(lambda history: history, reports=False), table(), fit={"epochs": 3})
    assert len(trial.curve("val_accuracy")) == 3
    assert trial.end["value"] is None
    both = train(Returns(lambda history: [history, history]), table(), objective="min val_loss", fit={"epochs": 3})
    assert both.end["value"] == min(both.curve("val_loss"))


def test_a_text_is_no_result() -> None:
    """The message says what would be one."""
    trial = train(Returns(lambda history: "good"), table())
    assert trial.end["kind"] == "error"
    assert "fit must return a History, a number, a dict of metrics or a list of these, got str" in trial.end["reason"]


def test_results_are_read_as_keras_tuner_reads_them() -> None:
    """For every kind of result, KerasTuner's own conversion gives the same metrics."""
    from keras_tuner.src.engine import tuner_utils

    history = keras.callbacks.History()
    history.history = {"loss": [3.0, 1.0, 2.0], "val_loss": [4.0, 2.0, 5.0]}
    for direction in ("min", "max"):
        goal = keras_tuner.Objective("val_loss", direction)
        for returned in (0.5, {"val_loss": 0.5, "mae": 1.0}, [0.1, 0.2], [history], [history, {"val_loss": 1.0}]):
            theirs = tuner_utils.convert_to_metrics_dict(returned, goal)
            ours = fit_result(returned, "val_loss", goal.better_than)
            assert ours.final == pytest.approx(theirs)
            assert ours.value == pytest.approx(theirs["val_loss"])
    assert fit_result(None, "val_loss", goal.better_than) == FitResult()


class Loop(keras_tuner.HyperModel):
    """A training loop of its own in `fit`, which calls the callbacks by hand, as the guide does."""

    def build(self, hp: Any) -> Any:
        """Return a model that is not compiled."""
        inputs = keras.Input((4,))
        return keras.Model(inputs, keras.layers.Dense(hp.Choice("units", [2, 3]))(inputs))

    def fit(
        self, hp: Any, model: Any, x: Any, y: Any, validation_data: Any, callbacks: Any = None, **kwargs: Any
    ) -> Any:
        """Train by hand."""
        import tensorflow

        tf: Any = tensorflow
        optimizer = keras.optimizers.Adam(hp.Float("rate", 1e-4, 1e-2, sampling="log", default=1e-3))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        for callback in callbacks:
            callback.model = model
        best = math.inf
        for epoch in range(2):
            with tf.GradientTape() as tape:
                value = loss(y, model(x))
            gradients = tape.gradient(value, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"my_metric": float(value)})
            best = min(best, float(value))
        return best


def test_a_training_loop_in_fit_calls_the_callbacks_by_hand() -> None:
    """Its epochs are reported, and what it returns is the value."""
    trial = train(Loop, table(), objective="min my_metric")
    assert trial.end["kind"] == "completed", trial.end
    assert trial.curve("my_metric")[1] == trial.end["value"]
    assert trial.params == {"units": 2, "rate": 1e-3}


# Presets --------------------------------------------------------------------------------------------------------------


def test_presets_stand_in_the_place_of_the_codes_parameters() -> None:
    """Of another range, of another kind, or fixed; what else the code names keeps its default if it is told to."""
    hp = keras_tuner.HyperParameters()
    hp.Choice("units_0", [5, 6])
    hp.Fixed("layers", 1)
    trial = train(layered, table(), declared=declared_by(hp), undeclared="default", draw=by_name(units_0=6))
    assert trial.params == {"layers": 1, "units_0": 6, "dropout": False}
    assert trial.rounds == 0
    searched = train(layered, table(), declared=declared_by(hp), draw=by_name(units_0=6, dropout=True))
    assert searched.params == {"layers": 1, "units_0": 6, "dropout": True, "rate": 0.1}


def test_presets_reach_a_model_that_only_gets() -> None:
    """A static space: the code names no ranges at all."""
    hp = keras_tuner.HyperParameters()
    hp.Int("units", 4, 8)
    hp.Boolean("bias", default=True)

    def build(hp: Any) -> Any:
        assert "units" in hp
        return classifier(keras.layers.Dense(hp.values["units"]))

    trial = train(build, table(), declared=declared_by(hp), undeclared="refuse", draw=by_name(units=7))
    assert (trial.rounds, trial.params) == (0, {"units": 7})


def test_undeclared_parameters_may_be_refused() -> None:
    """KerasTuner's `allow_new_entries=False`."""
    hp = keras_tuner.HyperParameters()
    hp.Int("layer", 1, 2)
    trial = train(layered, table(), declared=declared_by(hp), undeclared="refuse")
    assert trial.end["kind"] == "error"
    assert "reads 'layers', which the sweep does not declare (did you mean 'layer'?)" in trial.end["reason"]


# Callbacks ------------------------------------------------------------------------------------------------------------


def test_no_two_trials_share_a_callback() -> None:
    """Given ones are copied, a function makes them anew, also one that asks for `hp`."""
    hp = hyperparameters_class()()
    given = keras.callbacks.EarlyStopping(patience=3)
    copied = callbacks_for([given], hp)[0]
    assert copied is not given
    assert copied.patience == 3
    assert callbacks_for(given, hp)[0] is not given
    assert callbacks_for(None, hp) == []
    made = [callbacks_for(lambda: [keras.callbacks.EarlyStopping()], hp)[0] for _ in range(2)]
    assert made[0] is not made[1]

    def patience(hp: Any) -> Any:
        return keras.callbacks.EarlyStopping(patience=hp.Int("patience", 2, 5))

    patient = callbacks_for(patience, hp)
    assert patient[0].patience == 2


def test_a_trial_has_a_folder_of_its_own_in_tensorboards() -> None:
    """Its number, whether the callback was given or made; what is given stays as it is."""
    given = keras.callbacks.TensorBoard("logs")
    assert callbacks_for([given], None, 7)[0].log_dir == "logs/0007"
    assert callbacks_for(lambda: [keras.callbacks.TensorBoard("logs")], None, 8)[0].log_dir == "logs/0008"
    assert given.log_dir == "logs"


def test_callbacks_that_cannot_be_copied_say_what_to_do() -> None:
    """A lock, a file or a connection cannot be."""

    class Locked(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.lines = (line for line in "ab")

    with pytest.raises(TypeError, match=r"cannot be copied for a trial .*give a function"):
        callbacks_for([Locked()], None)


def test_callbacks_may_be_searched() -> None:
    """A factory of `hp` finds its parameters before `fit` begins."""

    def callbacks(hp: Any) -> list[Any]:
        return [keras.callbacks.EarlyStopping("loss", hp.Int("patience", 1, 5))]

    trial = train(layered, {**table(), "callbacks": callbacks}, draw=by_name(patience=4))
    assert trial.end["kind"] == "completed", trial.end
    assert trial.params["patience"] == 4


# Applications ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HyperXception", "HyperResNet"])
def test_the_applications_build(name: str) -> None:
    """Every parameter of theirs is found, and inactive ones are not recorded."""
    from kerasweep.spaces.trace import Trace

    application = getattr(keras_tuner.applications, name)(input_shape=(32, 32, 3), classes=2)
    model, trace = UserModel(application), Trace(assigned={})
    built = model.build(hyperparameters_class()(trace))
    assert built.output_shape == (None, 2)
    assert {"learning_rate", "pooling"} <= set(trace.params)
    assert trace.misses.keys() == trace.used.keys()


def test_augmentation_trains() -> None:
    """`HyperImageAugment` asks for a factor per transform; as layers of a model it takes part in a trial."""

    def build(hp: Any) -> Any:
        augment = keras_tuner.applications.HyperImageAugment(input_shape=(8, 8, 3), rotate=0.2, augment_layers=0)
        return classifier(augment.build(hp), keras.layers.Flatten())

    x = np.random.default_rng(0).random((8, 8, 8, 3)).astype("float32")
    y = np.arange(8) % 2
    trial = train(build, {"x": x, "y": y, "validation_data": (x, y)})
    assert trial.end["kind"] == "completed", trial.end
    assert any("factor_rotate" in name for name in trial.params)
