"""Tests of `kerasweep.trackers.delivery` against an MLflow in memory that fails wherever it can."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kerasweep.spaces.trial import OutcomeKind
from kerasweep.trackers import delivery as delivery_module
from kerasweep.trackers.delivery import Delivery
from kerasweep.trackers.events import Event, SweepEnded
from kerasweep.trackers.journal import Journal, Reader
from kerasweep.trackers.runs import PARENT, SWEEP, UPTO, Item, Point, Refused, Status, Tag, Unreachable
from kerasweep.trackers.tracker_db import Destination, TrackerDb

from .fakes import FakeRun, FakeRuns, Killed
from .sweeps import START_AT, begun, clock, ended, first_session, journal, reported, second_session, started

WHOLE = [*first_session(), *second_session()]
HERE = Destination(uri="sqlite:////nowhere/mlflow.db", experiment="lab")


class Time:
    """A clock that stands still unless told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def deliver(folder: Path, mlflow: FakeRuns, *, over: bool | None = None, tries: int = 12) -> bool:
    """Deliver what is journaled as a fresh tracker would, with so many tries; `over` None goes by the journal."""
    time = Time()
    with Reader(folder) as reader, TrackerDb(folder, HERE) as db:
        one = Delivery(reader, db, lambda: mlflow, HERE.experiment, clock=time)
        one.backlog.read()
        one.over = (one.backlog.history.ended is not None) if over is None else over
        for _ in range(tries):
            time.now += 60.0
            try:
                one.deliver()
            except Unreachable:
                continue
            if not one.pending:
                return True
    return False


def picture(mlflow: FakeRuns) -> dict[str, Any]:
    """Return all that a user of MLflow can see, without the ids that MLflow chose.

    How far a run is may be told too low where writes take effect in another order.
    """
    names = {key: run.name for key, run in mlflow.live.items()}
    assert len(set(names.values())) == len(names), f"duplicates among {sorted(names.values())}"

    def plain(text: str) -> str:
        for key, name in names.items():
            text = text.replace(key, name)
        return text

    return {
        run.name: (
            run.started_ms,
            run.status,
            run.params,
            {key: plain(value) for key, value in run.tags.items() if key != UPTO},
            sorted((one.key, one.step, one.at_ms, repr(one.value)) for one in run.points),
        )
        for run in mlflow.live.values()
    }


def by_name(mlflow: FakeRuns) -> dict[str, FakeRun]:
    """Return the runs by name."""
    return {run.name: run for run in mlflow.live.values()}


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Return the folder of a sweep of two sessions."""
    return journal(tmp_path, WHOLE)


@pytest.fixture
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what MLflow shows when nothing goes wrong."""
    mlflow = FakeRuns()
    assert deliver(journal(tmp_path_factory.mktemp("undisturbed"), WHOLE), mlflow)
    return picture(mlflow)


