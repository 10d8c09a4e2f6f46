"""Tests of `kerasweep.search.curve_rules`."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.search.curve_rules import Divergence, Median, Patience, Threshold
from kerasweep.search.stop import Rungs, StopRule
from kerasweep.spaces.errors import BadInput

from ..contracts.stop_rules import StopRuleContract, curves, standing


class TestMedian(StopRuleContract):
    """Against two others already."""

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return Median(min_trials=2)

    @given(st.lists(curves, min_size=3, max_size=10))
    def test_it_is_the_rule_of_the_paper(self, several: list[list[float]]) -> None:
        """A trial stops where its best is below the median of the others' mean scores up to that epoch."""
        rungs, rule = Rungs(), self.rule()
        for number, curve in enumerate(several):
            for epoch in range(1, len(curve) + 1):
                trial = standing(number, curve[:epoch])
                rungs, why = rule.decide(rungs, trial)
                means = [standing(0, one[:epoch]).mean for one in several[:number] if len(one) >= epoch]
                assert (why != "") is (len(means) >= 2 and trial.best < median(means))


class TestPatience(StopRuleContract):
    """Three epochs."""

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return Patience(epochs=3)

    @pytest.mark.parametrize(
        ("curve", "stops_at"),
        [
            ([1.0, 2.0, 3.0, 4.0, 5.0], None),
            ([5.0, 4.0, 4.5, 4.9], 4),
            ([1.0, 2.0, 1.0, 1.0, 2.5, 2.0, 2.0, 2.0], 8),
            ([1.0, 1.0, 1.0, 1.0], 4),
        ],
    )
    def test_by_hand(self, curve: list[float], stops_at: int | None) -> None:
        """Three epochs after the best one, equals counted as no better."""
        answers = [self.rule().decide(Rungs(), standing(0, curve[:epoch]))[1] for epoch in range(1, len(curve) + 1)]
        assert next((epoch for epoch, why in enumerate(answers, 1) if why), None) == stops_at


class TestThreshold(StopRuleContract):
    """A value that the rising trials of the contract have."""

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return Threshold(epoch=3, value=-2e6, score=-2e6)

    @pytest.mark.parametrize(
        ("curve", "stops_at"),
        [([0.1, 0.2, 0.3], 3), ([0.1, 0.6, 0.3], None), ([0.1, 0.2, 0.5], None), ([0.1, 0.2, 0.4, 0.9], 3)],
    )
    def test_by_hand(self, curve: list[float], stops_at: int | None) -> None:
        """The best so far counts, from the epoch on."""
        rule = Threshold(epoch=3, value=0.5, score=0.5)
        answers = [rule.decide(Rungs(), standing(0, curve[:epoch]))[1] for epoch in range(1, len(curve) + 1)]
        assert next((epoch for epoch, why in enumerate(answers, 1) if why), None) == stops_at

    def test_the_reason_is_in_the_objectives_units(self) -> None:
        """A loss to be minimised has a score of the other sign."""
        _, why = Threshold(epoch=1, value=0.5, score=-0.5).decide(Rungs(), standing(0, [-0.7]))
        assert why == "threshold: at epoch 1 it had not reached 0.5"


class TestDivergence(StopRuleContract):
    """Ten times the first loss."""

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return Divergence()

    @pytest.mark.parametrize(
        ("first", "now", "others", "stops"),
        [
            (2.0, 21.0, [], True),
            (2.0, 20.0, [], False),
            (2.0, 1e9, [2.0, 3.0], True),
            (1e9, 1e9, [2.0, 3.0], True),
            (1e9, 1e9, [], False),
            (-1.0, 1e9, [], False),
        ],
    )
    def test_by_hand(self, *, first: float, now: float, others: list[float], stops: bool) -> None:
        """Against its own first loss, and against what losses begin with in half of the trials."""
        rungs = Rungs()
        for number, loss in enumerate(others):
            rungs, _ = self.rule().decide(rungs, replace(standing(number, [0.1]), first_loss=loss, loss=loss))
        trial = replace(standing(9, [0.1]), first_loss=first, loss=first)
        rungs, at_once = self.rule().decide(rungs, trial)
        later = replace(standing(9, [0.1, 0.1]), first_loss=first, loss=now)
        _, why = self.rule().decide(rungs, later)
        assert bool(at_once or why) is stops

    def test_a_model_that_logs_no_loss_is_never_stopped(self) -> None:
        """There is nothing to look at."""
        trial = replace(standing(0, [0.1, 0.0]), first_loss=None, loss=None)
        assert self.rule().decide(Rungs(), trial) == (Rungs(), "")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Median(min_epochs=0),
        lambda: Median(min_trials=0),
        lambda: Patience(epochs=0),
        lambda: Threshold(epoch=0, value=1, score=1),
        lambda: Divergence(factor=1.0),
        lambda: Divergence(factor=float("nan")),
    ],
)
def test_numbers_that_make_no_sense_are_refused(make: type[Median]) -> None:
    """A rule that would stop everything, or never could judge."""
    with pytest.raises(BadInput, match="needs"):
        make()
