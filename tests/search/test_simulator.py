"""Tests of `kerasweep.search.simulator`: a sweep on curves that are known, decided as a live one is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from kerasweep.search.budget import Budget
from kerasweep.search.core import replay
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.simulator import Curve, Simulator, best_over_time, makespan_s, simulated, survivors
from kerasweep.search.spec import Search, SweepSpec
from kerasweep.spaces.parameter import identity
from kerasweep.spaces.trial import Outcome, OutcomeKind, Scalar
from kerasweep.trackers.events import StartingPoints, TrialAsked, decode, encode
from kerasweep.trackers.history import History
from kerasweep.trackers.mirror import value_of

from .specs import X, spec

ASHA = Search(sampler="random", stop=({"rule": "asha", "min_epochs": 1, "factor": 3},), seed=3)
RANDOM = Search(sampler="random", seed=3)
PARAMS = Objective(metric="params", direction=Direction.MIN)


class Formula:
    """Curves that rise to `x`, an epoch a second."""

    def __init__(self, epochs: int = 9, **changes: Any) -> None:
        self._epochs, self._changes = epochs, changes
        self.asked: list[int] = []

    def of(self, number: int, params: Mapping[str, Scalar]) -> Curve:
        """Return the curve."""
        self.asked.append(number)
        x = float(params["x"])
        epochs = [({"acc": x * (1 - 0.5**epoch), "loss": 1.0}, 1.0) for epoch in range(1, self._epochs + 1)]
        return Curve(epochs=epochs, **self._changes)


def small(trials: int = 9, search: Search = ASHA, **changes: Any) -> SweepSpec:
    """Return a small sweep."""
    return spec(budget=Budget(trials=trials), search=search, **changes)


def test_a_simulated_sweep_uses_its_budget_exactly() -> None:
    """As many trials end as were asked for, whatever the number of slots; the good ones come to the last epoch."""
    for slots in (1, 2, 7):
        history = simulated(small(27), Formula(), slots=slots)
        assert len(history.trials) == 27
        assert history.ended is not None
        assert survivors(history, [1, 9])[1] == 27
        assert 1 <= survivors(history, [1, 9])[9] < 27


def test_what_was_measured_of_models_takes_part() -> None:
    """As an objective, and where it breaks a constraint: such a trial trains nothing, and takes the time of its build."""
    search = {"further": (PARAMS,), "bounds": ("params <= 5",)}
    sound = simulated(small(4, RANDOM, **search), Formula(facts={"params": 4}), slots=2)
    assert [one.outcome.values[1] for one in sound.trials.values() if one.outcome is not None] == [4.0] * 4
    curves = Formula(facts={"params": 6}, before_s=2.0)
    broken = simulated(small(4, RANDOM, **search), curves, slots=2)
    assert {one.state for one in broken.trials.values()} == {"infeasible"}
    assert not any(one.metrics for one in broken.trials.values())
    assert makespan_s(broken) == pytest.approx(2.0 * len(broken.trials) / 2)


def test_without_a_stop_rule_the_makespan_is_the_work_over_the_slots() -> None:
    """Eight trials of nine seconds, with one second before and two after each: 96 seconds, halved on two slots."""
    curves = Formula(before_s=1.0, after_s=2.0)
    assert makespan_s(simulated(small(8, RANDOM), curves, slots=1)) == pytest.approx(96.0)
    assert makespan_s(simulated(small(8, RANDOM), curves, slots=2)) == pytest.approx(48.0)


def test_the_same_sweep_twice_is_the_same() -> None:
    """Nothing is random but what the seed says."""
    first, second = (simulated(small(20), Formula(), slots=3) for _ in range(2))
    assert first == second
    other = simulated(small(20, Search(sampler="random", stop=ASHA.stop, seed=4)), Formula(), slots=3)
    assert other.trials[0].params != first.trials[0].params


def test_its_journal_replays_to_its_state() -> None:
    """What the simulator journals is what a live sweep could have journaled: read back, it gives the same state."""
    what = small(20)
    simulator = Simulator(what, Formula(), slots=3)
    simulator.run()
    entries = simulator.journal.entries
    assert [encode(decode(*encode(entry.event))) for entry in entries] == [encode(entry.event) for entry in entries]
    assert replay(what.rules(), entries) == simulator.ledger.state
    assert History.of(entries) == simulator.ledger.history


def test_trials_can_be_given() -> None:
    """Those of the given numbers have the given parameters, the others are the sampler's."""
    given = {0: {identity(X): 0.125}, 2: {identity(X): 0.25}}
    history = simulated(small(4), Formula(), slots=1, proposed=given)
    assert [history.trials[number].params["x"] for number in (0, 2)] == [0.125, 0.25]
    assert history.trials[1].params == simulated(small(4), Formula(), slots=1).trials[1].params


def test_it_starts_from_points() -> None:
    """As the sweep would, whichever sampler proposes the rest; trials that are given stay as they are."""
    start = StartingPoints(points=tuple({"values": {"x": x}, "of": "start.try"} for x in (0.25, 0.125)))
    history = simulated(small(4), Formula(), slots=1, start=start)
    assert [history.trials[number].params["x"] for number in (0, 1)] == [0.25, 0.125]
    given = {0: {identity(X): 0.5}}
    history = simulated(small(4), Formula(), slots=1, proposed=given, start=start)
    assert [history.trials[number].params["x"] for number in (0, 1)] == [0.5, 0.125]


