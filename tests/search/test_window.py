"""Tests of `kerasweep.search.window` and `kerasweep.search.number_order`: who is faster decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kerasweep.search.budget import Budget
from kerasweep.search.confirm import Confirm
from kerasweep.search.core import step
from kerasweep.search.curve_rules import Divergence, Median, Patience
from kerasweep.search.decisions import Ask, Close, Finish, SlotFree, Wait
from kerasweep.search.halving import Hyperband, SuccessiveHalving
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.pruner_rule import PrunerRule, Shadow
from kerasweep.search.repeats import Repeats
from kerasweep.search.sampler import OptunaSampler
from kerasweep.search.state import Rules
from kerasweep.search.stop import AnyOf, Ending, NeverStop, Standing, StopRule
from kerasweep.search.window import settled
from kerasweep.spaces.constraints import Constraints
from kerasweep.spaces.known import Known
from kerasweep.spaces.parameter import identity
from kerasweep.spaces.trial import Cause, OutcomeKind, Report
from kerasweep.trackers.events import (
    AttemptStarted,
    Event,
    Reported,
    SweepAmended,
    SweepClosing,
    SweepEnded,
    SweepResumed,
    TrialAsked,
    TrialEnded,
)

from .lab import EPOCHS, Fingerprint, Lab, Sampler, Trace
from .specs import X, ended

ACC = Objective(metric="acc", direction=Direction.MAX)
LOSS = Objective(metric="loss", direction=Direction.MIN)
STOPS: tuple[StopRule, ...] = (
    NeverStop(),
    SuccessiveHalving(factor=2),
    Hyperband(factor=2),
    Median(min_trials=2),
    AnyOf((SuccessiveHalving(), Patience(epochs=2), Divergence())),
)


def rules(**changes: Any) -> Rules:
    """Return what a sweep of the lab goes by."""
    budget = Budget(trials=changes.pop("trials", 16), **changes.pop("limits", {}))
    given: dict[str, Any] = {"retry": {Cause.LOST: 10_000}, "max_epochs": EPOCHS, **changes}
    return Rules(objective=ACC, budget=budget, **given)


def fingerprint() -> Sampler:
    """Return the sampler on which any difference in what it was told shows."""
    return cast(OptunaSampler, Fingerprint())


def tpe() -> Sampler:
    """Return Optuna's default with a constraint."""
    space = Known(parameters={identity(X): X})
    where = Constraints.of(("late <= 7 or x < 0.5", "x < 0.98"))
    return OptunaSampler(sampler="tpe", seed=3, objective=ACC, space=space, constraints=where)


@cache
def in_order(stop: StopRule, window: int, make: Callable[[], Sampler], trials: int) -> dict[int, Trace]:
    """Return the trials of a sweep that nothing disturbs, in some order."""
    return Lab(rules(stop=stop, window=window, trials=trials), make, 0, slots=window).run()


@given(
    stop=st.sampled_from(STOPS),
    window=st.integers(1, 4),
    seed=st.integers(0, 10**6),
    slots=st.integers(1, 5),
    faults=st.sampled_from([0.0, 0.1]),
)
@settings(max_examples=15)
@example(stop=NeverStop(), window=2, seed=2, slots=2, faults=0.1)  # one is lost between two late parameters
def test_any_order_of_ends_gives_the_same_trials(
    stop: StopRule, window: int, seed: int, slots: int, faults: float
) -> None:
    """Parameters, late ones too, epochs, outcomes and the reasons of stops; however many are lost, on any number of slots."""
    lab = Lab(rules(stop=stop, window=window), fingerprint, seed, slots=slots, faults=faults)
    assert lab.run() == in_order(stop, window, fingerprint, 16)
    assert (lab.why, lab.state.counted) == ("the budget of 16 trials is spent", 16)


ENDS: Mapping[str, dict[str, Any]] = {
    "no better value in 6 trials in a row": {"limits": {"no_improvement": 6}},
    "the goal of 0.9 is reached": {"limits": {"goal": 0.9}},
    "no better value in 9 trials in a row": {"limits": {"no_improvement": 9}, "further": (LOSS,)},
    "the budget of 60 trials is spent": {"folds": True, "repeats": Repeats(seeds=EPOCHS)},
}


@cache
def to_its_end(why: str) -> tuple[dict[int, Trace], str]:
    """Return the trials of a sweep that nothing disturbs, and why it ends."""
    lab = Lab(rules(window=3, trials=60, **ENDS[why]), fingerprint, 0, slots=3)
    return lab.run(), lab.why


