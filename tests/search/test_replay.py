"""Tests of `kerasweep.search.replay` and `kerasweep.search.recorded`, as far as nothing is trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kerasweep.cluster.program import Program
from kerasweep.search import replay as replays
from kerasweep.search.comparison import Comparison
from kerasweep.search.recorded import Recorded
from kerasweep.search.replay import Replay, replay_command
from kerasweep.search.results import Result
from kerasweep.search.spec import SweepSpec
from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.parameter import Number, identity
from kerasweep.spaces.trial import Cause, OutcomeKind
from kerasweep.trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Donor,
    Event,
    ParametersUsed,
    RoundEnded,
    SweepResumed,
    SweepStarted,
    TrialAsked,
)
from kerasweep.trackers.journal import Journal

from .specs import X, begun, completed, ended, entries, reported, spec

LATE = Number(name="late", min=1, max=9, integer=True)


def late_bound() -> list[Event]:
    """Return a trial whose model asked for a parameter late, which was lost once and went on under another version."""
    x, late = identity(X), identity(LATE)
    asked = TrialAsked(trial=0, seed=77, params={x: 0.5}, history_seq=0)
    ended_round = RoundEnded(trial=0, attempt=1, round=0, specs=(LATE.to_json(),), params={x: 0.5, late: 3})
    forms = (X.to_json(), LATE.to_json())
    return [
        SweepStarted(spec=spec().to_json(), versions={"keras": "3.0"}),
        asked,
        AttemptStarted(trial=0, attempt=1),
        ended_round,
        AttemptStarted(trial=0, attempt=1, round=1),
        AttemptEnded(trial=0, attempt=1, cause=Cause.OOM, why="full"),
        SweepResumed(spec=spec().to_json(), versions={"keras": "3.1"}),
        AttemptStarted(trial=0, attempt=2, batch_divisor=2),
        ParametersUsed(trial=0, attempt=2, params={"x": 0.5, "late": 3}, specs=forms),
        *reported(0, 0.1, 0.2, 0.3),
        ended(0, OutcomeKind.STOPPED, 0.3, 3),
        SweepResumed(spec=spec().to_json(), versions={"keras": "3.2"}),
    ]


def test_a_trial_is_asked_for_again_as_it_was_last() -> None:
    """Its seed, all its parameters with their forms, its part of the batch; from the first epoch, on the versions it had."""
    found = Recorded.of(entries(late_bound()), spec(), 0)
    one = found.assignment
    assert (one.number, one.attempt, one.round, one.seed, one.batch_divisor) == (0, 1, 0, 77, 2)
    assert one.params == {identity(X): 0.5, identity(LATE): 3}
    assert [form["name"] for form in one.specs] == ["x", "late"]
    assert (one.rungs, one.resume_from, one.reported, found.last_epoch) == ((3,), "", 0, 3)
    assert found.versions == {"keras": "3.1"}


Sweep = Callable[..., Path]


def heir(trial: int) -> list[Event]:
    """Return the events of a trial that went on from what trial 0 was after its first epoch."""
    first, *others = completed(trial, 0.6)
    assert isinstance(first, TrialAsked)
    return [replace(first, donor=Donor(trial=0, epoch=1, member=0)), *others]


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Return a maker of a sweep's folder in which these things happened; returns the home folder."""

    def make(*events: Event, **changes: Any) -> Path:
        folder = tmp_path / "sweeps" / "small"
        folder.mkdir(parents=True)
        with Journal(folder) as journal:
            journal.append(SweepStarted(spec=spec(**changes).to_json()), *events)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("events", "number", "words"),
    [
        (completed(0, 0.5), 1, "small has no trial 1; it has 1, numbered from 0"),
        (completed(0, 0.5), -1, "small has no trial -1"),
        (begun(0), 0, "trial 0 of small has not ended, it is running; only completed and stopped trials"),
        ([*begun(0), ended(0, OutcomeKind.FAILED, why="boom")], 0, "trial 0 of small ended failed; only"),
        ([*begun(0), ended(0, OutcomeKind.INFEASIBLE)], 0, "ended infeasible; only completed and stopped"),
        ([*begun(0), ended(0, OutcomeKind.COMPLETED, 0.5, 1)], 0, "has no metrics to compare with"),
        ([*completed(0, 0.5), *heir(1)], 1, "trial 1 of small went on from what trial 0 had learned by epoch 1; only"),
    ],
)
def test_a_trial_that_has_no_end_to_compare_is_refused(
    sweep: Sweep, events: list[Event], number: int, words: str
) -> None:
    """In one line, before anything is imported."""
    with pytest.raises(BadInput) as refused:
        replay_command("small", number, sweep(*events), as_json=False)
    assert words in str(refused.value)


