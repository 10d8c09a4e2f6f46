"""What every stop rule keeps to; a test class per rule inherits from this and says how to make the rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from kerasweep.search.stop import Rungs, StopRule

scores = st.floats(allow_nan=False)


class StopRuleContract(ABC):
    """Deterministic, pure, kind to the best."""

    @abstractmethod
    def rule(self) -> StopRule:
        """Return the rule under test."""

    def judge(self, arriving: list[float], epoch: int) -> list[str]:
        """Return why each of the trials that arrive at a rung with these scores stops, in their order."""
        rungs, answers = Rungs(), list[str]()
        for score in arriving:
            rungs, why = self.rule().decide(rungs, epoch, score)
            answers.append(why)
        return answers

    @given(st.integers(1, 5000))
    def test_rungs_are_ascending_epochs_before_the_last(self, max_epochs: int) -> None:
        """A trial is judged at whole epochs, each once, and never at its last, where nothing is left to save."""
        rungs = self.rule().rungs(max_epochs)
        assert list(rungs) == sorted(set(rungs))
        assert all(1 <= epoch < max_epochs for epoch in rungs)

    @given(st.integers(1, 5000), st.integers(0, 5000))
    def test_a_longer_fit_has_the_same_rungs_and_more(self, max_epochs: int, more: int) -> None:
        """Where a trial is judged does not depend on how long it may train."""
        rungs, longer = self.rule().rungs(max_epochs), self.rule().rungs(max_epochs + more)
        assert longer[: len(rungs)] == rungs
        assert all(epoch >= max_epochs for epoch in longer[len(rungs) :])

    def test_a_trial_of_one_epoch_is_never_judged(self) -> None:
        """There is nothing to stop."""
        assert self.rule().rungs(1) == ()

    @given(scores)
    def test_the_first_at_a_rung_goes_on(self, score: float) -> None:
        """Whatever its score, there is nothing to compare it with."""
        assert self.judge([score], 1) == [""]

    @given(st.lists(scores, max_size=30))
    def test_the_best_at_a_rung_is_never_stopped(self, arriving: list[float]) -> None:
        """A trial that is strictly better than all before it goes on."""
        answers = self.judge(arriving, 1)
        for place, (score, why) in enumerate(zip(arriving, answers, strict=True)):
            if score > max(arriving[:place], default=-inf):
                assert why == ""

    @given(st.lists(scores, min_size=1, max_size=30), st.integers(1, 100))
    def test_of_all_that_arrive_one_goes_on(self, arriving: list[float], epoch: int) -> None:
        """A rung is never a dead end, whatever its scores: ties and infinities included."""
        assert "" in self.judge(arriving, epoch)

    @given(st.lists(scores, max_size=20), scores)
    def test_what_stood_before_is_not_changed(self, arriving: list[float], score: float) -> None:
        """Rungs are values: a decision returns new ones, and the same question has the same answer."""
        rungs = Rungs()
        for one in arriving:
            rungs, _ = self.rule().decide(rungs, 1, one)
        before = {epoch: tuple(there) for epoch, there in rungs.scores.items()}
        first, second = self.rule().decide(rungs, 1, score), self.rule().decide(rungs, 1, score)
        assert rungs.scores == before
        assert first == second

    @given(st.lists(st.tuples(st.sampled_from([1, 3]), scores), max_size=20))
    def test_rungs_do_not_know_of_each_other(self, arriving: list[tuple[int, float]]) -> None:
        """What arrives at one rung changes no answer at another."""
        rungs, answers = Rungs(), dict[int, list[str]]()
        for epoch, score in arriving:
            rungs, why = self.rule().decide(rungs, epoch, score)
            answers.setdefault(epoch, []).append(why)
        for epoch, there in answers.items():
            assert there == self.judge([score for at, score in arriving if at == epoch], epoch)

    @given(st.lists(scores, max_size=20))
    def test_a_reason_says_why(self, arriving: list[float]) -> None:
        """A trial that stops is given one line."""
        for why in self.judge(arriving, 3):
            assert why == "" or (len(why.splitlines()) == 1 and "epoch 3" in why)
