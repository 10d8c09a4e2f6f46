"""Tests of `kerasweep.search.sampler`: the contract for each kind, and what holds for one of them only."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasweep.search.objective import Direction, Objective
from kerasweep.search.sampler import SAMPLERS, OptunaSampler, derived_seed
from kerasweep.spaces.constraints import Constraints
from kerasweep.spaces.known import Declared, Known
from kerasweep.spaces.parameter import Number, identity
from kerasweep.spaces.space import Space
from kerasweep.spaces.trial import OutcomeKind

from ..contracts.samplers import FOUND, LiveSweep, SamplerContract, check_values
from ..strategies import declared_spaces


class TestRandom(SamplerContract):
    """Random search."""

    kind = "random"

    def differs_with_history(self) -> bool:
        """Random search does not learn."""
        return False

    @pytest.mark.parametrize("where", [[], ["units <= 320", "rate < 1e-2"]], ids=["all", "where"])
    def test_it_is_uniform_over_what_is_allowed(self, where: list[str]) -> None:
        """By the tests of Kolmogorov and Smirnov and of chi-squared, through Optuna and the codec."""
        from scipy import stats

        sampler = self.constrained(*where)
        named = [sampler.space.named(sampler.propose(number).params) for number in range(200)]
        top = 1e-2 if where else 1e-1
        rates = [math.log(float(one["rate"][0]) / 1e-5) / math.log(top / 1e-5) for one in named]
        assert stats.kstest(rates, "uniform").pvalue > 1e-3
        late = [1 - math.log((0.8 - float(one["late"][0])) / 0.1) / math.log(7) for one in named]
        assert stats.kstest(late, "uniform").pvalue > 1e-3
        units = Counter(int(one["units"][0]) for one in named)
        values = range(32, 321 if where else 513, 32)
        assert set(units) <= set(values)
        assert stats.chisquare([units[value] for value in values]).pvalue > 1e-3
        momenta = [float(one["momentum"][0]) / 0.9 for one in named if "momentum" in one]
        assert stats.kstest(momenta, "uniform").pvalue > 1e-3


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

    @pytest.mark.parametrize("said", [True, False], ids=["says what it used", "dies in the build"])
    @pytest.mark.parametrize("share", [0.5, 0.9], ids=["half fails", "most fails"])
    def test_a_region_that_keeps_failing_is_left(self, share: float, said: bool) -> None:
        """Whether or not a trial lived to say what it used; also where the region is most of the space."""
        x, y = (Number(name=name, min=0.0, max=1.0, integer=False) for name in "xy")
        live = LiveSweep(self.make([x, y], seed=5))
        failing: list[bool] = []
        for number in range(80):
            proposal = live.ask(number)
            values = {key: float(value) for key, value in proposal.params.items()}
            fails = values[identity(x)] < share
            failing.append(fails)
            if said or not fails:
                live.use(number, proposal)
            kind = OutcomeKind.FAILED if fails else OutcomeKind.COMPLETED
            live.end(number, kind, None if fails else values[identity(y)])
        assert sum(failing[:10]) >= 10 * share - 3
        assert sum(failing[40:]) <= (8 if share == 0.5 else 28)  # of 40; at random, 20 and 36 would

    def test_a_resumed_sampler_keeps_away_from_what_runs_as_the_live_one_did(self) -> None:
        """With trials on several slots the next proposals are the live run's; without those trials they would not be."""
        live = self.sweep([OutcomeKind.COMPLETED] * 14)
        for number in range(14, 18):
            live.ask(number)
        live.round(18, live.ask(18).params, FOUND[:1])
        resumed, forgetful = self.make(), self.make()
        for entry in live.entries:
            resumed.apply(entry)
            if entry.trial is None or entry.trial < 14:
                forgetful.apply(entry)
        ours, theirs, without = (
            [one.propose(number).params for number in range(20, 26)] for one in (live.sampler, resumed, forgetful)
        )
        assert theirs == ours
        assert without != ours

    def test_it_goes_where_the_values_are_within_the_constraints(self) -> None:
        """Where the best is forbidden, it proposes what is nearest to it, not just anything that is allowed."""
        x = Number(name="x", min=0.0, max=1.0, integer=False)
        live = LiveSweep(self.constrained("x < 0.6", parameters=[x], seed=3))
        for number in range(40):
            used = live.use(number, live.ask(number))
            live.end(number, OutcomeKind.COMPLETED, -abs(float(used["x"]) - 0.8))
        proposals = [float(next(iter(live.sampler.propose(number).params.values()))) for number in range(40, 60)]
        assert all(one < 0.6 for one in proposals)
        assert sum(one > 0.4 for one in proposals) >= 12  # of 20; at random, 7 would be


@settings(max_examples=10)
@given(declared_spaces(), st.sampled_from(SAMPLERS), st.integers(0, 2**32 - 1))
def test_any_declared_space_is_proposed_from_within_its_clauses(declared: Space, kind: str, seed: int) -> None:
    """Groups, branches and conditions to some depth: in bounds, on the grid, what is active, clauses kept."""
    known, constraints = Known.of(declared.declared), Constraints.of(declared.where)
    objective = Objective(metric="acc", direction=Direction.MAX)
    sampler = OptunaSampler(sampler=kind, seed=seed, objective=objective, space=known, constraints=constraints)
    for number in range(3):
        proposal = sampler.propose(number)
        named = known.named(proposal.params)
        assert (proposal.refusal, constraints.broken(named)) == ("", None)
        check_values(known, proposal.params)
        by_name = {name: one for name, (one,) in named.items()}
        assert set(by_name) == {one.name for one in known.parameters.values() if one.active(by_name)}


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
