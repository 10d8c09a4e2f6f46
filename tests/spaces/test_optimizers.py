"""Tests of `kerasweep.spaces.optimizers`."""

from __future__ import annotations

from typing import Any, cast

import pytest

from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.optimizers import COMMON, RECIPES, ema_callbacks, optimizer
from tests.branches import asked, corners, names

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def keras() -> Any:
    """Return Keras, and with it TensorFlow, imported here."""
    return pytest.importorskip("keras")


def made(values: dict[str, Any] | None = None, **arguments: Any) -> Any:
    """Return the optimizer for these values."""
    kept: list[Any] = []
    asked(lambda hp: kept.append(optimizer(hp, **arguments)), values)
    return kept[0]


def a_step(keras: Any, one: Any, gradient: float = 1.0) -> tuple[Any, Any]:
    """Return how one step with this gradient moves a kernel (3, 2) of ones and a bias (2,) of ones."""
    kernel = keras.Variable(keras.ops.ones((3, 2)), name="kernel")
    bias = keras.Variable(keras.ops.ones((2,)), name="bias")
    one.apply([gradient * keras.ops.ones((3, 2)), gradient * keras.ops.ones((2,))], [kernel, bias])
    return kernel.numpy() - 1.0, bias.numpy() - 1.0


# Which there are ------------------------------------------------------------------------------------------------------


def test_there_is_a_recipe_for_every_optimizer_that_keras_ships(keras: Any) -> None:
    """One that a new Keras brings is noticed here; the wrappers of other optimizers are left out on purpose."""
    public = cast(dict[str, Any], vars(keras.optimizers))
    classes = {name: one for name, one in public.items() if isinstance(one, type)}
    shipped = {name for name, one in classes.items() if issubclass(one, keras.optimizers.Optimizer)}
    assert {one.keras for one in RECIPES.values()} == shipped - {"Optimizer", "LossScaleOptimizer", "MultiOptimizer"}


def test_the_common_ones_are_among_them() -> None:
    """The default choice can be made."""
    assert set(COMMON) <= set(RECIPES)


# What they ask --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_an_optimizer_trains_at_its_defaults_and_at_both_ends_of_every_parameter(keras: Any, name: str) -> None:
    """It is built as asked, and one step moves the weights, by a finite amount."""
    import numpy as np

    seen = 0
    for full, value, values in corners(lambda hp: optimizer(hp, [name], steps=100, ema=True)):
        one = made(values, names=[name], steps=100, ema=True)
        own = full.rpartition("/")[2]
        if own not in ("clipping", "warmup_fraction"):
            assert float(getattr(one, own)) == pytest.approx(float(value)), full
        moved, _ = a_step(keras, one)
        assert np.isfinite(moved).all(), (full, value)
        assert np.abs(moved).max() > 0, (full, value)
        seen += 1
    assert seen > 10


@pytest.mark.parametrize("name", RECIPES)
def test_only_the_chosen_optimizers_parameters_are_asked(keras: Any, name: str) -> None:
    """Under the name of the choice; none of the other branches."""
    del keras
    read = names(lambda hp: optimizer(hp, list(RECIPES)), {"optimizer": name})
    assert "optimizer" in read
    assert {one.split("/")[1] for one in read if one.count("/") > 1} == {name}


def test_a_parameter_is_asked_only_where_it_does_something(keras: Any) -> None:
    """Nesterov's without momentum, thresholds of no clipping, a constant rate's adjustment, an unsearched rate."""
    del keras
    plain = names(lambda hp: optimizer(hp, ["sgd"]), {"optimizer/sgd/momentum": 0.0})
    assert plain == {
        f"optimizer/{one}" for one in ("sgd/learning_rate", "sgd/momentum", "sgd/weight_decay", "clipping")
    }
    clipped = names(lambda hp: optimizer(hp, ["adam"]), {"optimizer/clipping": "value"})
    assert {one for one in clipped if "clip" in one} == {"optimizer/clipping", "optimizer/clipvalue"}
    scheduled = names(lambda hp: optimizer(hp, ["adafactor"], schedules=["cosine"], steps=9))
    assert "optimizer/adafactor/relative_step" not in scheduled
    assert "schedule/cosine/final_fraction" in scheduled
    fixed = names(lambda hp: optimizer(hp, ["lamb"], learning_rate=0.1, weight_decay=False, clipping=False))
    assert fixed == {f"optimizer/lamb/{one}" for one in ("beta_1", "beta_2", "epsilon")}
    free = names(lambda hp: optimizer(hp, ["schedule_free_adamw"], schedules=["cosine"], steps=9))
    assert not any(one.startswith("schedule/") for one in free)
    averaged = names(lambda hp: optimizer(hp, ["adam"], ema=True), {"optimizer/use_ema": True})
    assert "optimizer/ema_momentum" in averaged