@pytest.mark.parametrize("why", ENDS)
@given(seed=st.integers(0, 10**6), slots=st.integers(1, 4), faults=st.sampled_from([0.0, 0.1]))
@settings(max_examples=8)
def test_what_the_values_of_others_end_does_not_hang_on_who_is_faster(
    why: str, seed: int, slots: int, faults: float
) -> None:
    """Sweeps that end by values, trials that are hopeless beside the leader: as many and as far, for the same reason."""
    lab = Lab(rules(window=3, trials=60, **ENDS[why]), fingerprint, seed, slots=slots, faults=faults)
    assert (lab.run(), lab.why) == to_its_end(why)
    assert lab.why.startswith(why)


@pytest.mark.parametrize("name", ["MedianPruner", "SuccessiveHalvingPruner"])
def test_a_pruner_judges_alike_and_is_told_each_thing_a_few_times(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each trial is judged by what it knows of; no account is told from its beginning at each report."""
    told, tell = list[int](), Shadow.tell

    def counted(shadow: Shadow, said: Standing | Ending) -> bool:
        told.append(said.number)
        return tell(shadow, said)

    monkeypatch.setattr(Shadow, "tell", counted)
    stop = PrunerRule(name=f"optuna.pruners:{name}", objective=ACC)
    given = rules(stop=stop, window=3, trials=60)
    first, other = (Lab(given, fingerprint, seed, slots=3) for seed in (1, 2))
    assert first.run() == other.run()
    assert any(one.outcome and one.outcome[3].startswith(name) for one in first.traces().values())
    said = [one for one in first.entries if isinstance(one.event, Reported | TrialEnded)]
    assert len(told) < 2 * 3 * len(said)


@given(seed=st.integers(0, 10**6), faults=st.sampled_from([0.0, 0.05]))
@settings(max_examples=5)
def test_the_trials_of_tpe_are_the_same(seed: int, faults: float) -> None:
    """Its model of what was good does not depend on who was faster, nor on a restart of the driver."""
    stop, window, trials = SuccessiveHalving(factor=2), 3, 18
    lab = Lab(rules(stop=stop, window=window, trials=trials), tpe, seed, slots=3, faults=faults)
    assert lab.run() == in_order(stop, window, tpe, trials)


@pytest.mark.parametrize("make", [fingerprint, tpe])
def test_without_a_window_the_order_of_ends_matters(make: Callable[[], Sampler]) -> None:
    """The lab is a test: what the window holds back is what makes the difference."""
    first, *others = (Lab(rules(stop=SuccessiveHalving()), make, seed, slots=3).run() for seed in range(4))
    assert all(other != first for other in others)


def test_the_lab_has_all_that_can_happen() -> None:
    """Late parameters in `build` and in `fit`, every kind of end, ends out of order, a trial without the objective."""
    lab = Lab(rules(stop=SuccessiveHalving(), window=4, trials=60), fingerprint, 1, slots=4, faults=0.02)
    traces = lab.run().values()
    kinds = {one.outcome[0] for one in traces if one.outcome}
    assert kinds == {"completed", "stopped", "failed", "infeasible"}
    assert {len(one.extended) for one in traces} >= {0, 1, 2}
    assert any("'other'" in row for one in traces for row in one.metrics.values())
    assert lab.ends != sorted(lab.ends)


def test_the_lab_ends_trials_by_what_others_were_worth() -> None:
    """Some are stopped as hopeless between two repeats, and one at the goal."""
    hopeless = [one.outcome for one in to_its_end("the budget of 60 trials is spent")[0].values() if one.outcome]
    assert any(reason.startswith("repeats: after") for kind, _, _, reason in hopeless if kind == "stopped")
    goal, why = to_its_end("the goal of 0.9 is reached")
    cut = [one.outcome[3] for one in goal.values() if one.outcome and one.outcome[0] == "stopped"]
    assert why.startswith("the goal of 0.9")
    assert any(reason.startswith("the goal of 0.9") for reason in cut)


# The core ---------------------------------------------------------------------------------------------------------------


def asked(number: int) -> list[Event]:
    """Return the events of a trial that begins."""
    return [TrialAsked(trial=number, seed=0, params={}, history_seq=0), AttemptStarted(trial=number, attempt=1)]


def reported(number: int, epoch: int, **metrics: float) -> Event:
    """Return an epoch's event."""
    return Reported(trial=number, attempt=1, report=Report(epoch=epoch, metrics=metrics))


class Search:
    """A state and what is done to it."""

    def __init__(self, **changes: Any) -> None:
        from kerasweep.search.state import State

        self.state = State(rules=rules(**changes))

    def see(self, *events: Event) -> list[object]:
        """Fold events; return the commands that follow."""
        commands: list[object] = []
        for event in events:
            self.state, more = step(self.state, event)
            commands += more
        return commands

    def next(self) -> object:
        """Return what a free slot does."""
        _, (command,) = step(self.state, SlotFree())
        return command


def test_a_slot_waits_for_the_trials_that_the_next_one_is_proposed_from() -> None:
    """With a window of two, trial 2 needs trial 0: that trial 1 has ended does not help."""
    search = Search(window=2)
    search.see(*asked(0), *asked(1), ended(1, OutcomeKind.COMPLETED, 0.5, 1))
    assert search.next() == Wait()
    search.see(ended(0, OutcomeKind.COMPLETED, 0.4, 1))
    assert search.next() == Ask(2)


def test_a_trial_is_judged_against_those_that_it_was_proposed_from() -> None:
    """Trial 3, which is better than trials 0 and 1, stays whatever trial 2 did in the meantime."""
    search = Search(window=2, stop=SuccessiveHalving(factor=2))
    for number, acc in ((0, 0.2), (1, 0.3)):
        search.see(*asked(number), reported(number, 1, acc=acc), ended(number, OutcomeKind.COMPLETED, acc, 1))
    search.see(*asked(2), *asked(3))
    assert search.see(reported(2, 1, acc=0.9)) == []
    assert search.see(reported(3, 1, acc=0.4)) == []
    assert search.see(reported(3, 2, acc=0.5)) == []


def test_three_first_failures_alike_end_the_sweep_once_the_others_have_ended() -> None:
    """So that the trials that there are do not hang on how fast the third one failed."""
    search = Search(window=2)
    for number in range(3):
        search.see(*asked(number), ended(number, OutcomeKind.FAILED, why="boom"))
    assert search.next() == Ask(3)
    search.see(*asked(3))
    assert search.next() == Wait(last=True)
    search.see(ended(3, OutcomeKind.FAILED, why="boom"))
    command = search.next()
    assert isinstance(command, Close)
    search.see(command.event)
    assert search.next() == Finish("the first 3 trials failed alike: boom", 1)


def test_an_end_for_want_of_better_values_stands_whatever_comes_after() -> None:
    """The trials that run go to their end, and change nothing; nor do a confirmation and a resume, only another limit."""
    search = Search(window=2, limits={"no_improvement": 2}, confirm=Confirm(top=1, seeds=2))
    for number, acc in enumerate((0.5, 0.4, 0.3)):
        assert search.next() == Ask(number)
        search.see(*asked(number), ended(number, OutcomeKind.COMPLETED, acc, 1))
    assert search.next() == Ask(3)
    search.see(*asked(3))
    assert search.next() == Wait()
    assert search.see(reported(3, 1, acc=0.9)) == []
    search.see(ended(3, OutcomeKind.COMPLETED, 0.9, 1))
    why = "no better value in 2 trials in a row"
    for number in (4, 5):
        assert search.next() == Close(SweepClosing(why=why))
        search.see(SweepClosing(why=why))
        assert search.next() == Ask(number, confirms=3)
        search.see(TrialAsked(trial=number, seed=0, params={}, history_seq=0, confirms=3))
        search.see(AttemptStarted(trial=number, attempt=1), ended(number, OutcomeKind.COMPLETED, 0.9, 1))
        search.see(SweepResumed(spec={}))
    search.see(SweepAmended(settings={"budget.no_improvement": 3}, spec={}))
    assert search.next() == Ask(6)
    assert settled(search.state).account.row == ()


def test_a_sweep_that_ended_for_want_of_hope_can_be_taken_up_and_an_interrupted_one_changes_nothing() -> None:
    """Resuming is a decision in the first case, and none in the second."""
    search = Search(window=1)
    for number in range(3):
        search.see(*asked(number), ended(number, OutcomeKind.FAILED, why="boom"))
        search.see(SweepClosing(why="interrupted", cancel=True, exit_code=130), SweepEnded(why="", exit_code=130))
        search.see(SweepResumed(spec={}))
    command = search.next()
    assert isinstance(command, Close)
    search.see(
        command.event, SweepEnded(why="the first 3 trials failed alike: boom", exit_code=1), SweepResumed(spec={})
    )
    assert search.next() == Ask(3)


def test_an_objective_that_is_not_logged_fails_the_trial_alone() -> None:
    """Whether another trial has had it by then is chance; the first one, for which it is none, refuses the sweep."""
    search = Search(window=2)
    search.see(*asked(0), *asked(1))
    assert search.see(reported(0, 1, acc=0.5)) == []
    (end,) = search.see(reported(1, 1, other=0.5))
    assert "the objective 'acc' is not among the model's metrics" in str(end)
    search.see(ended(1, OutcomeKind.FAILED), ended(0, OutcomeKind.COMPLETED, 0.5, 1), *asked(2))
    assert search.see(reported(2, 1, other=0.5)) == [], (
        "trial 2 knows of trial 0, which had it: there may be more epochs"
    )
    search = Search(window=2)
    search.see(*asked(0), *asked(1))
    (close,) = search.see(reported(0, 1, other=0.5))
    assert isinstance(close, Close)
    assert close.event.exit_code == 2
