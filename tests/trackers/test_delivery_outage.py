"""Tests of `kerasweep.trackers.delivery`: whose fault it is that MLflow does not take something, and what was lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kerasweep.trackers import run_book
from kerasweep.trackers.delivery import STUBBORN, Delivery
from kerasweep.trackers.journal import Journal, Reader
from kerasweep.trackers.runs import Busy, Item, Param, Status, Tag, Unreachable
from kerasweep.trackers.tracker_db import TrackerDb

from .fakes import FakeRun, FakeRuns
from .sweeps import clock, first_session, journal
from .test_delivery import HERE, WHOLE, Time, by_name, deliver, picture, refused


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


class Flaky(FakeRuns):
    """An MLflow that fails at a share of all requests, before or after their effect."""

    def __init__(self, draw: random.Random, share: float) -> None:
        super().__init__()
        self._draw = draw
        self._share = share

    def _request(self, effect: Callable[[], Any]) -> Any:
        if self._draw.random() < self._share:
            if self._draw.random() < 0.5:
                effect()
            raise Unreachable("it closed the connection before it had answered")
        return super()._request(effect)


@pytest.mark.parametrize("seed", range(20))
def test_a_flaky_network_is_nobodys_fault(whole: Path, undisturbed: dict[str, Any], seed: int) -> None:
    """However often requests fail, nothing is left out for it."""
    mlflow = Flaky(random.Random(seed), 0.3)
    assert deliver(whole, mlflow, tries=500)
    assert picture(mlflow) == undisturbed
    assert not refused(whole)


def test_a_long_outage_is_nobodys_fault(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """Failures while MLflow takes nothing count for nothing, however many they are."""
    mlflow, times = FakeRuns(), clock()
    with (
        Journal(tmp_path, clock=lambda: next(times)) as one,
        Reader(tmp_path) as reader,
        TrackerDb(tmp_path, HERE) as db,
    ):
        one.append(*WHOLE[:4])
        it = Delivery(reader, db, lambda: mlflow, HERE.experiment, clock=Time())
        it.backlog.read()
        it.deliver()
        one.append(*WHOLE[4:5])
        it.backlog.read()
        mlflow.down = True
        for _ in range(5 * STUBBORN):
            with pytest.raises(Unreachable):
                it.deliver()
        mlflow.down = False
        one.append(*WHOLE[5:])
    assert deliver(tmp_path, mlflow)
    assert picture(mlflow) == undisturbed
    assert not refused(tmp_path)


def test_what_fails_often_and_then_succeeds_is_not_left_out(whole: Path, undisturbed: dict[str, Any]) -> None:
    """An item is given up only when it has failed again and again by itself."""
    left = [STUBBORN + 6]

    def poison(item: Item) -> Exception | None:
        if item == Param("units", "64") and left[0]:
            left[0] -= 1
            return Unreachable("it answers 500")
        return None

    mlflow = FakeRuns()
    mlflow.poison = poison
    assert deliver(whole, mlflow, tries=60)
    assert not left[0]
    assert picture(mlflow) == undisturbed
    assert not refused(whole)


def test_busy_is_nobodys_fault(whole: Path, undisturbed: dict[str, Any]) -> None:
    """A full pool or a locked database never costs an item, even where everything else gets through."""
    left = [20]

    def poison(item: Item) -> Exception | None:
        if item == Param("units", "64") and left[0]:
            left[0] -= 1
            return Busy("QueuePool limit of size 5 overflow 10 reached")
        return None

    mlflow = FakeRuns()
    mlflow.poison = poison
    assert deliver(whole, mlflow, tries=60)
    assert not left[0]
    assert picture(mlflow) == undisturbed


def test_a_poisoned_item_does_not_hold_the_others_up(whole: Path) -> None:
    """In the round in which one trial fails all others and the sweep itself are delivered."""

    def poison(item: Item) -> Exception | None:
        return Unreachable("it answers 500") if item == Tag("outcome", "stopped") else None

    mlflow = FakeRuns()
    mlflow.poison = poison
    assert not deliver(whole, mlflow, tries=1)
    runs = by_name(mlflow)
    assert runs.pop("t0001").status.name == "RUNNING"
    assert len(runs) == 6
    assert "RUNNING" not in {run.status.name for run in runs.values()}


class Stubborn(FakeRuns):
    """An MLflow with requests that it never takes."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception = Unreachable("it answers 403 Forbidden")

    def set_status(self, run_id: str, status: Status) -> None:
        """Refuse the end of one trial."""
        if self.runs[run_id].name == "t0001":
            raise self.error
        super().set_status(run_id, status)

    def set_view(self, experiment_id: str, key: str, value: str) -> None:
        """Refuse tags of experiments."""
        raise self.error