def test_learning_rates_stand_in_the_order_that_the_papers_give(keras: Any) -> None:
    """Lion's are a tenth of AdamW's, SGD's above Adam's, Adadelta's around 1."""
    del keras
    lion, adamw, sgd, adadelta = (RECIPES[name].rate for name in ("lion", "adamw", "sgd", "adadelta"))
    assert (lion.low, lion.high, lion.default) == pytest.approx((adamw.low / 10, adamw.high / 10, adamw.default / 10))
    assert sgd.default > adamw.default
    assert adadelta.low < adadelta.default == 1.0 < adadelta.high
    assert all(one.rate.low < one.rate.default < one.rate.high for one in RECIPES.values())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"names": ["adamm"]}, "'adamm' is not known (did you mean 'adam"),
        ({"names": []}, "give a list of one or more of sgd"),
        ({"names": "adam"}, "give a list"),
        ({"schedules": ["cosine"]}, "steps=epochs * steps_per_epoch"),
        ({"schedules": ["cosin"], "steps": 5}, "did you mean 'cosine'"),
        ({"steps": 0}, "steps must be a whole number above 0"),
        ({"steps": 1.5}, "steps must be a whole number above 0"),
    ],
)
def test_a_mistake_is_named(keras: Any, arguments: dict[str, Any], said: str) -> None:
    """One line: what was expected, and the nearest valid name."""
    del keras
    with pytest.raises(BadInput) as error:
        made(**arguments)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_schedule_on_top_of_a_schedule_is_refused(keras: Any) -> None:
    """It would have two peaks."""
    given = keras.optimizers.schedules.CosineDecay(0.1, 10)
    with pytest.raises(BadInput, match="schedule already"):
        made(learning_rate=given, schedules=["cosine"], steps=10)
    assert made(names=["sgd"], learning_rate=given).get_config()["learning_rate"]["class_name"] == "CosineDecay"


# What they do ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, one in RECIPES.items() if one.decay and name != "schedule_free_adamw"])
def test_weight_decay_shrinks_kernels_and_leaves_biases(keras: Any, name: str) -> None:
    """With a gradient of 0 nothing else moves a weight: it loses its share, the bias nothing."""
    values = {f"optimizer/{name}/weight_decay": 0.01, f"optimizer/{name}/learning_rate": 0.01}
    kernel, bias = a_step(keras, made(values, names=[name]), gradient=0.0)
    assert kernel == pytest.approx(-1e-4, rel=0.1)
    assert bias == pytest.approx(0.0, abs=1e-7)
    kernel, _ = a_step(keras, made(values, names=[name], weight_decay=False), gradient=0.0)
    assert kernel == pytest.approx(0.0, abs=1e-7)


def test_weight_decay_reaches_averaged_weights_from_the_second_step_on(keras: Any) -> None:
    """The first step of schedule-free AdamW replaces the average, and with it the decay."""
    values = {f"optimizer/schedule_free_adamw/{name}": 0.1 for name in ("weight_decay", "learning_rate")}
    one = made(values, names=["schedule_free_adamw"])
    kernel, bias = (keras.Variable(keras.ops.ones((3, 2)), name=name) for name in ("kernel", "bias"))
    for _ in range(50):
        one.apply([keras.ops.zeros((3, 2)), keras.ops.zeros((3, 2))], [kernel, bias])
    assert 0.6 < kernel.numpy().min() == kernel.numpy().max() < 0.8
    assert bias.numpy() == pytest.approx(1.0)


