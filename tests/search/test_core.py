"""Tests of `kerasweep.search.core`, rule by rule; `test_core_machine` has what holds in whatever order."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import pytest

from kerasweep.search.budget import Account, Budget
from kerasweep.search.core import replay, step
from kerasweep.search.decisions import Ask, Close, Command, End, Finish, SlotFree, Start, Tick, Wait
from kerasweep.search.halving import SuccessiveHalving
from kerasweep.search.objective import At, Direction, Objective
from kerasweep.search.outcomes import completed
from kerasweep.search.ranking import without_better
from kerasweep.search.state import ALIKE, INFEASIBLE_IN_A_ROW, Rules, State
from kerasweep.spaces.trial import Cause, Outcome, OutcomeKind, Report
from kerasweep.trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Entry,
    Event,
    Noticed,
    Reported,
    RoundEnded,
    SweepAmended,
    SweepClosing,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    Timed,
    TrialAsked,
    TrialEnded,
)

ACCURACY = Objective(metric="acc", direction=Direction.MAX)
LOSS = Objective(metric="loss", direction=Direction.MIN)
FREE = SlotFree()
REPLAYED = 25
"""So many events are each replayed from the beginning; of more, every so-manieth is."""


class Search:
    """A search under way: `tell` it events, see what it wants done; it does nothing by itself."""

    def __init__(self, **rules: object) -> None:
        settings: dict[str, Any] = {"trials": 10, "max_epochs": 27, **rules}
        limits = {one.name: settings.pop(one.name) for one in fields(Budget) if one.name in settings}
        objective: Objective = settings.pop("objective", ACCURACY)
        self.rules = Rules(objective=objective, budget=Budget(**limits), **settings)
        self.state = State(rules=self.rules)
        self.journaled: list[Entry] = []
        self.tell(SweepStarted(spec={}))

    def tell(self, event: Event, at: float = 0.0) -> tuple[Command, ...]:
        """Journal an event and return the commands."""
        self.journaled.append(Entry(seq=len(self.journaled) + 1, at=at, event=event))
        self.state, commands = step(self.state, event, at)
        if (
            len(self.journaled) <= REPLAYED or len(self.journaled) % REPLAYED == 0
        ):  # of a long one each time is too long
            assert replay(self.rules, self.journaled) == self.state
        return commands

    def free(self) -> Command:
        """Say that a slot is free and return what it shall do."""
        state, (command,) = step(self.state, FREE)
        assert state is self.state
        return command

    def ask(self, number: int) -> None:
        """Ask for a trial and start it."""
        assert self.free() == Ask(number)
        self.tell(TrialAsked(trial=number, seed=100 + number, params={"id": number}, history_seq=0))
        self.start(number)

    def start(self, number: int, attempt: int = 1, round: int = 0) -> None:
        """Put a waiting trial on a slot."""
        assert number in self.state.queue
        self.tell(AttemptStarted(trial=number, attempt=attempt, round=round))

    def report(self, number: int, epoch: int, **metrics: float) -> tuple[Command, ...]:
        """Report an epoch."""
        return self.tell(Reported(trial=number, attempt=1, report=Report(epoch=epoch, metrics=metrics)))

    def end(self, number: int, outcome: Outcome) -> tuple[Command, ...]:
        """Journal an outcome."""
        return self.tell(TrialEnded(trial=number, attempt=1, outcome=outcome))

    def complete(self, number: int) -> tuple[Command, ...]:
        """Let a trial run to its end."""
        return self.end(number, completed(self.state, number))

    def fail(self, number: int, cause: Cause, why: str = "boom", attempt: int = 1) -> tuple[Command, ...]:
        """End an attempt."""
        return self.tell(AttemptEnded(trial=number, attempt=attempt, cause=cause, why=why, traceback="Traceback"))

    def run(self, number: int, value: float = 0.5) -> None:
        """Run a trial of one epoch from ask to end."""
        self.ask(number)
        self.report(number, 1, acc=value)
        self.complete(number)


def failed(why: str) -> Outcome:
    """Return the outcome of a trial that failed."""
    return Outcome(kind=OutcomeKind.FAILED, reason=why)


def only_end(commands: Iterable[Command]) -> Outcome:
    """Return the outcome of the one command there is."""
    (command,) = commands
    assert isinstance(command, End)
    return command.outcome


def only_close(commands: Iterable[Command]) -> SweepClosing:
    """Return the event of the one command there is."""
    (command,) = commands
    assert isinstance(command, Close)
    return command.event


# Budget ---------------------------------------------------------------------------------------------------------------


def test_a_budget_is_exact_with_several_slots() -> None:
    """No more trials are on their way than the budget still has room for; the sweep ends when all are through."""
    search = Search(trials=3)
    for number in range(3):
        search.ask(number)
    assert search.free() == Wait(last=True)
    for number in range(3):
        search.report(number, 1, acc=0.5)
        search.complete(number)
    assert search.free() == Finish("the budget of 3 trials is spent", 0)


@pytest.mark.parametrize("kind", [OutcomeKind.INFEASIBLE, OutcomeKind.LOST, OutcomeKind.INTERRUPTED])
def test_trials_that_tell_nothing_cost_no_budget(kind: OutcomeKind) -> None:
    """Infeasible, lost, interrupted: another trial takes their place."""
    search = Search(trials=1)
    search.ask(0)
    search.end(0, Outcome(kind=kind, reason="so it is"))
    assert search.state.counted == 0
    search.run(1)
    assert search.free() == Finish("the budget of 1 trial is spent", 0)


@pytest.mark.parametrize("kind", [OutcomeKind.COMPLETED, OutcomeKind.STOPPED, OutcomeKind.FAILED])
def test_trials_that_tell_something_cost_budget(kind: OutcomeKind) -> None:
    """Completed, stopped, failed: one of the budget."""
    search = Search(trials=1)
    search.ask(0)
    search.end(0, Outcome(kind=kind, value=None if kind is OutcomeKind.FAILED else 0.5, epoch=1))
    assert search.state.counted == 1
    assert isinstance(search.free(), Finish)


def test_without_a_limit_there_is_always_a_next_trial() -> None:
    """Only a limit ends a search."""
    search = Search(trials=None)
    for number in range(5):
        search.run(number)
    assert search.free() == Ask(5)


def test_a_raised_budget_goes_on_from_where_the_sweep_ended() -> None:
    """A finished sweep, replayed under a larger budget, asks for the next number."""
    search = Search(trials=1)
    search.run(0)
    search.tell(SweepEnded(why="budget", exit_code=0))
    assert search.state.finished
    wider = replay(replace(search.rules, budget=Budget(trials=2)), search.journaled)
    wider, _ = step(wider, SweepResumed(spec={}))
    assert not wider.finished
    assert step(wider, FREE)[1] == (Ask(1),)


def test_a_lowered_budget_is_over() -> None:
    """A budget below what has run already ends the sweep."""
    search = Search(trials=3)
    for number in range(3):
        search.run(number)
    assert step(replay(replace(search.rules, budget=Budget(trials=1)), search.journaled), FREE)[1] == (
        Finish("the budget of 1 trial is spent", 0),
    )


# Exit codes -----------------------------------------------------------------------------------------------------------


def test_a_sweep_without_a_value_exits_with_1() -> None:
    """Done, but no trial succeeded."""
    search = Search(trials=1)
    search.ask(0)
    search.end(0, failed("boom"))
    assert search.free() == Finish("the budget of 1 trial is spent", 1)


def test_a_closing_sweep_exits_with_the_code_of_its_reason() -> None:
    """An interruption's code stands, whatever was found; without one, the result decides."""
    for code, found, expected in [(130, True, 130), (0, True, 0), (0, False, 1)]:
        search = Search()
        if found:
            search.run(0)
        search.tell(SweepClosing(why="enough", cancel=True, exit_code=code))
        assert search.free() == Finish("enough", expected)


