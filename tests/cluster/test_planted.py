"""Mistakes planted into models and their data: each is found, named and placed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from .looking import look

pytestmark = pytest.mark.real
RANDOM = np.random.default_rng(0)
N = 64


def rows(*shape: int, n: int = N) -> Any:
    """Return inputs of unit variance."""
    return RANDOM.normal(size=(n, *shape)).astype("float32")


def classes(count: int, n: int = N) -> Any:
    """Return class numbers, each class as often as any other."""
    return np.arange(n) % count


def one_hot(count: int, n: int = N) -> Any:
    """Return one-hot rows."""
    return np.eye(count, dtype="float32")[classes(count, n)]


def split(x: Any, y: Any) -> Any:
    """Return training and validation data with other rows, but the same labels."""
    other = np.roll(x, 1, axis=1) if x.ndim > 1 else x[::-1]
    return (x, y), (other, y)


def dense(units: int, activation: str | None, loss: Any, inputs: tuple[int, ...] = (4,), **compiled: Any) -> Any:
    """Return a function that builds a network with one hidden layer."""

    def build(hp: Any) -> Any:
        del hp
        import keras

        layers: list[Any] = [keras.Input(inputs), keras.layers.Flatten(), keras.layers.Dense(8, "relu")]
        model = keras.Sequential([*layers, keras.layers.Dense(units, activation, name="last")])
        model.compile(
            optimizer="adam",
            loss=loss() if callable(loss) else loss,
            metrics=[one() if callable(one) else one for one in compiled.get("metrics", ["accuracy"])],
        )
        return model

    return build


def losses(name: str, /, **options: Any) -> Callable[[], Any]:
    """Return a function that makes a loss of Keras's."""
    return lambda: getattr(__import__("keras").losses, name)(**options)


def metrics(name: str, /, **options: Any) -> Callable[[], Any]:
    """Return a function that makes a metric of Keras's."""
    return lambda: getattr(__import__("keras").metrics, name)(**options)


@dataclass(frozen=True)
class Planted:
    """A broken pair, the code of what is to be found, its severity and a word of the message."""

    code: str
    build: Callable[[Any], Any]
    data: Any
    severity: str = "error"
    word: str = ""
    objective: str = "max val_accuracy"
    fit: dict[str, Any] = field(default_factory=dict[str, Any])


SPARSE = "sparse_categorical_crossentropy"
CATEGORICAL = "categorical_crossentropy"
BINARY = "binary_crossentropy"
GOOD = dense(3, "softmax", SPARSE)


def with_value(value: float) -> Any:
    """Return inputs with one value that is no number."""
    x = rows(4)
    x[5, 2] = value
    return x


def object_rows() -> Any:
    """Return rows of unequal lengths."""
    x = np.empty(N, dtype=object)
    for index in range(N):
        x[index] = np.ones(1 + index % 3)
    return x


def sorted_labels() -> Any:
    """Return labels in the order of their classes."""
    return np.sort(classes(3))


def unbalanced() -> Any:
    """Return labels of which nineteen in twenty are 0."""
    y = np.zeros(400, "int32")
    y[:16] = 1
    return y


