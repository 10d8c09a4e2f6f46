# pyright: basic
"""Sound models and data of many kinds: nothing is said against them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from .looking import look
from .test_planted import BINARY, CATEGORICAL, GOOD, SPARSE, classes, dense, losses, metrics, one_hot, rows, split
from .test_planted_structures import convolutional, dataset, images, named, subclassed, tokens, two_by_two

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class Sound:
    """A pair that is as it should be."""

    build: Callable[[Any], Any]
    data: Callable[[], Any]
    objective: str = "max val_accuracy"
    fit: dict[str, Any] = field(default_factory=dict[str, Any])


def built(make: Callable[[Any], Any], loss: Any, metrics: Any = ("accuracy",)) -> Callable[[Any], Any]:
    """Return a function that builds and compiles; `make` gets the module `keras`."""

    def build(hp: Any) -> Any:
        del hp
        import keras

        model = make(keras)
        model.compile("adam", loss, metrics=list(metrics))
        return model

    return build


def rescaled(keras: Any) -> Any:
    """Return a network that scales its pixels itself."""
    layers = [keras.Input((8, 8, 3)), keras.layers.RandomFlip(), keras.layers.Rescaling(1 / 255)]
    return keras.Sequential(
        [*layers, keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    )


def preprocessed(keras: Any) -> Any:
    """Return a network on an application that scales by itself."""
    base = keras.applications.MobileNetV3Small((32, 32, 3), include_top=False, weights=None, pooling="avg")
    return keras.Sequential([keras.Input((32, 32, 3)), base, keras.layers.Dense(3, "softmax")])


def preprocessed_by_operations(keras: Any) -> Any:
    """Return a network whose pixels go through a `preprocess_input`."""
    inputs = keras.Input((32, 32, 3))
    x = keras.applications.mobilenet_v2.preprocess_input(inputs)
    x = keras.layers.Conv2D(4, 3)(x)
    return keras.Model(inputs, keras.layers.Dense(3, "softmax")(keras.layers.GlobalAveragePooling2D()(x)))


def normalized(keras: Any) -> Any:
    """Return a network that standardizes its table."""
    table = wide()
    normalization = keras.layers.Normalization()
    normalization.adapt(table)
    return keras.Sequential([keras.Input((4,)), normalization, keras.layers.Dense(1)])


def wide() -> Any:
    """Return a table whose features differ in scale."""
    return (rows(4) * [1, 10, 100, 1000]).astype("float32")


def siamese(keras: Any) -> Any:
    """Return two towers that share their weights."""
    left, right = keras.Input((4,)), keras.Input((4,))
    tower = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(4)])
    distance = keras.layers.Lambda(lambda pair: abs(pair[0] - pair[1]), output_shape=(4,))([tower(left), tower(right)])
    return keras.Model([left, right], keras.layers.Dense(1, "sigmoid")(distance))


def autoencoder(keras: Any) -> Any:
    """Return an autoencoder of values between 0 and 1."""
    return keras.Sequential([keras.Input((16,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(16, "sigmoid")])


def forecaster(keras: Any) -> Any:
    """Return a network over time series."""
    return keras.Sequential([keras.Input((10, 3)), keras.layers.LSTM(4), keras.layers.Dense(2)])


def tagger(keras: Any) -> Any:
    """Return a network that names each step of a sequence."""
    layers = [keras.Input((None,), dtype="int32"), keras.layers.Embedding(50, 4, mask_zero=True)]
    layers.append(keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True)))
    return keras.Sequential([*layers, keras.layers.TimeDistributed(keras.layers.Dense(5, "softmax"))])


def segmenter(keras: Any) -> Any:
    """Return a network that classifies each pixel."""
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, padding="same", activation="relu")]
    return keras.Sequential([*layers, keras.layers.Conv2D(1, 1, activation="sigmoid")])


def unsorted_inputs(keras: Any) -> Any:
    """Return a network whose inputs by name are not in the order of their names."""
    right, left = keras.Input((2,), name="right"), keras.Input((3,), name="left")
    joined = keras.layers.Concatenate()([left, right])
    return keras.Model({"right": right, "left": left}, keras.layers.Dense(1, "sigmoid")(joined))


def from_texts(keras: Any) -> Any:
    """Return a network that takes texts."""
    vectorize = keras.layers.TextVectorization(50, output_sequence_length=4, vocabulary=["good", "bad", "film"])
    layers = [keras.Input((1,), dtype="string"), vectorize, keras.layers.Embedding(50, 4)]
    return keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")])


def unbuilt(keras: Any) -> Any:
    """Return a Sequential without an Input."""
    return keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")])


def own_step(keras: Any) -> Any:
    """Return a model with a training step and a loss of its own."""

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.encode = keras.layers.Dense(2)
            self.decode = keras.layers.Dense(4)

        def call(self, x: Any) -> Any:
            return self.decode(self.encode(x))

        def train_step(self, data: Any) -> Any:
            return super().train_step((data, data))

        def test_step(self, data: Any) -> Any:
            return super().test_step((data, data))

    return Net()


def with_added_loss(keras: Any) -> Any:
    """Return a model whose layer adds the loss, so that `compile` names none."""

    class Penalty(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            self.add_loss(keras.ops.mean(x**2))
            return x

    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), Penalty()])


def custom(y_true: Any, y_pred: Any) -> Any:
    """Weigh errors by a loss of the user's own."""
    import keras

    return keras.ops.mean(keras.ops.power(keras.ops.abs(y_true - y_pred), 1.5), axis=-1)


