"""Tests of `kerasweep.search.halving`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.search.halving import Hyperband, SuccessiveHalving, automatic
from kerasweep.search.stop import Rungs, StopRule
from kerasweep.spaces.errors import BadInput

from ..contracts.stop_rules import HalvingContract, scores, standing


class TestSuccessiveHalving(HalvingContract):
    """ASHA as it comes."""

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return SuccessiveHalving()


class TestHastySuccessiveHalving(HalvingContract):
    """ASHA that keeps half."""

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return SuccessiveHalving(factor=2)


class TestPatientSuccessiveHalving(HalvingContract):
    """ASHA that waits, and then keeps a quarter."""

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return SuccessiveHalving(min_epochs=4, factor=4)


class TestHyperband(HalvingContract):
    """Hyperband, in its first bracket."""

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return Hyperband()

    numbers: ClassVar[Sequence[int]] = [one for one in range(200) if Hyperband().bracket(10_000, one) == 0]


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
    assert SuccessiveHalving(min_epochs=min_epochs, factor=factor).rungs(max_epochs, 0) == rungs


@given(st.integers(1, 5000), st.integers(0, 5000), st.integers(1, 9), st.integers(2, 5))
def test_a_longer_fit_has_the_same_rungs_and_more(max_epochs: int, more: int, first: int, factor: int) -> None:
    """Where asha judges does not depend on how long a trial may train."""
    rule = SuccessiveHalving(min_epochs=first, factor=factor)
    rungs, longer = rule.rungs(max_epochs, 0), rule.rungs(max_epochs + more, 0)
    assert longer[: len(rungs)] == rungs
    assert all(epoch >= max_epochs for epoch in longer[len(rungs) :])


def test_equals_of_the_best_go_on_and_other_ties_go_to_whoever_came_first() -> None:
    """However many they are; below the best a rung halves as ever, though most of its scores are one."""

    def stopped(arriving: Sequence[float]) -> list[bool]:
        rule, rungs, answers = SuccessiveHalving(), Rungs(), list[bool]()
        for number, score in enumerate(arriving):
            rungs, why = rule.decide(rungs, standing(number, [score]))
            answers.append(bool(why))
        return answers

    assert stopped([0.9] * 30) == [False] * 30
    assert stopped([0.9, *[0.1] * 30]) == [False, *[True] * 30]
    assert stopped([0.9, 0.1, 0.9, 0.8, 0.9, 0.1]) == [False, True, False, True, False, True]


@pytest.mark.parametrize("kind", [SuccessiveHalving, Hyperband])
@pytest.mark.parametrize(("min_epochs", "factor"), [(0, 3), (-1, 3), (1, 1), (1, 0)])
def test_rungs_that_never_end_are_refused(kind: type[SuccessiveHalving], min_epochs: int, factor: int) -> None:
    """A factor of 1, or a first rung at 0, would list rungs for ever."""
    with pytest.raises(BadInput, match=r"min_epochs >= 1 and factor >= 2"):
        kind(min_epochs=min_epochs, factor=factor)


@pytest.mark.parametrize(
    ("factor", "arriving", "go_on"),
    [
        (3, [0.1, 0.2, 0.3, 0.4], [True, True, True, True]),
        (3, [0.4, 0.3, 0.2, 0.1], [True, False, False, False]),
        (3, [0.5, 0.6, 0.4, 0.55, 0.7, 0.65], [True, True, False, False, True, True]),
        (2, [0.4, 0.1, 0.2, 0.3], [True, False, False, True]),
        (4, [0.1, 0.1, 0.1, 0.1, 0.1], [True, True, True, True, True]),
        (2, [0.2, 0.1, 0.1, 0.1, 0.2], [True, False, False, False, True]),
        (3, [-inf, -inf, inf, inf, 0.0, inf], [True, True, True, True, False, True]),
    ],
)
def test_asha_by_hand(factor: int, arriving: list[float], go_on: list[bool]) -> None:
    """Of `n` that have arrived, the best `n // factor`, at least one, go on; of equals who came first, but all the best."""
    rule, rungs, answers = SuccessiveHalving(factor=factor), Rungs(), list[bool]()
    for number, score in enumerate(arriving):
        rungs, why = rule.decide(rungs, standing(number, [score]))
        answers.append(not why)
    assert answers == go_on


def test_asha_says_how_the_trial_stood() -> None:
    """The reason names rank, company, epoch and how many go on."""
    rungs = Rungs().enter(("asha", 0, 3), 0.9).enter(("asha", 0, 3), 0.8)
    _, why = SuccessiveHalving().decide(rungs, standing(2, [0.3, 0.2, 0.1]))
    assert why == "asha: 3 of 3 at epoch 3, the best 1 go on"


def test_a_rung_without_a_value_is_judged_at_the_next_one() -> None:
    """Values at epochs 2 and 4 only: the rung at 3 has the score of epoch 4."""
    rungs, _ = SuccessiveHalving(min_epochs=3).decide(Rungs(), standing(0, [0.5], epoch=4))
    assert rungs.at(("asha", 0, 3)) == (0.5,)


@given(st.lists(scores, min_size=1, max_size=30), st.integers(2, 5))
def test_asha_lets_go_on_exactly_who_ranks_high_enough(arriving: list[float], factor: int) -> None:
    """Who goes on is the best, or had fewer than `max(n // factor, 1)` others at least as good among the `n` there."""
    rule, rungs = SuccessiveHalving(factor=factor), Rungs()
    for place, score in enumerate(arriving):
        rungs, why = rule.decide(rungs, standing(place, [score]))
        as_good = sum(other >= score for other in arriving[:place])
        is_best = score == max(arriving[: place + 1])
        assert (why == "") is (is_best or as_good < max((place + 1) // factor, 1))


def test_hyperband_by_hand() -> None:
    """27 epochs have four brackets, in the shares of the paper's table 1: 27, 12, 6 and 4 of 49."""
    rule = Hyperband()
    shares = Counter(rule.bracket(27, number) for number in range(4900))
    assert [round(shares[bracket] / 100) for bracket in range(4)] == [27, 12, 6, 4]
    rungs = {rule.bracket(27, number): rule.rungs(27, number) for number in range(50)}
    assert rungs == {0: (1, 3, 9), 1: (3, 9), 2: (9,), 3: ()}


