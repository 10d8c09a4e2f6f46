"""The core in whatever order things happen, and a sweep that dies after each of its durable writes in turn."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kerasweep.search.budget import Budget, counted, enough
from kerasweep.search.core import replay
from kerasweep.search.decisions import Finish, Wait
from kerasweep.search.halving import SuccessiveHalving
from kerasweep.search.objective import At, Direction, Objective
from kerasweep.search.outcomes import completed
from kerasweep.search.state import Rules
from kerasweep.search.stop import NeverStop
from kerasweep.spaces.trial import Cause, Outcome, OutcomeKind, Report
from kerasweep.trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Entry,
    Event,
    Reported,
    RoundEnded,
    SweepAmended,
    SweepClosing,
    SweepEnded,
    SweepStarted,
    TrialAsked,
    TrialEnded,
    TrialRetried,
)
from kerasweep.trackers.journal import GROUP_S, Journal, Reader

from .bench import Bench, Book, MemoryBook, proposal

MAX_EPOCHS = 5
further_limits = st.fixed_dictionaries(
    {},
    optional={
        "epochs": st.integers(1, 12),
        "slot_hours": st.sampled_from([0.2, 1.0]),
        "gpu_hours": st.sampled_from([0.2, 1.0]),
        "no_improvement": st.integers(1, 4),
        "goal": st.sampled_from([0.5, 1.0]),
    },
)
VALUES = [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, math.nan, math.inf]


def has_free_slot(machine: Sweep) -> bool:
    """Say whether a slot has nothing to do."""
    return len(machine.bench.slots) < machine.parallel


def has_busy_slot(machine: Sweep) -> bool:
    """Say whether a trial runs."""
    return bool(machine.bench.slots)


def has_retryable(machine: Sweep) -> bool:
    """Say whether a trial has ended that may run again."""
    return bool(machine.bench.state.retryable) and machine.bench.state.closing is None


def is_cancelled(machine: Sweep) -> bool:
    """Say whether the running trials are to be interrupted."""
    closing = machine.bench.state.closing
    return closing is not None and closing.cancel


class Sweep(RuleBasedStateMachine):
    """A sweep on fakes, beside a model in plain dicts: what was asked, what was reported, what has ended."""

    @initialize(
        trials=st.integers(1, 6),
        parallel=st.integers(1, 3),
        stop=st.sampled_from([NeverStop(), SuccessiveHalving(), SuccessiveHalving(factor=2)]),
        direction=st.sampled_from(Direction),
        at=st.sampled_from(At),
        retry=st.dictionaries(st.sampled_from(Cause), st.integers(0, 2)),
        smaller_batch=st.booleans(),
        further=further_limits,
    )
    def begin(
        self,
        trials: int,
        parallel: int,
        stop: NeverStop | SuccessiveHalving,
        direction: Direction,
        at: At,
        retry: dict[Cause, int],
        smaller_batch: bool,
        further: dict[str, float],
    ) -> None:
        """Start the sweep."""
        self.parallel = parallel
        self.going_by = Rules(
            objective=Objective(metric="m", direction=direction, at=at),
            budget=Budget(trials=trials, hours=1.0),
            max_epochs=MAX_EPOCHS,
            stop=stop,
            retry=retry,
            smaller_batch=smaller_batch,
            gpus=0.5,
        ).amended({f"budget.{name}": limit for name, limit in further.items()})
        self.on_top = 0  # trials that did not count and were retried
        self.book = MemoryBook()
        self.bench = Bench(self.going_by, self.book)
        self.trained: dict[int, int] = {}  # slot -> epochs that its trainer has done
        self.asked: list[int] = []
        self.ended: dict[int, Outcome] = {}
        self.values: dict[int, dict[int, tuple[int, float | None]]] = {}  # trial -> epoch -> (seq, value)
        self.read = 0
        self.bench.record(SweepStarted(spec={}))

    # What happens -----------------------------------------------------------------------------------------------------

    @precondition(has_free_slot)
    @rule()
    def fill(self) -> None:
        """A free slot asks for work."""
        slot = next(slot for slot in range(self.parallel) if slot not in self.bench.slots)
        answer = self.bench.fill(slot)
        self.trained[slot] = 0
        if isinstance(answer, Wait):
            assert self.bench.state.placed, "nothing runs that could end the waiting"
        if isinstance(answer, Finish):
            assert not self.bench.state.placed
            if answer.why == f"the budget of {counted('trials', self.going_by.budget.trials or 0)} is spent":
                assert 0 <= self.bench.state.counted - (self.going_by.budget.trials or 0) <= self.on_top
                assert not self.bench.state.live
            self.bench.record(SweepEnded(why=answer.why, exit_code=answer.exit_code))

    @precondition(has_busy_slot)
    @rule(data=st.data(), value=st.sampled_from(VALUES), logged=st.sampled_from([True] * 9 + [False]))
    def report(self, data: st.DataObject, value: float, logged: bool) -> None:
        """A trainer has done an epoch; its value may be anything, or missing."""
        slot, number, attempt = self.busy(data)
        if not self.bench.state.epochs_are_left:
            return
        self.trained[slot] += 1
        epoch = self.trained[slot]
        if epoch > MAX_EPOCHS:
            return
        news = epoch > max(self.values[number], default=0)
        metrics = {"m": value} if logged else {"other": value}
        report = Report(epoch=epoch, metrics=metrics)
        assert self.bench.state.accepts(number, report) is news
        self.bench.record(Reported(trial=number, attempt=attempt, report=report), soon=True)
        if news and logged and not math.isfinite(value):
            self.follow()
            assert self.ended[number].kind is OutcomeKind.FAILED

    @precondition(has_busy_slot)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        """A trial's training has run to its end."""
        _, number, _ = self.busy(data)
        self.bench.record(self.bench.end(number, completed(self.bench.state, number)))

    @precondition(has_busy_slot)
    @rule(data=st.data())
    def infeasible(self, data: st.DataObject) -> None:
        """A model refuses its configuration."""
        _, number, _ = self.busy(data)
        self.bench.record(self.bench.end(number, Outcome(kind=OutcomeKind.INFEASIBLE, reason="too large")))

    @precondition(has_busy_slot)
    @rule(data=st.data(), cause=st.sampled_from(Cause), reason=st.sampled_from(["boom 1", "boom 2", "bang"]))
    def fail(self, data: st.DataObject, cause: Cause, reason: str) -> None:
        """An exception, a crash, a lost actor."""
        _, number, attempt = self.busy(data)
        self.bench.record(AttemptEnded(trial=number, attempt=attempt, cause=cause, why=reason))

    @precondition(has_busy_slot)
    @rule(data=st.data())
    def end_round(self, data: st.DataObject) -> None:
        """A model has met unknown parameters; its slot goes on with the same trial."""
        slot, number, attempt = self.busy(data)
        before = self.bench.state.live[number]
        params = {**before.params, f"late{before.round}": 1}
        self.bench.record(RoundEnded(trial=number, attempt=attempt, round=before.round, specs=(), params=params))
        state = self.bench.state
        if state.closing is None and enough(state, state.last_at) is None:
            assert self.bench.fill(slot) is None
            assert self.bench.slots[slot] == (number, attempt)
            self.trained[slot] = 0

    @rule(seconds=st.sampled_from([0.0, 1.0, 600.0, 3000.0]))
    def wait(self, seconds: float) -> None:
        """Time passes; the clock may also be set back."""
        self.book.now += seconds
        self.bench.tick(self.book.now)

    @precondition(has_busy_slot)
    @rule()
    def request_stop(self) -> None:
        """The user interrupts."""
        self.bench.record(SweepClosing(why="interrupted", cancel=True, exit_code=130))

    @precondition(has_retryable)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        """The user has a trial run again that failed, was lost or interrupted."""
        number = data.draw(st.sampled_from(sorted(self.bench.state.retryable)))
        self.on_top += not self.bench.state.retryable[number].outcome.counts
        self.bench.record(TrialRetried(trial=number, params=self.bench.state.retryable[number].live.params))
        assert number in self.bench.state.queue

    @rule(limit=st.sampled_from([None, 1, 5, 40]))
    def amend(self, limit: int | None) -> None:
        """The user changes a limit; what is closing for want of budget opens, and closes again where there is none."""
        self.going_by = replace(self.going_by, budget=replace(self.going_by.budget, epochs=limit))
        self.bench.record(SweepAmended(settings={"budget.epochs": limit}, spec={}))
        assert self.bench.state.rules == self.going_by

    @precondition(is_cancelled)
    @rule()
    def heed(self) -> None:
        """The engine ends what runs."""
        self.bench.interrupt()

    @rule(away_s=st.sampled_from([0.0, 100_000.0]))
    def die(self, away_s: float) -> None:
        """The driver is killed, or has ended; another one takes over, at once or much later."""
        self.follow()
        spent = self.bench.state.seconds(self.bench.state.last_at)
        self.book.crash()
        self.values = {
            number: {epoch: there for epoch, there in epochs.items() if there[0] <= self.book.durable}
            for number, epochs in self.values.items()
        }
        self.read = min(self.read, self.book.durable)
        self.book.now += away_s
        self.bench = Bench(self.going_by, self.book, self.book.entries)
        self.bench.resume()
        assert self.bench.state.closing is None
        assert self.bench.state.seconds(self.book.now) <= spent

    def busy(self, data: st.DataObject) -> tuple[int, int, int]:
        """Return a slot that trains, with its trial's number and attempt."""
        slot = data.draw(st.sampled_from(sorted(self.bench.slots)))
        return slot, *self.bench.slots[slot]

    # The model --------------------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Take what was journaled since into the model; what may not happen fails here."""
        for entry in self.book.entries[self.read :]:
            self._follow(entry)
        self.read = len(self.book.entries)

    def _follow(self, entry: Entry) -> None:
        match entry.event:
            case TrialAsked(trial=number):
                assert number == len(self.asked), "numbers are consecutive"
                self.asked.append(number)
                self.values[number] = {}
            case AttemptStarted(trial=number):
                assert number not in self.ended, "an ended trial never starts again"
            case TrialRetried(trial=number):
                assert self.ended.pop(number).retryable, "what has a result stands"
            case Reported(trial=number, report=report):
                if number not in self.ended and report.epoch > max(self.values[number], default=0):
                    self.values[number][report.epoch] = (entry.seq, report.metrics.get("m"))
            case TrialEnded(trial=number, outcome=outcome):
                assert number not in self.ended, "a trial ends once"
                self.ended[number] = outcome
            case _:
                pass

    @invariant()
    def the_journal_is_the_state(self) -> None:
        """What a new driver would make of the journal is what this one has."""
        assert self.bench.replayed == self.bench.state

    @invariant()
    def the_state_is_the_models(self) -> None:
        """Each asked trial is live or has ended; the live ones are on one slot each or wait in the queue."""
        self.follow()
        state, running = self.bench.state, [number for number, _ in self.bench.slots.values()]
        assert state.asked == len(self.asked)
        assert sorted([*state.live, *self.ended]) == self.asked
        assert len(running) == len(set(running)) <= self.parallel
        assert {live.number for live in state.placed} == set(running)
        assert sorted([*running, *state.queue]) == sorted(state.live)
        for number, attempt in self.bench.slots.values():
            assert state.live[number].attempt == attempt

    @invariant()
    def one_that_ran_out_of_memory_runs_alone(self) -> None:
        """No other trial is on a slot beside it, unless its batch was made smaller."""
        state = self.bench.state
        if any(live.spent.get(Cause.OOM) for live in state.placed) and not self.going_by.smaller_batch:
            assert len(state.placed) == 1

    @invariant()
    def a_trial_keeps_what_makes_it_one(self) -> None:
        """Seed and first parameters are those that were proposed, its best is that of its first reports."""
        self.follow()
        objective = self.going_by.objective
        for number, live in self.bench.state.live.items():
            seed, params = proposal(number)
            assert live.seed == seed
            assert params.items() <= live.params.items()
            values = (value for _, value in self.values[number].values())
            scores = [objective.score(one) for one in values if one is not None and math.isfinite(one)]
            assert live.best == (objective.score(max(scores)) if scores else None)

    @invariant()
    def the_budget_holds(self) -> None:
        """No more trials count, and no more are on their way, than the budget has room for."""
        self.follow()
        assert self.going_by.budget.trials is not None
        count = sum(outcome.counts for outcome in self.ended.values())
        assert self.bench.state.counted == count
        assert count + len(self.bench.state.live) <= self.going_by.budget.trials + self.on_top

    @invariant()
    def what_is_used_is_what_is_journaled(self) -> None:
        """Epochs are those that stand; slots are held by the trials on them, for no longer than there were slots."""
        self.follow()
        state, account = self.bench.state, self.bench.state.account
        assert account.epochs == sum(max(epochs, default=0) for epochs in self.values.values())
        assert set(account.holding) == {live.number for live in state.placed}
        assert 0 <= account.slot_seconds(state.last_at) <= self.parallel * state.seconds(state.last_at)
        assert not {*account.row} & {*state.live}, "what is tried again is no trial without a better value"

    @invariant()
    def the_best_is_the_best(self) -> None:
        """The first of the ranked has the best value of all that ended."""
        self.follow()
        values = [outcome.value for outcome in self.ended.values() if outcome.value is not None]
        best = max(values, key=self.going_by.objective.score, default=None)
        assert [one.value for one in self.bench.state.best[:1]] == ([] if best is None else [best])
        assert all(math.isfinite(value) for value in values)

    def teardown(self) -> None:
        """Whatever came before: a driver that takes over and meets no more trouble spends the budget to the last."""
        self.bench = Bench(self.going_by, self.book, self.book.entries)
        self.bench.resume()
        for _ in range(100):
            answer = None
            while answer is None and has_free_slot(self):
                answer = self.bench.fill(next(slot for slot in range(self.parallel) if slot not in self.bench.slots))
            if isinstance(answer, Finish):
                break
            number, attempt = next(iter(self.bench.slots.values()))
            epoch = max(1, self.bench.state.live[number].epoch + 1)
            report = Report(epoch=epoch, metrics={"m": 0.5})
            self.bench.record(Reported(trial=number, attempt=attempt, report=report), soon=True)
            if number in self.bench.state.live:
                self.bench.record(self.bench.end(number, completed(self.bench.state, number)))
        else:
            raise AssertionError("the sweep does not come to its end")
        if answer.why == f"the budget of {counted('trials', self.going_by.budget.trials or 0)} is spent":
            assert 0 <= self.bench.state.counted - (self.going_by.budget.trials or 0) <= self.on_top
        else:
            assert self.bench.state.closing is not None
            assert not self.bench.state.closing.cancel
        assert replay(self.going_by, self.book.entries) == self.bench.state


