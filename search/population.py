"""Population-based training: members train by turns, a few epochs at a time; the worst go on as copies of the best.

Jaderberg et al., "Population Based Training of Neural Networks" (arXiv:1711.09846, 2017), with the truncation
selection of their section 4.1.1: a member in the worst quantile takes over weights, optimizer state and parameters of
a random one in the best quantile (exploit), its parameters perturbed (explore). Each turn is a trial of its own. It
begins where its donor has ended: another member, or the member itself where it goes on. A decision waits for nobody:
a member that is due is compared with what every other one had at the end of its last turn.

Everything here is a function of the journal: random choices follow from the sweep's seed and the trial's number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import final

from ..spaces.known import Known
from ..spaces.parameter import Fixed, Interval, Parameter, Steps
from ..spaces.pareto import Point, covers, ordered
from ..spaces.prior import draw
from ..spaces.trial import Scalar
from ..trackers.events import Donor

FACTORS = (0.8, 1.2)
"""A number is multiplied by one of these, as in section 4.2.1 of the paper and in Ray Tune."""
TRIES = 100
"""So many perturbations are tried before one that breaks a constraint is given up."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Pbt:
    """A population of so many members, turns of `interval` epochs; `mutate` names what is perturbed.

    `quantile` of the members count as the worst, and as many as the best; a parameter is drawn anew with the
    probability `resample`, else perturbed.
    """

    population: int
    interval: int
    mutate: tuple[str, ...]
    quantile: float = 0.25
    resample: float = 0.25


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the core goes by: the population, the epochs that a member trains in all, the sweep's seed."""

    pbt: Pbt
    epochs: int
    seed: int

    def until(self, epoch: int) -> int:
        """Return the epoch at which a turn ends that begins after `epoch`."""
        return min(epoch + self.pbt.interval, self.epochs)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A trial that has done its turn and left a checkpoint; `point` is where it stood at its last epoch with values."""

    trial: int
    epoch: int
    point: Point
    seed: int
    params: Mapping[str, Scalar]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A place in the population: the turn that it stands at, and the trial that goes on from there, if one is live.

    `explores`: that trial, or the next one where none is live, has perturbed parameters.
    """

    turn: Turn | None = None
    live: int | None = None
    explores: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The members, by the number of the trial that founded each."""

    members: Mapping[int, Member] = field(default_factory=dict[int, Member])

    def ask(self, number: int, donor: Donor | None) -> Population:
        """Return it with a trial that was asked for: a founder, or one that goes on from a donor."""
        if donor is None:
            return self._with(number, Member(live=number))
        return self._with(donor.member, Member(turn=self.turn_at(donor), live=number, explores=donor.explores))

    def end(self, number: int, turn: Turn | None, *, failed: bool) -> Population:
        """Return it with a trial that has ended; without a `turn`: it left nothing to go on from.

        A founder that left nothing gives up its place. Another member stays where it was, and if the trial `failed`
        it goes on otherwise.
        """
        found = next(((key, one) for key, one in self.members.items() if one.live == number), None)
        if found is None:
            return self
        key, member = found
        if turn is not None:
            return self._with(key, Member(turn=turn))
        if member.turn is None:
            return Population(members={other: one for other, one in self.members.items() if other != key})
        return self._with(key, replace(member, live=None, explores=member.explores or failed))

    def founders_wanted(self, plan: Plan) -> bool:
        """Say whether the population is not complete yet."""
        return len(self.members) < plan.pbt.population

    def next(self, plan: Plan, number: int) -> Donor | None:
        """Return where trial `number` goes on for the member that is furthest behind; None where none is free."""
        free = [
            (one.turn.epoch, one.turn.trial, key)
            for key, one in self.members.items()
            if one.live is None and one.turn is not None and one.turn.epoch < plan.epochs
        ]
        if not free:
            return None
        key = min(free)[-1]
        own = self.members[key].turn
        assert own is not None  # noqa: S101
        turn = self._exploited(key, own, plan, Random(f"{plan.seed}/{number}/exploit"))
        explores = self.members[key].explores or turn is not own
        return Donor(trial=turn.trial, epoch=turn.epoch, member=key, explores=explores)

    def donors(self, plan: Plan | None) -> set[int]:
        """Return the trials whose checkpoints a trial goes on from, or may."""
        if plan is None:
            return set()
        turns = (one.turn for one in self.members.values() if one.turn is not None)
        return {turn.trial for turn in turns if turn.epoch < plan.epochs}

    def _with(self, key: int, member: Member) -> Population:
        return Population(members={**self.members, key: member})

    def turn_at(self, donor: Donor) -> Turn:
        """Return the turn that a trial goes on from."""
        turns = (one.turn for one in self.members.values() if one.turn is not None)
        return next(turn for turn in turns if (turn.trial, turn.epoch) == (donor.trial, donor.epoch))

    def _exploited(self, key: int, own: Turn, plan: Plan, random: Random) -> Turn:
        """Return the turn to go on from: a good member's if this is one of the worst, else its own.

        Of several objectives by non-dominated rank; what the worst is at least as good as in every respect is not good.
        """
        turns = [(one.turn, other) for other, one in self.members.items() if one.turn is not None]
        turns.sort(key=lambda pair: (pair[0].trial, pair[1]))
        ranked = [turns[place] for place in ordered([turn.point for turn, _ in turns])]
        few = min(math.ceil(len(ranked) * plan.pbt.quantile), len(ranked) // 2)
        worst = {other for _, other in ranked[len(ranked) - few :]}
        best = [turn for turn, _ in ranked[:few] if turn.epoch < plan.epochs and not covers(own.point, turn.point)]
        return random.choice(best) if key in worst and best else own


# Explore ------------------------------------------------------------------------------------------------------------------


def heir_params(
    turn: Turn, known: Known, plan: Plan, number: int, refusal: Callable[[Mapping[str, Sequence[Scalar]]], str]
) -> Mapping[str, Scalar]:
    """Return the perturbed parameters of trial `number`, by identity; the donor's own where all tried ones are refused.

    Args:
        turn: The donor.
        known: The parameters that are known.
        plan: The population's.
        number: The trial that is asked for.
        refusal: Says of values by name why no trial must have them; empty if one may.
    """
    parents = {one.parent for parameter in known.parameters.values() for one in parameter.conditions}
    names = set(plan.pbt.mutate) - parents
    for attempt in range(TRIES):
        random = Random(f"{plan.seed}/{number}/explore/{attempt}")
        params = perturbed(turn.params, known.parameters, names, plan.pbt.resample, random)
        if not refusal(known.named(params)):
            return params
    return turn.params


def perturbed(
    params: Mapping[str, Scalar],
    parameters: Mapping[str, Parameter],
    names: Collection[str],
    resample: float,
    random: Random,
) -> dict[str, Scalar]:
    """Return parameters by identity with those of these names changed, each drawn anew with probability `resample`."""
    changed = dict(params)
    for key, value in params.items():
        parameter = parameters.get(key)
        if parameter is not None and parameter.name in names and not isinstance(parameter, Fixed):
            anew = random.random() < resample
            changed[key] = draw(parameter, random) if anew else _moved(parameter, value, random)
    return changed


def _moved(parameter: Parameter, value: Scalar, random: Random) -> Scalar:
    """Return a value nearby: a number times a factor, within its range; its neighbour where values are in an order.

    From 0, where no factor leads anywhere, a float moves by the same share of its range.
    """
    domain = parameter.domain
    if isinstance(domain, Interval) and not isinstance(value, str):
        factor = random.choice(FACTORS)
        moved = value * factor if value or domain.integer else (factor - 1) * (domain.high - domain.low)
        moved = min(max(moved, domain.low), domain.high)
        if not domain.integer:
            return float(moved)
        whole = round(moved)
        if whole == value:
            whole += 1 if factor > 1 else -1
        return int(min(max(whole, domain.low), domain.high))
    if isinstance(domain, Steps) and value in domain.values:
        at = domain.values.index(value) + random.choice((-1, 1))
        return domain.values[min(max(at, 0), len(domain.values) - 1)]
    return draw(parameter, random)