def masked(y_true: Any, y_pred: Any) -> Any:
    """Return a cross-entropy of logits, of the user's own."""
    import keras

    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


def sequence() -> Any:
    """Return a `PyDataset`."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            return np.random.default_rng(index).normal(size=(16, 4)).astype("float32"), classes(3, 16)

    return Batches()


def endless() -> Iterator[Any]:
    """Yield batches for ever."""
    while True:
        yield rows(4, n=16), classes(3, 16)


def pairs() -> Any:
    """Return data of two inputs."""
    labels = classes(2)[:, None]
    return {"x": [rows(4), rows(4)], "y": labels, "validation_data": ([rows(4), rows(4)], labels)}


def unit(*shape: int) -> Any:
    """Return values between 0 and 1."""
    return np.random.default_rng(3).random((64, *shape)).astype("float32")


def identical(x: Any, other: Any) -> Any:
    """Return data whose inputs are what is to be predicted."""
    return (x, x), (other, other)


def texts() -> Any:
    """Return texts of some words each."""
    return np.array([[f"good film {index}"] for index in range(64)], dtype=object)


def several_labels() -> Any:
    """Return rows of none, one or several labels."""
    return (np.random.default_rng(4).random((64, 3)) > 0.5).astype("float32")


TABLE = {
    "a classifier": Sound(GOOD, lambda: split(rows(4), classes(3))),
    "one-hot labels": Sound(dense(3, "softmax", CATEGORICAL), lambda: split(rows(4), one_hot(3))),
    "label smoothing": Sound(
        dense(3, "softmax", losses("CategoricalCrossentropy", label_smoothing=0.1)), lambda: split(rows(4), one_hot(3))
    ),
    "logits": Sound(
        dense(3, None, losses("SparseCategoricalCrossentropy", from_logits=True)), lambda: split(rows(4), classes(3))
    ),
    "logits of one-hot labels": Sound(
        dense(3, None, losses("CategoricalCrossentropy", from_logits=True)), lambda: split(rows(4), one_hot(3))
    ),
    "binary logits": Sound(
        dense(
            1,
            None,
            losses("BinaryCrossentropy", from_logits=True),
            metrics=[metrics("BinaryAccuracy", threshold=0.0, name="accuracy"), metrics("AUC", from_logits=True)],
        ),
        lambda: split(rows(4), classes(2)),
    ),
    "two classes in one unit": Sound(dense(1, "sigmoid", BINARY), lambda: split(rows(4), classes(2))),
    "two classes in one column": Sound(dense(1, "sigmoid", BINARY), lambda: split(rows(4), classes(2)[:, None])),
    "labels that are booleans": Sound(dense(1, "sigmoid", BINARY), lambda: split(rows(4), classes(2) == 1)),
    "class numbers in one column": Sound(GOOD, lambda: split(rows(4), classes(3)[:, None])),
    "class numbers that are floats": Sound(GOOD, lambda: split(rows(4), classes(3).astype("float32"))),
    "several labels": Sound(
        dense(3, "sigmoid", BINARY, metrics=["binary_accuracy", metrics("AUC", multi_label=True)]),
        lambda: split(rows(4), several_labels()),
        "max val_binary_accuracy",
    ),
    "a regression": Sound(
        dense(1, None, "mse", metrics=["mae"]), lambda: split(rows(4), 300 * rows(1)[:, 0]), "min val_mae"
    ),
    "a regression of three numbers": Sound(
        dense(3, None, losses("Huber"), metrics=["mae"]), lambda: split(rows(4), rows(3)), "min val_loss"
    ),
    "counts": Sound(
        dense(1, "exponential", "poisson", metrics=["mae"]), lambda: split(rows(4), classes(7)), "min val_loss"
    ),
    "an autoencoder": Sound(
        built(autoencoder, "mse", ["mae"]), lambda: identical(unit(16), 1 - unit(16)), "min val_loss"
    ),
    "an autoencoder of pixels under binary cross-entropy": Sound(
        built(autoencoder, BINARY, []), lambda: identical(unit(16), 1 - unit(16)), "min val_loss"
    ),
    "a siamese pair": Sound(built(siamese, BINARY), pairs),
    "a time series": Sound(
        built(forecaster, "mse", ["mae"]),
        lambda: (split(rows(10, 3), rows(2))[0], (rows(10, 3), rows(2))),
        "min val_mae",
    ),
    "named inputs and outputs": Sound(two_by_two(metrics={"kind": ["accuracy"]}), named, "max val_kind_accuracy"),
    "named inputs in any order": Sound(
        built(unsorted_inputs, BINARY),
        lambda: tuple(({"right": rows(2), "left": rows(3)}, classes(2)) for _ in range(2)),
    ),
    "tokens": Sound(tokens(50), lambda: split(np.arange(320).reshape(64, 5) % 50, classes(3))),
    "a label for each step": Sound(
        built(tagger, SPARSE), lambda: split(np.arange(320).reshape(64, 5) % 50, np.arange(320).reshape(64, 5) % 5)
    ),
    "a label for each pixel": Sound(
        built(segmenter, BINARY), lambda: split(images(2), (images(2)[..., :1] > 0).astype("float32"))
    ),
    "texts": Sound(
        built(from_texts, BINARY), lambda: ((texts(), classes(2)), (np.char.add(texts().astype(str), " x"), classes(2)))
    ),
    "bytes that the model scales": Sound(built(rescaled, SPARSE), lambda: split(images().astype("uint8"), classes(3))),
    "bytes for an application that scales": Sound(
        built(preprocessed, SPARSE),
        lambda: split(np.random.default_rng(5).integers(0, 256, (64, 32, 32, 3)).astype("uint8"), classes(3)),
    ),
    "bytes through preprocess_input": Sound(
        built(preprocessed_by_operations, SPARSE),
        lambda: split(np.random.default_rng(5).integers(0, 256, (64, 32, 32, 3)).astype("float32"), classes(3)),
    ),
    "images": Sound(convolutional(), lambda: split(images() / 255, classes(3))),
    "a table that the model standardizes": Sound(
        built(normalized, "mse", ["mae"]), lambda: ((wide(), rows(1)), (wide(), rows(1))), "min val_loss"
    ),
    "a dataset": Sound(GOOD, lambda: (dataset(rows(4), classes(3)), dataset(rows(4), classes(3)))),
    "an endless dataset with steps": Sound(
        GOOD,
        lambda: (dataset(rows(4), classes(3), repeat=True), dataset(rows(4), classes(3))),
        fit={"steps_per_epoch": 4},
    ),
    "a PyDataset": Sound(GOOD, lambda: {"x": sequence(), "validation_data": (rows(4), classes(3))}),
    "a generator with steps": Sound(
        GOOD, lambda: {"x": endless(), "validation_data": (rows(4), classes(3))}, fit={"steps_per_epoch": 4}
    ),
    "sample weights": Sound(GOOD, lambda: {**_with_validation(), "sample_weight": np.ones(64, "float32")}),
    "class weights": Sound(GOOD, lambda: split(rows(4), classes(3)), fit={"class_weight": {0: 1.0, 1: 2.0, 2: 1.0}}),
    "a validation split": Sound(GOOD, lambda: (rows(4), classes(3)), fit={"validation_split": 0.25}),
    "a loss of the user's own": Sound(
        dense(2, None, lambda: custom, metrics=["mae"]), lambda: split(rows(4), rows(2)), "min val_loss"
    ),
    "a loss of logits of the user's own": Sound(dense(3, None, lambda: masked), lambda: split(rows(4), classes(3))),
    "a loss that a layer adds": Sound(
        built(with_added_loss, None, []), lambda: {"x": rows(4), "validation_data": (rows(4), None)}, "min val_loss"
    ),
    "a subclassed model": Sound(subclassed("softmax"), lambda: split(rows(4), classes(3))),
    "a training step of its own": Sound(
        built(own_step, "mse", []), lambda: {"x": rows(4), "validation_data": dataset(rows(4), None)}, "min val_loss"
    ),
    "a Sequential without an Input": Sound(built(unbuilt, SPARSE), lambda: split(rows(4), classes(3))),
    "a label to be left out": Sound(
        dense(3, "softmax", losses("SparseCategoricalCrossentropy", ignore_class=255)),
        lambda: split(rows(4), np.where(classes(8) == 7, 255, classes(3))),
    ),
}


def _with_validation() -> dict[str, Any]:
    return {"x": rows(4), "y": classes(3), "validation_data": (rows(4), classes(3))}


@pytest.mark.parametrize("name", TABLE)
def test_nothing_is_found(name: str) -> None:
    """No error, no warning, not even a note."""
    sound = TABLE[name]
    findings, _ = look(sound.build, sound.data(), sound.objective, **sound.fit)
    assert findings == []