class TestWhatIsShown:
    """What MLflow holds after a sweep."""

    @pytest.fixture
    def runs(self, whole: Path) -> dict[str, FakeRun]:
        """Return the runs by name."""
        mlflow = FakeRuns()
        assert deliver(whole, mlflow)
        return by_name(mlflow)

    def test_one_run_for_the_sweep_and_one_for_each_trial(self, runs: dict[str, FakeRun]) -> None:
        """All trials are children of the sweep's run."""
        assert sorted(runs) == ["digits", "t0000", "t0001", "t0002", "t0003", "t0004", "t0005"]
        assert {PARENT in run.tags for name, run in runs.items() if name != "digits"} == {True}
        assert PARENT not in runs["digits"].tags

    @pytest.mark.parametrize(
        ("name", "status", "outcome"),
        [
            ("t0000", "FINISHED", "completed"),
            ("t0001", "FINISHED", "stopped"),
            ("t0002", "FAILED", "failed"),
            ("t0003", "FINISHED", "completed"),
            ("t0004", "FINISHED", "infeasible"),
            ("t0005", "FAILED", "lost"),
            ("digits", "FINISHED", None),
        ],
    )
    def test_a_status_for_each_outcome(
        self, runs: dict[str, FakeRun], name: str, status: str, outcome: str | None
    ) -> None:
        """MLflow's status is coarse, the tag is exact."""
        assert (runs[name].status.name, runs[name].tags.get("outcome")) == (status, outcome)

    def test_times_are_the_journals(self, runs: dict[str, FakeRun]) -> None:
        """A run starts with its first attempt and ends when its end was journaled, not when it was delivered."""
        seqs = [index for index, event in enumerate(WHOLE) if getattr(event, "trial", None) == 0]
        assert runs["t0000"].started_ms == int((START_AT + 0.25 * seqs[1]) * 1000)
        assert runs["t0000"].status.ended_ms == int((START_AT + 0.25 * seqs[-1]) * 1000)
        assert runs["digits"].started_ms == int(START_AT * 1000)

    def test_every_epoch_of_every_metric(self, runs: dict[str, FakeRun]) -> None:
        """Steps are epochs, and each is there once."""
        curve = {one.step: one.value for one in runs["t0000"].points if one.key == "val_accuracy"}
        assert curve == {1: 0.5, 2: 0.7, 3: 0.6}
        assert len([one for one in runs["t0000"].points if one.key == "loss"]) == 3

    def test_the_objective_only_where_it_improves(self, runs: dict[str, FakeRun]) -> None:
        """The last point of `objective` is the trial's value."""
        assert {one.step: one.value for one in runs["t0000"].points if one.key == "objective"} == {1: 0.5, 2: 0.7}
        assert {one.step: one.value for one in runs["t0003"].points if one.key == "objective"} == {1: 0.4, 2: 0.8}

    def test_infinity_becomes_nan(self, runs: dict[str, FakeRun]) -> None:
        """MLflow would store infinity as a huge number; an infinite objective is no value at all."""
        values = {one.key: one.value for one in runs["t0002"].points}
        assert math.isnan(values["val_accuracy"])
        assert "objective" not in values

    def test_parameters_origin_and_marks(self, runs: dict[str, FakeRun]) -> None:
        """A trial shows what its model read, where it came from, and what is to be known about it."""
        assert runs["t0001"].params == {"learning_rate": "0.01", "units": "64"}
        assert runs["t0001"].tags["mlflow.user"] == "ada"
        assert runs["t0001"].tags["kerasweep.trial_key"] == "digits-1/1"
        assert runs["t0001"].tags["reason"] == "rung 1: 2nd of 2"
        assert (runs["t0003"].tags["attempt"], runs["t0003"].tags["reproduced"]) == ("2", "false")

    def test_the_sweep_shows_where_it_stands(self, runs: dict[str, FakeRun]) -> None:
        """Counts, the best trial, and a table of the best that links to them."""
        tags = runs["digits"].tags
        assert (tags["best_trial"], tags["best_value"]) == ("3", "0.8")
        assert tags["trials"] == "2 completed, 1 stopped, 1 failed, 1 infeasible, 1 lost"
        rows = [line for line in tags["mlflow.note.content"].splitlines() if line.startswith("| ")]
        assert [row.split("|")[2].split("]")[0].strip(" [") for row in rows[2:]] == ["t0003", "t0000", "t0001"]