# Hopeless sweeps ------------------------------------------------------------------------------------------------------


def test_fifty_infeasible_in_a_row_end_the_sweep() -> None:
    """A space that has next to no buildable model is not searched for ever."""
    search = Search()
    infeasible = Outcome(kind=OutcomeKind.INFEASIBLE, reason="too large")
    for number in range(INFEASIBLE_IN_A_ROW - 1):
        search.ask(number)
        assert search.end(number, infeasible) == ()
    search.ask(INFEASIBLE_IN_A_ROW - 1)
    closing = only_close(search.end(INFEASIBLE_IN_A_ROW - 1, infeasible))
    assert closing.exit_code == 1
    assert closing.why.startswith("50 configurations in a row were infeasible")
    search.tell(closing)
    assert isinstance(search.free(), Finish)


def test_one_feasible_trial_starts_the_row_again() -> None:
    """Only an unbroken row counts."""
    search = Search(trials=200)
    numbers = iter(range(200))
    for _ in range(2):
        for _ in range(INFEASIBLE_IN_A_ROW - 1):
            number = next(numbers)
            search.ask(number)
            assert search.end(number, Outcome(kind=OutcomeKind.INFEASIBLE)) == ()
        search.run(next(numbers))


def failing(search: Search, reasons: Iterable[str]) -> list[tuple[Command, ...]]:
    """Let a new trial fail for each reason, and return the commands of each."""
    commands: list[tuple[Command, ...]] = []
    for reason in reasons:
        number = search.state.asked
        search.ask(number)
        commands.append(search.end(number, failed(reason)))
    return commands