def test_a_request_that_is_never_taken_does_not_hold_the_sweep_up(whole: Path) -> None:
    """Also where it is no item that fails, but a status or the view."""
    mlflow = Stubborn()
    assert deliver(whole, mlflow, tries=60)
    runs = by_name(mlflow)
    assert runs["t0001"].tags["outcome"] == "stopped"
    assert [name for name, run in runs.items() if run.status.name == "RUNNING"] == ["t0001"]
    assert refused(whole) == 2


# What was there and is not any more ------------------------------------------------------------------------------------


def partly(folder: Path, mlflow: FakeRuns) -> Iterator[Delivery]:
    """Deliver some, let something happen, deliver the rest."""
    time = Time()
    with Reader(folder) as reader, TrackerDb(folder, HERE) as db:
        one = Delivery(reader, db, lambda: mlflow, HERE.experiment, clock=time)
        one.backlog.read()
        assert not one.deliver(keep_going=lambda: len(mlflow.runs) < 4)
        yield one
        one.over = True
        for _ in range(6):
            time.now += 60.0
            try:
                one.deliver()
            except Unreachable:
                continue
        assert not one.pending


def lose(mlflow: FakeRuns, *names: str) -> None:
    """Let runs be as if they had never been."""
    for key in [key for key, run in mlflow.runs.items() if not names or run.name in names]:
        del mlflow.runs[key]


@pytest.mark.parametrize("names", [(), ("digits",), ("t0000",), ("t0000", "t0001")], ids=str)
def test_lost_while_it_is_delivered(whole: Path, undisturbed: dict[str, Any], names: tuple[str, ...]) -> None:
    """A store that is not the one it was, or lacks some of it, gets all of the sweep: nobody deleted it."""
    mlflow = FakeRuns()
    for _ in partly(whole, mlflow):
        lose(mlflow, *names)
    if names in (("t0000",), ("t0000", "t0001")):  # they had been delivered: a later tracker looks
        assert deliver(whole, mlflow)
    assert picture(mlflow) == undisturbed


@pytest.mark.parametrize("names", [("t0003",), ("t0000", "t0005"), ("digits",)], ids=str)
def test_lost_before_the_next_tracker(whole: Path, undisturbed: dict[str, Any], names: tuple[str, ...]) -> None:
    """As where a backup was restored."""
    mlflow = FakeRuns()
    assert deliver(whole, mlflow)
    lose(mlflow, *names)
    assert deliver(whole, mlflow)
    assert picture(mlflow) == undisturbed