def test_any_stretch_of_trials_has_all_brackets() -> None:
    """The shares hold from the first trials on: 20 in a row miss none of four."""
    for first in range(0, 500, 7):
        assert len({Hyperband().bracket(27, number) for number in range(first, first + 20)}) == 4


def test_brackets_do_not_know_of_each_other() -> None:
    """A trial is compared with those of its bracket only, and told which it was."""
    rule = Hyperband()
    first, second = ([n for n in range(99) if rule.bracket(27, n) == bracket] for bracket in (0, 1))
    rungs = Rungs()
    for number in first[:9]:
        rungs, _ = rule.decide(rungs, standing(number, [0.9, 0.9, 0.9], 27))
    rungs, why = rule.decide(rungs, standing(second[0], [0.1, 0.1, 0.1], 27))
    assert why == ""
    rungs, _ = rule.decide(rungs, standing(second[1], [0.8, 0.8, 0.8], 27))
    _, why = rule.decide(rungs, standing(second[2], [0.2, 0.2, 0.2], 27))
    assert why == "hyperband, bracket 1: 2 of 3 at epoch 3, the best 1 go on"


@pytest.mark.parametrize(
    ("epochs", "trials", "first"),
    [
        (27, 200, 3),
        (81, 200, 9),
        (81, 9, 9),
        (81, 3, 27),
        (81, 2, None),
        (2, 200, None),
        (3, None, 1),
        (100, None, 11),
        (10, 30, 1),
    ],
)
def test_rungs_that_suit_a_budget(epochs: int, trials: int | None, first: int | None) -> None:
    """No more rungs than trials can be divided by three, none before a ninth of the epochs."""
    rule = automatic(epochs, trials)
    assert (None if rule is None else rule.min_epochs) == first
