"""What stop rules keep to; a test class per rule inherits from one of these and says how to make the rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st

from kerasweep.search.stop import Ending, Respect, Rungs, Standing, StopRule, ended
from kerasweep.spaces.pareto import Point, covers
from kerasweep.spaces.trial import OutcomeKind

scores = st.floats(allow_nan=False)
curves = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12)


def standing(number: int, curve: list[float], max_epochs: int = 10_000, *, epoch: int | None = None) -> Standing:
    """Return how a trial stands after these scores, one an epoch; with `epoch`, after one score alone."""
    best = max(curve)
    at = len(curve) if epoch is None else epoch
    return Standing(
        number=number,
        max_epochs=max_epochs,
        since=at - 1 if epoch is None else 0,
        epoch=at,
        score=curve[-1],
        best=best,
        best_epoch=curve.index(best) + 1 if epoch is None else at,
        mean=sum(curve) / len(curve),
        first_loss=1.0,
        loss=1.0,
    )


class StopRuleContract(ABC):
    """Deterministic, pure, in words."""

    @abstractmethod
    def rule(self) -> StopRule:
        """Return the rule under test."""

    @given(st.integers(1, 5000), st.integers(0, 200))
    def test_rungs_are_ascending_epochs_before_the_last(self, max_epochs: int, number: int) -> None:
        """A trial is judged at whole epochs, each once, and never at its last, where nothing is left to save."""
        rungs = self.rule().rungs(max_epochs, number)
        assert list(rungs) == sorted(set(rungs))
        assert all(1 <= epoch < max_epochs for epoch in rungs)

    def test_a_trial_of_one_epoch_is_never_judged(self) -> None:
        """There is nothing to stop."""
        assert list(self.rule().rungs(1, 0)) == []

    @given(st.lists(curves, max_size=8), curves)
    def test_what_stood_before_is_not_changed(self, others: list[list[float]], curve: list[float]) -> None:
        """Rungs are values: a decision returns new ones, and the same question has the same answer."""
        rungs = Rungs()
        for number, one in enumerate(others):
            rungs, _ = self.rule().decide(rungs, standing(number, one))
        before = dict(rungs.scores)
        asked = standing(len(others), curve)
        first, second = self.rule().decide(rungs, asked), self.rule().decide(rungs, asked)
        assert rungs.scores == before
        assert first == second

    @given(st.lists(curves, max_size=8))
    def test_a_reason_is_one_line_that_names_the_epoch(self, several: list[list[float]]) -> None:
        """A trial that stops is told where it stood."""
        rungs = Rungs()
        for number, curve in enumerate(several):
            for epoch in range(1, len(curve) + 1):
                rungs, why = self.rule().decide(rungs, standing(number, curve[:epoch]))
                assert why == "" or (len(why.splitlines()) == 1 and f"epoch {epoch}" in why)

    @given(st.lists(curves, min_size=1, max_size=8))
    def test_a_trial_that_rises_above_all_goes_on(self, several: list[list[float]]) -> None:
        """Better than every score before, and still rising: no rule stops that."""
        rungs, top = Rungs(), -1e6
        for number, curve in enumerate(several):
            rising = [top + 1 + step for step in range(len(curve))]
            for epoch in range(1, len(curve) + 1):
                rungs, why = self.rule().decide(rungs, standing(number, rising[:epoch]))
                assert why == ""
            top = rising[-1]

    @given(st.lists(curves, max_size=4), st.sampled_from([OutcomeKind.FAILED, OutcomeKind.LOST]), st.integers(1, 3))
    def test_a_trial_that_is_taken_up_again_goes_on_where_it_was(
        self, several: list[list[float]], kind: OutcomeKind, at: int
    ) -> None:
        """Once it was retried, its first end changes no answer: neither to itself nor to those after it."""
        rule, once, twice = self.rule(), Rungs(), Rungs()
        for number, curve in enumerate(several):
            for epoch in range(1, len(curve) + 1):
                trial = standing(number, curve[:epoch])
                once, why = rule.decide(once, trial)
                twice, again = rule.decide(twice, trial)
                assert why == again
                if why:
                    break
                if epoch == at:
                    failed = Ending(number=number, kind=kind, epoch=epoch, last=curve[epoch - 1])
                    twice = ended(rule, twice, failed)
            whole = Ending(
                number=number, kind=OutcomeKind.COMPLETED, score=max(curve), epoch=len(curve), last=curve[-1]
            )
            once, twice = ended(rule, once, whole), ended(rule, twice, whole)


class HalvingContract(StopRuleContract):
    """A rule with rungs: kind to the best, and never a dead end. Trials of one bracket, judged at its first rung."""

    numbers: ClassVar[Sequence[int]] = range(1000)

    def judge(self, arriving: list[float], epoch: int) -> list[str]:
        """Return why each of the trials that arrive at an epoch with these scores stops, in their order."""
        rungs, answers = Rungs(), list[str]()
        for number, score in zip(self.numbers, arriving, strict=False):
            rungs, why = self.rule().decide(rungs, standing(number, [score], epoch=epoch))
            answers.append(why)
        return answers

    @given(scores)
    def test_the_first_at_a_rung_goes_on(self, score: float) -> None:
        """Whatever its score, there is nothing to compare it with."""
        assert self.judge([score], 1) == [""]

    @given(st.lists(scores, max_size=30))
    def test_the_best_at_a_rung_is_never_stopped(self, arriving: list[float]) -> None:
        """A trial that is at least as good as all before it goes on."""
        answers = self.judge(arriving, 1)
        for place, (score, why) in enumerate(zip(arriving, answers, strict=True)):
            if score >= max(arriving[:place], default=-inf):
                assert why == ""

    @given(st.lists(scores, min_size=1, max_size=30), st.integers(1, 100))
    def test_of_all_that_arrive_one_goes_on(self, arriving: list[float], epoch: int) -> None:
        """A rung is never a dead end, whatever its scores: ties and infinities included."""
        assert "" in self.judge(arriving, epoch)

    @given(st.lists(st.tuples(st.sampled_from([1, 3]), scores), max_size=20))
    def test_rungs_do_not_know_of_each_other(self, arriving: list[tuple[int, float]]) -> None:
        """What arrives at one rung changes no answer at another."""
        rungs, answers = Rungs(), dict[int, list[str]]()
        numbers = iter(self.numbers)
        for epoch, score in arriving:
            trial = standing(next(numbers), [score], epoch=epoch)
            rungs, why = self.rule().decide(rungs, replace(trial, since=epoch - 1))
            answers.setdefault(epoch, []).append(why)
        for epoch, there in answers.items():
            again, found = Rungs(), list[str]()
            for number, score in zip(self.numbers, [one for at, one in arriving if at == epoch], strict=False):
                trial = replace(standing(number, [score], epoch=epoch), since=epoch - 1)
                again, why = self.rule().decide(again, trial)
                found.append(why)
            assert there == found


# Several objectives ---------------------------------------------------------------------------------------------------

pairs = st.tuples(*(st.integers(0, 6).map(float) for _ in range(2)))
clouds = st.lists(st.tuples(pairs, st.sampled_from([0.0, 0.0, 0.5])), min_size=1, max_size=15)
"""Trials that arrive at one epoch: the scores by two objectives, and by how much constraints are broken."""


def both(number: int, curve: Sequence[tuple[float, float]], violation: float = 0.0) -> Standing:
    """Return how a trial stands after an epoch for each pair of scores, by the objectives `a` and `b`."""
    each: list[Respect] = []
    for name, column in zip("ab", zip(*curve, strict=True), strict=True):
        one = standing(number, list(column))
        each.append(Respect(metric=name, score=one.score, best=one.best, best_epoch=one.best_epoch, mean=one.mean))
    return replace(standing(number, [a for a, _ in curve]), each=tuple(each), violation=violation)


class SeveralContract(ABC):
    """What a rule keeps to with two objectives, `a` and `b`; `compares`: it judges a trial by others."""

    compares: ClassVar[bool] = True

    @abstractmethod
    def rule(self) -> StopRule:
        """Return the rule under test, for both objectives."""

    @given(clouds)
    def test_it_is_pure_and_says_why(self, cloud: list[tuple[tuple[float, float], float]]) -> None:
        """The same question has the same answer, what stood before stays; a reason is one line with the epoch."""
        rule, rungs = self.rule(), Rungs()
        for number, (pair, violation) in enumerate(cloud):
            trial = both(number, [pair], violation)
            before = (dict(rungs.scores), dict(rungs.levels), dict(rungs.parts))
            first, second = rule.decide(rungs, trial), rule.decide(rungs, trial)
            assert first == second
            assert before == (dict(rungs.scores), dict(rungs.levels), dict(rungs.parts))
            rungs, why = first
            assert why == "" or (len(why.splitlines()) == 1 and "epoch 1" in why)

    @given(clouds)
    def test_the_front_is_never_stopped(self, cloud: list[tuple[tuple[float, float], float]]) -> None:
        """A trial stops only where one before it is as good in every respect."""
        rule, rungs = self.rule(), Rungs()
        for number, (pair, violation) in enumerate(cloud):
            rungs, why = rule.decide(rungs, both(number, [pair], violation))
            there = [Point(*one) for one in cloud[:number]]
            assert not (self.compares and why) or any(covers(one, Point(pair, violation)) for one in there)

    def test_a_trial_that_rises_above_all_goes_on(self) -> None:
        """By one objective, whatever the other does."""
        rule, rungs = self.rule(), Rungs()
        for number in range(9):
            curve = [(10.0 * number + epoch, 9.0 - number) for epoch in range(1, 6)]
            for epoch in range(1, 6):
                rungs, why = rule.decide(rungs, both(number, curve[:epoch]))
                assert why == ""
