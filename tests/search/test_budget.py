"""Tests of `kerasweep.search.budget` and of what the core makes of it: each limit, exact, the same after a replay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kerasweep.search.budget import Budget, enough, limits_used, unreachable
from kerasweep.search.core import replay, step
from kerasweep.search.decisions import Close, End, Finish, Tick, Wait
from kerasweep.search.halving import SuccessiveHalving
from kerasweep.search.objective import At, Objective
from kerasweep.spaces.trial import Cause, Outcome, OutcomeKind
from kerasweep.trackers.events import Noticed, SweepAmended, SweepResumed, TrialRetried

from .test_core import ACCURACY, LOSS, Search, failed, only_close, only_end

HOUR = 3600.0


def why(search: Search, at: float = 0.0) -> str | None:
    """Return why the search has had enough at a time."""
    found = enough(search.state, at)
    return None if found is None else found.why


def follow(search: Search, *commands: Any) -> list[int]:
    """Journal what commands ask for; return the trials that they end."""
    ended: list[int] = []
    for command in commands:
        if isinstance(command, Close):
            search.tell(command.event)
        elif isinstance(command, End):
            ended.append(command.number)
            search.end(command.number, command.outcome)
    return ended


# Epochs ---------------------------------------------------------------------------------------------------------------


def test_the_epochs_of_a_budget_are_exact_with_several_slots() -> None:
    """At the last one every trial on a slot ends with what it has, and one that has nothing is interrupted."""
    search = Search(epochs=5)
    for number in range(3):
        search.ask(number)
    for epoch in (1, 2):
        assert search.report(0, epoch, acc=0.5) == search.report(1, epoch, acc=0.6) == ()
    close, *ends = search.report(0, 3, acc=0.7)
    assert isinstance(close, Close)
    assert close.event.why == "the budget of 5 epochs is spent"
    assert follow(search, close, *ends) == [0, 1, 2]
    assert search.state.ended == {OutcomeKind.STOPPED: 2, OutcomeKind.INTERRUPTED: 1}
    assert {one.number: one.value for one in search.state.best} == {0: 0.7, 1: 0.6}
    assert search.state.account.epochs == 5
    assert not search.state.epochs_are_left
    assert search.free() == Finish("the budget of 5 epochs is spent", 0)


def test_a_trial_that_is_stopped_at_the_last_epoch_ends_once() -> None:
    """The stop rule and the budget come to the same trial."""
    search = Search(epochs=3, stop=SuccessiveHalving())
    search.ask(0)
    search.ask(1)
    search.report(0, 1, acc=0.9)
    search.report(0, 2, acc=0.9)
    assert follow(search, *search.report(1, 1, acc=0.1)) == [0, 1]


def test_epochs_are_cut_off_while_the_sweep_closes_for_another_reason() -> None:
    """Running trials have one epoch more at the hours' end, but none beyond the epochs'."""
    search = Search(epochs=3, hours=1.0)
    for number in range(3):
        search.ask(number)
    search.report(0, 1, acc=0.5)
    search.report(1, 1, acc=0.5)
    follow(search, *step(search.state, Tick(at=HOUR))[1])
    assert follow(search, *search.report(0, 2, acc=0.5)) == [1, 2, 0]
    assert search.state.account.epochs == 3
    assert step(search.state, Tick(at=2 * HOUR))[1] == ()


def test_an_epoch_that_is_trained_again_is_not_counted_again() -> None:
    """A lost worker costs time, but no budget of epochs."""
    search = Search(epochs=100, retry={Cause.LOST: 1})
    search.ask(0)
    search.report(0, 1, acc=0.5)
    search.report(0, 2, acc=0.5)
    search.fail(0, Cause.LOST)
    search.start(0, attempt=2)
    search.report(0, 1, acc=0.5)
    search.report(0, 3, acc=0.5)
    assert search.state.account.epochs == 3


# Slot hours and gpu hours ---------------------------------------------------------------------------------------------


def pass_time(search: Search, at: float) -> None:
    """Let it be so late; what is told from then on is told at that time."""
    search.tell(Noticed(text="it is late"), at=at)


@pytest.mark.parametrize(
    ("limit", "words"),
    [({"slot_hours": 3.0}, "3 slot hours"), ({"gpu_hours": 1.5, "gpus": 0.5}, "1.5 gpu hours")],
)
def test_slot_hours_are_added_up_over_slots(limit: dict[str, float], words: str) -> None:
    """Two trials, one of which ends after an hour: three slot hours are up an hour later."""
    search = Search(**limit)
    search.ask(0)
    search.ask(1)
    pass_time(search, HOUR)
    search.report(0, 1, acc=0.5)
    search.complete(0)
    assert why(search, 2 * HOUR - 1) is None
    closing = only_close(step(search.state, Tick(at=2 * HOUR))[1])
    assert closing.why == f"the budget of {words} is spent"
    search.tell(closing, at=2 * HOUR)
    assert only_end(search.report(1, 1, acc=0.4)).reason == closing.why


def test_a_trial_that_waits_holds_no_slot() -> None:
    """Between two attempts nothing is used; a round of late binding goes on where it was."""
    search = Search(slot_hours=9.0, retry={Cause.LOST: 1})
    search.ask(0)
    pass_time(search, 100.0)
    search.fail(0, Cause.LOST)
    pass_time(search, 1000.0)
    assert search.state.account.slot_seconds(2000.0) == 100.0
    search.start(0, attempt=2)
    assert search.state.account.slot_seconds(1050.0) == 150.0


def test_slots_are_not_held_while_there_is_no_driver() -> None:
    """A kill -9, a night, another driver: what was used until the last event counts on."""
    search = Search(slot_hours=1.0)
    search.ask(0)
    search.ask(1)
    pass_time(search, 600.0)
    search.tell(SweepResumed(spec={}), at=50_000.0)
    assert search.state.account.slot_seconds(50_000.0) == 1200.0
    for number in range(2):
        search.fail(number, Cause.INTERRUPTED)
    pass_time(search, 60_000.0)
    assert search.state.account.slot_seconds(60_000.0) == 1200.0


# No improvement -------------------------------------------------------------------------------------------------------


def test_trials_without_a_better_value_end_the_sweep() -> None:
    """A tie is not better, a failure counts; what does not count neither adds to the row nor ends it."""
    search = Search(no_improvement=3, trials=None)
    for number, value in enumerate([0.5, 0.4, 0.6, 0.6]):
        search.run(number, value)
    search.ask(4)
    search.end(4, Outcome(kind=OutcomeKind.INFEASIBLE))
    search.ask(5)
    search.end(5, failed("boom"))
    search.ask(6)
    search.ask(7)
    search.report(6, 1, acc=0.1)
    closing = only_close(search.complete(6))
    assert closing.why == "no better value in 3 trials in a row"
    search.tell(closing)
    assert search.free() == Wait(last=True)
    assert only_end(search.report(7, 1, acc=0.9)).kind is OutcomeKind.STOPPED


def test_without_any_value_there_is_no_improvement_either() -> None:
    """A search in which nothing but failures come ends with exit code 1."""
    search = Search(no_improvement=2, trials=None)
    search.ask(0)
    search.end(0, failed("a"))
    search.ask(1)
    follow(search, *search.end(1, failed("b")))
    assert search.free() == Finish("no better value in 2 trials in a row", 1)


# A goal ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "goal", "values"), [(ACCURACY, 0.9, [0.8, 0.9]), (LOSS, 0.2, [0.3, 0.2])], ids=["max", "min"]
)
def test_a_goal_ends_the_sweep_at_the_epoch_that_reaches_it(
    objective: Objective, goal: float, values: list[float]
) -> None:
    """The trial keeps its value, the others stop at their next epoch; as good as the goal is good enough."""
    search, name = Search(goal=goal, objective=objective), objective.metric
    search.ask(0)
    search.ask(1)
    assert search.report(0, 1, **{name: values[0]}) == ()
    close, end = search.report(0, 2, **{name: values[1]})
    assert isinstance(close, Close)
    assert close.event.why == f"the goal of {goal:g} is reached: {name} {goal:g} in trial 0"
    assert isinstance(end, End)
    assert (end.number, end.outcome.kind, end.outcome.value) == (0, OutcomeKind.STOPPED, goal)
    follow(search, close, end)
    assert only_end(search.report(1, 1, **{name: values[0]})).kind is OutcomeKind.STOPPED


def test_a_trial_that_reaches_the_goal_at_its_last_epoch_is_completed() -> None:
    """There is nothing left of it to stop."""
    search = Search(goal=0.9, max_epochs=2)
    search.ask(0)
    search.report(0, 1, acc=0.5)
    search.tell(only_close(search.report(0, 2, acc=0.95)))
    search.complete(0)
    assert search.state.ended == {OutcomeKind.COMPLETED: 1}
    assert search.free() == Finish("the goal of 0.9 is reached: acc 0.95 in trial 0", 0)


def test_what_counts_is_the_value_that_the_trial_would_have() -> None:
    """With `at: last` the last epoch's; over folds the mean of all of them, not that of the first; a result of `fit`."""
    last = Search(goal=0.9, objective=replace(ACCURACY, at=At.LAST))
    last.ask(0)
    assert only_close(last.report(0, 1, acc=0.95)[:1])
    folds = Search(goal=0.9, folds=True, max_epochs=3, objective=replace(ACCURACY, at=At.LAST))
    folds.ask(0)
    assert folds.report(0, 1, acc=0.95) == folds.report(0, 2, acc=0.92) == ()
    folds.end(0, Outcome(kind=OutcomeKind.STOPPED, value=0.92, epoch=2))
    assert why(folds) is None
    own = Search(goal=0.9)
    own.ask(0)
    closing = only_close(own.end(0, Outcome(kind=OutcomeKind.COMPLETED, value=0.97, epoch=3)))
    assert closing.why == "the goal of 0.9 is reached: acc 0.97 in trial 0"