def test_the_first_three_failing_alike_end_the_sweep() -> None:
    """A mistake in the model is shown once, not two hundred times; numbers in the message may differ."""
    search = Search()
    *before, last = failing(search, ["ValueError: shape 3", "ValueError: shape 5", "ValueError: shape 12"])
    assert before == [(), ()]
    why = "the first 3 trials failed alike: ValueError: shape 3"
    assert only_close(last) == SweepClosing(why=why, cancel=True, exit_code=1)
    search.tell(only_close(last))
    assert search.free() == Finish(why, 1)


def test_different_failures_do_not_end_the_sweep() -> None:
    """Three different errors are three hard configurations; nor does it end when the fourth repeats the third."""
    assert failing(Search(), ["a", "b", "b", "b", "b"]) == [()] * 5


def test_failures_after_a_success_do_not_end_the_sweep() -> None:
    """A model that has trained once is no mistake as a whole."""
    search = Search()
    search.run(0)
    assert failing(search, ["boom"] * 5) == [()] * 5


def test_a_success_among_the_first_failures_counts() -> None:
    """Two failures, a success, two failures: the search goes on."""
    search = Search()
    assert failing(search, ["boom"] * 2) == [()] * 2
    search.run(2)
    assert failing(search, ["boom"] * (ALIKE + 1)) == [()] * (ALIKE + 1)


# Attempts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (Cause.LOST, OutcomeKind.LOST),
        (Cause.CRASH, OutcomeKind.FAILED),
        (Cause.OOM, OutcomeKind.FAILED),
        (Cause.HANG, OutcomeKind.FAILED),
        (Cause.ERROR, OutcomeKind.FAILED),
    ],
)
@pytest.mark.parametrize("forgiven", [0, 1, 3])
def test_each_cause_has_its_own_retries(cause: Cause, kind: OutcomeKind, forgiven: int) -> None:
    """An attempt is repeated as often as its cause allows, then the trial ends: lost is lost, the others failed."""
    search = Search(retry={cause: forgiven, Cause.INTERRUPTED: 0})
    search.ask(0)
    for attempt in range(1, forgiven + 1):
        assert search.fail(0, cause, attempt=attempt) == ()
        assert search.free() == Start(0)
        search.start(0, attempt + 1)
    outcome = only_end(search.fail(0, cause, why="the end", attempt=forgiven + 1))
    times = f" ({forgiven + 1} times)" if forgiven else ""
    assert outcome == Outcome(kind=kind, reason=f"the end{times}", traceback="Traceback")


def test_a_trial_that_ran_out_of_memory_is_repeated_alone() -> None:
    """It waits until no other trial runs, and while it runs no other begins; then the sweep goes on as before."""
    search = Search(retry={Cause.OOM: 1})
    search.ask(0)
    search.ask(1)
    search.fail(0, Cause.OOM)
    assert search.free() == Wait()
    search.report(1, 1, acc=0.5)
    search.complete(1)
    assert search.free() == Start(0)
    search.start(0, attempt=2)
    assert search.free() == Wait()
    assert search.state.batch_divisor(0) == 1
    outcome = only_end(search.fail(0, Cause.OOM, why="it took 3 GB", attempt=2))
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "it took 3 GB (2 times)")
    search.end(0, outcome)
    assert search.free() == Ask(2)


def test_a_lone_trial_stays_alone_over_rounds_and_other_losses() -> None:
    """What it is repeated for later changes nothing in its want of memory."""
    search = Search(retry={Cause.OOM: 1, Cause.LOST: 1})
    search.ask(0)
    search.ask(1)
    search.fail(0, Cause.OOM)
    search.tell(RoundEnded(trial=1, attempt=1, round=0, specs=(), params={"id": 1}))
    assert search.free() == Start(1)
    search.start(1, round=1)
    assert search.free() == Wait()
    search.fail(1, Cause.LOST)
    assert search.free() == Start(0)
    search.start(0, attempt=2)
    search.fail(0, Cause.LOST, attempt=2)
    assert search.free() == Start(1)
    search.start(1, attempt=2)
    assert search.free() == Wait()


