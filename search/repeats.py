"""Repeats: a trial is trained on several seeds, its value their mean; a hopeless one is stopped between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from ..spaces.trial import Report
from ..trackers.student import below, mean
from .objective import Objective

LEAST = 2
"""So many repeats a trial gets in any case: with fewer there is no spread to test with."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """On how many seeds each trial is trained, and the level of the test between them; 1: once, as it is."""

    seeds: int = 1
    level: float = 0.05


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """The best trial so far of those that did all repeats, with the score of each."""

    number: int
    scores: tuple[float, ...]


def score_of(report: Report, objective: Objective) -> float | None:
    """Return the score of the repeat that a report has the newest of; its own metrics have a name of their own."""
    value = report.metrics.get(f"repeat_{report.epoch}/{objective.metric}")
    return None if value is None else objective.score(value)


def leading(leader: Leader | None, number: int, scores: Sequence[float], plan: Repeats) -> Leader | None:
    """Return the leader once a trial has ended."""
    whole = plan.seeds > 1 and len(scores) == plan.seeds
    if not whole or (leader is not None and mean(scores) <= mean(leader.scores)):
        return leader
    return Leader(number=number, scores=tuple(scores))


def hopeless(scores: Sequence[float], leader: Leader | None, plan: Repeats, objective: Objective) -> str:
    """Return why a trial needs no further repeats, empty where it does: its mean is worse than the leader's.

    Welch's one-sided t test at `plan.level`, made after each repeat from the second to the last but one; so a trial
    that equals the leader in truth is stopped a little more often than the level says.
    """
    if leader is None or len(scores) < LEAST:
        return ""
    p = below(scores, leader.scores)
    if p >= plan.level:
        return ""
    own, best = (objective.score(mean(one)) for one in (scores, leader.scores))
    return (
        f"repeats: after {len(scores)} of {plan.seeds} seeds its mean {own:.5g} is worse than the {best:.5g} "
        f"of trial {leader.number} (Welch's one-sided t test, p {p:.2g} < {plan.level:g})"
    )
