"""Tests of `kerasweep.search.sampler`: the contract for each kind, and what holds for one of them only."""

from __future__ import annotations

import itertools

from kerasweep.search.objective import Direction, Objective
from kerasweep.search.sampler import SAMPLERS, OptunaSampler, derived_seed
from kerasweep.spaces.known import Declared, Known
from kerasweep.spaces.parameter import Number
from kerasweep.spaces.trial import OutcomeKind

from ..contracts.samplers import LiveSweep, SamplerContract


class TestRandom(SamplerContract):
    """Random search."""

    kind = "random"

    def differs_with_history(self) -> bool:
        """Random search does not learn."""
        return False


class TestTpe(SamplerContract):
    """Tree-structured Parzen estimators."""

    kind = "tpe"

    def differs_with_history(self) -> bool:
        """TPE learns."""
        return True

    def test_it_goes_where_the_values_are(self) -> None:
        """After 40 trials with the best values near 0.8, it proposes there, for either direction."""
        for direction in Direction:
            x = Number(name="x", min=0.0, max=1.0, integer=False)
            sampler = OptunaSampler(
                sampler="tpe",
                seed=3,
                objective=Objective(metric="acc", direction=direction),
                space=Known.of([Declared(parameter=x)]),
            )
            live = LiveSweep(sampler)
            for number in range(40):
                used = live.use(number, live.ask(number))
                distance = abs(float(used["x"]) - 0.8)
                live.end(number, OutcomeKind.COMPLETED, distance if direction is Direction.MIN else -distance)
            proposals = [float(next(iter(sampler.propose(number).params.values()))) for number in range(40, 60)]
            assert sum(0.6 < one < 1.0 for one in proposals) >= 15


def test_each_kind_has_its_contract() -> None:
    """What the sweep file may name is tested here."""
    assert {TestRandom.kind, TestTpe.kind} == set(SAMPLERS)


def test_seeds_are_a_function_of_their_parts() -> None:
    """The same on every machine and in every process, and no two alike."""
    assert derived_seed(1, 2, 0) == 3535811444
    seeds = [derived_seed(*parts) for parts in itertools.product(range(10), repeat=3)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert derived_seed(1, 2) != derived_seed(12) != derived_seed("1", 2)
