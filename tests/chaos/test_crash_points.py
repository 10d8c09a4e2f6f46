"""A sweep that dies at each of its durable writes and requests in turn, and is resumed."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from kerasweep.search.budget import Budget
from kerasweep.search.core import replay
from kerasweep.search.inbox import post
from kerasweep.search.requests import again
from kerasweep.search.spec import Search, SweepSpec
from kerasweep.spaces.errors import Infrastructure
from kerasweep.trackers.events import SweepAmended, SweepRestored, TrialEnded, TrialRetried
from kerasweep.trackers.history import History
from kerasweep.trackers.journal import Journal
from kerasweep.trackers.status import delivery_status

from ..trackers.fakes import Killed
from .invariants import check, entries, in_fake
from .world import TRIALS, World, all_points, kill_at, small

pytestmark = pytest.mark.usefixtures("quiet")
FAILS = 3
LONG = "KERASWEEP_CHAOS" in os.environ
"""Nightly: two kills in one sweep, all of them; otherwise a few pairs, whose seed is printed on failure."""


def sound(world: World, undisturbed: Path | None = None) -> None:
    """Assert that a sweep has come to its end as if nothing had happened."""
    check(world.folder, trials=TRIALS, runs=in_fake(world.mlflow), like=undisturbed)


@pytest.fixture
def undisturbed(home: Path) -> Path:
    """Return the folder of the sweep to which nothing happens."""
    world = World(home / "undisturbed")
    world.run()
    sound(world)
    return world.folder


def photographs(
    home: Path, world: World, run: Callable[[World], None] = World.run, album: str = "album"
) -> list[tuple[str, World]]:
    """Run a world to its end; return what a kill would have left at each point, where it differs from the one before."""
    taken: list[tuple[str, World]] = []
    seen: set[tuple[bytes, int]] = set()

    def touch(what: str) -> None:
        files = b"".join(path.read_bytes() for path in sorted(world.folder.glob("*.db*")) if path.suffix != ".db-shm")
        if (files, world.mlflow.requests) not in seen:
            seen.add((files, world.mlflow.requests))
            taken.append((what, world.moved(home / album / str(len(taken)))))

    world.touch = touch
    run(world)
    return taken


@pytest.mark.parametrize("slots", [1, 2])
def test_a_sweep_killed_at_any_durable_write_comes_to_its_end(home: Path, undisturbed: Path, slots: int) -> None:
    """Driver and tracker die together before or after each commit; resumed, nothing is lost, repeated or doubled."""
    taken = photographs(home, World(home / "whole", slots=slots))
    assert len(taken) > 50
    assert {what.partition(" ")[2] for what, _ in taken} >= {"a commit of the journal", "set_run of the memo"}
    for what, world in taken if slots == 1 or LONG else taken[::16]:
        before = entries(world.folder)
        world.run()
        after = entries(world.folder)
        assert after[: len(before)] == before, what
        sound(world, undisturbed if slots == 1 else None)


def test_a_tracker_that_outlives_its_driver_leaves_no_run_running(home: Path, undisturbed: Path) -> None:
    """The driver dies at each of its commits; the tracker marks what was open, and the resumed sweep ends as ever."""
    taken = [(what, world) for what, world in photographs(home, World(home / "whole")) if entries(world.folder)]
    for what, world in taken if LONG else taken[::8]:
        world.deliver()
        check(world.folder, runs=in_fake(world.mlflow))
        assert what
        world.run()
        sound(world, undisturbed)


def test_a_learning_search_goes_on_as_it_would_have(home: Path) -> None:
    """With one slot TPE proposes the same trials after a kill at any commit as without one."""
    what = small(search=Search(sampler="tpe", seed=5))
    whole = World(home / "whole", what)
    for point, world in photographs(home, whole)[::12]:
        world.run()
        assert point
        sound(world, whole.folder)


def test_after_a_power_cut_the_memo_may_be_older_than_the_journal(home: Path, undisturbed: Path) -> None:
    """The journal is synchronized at each commit, the tracker's memo is not: any earlier one, or none, will do."""
    taken = photographs(home, World(home / "whole"))
    for index, (_, world) in enumerate(taken):
        if index % 10 and not LONG:
            continue
        cut = world.moved(home / "cut" / str(index))
        for name in ("tracker.db", "tracker.db-wal"):
            (cut.folder / name).unlink(missing_ok=True)
            older = taken[index // 2][1].folder / name
            if index % 20 and older.exists():
                shutil.copy(older, cut.folder)
        cut.run()
        sound(cut, undisturbed)


def resumed_until_done(home: Path, world: World) -> int:
    """Run a world, resume it after each death; return how often it died."""
    for deaths in range(20):
        try:
            world.run()
        except Killed:
            left = home / "left" / f"{world.folder.name}-{deaths}"
            touch = world.touch
            other = world.moved(left)
            shutil.rmtree(world.folder)
            left.rename(world.folder)
            world.mlflow, world.touch = other.mlflow, touch
        else:
            return deaths
    raise AssertionError("it dies for ever")


def test_a_sweep_killed_again_and_again_comes_to_its_end(home: Path, undisturbed: Path) -> None:
    """A kill every so many durable writes, in the first run and in those that resume it."""
    seed = random.randrange(10**6)
    draw = random.Random(seed)
    for number in range(2_000 if LONG else 4):
        world = World(home / f"world{number}")
        fuses = [kill_at(draw.randrange(1, 40)) for _ in range(4)]

        def touch(what: str, fuses: list[Callable[[str], None]] = fuses) -> None:
            if fuses:
                try:
                    fuses[0](what)
                except Killed:
                    fuses.pop(0)
                    raise

        world.touch = touch
        try:
            assert resumed_until_done(home, world) > 0
            sound(world, undisturbed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, world {number}: {error}") from error
        shutil.rmtree(world.folder)


# What users ask for -----------------------------------------------------------------------------------------------------


def run_and_steer(world: World) -> None:
    """Run a world; once its third trial has failed have that run again, and give the sweep two trials more."""
    asked = False
    with world.driver() as driver, world.tracker() as tracker:
        while driver.turn():
            tracker.turn()
            if not asked and FAILS in driver.ledger.state.retryable:
                asked = True
                post(world.folder, {"type": "retry", "trials": [FAILS]})
                post(world.folder, {"type": "set", "settings": [f"budget.trials={TRIALS + 2}"]})
    world.deliver()


def budget_of(world: World) -> int:
    """Let a world's next driver go by what is journaled, as `resume` does; return how many trials are to count."""
    journaled = History.of(entries(world.folder)).spec
    if journaled:
        world.spec = SweepSpec.from_json(journaled)
    return world.spec.budget.trials or 0


@pytest.mark.parametrize("slots", [1, 2])
def test_a_sweep_that_is_steered_may_be_killed_at_any_durable_write(home: Path, slots: int) -> None:
    """What was asked for is done or is not; either way the budget is exact, and MLflow has each trial's one run."""
    whole = World(home / "whole", slots=slots)
    taken = photographs(home, whole, run_and_steer)
    check(whole.folder, trials=TRIALS + 2, runs=in_fake(whole.mlflow))
    steered = [one.event for one in entries(whole.folder) if isinstance(one.event, TrialRetried | SweepAmended)]
    assert len(steered) == 2
    assert [one.event.trial for one in entries(whole.folder) if isinstance(one.event, TrialEnded)].count(FAILS) == 2
    seen: set[int] = set()
    for what, world in taken if LONG else taken[slots::12]:
        trials = budget_of(world)
        seen.add(trials)
        before = entries(world.folder)
        world.run()
        assert entries(world.folder)[: len(before)] == before, what
        check(world.folder, trials=trials, runs=in_fake(world.mlflow))
    assert seen == {TRIALS, TRIALS + 2}


def test_a_sweep_that_has_ended_runs_its_failures_again(home: Path) -> None:
    """Asked for without a driver, then resumed, and killed at any durable write of that."""
    world = World(home / "whole")
    world.run()
    with Journal(world.folder, clock=world.clock) as journal:
        journal.append(*again(replay(world.spec.rules(), entries(world.folder))))
    retried = [one.event.trial for one in entries(world.folder) if isinstance(one.event, TrialRetried)]
    assert FAILS in retried
    for what, other in photographs(home, world)[:: 1 if LONG else 8]:
        assert what
        other.run()
        check(other.folder, trials=TRIALS, runs=in_fake(other.mlflow))
    check(world.folder, trials=TRIALS, runs=in_fake(world.mlflow))


# MLflow ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["request lost", "answer lost"])
def test_any_request_to_mlflow_may_be_lost(home: Path, undisturbed: Path, after: bool) -> None:
    """While the sweep runs the n-th request fails, for every n: nothing is missing, nothing is there twice."""
    requests = 60
    for number in range(1, requests, 1 if after or LONG else 10):
        world = World(home / f"world{number}")
        world.mlflow.fault_at, world.mlflow.after = number, after
        world.run()
        sound(world, undisturbed)
        assert not any(run.deleted for run in world.mlflow.runs.values()), "there was a duplicate for a while"
        if world.mlflow.requests < number:
            return
    assert requests > 50


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_mlflow_may_lose_many_answers(home: Path, undisturbed: Path, share: float) -> None:
    """A fifth, or half, of all requests time out, some of them after their effect."""
    seed = random.randrange(10**6)
    world = World(home / "world")
    world.mlflow.flaky = random.Random(seed), share
    world.run()
    try:
        sound(world, undisturbed)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error


# The disk -------------------------------------------------------------------------------------------------------------


def test_the_disk_may_be_full_at_any_commit(home: Path, undisturbed: Path) -> None:
    """The commit that finds no room ends the driver with exit code 3; with room again the sweep is resumed."""
    commits = all_points(World(home / "whole")).count("before a commit of the journal")
    assert commits > 20
    for number in range(1, commits + 1):
        world = World(home / f"world{number}")
        left = [number]

        def touch(what: str, left: list[int] = left) -> None:
            left[0] -= what == "before a commit of the journal"
            if left[0] <= 0 and what == "before a commit of the journal":
                raise sqlite3.OperationalError("database or disk is full")

        world.touch = touch
        with pytest.raises(Infrastructure, match=r"what was journaled before is safe: free the disk, then resume"):
            world.run()
        world.touch = lambda _: None
        world.run()
        sound(world, undisturbed)


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_the_clock_may_be_set_between_two_drivers(home: Path, undisturbed: Path, jump_s: float) -> None:
    """An hour on or back: no time goes back, no trial times out, the budget of hours is not touched."""
    world = World(home / "world", small(budget=Budget(trials=TRIALS, hours=0.5)))
    world.touch = kill_at(30)
    with pytest.raises(Killed):
        world.run()
    other = world.moved(home / "other")
    other.clock.now += jump_s
    other.run()
    sound(other, undisturbed)


# The machine ----------------------------------------------------------------------------------------------------------


def test_a_sweep_goes_on_from_an_older_copy_of_its_journal(home: Path, undisturbed: Path) -> None:
    """The machine is lost at any point, MLflow has had more than the copy: no run, no metric is there twice."""
    taken = photographs(home, World(home / "whole"))
    for index, (_, world) in enumerate(taken):
        older = taken[index * 2 // 3][1].folder
        if not entries(older) or (index % 10 and not LONG):
            continue
        elsewhere = world.moved(home / "elsewhere" / str(index))
        for path in elsewhere.folder.iterdir():
            path.unlink()
        for name in ("journal.db", "journal.db-wal"):
            shutil.copy(older / name, elsewhere.folder)
        with Journal(elsewhere.folder, clock=elsewhere.clock) as journal:
            journal.append(SweepRestored(why="a copy"))
        elsewhere.clock.now += 1000.0
        elsewhere.run()
        sound(elsewhere, undisturbed)


def test_a_journal_that_lost_its_end_is_told_from_what_mlflow_had(home: Path, undisturbed: Path) -> None:
    """A disk that lied about its synchronization: memo and MLflow are ahead, what they have of open trials is redone."""
    taken, ahead = photographs(home, World(home / "whole")), 0
    for index, (_, world) in enumerate(taken):
        older = taken[index * 2 // 3][1].folder
        if not entries(older) or (index % 10 and not LONG):
            continue
        cut = world.moved(home / "cut" / str(index))
        for name in ("journal.db", "journal.db-wal"):
            shutil.copy(older / name, cut.folder)
        status = delivery_status(cut.folder)
        if status.delivered_seq > status.last_seq:
            ahead += 1
            cut.run()
            sound(cut, undisturbed)
    assert ahead > 2


def test_a_journal_and_a_memo_that_lost_their_ends_are_told_from_what_mlflow_shows(
    home: Path, undisturbed: Path
) -> None:
    """The same disk lied about both: nothing here knows any more what was sent, and no point is doubled all the same."""
    taken, ahead = photographs(home, World(home / "whole")), 0
    for index, (_, world) in enumerate(taken):
        older = taken[index * 2 // 3][1].folder
        if not entries(older) or (index % 10 and not LONG):
            continue
        cut = world.moved(home / "cut" / str(index))
        for name in ("journal.db", "journal.db-wal", "tracker.db", "tracker.db-wal"):
            (cut.folder / name).unlink(missing_ok=True)
            if (older / name).exists():
                shutil.copy(older / name, cut.folder)
        status = delivery_status(cut.folder)
        ahead += status.delivered_seq <= status.last_seq
        cut.run()
        sound(cut, undisturbed)
    assert ahead > 2
