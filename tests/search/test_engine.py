"""Tests of `kerasweep.search.engine` without Tune: a loop that calls its hooks as Tune would, on a real journal."""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kerasweep.cluster.actor import ASSIGNMENT, GIVE_UP
from kerasweep.cluster.ray_session import RayDied
from kerasweep.search import engine as engines
from kerasweep.search import sampler as samplers
from kerasweep.search.budget import Budget
from kerasweep.search.engine import Engine, Places
from kerasweep.search.inbox import post
from kerasweep.search.ledger import Ledger
from kerasweep.search.optuna_sampler import Tpe
from kerasweep.search.spec import Keep, Retry, Search, SweepSpec
from kerasweep.spaces.errors import Infrastructure
from kerasweep.spaces.known import Declared
from kerasweep.spaces.parameter import Fixed, Number, Parameter, identity
from kerasweep.spaces.trial import Assignment, Cause, Outcome, OutcomeKind
from kerasweep.trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Entry,
    StartingPoints,
    SweepClosing,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TrialAsked,
)
from kerasweep.trackers.history import History
from kerasweep.trackers.journal import Journal, Reader
from kerasweep.trackers.mirror import trial_tags

from .specs import X, spec
from .stores import numbers, store, write

Y = Number(name="y", min=1, max=9, integer=True)


class Tune:
    """Calls the engine as Ray Tune does; tests say what the slots answer."""

    def __init__(self, folder: Path, what: SweepSpec, *, slots: int = 2, members: Places | None = None) -> None:
        self.folder = folder
        self.now = 1000.0
        self.code = 0
        self.journal = Journal(folder, clock=lambda: self.now)
        with Reader(folder) as reader:
            past = list(reader.after(0))
        self.ledger = Ledger(self.journal, what, past)
        self.ledger.record(SweepResumed(spec=what.to_json()) if past else SweepStarted(spec=what.to_json()))
        self.watched = 0
        self.engine = Engine(
            self.ledger, folder, slots, members=members, interrupted=lambda: self.code, watch=self._watch
        )
        self.placed: dict[str, Assignment] = {}
        self.patience_s = 20.0
        self._count = 0

    def _watch(self) -> None:
        self.watched += 1

    def suggest(self) -> Assignment | str | None:
        """Ask what a free slot does; an assignment is kept as placed."""
        self._count += 1
        tune_id = f"t{self._count}"
        answer = self.engine.suggest(tune_id)
        if answer is None or isinstance(answer, str):
            return answer
        assignment = Assignment.from_json(json.loads(answer[ASSIGNMENT]))
        self.placed[tune_id] = assignment
        return assignment

    def place(self) -> Assignment:
        """Ask for an assignment, which there is to be."""
        answer = self.suggest()
        assert isinstance(answer, Assignment)
        return answer

    def tune_id(self, one: Assignment) -> str:
        """Return Tune's name for what was placed."""
        return next(name for name, placed in self.placed.items() if placed == one)

    def chunk(self, one: Assignment, *messages: Mapping[str, Any]) -> bool:
        """Hand over what a slot sent; return whether the engine wants the trial stopped."""
        about = {"trial": one.number, "attempt": one.attempt, "slot": "s", "at": self.now}
        return self.engine.chunk(self.tune_id(one), [{**about, **message} for message in messages])

    def finish(self, one: Assignment) -> None:
        """Have a trial report one epoch and end; its slot is still Tune's to ask about."""
        assert self.chunk(one, used(one), report(1, 0.5), ENDED) is True

    def follow(self, one: Assignment) -> Assignment | str:
        """Ask what comes next in the slot of a trial that is over, as Tune does before it ends its own."""
        tune_id = self.tune_id(one)
        answer = self.engine.follow(tune_id)
        if answer is None:
            del self.placed[tune_id]
            return "goes"
        if not answer:
            return "waits"
        self.placed[tune_id] = Assignment.from_json(json.loads(answer[ASSIGNMENT]))
        return self.placed[tune_id]

    def done(self, one: Assignment, *, lost: bool = False) -> None:
        """Tell that Tune has done with what was placed."""
        tune_id = self.tune_id(one)
        del self.placed[tune_id]
        self.engine.ended(tune_id, lost=lost)
        for thread in threading.enumerate():
            if thread.name == "cleaning":
                thread.join(self.patience_s)

    def complete(self, one: Assignment, *values: float) -> None:
        """Have a trial report its values and end."""
        if not self.chunk(one, used(one), *map(report, range(1, len(values) + 1), values)):
            assert self.chunk(one, ENDED) is True
        self.done(one)

    def history(self) -> History:
        """Return what is on disk."""
        with Reader(self.folder) as reader:
            return History.of(reader.after(0))

    def entries(self) -> list[Entry]:
        """Return the entries on disk."""
        with Reader(self.folder) as reader:
            return list(reader.after(0))

    def close(self) -> None:
        """Let go of the sweep."""
        self.journal.close()


ENDED: Mapping[str, Any] = {"type": "ended", "kind": "completed", "logged": ["acc"]}


def used(one: Assignment) -> Mapping[str, Any]:
    """Return the message that says what the model read."""
    return {
        "type": "used",
        "params": {"x": one.params[identity(X)]},
        "specs": [X.to_json()],
        "facts": {"parameters": 9},
    }


def report(epoch: int, value: float, metric: str = "acc") -> Mapping[str, Any]:
    """Return an epoch's message."""
    return {"type": "report", "epoch": epoch, "metrics": {metric: value}, "seconds": 0.1}


def failure(kind: str, reason: str = "it broke") -> Mapping[str, Any]:
    """Return the message of an attempt that failed."""
    return {"type": "ended", "kind": kind, "reason": reason, "traceback": "where"}


Make = Callable[..., Tune]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Return a maker of engines on one sweep's folder; requests are looked at every time."""
    monkeypatch.setattr(engines, "INBOX_S", 0.0)
    made: list[Tune] = []

    def one(slots: int = 2, members: Places | None = None, **changes: Any) -> Tune:
        for earlier in made:
            earlier.close()
        made[:] = [Tune(tmp_path, spec(**changes), slots=slots, members=members)]
        return made[0]

    yield one
    for tune in made:
        tune.close()


