"""Proposals, from the journal's history alone: what keeps to the constraints, and has not been tried."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, final

from ..spaces.constraints import MANY_CONFIGURATIONS, Constraints
from ..spaces.known import Known
from ..spaces.parameter import Parameter
from ..spaces.prior import configuration, configurations
from ..spaces.trial import Json, Scalar
from ..trackers.events import Entry
from .objective import Objective
from .study import Study
from .tried import Tried

if TYPE_CHECKING:
    import optuna

MENDING_TRIES = 500
RANDOM_TRIES = 2_000
FEW_CONFIGURATIONS = 2_000
"""Of a space with so few, those that are left are listed as soon as a proposal repeats a trial."""


def derived_seed(*parts: int | str) -> int:
    """Return a seed of 32 bits that is a function of the parts."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Parameters by identity, and what the sampler wrote about them.

    `refusal`: why they must not be trained with. `end`: why there is nothing left to propose; the sweep then ends with
    `exit_code`, once no trial runs any more that might say otherwise.
    """

    params: Mapping[str, Scalar]
    attrs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    refusal: str = ""
    end: str = ""
    exit_code: int = 0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a sampler is asked: the trial's number and round, with the values that earlier rounds pinned.

    `refused` is what it said before, the earlier the first; `refusal` says why. What was refused once is refused for
    ever, as long as `released` stays, which counts what may have become free.
    """

    number: int
    round: int
    seed: int
    pinned: Mapping[str, Scalar]
    refused: Sequence[Mapping[str, Scalar]] = ()
    released: int = 0
    refusal: Callable[[Mapping[str, Scalar]], str]

    @property
    def attempt(self) -> int:
        """How often it was asked before."""
        return len(self.refused)

    @property
    def derived(self) -> int:
        """A seed of its own for each ask, a function of the sweep's, the trial's number, the round and the attempt."""
        parts = (self.seed, self.number, self.round)
        return derived_seed(*parts, self.attempt) if self.attempt else derived_seed(*parts)


class Sampler(Protocol):
    """Proposes: immutable history in, parameters out. It keeps nothing that the history does not say."""

    @property
    def tries(self) -> int:
        """So often it is asked before a proposal that may stand is searched for without it."""
        ...

    def propose(self, ask: Ask, study: Study) -> Proposal:
        """Return parameters, by identity, for each that is active in the study's space."""
        ...


