"""A stop rule for one objective, applied to several: a trial stops where the rule says so by every one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

from .stop import Ending, Rungs, Standing, StopRule, ended


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ByEach:
    """Stop a trial where a rule would by each objective alone; `rules` has it for each, the first objective's first.

    A rule that compares trials (`compares`) might so stop one that is second in all respects and yet beaten by none, as
    a fair compromise is: that one goes on. Constraints count in that alone.
    """

    rules: Mapping[str, StopRule]
    name: str
    compares: bool

    @property
    def first(self) -> StopRule:
        """The first objective's rule."""
        return next(iter(self.rules.values()))

    def rungs(self, max_epochs: int, number: int) -> tuple[int, ...]:
        """Return the rule's."""
        return tuple(self.first.rungs(max_epochs, number))

    def decide(self, rungs: Rungs, trial: Standing) -> tuple[Rungs, str]:
        """Ask by each objective."""
        if not trial.each:
            return self.first.decide(rungs, trial)
        reasons: list[str] = []
        for one in trial.each:
            part, why = self.rules[one.metric].decide(rungs.part(one.metric), trial.by(one))
            rungs = rungs.with_part(one.metric, part)
            reasons.append(why)
        on_front = False
        if self.compares:
            rungs, on_front = self._enter(rungs, trial)
        if on_front or not all(reasons):
            return rungs, ""
        names = " and ".join(one.metric for one in trial.each)
        return rungs, f"{reasons[0]}, by each of {names}"

    def ended(self, rungs: Rungs, ending: Ending) -> Rungs:
        """Tell the rules that want to know."""
        if not ending.each:
            return ended(self.first, rungs, ending)
        for metric, one in ending.each.items():
            rungs = rungs.with_part(metric, ended(self.rules[metric], rungs.part(metric), one))
        return rungs

    def _enter(self, rungs: Rungs, trial: Standing) -> tuple[Rungs, bool]:
        """Return the rungs with the trial among those at its epoch, of which the front is kept; and whether it is on it."""
        rung = (f"{self.name}, front", 0, trial.epoch)
        rungs, _, level = rungs.enter_point(rung, trial.point)
        return replace(rungs, levels={**rungs.levels, rung: rungs.levels[rung][:1]}), level == 0