class TestRepetition:
    """Delivering twice is delivering once."""

    def test_from_every_cursor(self, whole: Path, undisturbed: dict[str, Any]) -> None:
        """Wherever the cursor is set back to, the end is the same."""
        for cursor in range(len(WHOLE) + 1):
            mlflow = FakeRuns()
            assert deliver(whole, mlflow)
            with TrackerDb(whole, HERE) as db:
                db.advance(cursor)
            assert deliver(whole, mlflow)
            assert picture(mlflow) == undisturbed, cursor
            (whole / "tracker.db").unlink()

    def test_in_steps_of_every_size(self, tmp_path: Path, undisturbed: dict[str, Any]) -> None:
        """It does not matter what came together and what alone; nor that each step is another process."""
        for size in range(1, len(WHOLE)):
            folder, mlflow, times = tmp_path / str(size), FakeRuns(), clock()
            folder.mkdir()
            with Journal(folder, clock=lambda times=times: next(times)) as one:
                for first in range(0, len(WHOLE), size):
                    one.append(*WHOLE[first : first + size])
                    assert deliver(folder, mlflow)
            assert picture(mlflow) == undisturbed, size

    def test_a_lost_memo_is_rebuilt(self, whole: Path, undisturbed: dict[str, Any]) -> None:
        """Without `tracker.db` the runs are found by their tags."""
        mlflow = FakeRuns()
        assert deliver(whole, mlflow)
        (whole / "tracker.db").write_bytes(b"this is no database")
        assert deliver(whole, mlflow)
        assert picture(mlflow) == undisturbed

    def test_a_lost_mlflow_is_filled_again(self, whole: Path, undisturbed: dict[str, Any]) -> None:
        """Where the sweep's run is not there any more, all is delivered once more."""
        assert deliver(whole, FakeRuns())
        mlflow = FakeRuns()
        assert deliver(whole, mlflow)
        assert picture(mlflow) == undisturbed

    def test_nothing_to_do_costs_next_to_nothing(self, whole: Path) -> None:
        """A tracker that finds all delivered looks once and writes the sweep's own run only."""
        mlflow = FakeRuns()
        assert deliver(whole, mlflow)
        before = mlflow.requests
        assert deliver(whole, mlflow)
        assert mlflow.requests - before <= 6


