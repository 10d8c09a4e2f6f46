"""Stop rules: which trials end early. Pure: a rule is told how a trial stands, and answers for that one.

A rule that compares trials keeps what it has seen in `Rungs`, under keys of its own; one that looks at a trial alone
needs none. Scores are the objective's values with the sign that makes more better.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, final, runtime_checkable

from ..spaces.trial import OutcomeKind

Rung = tuple[str, int, int]
"""The rule's name, a bracket (0 where there is one), the epoch."""


@final
@dataclass(frozen=True, slots=True)
class Rungs:
    """The scores that have reached each rung, ascending."""

    scores: Mapping[Rung, tuple[float, ...]] = field(default_factory=dict[Rung, tuple[float, ...]])
    accounts: Mapping[str, Account] = field(default_factory=dict[str, "Account"])
    """What a rule that goes by more than scores was told so far, by the rule's name."""

    def at(self, rung: Rung) -> tuple[float, ...]:
        """Return the scores at a rung."""
        return self.scores.get(rung, ())

    def enter(self, rung: Rung, score: float) -> Rungs:
        """Return the rungs with one more score."""
        there = self.at(rung)
        place = bisect_left(there, score)
        return Rungs({**self.scores, rung: (*there[:place], score, *there[place:])}, self.accounts)

    def with_account(self, name: str, account: Account) -> Rungs:
        """Return the rungs with what the rule of this name was told."""
        return Rungs(self.scores, {**self.accounts, name: account})

    def rank(self, rung: Rung, score: float) -> int:
        """Return how many scores at the rung are strictly better; a tie goes to whoever came first."""
        there = self.at(rung)
        return len(there) - bisect_left(there, score) - 1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a trial stands at an epoch that has a value, before its last.

    `since` is the epoch of the value before (0: there was none), `mean` that of all its scores so far; `first_loss` and
    `loss` are the training loss of its first epoch and of this one, where it is logged.
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


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a trial ended: the score that it counts with, and that of its last epoch, which no rule has judged."""

    number: int
    kind: OutcomeKind
    score: float | None = None
    epoch: int | None = None
    last: float | None = None


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
