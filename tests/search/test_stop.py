"""Tests of `kerasweep.search.stop`: rungs, and rules together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kerasweep.search.curve_rules import Median, Patience
from kerasweep.search.halving import SuccessiveHalving
from kerasweep.search.stop import AnyOf, NeverStop, Rungs, StopRule

from ..contracts.stop_rules import StopRuleContract, curves, scores, standing


class TestNeverStop(StopRuleContract):
    """No rung, no stop."""

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return NeverStop()

    @given(st.lists(curves, max_size=10))
    def test_no_trial_is_stopped(self, several: list[list[float]]) -> None:
        """Every trial trains to its end."""
        assert not any(self.rule().decide(Rungs(), standing(0, curve))[1] for curve in several)


class TestAnyOf(StopRuleContract):
    """Three rules at once."""

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return AnyOf((SuccessiveHalving(), Median(min_trials=2), Patience(epochs=3)))

    @given(st.lists(curves, max_size=8))
    def test_it_stops_whom_one_of_them_stops_and_each_sees_all(self, several: list[list[float]]) -> None:
        """The answer is the first reason of the rules by themselves."""
        rules: list[StopRule] = [SuccessiveHalving(), Median(min_trials=2), Patience(epochs=3)]
        together = Rungs()
        alone: list[Rungs] = [Rungs() for _ in rules]
        for number, curve in enumerate(several):
            for epoch in range(1, len(curve) + 1):
                trial = standing(number, curve[:epoch])
                together, why = self.rule().decide(together, trial)
                answers = [rule.decide(one, trial) for rule, one in zip(rules, alone, strict=True)]
                alone = [one for one, _ in answers]
                assert why == next((reason for _, reason in answers if reason), "")

    def test_its_rungs_are_those_of_all(self) -> None:
        """Each once, ascending."""
        both = AnyOf((SuccessiveHalving(min_epochs=1), SuccessiveHalving(min_epochs=2)))
        assert both.rungs(20, 0) == (1, 2, 3, 6, 9, 18)


@given(st.lists(scores, max_size=30))
def test_rungs_keep_all_scores_in_order(arriving: list[float]) -> None:
    """Entering sorts and loses nothing."""
    rungs = Rungs()
    for score in arriving:
        rungs = rungs.enter(("asha", 0, 2), score)
    assert list(rungs.at(("asha", 0, 2))) == sorted(arriving)
    assert rungs.at(("asha", 0, 1)) == ()