TABLE = {
    "softmax with from_logits": Planted(
        "from-logits-activated",
        dense(3, "softmax", losses("SparseCategoricalCrossentropy", from_logits=True)),
        split(rows(4), classes(3)),
        "warning",
        "take from_logits=True out",
    ),
    "sigmoid with from_logits": Planted(
        "from-logits-activated",
        dense(1, "sigmoid", losses("BinaryCrossentropy", from_logits=True)),
        split(rows(4), classes(2)),
        "warning",
        "sigmoid",
    ),
    "no softmax and no from_logits": Planted(
        "loss-wants-probabilities", dense(3, None, SPARSE), split(rows(4), classes(3)), word="softmax"
    ),
    "relu before categorical cross-entropy": Planted(
        "loss-wants-probabilities", dense(3, "relu", CATEGORICAL), split(rows(4), one_hot(3)), word="relu"
    ),
    "tanh before binary cross-entropy": Planted(
        "loss-wants-probabilities", dense(1, "tanh", BINARY), split(rows(4), classes(2)), word="sigmoid"
    ),
    "linear before binary cross-entropy": Planted(
        "loss-wants-probabilities", dense(1, None, BINARY), split(rows(4), classes(2)), word="from_logits=True"
    ),
    "softmax of one unit": Planted(
        "softmax-one-unit", dense(1, "softmax", BINARY), split(rows(4), classes(2)), word="always 1"
    ),
    "one unit under sparse cross-entropy": Planted(
        "one-unit-classes", dense(1, "sigmoid", SPARSE), split(rows(4), classes(2)), word="one unit"
    ),
    "sigmoid over several classes": Planted(
        "sigmoid-several-classes", dense(3, "sigmoid", CATEGORICAL), split(rows(4), one_hot(3)), "warning", "softmax"
    ),
    "one-hot labels under a sparse loss": Planted(
        "one-hot-under-sparse", dense(3, "softmax", SPARSE), split(rows(4), one_hot(3)), word=f'"{CATEGORICAL}"'
    ),
    "class numbers under a categorical loss": Planted(
        "numbers-under-categorical", dense(3, "softmax", CATEGORICAL), split(rows(4), classes(3)), word=SPARSE
    ),
    "class numbers of shape (n, 1) under a categorical loss": Planted(
        "numbers-under-categorical", dense(3, "softmax", CATEGORICAL), split(rows(4), classes(3)[:, None]), word=SPARSE
    ),
    "mse on softmax and class numbers": Planted(
        "regression-on-classes", dense(3, "softmax", "mse"), split(rows(4), classes(3)), word=SPARSE
    ),
    "mse on softmax and one-hot rows": Planted(
        "regression-on-classes", dense(3, "softmax", "mse"), split(rows(4), one_hot(3)), "warning", CATEGORICAL
    ),
    "mse on class numbers with accuracy": Planted(
        "regression-on-classes", dense(1, None, "mse"), split(rows(4), classes(5)), "warning", "softmax"
    ),
    "mse on two classes": Planted(
        "regression-on-classes", dense(1, "sigmoid", "mse"), split(rows(4), classes(2)), "warning", BINARY
    ),
    "too few units for the classes": Planted(
        "labels-out-of-range", dense(3, "softmax", SPARSE), split(rows(4), classes(5)), word="from 0 to 4"
    ),
    "labels from 1": Planted(
        "labels-out-of-range", dense(3, "softmax", SPARSE), split(rows(4), classes(3) + 1), word="subtract 1"
    ),
    "a negative label": Planted(
        "labels-out-of-range", dense(3, "softmax", SPARSE), split(rows(4), classes(3) - 1), word="from -1"
    ),
    "labels of -1 and 1 under binary cross-entropy": Planted(
        "labels-not-binary", dense(1, "sigmoid", BINARY), split(rows(4), classes(2) * 2 - 1), word="map -1 to 0"
    ),
    "three classes under binary cross-entropy": Planted(
        "labels-not-binary", dense(1, "sigmoid", BINARY), split(rows(4), classes(3)), word="3 classes"
    ),
    "strings as labels": Planted(
        "labels-text", GOOD, split(rows(4), np.array(["cat", "dog", "emu"])[classes(3)]), word="numpy.unique"
    ),
    "fractions as classes": Planted("labels-not-whole", GOOD, split(rows(4), rows()[:, ...] + 0.25), word="fractions"),
    "labels with NaN": Planted(
        "labels-not-finite", dense(1, None, "mse"), split(rows(4), with_value(np.nan)[:, 2]), word="1 NaN"
    ),
    "one-hot rows of another width": Planted(
        "label-shape", dense(3, "softmax", CATEGORICAL), split(rows(4), one_hot(4)), word="rows of 3"
    ),
    "labels of two columns for one unit": Planted(
        "label-shape", dense(1, "sigmoid", BINARY), split(rows(4), one_hot(2)), word="(n, 2)"
    ),
    "labels of (n,) against three regressed numbers": Planted(
        "label-shape", dense(3, None, "mse", metrics=["mae"]), split(rows(4), rows(1)[:, 0]), word="(n, 3)"
    ),
    "several labels under categorical cross-entropy": Planted(
        "rows-not-distributions",
        dense(3, "softmax", CATEGORICAL),
        split(rows(4), (RANDOM.random((N, 3)) > 0.5).astype("float32")),
        "warning",
        "sigmoid and binary_crossentropy",
    ),
    "binary cross-entropy on a softmax": Planted(
        "binary-on-softmax", dense(3, "softmax", BINARY), split(rows(4), one_hot(3)), "warning", CATEGORICAL
    ),
    "targets that relu cannot reach": Planted(
        "labels-out-of-reach", dense(1, "relu", "mse", metrics=["mae"]), split(rows(4), rows(1)), "warning", "linear"
    ),
    "targets that sigmoid cannot reach": Planted(
        "labels-out-of-reach",
        dense(1, "sigmoid", "mae", metrics=["mae"]),
        split(rows(4), 50 + rows(1)),
        "warning",
        "0 to 1",
    ),
    "NaN in the inputs": Planted("inputs-not-finite", GOOD, split(with_value(np.nan), classes(3)), word="1 NaN"),
    "infinity in the inputs": Planted(
        "inputs-not-finite", GOOD, split(with_value(np.inf), classes(3)), word="infinite"
    ),
    "pixels of 0 to 255": Planted(
        "inputs-not-scaled",
        dense(3, "softmax", SPARSE, (8, 8, 1)),
        split(RANDOM.integers(0, 256, (N, 8, 8, 1)).astype("uint8"), classes(3)),
        "warning",
        "Rescaling",
    ),
    "a table that is not scaled": Planted(
        "inputs-not-scaled", GOOD, split(rows(4) * [1, 1, 1, 9000], classes(3)), "warning", "feature 3"
    ),
    "inputs that are all the same": Planted(
        "inputs-alike", GOOD, split(np.ones((N, 4), "float32"), classes(3)), "warning", "all 64 rows"
    ),
    "a feature that never changes": Planted(
        "features-constant", GOOD, split(rows(4) * [1, 1, 0, 1] + [0, 0, 3, 0], classes(3)), "note", "columns 2"
    ),
    "rows of unequal lengths": Planted("inputs-object", GOOD, split(object_rows(), classes(3)), word="unequal"),
    "strings as inputs": Planted(
        "inputs-text", GOOD, split(np.array([["a", "b", "c", "d"]] * N), classes(3)), word="StringLookup"
    ),
    "another number of features": Planted(
        "input-shape", GOOD, split(rows(5), classes(3)), word="takes (n, 4), but x is (n, 5)"
    ),
    "channels first": Planted(
        "input-shape", dense(3, "softmax", SPARSE, (8, 8, 3)), split(rows(3, 8, 8), classes(3)), word="moveaxis"
    ),
    "images that are flat": Planted(
        "input-shape", dense(3, "softmax", SPARSE, (8, 8)), split(rows(64), classes(3)), word="reshape"
    ),
    "x and y of two lengths": Planted(
        "lengths-differ", GOOD, ((rows(4), classes(3, 60)), (rows(4), classes(3))), word="x 64, y 60"
    ),
    "validation of another shape": Planted(
        "input-shape", GOOD, ((rows(4), classes(3)), (rows(6), classes(3))), word="x_val"
    ),
    "validation labels out of range": Planted(
        "labels-out-of-range", GOOD, ((rows(4), classes(3)), (rows(4), classes(4))), word="y_val"
    ),
    "validation data that are training data": Planted(
        "validation-overlaps",
        GOOD,
        ((train := rows(4), classes(3)), (train[:20], classes(3, 20))),
        "warning",
        "20 of 20",
    ),
    "a class that validation lacks": Planted(
        "classes-missing-in-validation", GOOD, ((rows(4), classes(3)), (rows(4), classes(2))), "warning", "classes 2"
    ),
    "sorted labels under validation_split": Planted(
        "classes-missing-in-validation",
        GOOD,
        (rows(4), sorted_labels()),
        "warning",
        "shuffle them in the loader",
        fit={"validation_split": 0.25},
    ),
    "labels that are all the same": Planted(
        "one-class", GOOD, split(rows(4), np.zeros(N, "int32")), "warning", "nothing to tell apart"
    ),
    "labels that are nearly all the same": Planted(
        "classes-unbalanced",
        dense(2, "softmax", SPARSE),
        split(rows(4, n=400), unbalanced()),
        "warning",
        "96.0%",
    ),
    "labels among the inputs": Planted(
        "labels-in-inputs",
        dense(1, None, "mse", metrics=["mae"]),
        split(leaky := rows(4), leaky[:, 1].copy()),
        "warning",
        "feature 1",
        "min val_loss",
    ),
    "an objective of validation without validation data": Planted(
        "no-validation-data", GOOD, (rows(4), classes(3)), word="validation_split"
    ),
    "the largest validation loss": Planted(
        "objective-direction", GOOD, split(rows(4), classes(3)), "warning", "min val_loss", "max val_loss"
    ),
    "the smallest accuracy": Planted(
        "objective-direction", GOOD, split(rows(4), classes(3)), "warning", "max val_accuracy", "min val_accuracy"
    ),
    "a batch larger than the data": Planted(
        "batch-larger-than-data", GOOD, split(rows(4), classes(3)), "warning", "64 samples", fit={"batch_size": 512}
    ),
    "more steps than data": Planted(
        "steps-exceed-data", GOOD, split(rows(4), classes(3)), "warning", "2 batches", fit={"steps_per_epoch": 50}
    ),
    "a class without weight": Planted(
        "class-weight",
        GOOD,
        split(rows(4), classes(3)),
        "warning",
        "weight for 2",
        fit={"class_weight": {0: 1.0, 1: 2.0}},
    ),
    "no labels": Planted("no-labels", GOOD, {"x": rows(4)}, objective="min loss"),
    "Accuracy for accuracy": Planted(
        "metric-mismatch",
        dense(3, "softmax", SPARSE, metrics=[metrics("Accuracy")]),
        split(rows(4), classes(3)),
        "warning",
        'metrics=["accuracy"]',
    ),
    "categorical accuracy of class numbers": Planted(
        "metric-mismatch",
        dense(3, "softmax", SPARSE, metrics=["categorical_accuracy"]),
        split(rows(4), classes(3)),
        "warning",
        "one-hot",
    ),
    "accuracy of logits": Planted(
        "metric-mismatch",
        dense(1, None, losses("BinaryCrossentropy", from_logits=True)),
        split(rows(4), classes(2)),
        "warning",
        "threshold=0.0",
    ),
    "accuracy of a regression": Planted(
        "metric-mismatch", dense(1, None, "mse"), split(rows(4), rows(1)), "warning", 'metrics=["mae"]'
    ),
    "a learning rate of nought": Planted(
        "learning-rate",
        lambda hp: _compiled_with(hp, learning_rate=0.0),
        split(rows(4), classes(3)),
        word="nothing is learned",
    ),
    "a learning rate of 10 under Adam": Planted(
        "learning-rate", lambda hp: _compiled_with(hp, learning_rate=10.0), split(rows(4), classes(3)), "warning", "10"
    ),
}


def _compiled_with(hp: Any, **options: Any) -> Any:
    import keras

    model = GOOD(hp)
    model.compile(optimizer=keras.optimizers.Adam(**options), loss=SPARSE, metrics=["accuracy"])
    return model


@pytest.mark.parametrize("name", TABLE)
def test_it_is_found(name: str) -> None:
    """With its code, how bad it is, and a message that says what to do; nothing graver is made up beside it."""
    planted = TABLE[name]
    findings, _ = look(planted.build, planted.data, planted.objective, **planted.fit)
    found = {one.code: one for one in findings}
    assert planted.code in found, findings
    one = found[planted.code]
    assert (one.severity, planted.word in one.message) == (planted.severity, True), one
    assert one.where
    if planted.severity != "error":
        assert not [one for one in findings if one.severity == "error"]