@pytest.mark.parametrize(
    ("objective", "goal", "message"),
    [
        ("max val_accuracy", 1.01, "val_accuracy is never above 1"),
        ("max auc", 99.0, "auc is never above 1"),
        ("min val_loss", -0.1, ""),
        ("min val_mse", -0.1, "val_mse is never below 0"),
        ("min accuracy", -0.1, "accuracy is never below 0"),
        ("max val_accuracy", 1.0, ""),
        ("min mae", 0.0, ""),
        ("max own_metric", 1e9, ""),
        ("max mse", 5.0, ""),
    ],
)
def test_a_goal_out_of_reach_is_known_where_the_metric_is(objective: str, goal: float, message: str) -> None:
    """Keras's own metrics have ranges; nothing is said of others."""
    assert unreachable(goal, Objective.parse(objective)) == message


# Whichever is first ---------------------------------------------------------------------------------------------------


def test_the_first_limit_that_is_reached_ends_the_sweep_once() -> None:
    """Of several one is named, and a sweep that closes is not closed again."""
    search = Search(hours=1.0, no_improvement=1, epochs=100)
    search.run(0)
    search.ask(1)
    search.report(1, 1, acc=0.1)
    follow(search, *search.complete(1))
    assert search.state.closing is not None
    assert step(search.state, Tick(at=9 * HOUR))[1] == ()