def outcomes(tune: Tune) -> dict[int, str]:
    """Return the states of the trials on disk."""
    return {number: one.state for number, one in tune.history().trials.items()}


# The budget -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 2, 7])
def test_the_budget_is_exact(make: Make, slots: int) -> None:
    """However many slots there are and in whatever order they end, so many trials run and each one once."""
    tune, chance = make(slots=slots, budget=Budget(trials=10)), random.Random(slots)
    while True:
        answer = tune.suggest()
        if answer == "FINISHED":
            break
        assert len(tune.placed) <= slots
        if answer is None:
            tune.complete(chance.choice(list(tune.placed.values())), 0.1, chance.random())
    history = tune.history()
    assert outcomes(tune) == dict.fromkeys(range(10), "completed")
    assert history.ended is not None
    assert (history.ended.why, history.ended.exit_code) == ("the budget of 10 trials is spent", 0)
    assert [one.attempt for one in history.trials.values()] == [1] * 10


def test_nothing_is_journaled_behind_the_end(make: Make) -> None:
    """A slot may tell when a trial before was over after the budget has ended the sweep; the tracker has gone by then."""
    tune = make(slots=3, budget=Budget(epochs=2))
    one, two = tune.place(), tune.place()
    tune.chunk(one, used(one), report(1, 0.5), report(2, 0.6))
    tune.done(one)
    assert tune.suggest() == "FINISHED"
    timing = {"start": 1.0, "fit_start": 2.0, "fit_end": 3.0, "end": 4.0, "pid": 9}
    assert tune.chunk(two, {"type": "timed", "timing": timing}) is True
    tune.now += 5.0
    tune.engine.tick()
    assert isinstance(tune.entries()[-1].event, SweepEnded)


def test_no_more_trials_than_slots_are_placed(make: Make) -> None:
    """Tune asks ahead; a slot that is not there gets nothing."""
    tune = make(slots=2)
    tune.place()
    tune.place()
    assert tune.suggest() is None


class Nodes:
    """Places as the test says."""

    slots = 2
    idle = False

    def room(self) -> int:
        """Return how many trials may be live."""
        return self.slots

    def surplus(self, placed: int) -> bool:
        """Say whether an idle slot is to be given up."""
        return self.idle and placed < self.slots


def test_trials_are_held_to_the_slots_of_the_moment(make: Make) -> None:
    """Nodes that join are used at once, up to the ceiling; those that die take their trials along, which wait again."""
    nodes = Nodes()
    tune = make(slots=4, members=nodes, budget=Budget(trials=9))
    first, _ = tune.place(), tune.place()
    assert tune.suggest() is None
    nodes.slots = 7
    tune.place()
    tune.place()
    assert tune.suggest() is None
    nodes.slots = 3
    tune.done(first, lost=True)
    assert tune.suggest() is None
    nodes.slots = 4
    again = tune.place()
    assert (again.number, again.attempt) == (first.number, 2)
    lost = [entry.event for entry in tune.entries() if isinstance(entry.event, AttemptEnded)]
    assert [(event.trial, event.cause) for event in lost] == [(first.number, Cause.LOST)]


def test_a_slot_that_is_given_up_costs_no_trial(make: Make) -> None:
    """Tune is told to let an idle one go; nothing of it is journaled."""
    nodes = Nodes()
    tune = make(slots=2, members=nodes)
    tune.complete(tune.place(), 0.5)
    nodes.idle = True
    before = len(tune.entries())
    assert tune.engine.suggest("idle") == {ASSIGNMENT: GIVE_UP}
    tune.engine.ended("idle", lost=True)
    assert len(tune.entries()) == before
    nodes.idle = False
    assert tune.place().number == 1


def test_an_assignment_has_what_a_slot_needs(make: Make) -> None:
    """Number, seed, parameters by identity, rungs; the same for the same sweep seed."""
    tune = make(search=Search(stop=({"rule": "asha"},), seed=5))
    one = tune.place()
    assert (one.number, one.attempt, one.round, one.rungs, one.keep_above) == (0, 1, 0, (1, 3), None)
    assert set(one.params) == {identity(X)}
    asked = [entry.event for entry in tune.entries() if isinstance(entry.event, TrialAsked)]
    assert [(event.seed, dict(event.params)) for event in asked] == [(one.seed, dict(one.params))]


def test_an_ask_and_its_start_are_on_disk_before_the_slot_hears(make: Make) -> None:
    """What a slot trains is journaled, whatever happens next."""
    tune = make()
    tune.place()
    kinds = [type(entry.event) for entry in tune.entries()]
    assert kinds == [SweepStarted, TrialAsked, AttemptStarted]


def test_later_trials_keep_weights_only_where_they_rank(make: Make) -> None:
    """With three values there is a mark to beat, and what no longer ranks is removed."""
    tune = make(slots=1, budget=Budget(trials=5))
    for number, value in enumerate((0.5, 0.7, 0.6, 0.9)):
        one = tune.place()
        assert one.keep_above == (0.5 if number == 3 else None)
        (tune.folder / "checkpoints" / str(number)).mkdir(parents=True)
        tune.complete(one, value)
    assert sorted(path.name for path in (tune.folder / "checkpoints").iterdir()) == ["1", "2", "3"]
    assert tune.place().keep_above == 0.6


def test_a_later_attempt_is_told_where_to_go_on_and_what_is_journaled(make: Make) -> None:
    """A first one has nothing to go on from."""
    tune = make(slots=1)
    one = tune.place()
    assert (one.resume_from, one.reported) == ("", 0)
    tune.chunk(one, used(one), report(1, 0.5), report(2, 0.6))
    tune.done(one, lost=True)
    again = tune.place()
    assert (again.number, again.attempt, again.reported) == (one.number, 2, 2)
    assert again.resume_from == str(tune.folder / "checkpoints" / "0" / "epochs")


