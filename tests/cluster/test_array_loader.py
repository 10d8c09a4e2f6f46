"""Arrays as batches: each epoch has every sample once, in an order of its own that a later start meets again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytest

from kerasweep.cluster.array_loader import ArrayLoader

pytestmark = pytest.mark.real
N = 21
X = np.arange(N * 2, dtype="float32").reshape(N, 2)
Y = np.arange(N)


def model(**settings: Any) -> Any:
    """Return a model of one layer."""
    import keras

    keras.utils.set_random_seed(1)
    made: Any = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    made.compile(keras.optimizers.SGD(1e-4), "mse", metrics=["mae"], **settings)
    return made


def epochs(arguments: Mapping[str, Any], count: int = 1, key: str = "x", steps: str = "steps_per_epoch") -> list[Any]:
    """Return the batches of so many epochs, as NumPy arrays."""
    batches = iter(arguments[key].as_numpy_iterator())
    return [[next(batches) for _ in range(arguments[steps])] for _ in range(count)]


def order(epoch: Any) -> list[int]:
    """Return the samples of an epoch of (x, y) in the order in which they came."""
    return [int(label) for _, labels in epoch for label in labels]


def given(**more: Any) -> dict[str, Any]:
    """Return arguments of `fit` with the arrays."""
    return {"x": X, "y": Y, "batch_size": 4, **more}


def test_an_epoch_has_every_sample_once_in_an_order_that_follows_from_seed_and_epoch() -> None:
    """Orders differ by epoch and by seed; a start at epoch 2 meets the order of epoch 2, also by another loader."""
    loader = ArrayLoader()
    made = model()
    first = [order(one) for one in epochs(loader.arguments(given(), made, seed=7), 4)]
    assert all(sorted(one) == list(range(N)) for one in first)
    assert len({tuple(one) for one in first}) == 4
    assert [order(one) for one in epochs(loader.arguments(given(), made, seed=7, epoch=2), 2)] == first[2:]
    assert [order(one) for one in epochs(ArrayLoader().arguments(given(), made, seed=7, epoch=1), 3)] == first[1:]
    assert [order(one) for one in epochs(loader.arguments(given(), made, seed=2**63 + 8), 4)] != first


def test_the_last_batch_is_the_rest_and_rows_stay_together() -> None:
    """21 samples are five batches of four and one; x and y are of the same samples."""
    (epoch,) = epochs(ArrayLoader().arguments(given(), model(), seed=1))
    assert [len(labels) for _, labels in epoch] == [4, 4, 4, 4, 4, 1]
    for rows, labels in epoch:
        np.testing.assert_array_equal(rows, X[labels])


@pytest.mark.parametrize(
    "more",
    [
        {"validation_data": (X[:9], Y[:9])},
        {"validation_split": 0.3},
        {"class_weight": dict.fromkeys(range(N), 0.5), "validation_data": (X, Y)},
        {"sample_weight": np.linspace(0, 1, N), "validation_data": (X, Y, np.linspace(1, 0, N))},
        {"validation_data": (X, Y), "validation_steps": 2, "validation_batch_size": 5},
        {"validation_data": (X, Y), "validation_batch_size": 5, "x": X.astype("float64"), "y": Y.astype("float64")},
        {"validation_split": 0.5, "validation_batch_size": 3, "batch_size": None},
    ],
    ids=str,
)
def test_a_fit_is_what_keras_makes_of_the_arrays(more: dict[str, Any]) -> None:
    """In the order given, weights, metrics and validation are those of Keras's own pipeline, epoch by epoch."""
    arguments = given(**more, shuffle=False, epochs=3, verbose=0)
    own, keras_own = model(), model()
    loaded = ArrayLoader().arguments(arguments, own, seed=1)
    assert hasattr(loaded["x"], "element_spec")
    history = own.fit(**loaded).history
    expected = keras_own.fit(**arguments).history
    assert history.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-6)
    for ours, theirs in zip(own.get_weights(), keras_own.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_several_inputs_and_outputs_keep_their_names_and_places() -> None:
    """A dict stays a dict; a list becomes a tuple, which a dataset does not stack."""
    x = {"a": X, "b": [Y, X]}
    (epoch,) = epochs(ArrayLoader().arguments({"x": x, "y": (Y, X), "batch_size": 21}, model(), seed=1))
    (inputs, (labels, rows)) = epoch[0]
    assert sorted(labels) == list(range(N))
    np.testing.assert_array_equal(inputs["a"], X[labels])
    np.testing.assert_array_equal(inputs["b"][1], rows)


def test_pipelines_are_made_once_for_all_trials_of_a_batch_size() -> None:
    """The same arrays give the same dataset; another batch size, another."""
    loader, made = ArrayLoader(), model()
    first = loader.arguments(given(), made, seed=1)["x"]
    assert loader.arguments(given(), made, seed=2)["x"] is first
    assert loader.arguments(given(batch_size=8), made, seed=2)["x"] is not first


@pytest.mark.parametrize(
    "more",
    [
        {"x": X.astype(str)},
        {"x": X.astype(object)},
        {"x": X[:-1]},
        {"x": None},
        {"x": iter([X])},
        {"x": [[1.0, 2.0]] * N},
        {"steps_per_epoch": 2},
        {"shuffle": "batch"},
        {"batch_size": 0},
        {"validation_split": 0.99},
        {"validation_split": 1.5},
        {"sample_weight": np.ones(N), "class_weight": {0: 1.0}},
        {"sample_weight": np.ones(N), "y": (Y, Y)},
    ],
    ids=lambda more: str(list(more)),
)
def test_what_keras_converts_or_refuses_is_left_to_it(more: dict[str, Any]) -> None:
    """The arguments come back as they were."""
    arguments = given(**more)
    assert ArrayLoader().arguments(arguments, model(), seed=1) == arguments


def test_executions_of_several_steps_never_reach_into_the_next_epoch() -> None:
    """Steps that do not divide the epoch are left to Keras; those that do are not."""
    assert ArrayLoader().arguments(given(), model(steps_per_execution=4), seed=1)["x"] is X
    assert ArrayLoader().arguments(given(), model(steps_per_execution=3), seed=1)["x"] is not X


def test_a_model_whose_own_fit_names_the_arrays_gets_them() -> None:
    """A `fit` that only hands on gets datasets."""
    import keras

    class Looks(keras.Sequential):
        def fit(self, x: Any, y: Any = None, **more: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            return cast(Any, super()).fit(x, y, **more)

    class HandsOn(keras.Sequential):
        def fit(self, *args: Any, **more: Any) -> Any:
            return cast(Any, super()).fit(*args, **more)

    made: list[Any] = [kind([keras.Input((2,)), keras.layers.Dense(1)]) for kind in (Looks, HandsOn)]
    for one in made:
        one.compile("sgd", "mse")
    assert ArrayLoader().arguments(given(), made[0], seed=1)["x"] is X
    assert ArrayLoader().arguments(given(), made[1], seed=1)["x"] is not X


def test_validation_that_is_no_arrays_stays_as_it_is() -> None:
    """A dataset to validate on is handed on, without a batch size, which is its own."""
    import tensorflow

    held: Any = cast(Any, tensorflow).data.Dataset.from_tensor_slices((X, Y)).batch(3)
    loaded = ArrayLoader().arguments(given(validation_data=held), model(), seed=1)
    assert loaded["validation_data"] is held
    assert loaded["validation_batch_size"] is None
    assert model().fit(**loaded, verbose=0).history["val_loss"]