def test_what_is_spent_stays_spent_after_a_resume() -> None:
    """All limits are functions of the journal: another driver comes to the same end at once, unless it is given more."""
    search = Search(epochs=2)
    search.ask(0)
    search.report(0, 1, acc=0.5)
    follow(search, *search.report(0, 2, acc=0.5))
    search.tell(SweepResumed(spec={}), at=100.0)
    assert only_close(step(search.state, Tick(at=100.0))[1]).why == "the budget of 2 epochs is spent"
    wider = replay(replace(search.rules, budget=replace(search.rules.budget, epochs=3)), search.journaled)
    assert step(wider, Tick(at=100.0))[1] == ()


def test_a_budget_that_is_raised_opens_a_sweep_that_closes() -> None:
    """Live: what was closing for want of budget goes on; an interrupted sweep does not."""
    search = Search(epochs=1, trials=None)
    search.ask(0)
    follow(search, *search.report(0, 1, acc=0.5))
    search.tell(SweepAmended(settings={"budget.epochs": 9}, spec={}))
    assert (search.state.closing, search.state.rules.budget.epochs) == (None, 9)
    search.run(1)


def test_a_budget_that_is_lowered_below_what_is_done_ends_the_sweep() -> None:
    """Trials under way run to their end; none is asked for any more."""
    search = Search(trials=50)
    search.run(0)
    search.run(1)
    search.ask(2)
    search.tell(SweepAmended(settings={"budget.trials": 1}, spec={}))
    assert search.free() == Wait(last=True)
    search.report(2, 1, acc=0.5)
    search.complete(2)
    assert search.free() == Finish("the budget of 1 trial is spent", 0)


