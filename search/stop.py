"""Stop rules: which trials end early. Pure: a rule is told how a trial stands, and answers for that one.

A rule that compares trials keeps what it has seen in `Rungs`, under keys of its own; one that looks at a trial alone
needs none. Scores are the objective's values with the sign that makes more better.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, final, runtime_checkable

from ..spaces.pareto import Levels, Point, entered, spread
from ..spaces.trial import OutcomeKind

Rung = tuple[str, int, int]
"""The rule's name, a bracket (0 where there is one), the epoch."""


@final
@dataclass(frozen=True, slots=True)
class Rungs:
    """The scores that have reached each rung, ascending; with several objectives or constraints, the points by level.

    `parts` has the rungs of a rule that judges each objective by itself, by the objective's name.
    """

    scores: Mapping[Rung, tuple[float, ...]] = field(default_factory=dict[Rung, tuple[float, ...]])
    levels: Mapping[Rung, Levels] = field(default_factory=dict[Rung, Levels])
    parts: Mapping[str, Rungs] = field(default_factory=dict[str, "Rungs"])
    accounts: Mapping[str, Account] = field(default_factory=dict[str, "Account"])
    """What a rule that goes by more than scores was told so far, by the rule's name."""

    def at(self, rung: Rung) -> tuple[float, ...]:
        """Return the scores at a rung."""
        return self.scores.get(rung, ())

    def enter(self, rung: Rung, score: float) -> Rungs:
        """Return the rungs with one more score."""
        there = self.at(rung)
        place = bisect_left(there, score)
        return replace(self, scores={**self.scores, rung: (*there[:place], score, *there[place:])})

    def with_account(self, name: str, account: Account) -> Rungs:
        """Return the rungs with what the rule of this name was told."""
        return replace(self, accounts={**self.accounts, name: account})

    def rank(self, rung: Rung, score: float) -> int:
        """Return how many are before a score that came last: the better ones, and equals, but that none is before the best."""
        there = self.at(rung)
        return 0 if score == there[-1] else len(there) - bisect_left(there, score) - 1

    def enter_point(self, rung: Rung, point: Point) -> tuple[Rungs, int, int]:
        """Return the rungs with one more point, how many are before it there, and its level (0: no other covers it).

        Points are before it on lower levels, and on its own those that `spread` puts there; on level 0 none is.
        """
        levels, place = entered(self.levels.get(rung, ()), point)
        level = levels[place]
        among = [level[one] for one in spread(level)].index(point) if place else 0
        return replace(self, levels={**self.levels, rung: levels}), sum(map(len, levels[:place])) + among, place

    def part(self, name: str) -> Rungs:
        """Return the rungs of one objective."""
        return self.parts.get(name, Rungs())

    def with_part(self, name: str, rungs: Rungs) -> Rungs:
        """Return these with the rungs of one objective changed."""
        return replace(self, parts={**self.parts, name: rungs})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Respect:
    """How a trial stands by one of several objectives; as `Standing` has it."""

    metric: str
    score: float
    best: float
    best_epoch: int
    mean: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a trial stands at an epoch that has a value, before its last.

    `since` is the epoch of the value before (0: there was none), `mean` that of all its scores so far; `first_loss` and
    `loss` are the training loss of its first epoch and of this one, where it is logged.

    `each` says the same by each objective, where there are several or constraints; `violation` is by how much the
    constraints are broken, as far as they can be told.
    """

    number: int
    max_epochs: int
    since: int
    epoch: int
    score: float
    best: float
    best_epoch: int
    mean: float
    first_loss: float | None = None
    loss: float | None = None
    each: tuple[Respect, ...] = ()
    violation: float = 0.0

    @property
    def point(self) -> Point:
        """Where it stands at this epoch by all objectives and constraints."""
        return Point(tuple(one.score for one in self.each) or (self.score,), self.violation)

    def by(self, one: Respect) -> Standing:
        """Return how it stands by one objective alone."""
        return replace(
            self, score=one.score, best=one.best, best_epoch=one.best_epoch, mean=one.mean, each=(), violation=0.0
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a trial ended: the score that it counts with, and that of its last epoch, which no rule has judged."""

    number: int
    kind: OutcomeKind
    score: float | None = None
    epoch: int | None = None
    last: float | None = None
    each: Mapping[str, Ending] = field(default_factory=dict[str, "Ending"])
    """The same by each objective, where there are several or constraints."""


Account = tuple[Standing | Ending, ...]
"""What happened to trials, in order."""


class StopRule(Protocol):
    """Decides whether a trial goes on."""

    def rungs(self, max_epochs: int, number: int) -> Sequence[int]:
        """Return the epochs that are told at once, ascending, below `max_epochs`; others come about once a second."""
        ...

    def decide(self, rungs: Rungs, trial: Standing) -> tuple[Rungs, str]:
        """Return the rungs with the trial entered, and why it stops (empty: it goes on)."""
        ...


@runtime_checkable
class Watching(Protocol):
    """A stop rule that is told how trials end, too."""

    def ended(self, rungs: Rungs, ending: Ending) -> Rungs:
        """Return the rungs with the end taken in."""
        ...


def ended(rule: StopRule, rungs: Rungs, ending: Ending) -> Rungs:
    """Return the rungs once a trial has ended, whether or not the rule wants to know."""
    return rule.ended(rungs, ending) if isinstance(rule, Watching) else rungs


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NeverStop:
    """Train every trial to its end."""

    def rungs(self, max_epochs: int, number: int) -> tuple[int, ...]:
        """Return no rung."""
        return ()

    def decide(self, rungs: Rungs, trial: Standing) -> tuple[Rungs, str]:
        """Go on."""
        return rungs, ""


@final
@dataclass(frozen=True, slots=True)
class AnyOf:
    """Stop a trial that one of several rules stops; each sees all trials."""

    rules: tuple[StopRule, ...]

    def rungs(self, max_epochs: int, number: int) -> tuple[int, ...]:
        """Return the rungs of all."""
        return tuple(sorted({epoch for rule in self.rules for epoch in rule.rungs(max_epochs, number)}))

    def decide(self, rungs: Rungs, trial: Standing) -> tuple[Rungs, str]:
        """Ask all; the first that stops says why."""
        reasons: list[str] = []
        for rule in self.rules:
            rungs, why = rule.decide(rungs, trial)
            reasons.append(why)
        return rungs, next(filter(None, reasons), "")

    def ended(self, rungs: Rungs, ending: Ending) -> Rungs:
        """Tell all that want to know."""
        for rule in self.rules:
            rungs = ended(rule, rungs, ending)
        return rungs
