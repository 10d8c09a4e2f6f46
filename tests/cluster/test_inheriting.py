"""Tests of trials that go on from the checkpoint of another one, and of repeats, on real Keras in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kerasweep.cluster.checkpoint import identity_of
from kerasweep.cluster.checkpointing import place_of_trial
from kerasweep.cluster.settings import Settings
from kerasweep.cluster.training import Training
from kerasweep.cluster.user_code import UserCode
from kerasweep.spaces.parameter import Number, Sampling, identity
from kerasweep.spaces.trial import Assignment, Legacy

if TYPE_CHECKING:
    import keras

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")
DATA = (X[:40], Y[:40]), (X[40:], Y[40:])
RATE = Number(name="rate", min=1e-4, max=1e-1, integer=False, sampling=Sampling.LOG)
UNITS = Number(name="units", min=2, max=16, integer=True)


def build(hp: Any) -> keras.Model:
    """Return a network with dropout, whose rate and width are searched."""
    import keras

    units, rate = hp.Int("units", 2, 16), hp.Float("rate", 1e-4, 1e-1, sampling="log")
    layers = [keras.layers.Dense(units, activation="relu"), keras.layers.Dropout(0.3)]
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2, activation="softmax")])
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def settings_in(folder: Path, **changes: Any) -> Settings:
    """Return the settings of a population's trials."""
    one = Settings(
        metric="val_loss",
        maximize=False,
        at_last=False,
        fit={"epochs": 6, "batch_size": 10},
        checkpoints=str(folder),
        weights=str(folder),
    )
    return replace(one, **changes)


@dataclass
class Ran:
    """What a trial said."""

    assignment: Assignment
    said: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    @property
    def end(self) -> Mapping[str, Any]:
        """Its last word."""
        return self.said[-1]

    @property
    def curve(self) -> dict[int, Mapping[str, float]]:
        """The metrics by epoch."""
        return {one["epoch"]: one["metrics"] for one in self.said if one["type"] == "report"}


def train(folder: Path, number: int, settings: Settings | None = None, **changes: Any) -> Ran:
    """Train a trial with what it needs to know."""
    params = {identity(UNITS): changes.pop("units", 4), identity(RATE): changes.pop("rate", 0.01)}
    about: dict[str, Any] = {
        "attempt": 1,
        "round": 0,
        "seed": 3,
        "params": params,
        "specs": (UNITS.to_json(), RATE.to_json()),
    }
    assignment = Assignment(number=number, **(about | changes))
    ran = Ran(assignment)
    code = UserCode.of(build, DATA)
    Training(code, assignment, settings or settings_in(folder), lambda message: ran.said.append(dict(message))).run()
    return ran


def legacy(folder: Path, donor: Ran) -> Legacy:
    """Return what an heir of a trial is told."""
    one = donor.assignment
    place = place_of_trial(str(folder), one.number)
    return Legacy(trial=one.number, epoch=one.until, place=place, identity=identity_of(one))


def test_heirs_go_on_bit_by_bit_and_with_a_rate_of_their_own(tmp_path: Path) -> None:
    """Two turns are one undisturbed training; a perturbed rate is the heir's; what does not fit, or is gone, is one line."""
    whole = train(tmp_path / "whole", 0, until=6)
    first = train(tmp_path, 0, until=2)
    second = train(tmp_path, 1, until=4, legacy=legacy(tmp_path, first))
    third = train(tmp_path, 2, until=6, legacy=legacy(tmp_path, second))
    assert [one.end["kind"] for one in (whole, first, second, third)] == ["completed"] * 4
    assert [list(one.curve) for one in (first, second, third)] == [[1, 2], [3, 4], [5, 6]]
    assert {**first.curve, **second.curve, **third.curve} == whole.curve

    other = train(tmp_path, 3, until=4, legacy=legacy(tmp_path, first), rate=0.05)
    assert other.curve[3]["learning_rate"] == pytest.approx(0.05)
    assert other.curve[3]["loss"] < whole.curve[1]["loss"]
    grown = train(tmp_path, 4, until=6, legacy=legacy(tmp_path, other), rate=0.05)
    assert grown.curve[5]["learning_rate"] == pytest.approx(0.05)

    wide = train(tmp_path, 5, until=4, legacy=legacy(tmp_path, first), units=9)
    assert (wide.end["kind"], wide.curve) == ("failed", {})
    assert wide.end["reason"].startswith("it cannot go on from trial 0 after epoch 2: the model is another one")
    assert wide.end["reason"].endswith("cannot be among `pbt: {mutate: […]}`")
    assert "\n" not in wide.end["reason"]

    (weights,) = Path(legacy(tmp_path, first).place).glob("*model.weights.h5")
    weights.write_bytes(weights.read_bytes()[:-9])
    torn = train(tmp_path, 6, until=4, legacy=legacy(tmp_path, first))
    assert "after epoch 2: the checkpoint 000002-1.json cannot be used" in torn.end["reason"]
    gone = train(tmp_path, 7, until=4, legacy=replace(legacy(tmp_path, first), place=str(tmp_path / "nowhere")))
    assert gone.end["reason"] == "it cannot go on from trial 0 after epoch 2: it is not there"


def test_an_heir_that_lost_its_process_goes_on_from_its_own_checkpoint_or_its_donors(tmp_path: Path) -> None:
    """A second attempt without checkpoints of its own begins with the donor again; one with them reports what is missing."""
    donor = train(tmp_path, 0, until=2)
    heir = train(tmp_path, 1, until=4, legacy=legacy(tmp_path, donor))
    place = place_of_trial(str(tmp_path), 1)
    about: Any = {"attempt": 2, "until": 4, "resume_from": place, "legacy": legacy(tmp_path, donor)}
    again = train(tmp_path, 1, **about, reported=3)
    assert again.end["kind"] == "completed"
    assert again.curve == {4: heir.curve[4]}
    about["resume_from"] = place_of_trial(str(tmp_path), 8)
    empty = train(tmp_path, 8, **about)
    assert empty.curve == heir.curve


def test_repeats_are_fits_on_seeds_of_their_own(tmp_path: Path) -> None:
    """The first is what the trial would be alone; each begins anew; a stop between them ends the trial there."""
    alone = train(tmp_path, 0, settings_in(tmp_path, checkpoints=""))
    ran = train(tmp_path, 0, settings_in(tmp_path, checkpoints="", repeats=3))
    own = [ran.curve[epoch][f"repeat_{epoch}/val_loss"] for epoch in (1, 2, 3)]
    assert own[0] == min(one["val_loss"] for one in alone.curve.values())
    assert len(set(own)) == 3
    assert ran.curve[3]["val_loss"] == pytest.approx(np.mean(own))
    assert ran.curve[3]["val_loss_std"] == pytest.approx(np.std(own, ddof=1))
    assert ran.end["kind"] == "completed"
    assert train(tmp_path, 0, settings_in(tmp_path, checkpoints="", repeats=3)).curve == ran.curve
