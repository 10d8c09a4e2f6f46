"""A stop rule for one objective, applied to several: a trial stops where the rule says so by every one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from .stop import Rungs, Standing, StopRule


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ByEach:
    """Stop a trial where `rule` would by each objective alone.

    A rule that compares trials (`compares`) might so stop one that is second in all respects and yet beaten by none, as
    a fair compromise is: that one goes on. Constraints do not count here.
    """

    rule: StopRule
    name: str
    compares: bool

    def rungs(self, max_epochs: int, number: int) -> tuple[int, ...]:
        """Return the rule's."""
        return tuple(self.rule.rungs(max_epochs, number))

    def decide(self, rungs: Rungs, trial: Standing) -> tuple[Rungs, str]:
        """Ask by each objective."""
        if not trial.each:
            return self.rule.decide(rungs, trial)
        reasons: list[str] = []
        for one in trial.each:
            part, why = self.rule.decide(rungs.part(one.metric), trial.by(one))
            rungs = rungs.with_part(one.metric, part)
            reasons.append(why)
        on_front = False
        if self.compares:
            rungs, on_front = self._enter(rungs, trial)
        if on_front or not all(reasons):
            return rungs, ""
        names = " and ".join(one.metric for one in trial.each)
        return rungs, f"{reasons[0]}, by each of {names}"

    def _enter(self, rungs: Rungs, trial: Standing) -> tuple[Rungs, bool]:
        """Return the rungs with the trial among those at its epoch, of which the front is kept; and whether it is on it."""
        rung = (f"{self.name}, front", 0, trial.epoch)
        rungs, _, level = rungs.enter_point(rung, trial.point)
        return replace(rungs, levels={**rungs.levels, rung: rungs.levels[rung][:1]}), level == 0