def test_a_trial_that_ran_out_of_memory_may_be_repeated_with_half_the_batch() -> None:
    """Where that is allowed it waits for nobody, and each further time halves the batch again."""
    search = Search(retry={Cause.OOM: 2}, smaller_batch=True)
    search.ask(0)
    search.ask(1)
    for attempt, divisor in ((1, 1), (2, 2)):
        assert (search.state.batch_divisor(0), search.state.batch_divisor(1)) == (divisor, 1)
        search.fail(0, Cause.OOM, attempt=attempt)
        assert search.free() == Start(0)
        search.start(0, attempt=attempt + 1)
    assert search.state.batch_divisor(0) == 4
    assert only_end(search.fail(0, Cause.OOM, attempt=3)).kind is OutcomeKind.FAILED


def test_a_node_that_keeps_losing_trials_is_avoided() -> None:
    """Three losses in a row, unless there is no other node; an attempt that ends there in any other way clears it."""
    search = Search(retry={Cause.LOST: 9}, trials=1)
    nodes = ["good", "bad"]

    def lose(attempt: int, node: str, cause: Cause = Cause.LOST) -> set[str]:
        search.tell(AttemptEnded(trial=0, attempt=attempt, cause=cause, why="", slot=f"{node}-17"))
        search.start(0, attempt + 1)
        return search.state.avoided(nodes)

    search.ask(0)
    assert lose(1, "bad") == lose(2, "good") == lose(3, "bad") == set()
    assert lose(4, "bad") == {"bad"}
    assert search.state.avoided(["bad"]) == set()
    search.tell(SweepResumed(spec={}))
    assert search.state.avoided(nodes) == {"bad"}
    search.tell(Timed(trial=0, attempt=5, slot="bad-17", pid=1, times={}))
    assert search.state.avoided(nodes) == set()
    assert lose(5, "") == set()
    assert search.state.losses == {"good": 1}


def test_causes_do_not_add_up() -> None:
    """A crash does not spend the retries of a loss."""
    search = Search(retry={Cause.LOST: 1, Cause.CRASH: 1})
    search.ask(0)
    for attempt, cause in enumerate([Cause.LOST, Cause.CRASH], 1):
        assert search.fail(0, cause, attempt=attempt) == ()
        search.start(0, attempt + 1)
    assert only_end(search.fail(0, Cause.LOST, attempt=3)).kind is OutcomeKind.LOST


def test_an_interruption_is_always_forgiven() -> None:
    """Any number of dead drivers cost a trial nothing."""
    search = Search()
    search.ask(0)
    for attempt in range(1, 20):
        assert search.fail(0, Cause.INTERRUPTED, attempt=attempt) == ()
        search.start(0, attempt + 1)


def test_a_requeued_trial_is_the_same_trial_and_goes_first() -> None:
    """Number, seed, parameters and best value outlive an attempt; it is started before anything new is asked for."""
    search = Search(retry={Cause.LOST: 1})
    search.ask(0)
    search.report(0, 1, acc=0.5)
    before = search.state.live[0]
    search.fail(0, Cause.LOST)
    assert search.free() == Start(0)
    search.start(0, attempt=2)
    after = search.state.live[0]
    assert (after.number, after.seed, after.params) == (0, 100, {"id": 0})
    assert (after.best, after.best_epoch, after.epoch) == (before.best, before.best_epoch, before.epoch)
    assert (after.attempt, after.placed) == (2, True)
    assert search.free() == Ask(1)


def test_waiting_trials_are_started_in_their_order() -> None:
    """Of two that wait, the one that has waited longer goes first."""
    search = Search()
    search.ask(0)
    search.ask(1)
    search.fail(1, Cause.INTERRUPTED)
    search.fail(0, Cause.INTERRUPTED)
    assert search.free() == Start(1)
    search.start(1, attempt=2)
    assert search.free() == Start(0)


def test_the_next_attempt_has_the_next_number() -> None:
    """After an attempt has ended, the core says which one is next, and that its rounds begin anew."""
    search = Search()
    search.ask(0)
    search.fail(0, Cause.INTERRUPTED)
    assert (search.state.live[0].next_attempt, search.state.live[0].round) == (2, 0)


