"""Stop rules: which trials end early. Pure: a rule is given what was reported at rungs and answers for one trial."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, final

from ..spaces.errors import BadInput


@final
@dataclass(frozen=True, slots=True)
class Rungs:
    """The scores (more is better) that have reached each rung, ascending, by the rung's epoch."""

    scores: Mapping[int, tuple[float, ...]] = field(default_factory=dict[int, tuple[float, ...]])

    def at(self, epoch: int) -> tuple[float, ...]:
        """Return the scores at a rung."""
        return self.scores.get(epoch, ())

    def enter(self, epoch: int, score: float) -> Rungs:
        """Return the rungs with one more score."""
        there = self.at(epoch)
        place = bisect_left(there, score)
        return Rungs({**self.scores, epoch: (*there[:place], score, *there[place:])})

    def rank(self, epoch: int, score: float) -> int:
        """Return how many scores at the rung are strictly better; a tie goes to whoever came first."""
        there = self.at(epoch)
        return len(there) - bisect_left(there, score) - 1


class StopRule(Protocol):
    """Decides at rungs whether a trial goes on."""

    def rungs(self, max_epochs: int) -> tuple[int, ...]:
        """Return the epochs at which trials of `max_epochs` are judged, ascending, the last epoch left out."""
        ...

    def decide(self, rungs: Rungs, epoch: int, score: float) -> tuple[Rungs, str]:
        """Return the rungs with `score` entered at `epoch`, and why its trial stops (empty: it goes on)."""
        ...


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NeverStop:
    """Train every trial to its end."""

    def rungs(self, max_epochs: int) -> tuple[int, ...]:
        """Return no rung."""
        return ()

    def decide(self, rungs: Rungs, epoch: int, score: float) -> tuple[Rungs, str]:
        """Go on."""
        return rungs, ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessiveHalving:
    """Stop a trial at a rung unless it is in the best `1/factor` of those that reached it.

    Stopping variant of asynchronous successive halving (ASHA), as in Ray Tune and Syne Tune (Li et al., MLSys 2020,
    describe the promoting one): a trial is judged against what has arrived so far, so the first at a rung always goes
    on, and the second only if it beats the first.
    """

    min_epochs: int = 1
    factor: int = 3

    def __post_init__(self) -> None:
        """Check the two.

        Raises:
            BadInput: rungs would never end.
        """
        if self.min_epochs < 1 or self.factor < 2:
            raise BadInput(f"asha needs min_epochs >= 1 and factor >= 2, got {self.min_epochs} and {self.factor}")

    def rungs(self, max_epochs: int) -> tuple[int, ...]:
        """Return min_epochs, min_epochs * factor, … below `max_epochs`."""
        epochs: list[int] = []
        epoch = self.min_epochs
        while epoch < max_epochs:
            epochs.append(epoch)
            epoch *= self.factor
        return tuple(epochs)

    def decide(self, rungs: Rungs, epoch: int, score: float) -> tuple[Rungs, str]:
        """Enter the score; stop unless it ranks within the best `1/factor`, at least the best one goes on."""
        rungs = rungs.enter(epoch, score)
        arrived = len(rungs.at(epoch))
        rank, keep = rungs.rank(epoch, score), max(arrived // self.factor, 1)
        if rank < keep:
            return rungs, ""
        return rungs, f"asha: {rank + 1} of {arrived} at epoch {epoch}, the best {keep} go on"
