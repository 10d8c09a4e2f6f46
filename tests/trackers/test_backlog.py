"""Tests of `kerasweep.trackers.backlog`: how much of a sweep is held in memory."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from kerasweep.spaces.trial import OutcomeKind
from kerasweep.trackers import backlog
from kerasweep.trackers.backlog import Backlog
from kerasweep.trackers.delivery import Delivery
from kerasweep.trackers.events import Event, SweepEnded, Timed
from kerasweep.trackers.journal import Reader
from kerasweep.trackers.runs import Unreachable
from kerasweep.trackers.tracker_db import Destination, TrackerDb

from .fakes import FakeRuns
from .sweeps import begun, ended, journal, reported, started

HERE = Destination(uri="sqlite:////nowhere/mlflow.db", experiment="lab")


def long_sweep(trials: int, epochs: int) -> list[Event]:
    """Return a sweep of trials with so many epochs each."""
    events: list[Event] = [started()]
    for trial in range(trials):
        events += begun(trial)
        events += [reported(trial, epoch, 0.5) for epoch in range(1, epochs + 1)]
        events.append(ended(trial, OutcomeKind.COMPLETED, value=0.5, epoch=1))
        events.append(Timed(trial=trial, attempt=1, slot="0", pid=1, times={"start": 1.0}))
    return [*events, SweepEnded(why="budget", exit_code=0)]


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let little be much."""
    monkeypatch.setattr(backlog, "_CHUNK", 10)
    monkeypatch.setattr(backlog, "ROOM", 50)


def held(one: Backlog) -> int:
    """Return how many epochs' metrics are in memory."""
    return sum(len(record.metrics) for record in one.history.trials.values())


@pytest.mark.usefixtures("small_pages")
def test_what_there_is_no_room_for_waits_in_the_journal(tmp_path: Path) -> None:
    """While nothing is delivered, no more than a page above the limit is read; what is delivered makes room."""
    with Reader(journal(tmp_path, long_sweep(40, 8))) as reader:
        one = Backlog(reader, 0)
        for _ in range(3):
            one.read()
            assert not one.caught_up
            assert 50 <= held(one) < 50 + 10
        before = one.history.seq
        for number in list(one.trials):
            one.written(number)
        one.read()
        assert one.history.seq > before
        one.read(all_of_it=True)
        assert one.caught_up
        assert one.history.ended is not None


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("away", [0, 1, 5])
def test_a_long_sweep_arrives_page_by_page(tmp_path: Path, away: int) -> None:
    """Statuses are right at the end, although its end was not read when the first trials were delivered."""
    folder, mlflow = journal(tmp_path, long_sweep(40, 8)), FakeRuns()
    with Reader(folder) as reader, TrackerDb(folder, HERE) as db:
        one = Delivery(reader, db, lambda: mlflow, HERE.experiment)
        for turn in range(200):
            one.backlog.read()
            one.over = one.backlog.caught_up
            mlflow.down = turn < away
            try:
                one.deliver()
            except Unreachable:
                continue
            assert held(one.backlog) <= 60
            if one.over and not one.pending:
                break
    assert {run.status.name for run in mlflow.live.values()} == {"FINISHED"}
    assert sum(len(run.points) for run in mlflow.live.values()) == 40 * (8 * 2 + 1)


def test_what_is_delivered_is_forgotten_but_for_its_rank(tmp_path: Path) -> None:
    """A trial of a hundred epochs leaves no more behind than one of two."""
    sizes: list[int] = []
    for epochs in (2, 100):
        folder = tmp_path / str(epochs)
        folder.mkdir()
        with Reader(journal(folder, long_sweep(5, epochs))) as reader:
            one = Backlog(reader, 0)
            one.read()
            for number in list(one.trials):
                one.written(number)
                one.history.trials[number].upto = ""  # an event's number, which is longer after more of them
            sizes.append(len(pickle.dumps(one.history.trials)))
    assert sizes[0] == sizes[1]


def test_what_is_not_shown_makes_no_work(tmp_path: Path) -> None:
    """The times of a trial's parts arrive after its end."""
    with Reader(journal(tmp_path, long_sweep(3, 2))) as reader:
        one = Backlog(reader, 0)
        one.read()
        cursor = one.history.seq - 2  # the last trial's end is delivered, not its times
        one = Backlog(reader, cursor)
        one.read()
        assert not one.trials