# Rounds ---------------------------------------------------------------------------------------------------------------


def test_a_round_goes_straight_back_to_a_slot_with_its_new_parameters() -> None:
    """A further pass of late binding goes first; it is no attempt and costs no retry."""
    search = Search(retry={})
    search.ask(0)
    search.ask(1)
    search.fail(0, Cause.INTERRUPTED)
    assert search.tell(RoundEnded(trial=1, attempt=1, round=0, specs=(), params={"id": 1, "units": 8})) == ()
    assert search.free() == Start(1)
    live = search.state.live[1]
    assert (live.params, live.round, live.next_attempt, live.spent) == ({"id": 1, "units": 8}, 1, 1, {})
    search.start(1, attempt=1, round=1)
    assert search.state.queue == (0,)
    assert search.state.live[1].round == 1


# Reports --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "values", "value", "epoch"),
    [
        (ACCURACY, [0.1, 0.9, 0.5], 0.9, 2),
        (ACCURACY, [0.5, 0.9, 0.9], 0.9, 2),
        (LOSS, [3.0, 1.0, 2.0], 1.0, 2),
        (replace(ACCURACY, at=At.LAST), [0.1, 0.9, 0.5], 0.5, 3),
        (replace(LOSS, at=At.LAST), [3.0, 1.0, 2.0], 2.0, 3),
    ],
)
def test_a_trials_value_is_that_of_its_best_or_last_epoch(
    objective: Objective, values: list[float], value: float, epoch: int
) -> None:
    """The best epoch, the first of equals; or the last, where the sweep says so."""
    search = Search(objective=objective)
    search.ask(0)
    for at, one in enumerate(values, 1):
        assert search.report(0, at, **{objective.metric: one}) == ()
    assert completed(search.state, 0) == Outcome(kind=OutcomeKind.COMPLETED, value=value, epoch=epoch)


def test_the_last_value_is_told_with_its_own_epoch() -> None:
    """Where the last epoch did not log the objective, value and epoch are of the last one that did."""
    search = Search(objective=replace(ACCURACY, at=At.LAST), first_value_epoch=2)
    search.ask(0)
    search.report(0, 1, loss=1.0)
    search.report(0, 2, loss=1.0, acc=0.7)
    search.report(0, 3, loss=1.0)
    assert completed(search.state, 0) == Outcome(kind=OutcomeKind.COMPLETED, value=0.7, epoch=2)


def test_the_first_report_of_an_epoch_stands() -> None:
    """A second attempt that trains an epoch again changes no value and is judged at no rung again."""
    search = Search(stop=SuccessiveHalving(), retry={Cause.LOST: 1})
    search.ask(0)
    search.report(0, 1, acc=0.5)
    search.fail(0, Cause.LOST)
    search.start(0, attempt=2)
    before = search.state
    assert not before.accepts(0, Report(epoch=1, metrics={"acc": 0.9}))
    assert search.report(0, 1, acc=0.9) == ()
    assert search.report(0, 1, acc=math.nan) == ()
    assert search.state == before


def test_a_report_of_an_ended_trial_changes_nothing() -> None:
    """What comes after the end is discarded."""
    search = Search()
    search.run(0)
    before = search.state
    assert search.report(0, 2, acc=1.0) == ()
    assert search.state == before


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("objective", [ACCURACY, LOSS, replace(ACCURACY, at=At.LAST)])
def test_a_value_that_is_not_finite_fails_the_trial_at_once(objective: Objective, value: float) -> None:
    """Whatever the direction, and however good the epochs before were."""
    search = Search(objective=objective)
    search.ask(0)
    search.report(0, 1, **{objective.metric: 0.5})
    outcome = only_end(search.report(0, 2, **{objective.metric: value}))
    assert (outcome.kind, outcome.value) == (OutcomeKind.FAILED, None)
    assert outcome.reason == f"NonFiniteObjective: {objective.metric} was {value} at epoch 2"


def test_another_metric_may_be_anything() -> None:
    """Only the objective has to be finite."""
    search = Search()
    search.ask(0)
    assert search.report(0, 1, acc=0.5, loss=math.nan) == ()