def test_as_many_weights_stay_as_are_to_be_kept_and_no_checkpoints(make: Make) -> None:
    """The checkpoints of a trial go when it has ended, those of a live one stay."""
    tune = make(slots=2, budget=Budget(trials=5), keep=Keep(best=1))
    live = tune.place()
    for value in (0.7, 0.5):
        one = tune.place()
        for number in (live.number, one.number):
            (tune.folder / "checkpoints" / str(number) / "epochs").mkdir(parents=True, exist_ok=True)
        tune.complete(one, value)
    left = tune.folder / "checkpoints"
    assert sorted(str(path.relative_to(left)) for path in left.rglob("*")) == ["0", "0/epochs", "1"]


def test_a_storage_that_hangs_holds_up_neither_the_driver_nor_the_end_for_long(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials go on while ended ones are being removed; the end waits as long as it may, and says what is left."""
    monkeypatch.setattr(engines, "CLEANING_S", 0.05)
    with store() as slow:
        slow.open_again.clear()
        tune = make(slots=1, budget=Budget(trials=2), storage="teststore://sweeps")
        tune.patience_s = 0.0
        place = f"teststore://sweeps/{tune.folder.name}/checkpoints"
        for value in (0.5, 0.6):
            one = tune.place()
            write(place, f"{one.number}/epochs/a")
            tune.complete(one, value)
        assert tune.suggest() == "FINISHED"
        assert tune.history().ended == SweepEnded(why="the budget of 2 trials is spent", exit_code=0)
        assert "`kerasweep gc small` removes it" in tune.history().notices[-1]
        assert numbers(place) == {0, 1}


# A trial's messages ---------------------------------------------------------------------------------------------------


def test_a_trial_is_journaled_as_it_was_told(make: Make) -> None:
    """Parameters, facts, metrics, times and the value of the best epoch."""
    tune = make()
    one = tune.place()
    assert tune.chunk(one, used(one), report(1, 0.3), report(2, 0.8)) is False
    timing = {"pid": 77, "start": 1.0, "fit_start": 2.0, "fit_end": 3.0, "end": 4.0}
    assert tune.chunk(one, report(3, 0.6), {**ENDED, "timing": timing}) is True
    trial = tune.history().trials[0]
    assert trial.params == {"x": one.params[identity(X)]}
    assert trial.facts == {"parameters": 9}
    assert trial.curve("acc") == [(1, 0.3), (2, 0.8), (3, 0.6)]
    assert trial.outcome is not None
    assert (trial.state, trial.outcome.value, trial.outcome.epoch) == ("completed", 0.8, 2)
    assert trial.timings == [{"slot": "s", **timing}]


def test_reports_share_a_commit_and_an_end_takes_them_along(make: Make) -> None:
    """A report may wait a second, never longer than its trial's end."""
    tune = make()
    one = tune.place()
    before = len(tune.entries())
    tune.chunk(one, report(1, 0.3))
    assert len(tune.entries()) == before
    tune.chunk(one, ENDED)
    assert len(tune.entries()) == before + 2


def test_a_slot_goes_on_with_the_next_trial_in_the_same_trial_of_tunes(make: Make) -> None:
    """As long as there is one for it; then Tune has the slot back, whatever it is to do with it."""
    tune = make(slots=2, budget=Budget(trials=3))
    one, two = tune.place(), tune.place()
    tune.finish(one)
    three = tune.follow(one)
    assert isinstance(three, Assignment)
    assert three.number == 2
    tune.finish(two)
    assert tune.follow(two) == "goes"
    assert tune.suggest() is None
    tune.finish(three)
    assert tune.follow(three) == "goes"
    assert tune.suggest() == "FINISHED"
    assert [record.state for record in tune.history().trials.values()] == ["completed"] * 3


def test_a_slot_that_is_lost_under_a_trial_that_followed_costs_that_one_alone(make: Make) -> None:
    """Tune knows one trial of its own, in which two of the sweep's have been."""
    tune = make(slots=1, budget=Budget(trials=2))
    one = tune.place()
    tune.finish(one)
    two = tune.follow(one)
    assert isinstance(two, Assignment)
    tune.done(two, lost=True)
    again = tune.place()
    assert (again.number, again.attempt) == (1, 2)
    assert tune.history().trials[0].state == "completed"


def test_a_slot_that_waits_for_others_stays_warm(make: Make) -> None:
    """Of a sweep in which trials wait for each other; Tune puts nothing in its place meanwhile, and it goes on in time."""
    tune = make(slots=3, search=Search(sampler="random", window=3, seed=1), budget=Budget(trials=5))
    zero, one, two = tune.place(), tune.place(), tune.place()
    for early in (one, two):
        tune.finish(early)
        assert tune.follow(early) == "waits"
        assert tune.follow(early) == "waits"
    assert tune.suggest() is None
    tune.finish(zero)
    three, four = tune.follow(zero), tune.follow(two)
    assert isinstance(three, Assignment)
    assert isinstance(four, Assignment)
    assert (three.number, four.number) == (3, 4)
    assert tune.follow(one) == "goes"
    for late in (three, four):
        tune.finish(late)
        assert tune.follow(late) == "goes"
    assert tune.suggest() == "FINISHED"


def test_a_slot_that_is_lost_while_it_waits_costs_nothing(make: Make) -> None:
    """Tune may have another one for it."""
    tune = make(slots=3, search=Search(sampler="random", window=3, seed=1), budget=Budget(trials=5))
    zero, one, _ = tune.place(), tune.place(), tune.place()
    tune.finish(one)
    assert tune.follow(one) == "waits"
    before = len(tune.entries())
    tune.done(one, lost=True)
    assert len(tune.entries()) == before
    assert tune.suggest() is None
    tune.finish(zero)
    assert tune.place().number == 3


def test_what_a_stopped_trial_took_is_heard_from_a_slot_that_waits(make: Make) -> None:
    """The driver ended it; the trainer says later what it took."""
    rule = {"rule": "threshold", "epoch": 1, "value": 0.5}
    search = Search(sampler="random", stop=(rule,), window=2, seed=1)
    tune = make(slots=2, search=search, budget=Budget(trials=3))
    zero, one = tune.place(), tune.place()
    assert tune.chunk(one, used(one), report(1, 0.1)) is True
    assert tune.follow(one) == "waits"
    timing = {"pid": 7, "start": 1.0, "fit_start": 2.0, "fit_end": 3.0, "end": 4.0}
    assert tune.chunk(one, {"type": "timed", "timing": timing}) is True
    assert [one["pid"] for one in tune.ledger.history.trials[1].timings] == [7]
    tune.finish(zero)


def test_a_slot_that_is_to_be_given_up_goes_back_to_tune(make: Make) -> None:
    """It does not hand the next trial to it; Tune asks what to do with the slot, and hears it."""
    nodes = Nodes()
    tune = make(slots=2, members=nodes)
    one = tune.place()
    tune.finish(one)
    nodes.idle = True
    assert tune.follow(one) == "goes"
    assert tune.engine.suggest("idle") == {ASSIGNMENT: GIVE_UP}


def test_messages_after_the_end_or_of_another_attempt_change_nothing(make: Make) -> None:
    """What comes late is no news, and its sender is to stop."""
    tune = make()
    one = tune.place()
    tune.chunk(one, report(1, 0.3), ENDED)
    before = len(tune.entries())
    assert tune.chunk(one, report(2, 0.9), ENDED) is True
    assert tune.engine.chunk("unknown", [report(2, 0.9)]) is True
    two = tune.place()
    assert tune.chunk(two, {**report(1, 0.4), "attempt": 9}) is False
    tune.engine.tick()
    tune.done(one)
    assert tune.history().trials[1].metrics == {}
    assert len(tune.entries()) == before + 2


def test_a_trial_is_stopped_at_a_rung_and_hears_no_more(make: Make) -> None:
    """Reports past the rung that stopped it, in the same chunk, are discarded everywhere."""
    tune = make(search=Search(stop=({"rule": "asha"},)))
    good, bad = tune.place(), tune.place()
    assert tune.chunk(good, report(1, 0.9), report(2, 0.9)) is False
    assert tune.chunk(bad, used(bad), report(1, 0.1), report(2, 0.99)) is True
    trial = tune.history().trials[1]
    assert trial.curve("acc") == [(1, 0.1)]
    assert trial.outcome is not None
    assert (trial.state, trial.outcome.value) == ("stopped", 0.1)
    assert "asha" in trial.outcome.reason


def test_a_value_that_is_no_number_fails_at_once(make: Make) -> None:
    """NaN at any epoch ends the trial."""
    tune = make()
    one = tune.place()
    assert tune.chunk(one, used(one), report(1, 0.5), report(2, float("nan"))) is True
    assert outcomes(tune) == {0: "failed"}


def test_notices_reach_the_user(make: Make) -> None:
    """What a slot wants known is journaled with its trial's number."""
    tune = make()
    one = tune.place()
    tune.chunk(one, {"type": "notice", "text": "the disk is full"}, ENDED)
    assert tune.history().notices == ["trial 0: the disk is full"]


def test_infeasible_trials_cost_no_budget(make: Make) -> None:
    """Another one is proposed for each."""
    tune = make(slots=1, budget=Budget(trials=1))
    for _ in range(3):
        one = tune.place()
        assert tune.chunk(one, {"type": "ended", "kind": "infeasible", "reason": "too large"}) is True
        tune.done(one)
    tune.complete(tune.place(), 0.5)
    assert tune.suggest() == "FINISHED"
    assert list(outcomes(tune).values()) == ["infeasible"] * 3 + ["completed"]


# Rounds ---------------------------------------------------------------------------------------------------------------


def outcome_of(tune: Tune, number: int) -> Outcome:
    """Return how a trial ended."""
    outcome = tune.history().trials[number].outcome
    assert outcome is not None
    return outcome


def test_what_a_fit_of_its_own_returned_is_the_trials_value(make: Make) -> None:
    """A number that `fit` gives as its result stands above the epochs' best; one that is no number fails."""
    tune = make()
    one, two = tune.place(), tune.place()
    tune.chunk(one, report(1, 0.9), report(2, 0.4), {**ENDED, "value": 0.6})
    tune.chunk(two, report(1, 0.9), {**ENDED, "value": math.nan})
    first, second = (outcome_of(tune, number) for number in (0, 1))
    assert (first.kind, first.value, first.epoch) == (OutcomeKind.COMPLETED, 0.6, 2)
    assert (second.kind, second.value) == (OutcomeKind.FAILED, None)


def needs(*parameters: Parameter) -> Mapping[str, Any]:
    """Return the message of a pass that met unknown parameters."""
    return {"type": "needs", "specs": [one.to_json() for one in parameters]}


def test_every_started_trial_keeps_to_where(make: Make) -> None:
    """Declared parameters at the proposal, late-bound ones after the round that found them."""
    tune = make(where=("x < 0.5", "x < 0.25 or y > 6"), budget=Budget(trials=12))
    for _ in range(12):
        one = tune.place()
        if identity(Y) not in one.params:
            assert tune.chunk(one, needs(Y)) is True
            tune.done(one)
            one = tune.place()
        x, y = one.params[identity(X)], one.params[identity(Y)]
        assert float(x) < 0.5
        assert float(x) < 0.25 or int(y) > 6
        tune.complete(one, 0.5)
    assert outcomes(tune) == dict.fromkeys(range(12), "completed")


def test_a_trial_that_cannot_keep_to_where_costs_no_budget(make: Make) -> None:
    """What a round found cannot be drawn so that the clause holds: infeasible, with the reason; another is proposed."""
    tune = make(where=("z < 3 or x < 0.2",), budget=Budget(trials=2))
    stuck = Fixed(name="z", value=7)
    began = 0
    while (answer := tune.suggest()) != "FINISHED":
        assert isinstance(answer, Assignment)
        if identity(stuck) not in answer.params:
            began += 1
            assert tune.chunk(answer, needs(stuck)) is True
            tune.done(answer)
            continue
        assert float(answer.params[identity(X)]) < 0.2
        tune.complete(answer, 0.5)
    history = tune.history()
    states = list(outcomes(tune).values())
    assert states.count("completed") == 2
    assert "infeasible" in states
    refused = next(one.outcome for one in history.trials.values() if one.state == "infeasible")
    assert refused is not None
    assert refused.reason.startswith("where: 'z < 3 or x < 0.2' does not hold for z 7, x 0.")
    assert history.ended is not None
    assert history.ended.exit_code == 0


def test_a_model_that_sets_what_is_not_allowed_ends_infeasible(make: Make) -> None:
    """A value that no proposal decided is seen with what the model used: its trial is stopped, and costs nothing."""
    tune = make(where=("own < 3",), budget=Budget(trials=1))
    one = tune.place()
    said = {"type": "used", "params": {"x": one.params[identity(X)], "own": 5}, "specs": [X.to_json()], "facts": {}}
    assert tune.chunk(one, said, report(1, 0.5)) is True
    tune.done(one)
    assert outcomes(tune) == {0: "infeasible"}
    assert tune.history().trials[0].metrics == {}
    tune.complete(tune.place(), 0.5)
    assert tune.suggest() == "FINISHED"
    assert outcomes(tune) == {0: "infeasible", 1: "completed"}


def test_a_space_that_nothing_satisfies_ends_the_sweep(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """No trial ever starts, and the 50th infeasible one is the last: one line, exit 1; a resumed sweep ends alike."""
    for name in ("MENDING_TRIES", "RANDOM_TRIES"):
        monkeypatch.setattr(samplers, name, 2)
    monkeypatch.setattr(Tpe, "tries", 2)
    for times in (1, 2):
        tune = make(where=("x > 2",))
        assert tune.suggest() == "FINISHED"
        history = tune.history()
        assert outcomes(tune) == dict.fromkeys(range(50 * times), "infeasible")
        assert history.ended is not None
        assert history.ended.exit_code == 1
        assert "50 configurations in a row were infeasible" in history.ended.why
        assert not any(isinstance(entry.event, AttemptStarted) for entry in tune.entries())


def train(tune: Tune, one: Assignment, parameter: Parameter) -> None:
    """Have a trial read this parameter, report and complete."""
    reads = {"params": {parameter.name: one.params[identity(parameter)]}, "specs": [parameter.to_json()], "facts": {}}
    tune.chunk(one, {"type": "used", **reads}, report(1, 0.5), ENDED)
    tune.done(one)


def test_a_sweep_that_has_tried_all_there_is_ends_well(make: Make) -> None:
    """Three configurations, two slots and a budget of ten: each once; while another runs, the free slot waits."""
    small = Number(name="z", min=1, max=3, integer=True)
    tune = make(slots=2, declared=(Declared(parameter=small),), budget=Budget(trials=10))
    first, second = tune.place(), tune.place()
    train(tune, first, small)
    third = tune.place()
    assert tune.suggest() is None
    assert {one.params[identity(small)] for one in (first, second, third)} == {1, 2, 3}
    train(tune, second, small)
    assert tune.suggest() is None
    train(tune, third, small)
    assert tune.suggest() == "FINISHED"
    ended = tune.history().ended
    assert ended is not None
    assert (ended.why, ended.exit_code) == ("all 3 configurations have been tried", 0)
    again = make(slots=2, declared=(Declared(parameter=small),), budget=Budget(trials=20))
    assert again.suggest() == "FINISHED"
    assert len(again.history().trials) == 3


def test_a_grid_needs_no_budget_and_is_resumed_where_it_was(make: Make) -> None:
    """In order, each once; then it says that it is exhausted."""
    grid: dict[str, Any] = {"declared": (Declared(parameter=Y),), "budget": Budget(), "search": Search(sampler="grid")}
    tried: list[Any] = []
    for trials in (4, 9):
        tune = make(slots=1, **grid)
        while len(tried) < trials:
            one = tune.place()
            tried.append(one.params[identity(Y)])
            train(tune, one, Y)
    assert tried == list(range(1, 10))
    tune = make(slots=1, **grid)
    assert tune.suggest() == "FINISHED"
    ended = tune.history().ended
    assert ended is not None
    assert (ended.why, ended.exit_code) == ("the grid is exhausted", 0)


def test_a_grid_ends_where_a_model_turns_out_to_be_continuous(make: Make) -> None:
    """The trial that met it is not trained; exit 2, with what to do."""
    tune = make(slots=1, declared=(Declared(parameter=Y),), budget=Budget(), search=Search(sampler="grid"))
    one = tune.place()
    tune.chunk(one, {"type": "needs", "specs": [X.to_json()]})
    tune.done(one)
    assert tune.suggest() == "FINISHED"
    ended = tune.history().ended
    assert ended is not None
    assert ended.exit_code == 2
    assert "a grid cannot enumerate 'x', a continuous range; give it a `step`" in ended.why


def test_a_sweep_keeps_to_the_sampler_that_auto_took(make: Make) -> None:
    """It is journaled, with the reason."""
    search = Search(sampler="auto", taken="random", reason="of a test")
    tune = make(search=search)
    assert tune.ledger.sampler.propose(0) == make(search=Search(sampler="random")).ledger.sampler.propose(0)


def test_a_name_in_where_that_no_trial_has_is_noticed(make: Make) -> None:
    """After the first trial's rounds, once, with the near match."""
    tune = make(where=("xx > 2", "later > 1"), budget=Budget(trials=3))
    for _ in range(3):
        tune.complete(tune.place(), 0.5)
    first, second = tune.history().notices
    assert first.startswith("where: trial 0 has no parameter 'xx'")
    assert second.startswith("where: trial 0 has no parameter 'later'; clauses that mention it hold until one has")


def test_a_resumed_sweep_keeps_to_where(make: Make) -> None:
    """The clauses are in the journal with the rest of the specification, and infeasible trials replay."""
    tune = make(where=("x > 2 or x < 0.5",), budget=Budget(trials=4))
    tune.complete(tune.place(), 0.5)
    asked = SweepSpec.from_json(json.loads(json.dumps(spec(where=("x < 0.5",)).to_json())))
    assert asked.where == ("x < 0.5",)
    again = make(where=("x < 0.5",), budget=Budget(trials=4))
    for _ in range(3):
        one = again.place()
        assert float(one.params[identity(X)]) < 0.5
        again.complete(one, 0.5)
    assert again.suggest() == "FINISHED"


def test_a_round_brings_the_trial_back_with_what_it_needs(make: Make) -> None:
    """The same trial, attempt and seed, its earlier values as they were, ahead of anything new."""
    tune = make(slots=1)
    first = tune.place()
    assert tune.chunk(first, {"type": "needs", "specs": [Y.to_json()]}) is True
    tune.done(first)
    second = tune.place()
    assert (second.number, second.attempt, second.round, second.seed) == (0, 1, 1, first.seed)
    assert first.params.items() <= second.params.items()
    assert set(second.params) == {identity(X), identity(Y)}
    tune.complete(second, 0.5)
    record = tune.history().trials[0]
    assert (record.attempt, record.causes) == (1, [])
    assert identity(Y) in tune.place().params


# Attempts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "times", "state"),
    [("lost", 5, "lost"), ("crash", 2, "failed"), ("oom", 1, "failed"), ("hang", 0, "failed"), ("error", 0, "failed")],
)
def test_attempts_are_forgiven_by_cause(make: Make, cause: str, times: int, state: str) -> None:
    """So many retries as the sweep allows, each with its own attempt number, then the outcome with the reason."""
    tune = make(slots=1, budget=Budget(trials=1))
    for attempt in range(1, times + 2):
        one = tune.place()
        assert (one.number, one.attempt) == (0, attempt)
        assert tune.chunk(one, failure(cause)) is True
        tune.done(one)
    trial = tune.history().trials[0]
    assert trial.outcome is not None
    why = f"it broke ({times + 1} times)" if times else "it broke"
    assert (trial.state, trial.outcome.reason, trial.outcome.traceback) == (state, why, "where")
    assert [str(one) for one in trial.causes] == [cause] * (times + 1)


def test_a_lost_attempt_is_journaled_with_its_slot(make: Make) -> None:
    """The slot that spoke last for it; one that was never heard of has none."""
    tune = make(slots=1)
    one = tune.place()
    tune.chunk(one, report(1, 0.5))
    tune.done(one, lost=True)
    again = tune.place()
    tune.done(again, lost=True)
    ended = [entry.event for entry in tune.entries() if isinstance(entry.event, AttemptEnded)]
    assert [(event.attempt, event.slot) for event in ended] == [(1, "s"), (2, "")]


def test_a_smaller_batch_travels_and_is_journaled(make: Make) -> None:
    """The slot is told what to divide the batch size by, and MLflow's tag says so."""
    tune = make(retry=Retry(oom=1, smaller_batch=True))
    one = tune.place()
    assert one.batch_divisor == 1
    tune.chunk(one, failure("oom"))
    tune.done(one)
    again = tune.place()
    assert (again.number, again.attempt, again.batch_divisor) == (0, 2, 2)
    history = tune.history()
    assert trial_tags(history, history.trials[0], "parent")["batch_divisor"] == "2"


def test_a_trial_that_says_it_failed_is_not_repeated(make: Make) -> None:
    """`FailedTrialError` fails the trial at once, whatever retries there are; the sweep goes on."""
    tune = make(retry=Retry(error=5))
    one = tune.place()
    tune.chunk(one, {"type": "ended", "kind": "failed", "reason": "too large", "traceback": "t"})
    tune.done(one)
    outcome = outcome_of(tune, 0)
    assert (outcome.kind, outcome.reason, outcome.traceback) == (OutcomeKind.FAILED, "too large", "t")
    assert tune.place().number == 1


def test_a_fatal_error_ends_the_sweep(make: Make) -> None:
    """After a `FatalError` no further trial is asked for, and the exit code is 1."""
    tune = make(retry=Retry(error=5))
    one, two = tune.place(), tune.place()
    tune.chunk(one, {"type": "ended", "kind": "fatal", "reason": "no such file", "traceback": ""})
    tune.done(one)
    assert tune.chunk(two, report(1, 0.5)) is True
    tune.done(two)
    assert tune.suggest() == "FINISHED"
    assert tune.ledger.state.closing is not None
    assert (tune.ledger.state.closing.why, tune.ledger.state.closing.exit_code) == ("trial 0: no such file", 1)


def test_a_dead_actor_has_its_trial_repeated(make: Make) -> None:
    """Tune only says that it is over; the trial comes back as another attempt, with all that it was."""
    tune = make(slots=1)
    first = tune.place()
    tune.chunk(first, used(first), report(1, 0.4))
    tune.done(first, lost=True)
    second = tune.place()
    assert (second.number, second.attempt, second.seed, second.params) == (0, 2, first.seed, first.params)
    (cause,) = tune.history().trials[0].causes
    assert cause is Cause.LOST


def test_a_slot_that_ends_without_a_word_is_lost_too(make: Make) -> None:
    """A trial that Tune has done with and that has no end is repeated."""
    tune = make(slots=1)
    tune.done(tune.place())
    assert tune.place().attempt == 2
    (ended,) = [entry.event for entry in tune.entries() if isinstance(entry.event, AttemptEnded)]
    assert ended.why == "its worker ended without saying how"


def test_an_epoch_trained_again_adds_nothing(make: Make) -> None:
    """Equal values leave no trace; different ones mark the trial, once; the first ones stand."""
    tune = make(slots=1)
    first = tune.place()
    tune.chunk(first, report(1, 0.4), report(2, 0.5))
    tune.done(first, lost=True)
    second = tune.place()
    tune.chunk(second, report(1, 0.4))
    assert tune.ledger.history.trials[0].reproduced is True
    tune.chunk(second, report(2, 0.6), report(2, 0.7), report(3, 0.45), ENDED)
    trial = tune.history().trials[0]
    assert trial.reproduced is False
    assert trial.curve("acc") == [(1, 0.4), (2, 0.5), (3, 0.45)]
    assert trial.outcome is not None
    assert trial.outcome.value == 0.5
    assert sum(1 for entry in tune.entries() if type(entry.event).__name__ == "Differed") == 1


def test_a_trial_that_stopped_unasked_is_repeated(make: Make) -> None:
    """A stop that the driver did not order is not an outcome."""
    tune = make(slots=1)
    one = tune.place()
    assert tune.chunk(one, {"type": "ended", "kind": "stopped"}) is True
    tune.done(one)
    assert tune.place().attempt == 2


def test_three_first_failures_alike_end_the_sweep(make: Make) -> None:
    """The error is the sweep's; the exit code says that nothing succeeded."""
    tune = make(slots=1, budget=Budget(trials=20))
    for number in range(3):
        one = tune.place()
        tune.chunk(one, failure("error", f"ValueError: units {number}"))
        tune.done(one)
    assert tune.suggest() == "FINISHED"
    ended = tune.history().ended
    assert ended is not None
    assert ended.exit_code == 1
    assert "failed alike" in ended.why


def test_an_objective_that_is_not_logged_refuses_the_sweep_at_the_first_epoch(make: Make) -> None:
    """The near match is named, and all trials are interrupted: what they still say is not to be seen."""
    tune = make()
    one, two = tune.place(), tune.place()
    assert tune.chunk(one, report(1, 0.5, "accu"), {"type": "ended", "kind": "completed"}) is True
    assert tune.chunk(two) is True
    tune.done(one)
    tune.done(two)
    assert tune.suggest() == "FINISHED"
    ended = tune.history().ended
    assert ended is not None
    assert (ended.exit_code, "did you mean 'accu'?" in ended.why) == (2, True)
    assert {one.state for one in tune.history().trials.values()} == {"waiting"}


def test_what_runs_after_a_search_that_ended_for_bad_input_is_heard(make: Make) -> None:
    """A grid that finds a range that it cannot enumerate ends so, and its best may yet be confirmed."""
    tune = make()
    one = tune.place()
    tune.ledger.record(SweepClosing(why="no grid", exit_code=2))
    tune.finish(one)
    assert tune.history().trials[one.number].outcome is not None


# Requests, signals, time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "code"), [("request", 130), ("signal", 143)])
def test_a_stop_interrupts_what_runs_and_asks_for_no_more(make: Make, how: str, code: int) -> None:
    """Running trials are told at their next chunk; they count as nothing and stay to be resumed."""
    tune = make()
    one, two = tune.place(), tune.place()
    tune.chunk(one, used(one), report(1, 0.4))
    if how == "request":
        post(tune.folder, {"type": "nonsense"})
        post(tune.folder, {"type": "stop"})
    else:
        tune.code = code
    tune.engine.tick()
    assert tune.suggest() is None
    assert tune.chunk(one, report(2, 0.5)) is True
    assert tune.chunk(two) is True
    tune.done(one)
    tune.done(two)
    assert tune.suggest() == "FINISHED"
    ended = tune.history().ended
    assert ended is not None
    assert ended.exit_code == code
    assert outcomes(tune) == {0: "waiting", 1: "waiting"}


def test_an_interrupted_sweep_goes_on_where_it_was(make: Make) -> None:
    """A second engine on the same folder repeats the trials that had not ended, then asks on; the budget is exact."""
    tune = make(budget=Budget(trials=4))
    tune.complete(tune.place(), 0.5)
    one = tune.place()
    tune.chunk(one, report(1, 0.4))
    tune.code = 130
    tune.engine.tick()
    tune.chunk(one)
    tune.done(one)
    assert tune.suggest() == "FINISHED"
    tune = make(budget=Budget(trials=4))
    again = tune.place()
    assert (again.number, again.attempt, again.params) == (1, 2, one.params)
    tune.complete(again, 0.4, 0.6)
    for number in (2, 3):
        new = tune.place()
        assert new.number == number
        tune.complete(new, 0.5)
    assert tune.suggest() == "FINISHED"
    assert outcomes(tune) == dict.fromkeys(range(4), "completed")


def test_at_the_end_of_its_hours_trials_stop_at_their_next_epoch(make: Make) -> None:
    """They are stopped with the value that they have; nothing new is asked for."""
    tune = make(budget=Budget(hours=1.0))
    one = tune.place()
    assert tune.chunk(one, used(one), report(1, 0.4)) is False
    tune.now += 3599.0
    assert isinstance(tune.suggest(), Assignment)
    tune.now += 2.0
    assert tune.suggest() is None
    assert tune.chunk(one, report(2, 0.5)) is True
    assert outcomes(tune)[0] == "stopped"
    assert tune.history().trials[0].curve("acc") == [(1, 0.4), (2, 0.5)]


def test_the_watch_is_called_on_every_look(make: Make) -> None:
    """Other processes are looked after from the engine's own ticks."""
    tune = make()
    tune.engine.tick()
    tune.engine.tick()
    assert tune.watched == 2


# When something breaks ------------------------------------------------------------------------------------------------


def test_an_exception_is_kept_and_ends_the_sweep_in_good_order(make: Make) -> None:
    """Tune hears nothing of it; the first one is kept; no slot gets more to do."""
    tune = make()
    one = tune.place()

    def full() -> None:
        raise Infrastructure("the disk is full")

    def other() -> None:
        raise ValueError("another")

    assert tune.engine.guarded(full, "otherwise") == "otherwise"
    assert tune.engine.guarded(other, True) is True
    assert isinstance(tune.engine.error, Infrastructure)
    assert tune.suggest() is None
    tune.done(one)
    assert tune.suggest() == "FINISHED"
    assert tune.history().ended is None


def test_the_death_of_ray_passes_through(make: Make) -> None:
    """Tune would wait for it for ever."""

    def dead() -> None:
        raise RayDied

    with pytest.raises(RayDied):
        make().engine.guarded(dead, None)


def test_retries_can_be_set(make: Make) -> None:
    """A sweep may forgive its model's errors."""
    tune = make(slots=1, retry=Retry(error=1), budget=Budget(trials=1))
    for _ in range(2):
        one = tune.place()
        tune.chunk(one, failure("error"))
        tune.done(one)
    assert outcomes(tune) == {0: "failed"}


# What users ask for ---------------------------------------------------------------------------------------------------


def ask_for(tune: Tune, **request: Any) -> None:
    """Have the engine hear a request."""
    post(tune.folder, request)
    tune.engine.tick()


def test_settings_change_while_trials_run(make: Make) -> None:
    """Fewer slots, more trials, at the next look; a new engine goes by them, too."""
    tune = make(slots=2, budget=Budget(trials=2))
    one, two = tune.place(), tune.place()
    ask_for(tune, type="set", settings=["budget.trials=3", "parallel=1"])
    tune.complete(one, 0.5)
    assert tune.suggest() is None
    tune.complete(two, 0.6)
    tune.complete(tune.place(), 0.7)
    assert tune.suggest() == "FINISHED"
    history = tune.history()
    assert history.ended is not None
    assert history.ended.why == "the budget of 3 trials is spent"
    assert SweepSpec.from_json(history.spec).parallel == 1


def test_a_request_that_cannot_be_done_changes_nothing(make: Make) -> None:
    """The engine goes on."""
    tune = make(budget=Budget(trials=2))
    before = len(tune.entries())
    for request in ({"type": "set", "settings": ["budget.trials=0"]}, {"type": "retry", "trials": [9]}, {"type": "x"}):
        ask_for(tune, **request)
    assert len(tune.entries()) == before
    assert isinstance(tune.suggest(), Assignment)


def test_a_trial_that_is_retried_goes_on_from_its_first_reports(make: Make) -> None:
    """The same parameters, another attempt; what is trained again adds nothing, and it may succeed this time."""
    tune = make(slots=1, budget=Budget(trials=1))
    one = tune.place()
    tune.chunk(one, used(one), report(1, 0.4), failure("error"))
    tune.done(one)
    ask_for(tune, type="retry", trials=[])
    again = tune.place()
    assert (again.number, again.attempt, again.params, again.seed) == (0, 2, one.params, one.seed)
    tune.complete(again, 0.4, 0.6)
    assert tune.suggest() == "FINISHED"
    record = tune.history().trials[0]
    assert (record.state, record.retries, record.curve("acc")) == ("completed", 1, [(1, 0.4), (2, 0.6)])
    assert trial_tags(tune.history(), record, "p")["retries"] == "1"
    assert trial_tags(tune.history(), record, "p")["reason"] == "run again on request"


def test_a_value_that_is_not_finite_again_fails_the_trial_again(make: Make) -> None:
    """The first report of its epoch stands, so the second one is no report; but it is no success either."""
    tune = make(slots=1, budget=Budget(trials=1))
    one = tune.place()
    tune.chunk(one, used(one), report(1, 0.4), report(2, math.nan))
    tune.done(one)
    ask_for(tune, type="retry", trials=[0])
    again = tune.place()
    assert tune.chunk(again, used(again), report(1, 0.4), report(2, math.nan)) is True
    tune.done(again)
    outcome = tune.history().trials[0].outcome
    assert outcome is not None
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "NonFiniteObjective: acc was nan at epoch 2")