TestSweep = Sweep.TestCase
TestSweep.settings = settings(max_examples=30, stateful_step_count=40)


# Every crash point ------------------------------------------------------------------------------------------------------


CRASH_RULES = Rules(
    objective=Objective(metric="m", direction=Direction.MAX),
    budget=Budget(trials=7),
    max_epochs=4,
    stop=SuccessiveHalving(),
    retry={Cause.CRASH: 1, Cause.LOST: 1},
)
SLOTS = 2


def script(bench: Bench, slot: int, trained: dict[tuple[int, int, int], int]) -> None:
    """Let the trial on a slot do its next thing; which one depends on nothing but the trial and its attempt."""
    number, attempt = bench.slots[slot]
    live = bench.state.live[number]
    done = trained.get((number, attempt, live.round), 0)
    trained[number, attempt, live.round] = done + 1
    if number == 1 and live.round == 0:
        params = {**live.params, "late": number}
        bench.record(RoundEnded(trial=number, attempt=attempt, round=0, specs=(), params=params))
    elif number == 2:
        bench.record(bench.end(number, Outcome(kind=OutcomeKind.INFEASIBLE, reason="too large")))
    elif number == 3:
        bench.record(AttemptEnded(trial=number, attempt=attempt, cause=Cause.ERROR, why="boom"))
    elif number in (4, 5) and done == 2 and attempt == 1:
        cause = Cause.CRASH if number == 4 else Cause.LOST
        bench.record(AttemptEnded(trial=number, attempt=attempt, cause=cause, why="gone"))
    elif done == CRASH_RULES.max_epochs:
        bench.record(bench.end(number, completed(bench.state, number)))
    else:
        metrics = {"m": number / 10 + done / 100}
        bench.record(Reported(trial=number, attempt=attempt, report=Report(epoch=done + 1, metrics=metrics)), soon=True)


