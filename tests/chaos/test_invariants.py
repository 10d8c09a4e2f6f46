"""The checker itself: each invariant broken by hand is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kerasweep.spaces.trial import Cause, Outcome, OutcomeKind
from kerasweep.trackers.delivery import Delivery
from kerasweep.trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    SweepClosing,
    SweepEnded,
    TrialAsked,
    TrialEnded,
)
from kerasweep.trackers.journal import Journal, Reader
from kerasweep.trackers.runs import Param, Point, Status
from kerasweep.trackers.tracker_db import Destination, TrackerDb

from ..trackers.fakes import FakeRun, FakeRuns
from ..trackers.sweeps import begun, clock, ended, first_session, journal, reported, second_session, started
from .invariants import check, in_fake

WHOLE = [*first_session(), *second_session()]


def delivered(folder: Path) -> FakeRuns:
    """Return an MLflow that has all of a sweep that is over."""
    mlflow = FakeRuns()
    with Reader(folder) as reader, TrackerDb(folder, Destination(uri="sqlite:///nowhere", experiment="lab")) as db:
        one = Delivery(reader, db, lambda: mlflow, "lab")
        one.backlog.read()
        one.over = True
        one.deliver()
    return mlflow


def test_a_sound_sweep_passes(tmp_path: Path) -> None:
    """Two sessions, all kinds of outcomes, delivered: nothing to find."""
    folder = tmp_path / "sweep"
    folder.mkdir()
    journal(folder, WHOLE)
    check(folder, trials=4, runs=in_fake(delivered(folder)), code=0, processes=list, like=folder)


END = SweepEnded(why="budget", exit_code=0)
DONE = ended(0, OutcomeKind.COMPLETED, value=0.5, epoch=1)
STARTED = AttemptStarted(trial=0, attempt=2)


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([*begun(0), reported(0, 1, 0.5), DONE, STARTED], "touched again"),
        ([*begun(0), DONE, DONE], "touched again"),
        ([*begun(0), DONE, reported(0, 2, 0.6)], "touched again"),
        ([*begun(0), reported(0, 1, 0.5), reported(0, 1, 0.5)], "reported twice"),
        ([*begun(0), STARTED], "started twice"),
        ([*begun(0), AttemptEnded(trial=0, attempt=1, cause=Cause.LOST, why=""), reported(0, 1, 0.1)], "does not run"),
        ([*begun(0), reported(0, 1, 0.1, attempt=2)], "another attempt"),
        ([*begun(1)], "missing or taken"),
        ([*begun(0), *begun(0)], "missing or taken"),
        ([*begun(0), END], "over running trials"),
        ([END, END], "ended twice"),
        ([SweepClosing(why=""), *begun(0)], "after the closing"),
        ([*begun(0), DONE, *begun(1)], "never ended"),
        ([*begun(0), DONE], "trials count"),
    ],
)
def test_a_journal_that_breaks_a_promise_is_found(tmp_path: Path, events: list[Event], found: str) -> None:
    """What may not follow, what is lost, a budget that is not exact."""
    journal(tmp_path, [started(), *events])
    with pytest.raises(AssertionError, match=found):
        check(tmp_path, trials=2)


def run_of(mlflow: FakeRuns, name: str) -> FakeRun:
    """Return the run of a name."""
    return next(run for run in mlflow.runs.values() if run.name == name)


def _double(mlflow: FakeRuns) -> None:
    run = run_of(mlflow, "t0000")
    mlflow.create("", run.name, run.started_ms, run.tags)
    mlflow.runs["run008"].status = run.status


def _lose(mlflow: FakeRuns) -> None:
    run_of(mlflow, "t0001").deleted = True


def _leave_running(mlflow: FakeRuns) -> None:
    run_of(mlflow, "t0003").status = Status(name="RUNNING")


def _wrong_status(mlflow: FakeRuns) -> None:
    run_of(mlflow, "t0002").status = Status(name="FINISHED")


def _other_param(mlflow: FakeRuns) -> None:
    run = next(key for key, run in mlflow.runs.items() if run.name == "t0003")
    mlflow.write(run, [Param("momentum", "1")])


def _lost_point(mlflow: FakeRuns) -> None:
    points = run_of(mlflow, "t0000").points
    points.remove(next(one for one in points if one.key == "loss"))


def _shifted_point(mlflow: FakeRuns) -> None:
    points = run_of(mlflow, "t0000").points
    one = next(one for one in points if one.key == "loss")
    points.add(Point(one.key, one.value, one.step, one.at_ms + 1))


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (_double, "runs by trial"),
        (_lose, "runs by trial"),
        (_leave_running, "left running"),
        (_wrong_status, "is failed and its run FINISHED"),
        (_other_param, "trial 3"),
        (_lost_point, "lost Counter"),
        (_shifted_point, "doubled or invented"),
    ],
)
def test_an_mlflow_that_differs_is_found(tmp_path: Path, harm: Callable[[FakeRuns], None], found: str) -> None:
    """A second run, a lost one, one left running, a wrong status, parameter, point or time."""
    journal(tmp_path, WHOLE)
    mlflow = delivered(tmp_path)
    harm(mlflow)
    with pytest.raises(AssertionError, match=found):
        check(tmp_path, runs=in_fake(mlflow))


@pytest.mark.parametrize(
    ("code", "said", "found"),
    [
        (1, "", "exit 1 of a sweep done"),
        (3, "the disk is full", "exit 3 of a sweep done"),
        (0, "Traceback (most recent call last)\n  File", "Traceback"),
    ],
)
def test_a_command_that_says_it_wrong_is_found(tmp_path: Path, code: int, said: str, found: str) -> None:
    """An exit code that the journal does not bear out, a traceback."""
    journal(tmp_path, WHOLE)
    delivered(tmp_path)
    with pytest.raises(AssertionError, match=found):
        check(tmp_path, code=code, said=said)


def test_a_last_line_without_help_is_found(tmp_path: Path) -> None:
    """An interruption has to say what is safe and which command goes on."""
    journal(tmp_path, first_session())
    check(tmp_path, code=130, said="0 trials\nCtrl-C; nothing is lost: `kerasweep resume digits`\n")
    with pytest.raises(AssertionError, match="what is safe"):
        check(tmp_path, code=130, said="Ctrl-C")
    with pytest.raises(AssertionError, match="names no command"):
        check(tmp_path, code=130, said="Ctrl-C; all is safe")


def test_a_half_written_file_is_found(tmp_path: Path) -> None:
    """What was to be renamed and never was."""
    folder = tmp_path / "sweeps" / "one"
    folder.mkdir(parents=True)
    journal(folder, WHOLE)
    (folder / "journal.new").touch()
    with pytest.raises(AssertionError, match="half-written"):
        check(folder, processes=list)


def test_another_search_is_found(tmp_path: Path) -> None:
    """Other parameters, or another value at the end."""
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    journal(tmp_path / "one", [started(), *begun(0), reported(0, 1, 0.5), DONE])
    other = TrialEnded(trial=0, attempt=1, outcome=Outcome(kind=OutcomeKind.COMPLETED, value=0.6, epoch=1))
    journal(tmp_path / "two", [started(), *begun(0), reported(0, 1, 0.5), other])
    times = clock()
    with Journal(tmp_path / "three", clock=lambda: next(times)) as one:
        asked = TrialAsked(trial=0, seed=7, params={}, history_seq=0)
        one.append(started(), asked, *begun(0)[1:], reported(0, 1, 0.5), DONE)
    check(tmp_path / "one", like=tmp_path / "one")
    for name in ("two", "three"):
        with pytest.raises(AssertionError):
            check(tmp_path / name, like=tmp_path / "one")
