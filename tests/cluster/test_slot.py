"""Tests of `kerasweep.cluster.slot` against a fork server and trainers that follow a script, over real sockets."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kerasweep.cluster import slot as slots
from kerasweep.cluster.link import Link, LinkClosed, Message, listen
from kerasweep.cluster.program import Program
from kerasweep.cluster.slot import Slot, SlotSetup
from kerasweep.spaces.trial import Assignment

PATIENCE_S = 10.0


class Clock:
    """Real time, of which the test may skip some."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return time.monotonic() + self.skipped


class FakeTrainer:
    """The trainer's end of a link. Its process is one that sleeps, so that it can be killed."""

    def __init__(self, link: Link, adopted: Message) -> None:
        self.link = link
        self.adopted = adopted
        self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        self.heard: list[Message] = []

    def expect(self, kind: str) -> Message:
        """Return the next message, which is to be of this kind."""
        message = self.link.receive(PATIENCE_S)
        assert message is not None
        self.heard.append(message)
        assert message["type"] == kind, message
        return message

    def ready(self) -> None:
        """Say that the user's code is loaded."""
        self.expect("setup")
        self.link.send({"type": "ready", "pid": self.process.pid})

    def say(self, message: str, assignment: Assignment, **rest: Any) -> None:
        """Send a message about a trial."""
        self.link.send({"type": message, "trial": assignment.number, "attempt": assignment.attempt, **rest})

    def report(self, assignment: Assignment, epoch: int) -> None:
        """Report an epoch."""
        self.say("report", assignment, epoch=epoch, metrics={"loss": 1.0 / epoch}, seconds=0.1)

    def end(self, assignment: Assignment, kind: str = "completed") -> None:
        """Say that the trial is over."""
        self.say("ended", assignment, kind=kind, reason="")

    def die(self) -> None:
        """Go away."""
        self.process.kill()
        self.process.wait()
        self.link.close()

    def is_closed(self) -> bool:
        """Say whether the slot lets go of the link; waits for it a while."""
        try:
            while self.link.receive(PATIENCE_S) is not None:
                pass
        except LinkClosed:
            return True
        return False

    def is_killed(self) -> bool:
        """Say whether the process was killed; waits for it a while."""
        try:
            return self.process.wait(PATIENCE_S) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False


class FakeServer:
    """Accepts like a fork server: each `adopt` makes a trainer, `status` is answered from `exits`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trainers: list[FakeTrainer] = []
        self.exits: dict[int, int] = {}
        self._listener = listen(path)
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def trainer(self, index: int = 0) -> FakeTrainer:
        """Return the trainer that was adopted as number `index`; waits for it."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.trainers) > index, PATIENCE_S)
            return self.trainers[index]

    def _serve(self) -> None:
        while True:
            link = Link(self._listener.accept()[0])
            try:
                message = link.receive(PATIENCE_S)
            except LinkClosed:  # the end of the test
                link.close()
                return
            assert message is not None
            if message["type"] == "adopt":
                with self._changed:
                    self.trainers.append(FakeTrainer(link, message))
                    self._changed.notify_all()
                continue
            link.send({"type": "status", "exit": self.exits.get(message["pid"])})
            link.close()

    def close(self) -> None:
        """End all."""
        Link.connect(self.path).close()
        self._thread.join()
        self._listener.close()
        for trainer in self.trainers:
            trainer.process.kill()
            trainer.process.wait()
            trainer.link.close()


