"""Tests of `kerasweep.cluster.weights`, with a model that is nothing but weights."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from kerasweep.cluster.weights import FILE, BestWeights, load_weights, write_atomically
from kerasweep.spaces.errors import Infrastructure
from kerasweep.spaces.trial import Assignment

Weights = list[npt.NDArray[Any]]


class FakeModel:
    """A model that has weights, and may have to be built before it does."""

    def __init__(self, weights: Weights, *, built: bool = True) -> None:
        self.weights = weights
        self.built = built
        self.built_from: Any = None

    def get_weights(self) -> Weights:
        """Return copies."""
        return [one.copy() for one in self.weights]

    def set_weights(self, weights: Weights) -> None:
        """Take weights of the same shapes."""
        assert self.built
        if [one.shape for one in weights] != [one.shape for one in self.weights]:
            raise ValueError("the shapes differ")
        self.weights = weights

    def get_build_config(self) -> dict[str, Any]:
        """Return what `build_from_config` takes."""
        return {"input_shape": [None, 3]}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Note that it was built."""
        self.built, self.built_from = True, config


def weights(value: float) -> Weights:
    """Return two arrays that tell `value`."""
    return [np.full((2, 3), value, dtype="float32"), np.array(value, dtype="float64")]


def assignment(keep_above: float | None = None) -> Assignment:
    """Return trial 4."""
    return Assignment(number=4, attempt=1, round=0, seed=1, params={}, keep_above=keep_above)


def trained(values: list[float], *, maximize: bool = True, at_last: bool = False) -> BestWeights:
    """Return the weights of a fit whose epoch `n` had weights `n` and these values."""
    best = BestWeights(maximize=maximize, at_last=at_last)
    model = FakeModel(weights(0))
    best.model = model
    for epoch, value in enumerate(values, 1):
        for one in model.weights:  # in place, as an optimizer does
            one[...] = epoch
        best.see(epoch, value)
    return best


def kept(folder: Path) -> tuple[int, float]:
    """Load what was kept of trial 4 into a new model; return its epoch and what the weights tell."""
    model = FakeModel(weights(0))
    epoch = load_weights(model, folder, 4)
    (first,) = {float(value) for one in model.weights for value in one.flat}
    assert [one.dtype for one in model.weights] == ["float32", "float64"]
    return epoch, first


@pytest.mark.parametrize(
    ("values", "maximize", "at_last", "epoch"),
    [
        ([0.1, 0.9, 0.5], True, False, 2),
        ([0.1, 0.9, 0.5], False, False, 1),
        ([0.1, 0.9, 0.5], True, True, 3),
        ([0.9, 0.9], True, False, 1),
        ([0.3, float("nan"), 0.2], True, False, 1),
        ([-1.0, 0.0], True, False, 2),
    ],
)
def test_the_weights_of_the_epoch_that_counts_are_kept(
    tmp_path: Path, values: list[float], maximize: bool, at_last: bool, epoch: int
) -> None:
    """The best epoch's, the first of equals, or the last one's where that is asked for; never those of a NaN."""
    trained(values, maximize=maximize, at_last=at_last).write(str(tmp_path), assignment())
    assert kept(tmp_path) == (epoch, epoch)


@pytest.mark.parametrize(
    ("value", "maximize", "keep_above", "written"),
    [
        (0.5, True, None, True),
        (0.5, True, 0.4, True),
        (0.5, True, 0.5, False),
        (0.5, True, 0.6, False),
        (0.5, False, 0.6, True),
        (0.5, False, 0.4, False),
    ],
)
def test_weights_that_do_not_rank_are_not_written(
    tmp_path: Path, value: float, maximize: bool, keep_above: float | None, written: bool
) -> None:
    """Only a value that is better than what the best ones have costs a write."""
    trained([value], maximize=maximize).write(str(tmp_path), assignment(keep_above))
    assert (tmp_path / "4" / "weights.json").exists() is written
    assert (tmp_path / "4").exists() is written


def test_a_trial_without_a_value_has_no_weights(tmp_path: Path) -> None:
    """No epoch, nothing to keep."""
    trained([]).write(str(tmp_path), assignment())
    assert list(tmp_path.iterdir()) == []


def test_forgotten_weights_are_let_go_of(tmp_path: Path) -> None:
    """After its end a trial holds neither model nor arrays, and writes nothing."""
    best = trained([0.5])
    best.forget()
    assert best.model is None
    best.write(str(tmp_path), assignment())
    assert list(tmp_path.iterdir()) == []


def test_a_later_attempt_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    """Written twice, the second stands, and no draft is left."""
    trained([0.5]).write(str(tmp_path), assignment())
    trained([0.1, 0.6]).write(str(tmp_path), assignment())
    assert kept(tmp_path) == (2, 2)
    assert sorted(path.name for path in (tmp_path / "4").iterdir()) == sorted([FILE, "weights.json"])


def test_a_model_that_is_not_built_is_built_as_it_was(tmp_path: Path) -> None:
    """A model without a declared input gets its shapes from the description."""
    trained([0.5]).write(str(tmp_path), assignment())
    model = FakeModel(weights(0), built=False)
    load_weights(model, tmp_path, 4)
    assert model.built_from == {"input_shape": [None, 3]}


def test_damaged_or_missing_weights_are_said_so(tmp_path: Path) -> None:
    """A file that is not the one that was written is not loaded; one that is not there is explained."""
    with pytest.raises(Infrastructure, match="only the best three"):
        kept(tmp_path)
    trained([0.5]).write(str(tmp_path), assignment())
    with (tmp_path / "4" / FILE).open("ab") as file:
        file.write(b" ")
    with pytest.raises(Infrastructure, match="damaged"):
        kept(tmp_path)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    """A `build` that has changed since is named as the trouble."""
    trained([0.5]).write(str(tmp_path), assignment())
    with pytest.raises(Infrastructure, match="does not fit the weights of trial 4"):
        load_weights(FakeModel([np.zeros(5)]), tmp_path, 4)


def test_a_write_that_was_cut_off_leaves_no_weights(tmp_path: Path) -> None:
    """Without the description, which comes last, there are none."""
    trained([0.5]).write(str(tmp_path), assignment())
    (tmp_path / "4" / "weights.json").unlink()
    with pytest.raises(Infrastructure, match="no weights of trial 4"):
        kept(tmp_path)


def test_an_atomic_write_is_private_and_leaves_no_draft(tmp_path: Path) -> None:
    """The file is its owner's; nothing else stays behind."""
    write_atomically(tmp_path / "one.json", "{}")
    write_atomically(tmp_path / "one.json", "[]")
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]
    assert (tmp_path / "one.json").read_text() == "[]"
    assert stat.S_IMODE((tmp_path / "one.json").stat().st_mode) == 0o600