def test_a_sweep_that_is_not_there_or_was_started_from_python_is_refused(sweep: Sweep) -> None:
    """The code of the latter is in the process that started it."""
    home = sweep(*completed(0, 0.5), model="")
    with pytest.raises(BadInput, match="started from Python"):
        replay_command("small", 0, home, as_json=False)
    with pytest.raises(BadInput, match=r"no sweep 'smal' .*did you mean 'small'"):
        replay_command("smal", 0, home, as_json=False)


def test_what_came_out_is_told_in_words_and_in_json() -> None:
    """Equal; or the epoch, the metric and both values, the largest difference, and the versions that have changed."""
    row = {1: {"loss": 1.0}, 2: {"loss": 0.5}}
    equal = Replay(comparison=Comparison.of(row, row), changed={})
    assert equal.lines("trial 0 of small") == ["trial 0 of small: equal, every metric of 2 epochs"]
    assert json.loads(json.dumps(equal.to_json()))["equal"] is True
    other = Comparison.of(row, {1: {"loss": 1.0}, 2: {"loss": 0.25}})
    parted = Replay(comparison=other, changed={"keras": ("3.0", "3.1")}, expected=("it may",))
    assert parted.lines("trial 0 of small") == [
        "trial 0 of small: parted at epoch 2: loss was 0.5, is 0.25, by 0.5 of it",
        "the largest relative difference is 0.5 (loss at epoch 2)",
        "keras was 3.0, is 3.1",
        "note: it may",
    ]
    body = json.loads(json.dumps(parted.to_json()))
    assert body["parted"] == {"epoch": 2, "metric": "loss", "journaled": 0.5, "replayed": 0.25}
    assert body["versions"] == {"keras": {"journaled": "3.0", "installed": "3.1"}}
    assert (body["equal"], body["largest_relative_difference"]) == (False, 0.5)


def test_a_trial_that_ends_too_early_has_parted() -> None:
    """Its end is told; what is not finite is text in JSON."""
    found = Comparison.of({1: {"loss": 1.0}, 2: {"loss": 0.5}}, {1: {"loss": 1.0}})
    parted = Replay(comparison=found, ended="failed ValueError: no", changed={})
    assert parted.lines("trial 0")[:2] == [
        "trial 0: parted at epoch 2: it has no loss there, where 0.5 is journaled",
        "this time it ended before: failed ValueError: no",
    ]
    assert parted.to_json()["largest_relative_difference"] == "inf"


def test_from_python_the_session_that_started_a_sweep_has_its_code(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another session is told so; a sweep of a file has it in its folder."""
    asked: list[tuple[str, int]] = []

    def replayed(program: Program, what: SweepSpec, recorded: Recorded) -> Replay:
        asked.append((program.root, recorded.assignment.number))
        return Replay(comparison=Comparison(epochs=what.max_epochs), changed={})

    monkeypatch.setattr(replays, "replayed", replayed)
    folder = sweep(*completed(0, 0.5), model="") / "sweeps" / "small"
    with pytest.raises(BadInput, match="started from Python; its trials are replayed by the Result of that session"):
        Result(folder).replay(0)
    assert Result(folder, Program(root="/mine")).replay(0).equal
    assert asked == [("/mine", 0)]
    with pytest.raises(BadInput, match="has no trial 1"):
        Result(folder).replay(1)