class Bench:
    """A slot with its fake server, stepped in a thread where the test has to act meanwhile."""

    def __init__(self, folder: Path, **setup: Any) -> None:
        self.clock = Clock()
        self.server = FakeServer(folder / "s.sock")
        fields: dict[str, Any] = {"program": {}, "settings": {"metric": "loss"}, "logs": "logs", "chunk_s": 0.02}
        fields |= {"socket": str(self.server.path), **setup}
        self.killed = 0
        self.slot = Slot(SlotSetup(**fields), clock=self.clock, oom_kills=lambda: self.killed)

    def begin(self, assignment: Assignment, index: int = 0) -> FakeTrainer:
        """Assign a trial and see it through to the trainer, which is made where it is new."""
        self.slot.assign(assignment)
        self.slot.warm()
        trainer = self.server.trainer(index)
        if not trainer.heard:
            trainer.ready()
        self.started(trainer, assignment)
        return trainer

    def watch(self, seconds: float) -> None:
        """Let time pass while the slot is being stepped."""
        self.clock.skipped += seconds
        looked_at = self.slot._looked_at  # pyright: ignore[reportPrivateUsage]
        assert looked_at is not None
        self.slot._looked_at = looked_at + seconds  # pyright: ignore[reportPrivateUsage]

    def make_chunks_long(self) -> None:
        """Let a step that has nothing else to return for take a minute."""
        setup = self.slot._setup  # pyright: ignore[reportPrivateUsage]
        self.slot._setup = replace(setup, chunk_s=60.0)  # pyright: ignore[reportPrivateUsage]

    def started(self, trainer: FakeTrainer, assignment: Assignment) -> None:
        """Step until the trainer has been given the trial."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._has_trial(trainer, assignment):
            messages, done = self.slot.step()
            assert not done
            assert [message["type"] for message in messages] in ([], ["timed"])
            assert time.monotonic() < deadline

    def _has_trial(self, trainer: FakeTrainer, assignment: Assignment) -> bool:
        message = trainer.link.receive(0.0)
        if message is None:
            return False
        trainer.heard.append(message)
        assert message["type"] == "trial", message
        assert Assignment.from_json(message["assignment"]) == assignment
        return True

    def until(self, condition: Callable[[list[Message], bool], object]) -> tuple[list[Message], bool]:
        """Step until the condition holds for what a step returns."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            messages, done = self.slot.step()
            if condition(messages, done):
                return messages, done
            assert time.monotonic() < deadline

    def ended(self) -> Message:
        """Step to the end of the trial and return the last message."""
        messages, done = self.until(lambda messages, done: done)
        assert done
        return messages[-1]


Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Return a maker of benches, which are closed after the test without much patience."""
    monkeypatch.setattr(slots, "CLOSE_S", 0.01)
    monkeypatch.setattr(slots, "POLL_S", 0.02)
    benches: list[Bench] = []

    def one(**setup: Any) -> Bench:
        benches.append(Bench(tmp_path, **setup))
        return benches[-1]

    yield one
    for bench in benches:
        bench.slot.close()
        bench.server.close()


def trial(number: int = 0, *, attempt: int = 1, rungs: tuple[int, ...] = ()) -> Assignment:
    """Return an assignment."""
    return Assignment(number=number, attempt=attempt, round=0, seed=7, params={"x": 0.5}, rungs=rungs)


def epochs(messages: list[Message]) -> list[int]:
    """Return the epochs of the reports."""
    return [message["epoch"] for message in messages if message["type"] == "report"]


# A trial --------------------------------------------------------------------------------------------------------------


def test_a_trainer_is_told_its_place_and_its_trial(make: Make) -> None:
    """Which graphics processors it sees, and its log; the trial comes with the sweep's settings."""
    bench = make(cpu=3, logs="/somewhere")
    trainer = bench.begin(trial())
    setup, given = trainer.heard
    assert trainer.adopted["environment"] == {"CUDA_VISIBLE_DEVICES": "-1"}
    assert setup["log"].startswith("/somewhere/trainer-")
    assert given["settings"] == {"metric": "loss"}


def test_reports_come_in_chunks(make: Make) -> None:
    """What is reported within a chunk of time comes together, with the slot and the time; the trial goes on."""
    bench = make(chunk_s=0.1)
    trainer = bench.begin(trial())
    for epoch in (1, 2, 3):
        trainer.report(trial(), epoch)
    messages, done = bench.slot.step()
    assert (epochs(messages), done) == ([1, 2, 3], False)
    assert all(message["slot"] and message["at"] for message in messages)
    assert bench.slot.step() == ([], False)


def test_a_rung_is_handed_over_at_once(make: Make) -> None:
    """Reports after it wait for the next step, however long a chunk may be."""
    bench = make()
    one = trial(rungs=(2, 3))
    trainer = bench.begin(one)
    bench.make_chunks_long()
    for epoch in (1, 2, 3):
        trainer.report(one, epoch)
    for expected in ([1, 2], [3]):
        began = time.monotonic()
        messages, done = bench.slot.step()
        assert (epochs(messages), done) == (expected, False)
        assert time.monotonic() - began < PATIENCE_S