# Starting points ------------------------------------------------------------------------------------------------------


def starting(tune: Tune, *points: Mapping[str, Any]) -> None:
    """Give the sweep points to try, as the sweep file does."""
    given = tuple({"values": point, "of": f"start.try.{index}"} for index, point in enumerate(points))
    tune.ledger.record(StartingPoints(points=given))


def closing_of(tune: Tune) -> str:
    """Return why the sweep is refused."""
    closing = tune.ledger.state.closing
    assert closing is not None
    assert (closing.exit_code, closing.cancel) == (2, True)
    return closing.why


def test_the_first_trials_have_the_points_that_were_given(make: Make) -> None:
    """Also in parameters that only the model names, once it does."""
    tune = make(slots=1)
    starting(tune, {"x": 0.25, "y": 7})
    one = tune.place()
    assert one.params == {identity(X): 0.25}
    tune.chunk(one, {"type": "needs", "specs": [Y.to_json()]})
    tune.done(one)
    again = tune.place()
    assert again.params == {identity(X): 0.25, identity(Y): 7}
    read = {"type": "used", "params": {"x": 0.25, "y": 7}, "specs": [X.to_json(), Y.to_json()], "facts": {"a": 1}}
    assert tune.chunk(again, read, report(1, 0.5)) is False
    assert tune.history().trials[0].start == "start.try.0"


