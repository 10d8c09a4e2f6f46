"""Stop rules that look at a trial's curve: against the median of others, or by itself."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import final

from ..spaces.errors import BadInput
from .stop import Rungs, Standing


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Median:
    """Stop a trial whose best score so far is below the median of the others' mean scores up to the same epoch.

    The rule of Google Vizier (Golovin et al., KDD 2017, 3.2.2). Its first judgement is at `min_epochs`, once
    `min_trials` others have been there.
    """

    min_epochs: int = 1
    min_trials: int = 5

    def __post_init__(self) -> None:
        """Check the two.

        Raises:
            BadInput: there would be no median.
        """
        if self.min_epochs < 1 or self.min_trials < 1:
            raise BadInput(
                f"median needs min_epochs >= 1 and min_trials >= 1, got {self.min_epochs} and {self.min_trials}"
            )

    def rungs(self, max_epochs: int, number: int) -> tuple[int, ...]:
        """Return none: every epoch is compared, but none is waited for."""
        return ()

    def decide(self, rungs: Rungs, trial: Standing) -> tuple[Rungs, str]:
        """Enter the mean; stop a trial that never was as good as the median."""
        rung = ("median", 0, trial.epoch)
        others = rungs.at(rung)
        rungs = rungs.enter(rung, trial.mean)
        if trial.epoch < self.min_epochs or len(others) < self.min_trials or trial.best >= median(others):
            return rungs, ""
        return rungs, f"median: at epoch {trial.epoch} it was never as good as the mean of half of {len(others)} trials"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Stop a trial that has not become better for so many epochs."""

    epochs: int = 10

    def __post_init__(self) -> None:
        """Check the number.

        Raises:
            BadInput: no trial would get a second epoch.
        """
        if self.epochs < 1:
            raise BadInput(f"patience needs epochs >= 1, got {self.epochs}")

    def rungs(self, max_epochs: int, number: int) -> tuple[int, ...]:
        """Return none: it compares with no other trial."""
        return ()

    def decide(self, rungs: Rungs, trial: Standing) -> tuple[Rungs, str]:
        """Stop it if its best is too long ago."""
        if trial.epoch - trial.best_epoch < self.epochs:
            return rungs, ""
        return rungs, f"patience: at epoch {trial.epoch} it was no better than at epoch {trial.best_epoch}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Stop a trial that by `epoch` was never as good as `value`; `score` is that value's.

    With several objectives, `metric` names the one that is meant.
    """

    epoch: int
    value: float
    score: float
    metric: str = ""

    def __post_init__(self) -> None:
        """Check the epoch.

        Raises:
            BadInput: there is no such epoch.
        """
        if self.epoch < 1:
            raise BadInput(f"threshold needs epoch >= 1, got {self.epoch}")

    def rungs(self, max_epochs: int, number: int) -> tuple[int, ...]:
        """Return none: it compares with no other trial."""
        return ()

    def decide(self, rungs: Rungs, trial: Standing) -> tuple[Rungs, str]:
        """Stop it once it is late."""
        best = next((one.best for one in trial.each if one.metric == self.metric), trial.best)
        if trial.epoch < self.epoch or best >= self.score:
            return rungs, ""
        what = f"{self.metric} {self.value:g}" if self.metric else f"{self.value:g}"
        return rungs, f"threshold: at epoch {trial.epoch} it had not reached {what}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """Stop a trial whose training loss is over `factor` times what losses begin with.

    That is its own at the first epoch, or the median of all trials' if that is less: one may explode at once. (A loss
    that is not finite fails its trial in any case.) Losses that begin at 0 or below are not judged.
    """

    factor: float = 10.0

    def __post_init__(self) -> None:
        """Check the factor.

        Raises:
            BadInput: a loss that stays as it is would be one that explodes.
        """
        if not self.factor > 1:
            raise BadInput(f"divergence needs factor > 1, got {self.factor}")

    def rungs(self, max_epochs: int, number: int) -> tuple[int, ...]:
        """Return none: there is no hurry."""
        return ()

    def decide(self, rungs: Rungs, trial: Standing) -> tuple[Rungs, str]:
        """Enter a first loss; stop a trial that is far above where losses begin."""
        rung = ("divergence", 0, 1)
        if trial.loss is None or trial.first_loss is None:
            return rungs, ""
        if trial.since == 0:
            rungs = rungs.enter(rung, trial.first_loss)
        begin = min(trial.first_loss, median(rungs.at(rung)) if rungs.at(rung) else trial.first_loss)
        if begin <= 0 or trial.loss <= self.factor * begin:
            return rungs, ""
        return rungs, f"divergence: the loss was {trial.loss:.3g} at epoch {trial.epoch}; losses begin with {begin:.3g}"