@pytest.mark.parametrize("last", ["ended", "needs"])
def test_an_end_is_handed_over_at_once(make: Make, last: str) -> None:
    """The end of a trial, or of a round, waits for nothing."""
    bench = make()
    trainer = bench.begin(trial())
    bench.make_chunks_long()
    trainer.report(trial(), 1)
    trainer.say(last, trial(), kind="completed", specs=[])
    began = time.monotonic()
    messages, done = bench.slot.step()
    assert ([message["type"] for message in messages], done) == (["report", last], True)
    assert time.monotonic() - began < PATIENCE_S


def test_a_trainer_takes_one_trial_after_another(make: Make) -> None:
    """The process stays; the next trial is a message."""
    bench = make()
    trainer = bench.begin(trial(0))
    for number in range(1, 4):
        trainer.end(trial(number - 1))
        assert bench.ended()["kind"] == "completed"
        assert bench.begin(trial(number)) is trainer
    assert len(bench.server.trainers) == 1


def test_messages_of_another_trial_are_dropped(make: Make) -> None:
    """What an earlier trial, or an earlier attempt, still says is not taken for the present one's."""
    bench = make()
    now = trial(2, attempt=2)
    trainer = bench.begin(now)
    trainer.report(trial(1), 5)
    trainer.report(trial(2, attempt=1), 6)
    trainer.report(now, 7)
    messages, _ = bench.until(lambda messages, done: messages)
    assert epochs(messages) == [7]


# Stopping -------------------------------------------------------------------------------------------------------------


def test_a_trial_that_is_left_is_stopped_before_the_next(make: Make) -> None:
    """A new assignment under a running trial stops it; the next begins when its thread has ended, not earlier."""
    bench = make()
    trainer = bench.begin(trial(0))
    bench.slot.assign(trial(1))
    trainer.expect("stop")
    assert bench.slot.step() == ([], False)
    trainer.report(trial(0), 9)
    assert bench.slot.step() == ([], False)
    assert trainer.link.receive(0.0) is None
    trainer.end(trial(0), "stopped")
    bench.started(trainer, trial(1))
    trainer.report(trial(1), 1)
    messages, _ = bench.until(lambda messages, done: messages)
    assert [(message["trial"], message["type"]) for message in messages] == [(1, "report")]


def test_a_slot_that_rests_keeps_its_trainer(make: Make) -> None:
    """What it ran is stopped, and said to have ended; the next trial begins in the same process."""
    bench = make()
    trainer = bench.begin(trial(0))
    bench.slot.rest()
    trainer.expect("stop")
    trainer.end(trial(0), "stopped")
    messages, done = bench.until(lambda messages, done: messages)
    assert ([message["type"] for message in messages], done) == (["timed"], False)
    assert bench.slot.step() == ([], False)
    assert bench.begin(trial(1)) is trainer
    trainer.end(trial(1), "completed")
    bench.until(lambda messages, done: done)
    bench.slot.rest()
    assert bench.slot.step() == ([], False)


def test_a_trainer_that_dies_while_its_slot_rests_is_replaced(make: Make) -> None:
    """At no cost to the next trial."""
    bench = make()
    trainer = bench.begin(trial(0))
    bench.slot.rest()
    trainer.expect("stop")
    trainer.link.close()
    assert bench.slot.step() == ([], False)
    bench.slot.assign(trial(1))
    bench.slot.warm()
    second = bench.server.trainer(1)
    second.ready()
    bench.started(second, trial(1))


def test_a_round_that_is_left_ends_by_its_needs_too(make: Make) -> None:
    """A trial that is stopped while it asks for parameters has ended as well."""
    bench = make()
    trainer = bench.begin(trial(0))
    bench.slot.assign(trial(1))
    trainer.expect("stop")
    trainer.say("needs", trial(0), specs=[])
    bench.started(trainer, trial(1))


def test_a_trial_that_does_not_stop_costs_its_trainer(make: Make) -> None:
    """After the grace time the process is killed, and another one takes the next trial."""
    bench = make()
    trainer = bench.begin(trial(0))
    bench.slot.assign(trial(1))
    trainer.expect("stop")
    assert bench.slot.step() == ([], False)
    bench.clock.skipped += slots.GRACE_S
    bench.until(lambda messages, done: len(bench.server.trainers) == 2)
    assert trainer.is_killed()
    assert trainer.is_closed()
    second = bench.server.trainer(1)
    second.ready()
    bench.started(second, trial(1))


