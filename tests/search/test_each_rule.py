"""Tests of stop rules with several objectives: the contract over all of them, and what holds for one alone."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kerasweep.search.objective import Direction, Objective
from kerasweep.search.stop import Respect, Rungs, StopRule
from kerasweep.search.stop_rules import rule_of
from kerasweep.spaces.pareto import Point, covers

from ..contracts.stop_rules import SeveralContract, both, clouds, standing

OBJECTIVES = [Objective(metric=name, direction=Direction.MAX) for name in ("a", "b")]


class TestAsha(SeveralContract):
    """Halving by fronts."""

    def rule(self) -> StopRule:
        """Return the rule as a sweep has it."""
        return rule_of([{"rule": "asha"}], *OBJECTIVES)


class TestHyperband(SeveralContract):
    """Halving by fronts, in brackets."""

    def rule(self) -> StopRule:
        """Return the rule as a sweep has it."""
        return rule_of([{"rule": "hyperband"}], *OBJECTIVES)


class TestMedian(SeveralContract):
    """By each objective."""

    def rule(self) -> StopRule:
        """Return the rule as a sweep has it."""
        return rule_of([{"rule": "median", "min_trials": 1}], *OBJECTIVES)


class TestPatience(SeveralContract):
    """By each objective; it compares with no other trial."""

    compares = False

    def rule(self) -> StopRule:
        """Return the rule as a sweep has it."""
        return rule_of([{"rule": "patience", "epochs": 2}], *OBJECTIVES)


class TestThreshold(SeveralContract):
    """By the one that it names."""

    compares = False

    def rule(self) -> StopRule:
        """Return the rule as a sweep has it."""
        return rule_of([{"rule": "threshold", "epoch": 2, "value": -100.0, "metric": "b"}], *OBJECTIVES)


class TestDivergence(SeveralContract):
    """By the loss."""

    compares = False

    def rule(self) -> StopRule:
        """Return the rule as a sweep has it."""
        return rule_of([{"rule": "divergence"}], *OBJECTIVES)


class TestPruner(SeveralContract):
    """A pruner for each objective."""

    def rule(self) -> StopRule:
        """Return the rule as a sweep has it."""
        form = {"rule": "optuna.pruners:MedianPruner", "n_startup_trials": 0}
        return rule_of([form], *OBJECTIVES)


@given(clouds, st.integers(2, 4))
def test_halving_stops_as_many_as_it_may(cloud: list[tuple[tuple[float, float], float]], factor: int) -> None:
    """One that some other covers goes on only within the best share of those that have arrived."""
    rule, rungs = rule_of([{"rule": "asha", "factor": factor}], *OBJECTIVES), Rungs()
    for number, (pair, violation) in enumerate(cloud):
        rungs, why = rule.decide(rungs, both(number, [pair], violation))
        point, there = Point(pair, violation), [Point(*one) for one in cloud[:number]]
        covered = any(covers(one, point) for one in there)
        ahead = sum(1 for one in there if covers(one, point))
        if covered and ahead >= max((number + 1) // factor, 1):
            assert why
        assert not (why and not covered)


def test_what_breaks_constraints_stops_first() -> None:
    """A feasible trial goes before any that is not, whatever its scores."""
    rule = rule_of([{"rule": "asha"}], OBJECTIVES[0])
    one = Respect(metric="a", score=9.0, best=9.0, best_epoch=1, mean=9.0)
    good, bad = standing(0, [1.0]), standing(1, [9.0])
    rungs, why = rule.decide(Rungs(), replace(good, each=(replace(one, score=1.0),)))
    assert why == ""
    _, why = rule.decide(rungs, replace(bad, each=(one,), violation=0.1))
    assert "constraints broken" in why


def test_the_median_lets_a_compromise_go_on() -> None:
    """Below the median in both respects, and yet beaten by none."""
    rule, rungs = rule_of([{"rule": "median", "min_trials": 4}], *OBJECTIVES), Rungs()
    for number, pair in enumerate([(10.0, 0.0), (9.0, 1.0), (1.0, 9.0), (0.0, 10.0)]):
        rungs, _ = rule.decide(rungs, both(number, [pair]))
    assert rule.decide(rungs, both(4, [(4.0, 4.0)]))[1] == ""
    _, why = rule.decide(rungs, both(5, [(0.5, 0.5)]))
    assert why.startswith("median: at epoch 1")
    assert why.endswith("by each of a and b")


def test_patience_waits_for_every_objective() -> None:
    """As long as one becomes better the trial goes on."""
    rule = rule_of([{"rule": "patience", "epochs": 2}], *OBJECTIVES)
    assert rule.decide(Rungs(), both(0, [(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]))[1] == ""
    assert rule.decide(Rungs(), both(0, [(1.0, 1.0), (1.0, 1.0), (1.0, 1.0)]))[1]


def test_a_threshold_is_of_the_objective_that_it_names() -> None:
    """The first where it names none."""
    forms = [{"rule": "threshold", "epoch": 1, "value": 5.0, "metric": name} for name in ("b",)]
    low_b, low_a = both(0, [(9.0, 1.0)]), both(0, [(1.0, 9.0)])
    assert rule_of(forms, *OBJECTIVES).decide(Rungs(), low_b)[1] == "threshold: at epoch 1 it had not reached b 5"
    assert rule_of(forms, *OBJECTIVES).decide(Rungs(), low_a)[1] == ""
    unnamed = [{"rule": "threshold", "epoch": 1, "value": 5.0}]
    assert rule_of(unnamed, *OBJECTIVES).decide(Rungs(), low_a)[1] == "threshold: at epoch 1 it had not reached a 5"


def test_halving_lets_the_best_share_go_on_beyond_the_front() -> None:
    """One that is covered goes on while the first fronts are fewer than the share."""
    rule, rungs, answers = rule_of([{"rule": "asha", "factor": 2}], *OBJECTIVES), Rungs(), list[bool]()
    for number, score in enumerate([5.0, 1.0, 4.0, 4.5]):
        rungs, why = rule.decide(rungs, both(number, [(score, score)]))
        answers.append(not why)
    assert answers == [True, False, False, True]