class Ticking(Book, Protocol):
    """A journal whose commits are grouped by time."""

    def tick(self) -> None:
        """Commit what is due."""
        ...


def finish(journal: Ticking, past: list[Entry]) -> Finish:
    """Begin or take over the sweep, and run it to its end."""
    bench, trained = Bench(CRASH_RULES, journal, past), dict[tuple[int, int, int], int]()
    if past:
        bench.resume()
    else:
        bench.record(SweepStarted(spec={}))
    while True:
        for slot in range(SLOTS):
            if slot in bench.slots:
                script(bench, slot, trained)
                journal.tick()
            elif isinstance(answer := bench.fill(slot), Finish):
                bench.record(SweepEnded(why=answer.why, exit_code=answer.exit_code))
                return answer


class Photographed:
    """Copies a journal's folder each time that something in it has become durable: what a kill would leave."""

    def __init__(self, journal: Journal, album: Path) -> None:
        self.journal = journal
        self.album = album
        self.seen = b""
        self.pictures: list[Path] = []

    def append(self, *events: Event) -> list[Entry]:
        """Append, then take a picture."""
        entries = self.journal.append(*events)
        self._look()
        return entries

    def append_soon(self, event: Event) -> Entry:
        """Append soon."""
        return self.journal.append_soon(event)

    def tick(self) -> None:
        """Tick, then take a picture if that committed anything."""
        self.journal.tick()
        self._look()

    def _look(self) -> None:
        log = self.journal.path.with_name("journal.db-wal").read_bytes()
        if log != self.seen:
            self.seen = log
            self.pictures.append(self.album / str(len(self.pictures)))
            self.pictures[-1].mkdir(parents=True)
            for name in ("journal.db", "journal.db-wal"):
                shutil.copy(self.journal.path.with_name(name), self.pictures[-1])


