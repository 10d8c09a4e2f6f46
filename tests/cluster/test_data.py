"""Tests of `kerasweep.cluster.data`: what the data may be, and the arguments of `fit` that they become."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import pytest

from kerasweep.cluster.data import UserData, fit_arguments, takes_hp

X, Y, W = np.zeros((6, 2)), np.arange(6), np.ones(6)
X_VAL, Y_VAL, W_VAL = np.ones((3, 2)), np.arange(3), np.ones(3)


class Dataset:
    """Gives batches by itself, as `tf.data` does."""

    def __iter__(self) -> Iterator[Any]:
        """Yield a batch."""
        yield X, Y


TRAIN, VAL = Dataset(), Dataset()


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (None, {}),
        (X, {"x": X}),
        ((X, Y), {"x": X, "y": Y}),
        ([X, Y], {"x": X, "y": Y}),
        ((X, Y, W), {"x": X, "y": Y, "sample_weight": W}),
        (((X, Y), (X_VAL, Y_VAL)), {"x": X, "y": Y, "validation_data": (X_VAL, Y_VAL)}),
        (([X, Y], [X_VAL, Y_VAL]), {"x": X, "y": Y, "validation_data": (X_VAL, Y_VAL)}),
        (
            ((X, Y, W), (X_VAL, Y_VAL, W_VAL)),
            {"x": X, "y": Y, "sample_weight": W, "validation_data": (X_VAL, Y_VAL, W_VAL)},
        ),
        (({"a": X, "b": X}, Y), {"x": {"a": X, "b": X}, "y": Y}),
        (([X, X], Y), {"x": [X, X], "y": Y}),
        ((([X, X], Y), ([X_VAL, X_VAL], Y_VAL)), {"x": [X, X], "y": Y, "validation_data": ([X_VAL, X_VAL], Y_VAL)}),
        (({"a": X}, {"b": Y}), {"x": {"a": X}, "y": {"b": Y}}),
        (TRAIN, {"x": TRAIN}),
        ((TRAIN, VAL), {"x": TRAIN, "validation_data": VAL}),
        ((TRAIN, (X_VAL, Y_VAL)), {"x": TRAIN, "validation_data": (X_VAL, Y_VAL)}),
        (((X, Y), VAL), {"x": X, "y": Y, "validation_data": VAL}),
        ({"x": X, "y": Y, "batch_size": 2}, {"x": X, "y": Y, "batch_size": 2}),
    ],
)
def test_every_kind_becomes_arguments_of_fit(data: Any, arguments: dict[str, Any]) -> None:
    """Arrays, several inputs, weights, datasets and dicts; the very objects, not copies."""
    made = fit_arguments(data)
    assert made.keys() == arguments.keys()
    assert [id(leaf) for leaf in leaves(made)] == [id(leaf) for leaf in leaves(arguments)]


def leaves(value: Any) -> list[Any]:
    """Return what is nested in dicts, lists and tuples."""
    if isinstance(value, dict):
        return [leaf for one in cast(dict[str, Any], value).values() for leaf in leaves(one)]
    if isinstance(value, list | tuple):
        return [leaf for one in cast(list[Any], value) for leaf in leaves(one)]
    return [value]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"xx": X, "y": Y}, r"'xx', which is no argument of fit"),
        ({"x": X, "validaton_data": (X, Y)}, "did you mean 'validation_data'"),
        (([X, X], [Y, Y]), "two lists of arrays of one length"),
        ((X, "labels"), r"\(ndarray, str\)"),
        ((X, Y, TRAIN, VAL), "expected"),
    ],
)
def test_what_is_no_data_is_told(data: Any, message: str) -> None:
    """The message names what there is, and what was expected."""
    with pytest.raises(TypeError, match=message):
        fit_arguments(data)


class Functions:
    """Data functions of several shapes, and whether each is one of `hp`."""

    @staticmethod
    def without() -> None:
        """No."""

    @staticmethod
    def of_hp(hp: Any) -> None:
        """Yes."""

    @staticmethod
    def of_what_must_be_given(trial: Any) -> None:
        """Yes."""

    @staticmethod
    def of_hp_at_will(hp: Any = None) -> None:
        """Yes."""

    @staticmethod
    def of_an_option(path: str = "x.csv") -> None:
        """No."""

    @staticmethod
    def of_the_rest(*rest: Any, seed: int = 0) -> None:
        """No."""


@pytest.mark.parametrize(
    ("function", "of_hp"),
    [
        (Functions.without, False),
        (Functions.of_hp, True),
        (Functions.of_what_must_be_given, True),
        (Functions.of_hp_at_will, True),
        (Functions.of_an_option, False),
        (Functions.of_the_rest, False),
    ],
)
def test_a_function_of_hp_is_told_by_its_arguments(function: Callable[..., Any], of_hp: bool) -> None:
    """One argument that must be given, or one named hp, makes the data a trial's own."""
    assert takes_hp(function) is of_hp


def test_a_plain_function_is_called_once_and_one_of_hp_for_each_trial() -> None:
    """Loaded once per trainer, or made from the trial's hyperparameters."""
    calls: list[Any] = []

    def load() -> Any:
        calls.append(None)
        return X, Y

    def make(hp: int) -> Any:
        calls.append(hp)
        return X[:hp], Y[:hp]

    data = UserData(load)
    assert data.arguments(1)["x"] is data.arguments(2)["x"]
    assert not data.by_trial
    by_trial = UserData(make)
    assert [len(by_trial.arguments(hp)["x"]) for hp in (2, 4)] == [2, 4]
    assert calls == [None, 2, 4]


def test_a_dataset_that_can_be_called_is_not_called() -> None:
    """It is data, not a function that makes them."""

    class Callable(Dataset):
        def __call__(self) -> None:
            raise AssertionError

    dataset = Callable()
    assert UserData(dataset).arguments(None) == {"x": dataset}
