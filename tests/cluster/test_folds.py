"""Tests of `kerasweep.cluster.folds`: who is held out where, and what is reported of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.cluster.folds import check_foldable, fold_arguments, fold_of_each


@given(
    labels=st.lists(st.integers(0, 3), min_size=5, max_size=60),
    folds=st.integers(2, 5),
    seed=st.integers(0, 9),
    text=st.booleans(),
)
def test_folds_are_even_and_so_is_each_class_in_them(labels: list[int], folds: int, seed: int, text: bool) -> None:
    """Sizes differ by at most one, over all samples and for each class; the same seed gives the same folds."""
    y = np.array([f"class {one}" for one in labels]) if text else np.array(labels)[:, None]
    fold = fold_of_each(y, len(labels), folds, seed)
    assert np.ptp(np.bincount(fold, minlength=folds)) <= 1
    for one in set(labels):
        assert np.ptp(np.bincount(fold[np.array(labels) == one], minlength=folds)) <= 1
    assert (fold == fold_of_each(y, len(labels), folds, seed)).all()


@pytest.mark.parametrize("y", [None, np.linspace(0, 1, 20), np.eye(4)[np.arange(20) % 4], {"a": np.arange(20)}])
def test_what_has_no_classes_is_only_shuffled(y: Any) -> None:
    """Numbers, one-hot rows and several outputs are dealt out at random, evenly; another seed deals otherwise."""
    fold = fold_of_each(y, 20, 5, seed=1)
    assert np.bincount(fold).tolist() == [4] * 5
    assert fold.tolist() != sorted(fold)
    assert fold.tolist() != fold_of_each(y, 20, 5, seed=2).tolist()


def test_a_fold_trains_on_the_others_and_validates_with_itself() -> None:
    """Inputs by name, outputs and weights are split alike; the rest is passed on."""
    x, y = np.arange(6), np.arange(6) * 10
    fold = np.array([0, 1, 0, 1, 0, 1])
    made = fold_arguments({"x": {"a": x, "b": [x]}, "y": y, "sample_weight": -x, "epochs": 3}, fold, 1)
    assert made["epochs"] == 3
    assert made["x"]["a"].tolist() == made["x"]["b"][0].tolist() == [0, 2, 4]
    assert (made["y"].tolist(), made["sample_weight"].tolist()) == ([0, 20, 40], [0, -2, -4])
    x_val, y_val, weights = made["validation_data"]
    assert (x_val["a"].tolist(), y_val.tolist(), weights.tolist()) == ([1, 3, 5], [10, 30, 50], [-1, -3, -5])
    (alone,) = fold_arguments({"x": x}, fold, 0)["validation_data"]
    assert alone.tolist() == [0, 2, 4]
    assert fold_arguments({"x": x, "sample_weight": x}, fold, 0)["validation_data"][1] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.zeros(9), "y": np.zeros(9), "validation_data": ()}, "take 'validation_data' out"),
        ({"x": np.zeros(9), "y": np.zeros(9), "validation_split": 0.2}, "take 'validation_split' out"),
        ({"x": np.zeros(9), "y": np.zeros(8)}, r"different lengths, \[8, 9\]"),
        ({"x": np.zeros(2), "y": np.zeros(2)}, "have 2 samples"),
        ({"x": iter([1])}, "needs arrays to split"),
        ({}, "needs data to split"),
    ],
)
def test_data_that_cannot_be_split_are_refused(arguments: dict[str, Any], message: str) -> None:
    """Validation data of their own, uneven arrays, too few samples, datasets, nothing."""
    with pytest.raises(ValueError, match=message):
        check_foldable(arguments, 3)