def test_a_missing_objective_refuses_the_sweep_with_the_nearest_name() -> None:
    """A misspelt objective is bad input, and costs one epoch, not a night; the message has what the model logs."""
    search = Search(objective=Objective(metric="val_acuracy", direction=Direction.MAX))
    search.ask(0)
    (close,) = search.report(0, 1, loss=1.0, val_accuracy=0.5, learning_rate=0.1)
    says = (
        "the objective 'val_acuracy' is not among the model's metrics (did you mean 'val_accuracy'?): "
        "it logs loss, val_accuracy"
    )
    assert close == Close(SweepClosing(why=says, cancel=True, exit_code=2))


def test_an_objective_that_comes_later_is_waited_for() -> None:
    """With validation at every third epoch the first two have no value, and no later gap is an error."""
    search = Search(first_value_epoch=3)
    search.ask(0)
    assert search.report(0, 1, loss=1.0) == ()
    assert search.report(0, 2, loss=1.0) == ()
    assert search.report(0, 3, loss=1.0, acc=0.5) == ()
    assert search.report(0, 4, loss=1.0) == ()
    search.ask(1)
    assert search.report(1, 3, loss=1.0) == ()


def test_a_trial_that_never_logged_the_objective_has_failed() -> None:
    """Training through without a value is a failure that says what there was instead."""
    search = Search(first_value_epoch=9)
    search.ask(0)
    search.report(0, 1, loss=1.0)
    assert completed(search.state, 0, ["loss"]).reason.endswith("it logs loss")
    assert completed(search.state, 0).reason.endswith("it logged nothing")
    assert completed(search.state, 0).kind is OutcomeKind.FAILED


# Stopping -------------------------------------------------------------------------------------------------------------


def test_the_stop_rule_sees_rungs_only_and_its_answer_ends_the_trial() -> None:
    """A worse trial goes on between rungs and stops at one, with the value of its best epoch."""
    search = Search(stop=SuccessiveHalving(min_epochs=2), max_epochs=9)
    search.ask(0)
    search.ask(1)
    for epoch in (1, 2):
        assert search.report(0, epoch, acc=0.9) == ()
    assert search.report(1, 1, acc=0.4) == ()
    outcome = only_end(search.report(1, 2, acc=0.3))
    assert outcome == Outcome(
        kind=OutcomeKind.STOPPED, value=0.4, epoch=1, reason="asha: 2 of 2 at epoch 2, the best 1 go on"
    )


def test_a_lower_loss_is_a_better_score() -> None:
    """The stop rule keeps the small ones where the objective is to be minimized."""
    search = Search(objective=LOSS, stop=SuccessiveHalving())
    search.ask(0)
    search.ask(1)
    assert search.report(0, 1, loss=2.0) == ()
    assert search.report(1, 1, loss=1.0) == ()


def test_a_rung_that_has_no_value_is_judged_by_the_next_one() -> None:
    """With `validation_freq: 2`, or a loop that reports every other epoch, values stand beside the rungs."""
    search = Search(stop=SuccessiveHalving(), max_epochs=9, first_value_epoch=2)
    for number, value in enumerate((0.9, 0.8)):
        search.ask(number)
        search.report(number, 1, loss=1.0) if number == 0 else None
        (*ends,) = search.report(number, 2, acc=value)
        assert [end.outcome.reason for end in ends if isinstance(end, End)] == (
            [] if number == 0 else ["asha: 2 of 2 at epoch 1, the best 1 go on"]
        )
    assert search.report(0, 3, loss=1.0) == search.report(0, 4, acc=0.1) == ()
    assert search.state.rungs.at(("asha", 0, 3)) == (0.1,)


def test_the_last_epoch_is_no_rung() -> None:
    """A trial that has arrived at its end is completed, however bad."""
    search = Search(stop=SuccessiveHalving(), max_epochs=3)
    for number, value in enumerate([0.9, 0.95, 0.1]):
        search.ask(number)
        if number < 2:
            search.report(number, 1, acc=value)
    assert search.report(2, 3, acc=0.1) == ()


# Closing --------------------------------------------------------------------------------------------------------------


def test_at_its_hours_a_sweep_closes_once() -> None:
    """Time is a question: it leaves the state as it is, and a closing sweep is not closed again."""
    search = Search(hours=1.0)
    assert step(search.state, Tick(at=3599.9))[1] == ()
    state, commands = step(search.state, Tick(at=3600.0))
    assert state is search.state
    assert only_close(commands) == SweepClosing(why="the budget of 1 hour is spent")
    search.tell(only_close(commands))
    assert step(search.state, Tick(at=9999.0))[1] == ()