def test_a_failing_trial_counts_and_an_infeasible_one_does_not() -> None:
    """Their outcomes come after what there is of epochs, as in a live sweep."""

    class Mixed(Formula):
        def of(self, number: int, params: Mapping[str, Scalar]) -> Curve:
            kinds = {1: OutcomeKind.FAILED, 2: OutcomeKind.INFEASIBLE}
            if number not in kinds:
                return super().of(number, params)
            return Curve(epochs=(), before_s=2.0, end=Outcome(kind=kinds[number], reason="no"))

    history = simulated(small(4, RANDOM), Mixed(), slots=1)
    assert [one.state for one in history.trials.values()] == [
        "completed",
        "failed",
        "infeasible",
        "completed",
        "completed",
    ]
    assert makespan_s(history) == pytest.approx(3 * 9 + 2 * 2)


def test_a_value_that_is_no_number_fails_its_trial_there() -> None:
    """The slot goes on with the next one at once."""

    class Exploding(Formula):
        def of(self, number: int, params: Mapping[str, Scalar]) -> Curve:
            curve = super().of(number, params)
            if number:
                return curve
            return Curve(epochs=[curve.epochs[0], ({"acc": math.nan}, 1.0), *curve.epochs[2:]])

    history = simulated(small(2, RANDOM), Exploding(), slots=1)
    assert [one.state for one in history.trials.values()] == ["failed", "completed"]
    assert makespan_s(history) == pytest.approx(2 + 9)


def test_the_hours_end_a_sweep() -> None:
    """Running trials stop at their next epoch, and no other is asked for."""
    history = simulated(spec(budget=Budget(hours=20.5 / 3600), search=RANDOM), Formula(), slots=2)
    assert history.ended is not None
    assert makespan_s(history) == pytest.approx(21.0)
    assert len(history.trials) == 6


def test_a_stopped_trial_holds_its_slot_until_it_has_ended() -> None:
    """The next one is asked for at the stop, and begins when nothing of the last runs any more."""
    stop = Search(sampler="random", stop=({"rule": "threshold", "epoch": 2, "value": 2.0},), seed=3)
    history = simulated(small(3, stop), Formula(before_s=1.0, after_s=4.0), slots=1)
    assert [one.started_at for one in history.trials.values()] == [0.0, 3.0, 10.0]
    assert [one.ended_at for one in history.trials.values()] == [3.0, 10.0, 17.0]


def test_three_first_failures_alike_end_a_simulated_sweep() -> None:
    """What runs meanwhile is interrupted, and the sweep ends with the code that a live one has."""

    class Broken(Formula):
        def of(self, number: int, params: Mapping[str, Scalar]) -> Curve:
            seconds = 1.0 if number != 1 else 50.0
            return Curve(
                epochs=(), before_s=seconds, end=Outcome(kind=OutcomeKind.FAILED, reason=f"ValueError: {number}")
            )

    history = simulated(small(9), Broken(), slots=2)
    assert history.ended is not None
    assert history.ended.exit_code == 1
    assert [one.state for one in history.trials.values()].count("failed") == 3
    assert history.trials[1].state == "waiting"


def test_the_best_over_time_only_rises() -> None:
    """Each improvement with its time; a minimised metric falls."""
    history = simulated(small(9), Formula(), slots=2)
    steps = best_over_time(history, "acc", 1.0)
    assert [value for _, value in steps] == sorted({value for _, value in steps})
    assert steps[0][0] == pytest.approx(1.0)
    assert [value for _, value in best_over_time(history, "loss", -1.0)] == [1.0]


def test_the_best_over_time_is_one_that_could_be_chosen() -> None:
    """A trial that breaks a constraint is none; where the last epoch counts, a trial has no value before its end."""
    history = simulated(small(9, RANDOM), Formula(), slots=1)
    best = max(history.trials.values(), key=value_of)
    assert best_over_time(history, "acc", 1.0)[-1][1] == value_of(best)
    ends = best_over_time(history, "acc", 1.0, last=True)
    values = [value_of(one) for one in history.trials.values()]
    assert ends == [
        (one.ended_at, values[number])
        for number, one in history.trials.items()
        if values[number] > max(values[:number], default=-math.inf)
    ]
    assert best.outcome is not None
    best.outcome = replace(best.outcome, violations=(1.0,))
    assert best_over_time(history, "acc", 1.0)[-1][1] == sorted(values)[-2]


def test_the_proposals_see_the_history_of_their_time() -> None:
    """With more slots than trials the last proposal knows of no end; a sampler that learns proposes otherwise then."""
    tpe = Search(sampler="tpe", seed=3)
    alone, together = (simulated(small(14, tpe), Formula(2), slots=slots) for slots in (1, 14))
    assert alone.trials[0].params == together.trials[0].params
    assert alone.trials[13].params != together.trials[13].params
    simulator = Simulator(small(4, RANDOM), Formula(), slots=1)
    simulator.run()
    asked = [one for one in simulator.journal.entries if isinstance(one.event, TrialAsked)]
    assert all(isinstance(one.event, TrialAsked) and one.event.history_seq == one.seq - 1 for one in asked)