def test_other_rules_may_change_too() -> None:
    """How often an attempt is forgiven, how many weights are kept."""
    search = Search()
    search.tell(SweepAmended(settings={"retry.crash": 3, "keep.best": 1, "parallel": 2}, spec={}))
    assert search.state.rules == replace(search.rules, retry={Cause.CRASH: 3}, keep=1)


def test_the_limits_are_said_in_words() -> None:
    """As the terminal shows them, and as a sweep file has them."""
    search = Search(hours=2.0, epochs=10, no_improvement=4, trials=8)
    search.run(0)
    shown = [str(one) for one in limits_used(search.state, HOUR / 2)]
    assert shown == ["1/8 trials", "0.5/2 hours", "1/10 epochs", "0/4 trials without a better value"]
    budget = Budget(trials=1, hours=2.5, no_improvement=3, goal=0.9)
    assert str(budget) == "1 trial or 2.5 hours or 3 trials without a better value or goal 0.9"


# Trials again ---------------------------------------------------------------------------------------------------------


def retried(search: Search, number: int) -> None:
    """Have a trial run again."""
    search.tell(TrialRetried(trial=number, params=search.state.retryable[number].live.params))


def test_a_failed_trial_runs_again_as_it_was() -> None:
    """Same number, seed, parameters and first reports; the next attempt, with all retries before it."""
    search = Search(trials=2, retry={Cause.CRASH: 1})
    search.ask(0)
    search.report(0, 1, acc=0.5)
    before = search.state.live[0]
    for attempt in (1, 2):
        commands = search.fail(0, Cause.CRASH, attempt=attempt)
        if attempt == 1:
            search.start(0, attempt=2)
    search.end(0, only_end(commands))
    assert (search.state.counted, search.state.asked) == (1, 1)
    retried(search, 0)
    live = search.state.live[0]
    assert (live.seed, live.params, live.best, live.epoch) == (before.seed, before.params, 0.5, 1)
    assert (live.next_attempt, live.spent, search.state.counted) == (3, {}, 0)
    search.start(0, attempt=3)
    assert search.fail(0, Cause.CRASH, attempt=3) == ()


def test_the_budget_stays_exact_over_a_retry() -> None:
    """A failure that is taken back gives its place in the budget back, which the trial itself takes again."""
    search = Search(trials=2)
    search.run(0)
    search.ask(1)
    search.end(1, failed("boom"))
    assert isinstance(search.free(), Finish)
    retried(search, 1)
    search.start(1, attempt=2)
    assert search.free() == Wait(last=True)
    search.tell(SweepResumed(spec={}))
    search.fail(1, Cause.INTERRUPTED, attempt=2)
    search.start(1, attempt=3)
    search.report(1, 1, acc=0.9)
    search.complete(1)
    assert (search.state.counted, search.state.ended[OutcomeKind.FAILED]) == (2, 0)
    assert search.free() == Finish("the budget of 2 trials is spent", 0)


def test_failures_that_are_taken_back_were_none() -> None:
    """Neither in the row without a better value nor among the first that failed alike."""
    search = Search(no_improvement=9)
    for number in range(2):
        search.ask(number)
        search.end(number, failed("boom"))
    assert len(search.state.account.row) == 2
    retried(search, 1)
    assert (search.state.account.row, search.state.prospects.failures) == ((0,), ())


def test_only_what_could_be_otherwise_is_kept_for_a_retry() -> None:
    """Completed, stopped and infeasible trials are what they are."""
    search = Search()
    search.run(0)
    for number, kind in enumerate(OutcomeKind, 1):
        search.ask(number)
        search.end(number, Outcome(kind=kind, reason=f"because {number}"))
    kinds = {one.outcome.kind for one in search.state.retryable.values()}
    assert kinds == {OutcomeKind.FAILED, OutcomeKind.LOST, OutcomeKind.INTERRUPTED}