class TestFaults:
    """Any request may fail, before its effect or after it."""

    @pytest.mark.parametrize("after", [False, True], ids=["request lost", "answer lost"])
    @pytest.mark.parametrize("fault", [Unreachable("timed out"), Killed()], ids=["outage", "killed"])
    def test_every_request_fails_once(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        undisturbed: dict[str, Any],
        fault: BaseException,
        after: bool,
    ) -> None:
        """Whichever request it is, there is one run for each trial and one point for each value in the end."""
        at = 0
        while True:
            at += 1
            mlflow, times = FakeRuns(), clock()
            mlflow.fault_at, mlflow.fault, mlflow.after = at, fault, after
            folder = tmp_path_factory.mktemp("faults")
            with Journal(folder, clock=lambda times=times: next(times)) as one:
                for events in (WHOLE[:8], WHOLE[8:14], WHOLE[14 : len(first_session())], second_session()):
                    one.append(*events)
                    survive(folder, mlflow)
            assert picture(mlflow) == undisturbed, at
            if mlflow.requests < at:
                return

    def test_a_create_that_takes_effect_late(self, whole: Path, undisturbed: dict[str, Any]) -> None:
        """A run that turns up after we looked for it in vain is a duplicate, and goes."""
        mlflow, late = FakeRuns(), FakeRun(name="t0000", started_ms=0, tags={})
        mlflow.fault_at, search = 4, mlflow.find

        def find_before_it_is_there(experiment_id: str, sweep_id: str) -> Any:
            found = search(experiment_id, sweep_id)
            if mlflow.requests >= 5 and "late" not in mlflow.runs:
                run = next(iter(mlflow.runs.values()))
                late.tags = {**run.tags, "kerasweep.trial_key": "digits-1/0"}
                mlflow.runs["late"] = late
            return found

        mlflow.find = find_before_it_is_there  # pyright: ignore[reportAttributeAccessIssue]
        assert deliver(whole, mlflow)
        assert late.deleted
        assert picture(mlflow) == undisturbed

    def test_an_outage(self, whole: Path, undisturbed: dict[str, Any]) -> None:
        """While MLflow is down nothing is lost; when it is back all of it arrives."""
        mlflow = FakeRuns()
        mlflow.down = True
        assert not deliver(whole, mlflow)
        mlflow.down = False
        assert deliver(whole, mlflow)
        assert picture(mlflow) == undisturbed

    def test_a_refused_item_holds_nothing_up(self, whole: Path) -> None:
        """What MLflow will never take is left out and counted; all around it arrives."""

        def poison(item: Item) -> Exception | None:
            bad = isinstance(item, Point) and item.key == "loss" and item.step == 2
            return Refused("invalid") if bad else None

        mlflow = FakeRuns()
        mlflow.poison = poison
        assert deliver(whole, mlflow)
        assert {one.step for one in by_name(mlflow)["t0000"].points if one.key == "loss"} == {1, 3}
        assert by_name(mlflow)["t0000"].params == {"learning_rate": "0.1", "units": "32"}
        assert refused(whole) == 2  # of trials 0 and 3

    def test_an_item_that_breaks_the_server(self, whole: Path) -> None:
        """What fails again and again while others succeed is found and left out too."""

        def poison(item: Item) -> Exception | None:
            return Unreachable("500") if isinstance(item, Tag) and item.value == "stopped" else None

        mlflow = FakeRuns()
        mlflow.poison = poison
        assert deliver(whole, mlflow)
        run = by_name(mlflow)["t0001"]
        assert ("outcome" in run.tags, run.tags["reason"], run.status.name) == (False, "rung 1: 2nd of 2", "FINISHED")
        assert refused(whole) == 1

    def test_a_parameter_that_changed(self, tmp_path: Path) -> None:
        """A value that MLflow has otherwise is refused, the trial's metrics still arrive."""
        mlflow, times = FakeRuns(), clock()
        with Journal(tmp_path, clock=lambda: next(times)) as one:
            one.append(started(), *begun(0))
            assert deliver(tmp_path, mlflow)
            by_name(mlflow)["t0000"].params["units"] = "other"
            one.append(*begun(0, attempt=2), reported(0, 1, 0.5, attempt=2))
            assert deliver(tmp_path, mlflow)
        assert len(by_name(mlflow)["t0000"].points) == 3
        assert refused(tmp_path) == 1

    def test_a_run_that_was_deleted_by_hand(self, tmp_path: Path) -> None:
        """Its trial stays deleted, also for a later tracker, and the others are delivered."""
        mlflow, times = FakeRuns(), clock()
        with Journal(tmp_path, clock=lambda: next(times)) as one:
            one.append(started(), *begun(0), *begun(1))
            assert deliver(tmp_path, mlflow)
            by_name(mlflow)["t0000"].deleted = True
            one.append(reported(0, 1, 0.5), reported(1, 1, 0.5))
            assert deliver(tmp_path, mlflow)
        assert sorted(by_name(mlflow)) == ["digits", "t0001"]
        assert len(by_name(mlflow)["t0001"].points) == 3

    def test_the_sweeps_run_was_deleted_by_hand(self, tmp_path: Path) -> None:
        """While a tracker works it is left alone; a later one delivers all again."""
        mlflow = FakeRuns()
        folder = journal(tmp_path, WHOLE)
        with Reader(folder) as reader, TrackerDb(folder, HERE) as db:
            one = Delivery(reader, db, lambda: mlflow, HERE.experiment)
            one.backlog.read()
            one.deliver()
            by_name(mlflow)["digits"].deleted = True
            one.over = True
            one.deliver()
            assert not one.pending
        assert "digits" not in by_name(mlflow)
        assert deliver(folder, mlflow)
        (parent,) = [key for key, run in mlflow.live.items() if run.name == "digits"]
        assert {run.tags[PARENT] for run in mlflow.live.values() if run.name != "digits"} == {parent}

    def test_the_cursor_waits_for_the_delivery(self, whole: Path) -> None:
        """It stays where it was while anything is missing, and is at the end when nothing is."""
        mlflow = FakeRuns()
        mlflow.down = True
        deliver(whole, mlflow)
        assert cursor(whole) == 0
        mlflow.down = False
        deliver(whole, mlflow)
        assert cursor(whole) == len(WHOLE)