def test_time_between_runs_is_not_counted() -> None:
    """Half an hour of work, a night without a driver, and there is half an hour left."""
    search = Search(hours=1.0)
    search.tell(Noticed(text="still there"), at=1800.0)
    search.tell(SweepResumed(spec={}), at=30_000.0)
    assert search.state.seconds(30_000.0) == 1800.0
    assert step(search.state, Tick(at=31_799.0))[1] == ()
    assert step(search.state, Tick(at=31_800.0))[1] != ()


def test_a_clock_that_goes_back_takes_no_time_away() -> None:
    """Durations are never negative."""
    search = Search(hours=1.0)
    search.tell(Noticed(text="now"), at=1000.0)
    search.tell(SweepResumed(spec={}), at=500.0)
    assert search.state.seconds(100.0) == 1000.0


def test_closing_stops_running_trials_at_their_next_epoch() -> None:
    """At the hours' end a trial keeps what it has learned: it is stopped, with its value, and nothing new begins."""
    search = Search(hours=1.0)
    search.ask(0)
    search.tell(SweepClosing(why="time"))
    assert search.free() == Wait(last=True)
    outcome = only_end(search.report(0, 1, acc=0.5))
    assert outcome == Outcome(kind=OutcomeKind.STOPPED, value=0.5, epoch=1, reason="time")
    search.end(0, outcome)
    assert search.free() == Finish("time", 0)


def test_closing_ends_waiting_trials_too() -> None:
    """A trial that waits for another attempt is stopped where it has a value, and else interrupted."""
    search = Search(hours=1.0)
    for number in range(2):
        search.ask(number)
    search.report(0, 1, acc=0.5)
    for number in range(2):
        search.fail(number, Cause.INTERRUPTED)
    search.tell(SweepClosing(why="time"))
    outcomes = {
        0: Outcome(kind=OutcomeKind.STOPPED, value=0.5, epoch=1, reason="time"),
        1: Outcome(kind=OutcomeKind.INTERRUPTED, reason="time"),
    }
    for number, outcome in outcomes.items():
        assert search.free() == End(number, outcome)
        search.end(number, outcome)
    assert search.free() == Finish("time", 0)


def test_cancelling_interrupts_and_ends_nothing() -> None:
    """Ctrl-C: a report that still comes in stands but does not stop its trial; all that was live can be resumed."""
    search = Search()
    for number in range(2):
        search.ask(number)
    search.tell(SweepClosing(why="interrupted", cancel=True, exit_code=130))
    assert search.free() == Wait(last=True)
    assert search.report(0, 1, acc=0.5) == ()
    for number in range(2):
        assert search.fail(number, Cause.INTERRUPTED) == ()
    assert search.free() == Finish("interrupted", 130)
    search.tell(SweepEnded(why="interrupted", exit_code=130))
    search.tell(SweepResumed(spec={}))
    assert search.state.live[0].best == 0.5
    assert [search.state.live[number].placed for number in range(2)] == [False, False]
    assert search.free() == Start(0)


def test_resuming_opens_a_closed_sweep() -> None:
    """A driver that takes over a closed sweep goes on asking."""
    search = Search(trials=2)
    search.run(0)
    search.tell(SweepClosing(why="stop", cancel=True, exit_code=130))
    search.tell(SweepEnded(why="stop", exit_code=130))
    search.tell(SweepResumed(spec={}))
    assert (search.state.closing, search.state.finished) == (None, False)
    assert search.free() == Ask(1)


def test_a_trial_between_its_last_attempt_and_its_end_is_not_stuck() -> None:
    """A driver that dies after an attempt's end and before the trial's leaves a trial that is tried once more."""
    search = Search(trials=1)
    search.ask(0)
    assert only_end(search.fail(0, Cause.ERROR)).kind is OutcomeKind.FAILED
    search.tell(SweepResumed(spec={}))
    assert search.free() == Start(0)


# The best -------------------------------------------------------------------------------------------------------------


def test_the_best_few_are_kept_in_order() -> None:
    """The best values, the earlier of equals first; as many as keep their weights."""
    search = Search()
    for number, value in enumerate([0.1, 0.9, 0.5, 0.9, 0.7]):
        search.run(number, value)
    assert [(one.value, one.number) for one in search.state.best] == [(0.9, 1), (0.9, 3), (0.7, 4)]
    assert len(search.state.best) == search.state.rules.keep


