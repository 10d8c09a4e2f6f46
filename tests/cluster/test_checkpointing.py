"""Tests of `kerasweep.cluster.checkpointing` without Keras: when a checkpoint is due, folds, failures that cost nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.cluster.checkpointing import Cadence, Checkpoints, place_of_trial
from kerasweep.cluster.weights import Best
from kerasweep.spaces.trial import Assignment


@given(
    costs=st.lists(st.floats(0.001, 5.0), min_size=5, max_size=15),
    epoch_s=st.floats(0.5, 30.0),
    every_s=st.floats(1.0, 60.0),
    share=st.floats(0.005, 0.2),
)
def test_checkpoints_cost_their_share_at_most(costs: list[float], epoch_s: float, every_s: float, share: float) -> None:
    """However costs, epochs and settings are, but for the costs since the last that was measured."""
    now, spent, last = 0.0, 0.0, 0.0
    cadence, left = Cadence(every_s, share, now), list(costs)
    began: list[float] = []
    for _ in range(100_000):
        now += epoch_s
        if cadence.due(now, size=0):
            assert spent <= share * now + 1e-9
            last = left.pop()
            began.append(now)
            now, spent = now + last, spent + last
            cadence.took(last, now)
        if not left:
            break
    assert began[0] >= every_s
    assert all(later - sooner >= every_s for sooner, later in pairwise(began))


def test_the_first_checkpoint_of_a_large_model_waits() -> None:
    """Its cost is guessed from its size: 2 GB take 20 s, which 2 % of 1000 s are."""
    cadence = Cadence(10.0, 0.02, 0.0)
    assert cadence.due(10.0, size=1000)
    assert not cadence.due(999.0, size=2_000_000_000)
    assert cadence.due(1000.0, size=2_000_000_000)


class FakeTrial:
    """A trial over folds, as far as its checkpoints see it."""

    def __init__(self) -> None:
        self.epoch = 0
        self.reports: list[Mapping[str, Any]] = []
        self.saving = False
        self.told: list[str] = []
        self.held: Best | None = None

    def best(self) -> Best | None:
        """Return the best weights so far."""
        return self.held

    def check_stop(self) -> None:
        """Go on."""

    def notice(self, text: str) -> None:
        """Take what the user is told."""
        self.told.append(text)

    def fold(self) -> None:
        """Finish a fold, the first of which was the best."""
        self.epoch += 1
        self.reports.append({"epoch": self.epoch, "metrics": {"loss": 1 / 3}, "seconds": 0.5})
        weights = [np.full((2, 3), 0.1, "float32"), np.array(2**40)]
        self.held = self.held or Best(epoch=1, value=0.25, weights=weights, build={"input_shape": [None, 3]})


def checkpoints(trial: FakeTrial, place: Path, attempt: int = 1, every_s: float = 1e-9, seed: int = 3) -> Checkpoints:
    """Return those of an attempt."""
    root = place_of_trial(str(place), 0)
    assignment = Assignment(
        number=0, attempt=attempt, round=0, seed=seed, params={}, resume_from=root if attempt > 1 else ""
    )
    return Checkpoints(trial, assignment, place=root, every_s=every_s, share=1e9)


def test_folds_that_are_done_are_not_done_again(tmp_path: Path) -> None:
    """Their metrics, the reports and the best weights come back as they were."""
    trial = FakeTrial()
    ours = checkpoints(trial, tmp_path)
    for _ in range(2):
        trial.fold()
        ours.after_fold([{"loss": 1 / 3}] * trial.epoch)
        ours.close()
    resumed = checkpoints(FakeTrial(), tmp_path, attempt=2).resume()
    assert resumed is not None
    assert (resumed.epoch, resumed.plain["folds"], resumed.reports) == (2, [{"loss": 1 / 3}] * 2, trial.reports)
    assert resumed.best is not None
    assert trial.held is not None
    assert resumed.best.about() == trial.held.about()
    for got, want in zip(resumed.best.weights, trial.held.weights, strict=True):
        np.testing.assert_array_equal(got, want)
    assert not list((tmp_path / "0" / "epochs").glob(".*")), "a draft was left"


def test_a_first_attempt_looks_for_nothing(tmp_path: Path) -> None:
    """Whatever lies there."""
    trial = FakeTrial()
    ours = checkpoints(trial, tmp_path)
    trial.fold()
    ours.after_fold([{}])
    ours.close()
    assert checkpoints(FakeTrial(), tmp_path).resume() is None


def test_none_is_written_before_it_is_due_unless_the_trial_is_to_go_on_later(tmp_path: Path) -> None:
    """So a trial of seconds leaves nothing on the disk."""
    trial = FakeTrial()
    ours = checkpoints(trial, tmp_path, every_s=3600.0)
    trial.fold()
    ours.after_fold([{}])
    ours.close()
    assert list(tmp_path.iterdir()) == []
    trial.saving = True
    ours.after_fold([{}])
    ours.close()
    assert checkpoints(FakeTrial(), tmp_path, attempt=2).resume() is not None


def test_what_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    """Training goes on."""
    (tmp_path / "0").write_text("a file where the folder should be")
    trial = FakeTrial()
    ours = checkpoints(trial, tmp_path)
    for _ in range(3):
        trial.fold()
        ours.after_fold([{"loss": 0.5}] * trial.epoch)
        time.sleep(0.001)
    ours.close()
    (text,) = trial.told
    assert text.startswith("no checkpoint was")


def test_nothing_but_damage_begins_anew_and_says_so(tmp_path: Path) -> None:
    """Each damaged checkpoint is named."""
    trial = FakeTrial()
    ours = checkpoints(trial, tmp_path)
    trial.fold()
    ours.after_fold([{}])
    ours.close()
    for path in (tmp_path / "0" / "epochs").glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-1])
    later = FakeTrial()
    assert checkpoints(later, tmp_path, attempt=2).resume() is None
    assert ["000001-1.json" in later.told[0], "begins anew" in later.told[1]] == [True, True]


def test_what_lies_there_goes_when_a_trial_begins_anew(tmp_path: Path) -> None:
    """A later epoch of the trial that had the number before, in a journal that was lost, does not outlive it."""
    before = FakeTrial()
    ours = checkpoints(before, tmp_path, seed=3)
    for _ in range(3):
        before.fold()
        ours.after_fold([{"loss": 0.5}] * before.epoch)
        ours.close()
    trial = FakeTrial()
    trial.fold()
    ours = checkpoints(trial, tmp_path, seed=4)
    ours.after_fold([{"loss": 0.5}])
    ours.close()
    resumed = checkpoints(FakeTrial(), tmp_path, attempt=2, seed=4).resume()
    assert resumed is not None
    assert resumed.epoch == 1
    assert len(list((tmp_path / "0" / "epochs").glob("00000?-1.json"))) == 1


@pytest.mark.parametrize("seed", [3, 4])
def test_another_trials_checkpoint_is_not_taken_up(tmp_path: Path, seed: int) -> None:
    """Not even one with the same number, of another search."""
    trial = FakeTrial()
    ours = checkpoints(trial, tmp_path, seed=3)
    trial.fold()
    ours.after_fold([{}])
    ours.close()
    resumed = checkpoints(FakeTrial(), tmp_path, attempt=2, seed=seed).resume()
    assert (resumed is not None) == (seed == 3)
