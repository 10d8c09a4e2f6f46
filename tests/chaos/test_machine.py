"""A whole sweep in whatever order faults come: driver, tracker, MLflow, disk, clock and users, beside the invariants."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import tempfile
import time
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kerasweep.search import engine
from kerasweep.search.inbox import post
from kerasweep.spaces.errors import Infrastructure, SweepHeld
from kerasweep.trackers.events import SweepRestored, TrialEnded, TrialRetried
from kerasweep.trackers.history import History
from kerasweep.trackers.journal import GROUP_S, Journal

from ..trackers.fakes import Killed
from .conftest import MEMORY
from .invariants import check, check_transitions, entries, in_fake
from .world import TRIALS, Driver, Tracker, World

LONG = "KERASWEEP_CHAOS" in os.environ


def drives(machine: Faults) -> bool:
    """Say whether a driver is at work."""
    return machine.driver is not None


def is_idle(machine: Faults) -> bool:
    """Say whether nobody drives."""
    return machine.driver is None


def tracks(machine: Faults) -> bool:
    """Say whether a tracker is at work."""
    return machine.tracker is not None


def has_copy(machine: Faults) -> bool:
    """Say whether nobody drives and there is a copy to go on from."""
    return machine.driver is None and machine.copied


def has_busy_slot(machine: Faults) -> bool:
    """Say whether a trial runs."""
    return machine.driver is not None and bool(machine.driver.busy)


class Faults(RuleBasedStateMachine):
    """One sweep on fakes; rules do to it what the world does."""

    def __init__(self) -> None:
        super().__init__()
        logging.disable(logging.CRITICAL)
        ticks = (number * GROUP_S / 3 for number in count())
        self.patches = ExitStack()
        self.patches.enter_context(mock.patch.object(time, "monotonic", ticks.__next__))
        self.patches.enter_context(mock.patch.object(engine, "INBOX_S", 0.0))
        self.home = Path(tempfile.mkdtemp(prefix="kerasweep-chaos-", dir=MEMORY if MEMORY.is_dir() else None))
        self.driving, self.tracking = ExitStack(), ExitStack()
        self.driver: Driver | None = None
        self.tracker: Tracker | None = None
        self.copied = False
        self.ended: dict[int, TrialEnded] = {}
        self.retried: set[int] = set()

    @initialize(slots=st.integers(1, 3))
    def begin(self, slots: int) -> None:
        """Start the sweep."""
        self.world = World(self.home / "sweep", slots=slots)
        self.drive()

    # What a sweep does ------------------------------------------------------------------------------------------------

    @precondition(is_idle)
    @rule(jump_s=st.sampled_from([0.0, 0.0, 3600.0, -3600.0]))
    def drive(self, jump_s: float = 0.0) -> None:
        """Start or resume it; the clock of the machine may have been set meanwhile."""
        self.world.clock.now += jump_s
        self.driver = self.driving.enter_context(self.world.driver())

    @precondition(drives)
    @rule()
    def ask(self) -> None:
        """A free slot asks for work."""
        assert self.driver is not None
        if len(self.driver.busy) < self.world.slots:
            self.driver.fill()
            self.let_go_where_ended()

    @precondition(has_busy_slot)
    @rule(data=st.data())
    def train(self, data: st.DataObject) -> None:
        """A trial reports, asks for parameters, fails, is found infeasible, or ends."""
        assert self.driver is not None
        self.world.clock.now += 0.4
        self.driver.step(data.draw(st.sampled_from(self.driver.busy)))

    @precondition(has_busy_slot)
    @rule(data=st.data())
    def lose_a_worker(self, data: st.DataObject) -> None:
        """An actor dies under its trial."""
        assert self.driver is not None
        self.driver.lose(data.draw(st.sampled_from(self.driver.busy)))

    @precondition(drives)
    @rule(code=st.sampled_from([130, 143]))
    def cancel(self, code: int) -> None:
        """The user interrupts; what runs is told at its next word, and the driver ends."""
        assert self.driver is not None
        self.driver.code = code
        while self.driver.turn():
            pass
        self.let_go_where_ended()

    @precondition(drives)
    @rule(request=st.sampled_from([{"type": "retry", "trials": []}, {"type": "set", "settings": ["budget.trials=6"]}]))
    def steer(self, request: dict[str, Any]) -> None:
        """The user has failures run again, or sets what is there already; the driver hears it at its next look."""
        assert self.driver is not None
        post(self.world.folder, request)
        self.driver.engine.guarded(self.driver.engine.tick, None)

    @precondition(lambda machine: machine.tracker is None and drives(machine))
    @rule()
    def track(self) -> None:
        """A tracker starts."""
        self.tracker = self.tracking.enter_context(self.world.tracker())

    @precondition(tracks)
    @rule()
    def deliver(self) -> None:
        """The tracker delivers what is due; without a driver it says that the sweep is over."""
        assert self.tracker is not None
        self.tracker.turn(over=self.driver is None)

    # What is done to it -----------------------------------------------------------------------------------------------

    @precondition(drives)
    @rule()
    def kill_the_driver(self) -> None:
        """What was journaled stays."""
        before = entries(self.world.folder)
        with suppress(Killed):
            self.driving.__exit__(Killed, Killed(), None)
        self.driving, self.driver = ExitStack(), None
        assert entries(self.world.folder) == before

    @precondition(tracks)
    @rule()
    def kill_the_tracker(self) -> None:
        """The memo stays as it is."""
        self.tracking.close()
        self.tracking, self.tracker = ExitStack(), None

    @rule(down=st.booleans())
    def mlflow(self, down: bool) -> None:
        """MLflow goes away, or comes back."""
        self.world.mlflow.down = down

    @rule(ahead=st.integers(1, 5), after=st.booleans())
    def lose_a_request(self, ahead: int, after: bool) -> None:
        """One of the next requests gets lost, or its answer."""
        self.world.mlflow.fault_at, self.world.mlflow.after = self.world.mlflow.requests + ahead, after

    @precondition(drives)
    @rule()
    def start_a_second_driver(self) -> None:
        """It is told who drives, and touches nothing."""
        before = entries(self.world.folder)
        with pytest.raises(SweepHeld, match=rf"pid {os.getpid()} "):
            Journal(self.world.folder)
        assert entries(self.world.folder) == before

    @precondition(has_busy_slot)
    @rule(data=st.data())
    def fill_the_disk(self, data: st.DataObject) -> None:
        """The next commit finds no room: the driver ends, what it could not write it did not write."""

        def touch(what: str) -> None:
            if what == "before a commit of the journal":
                raise sqlite3.OperationalError("database or disk is full")

        assert self.driver is not None
        self.world.touch = touch
        for _ in range(20):
            if self.driver.engine.error is not None or not self.driver.busy:
                break
            self.driver.step(data.draw(st.sampled_from(self.driver.busy)))
        error = self.driver.engine.error
        if error is not None:
            assert isinstance(error, Infrastructure)
            with suppress(Infrastructure):
                self.driving.__exit__(type(error), error, None)
            self.driving, self.driver = ExitStack(), None
        self.world.touch = lambda _what: None

    @rule()
    def copy(self) -> None:
        """The journal is copied to the storage."""
        (self.home / "copy").mkdir(exist_ok=True)
        target = sqlite3.connect(self.home / "copy" / "journal.db")
        source = sqlite3.connect(self.world.folder / "journal.db")
        source.backup(target)
        source.close()
        target.close()
        self.copied = bool(entries(self.home / "copy"))

    @precondition(has_copy)
    @rule()
    def lose_the_machine(self) -> None:
        """Another one goes on from the copy; what ended since then may run again, what had ended does not."""
        self.kill_the_tracker()
        shutil.rmtree(self.world.folder)
        shutil.copytree(self.home / "copy", self.world.folder)
        with Journal(self.world.folder, clock=self.world.clock) as journal:
            journal.append(SweepRestored(why="the machine is lost"))
        self.ended = self.ends()

    # What holds -------------------------------------------------------------------------------------------------------

    def let_go_where_ended(self) -> None:
        """Let a driver go that has ended the sweep."""
        if self.driver is not None and self.driver.ledger.history.ended is not None:
            self.driving.close()
            self.driving, self.driver = ExitStack(), None

    def ends(self) -> dict[int, TrialEnded]:
        """Return how trials have ended, as journaled."""
        ended: dict[int, TrialEnded] = {}
        for entry in entries(self.world.folder):
            if isinstance(entry.event, TrialEnded):
                ended[entry.event.trial] = entry.event
            elif isinstance(entry.event, TrialRetried):
                del ended[entry.event.trial]
                self.retried.add(entry.event.trial)
        return ended

    @invariant()
    def what_has_ended_stands(self) -> None:
        """Each event may follow those before it, and no outcome ever changes."""
        check_transitions(entries(self.world.folder))
        ended = self.ends()
        assert {
            number: one for number, one in self.ended.items() if number not in self.retried
        }.items() <= ended.items()
        self.ended = ended

    @invariant()
    def a_driver_knows_what_is_journaled(self) -> None:
        """What is on disk is the beginning of what the driver has folded."""
        if self.driver is not None:
            on_disk, history = History.of(entries(self.world.folder)), self.driver.ledger.history
            assert {n: one.outcome for n, one in on_disk.trials.items() if one.outcome} == {
                n: one.outcome for n, one in history.trials.items() if one.outcome
            }

    def teardown(self) -> None:
        """Whatever came before: without further trouble the sweep comes to its end, with nothing lost or doubled."""
        try:
            if hasattr(self, "world"):
                self.finish()
        finally:
            self.tracking.close()
            with suppress(Killed):
                self.driving.__exit__(Killed, Killed(), None)
            self.patches.close()
            logging.disable(logging.NOTSET)
            shutil.rmtree(self.home)

    def finish(self) -> None:
        """Take over with a new driver and a new tracker."""
        if self.driver is not None:
            self.kill_the_driver()
        self.tracking.close()
        self.world.mlflow.down, self.world.mlflow.fault_at = False, 0
        self.world.deliver()
        check(self.world.folder, runs=in_fake(self.world.mlflow))
        self.world.run()
        check(self.world.folder, trials=TRIALS, runs=in_fake(self.world.mlflow))


TestFaults = Faults.TestCase
TestFaults.settings = settings(max_examples=5_000 if LONG else 8, stateful_step_count=60 if LONG else 30)
