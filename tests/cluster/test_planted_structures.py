# pyright: basic
"""Mistakes planted into models of several inputs and outputs, subclassed ones, and datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from .looking import look
from .test_planted import CATEGORICAL, GOOD, SPARSE, classes, dense, one_hot, rows, split

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class Planted:
    """A broken pair, the code of what is to be found, its severity and a word of the message."""

    code: str
    build: Callable[[Any], Any]
    data: Callable[[], Any]
    severity: str = "error"
    word: str = ""
    objective: str = "min val_loss"
    fit: dict[str, Any] = field(default_factory=dict[str, Any])


def two_by_two(loss: Any = None, **compiled: Any) -> Callable[[Any], Any]:
    """Return a function that builds a model of two inputs and two outputs."""

    def build(hp: Any) -> Any:
        del hp
        import keras

        left, right = keras.Input((4,), name="left"), keras.Input((6,), name="right")
        joined = keras.layers.Concatenate()([left, right])
        kind = keras.layers.Dense(3, "softmax", name="kind")(joined)
        amount = keras.layers.Dense(1, name="amount")(joined)
        model = keras.Model({"left": left, "right": right}, {"kind": kind, "amount": amount})
        model.compile("adam", loss=loss or {"kind": SPARSE, "amount": "mse"}, **compiled)
        return model

    return build


def named(x: dict[str, Any] | None = None, y: dict[str, Any] | None = None) -> Any:
    """Return data for two inputs and two outputs, with some of them changed."""
    inputs = {"left": rows(4), "right": rows(6)} if x is None else x
    labels = {"kind": classes(3), "amount": rows(1)} if y is None else y
    return {"x": inputs, "y": labels, "validation_data": (inputs | {"left": rows(4)}, labels)}


def tokens(vocabulary: int, length: int = 5) -> Callable[[Any], Any]:
    """Return a function that builds a classifier of token sequences."""

    def build(hp: Any) -> Any:
        del hp
        import keras

        layers = [keras.Input((length,), dtype="int32"), keras.layers.Embedding(vocabulary, 4, name="words")]
        model = keras.Sequential([*layers, keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(3, "softmax")])
        model.compile("adam", SPARSE, metrics=["accuracy"])
        return model

    return build


def subclassed(activation: str | None, units: int = 3, loss: Any = SPARSE) -> Callable[[Any], Any]:
    """Return a function that builds a model whose layers only its `call` knows."""

    def build(hp: Any) -> Any:
        del hp
        import keras

        class Net(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.last = keras.layers.Dense(units, activation)

            def call(self, x: Any) -> Any:
                return self.last(x)

        model = Net()
        model.compile("adam", loss, metrics=["accuracy"])
        return model

    return build


def convolutional(frozen: bool = False, twice: bool = False) -> Callable[[Any], Any]:
    """Return a function that builds a network over images, by a base model that is a layer of it."""

    def build(hp: Any) -> Any:
        del hp
        import keras

        base = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="first")], name="base")
        layers: list[Any] = [keras.Input((8, 8, 3)), keras.layers.RandomFlip(), base, keras.layers.Flatten()]
        layers.append(keras.layers.Dense(3, "softmax", name="last"))
        model = keras.Sequential([*layers, keras.layers.Softmax()] if twice else layers)
        model.trainable = not frozen
        model.compile("adam", SPARSE, metrics=["accuracy"])
        return model

    return build


def not_compiled(hp: Any) -> Any:
    """Return a model without `compile`."""
    del hp
    import keras

    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])


def without_loss(hp: Any) -> Any:
    """Return a model compiled without a loss."""
    model = not_compiled(hp)
    model.compile("adam")
    return model


def dataset(x: Any, y: Any, batch: int | None = 16, repeat: bool = False) -> Any:
    """Return a `tf.data.Dataset`."""
    import tensorflow

    made = tensorflow.data.Dataset.from_tensor_slices((x, y) if y is not None else x)
    made = made.repeat() if repeat else made
    return made if batch is None else made.batch(batch)


def finite(count: int = 3) -> Iterator[Any]:
    """Yield a few batches."""
    for _ in range(count):
        yield rows(4, n=16), classes(3, 16)


def images(high: int = 256) -> Any:
    """Return images of whole numbers."""
    return np.random.default_rng(1).integers(0, high, (64, 8, 8, 3)).astype("float32")


TABLE = {
    "an input of another name": Planted(
        "input-names", two_by_two(), lambda: named({"left": rows(4), "rigt": rows(6)}), word="did you mean 'rigt'"
    ),
    "labels of another name": Planted(
        "label-names", two_by_two(), lambda: named(y={"knd": classes(3), "amount": rows(1)}), word="did you mean 'knd'"
    ),
    "a loss for an output that is not there": Planted(
        "output-names", two_by_two({"kind": SPARSE, "amont": "mse"}), named, word="did you mean 'amount'"
    ),
    "an output without a loss": Planted(
        "output-without-loss", two_by_two({"kind": SPARSE}), named, "warning", "amount"
    ),
    "metrics of an output that is not there": Planted(
        "output-names", two_by_two(metrics={"kinds": ["accuracy"]}), named, word="metrics names 'kinds'"
    ),
    "one of two labels out of range": Planted(
        "labels-out-of-range", two_by_two(), lambda: named(y={"kind": classes(4), "amount": rows(1)}), word="y['kind']"
    ),
    "one of two inputs of another shape": Planted(
        "input-shape", two_by_two(), lambda: named({"left": rows(4), "right": rows(5)}), word="x['right']"
    ),
    "one array for two inputs": Planted(
        "input-count", two_by_two(), lambda: split(rows(4), classes(3)), word="2 inputs"
    ),
    "tokens beyond the vocabulary": Planted(
        "tokens-out-of-range", tokens(50), lambda: split(np.full((64, 5), 50), classes(3)), word="input_dim of 51"
    ),
    "tokens below nought": Planted(
        "tokens-out-of-range", tokens(50), lambda: split(np.full((64, 5), -1), classes(3)), word="none below 0"
    ),
    "tokens that were scaled": Planted(
        "tokens-not-whole", tokens(50), lambda: split(rows(5), classes(3)), word="fractions"
    ),
    "a subclassed model without softmax": Planted(
        "loss-wants-probabilities", subclassed(None), lambda: split(20 * rows(4), classes(3)), word="first batch"
    ),
    "a subclassed model of too few units": Planted(
        "labels-out-of-range", subclassed("softmax"), lambda: split(rows(4), classes(5)), word="has 3 units"
    ),
    "a subclassed model and one-hot labels": Planted(
        "one-hot-under-sparse", subclassed("softmax"), lambda: split(rows(4), one_hot(3)), word=CATEGORICAL
    ),
    "pixels into a model inside": Planted(
        "inputs-not-scaled", convolutional(), lambda: split(images(), classes(3)), "warning", "0 to 255"
    ),
    "softmax of a softmax": Planted(
        "softmax-twice", convolutional(twice=True), lambda: split(images(2), classes(3)), "warning", "flattens"
    ),
    "nothing to train": Planted(
        "nothing-trainable", convolutional(frozen=True), lambda: split(images(2), classes(3)), word="trainable"
    ),
    "no compile": Planted("not-compiled", not_compiled, lambda: split(rows(4), classes(3)), word="model.compile("),
    "no loss": Planted("no-loss", without_loss, lambda: split(rows(4), classes(3)), word="loss="),
    "a dataset of single samples": Planted(
        "dataset-not-batched",
        GOOD,
        lambda: (dataset(rows(4), classes(3), None), dataset(rows(4), classes(3))),
        word=".batch(32)",
    ),
    "a dataset of single images": Planted(
        "dataset-not-batched",
        dense(3, "softmax", CATEGORICAL, (4, 2)),
        lambda: (dataset(rows(4, 2), one_hot(3), None), dataset(rows(4, 2), one_hot(3))),
        word="(4, 2)",
    ),
    "a dataset that never ends": Planted(
        "dataset-endless",
        GOOD,
        lambda: (dataset(rows(4), classes(3), repeat=True), dataset(rows(4), classes(3))),
        word="steps_per_epoch",
    ),
    "a dataset without labels": Planted("no-labels", GOOD, lambda: dataset(rows(4), None), objective="min loss"),
    "a dataset and validation_split": Planted(
        "split-without-arrays",
        GOOD,
        lambda: dataset(rows(4), classes(3)),
        word="arrays only",
        fit={"validation_split": 0.2},
    ),
    "a dataset and a batch size": Planted(
        "batch-size-ignored",
        GOOD,
        lambda: (dataset(rows(4), classes(3)), dataset(rows(4), classes(3))),
        "warning",
        "ignores it",
        fit={"batch_size": 32},
    ),
    "a dataset with NaN": Planted(
        "inputs-not-finite",
        GOOD,
        lambda: (dataset(rows(4) * np.nan, classes(3)), dataset(rows(4), classes(3))),
        word="NaN",
    ),
    "a dataset that fails": Planted(
        "data-fails",
        GOOD,
        lambda: (dataset(rows(4), classes(3)).map(_failing), dataset(rows(4), classes(3))),
        word="first batch of the training data",
    ),
    "a generator without steps": Planted(
        "generator-without-steps", GOOD, lambda: {"x": finite()}, word="PyDataset", objective="min loss"
    ),
    "a generator of labels out of range": Planted(
        "labels-out-of-range",
        dense(2, "softmax", SPARSE),
        lambda: {"x": finite()},
        word="from 0 to 2",
        objective="min loss",
        fit={"steps_per_epoch": 3},
    ),
}


def _failing(x: Any, y: Any) -> Any:
    import tensorflow

    tensorflow.debugging.assert_less(x, -100.0)
    return x, y


@pytest.mark.parametrize("name", TABLE)
def test_it_is_found(name: str) -> None:
    """With its code, how bad it is, and a message that says what to do."""
    planted = TABLE[name]
    findings, _ = look(planted.build, planted.data(), planted.objective, **planted.fit)
    found = {one.code: one for one in findings}
    assert planted.code in found, findings
    one = found[planted.code]
    assert (one.severity, planted.word in one.message) == (planted.severity, True), one
    assert one.where
    if planted.severity != "error":
        assert not [one for one in findings if one.severity == "error"]
