"""A whole sweep without Ray, Keras and MLflow: the real engine, ledger, journal and delivery on scripted slots.

All that a sweep does to the world outside goes by `World.touch`, which a test makes fail: each durable write of the
driver and of the tracker, each request to MLflow, before its effect and after it. A slot trains by a script that
depends on nothing but the trial, its attempt and its round, so that a trial trained again reports the same.
"""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

from kerasweep.cluster.actor import ASSIGNMENT
from kerasweep.search.budget import Budget
from kerasweep.search.engine import Engine
from kerasweep.search.ledger import begin
from kerasweep.search.spec import Search, SweepSpec
from kerasweep.spaces.errors import Infrastructure
from kerasweep.spaces.parameter import Number, identity
from kerasweep.spaces.trial import Assignment
from kerasweep.trackers.delivery import Delivery
from kerasweep.trackers.journal import Journal, Reader
from kerasweep.trackers.runs import Unreachable
from kerasweep.trackers.tracker_db import Destination, TrackerDb

from ..search.specs import X, spec
from ..trackers.fakes import FakeRuns, Killed

LATE = Number(name="late", min=1, max=9, integer=True)
EPOCHS = 3
TRIALS = 6
HERE = Destination(uri="sqlite:////nowhere/mlflow.db", experiment="lab")
SLOT_S = 0.4
"""What a turn of all slots takes by the world's clock: some commits are of a group, some of an event."""

Message = Mapping[str, Any]


def small(**changes: Any) -> SweepSpec:
    """Return the sweep that the worlds run: six trials that count, random search, early stopping."""
    given: dict[str, Any] = {
        "budget": Budget(trials=TRIALS),
        "fit": {"epochs": EPOCHS},
        "search": Search(sampler="random", stop=({"rule": "asha"},), seed=3),
        **changes,
    }
    return spec(**given)


def value(number: int, epoch: int) -> float:
    """Return the objective that a trial has at an epoch."""
    return round(0.5 + 0.05 * ((number * 7) % 5) + epoch / 100, 6)


def script(one: Assignment, step: int) -> tuple[Message, ...] | None:
    """Return what a slot says at its n-th step; None: its actor is dead."""
    params: dict[str, Any] = {"x": one.params[identity(X)]}
    specs = [X.to_json()]
    if one.number == 1 and one.round == 0:
        return ({"type": "needs", "specs": [LATE.to_json()]},)
    if one.number == 1:
        params["late"], specs = one.params[identity(LATE)], [*specs, LATE.to_json()]
    if step == 0:
        return ({"type": "used", "params": params, "specs": specs, "facts": {"parameters": 9}},)
    if one.number == 2:
        return ({"type": "ended", "kind": "infeasible", "reason": "too large"},)
    if one.number == 3:
        return ({"type": "ended", "kind": "error", "reason": "boom", "traceback": "here"},)
    if one.number == 4 and one.attempt == 1 and step == 2:
        return ({"type": "ended", "kind": "crash", "reason": "SIGSEGV", "traceback": ""},)
    if one.number == 5 and one.attempt == 1 and step == 2:
        return None
    start = 0 if one.legacy is None else one.legacy.epoch
    if start + step > (one.until or EPOCHS):
        times = {"pid": 7, "start": 1.0, "fit_start": 2.0, "fit_end": 3.0, "end": 4.0}
        return ({"type": "ended", "kind": "completed", "logged": ["acc", "loss"], "timing": times},)
    acc = math.nan if one.number == 6 and step == 2 else value(one.number, start + step)
    metrics = {"acc": acc, "loss": 1.0 / step}
    return ({"type": "report", "epoch": start + step, "metrics": metrics, "seconds": 0.1},)


@final
@dataclass(slots=True)
class Slot:
    """A slot with a trial on it."""

    tune_id: str
    assignment: Assignment | None
    step: int = 0


class Clock:
    """Seconds that pass when told."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class World:
    """One sweep's folder, its MLflow, its clock."""

    def __init__(self, folder: Path, what: SweepSpec | None = None, *, slots: int = 1) -> None:
        self.folder = folder
        self.spec = what or small()
        self.slots = slots
        self.mlflow = FakeRuns()
        self.clock = Clock(1_700_000_000.0)
        self.touch: Callable[[str], None] = lambda _what: None
        self.sessions = 0
        folder.mkdir(parents=True, exist_ok=True)

    def connect(self, path: Path) -> sqlite3.Connection:
        """Open a journal whose commits are seen."""
        world = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
                if sql != "COMMIT":
                    return super().execute(sql, parameters)
                world.touch("before a commit of the journal")
                done = super().execute(sql, parameters)
                world.touch("after a commit of the journal")
                return done

        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Connection)

    def moved(self, folder: Path) -> World:
        """Return what a kill -9 of everything leaves at this moment, as a world of its own."""
        other = World(folder, self.spec, slots=self.slots)
        for path in self.folder.iterdir():
            if path.suffix in (".db", ".db-wal", ".lock"):
                shutil.copy(path, folder)
        other.mlflow = self.mlflow.copy()
        other.clock.now, other.sessions = self.clock.now, self.sessions
        return other

    # Its processes ----------------------------------------------------------------------------------------------------

    @contextmanager
    def driver(self) -> Generator[Driver]:
        """Start or resume the sweep."""
        self.sessions += 1
        journal = Journal(self.folder, clock=self.clock, connect=self.connect, patience_s=0.0)
        try:
            yield Driver(self, journal)
        except Killed:
            _die(journal)
            raise
        except BaseException:
            with suppress(Infrastructure):
                journal.close()
            raise
        journal.close()

    @contextmanager
    def tracker(self) -> Generator[Tracker]:
        """Start a tracker."""
        with Reader(self.folder) as reader, closing(TrackerDb(self.folder, HERE)) as db:
            yield Tracker(self, reader, db)

    def run(self) -> None:
        """Drive the sweep to its end and deliver it, both as far as nothing happens to them."""
        with self.driver() as driver, self.tracker() as tracker:
            while driver.turn():
                tracker.turn()
        self.deliver()

    def deliver(self) -> None:
        """Deliver what is left, as a tracker does once the driver is gone."""
        with self.tracker() as tracker:
            tracker.finish()


