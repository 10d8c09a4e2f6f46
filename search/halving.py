"""Successive halving: trials are compared at rungs, and the best share of them goes on; and Hyperband, which hedges it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import final

from ..spaces.errors import BadInput
from .stop import Rung, Rungs, Standing

GOLDEN = (math.sqrt(5) - 1) / 2


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessiveHalving:
    """Stop a trial at a rung unless it is in the best `1/factor` of those that reached it.

    Stopping variant of asynchronous successive halving (ASHA), as in Ray Tune and Syne Tune (Li et al., MLSys 2020,
    describe the promoting one): a trial is judged against what has arrived so far, so the first at a rung always goes
    on, and the second only if it is no worse. A tie goes to whoever came first, but all that equal the best go on,
    however many they are. With several objectives the best are those of the first fronts.
    """

    min_epochs: int = 1
    factor: int = 3

    def __post_init__(self) -> None:
        """Check the two.

        Raises:
            BadInput: rungs would never end.
        """
        _check("asha", self.min_epochs, self.factor)

    def rungs(self, max_epochs: int, number: int) -> tuple[int, ...]:
        """Return min_epochs, min_epochs * factor, … below `max_epochs`."""
        return _powers(self.min_epochs, self.factor, max_epochs)

    def decide(self, rungs: Rungs, trial: Standing) -> tuple[Rungs, str]:
        """Enter the score; stop unless it ranks within the best `1/factor`, at least the best one goes on."""
        epoch = _reached(self.rungs(trial.max_epochs, trial.number), trial)
        return (rungs, "") if epoch is None else _halve(rungs, ("asha", 0, epoch), trial, self.factor)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperband:
    """Halve in several brackets, each with its first rung `factor` times as late as the one before.

    Where early epochs mislead, trials of the later brackets are judged on more of them (Li et al., JMLR 2018). A
    trial's bracket follows from its number, in the shares of the paper's table 1: bracket s of 0 to m, the last with no
    rung, gets ceil((m + 1) / (m - s + 1) * factor^(m - s)) parts. Any stretch of numbers has about these shares.
    """

    min_epochs: int = 1
    factor: int = 3

    def __post_init__(self) -> None:
        """Check the two.

        Raises:
            BadInput: rungs would never end.
        """
        _check("hyperband", self.min_epochs, self.factor)

    def bracket(self, max_epochs: int, number: int) -> int:
        """Return the bracket of a trial, from 0."""
        last = len(_powers(self.min_epochs, self.factor, max_epochs))
        parts = [math.ceil((last + 1) / (later + 1) * self.factor**later) for later in range(last, -1, -1)]
        place = (number + 0.5) * GOLDEN % 1.0 * sum(parts)
        return next(bracket for bracket, until in enumerate(accumulate(parts)) if place < until)

    def rungs(self, max_epochs: int, number: int) -> tuple[int, ...]:
        """Return the rungs of the trial's bracket."""
        return _powers(self.min_epochs, self.factor, max_epochs)[self.bracket(max_epochs, number) :]

    def decide(self, rungs: Rungs, trial: Standing) -> tuple[Rungs, str]:
        """Enter the score in its bracket; stop unless it ranks within the best `1/factor` there."""
        epoch = _reached(self.rungs(trial.max_epochs, trial.number), trial)
        if epoch is None:
            return rungs, ""
        bracket = self.bracket(trial.max_epochs, trial.number)
        return _halve(rungs, ("hyperband", bracket, epoch), trial, self.factor)


def automatic(max_epochs: int, trials: int | None) -> SuccessiveHalving | None:
    """Return the halving that suits a budget; None where trials are too short, or too few, to compare.

    Each rung keeps a third, so more than log3(trials) of them would end with one trial; the first is no earlier than a
    ninth of the epochs, since what is known before is little, of good trials among which a sampler chooses even less.
    """
    factor = 3
    most = 2 if trials is None else min(2, int(math.log(max(trials, 1), factor) + 1e-9))
    if max_epochs < factor or most < 1:
        return None
    return SuccessiveHalving(min_epochs=max(1, max_epochs // factor**most), factor=factor)


def _check(name: str, min_epochs: int, factor: int) -> None:
    if min_epochs < 1 or factor < 2:
        raise BadInput(f"{name} needs min_epochs >= 1 and factor >= 2, got {min_epochs} and {factor}")


def _powers(first: int, factor: int, below: int) -> tuple[int, ...]:
    epochs: list[int] = []
    while first < below:
        epochs.append(first)
        first *= factor
    return tuple(epochs)


def _reached(rungs: tuple[int, ...], trial: Standing) -> int | None:
    """Return the latest rung that the trial has reached since its last value: not every epoch needs to have one."""
    reached = [rung for rung in rungs if trial.since < rung <= trial.epoch]
    return reached[-1] if reached else None


def _halve(rungs: Rungs, rung: Rung, trial: Standing, factor: int) -> tuple[Rungs, str]:
    if trial.each:
        return _halve_by_all(rungs, rung, trial, factor)
    rungs = rungs.enter(rung, trial.score)
    arrived = len(rungs.at(rung))
    rank, keep = rungs.rank(rung, trial.score), max(arrived // factor, 1)
    if rank < keep:
        return rungs, ""
    return rungs, f"{_where(rung)}: {rank + 1} of {arrived} at epoch {rung[2]}, the best {keep} go on"


def _halve_by_all(rungs: Rungs, rung: Rung, trial: Standing, factor: int) -> tuple[Rungs, str]:
    """Judge by non-dominated rank; a trial that no other at the rung covers goes on, however many they are.

    As multi-objective ASHA does with an epsilon-net (Schmucker et al., arXiv:2106.12639, 2021), but that the front is
    never cut.
    """
    rungs, before, level = rungs.enter_point(rung, trial.point)
    arrived = sum(map(len, rungs.levels[rung]))
    keep = max(arrived // factor, 1)
    if before < keep:  # as on front 1, where none is before it
        return rungs, ""
    names = ", ".join(one.metric for one in trial.each)
    broken = ", constraints broken" if trial.violation else ""
    return rungs, (
        f"{_where(rung)}: {before + 1} of {arrived} at epoch {rung[2]} by {names}{broken}: "
        f"on front {level + 1}, the best {keep} and all of front 1 go on"
    )


def _where(rung: Rung) -> str:
    name, bracket, _ = rung
    return f"{name}, bracket {bracket}" if bracket else name
