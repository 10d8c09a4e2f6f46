"""How the best trials of a sweep did when they were trained again on fresh seeds, from the records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from .history import History, TrialRecord
from .student import interval, mean


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """A trial of the search and its runs on fresh seeds; `values` is theirs, by `runs`.

    `flattered`: by how much its searched value was better than the mean of these, negative where it was worse.
    """

    number: int
    searched: float
    runs: tuple[int, ...]
    values: tuple[float, ...]
    asked: int
    best_run: int
    flattered: float

    @property
    def mean(self) -> float:
        """The mean over the runs that have a value."""
        return mean(self.values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % t interval of the mean; None with fewer than two values."""
        return interval(self.values)

    def in_words(self, metric: str) -> str:
        """Return the mean with its interval, and what that says of the searched value."""
        ends = self.interval
        between = "" if ends is None else f" (95 % t interval {ends[0]:.5g} to {ends[1]:.5g})"
        seeds = f"{len(self.values)}" if len(self.values) == self.asked else f"{len(self.values)} of {self.asked}"
        how = "flattered it by" if self.flattered >= 0 else "was worse by"
        searched = f"the searched value {self.searched:.5g} {how} {abs(self.flattered):.3g}"
        return f"{metric} {self.mean:.5g}{between} on {seeds} fresh seeds; {searched}"


def confirmed(history: History, top: Sequence[int], *, seeds: int, maximize: bool) -> list[Confirmed]:
    """Return the confirmed trials, best first: more values, then the better mean; none before all runs have ended.

    Args:
        history: The sweep's.
        top: The trials that are to be confirmed.
        seeds: How many runs each is to have.
        maximize: Whether more is better.
    """
    runs = runs_of(history)
    if not top or any(len(_ended(runs.get(number, ()))) < seeds for number in top):
        return []
    found = [_confirmed(history.trials[number], runs[number], maximize=maximize) for number in top]
    valued = [one for one in found if one is not None]
    return sorted(valued, key=lambda one: (-len(one.values), -one.mean if maximize else one.mean, one.number))


def runs_of(history: History) -> dict[int, list[TrialRecord]]:
    """Return the runs of each trial that is, or was, confirmed."""
    runs: dict[int, list[TrialRecord]] = {}
    for record in history.trials.values():
        if record.confirms is not None:
            runs.setdefault(record.confirms, []).append(record)
    return runs


def _ended(runs: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [one for one in runs if one.outcome is not None]


def _value(record: TrialRecord) -> float:
    return math.nan if record.outcome is None or record.outcome.value is None else record.outcome.value


def _confirmed(record: TrialRecord, runs: Sequence[TrialRecord], *, maximize: bool) -> Confirmed | None:
    valued = [one for one in runs if math.isfinite(_value(one))]
    if not valued:
        return None
    values = tuple(_value(one) for one in valued)
    better = max if maximize else min
    best = better(valued, key=_value)
    difference = _value(record) - mean(values)
    return Confirmed(
        number=record.number,
        searched=_value(record),
        runs=tuple(one.number for one in valued),
        values=values,
        asked=len(runs),
        best_run=best.number,
        flattered=difference if maximize else -difference,
    )