def _die(journal: Journal) -> None:
    """Let go of what a kill would; nothing more is written."""
    hidden = cast(Any, journal)
    with suppress(sqlite3.Error):
        hidden._db.rollback()
    hidden._db.close()
    hidden._lock.release()


@final
class Driver:
    """What a driver does, a turn at a time."""

    def __init__(self, world: World, journal: Journal) -> None:
        self.world = world
        self.ledger = begin(journal, world.spec, versions={}, origin={})
        self.code = 0
        self.engine = Engine(self.ledger, world.folder, world.slots, interrupted=lambda: self.code)
        self.busy: list[Slot] = []
        self._count = 0

    def fill(self) -> bool:
        """Give one free slot work; return False where there is none."""
        self._count += 1
        tune_id = f"{self.world.sessions}-{self._count}"
        answer: Mapping[str, str] | str | None = self._guarded(lambda: self.engine.suggest(tune_id), None)
        if answer is None or isinstance(answer, str):
            return False
        self.busy.append(Slot(tune_id, Assignment.from_json(json.loads(answer[ASSIGNMENT]))))
        return True

    def turn(self) -> bool:
        """Let each slot do its next step; return False once the sweep has ended."""
        self.world.clock.now += SLOT_S
        while len(self.busy) < self.world.slots and self.fill():
            pass
        for slot in list(self.busy):
            self.step(slot)
        if self.engine.error is not None and not self.busy:
            raise self.engine.error
        return self.ledger.history.ended is None

    def step(self, slot: Slot) -> None:
        """Let a slot do its next step."""
        one = slot.assignment
        said: Sequence[Mapping[str, Any]] | None = script(one, slot.step) if one is not None else ()
        if said is None:
            self.lose(slot)
            return
        slot.step += 1
        about = {"slot": "s", "at": self.world.clock.now}
        if one is not None:
            about |= {"trial": one.number, "attempt": one.attempt}
        if not self._guarded(lambda: self.engine.chunk(slot.tune_id, [{**about, **message} for message in said]), True):
            return
        following: Mapping[str, str] | None = self._guarded(lambda: self.engine.follow(slot.tune_id), None)
        if following is None:
            self._done(slot, lost=False)
        else:
            text = following.get(ASSIGNMENT)
            slot.assignment, slot.step = None if text is None else Assignment.from_json(json.loads(text)), 0

    def lose(self, slot: Slot) -> None:
        """Let a slot's actor die."""
        self._done(slot, lost=True)

    def _done(self, slot: Slot, *, lost: bool) -> None:
        self.busy.remove(slot)
        self._guarded(lambda: self.engine.ended(slot.tune_id, lost=lost), None)

    def _guarded(self, call: Callable[[], Any], otherwise: Any) -> Any:
        """Call as Tune's hooks do; but a kill is a kill."""
        answer = self.engine.guarded(call, otherwise)
        if isinstance(self.engine.error, Killed):
            raise self.engine.error
        return answer


@final
class Tracker:
    """What a tracker does, a turn at a time."""

    def __init__(self, world: World, reader: Reader, db: TrackerDb) -> None:
        self.world = world
        memo = cast(TrackerDb, _Watched(db, world))
        self.delivery = Delivery(reader, memo, lambda: world.mlflow, HERE.experiment, clock=world.clock)

    def turn(self, *, over: bool = False) -> bool:
        """Deliver what is due; return whether all there was has arrived."""
        self.world.clock.now += 0.01
        self.delivery.backlog.read()
        self.delivery.over = over or self.delivery.backlog.history.ended is not None
        with suppress(Unreachable):
            if self.delivery.pending:
                self.delivery.deliver()
        return not self.delivery.pending

    def finish(self) -> None:
        """Go on until nothing is pending, with the driver gone."""
        for _ in range(50):
            if self.turn(over=True):
                return
            self.world.clock.now += 10.0
        raise AssertionError("the delivery does not come to its end")


class _Watched:
    """A memo whose writes are seen."""

    WRITES = ("advance", "refuse", "place", "set_run", "forget")

    def __init__(self, db: TrackerDb, world: World) -> None:
        self._db = db
        self._world = world

    def __getattr__(self, name: str) -> Any:
        if name not in self.WRITES:
            return getattr(self._db, name)

        def write(*values: Any) -> None:
            self._world.touch(f"before {name} of the memo")
            getattr(self._db, name)(*values)
            self._world.touch(f"after {name} of the memo")

        return write


def kill_at(count: int) -> Callable[[str], None]:
    """Return a `touch` that kills at the n-th call."""
    left = [count]

    def touch(what: str) -> None:
        left[0] -= 1
        if not left[0]:
            raise Killed(what)

    return touch


def all_points(world: World) -> Sequence[str]:
    """Run a world to its end; return what it touched, in order."""
    touched: list[str] = []
    world.touch = touched.append
    world.run()
    return touched
