"""Tests of `kerasweep.spaces.regularization`."""

from __future__ import annotations

from typing import Any

import pytest

from kerasweep.spaces import regularization
from kerasweep.spaces.errors import BadInput
from tests.branches import Block, asked, corners, names

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def keras() -> Any:
    """Return Keras, and with it TensorFlow, imported here."""
    return pytest.importorskip("keras")


def made(block: Block, values: dict[str, Any] | None = None) -> Any:
    """Return what the block makes for these values."""
    kept: list[Any] = []
    asked(lambda hp: kept.append(block(hp)), values)
    return kept[0]


@pytest.mark.parametrize("kind", ["dropout", "gaussian", "spatial"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_dropout_changes_what_is_trained_and_nothing_else(keras: Any, kind: str, rank: int) -> None:
    """At its rate, of its kind: spatial dropout takes whole maps."""
    import numpy as np

    def block(hp: Any) -> Any:
        return regularization.dropout(hp, ["dropout", "gaussian", "spatial"], rank=rank)

    layer = made(block, {"dropout": kind, "dropout/rate": 0.5})
    x = np.ones((8, *[3] * rank, 16), "float32")
    trained = np.asarray(layer(x, training=True))
    assert np.abs(trained - x).max() > 0.1
    assert np.array_equal(np.asarray(layer(x, training=False)), x)
    maps = trained.reshape(8, -1, 16)
    assert bool((maps == maps[:, :1]).all()) is (kind == "spatial")
    assert float(layer.rate) == 0.5


def test_dropout_can_be_none_at_all(keras: Any) -> None:
    """A rate of 0 is on the grid, and the highest is the one given."""
    import numpy as np

    rates = {value: values for _, value, values in corners(lambda hp: regularization.dropout(hp, max_rate=0.3))}
    assert set(rates) == {0.0, 0.3}
    x = np.ones((4, 4), "float32")
    assert np.array_equal(np.asarray(made(regularization.dropout, {"dropout/rate": 0.0})(x, training=True)), x)
    assert names(regularization.dropout) == {"dropout/rate"}


@pytest.mark.parametrize(
    ("kind", "loss"), [("none", None), ("l1", 0.01 * 6), ("l2", 0.02 * 12), ("l1_l2", 0.01 * 6 + 0.02 * 12)]
)
def test_a_regularizer_penalizes_as_asked(keras: Any, kind: str, loss: float | None) -> None:
    """On three weights of 2: the sum of absolute values, of squares, or both; and asks only for what it has."""
    values = {"regularizer": kind, "regularizer/l1": 0.01, "regularizer/l2": 0.02}
    one = made(regularization.regularizer, values)
    assert (one and float(one(keras.ops.full((3,), 2.0)))) == (loss and pytest.approx(loss))
    asked_of = names(regularization.regularizer, {"regularizer": kind}) - {"regularizer"}
    assert asked_of == {f"regularizer/{part}" for part in ("l1", "l2") if part in kind}
    if one:
        back = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(one))
        assert back.get_config() == one.get_config()


@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        ("none", "Identity"),
        ("batch", "BatchNormalization"),
        ("layer", "LayerNormalization"),
        ("rms", "RMSNormalization"),
    ],
)
def test_a_normalization_is_the_layer_asked(keras: Any, kind: str, layer: str) -> None:
    """A new one each time; only batch normalization has a momentum."""
    del keras

    def block(hp: Any) -> Any:
        return regularization.normalization(hp, ["none", "batch", "layer", "rms"])

    values = {"normalization": kind, "normalization/momentum": 0.9}
    one = made(block, values)
    assert type(one).__name__ == layer
    assert made(block, values) is not one
    assert getattr(one, "momentum", 0.9) == 0.9
    assert ("normalization/momentum" in names(block, {"normalization": kind})) is (kind == "batch")


def test_label_smoothing_fits_the_loss(keras: Any) -> None:
    """From none to a fifth."""
    for _, value, values in corners(regularization.label_smoothing):
        one = made(regularization.label_smoothing, values)
        assert one == value
        keras.losses.CategoricalCrossentropy(label_smoothing=one)


def test_early_stopping_ends_a_fit_after_its_patience(keras: Any) -> None:
    """One epoch that sets the mark, then as many as its patience."""
    import numpy as np

    one = made(lambda hp: regularization.early_stopping(hp, "loss"), {"early_stopping/patience": 3})
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile("sgd", "mse")
    x = np.zeros((4, 1), "float32")
    history = model.fit(x, x + 1, epochs=9, verbose=0, callbacks=[one])
    assert len(history.history["loss"]) == 4


MISTAKES: list[tuple[Block, str]] = [
    (lambda hp: regularization.dropout(hp, ["spatial"]), "rank=1, 2 or 3, got 0"),
    (lambda hp: regularization.dropout(hp, max_rate=1.0), "max_rate must lie between 0 and 1"),
    (lambda hp: regularization.dropout(hp, ["spacial"], rank=2), "did you mean 'spatial'"),
    (lambda hp: regularization.regularizer(hp, ["l3"]), "'l3' is not known"),
    (lambda hp: regularization.normalization(hp, ["bach"]), "did you mean 'batch'"),
]


@pytest.mark.parametrize(("block", "said"), MISTAKES)
def test_a_mistake_is_named(keras: Any, block: Block, said: str) -> None:
    """With what was expected."""
    del keras
    with pytest.raises(BadInput) as error:
        made(block)
    assert said in str(error.value)