def test_a_trainer_that_dies_while_stopping_is_replaced(make: Make) -> None:
    """Nothing is said of the trial that was left; the next one gets another trainer."""
    bench = make()
    trainer = bench.begin(trial(0))
    bench.slot.assign(trial(1))
    trainer.expect("stop")
    trainer.die()
    bench.until(lambda messages, done: len(bench.server.trainers) == 2)
    second = bench.server.trainer(1)
    second.ready()
    bench.started(second, trial(1))


def test_a_dead_trainer_need_not_be_stopped(make: Make) -> None:
    """An assignment after the trainer died under a trial that the driver no longer wants is simply begun."""
    bench = make()
    bench.begin(trial(0)).die()
    bench.slot.assign(trial(1))
    bench.until(lambda messages, done: len(bench.server.trainers) == 2)
    second = bench.server.trainer(1)
    second.ready()
    bench.started(second, trial(1))


# Trainers that end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (-11, "crash", "was killed by SIGSEGV"),
        (7, "crash", "exited with code 7"),
        (None, "lost", "ended without a trace"),
    ],
)
def test_a_trainer_that_dies_in_a_trial_ends_it(make: Make, code: int | None, kind: str, words: str) -> None:
    """The fork server knows how it ended: by itself is a crash of the trial; unknown is lost."""
    bench = make()
    trainer = bench.begin(trial(3, attempt=2))
    trainer.report(trial(3, attempt=2), 1)
    if code is not None:
        bench.server.exits[trainer.process.pid] = code
    trainer.die()
    messages, done = bench.until(lambda messages, done: done)
    assert done
    assert (messages[-1]["kind"], messages[-1]["reason"]) == (kind, f"the training process {words}")
    assert (messages[-1]["trial"], messages[-1]["attempt"]) == (3, 2)
    bench.slot.assign(trial(4))
    bench.slot.warm()
    second = bench.server.trainer(1)
    second.ready()
    bench.started(second, trial(4))


def test_a_trainer_that_dies_idle_costs_nothing(make: Make) -> None:
    """Between two trials it is replaced without a word."""
    bench = make()
    trainer = bench.begin(trial(0))
    trainer.end(trial(0))
    bench.ended()
    trainer.die()
    bench.slot.assign(trial(1))
    bench.until(lambda messages, done: len(bench.server.trainers) == 2)
    second = bench.server.trainer(1)
    second.ready()
    bench.started(second, trial(1))
    second.end(trial(1))
    assert bench.ended()["kind"] == "completed"


def test_a_trainer_that_dies_while_it_loads_is_replaced(make: Make) -> None:
    """Before it was ready no trial was its own."""
    bench = make()
    bench.slot.assign(trial(0))
    bench.slot.warm()
    first = bench.server.trainer(0)
    first.expect("setup")
    first.die()
    bench.until(lambda messages, done: len(bench.server.trainers) == 2)
    second = bench.server.trainer(1)
    second.ready()
    bench.started(second, trial(0))


def test_a_machine_where_no_trainer_becomes_ready_loses_the_trial(make: Make) -> None:
    """Waiting has an end, so that the trial goes elsewhere."""
    bench = make()
    bench.slot.assign(trial(0))
    bench.slot.warm()
    bench.server.trainer(0).expect("setup")
    assert bench.slot.step() == ([], False)
    bench.clock.skipped += 601.0
    ended = bench.ended()
    assert (ended["kind"], ended["trial"]) == ("lost", 0)
    assert "no trainer became ready" in ended["reason"]


def test_a_refusal_ends_each_trial_with_its_reason(make: Make) -> None:
    """Code that cannot be loaded on this machine is the user's to see, traceback included."""
    bench = make()
    bench.slot.assign(trial(0))
    bench.slot.warm()
    trainer = bench.server.trainer(0)
    trainer.expect("setup")
    refusal = {"type": "refused", "reason": "ImportError: no", "traceback": "at line 3", "pid": trainer.process.pid}
    trainer.link.send(refusal)
    for number in range(2):
        ended = bench.ended()
        assert (ended["kind"], ended["reason"], ended["traceback"]) == ("error", "ImportError: no", "at line 3")
        assert ended["trial"] == number
        bench.slot.assign(trial(number + 1))


# Limits ---------------------------------------------------------------------------------------------------------------


