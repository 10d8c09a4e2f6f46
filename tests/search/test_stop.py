"""Tests of `kerasweep.search.stop`."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.search.stop import NeverStop, Rungs, StopRule, SuccessiveHalving
from kerasweep.spaces.errors import BadInput

from ..contracts.stop_rules import StopRuleContract, scores


class TestNeverStop(StopRuleContract):
    """No rung, no stop."""

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return NeverStop()

    @given(st.lists(scores, max_size=10))
    def test_no_trial_is_stopped(self, arriving: list[float]) -> None:
        """Every trial trains to its end."""
        assert not any(self.judge(arriving, 1))


class TestSuccessiveHalving(StopRuleContract):
    """ASHA as it comes."""

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return SuccessiveHalving()


class TestHastySuccessiveHalving(StopRuleContract):
    """ASHA that keeps half."""

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return SuccessiveHalving(factor=2)


class TestPatientSuccessiveHalving(StopRuleContract):
    """ASHA that waits, and then keeps a quarter."""

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return SuccessiveHalving(min_epochs=4, factor=4)


@pytest.mark.parametrize(
    ("min_epochs", "factor", "max_epochs", "rungs"),
    [
        (1, 3, 27, (1, 3, 9)),
        (1, 3, 28, (1, 3, 9, 27)),
        (1, 3, 2, (1,)),
        (2, 2, 20, (2, 4, 8, 16)),
        (5, 4, 100, (5, 20, 80)),
        (1, 10, 1001, (1, 10, 100, 1000)),
        (7, 3, 7, ()),
        (50, 3, 20, ()),
    ],
)
def test_rungs_are_exact_powers(min_epochs: int, factor: int, max_epochs: int, rungs: tuple[int, ...]) -> None:
    """`min_epochs * factor**k` below the last epoch, in whole numbers."""
    assert SuccessiveHalving(min_epochs=min_epochs, factor=factor).rungs(max_epochs) == rungs


@pytest.mark.parametrize(("min_epochs", "factor"), [(0, 3), (-1, 3), (1, 1), (1, 0)])
def test_rungs_that_never_end_are_refused(min_epochs: int, factor: int) -> None:
    """A factor of 1, or a first rung at 0, would list rungs for ever."""
    with pytest.raises(BadInput, match=r"min_epochs >= 1 and factor >= 2"):
        SuccessiveHalving(min_epochs=min_epochs, factor=factor)


@pytest.mark.parametrize(
    ("factor", "arriving", "go_on"),
    [
        (3, [0.1, 0.2, 0.3, 0.4], [True, True, True, True]),
        (3, [0.4, 0.3, 0.2, 0.1], [True, False, False, False]),
        (3, [0.5, 0.6, 0.4, 0.55, 0.7, 0.65], [True, True, False, False, True, True]),
        (2, [0.4, 0.1, 0.2, 0.3], [True, False, False, True]),
        (4, [0.1, 0.1, 0.1, 0.1, 0.1], [True, False, False, False, False]),
        (2, [0.1, 0.1, 0.1, 0.1, 0.2], [True, False, False, False, True]),
        (3, [-inf, -inf, inf, inf, 0.0, inf], [True, False, True, False, False, False]),
    ],
)
def test_asha_by_hand(factor: int, arriving: list[float], go_on: list[bool]) -> None:
    """Of `n` that have arrived, the best `n // factor`, at least one, go on; of equals, who came first."""
    rule, rungs, answers = SuccessiveHalving(factor=factor), Rungs(), list[bool]()
    for score in arriving:
        rungs, why = rule.decide(rungs, 1, score)
        answers.append(not why)
    assert answers == go_on


def test_asha_says_how_the_trial_stood() -> None:
    """The reason names rank, company, epoch and how many go on."""
    rungs = Rungs().enter(3, 0.9).enter(3, 0.8)
    _, why = SuccessiveHalving().decide(rungs, 3, 0.1)
    assert why == "asha: 3 of 3 at epoch 3, the best 1 go on"


@given(st.lists(scores, min_size=1, max_size=30), st.integers(2, 5))
def test_asha_lets_go_on_exactly_who_ranks_high_enough(arriving: list[float], factor: int) -> None:
    """Whoever goes on had fewer than `max(n // factor, 1)` others at least as good among the `n` there."""
    rule, rungs = SuccessiveHalving(factor=factor), Rungs()
    for place, score in enumerate(arriving):
        rungs, why = rule.decide(rungs, 1, score)
        as_good = sum(other >= score for other in arriving[:place])
        assert (why == "") is (as_good < max((place + 1) // factor, 1))


@given(st.lists(scores, max_size=30))
def test_rungs_keep_all_scores_in_order(arriving: list[float]) -> None:
    """Entering sorts and loses nothing."""
    rungs = Rungs()
    for score in arriving:
        rungs = rungs.enter(2, score)
    assert list(rungs.at(2)) == sorted(arriving)
    assert rungs.at(1) == ()