def test_a_trial_without_a_value_is_never_the_best() -> None:
    """Neither a failure nor a value that is not finite has a rank."""
    search = Search()
    for number, outcome in enumerate(
        [
            failed("boom"),
            Outcome(kind=OutcomeKind.COMPLETED, value=math.inf, epoch=1),
            Outcome(kind=OutcomeKind.STOPPED, reason="no value"),
        ]
    ):
        search.ask(number)
        search.end(number, outcome)
    assert search.state.best == ()


def test_over_folds_those_that_did_more_are_better() -> None:
    """A mean over the first three folds, which may be the easy ones, does not beat one over all five."""
    search = Search(folds=True, max_epochs=5)
    outcomes = [(OutcomeKind.STOPPED, 0.9, 3), (OutcomeKind.COMPLETED, 0.7, 5), (OutcomeKind.COMPLETED, 0.8, 5)]
    for number, (kind, value, epoch) in enumerate(outcomes):
        search.ask(number)
        search.end(number, Outcome(kind=kind, value=value, epoch=epoch))
    assert [one.number for one in search.state.best] == [2, 1, 0]


def test_outcomes_are_counted_by_kind() -> None:
    """The state knows how many ended how."""
    search = Search()
    search.run(0)
    failing(search, ["a", "b"])
    assert search.state.ended == {OutcomeKind.COMPLETED: 1, OutcomeKind.FAILED: 2}


# Purity ---------------------------------------------------------------------------------------------------------------


def test_questions_leave_the_state_as_it_is() -> None:
    """`SlotFree` and `Tick` can be asked at any time, any number of times."""
    search = Search(hours=1.0)
    search.ask(0)
    for question in (FREE, Tick(at=1e9)):
        state, first = step(search.state, question)
        assert state is search.state
        assert step(search.state, question)[1] == first


def test_an_event_that_is_none_of_the_cores_business_changes_only_the_time() -> None:
    """Notices are for people."""
    search = Search()
    before = search.state
    assert search.tell(Noticed(text="hello"), at=5.0) == ()
    assert search.state == replace(before, last_at=5.0)


def test_what_was_changed_in_one_session_does_not_hold_in_the_next() -> None:
    """A driver that takes over brings its own rules; until then the changed ones hold."""
    rules = Rules(objective=Objective(metric="m", direction=Direction.MAX), keep=3)
    state, _ = step(State(rules=rules), SweepAmended(settings={"keep.best": 1}, spec={}))
    state, _ = step(state, SweepAmended(settings={"budget.trials": 7}, spec={}))
    assert (state.rules.keep, state.rules.budget.trials) == (1, 7)
    state, _ = step(state, SweepResumed(spec={}), 5.0)
    assert state.rules == rules


def test_no_improvement_compares_with_the_whole_front() -> None:
    """Not with the few whose weights are kept."""
    first = Objective(metric="m", direction=Direction.MAX)
    rules = Rules(objective=first, further=(Objective(metric="n", direction=Direction.MAX),), keep=1)
    account = Account()
    for number, values in enumerate([(0.1, 0.9), (0.5, 0.5), (0.9, 0.1), (0.05, 0.8), (0.4, 0.4), (0.8, 0.05)]):
        outcome = Outcome(kind=OutcomeKind.COMPLETED, value=values[0], values=values, epoch=1)
        account = without_better(account, (), rules, number, outcome)
    assert account.row == (3, 4, 5)


@pytest.mark.parametrize("epochs", [1, 0])
def test_an_epoch_without_a_value_ends_a_trial_of_a_sweep_that_closes(epochs: int) -> None:
    """Stopped where it had a value before, else interrupted: with `validation_freq` most epochs have none."""
    rules = Rules(objective=Objective(metric="m", direction=Direction.MAX), max_epochs=9, first_value_epoch=4)
    state = State(rules=rules)
    asked = TrialAsked(trial=0, seed=0, params={}, history_seq=0)
    for event in (asked, AttemptStarted(trial=0, attempt=1)):
        state, _ = step(state, event)
    for epoch in range(1, epochs + 1):
        state, _ = step(state, Reported(trial=0, attempt=1, report=Report(epoch=epoch, metrics={"m": 0.5})))
    state, _ = step(state, SweepClosing(why="time is up"))
    state, (end,) = step(state, Reported(trial=0, attempt=1, report=Report(epoch=epochs + 1, metrics={"loss": 1.0})))
    assert isinstance(end, End)
    assert end.outcome.kind is (OutcomeKind.STOPPED if epochs else OutcomeKind.INTERRUPTED)
    assert "time is up" in end.outcome.reason