def test_a_trial_over_its_time_is_ended(make: Make) -> None:
    """However busy it is, `limits.trial_s` holds; its process is killed."""
    bench = make(trial_s=100.0)
    trainer = bench.begin(trial())
    bench.watch(99.0)
    trainer.link.send({"type": "beat", "batches": 10})
    assert bench.slot.step() == ([], False)
    bench.watch(2.0)
    trainer.link.send({"type": "beat", "batches": 11})
    ended = bench.ended()
    assert (ended["kind"], ended["reason"]) == ("hang", "it took more than limits.trial_s (100 s)")
    assert trainer.is_killed()


def test_a_trial_that_does_no_batch_is_ended(make: Make) -> None:
    """Beats keep it alive only while their count of batches grows; so do reports."""
    bench = make(silence_s=100.0)
    trainer = bench.begin(trial())
    for batches in (1, 2):
        bench.watch(90.0)
        trainer.link.send({"type": "beat", "batches": batches})
        bench.until(lambda messages, done: bench.slot._heard > bench.clock() - 50)  # pyright: ignore[reportPrivateUsage]
    bench.watch(90.0)
    trainer.report(trial(), 1)
    bench.until(lambda messages, done: messages)
    bench.watch(90.0)
    trainer.link.send({"type": "beat", "batches": 2})
    assert bench.slot.step() == ([], False)
    bench.watch(20.0)
    trainer.link.send({"type": "beat", "batches": 2})
    ended = bench.ended()
    assert (ended["kind"], ended["reason"]) == ("hang", "no batch was done in limits.silence_s (100 s)")
    assert trainer.is_killed()