def entries_of(folder: Path) -> list[Entry]:
    """Return all that stands in the journal of a folder."""
    with Reader(folder) as reader:
        return list(reader.after())


def test_a_sweep_killed_after_any_of_its_durable_writes_comes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resumed from each: the same trials, the exact budget, each ended once, and nothing that stands is touched."""
    clock = iter(range(10**9))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock) * GROUP_S / 3)
    whole = tmp_path / "whole"
    whole.mkdir()
    with Journal(whole) as journal:
        photographed = Photographed(journal, tmp_path / "album")
        assert finish(photographed, []) == Finish("the budget of 7 trials is spent", 0)
    undisturbed = entries_of(whole)
    groups = [len(entries_of(picture)) for picture in photographed.pictures]
    assert groups[-1] == len(undisturbed)
    assert len(groups) > 20
    assert any(isinstance(undisturbed[count - 1].event, Reported) for count in groups), "some commit is only a tick's"
    for picture in photographed.pictures:
        before = entries_of(picture)
        with Journal(picture) as journal:
            assert finish(journal, before) == Finish("the budget of 7 trials is spent", 0)
        after = entries_of(picture)
        assert after[: len(before)] == before
        assert trials_of(after) == trials_of(undisturbed)
        check(after)


def trials_of(entries: list[Entry]) -> dict[int, TrialAsked]:
    """Return how each trial was asked for."""
    return {entry.event.trial: entry.event for entry in entries if isinstance(entry.event, TrialAsked)}


def check(entries: list[Entry]) -> None:
    """Check a whole journal of the scripted sweep by what it says alone."""
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    outcomes: dict[int, Outcome] = {}
    news: dict[int, int] = {}
    for entry in entries:
        assert entry.trial not in outcomes, "nothing happens to a trial that has ended"
        if isinstance(entry.event, TrialEnded):
            outcomes[entry.event.trial] = entry.event.outcome
        if isinstance(entry.event, Reported):
            news[entry.event.trial] = max(news.get(entry.event.trial, 0), entry.event.report.epoch)
    assert sorted(outcomes) == sorted(trials_of(entries))
    assert sum(outcome.counts for outcome in outcomes.values()) == CRASH_RULES.budget.trials
    assert outcomes[2].kind is OutcomeKind.INFEASIBLE
    assert outcomes[3].kind is OutcomeKind.FAILED
    for number, outcome in outcomes.items():
        if outcome.kind is OutcomeKind.COMPLETED:
            assert news[number] == CRASH_RULES.max_epochs
            assert outcome.value == number / 10 + (CRASH_RULES.max_epochs - 1) / 100
