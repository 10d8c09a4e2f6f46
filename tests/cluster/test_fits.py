"""Tests of `kerasweep.cluster.fits`: folds and repeats as the fits of one trial."""

from __future__ import annotations

from dataclasses import replace
from statistics import stdev
from typing import Any

import numpy as np
import pytest

from kerasweep.cluster.fits import fits_of, repeat_seed
from kerasweep.cluster.settings import Settings

FOLDS = Settings(metric="a", maximize=True, at_last=False, fit={"epochs": 2, "folds": 3})
REPEATS = Settings(metric="a", maximize=True, at_last=False, fit={"epochs": 2}, repeats=3)
GIVEN: dict[str, Any] = {"x": np.arange(6), "y": np.arange(6.0)}


def test_the_mean_stands_beside_each_folds_own() -> None:
    """The mean over the folds so far, and the newest fold's metrics under its number."""
    fits = fits_of(FOLDS, 7, GIVEN)
    assert fits.report([{"a": 1.0}]) == {"a": 1.0, "fold_1/a": 1.0}
    second = fits.report([{"a": 1.0, "b": 1.0}, {"a": 2.0, "learning_rate": 0.1}])
    assert second == {"a": 1.5, "fold_2/a": 2.0}


def test_folds_have_one_seed_and_other_data() -> None:
    """Each fold holds out its own samples."""
    fits = fits_of(FOLDS, 7, GIVEN)
    held = [fits.arguments(GIVEN, index)["validation_data"][0].tolist() for index in range(fits.count)]
    assert sorted(sample for one in held for sample in one) == list(range(6))
    assert {fits.seed(index) for index in range(3)} == {7}


def test_repeats_have_one_set_of_data_and_other_seeds() -> None:
    """The first seed is the trial's own, the others follow from it; those of two trials have none in common."""
    fits = fits_of(REPEATS, 7, GIVEN)
    assert fits.arguments(GIVEN, 2) == GIVEN
    seeds = [fits.seed(index) for index in range(fits.count)]
    assert seeds[0] == 7
    assert len({*seeds, *(repeat_seed(8, index) for index in range(3))}) == 6
    assert seeds == [fits_of(REPEATS, 7, {}).seed(index) for index in range(3)]


def test_the_spread_of_repeats_is_told_with_the_mean() -> None:
    """From the second on, of the objectives alone."""
    fits = fits_of(REPEATS, 7, GIVEN)
    assert fits.report([{"a": 1.0, "b": 2.0}]) == {"a": 1.0, "b": 2.0, "repeat_1/a": 1.0, "repeat_1/b": 2.0}
    third = fits.report([{"a": 1.0}, {"a": 4.0}, {"a": 4.0}])
    assert third == {"a": 3.0, "a_std": pytest.approx(stdev([1, 4, 4])), "repeat_3/a": 4.0}
    both = fits_of(replace(REPEATS, further=(("b", False),)), 7, GIVEN).report(
        [{"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 4.0}]
    )
    assert (both["a_std"], both["b_std"]) == (0.0, pytest.approx(stdev([2, 4])))