def test_the_scales_of_every_normalization_are_not_decayed(keras: Any) -> None:
    """In a model as users write it: only kernels and embeddings are."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Embedding(3, 4),
            layers.LSTM(3, return_sequences=True),
            *(layers.BatchNormalization(), layers.LayerNormalization(), layers.RMSNormalization()),
            layers.Conv1D(2, 2),
            *(layers.GroupNormalization(1), layers.Flatten()),
            layers.Dense(2, name="scale"),
        ]
    )
    for variable in model.trainable_variables:
        variable.assign(keras.ops.ones_like(variable))
    one = made({"optimizer/sgd/weight_decay": 0.01}, names=["sgd"], learning_rate=1.0)
    one.apply([keras.ops.zeros_like(variable) for variable in model.trainable_variables], model.trainable_variables)
    shrunk = {variable.path.split("/", 1)[1] for variable in model.trainable_variables if variable.numpy().max() < 1}
    kinds = {path.rpartition("/")[2] for path in shrunk}
    assert kinds == {"embeddings", "kernel", "recurrent_kernel"}
    assert len(shrunk) == 5


@pytest.mark.parametrize(
    ("kind", "argument", "kernel"),
    [
        ("none", None, 5.0),
        ("norm", "clipnorm", 1 / 6**0.5),
        ("global_norm", "global_clipnorm", 1 / 8**0.5),
        ("value", "clipvalue", 1.0),
    ],
)
def test_gradients_are_clipped_as_asked(keras: Any, kind: str, argument: str | None, kernel: float) -> None:
    """A gradient of 5 in 6 weights and 2 biases: each variable's norm, the norm of all, or each value, is held at 1."""
    values: dict[str, Any] = {"optimizer/clipping": kind, "optimizer/sgd/momentum": 0.0}
    values |= {f"optimizer/{argument}": 1.0} if argument else {}
    one = made(values, names=["sgd"], learning_rate=1.0, weight_decay=False)
    moved, _ = a_step(keras, one, gradient=5.0)
    assert moved == pytest.approx(-kernel, rel=1e-5)


def test_a_model_is_validated_on_its_averaged_weights(keras: Any) -> None:
    """With the callback the reported loss is that of the averages, which later callbacks find in the model."""
    import numpy as np

    x: Any = np.linspace(-1, 1, 32, dtype="float32")[:, None]
    values = {"optimizer/use_ema": True, "optimizer/ema_momentum": 0.9}
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(made(values, names=["sgd"], learning_rate=0.1, ema=True), "mse")
    found: list[tuple[float, float]] = []

    class Probe(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            kernel, bias = (one.numpy() for one in cast(Any, self).model.trainable_variables)
            found.append((float(((x @ kernel + bias - 3 * x) ** 2).mean()), logs["val_loss"]))

    callbacks: list[Any] = [*ema_callbacks(model), Probe()]
    model.fit(x, 3 * x, validation_data=(x, 3 * x), epochs=2, batch_size=8, verbose=0, callbacks=callbacks)
    assert len(found) == 2
    assert all(mine == pytest.approx(reported, rel=1e-4) for mine, reported in found)
    model.compile(made(names=["sgd"], ema=True), "mse")
    assert ema_callbacks(model) == []


def test_muon_leaves_the_last_layer_to_adamw(keras: Any) -> None:
    """By the names that last layers usually have."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2, name="output")])
    one = made(names=["muon"])
    one.build(model.trainable_variables)
    assert [velocity is not None for velocity in one.adam_velocities] == [False, True, True, True]


@pytest.mark.parametrize("name", RECIPES)
def test_an_optimizer_survives_saving(keras: Any, name: str) -> None:
    """Its configuration comes back the same, with a schedule of ours inside."""
    values = {"schedule": "one_cycle", "optimizer/clipping": "norm", "optimizer/use_ema": True}
    one = made(values, names=[name], schedules=["cosine", "one_cycle"], steps=50, ema=True)
    back = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(one))
    assert type(back) is type(one)
    assert back.get_config() == one.get_config()