def test_a_point_that_the_model_cannot_have_ends_the_sweep(make: Make) -> None:
    """As soon as the model names the parameter, whichever trial the point is for."""
    tune = make(slots=1)
    starting(tune, {"x": 0.25}, {"y": 99})
    one = tune.place()
    assert tune.chunk(one, {"type": "needs", "specs": [Y.to_json()]}) is True
    assert closing_of(tune) == "start.try.1.y is 99; expected a whole number from 1 to 9"
    tune.done(one)
    assert tune.suggest() == "FINISHED"


def test_a_point_whose_parameter_is_never_read_ends_the_sweep(make: Make) -> None:
    """Known once the model trains; a build that failed on its way there says nothing."""
    tune = make(slots=1, retry=Retry(crash=9))
    starting(tune, {"x": 0.25, "lerning_rate": 1e-3})
    one = tune.place()
    tune.chunk(one, {**used(one), "facts": {}}, failure("crash"))
    tune.done(one)
    assert tune.ledger.state.closing is None
    again = tune.place()
    assert tune.chunk(again, used(again), report(1, 0.5)) is True
    assert closing_of(tune) == "start.try.0: no parameter 'lerning_rate'; the model reads x there"


def test_a_point_that_breaks_where_ends_the_sweep(make: Make) -> None:
    """In a parameter that the file does not declare this is known when the model names it."""
    tune = make(slots=1, where=("y < 5",))
    starting(tune, {"y": 7})
    one = tune.place()
    assert tune.chunk(one, {"type": "needs", "specs": [Y.to_json()]}) is True
    assert closing_of(tune).startswith("start.try.0 cannot be tried: where: 'y < 5' does not hold for y 7")