@final
class OptunaSampler:
    """Folds the journal into a history, and proposes from it by the sampler that the sweep asks for.

    A proposal that breaks a constraint, or repeats a trial, is drawn again: first by the sampler; then only in what the
    broken clauses mention; at last at random, or from those that are left. Random search is drawn at random alone, so
    that it stays uniform over what is allowed; unless that is so little that it has to be approached step by step.
    """

    def __init__(
        self,
        *,
        sampler: str,
        seed: int,
        objective: Objective,
        space: Known,
        constraints: Constraints | None = None,
        arguments: Mapping[str, Json] | None = None,
        duplicates: bool = False,
        further: Sequence[Objective] = (),
        bounds: Sequence[str] = (),
    ) -> None:
        """Begin without a history.

        Args:
            sampler: Its name, or `module:Class`.
            seed: The sweep's.
            objective: What is searched for.
            space: What is declared.
            constraints: What every proposal keeps to.
            arguments: The sampler's own.
            duplicates: Whether a configuration may be tried twice.
            further: Objectives besides the first.
            bounds: Constraints on outcomes, which say of each trial by how much they are broken.
        """
        from .sampler_choice import sampler_of

        self._seed = seed
        self._learns = sampler != "random"
        self._constraints = constraints or Constraints()
        self._duplicates = duplicates
        self._sampler: Sampler = sampler_of(sampler, arguments or {})
        self._study = Study(objective, space, further=further, bounds=bounds)
        self._tried = Tried()
        self._tried.learn(space.parameters)
        self._end: tuple[tuple[int, Known], Proposal] | None = None

    @property
    def space(self) -> Known:
        """All that is known of the space."""
        return self._study.space

    @property
    def study(self) -> optuna.Study:
        """Optuna's form of the history, not to be changed."""
        return self._study.told

    def propose(self, number: int) -> Proposal:
        """Return parameters for a new trial."""
        self._study.prepare()
        pinned = self._study.pins(number)
        proposal = self._ask(number, 0, pinned)
        return self._ask(number, 0, {}) if proposal.end and pinned else proposal  # that point was tried already

    def extend(
        self, number: int, round: int, pinned: Mapping[str, Scalar], specs: Sequence[Parameter] = ()
    ) -> Proposal:
        """Return parameters for a trial whose model asked for more, `specs`; earlier values as they were."""
        self.learn(list(specs))
        self._study.withdraw(number)
        self._study.prepare()
        proposal = self._ask(number, round, {**self._study.pins(number), **pinned})
        return replace(proposal, end="", refusal=proposal.end) if proposal.end else proposal

    def know(self, specs: Sequence[Parameter]) -> None:
        """Know of parameters from the beginning, as if they were declared."""
        self.learn(list(specs))

    def learn(self, specs: list[Parameter]) -> None:
        """Take in parameters that a model was found to read."""
        self._study.learn(specs)
        self._tried.learn(self.space.parameters)

    def apply(self, entry: Entry) -> None:
        """Take in one journaled event, live or in a replay."""
        before = self.space
        if self._learns:
            self._study.apply(entry)
        else:
            self._study.apply_late(entry)
        if self.space is not before:
            self._tried.learn(self.space.parameters)
        self._tried.apply(entry)

    def refusal(self, values: Mapping[str, Scalar]) -> str:
        """Return why a trial that uses these values, by name, must not run; empty if it may."""
        return self._constraints.refusal({name: (value,) for name, value in values.items()})

    def unknown(self) -> dict[str, str]:
        """Return the names in `where` that no parameter known so far has, each with a hint at what may be meant."""
        known = [*self._constraints.constants, *(one.name for one in self.space.parameters.values())]
        return {name: hint for one in self._constraints.clauses for name, hint in one.unknown(known).items()}

    def _ask(self, number: int, round: int, pinned: Mapping[str, Scalar]) -> Proposal:
        def refusal(params: Mapping[str, Scalar]) -> str:
            return self._broken(params) or self._repeated(number, params)

        known = (self._tried.version, self.space)
        if not pinned and self._end is not None and self._end[0] == known:
            return self._end[1]
        released = self._tried.released
        ask = Ask(number=number, round=round, seed=self._seed, pinned=pinned, refusal=refusal, released=released)
        proposal = self._sampler.propose(ask, self._study)
        while ask.attempt + 1 < self._sampler.tries and not proposal.end and refusal(proposal.params):
            if self._repeated(number, proposal.params) and self._is_exhausted(ask):
                break
            ask = replace(ask, refused=(*ask.refused, proposal.params))
            proposal = self._sampler.propose(ask, self._study)
        if not proposal.end and refusal(proposal.params):
            self._study.withdraw(number)
            proposal = self._searched(ask, proposal)
        if proposal.end and not pinned:
            self._study.withdraw(number)
            self._end = known, proposal
        return proposal

    def _broken(self, params: Mapping[str, Scalar]) -> str:
        return self._constraints.refusal(self.space.named(params)) if self._constraints.clauses else ""

    def _repeated(self, number: int, params: Mapping[str, Scalar]) -> str:
        """Return which trial these parameters repeat; empty if none.

        A starting point gives way to what certainly is the same alone: it may have more values than are known yet, and
        a trial that still builds may come to others.
        """
        if self._duplicates or (self._study.is_ahead(number) and not self._tried.has_seen_models):
            return ""
        holder = self._tried.holder(params, besides=number, surely=self._study.is_given(number))
        return "" if holder is None else f"trial {holder} has tried the same"

    def _searched(self, ask: Ask, refused: Proposal) -> Proposal:
        """Return a proposal that is not refused; where there is none, say so."""
        random = Random(derived_seed(ask.seed, ask.number, ask.round, "where"))
        found, listed = None, self._listed(ask, FEW_CONFIGURATIONS)
        if listed is None:
            found = self._mended(ask, refused.params, random) or self._drawn(ask, random)
            listed = None if found else self._listed(ask, MANY_CONFIGURATIONS)
            found = found or (self._approached(ask, random) if listed is None else None)
        if listed is not None and listed.left:
            found = random.choice(listed.left)
        if found is not None:
            return Proposal(params=found)
        if listed is not None and listed.allowed:
            return replace(refused, end=all_tried(listed.allowed, limited=bool(self._constraints.clauses)))
        return replace(refused, refusal=self._broken(refused.params))

    def _mended(self, ask: Ask, params: Mapping[str, Scalar], random: Random) -> dict[str, Scalar] | None:
        """Return the parameters with only what broken clauses mention drawn anew."""
        if not self._learns or not self._broken(params):
            return None
        found = self._constraints.mend(self.space, params, ask.pinned, random, MENDING_TRIES)
        return None if found is None or ask.refusal(found) else found

    def _drawn(self, ask: Ask, random: Random) -> dict[str, Scalar] | None:
        """Return random parameters that are not refused."""
        for _ in range(RANDOM_TRIES):
            params = configuration(self.space, random, dict(ask.pinned))
            if not ask.refusal(params):
                return params
        return None

    def _approached(self, ask: Ask, random: Random) -> dict[str, Scalar] | None:
        """Return parameters that are not refused, found step by step where random ones all are."""
        found = (
            self._constraints.approach(self.space, ask.pinned, random, RANDOM_TRIES)
            if self._constraints.clauses
            else None
        )
        return None if found is None or ask.refusal(found) else found

    def _is_exhausted(self, ask: Ask) -> bool:
        listed = self._listed(ask, FEW_CONFIGURATIONS)
        return listed is not None and not listed.left

    def _listed(self, ask: Ask, limit: int) -> Listed | None:
        """Return the configurations that agree with what is pinned; None where they are more than `limit`."""
        found = configurations(self.space, limit, ask.pinned)
        if found is None:
            return None
        allowed = [one for one in found if not self._broken(one)]
        return Listed(allowed=len(allowed), left=[one for one in allowed if not self._repeated(ask.number, one)])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """How many configurations the constraints allow, and those of them that are left to try."""

    allowed: int
    left: list[dict[str, Scalar]]


def all_tried(count: int, *, limited: bool) -> str:
    """Return why a sweep ends that has nothing left to try."""
    which = " that `where` allows" if limited else ""
    return (
        f"all {count:,} configurations{which} have been tried"
        if count > 1
        else f"the one configuration{which} has been tried"
    )