class TestStatuses:
    """A run says whether anybody works on it."""

    def test_while_a_driver_works(self, tmp_path: Path) -> None:
        """The sweep and its open trials are running, also one that waits for its next attempt."""
        mlflow = FakeRuns()
        assert deliver(journal(tmp_path, first_session()[:-1]), mlflow)
        states = {name: run.status.name for name, run in by_name(mlflow).items()}
        assert states == {
            "digits": "RUNNING",
            "t0000": "FINISHED",
            "t0001": "FINISHED",
            "t0002": "FAILED",
            "t0003": "RUNNING",
        }

    def test_the_driver_is_gone(self, tmp_path: Path) -> None:
        """Without a driver, what has not ended was killed, at the time of the last event."""
        mlflow = FakeRuns()
        assert deliver(journal(tmp_path, first_session()[:-1]), mlflow, over=True)
        last_ms = int((START_AT + 0.25 * (len(first_session()) - 2)) * 1000)
        assert by_name(mlflow)["t0003"].status == Status(name="KILLED", ended_ms=last_ms)
        assert by_name(mlflow)["digits"].status == Status(name="KILLED", ended_ms=last_ms)

    @pytest.mark.parametrize(("code", "status"), [(0, "FINISHED"), (1, "FAILED"), (130, "KILLED"), (143, "KILLED")])
    def test_the_end_of_a_sweep(self, tmp_path: Path, code: int, status: str) -> None:
        """The exit code decides."""
        mlflow = FakeRuns()
        assert deliver(journal(tmp_path, [started(), SweepEnded(why="budget", exit_code=code)]), mlflow)
        assert by_name(mlflow)["digits"].status.name == status

    def test_resumed_after_a_kill(self, tmp_path: Path) -> None:
        """The killed runs run again, and go on in the same place."""
        mlflow, times = FakeRuns(), clock()
        with Journal(tmp_path, clock=lambda: next(times)) as one:
            one.append(*first_session()[:-1])
            assert deliver(tmp_path, mlflow, over=True)
            before = {name: key for key, run in mlflow.live.items() for name in [run.name]}
            one.append(*second_session()[:3])
            assert deliver(tmp_path, mlflow)
            assert {name: by_name(mlflow)[name].status.name for name in ("digits", "t0003")} == {
                "digits": "RUNNING",
                "t0003": "RUNNING",
            }
            one.append(*second_session()[3:])
            assert deliver(tmp_path, mlflow)
        assert {key: mlflow.runs[key].name for key in before.values()} == {key: name for name, key in before.items()}
        assert by_name(mlflow)["t0003"].status.name == "FINISHED"

    def test_a_trial_that_was_only_asked_for(self, tmp_path: Path) -> None:
        """It has no run yet."""
        mlflow = FakeRuns()
        assert deliver(journal(tmp_path, [started(), begun(0)[0]]), mlflow)
        assert sorted(by_name(mlflow)) == ["digits"]

    def test_the_driver_vanishes_in_mid_delivery(self, tmp_path: Path) -> None:
        """The delivery breaks off; taken up again, it begins with what is to be killed."""
        mlflow, order = FakeRuns(), list[str]()
        folder = journal(tmp_path, first_session()[:-1])
        with Reader(folder) as reader, TrackerDb(folder, HERE) as db:
            one = Delivery(reader, db, lambda: mlflow, HERE.experiment)
            one.backlog.read()
            assert not one.deliver(keep_going=lambda: "t0000" not in by_name(mlflow))
            assert one.pending
            one.over = True
            assert one.deliver()
            assert not one.pending
        order = [run.name for run in mlflow.runs.values()]
        assert order == ["digits", "t0000", "t0003", "t0001", "t0002"]