def test_a_create_that_takes_effect_when_mlflow_wakes_up(
    whole: Path, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long after its answer was given up, and after the search at which MLflow answered again."""
    mlflow, time, late = FakeRuns(), Time(), list[Mapping[str, str]]()
    create = mlflow.create

    def hangs(_experiment: str, _name: str, _started: int, tags: Mapping[str, str]) -> str:
        late.append(tags)
        raise Unreachable("no answer in time")

    with Reader(whole) as reader, TrackerDb(whole, HERE) as db:
        one = Delivery(reader, db, lambda: mlflow, HERE.experiment, clock=time)
        one.backlog.read()
        assert not one.deliver(keep_going=lambda: len(mlflow.runs) < 2)
        monkeypatch.setattr(mlflow, "create", hangs)
        with pytest.raises(Unreachable):
            one.deliver()
        mlflow.down = True
        for _ in range(10):
            time.now += 60.0
            with pytest.raises(Unreachable):
                one.deliver()
        mlflow.down = False
        monkeypatch.setattr(mlflow, "create", create)
        assert one.deliver()
        (tags,) = late
        mlflow.runs["late"] = FakeRun(name="t0001", started_ms=1, tags=dict(tags))
        assert not one.pending or not one.backlog.trials
        time.now += run_book.DOUBT_S + 1
        assert one.pending
        one.over = True
        assert one.deliver()
        assert mlflow.runs["late"].deleted
    assert picture(mlflow) == undisturbed


class Hung(FakeRuns):
    """An MLflow that hangs for a while; when it wakes up it does what it was asked last, then what it was asked before."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs = False
        self.asked: list[Callable[[], Any]] = []

    def _request(self, effect: Callable[[], Any]) -> Any:
        if self.hangs:
            self.asked.append(effect)
            raise Unreachable("no answer in time")
        result = super()._request(effect)
        while self.asked:
            self.asked.pop()()
        return result


@pytest.mark.parametrize("after", range(1, 16))
def test_writes_that_take_effect_in_another_order(tmp_path: Path, undisturbed: dict[str, Any], after: int) -> None:
    """What was asked of a server that hung, and again when it did not, is done at last in the order that counts."""
    mlflow, time, times = Hung(), Time(), clock()
    session = len(first_session())
    with (
        Journal(tmp_path, clock=lambda: next(times)) as one,
        Reader(tmp_path) as reader,
        TrackerDb(tmp_path, HERE) as db,
    ):
        one.append(*WHOLE[:session])
        it = Delivery(reader, db, lambda: mlflow, HERE.experiment, clock=time)
        it.backlog.read()
        it.over = True
        it.deliver()
        it.over = False
        for event in WHOLE[session:]:
            one.append(event)
            it.backlog.read()
            it.over = it.backlog.history.ended is not None
            time.now += 60.0
            mlflow.hangs = after <= it.backlog.history.seq - session < after + 3
            with suppress(Unreachable):
                it.deliver()
        mlflow.hangs = False
        for _ in range(6):
            time.now += 60.0
            it.deliver()
        assert not it.pending
    assert picture(mlflow) == undisturbed


def test_a_late_effect_that_the_last_look_finds(whole: Path, undisturbed: dict[str, Any]) -> None:
    """A status and tags that an old request has set back are set right before the delivery counts as complete."""
    mlflow, time, looks = FakeRuns(), Time(), list[int]()
    find = mlflow.find

    def find_set_back(experiment_id: str, sweep_id: str) -> Any:
        looks.append(mlflow.requests)
        if one.over and not one.backlog.trials and len(looks) == 2:
            by_name(mlflow)["t0003"].status = Status(name="RUNNING")
            by_name(mlflow)["digits"].tags["trials"] = "1 running"
        return find(experiment_id, sweep_id)

    mlflow.find = find_set_back  # pyright: ignore[reportAttributeAccessIssue]
    with Reader(whole) as reader, TrackerDb(whole, HERE) as db:
        one = Delivery(reader, db, lambda: mlflow, HERE.experiment, clock=time)
        one.backlog.read()
        one.over = True
        mlflow.fault_at = 6  # a write
        with pytest.raises(Unreachable):
            one.deliver()
        assert one.deliver()
        assert len(looks) == 2
        assert one.pending
        assert db.cursor < one.backlog.history.seq
        assert one.deliver()
        assert not one.pending
        assert db.cursor == one.backlog.history.seq
    assert picture(mlflow) == undisturbed


def test_a_tag_of_the_sweep_that_is_never_taken(whole: Path) -> None:
    """It is left out, and the look at the end does not go on for ever."""

    def poison(item: Item) -> Exception | None:
        return Unreachable("it answers 413") if isinstance(item, Tag) and item.key == "best_value" else None

    mlflow = FakeRuns()
    mlflow.poison = poison
    assert deliver(whole, mlflow, tries=60)
    assert "best_value" not in by_name(mlflow)["digits"].tags
    assert by_name(mlflow)["digits"].status.name == "FINISHED"