def test_a_trial_over_its_memory_is_ended(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason says how much it took and what was allowed."""
    bench = make(memory_bytes=2e9)
    taken = 1_900_000_000

    def resident_bytes(self: slots.Trainer) -> int:
        return taken

    monkeypatch.setattr(slots.Trainer, "resident_bytes", resident_bytes)
    trainer = bench.begin(trial())
    assert bench.slot.step() == ([], False)
    taken = 2_100_000_000
    ended = bench.ended()
    assert ended["kind"] == "oom"
    assert ended["reason"] == "it took 2.1 GB, the limit is 2 GB (limits.memory_gb)"
    assert trainer.is_killed()


def test_time_in_which_the_driver_was_stopped_counts_for_no_limit(make: Make) -> None:
    """A driver that was asleep for an hour finds its trial as it was: it asked for no step in that time."""
    bench = make(trial_s=100.0, silence_s=100.0)
    trainer = bench.begin(trial())
    bench.watch(60.0)
    bench.clock.skipped += 3600.0
    trainer.link.send({"type": "beat", "batches": 0})
    assert bench.slot.step() == ([], False)
    bench.watch(60.0)
    assert bench.ended()["kind"] == "hang"


def test_a_trainer_that_the_kernel_kills_for_memory_is_out_of_memory(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL is a crash like another, unless the kernel has counted a kill for want of memory; the peak is named."""

    def resident_bytes(self: slots.Trainer) -> int:
        return 3_210_000_000

    monkeypatch.setattr(slots.Trainer, "resident_bytes", resident_bytes)
    bench = make()
    bench.killed = 7
    for index, (kills, kind) in enumerate([(0, "crash"), (1, "oom")]):
        trainer = bench.begin(trial(index), index)
        assert bench.slot.step() == ([], False)
        bench.killed += kills
        bench.server.exits[trainer.process.pid] = -signal.SIGKILL
        trainer.die()
        ended = bench.ended()
        assert ended["kind"] == kind
        assert "was killed by SIGKILL" in ended["reason"]
        assert ("by the kernel for want of memory; its process took up to 3.21 GB" in ended["reason"]) == (kills > 0)


def test_what_the_kernel_counts_is_read() -> None:
    """The number of kills for want of memory is there, and does not fall."""
    before = slots.oom_kills()
    assert 0 <= before <= slots.oom_kills()


def test_a_living_process_occupies_memory_and_a_dead_one_none(make: Make) -> None:
    """The measure is the kernel's."""
    bench = make()
    trainer = bench.begin(trial())
    mine = bench.slot._trainer  # pyright: ignore[reportPrivateUsage]
    assert mine is not None
    assert mine.resident_bytes() > 1_000_000
    trainer.die()
    assert mine.resident_bytes() == 0


def test_a_trainer_that_ran_out_of_memory_is_not_used_again(make: Make) -> None:
    """After an OutOfMemory of the framework's the process is not to be trusted."""
    bench = make()
    trainer = bench.begin(trial(0))
    trainer.end(trial(0), "oom")
    ended = bench.ended()
    assert ended["kind"] == "oom"
    assert "its process took up to 0.0" in ended["reason"]
    assert trainer.is_killed()
    bench.slot.assign(trial(1))
    bench.until(lambda messages, done: len(bench.server.trainers) == 2)


# Recycling ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def leaky(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a trainer grow past the limit with its second trial."""

    def resident_bytes(self: slots.Trainer) -> int:
        return self.trials * slots.RECYCLE_BYTES * 2

    monkeypatch.setattr(slots.Trainer, "resident_bytes", resident_bytes)


def two_trials(bench: Bench) -> FakeTrainer:
    """Run two trials on the first trainer."""
    trainer = bench.begin(trial(0))
    trainer.end(trial(0))
    bench.ended()
    bench.begin(trial(1))
    trainer.end(trial(1))
    bench.ended()
    return trainer


def test_a_leaking_trainer_goes_on_until_its_successor_is_warm(make: Make, leaky: None) -> None:
    """The third trial still runs on the old one while the spare loads; then the spare takes over."""
    bench = make()
    old = two_trials(bench)
    spare = bench.server.trainer(1)
    spare.expect("setup")
    assert bench.begin(trial(2)) is old
    spare.link.send({"type": "ready", "pid": spare.process.pid})
    old.end(trial(2))
    bench.ended()
    bench.slot.assign(trial(3))
    bench.started(spare, trial(3))
    assert old.is_closed()
    assert len(bench.server.trainers) == 2


def test_a_spare_that_dies_does_no_harm(make: Make, leaky: None) -> None:
    """The old trainer goes on, and a further spare is warmed after its next trial."""
    bench = make()
    old = two_trials(bench)
    spare = bench.server.trainer(1)
    spare.expect("setup")
    spare.die()
    assert bench.begin(trial(2)) is old
    old.end(trial(2))
    assert bench.ended()["kind"] == "completed"
    third = bench.server.trainer(2)
    third.ready()
    bench.slot.assign(trial(3))
    bench.until(lambda messages, done: bench.slot._running is not None)  # pyright: ignore[reportPrivateUsage]
    bench.started(third, trial(3))


# The end --------------------------------------------------------------------------------------------------------------


def test_a_slot_that_closes_lets_its_trainers_go(make: Make, leaky: None) -> None:
    """Trainers end when their links close: the one at work and the spare."""
    bench = make()
    old = two_trials(bench)
    spare = bench.server.trainer(1)
    bench.slot.close()
    assert old.is_closed()
    spare.expect("setup")
    assert spare.is_closed()


def test_a_trial_that_runs_when_the_slot_closes_may_be_gone_on_with(make: Make) -> None:
    """It is asked for a checkpoint; one that gives its place to another trial is over, and is not."""
    bench = make()
    trainer = bench.begin(trial(0))
    bench.slot.assign(trial(1))
    assert trainer.expect("stop")["checkpoint"] is False
    trainer.end(trial(0), "stopped")
    bench.started(trainer, trial(1))
    closing = threading.Thread(target=bench.slot.close)
    closing.start()
    assert trainer.expect("stop")["checkpoint"] is True
    trainer.end(trial(1), "stopped")
    closing.join()
    assert trainer.is_closed()


def test_a_slot_whose_fork_server_is_gone_starts_its_own(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine, or after the fork server died, the slot has one of its own, and asks that one from then on."""
    here = make()
    closed: list[str] = []

    class OwnServer:
        """Stands for a process that was started."""

        def __init__(self, folder: Path, program: object, **rest: object) -> None:
            self.socket = folder / "own.sock"
            self.socket.symlink_to(here.server.path)

        def close(self) -> None:
            closed.append("own")

    setup = SlotSetup(
        program=Program(root="/").to_json(), settings={}, socket=str(tmp_path / "gone.sock"), logs="logs", chunk_s=0.02
    )
    monkeypatch.setattr(slots, "ForkServer", OwnServer)
    here.slot = Slot(setup, clock=here.clock)
    trainer = here.begin(trial(0))
    here.server.exits[trainer.process.pid] = -9
    trainer.die()
    assert here.ended()["reason"] == "the training process was killed by SIGKILL"
    here.slot.close()
    assert closed == ["own"]