class TestPace:
    """How much is asked of MLflow."""

    def test_a_trials_news_are_one_request(self, tmp_path: Path) -> None:
        """Any number of epochs is written at once."""
        mlflow, times = FakeRuns(), clock()
        with (
            Journal(tmp_path, clock=lambda: next(times)) as one,
            Reader(tmp_path) as reader,
            TrackerDb(tmp_path, HERE) as db,
        ):
            one.append(started(), *begun(0))
            it = Delivery(reader, db, lambda: mlflow, HERE.experiment)
            it.backlog.read()
            it.deliver()
            before = mlflow.requests
            one.append(*(reported(0, epoch, 0.5) for epoch in range(1, 200)))
            it.backlog.read()
            it.deliver()
        assert mlflow.requests == before + 1

    def test_the_note_waits_while_the_sweep_runs(self, tmp_path: Path) -> None:
        """It is written at most every ten seconds, and once more at the end."""
        mlflow, times, time = FakeRuns(), clock(), Time()
        with (
            Journal(tmp_path, clock=lambda: next(times)) as one,
            Reader(tmp_path) as reader,
            TrackerDb(tmp_path, HERE) as db,
        ):
            it = Delivery(reader, db, lambda: mlflow, HERE.experiment, clock=time)

            def noted(*events: Event) -> str:
                one.append(*events)
                it.backlog.read()
                it.over = it.backlog.history.ended is not None
                it.deliver()
                return by_name(mlflow)["digits"].tags["mlflow.note.content"]

            noted(started(), *begun(0), reported(0, 1, 0.5))
            first = noted(ended(0, OutcomeKind.COMPLETED, value=0.5, epoch=1))
            assert "t0000" not in first
            assert not it.pending
            time.now += delivery_module.NOTE_S
            assert it.pending
            assert "t0000" in noted(*begun(1), reported(1, 1, 0.9))
            assert "t0001" in noted(
                ended(1, OutcomeKind.COMPLETED, value=0.9, epoch=1), SweepEnded(why="budget", exit_code=0)
            )

    def test_a_view_that_is_rewritten_for_new_parameters(self, tmp_path: Path) -> None:
        """The leaderboard gets a column when a model reads a parameter that nobody knew."""
        mlflow, times = FakeRuns(), clock()
        with Journal(tmp_path, clock=lambda: next(times)) as one:
            one.append(started(declared=[]))
            assert deliver(tmp_path, mlflow)
            (before,) = mlflow.views.values()
            one.append(*begun(0))
            assert deliver(tmp_path, mlflow)
        ((key, after),) = mlflow.views.items()
        assert key.startswith("mlflow.sharedViewState.")
        assert json.loads(after)["name"] == "Leaderboard digits"
        assert before != after


def test_a_sweep_whose_last_value_counts(tmp_path: Path) -> None:
    """With `at: last` the objective is logged at every epoch."""
    goal = {"metric": "val_accuracy", "direction": "max", "at": "last"}
    mlflow = FakeRuns()
    events = [started(objective=goal), *begun(0), reported(0, 1, 0.5), reported(0, 2, 0.41234567)]
    assert deliver(journal(tmp_path, events), mlflow)
    points = {one.step: one.value for one in by_name(mlflow)["t0000"].points if one.key == "objective"}
    assert points == {1: 0.5, 2: 0.412346}


def test_another_destination_gets_everything(whole: Path, undisturbed: dict[str, Any]) -> None:
    """Each destination has a cursor of its own."""
    assert deliver(whole, FakeRuns())
    mlflow, there = FakeRuns(), Destination(uri="http://elsewhere", experiment="lab")
    with Reader(whole) as reader, TrackerDb(whole, there) as db:
        one = Delivery(reader, db, lambda: mlflow, there.experiment)
        one.backlog.read()
        one.over = True
        assert one.deliver()
        assert set(db.runs) == {SWEEP, 0, 1, 2, 3, 4, 5}
    assert picture(mlflow) == undisturbed


def survive(folder: Path, mlflow: FakeRuns) -> None:
    """Deliver, with another process each time that one was killed."""
    while True:
        try:
            assert deliver(folder, mlflow)
        except Killed:
            continue
        return


def _memo(folder: Path, read: Callable[[Any], int]) -> int:
    with closing(sqlite3.connect(folder / "tracker.db")) as db:
        return read(db.execute("SELECT cursor, refused FROM destinations").fetchone())


def cursor(folder: Path) -> int:
    """Return how far the memo says the delivery is."""
    return _memo(folder, lambda row: row[0])


def refused(folder: Path) -> int:
    """Return how many items the memo says were refused."""
    return _memo(folder, lambda row: row[1])
