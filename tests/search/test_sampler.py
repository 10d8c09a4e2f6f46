"""Tests of `kerasweep.search.sampler`: the contract for each kind, and what holds for one of them only."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasweep.search.grid import EXHAUSTED, is_finite
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.sampler import OptunaSampler, derived_seed
from kerasweep.search.sampler_choice import NAMES
from kerasweep.spaces.constraints import Constraints
from kerasweep.spaces.known import Declared, Known
from kerasweep.spaces.parameter import Number, Sampling, identity
from kerasweep.spaces.space import Space
from kerasweep.spaces.trial import Json, OutcomeKind, Scalar
from kerasweep.trackers.events import TrialAsked

from ..contracts.samplers import BRANCHES, DECLARED, FOUND, STEPS, LiveSweep, SamplerContract, check_values
from ..strategies import declared_spaces, spaces


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


class TestSobol(SamplerContract):
    """Quasi-random points."""

    kind = "qmc"

    def differs_with_history(self) -> bool:
        """A sequence does not learn."""
        return False

    def test_its_points_are_even_in_each_dimension_and_in_pairs(self) -> None:
        """Of 16 points, each sixteenth of a range has one, and each cell of four by four, whatever the shift."""
        ranges = [Number(name=name, min=0.0, max=1.0, integer=False) for name in "xy"]
        for seed in range(3):
            sampler = self.make(ranges, seed=seed)
            points = [[float(value) for value in sampler.propose(number).params.values()] for number in range(16)]
            for axis in (0, 1):
                assert sorted(int(16 * one[axis]) for one in points) == list(range(16))
            assert len({(int(4 * x), int(4 * y)) for x, y in points}) == 16

    def test_what_is_found_late_changes_no_other_dimension(self) -> None:
        """The points go on where they were."""
        early, late = (Number(name=name, min=0.0, max=1.0, integer=False) for name in ("early", "late"))
        alone, both = self.make([early]), self.make([early])
        both.learn([late])
        for number in range(5):
            assert both.propose(number).params[identity(early)] == alone.propose(number).params[identity(early)]

    def test_values_follow_the_scale_and_choices_are_even(self) -> None:
        """Even in the logarithm; each choice, each integer as often as another."""
        sampler = self.make()
        named = [sampler.space.named(sampler.propose(number).params) for number in range(64)]
        decades = Counter(math.floor(math.log10(float(one["rate"][0]))) for one in named)
        assert decades == {-5: 16, -4: 16, -3: 16, -2: 16}
        assert Counter(one["optimizer"][0] for one in named) == {"adam": 32, "sgd": 32}
        assert set(Counter(one["units"][0] for one in named).values()) == {4}


class TestNsga2(SamplerContract):
    """A genetic algorithm, with generations of four."""

    kind = "nsga2"
    arguments: ClassVar[Mapping[str, Json]] = {"population_size": 4}

    def differs_with_history(self) -> bool:
        """It breeds from what was good."""
        return True

    def test_generations_go_on_in_a_resumed_sweep(self) -> None:
        """The generation that a trial is of stands in the journal; stopped and failed trials are of it too."""
        live = LiveSweep(self.make())
        kinds = [OutcomeKind.COMPLETED, OutcomeKind.STOPPED, OutcomeKind.STOPPED, OutcomeKind.FAILED]
        for number in range(12):
            live.use(number, live.ask(number))
            live.report(number, [number / 20])
            failed = kinds[number % 4] is OutcomeKind.FAILED
            live.end(number, kinds[number % 4], None if failed else number / 20)
        asked = [one.event for one in live.entries if isinstance(one.event, TrialAsked)]
        assert [one.attrs["NSGAIISampler:generation"] for one in asked] == [0] * 4 + [1] * 4 + [2] * 4


class TestByName(SamplerContract):
    """A sampler as `module:Class`, with an argument."""

    kind = "optuna.samplers:TPESampler"
    arguments: ClassVar[Mapping[str, Json]] = {"n_startup_trials": 5}

    def differs_with_history(self) -> bool:
        """It is Optuna's TPE."""
        return True


class TestGrid(SamplerContract):
    """All configurations, in order."""

    kind = "grid"
    declared = (
        Number(name="rate", min=1e-5, max=1e-1, step=10, integer=False, sampling=Sampling.LOG),
        Number(name="late", min=0.1, max=0.7, step=2, integer=False, sampling=Sampling.REVERSE_LOG),
        *DECLARED[2:4],
        Number(name="momentum", min=0.0, max=0.9, step=0.3, integer=False, conditions=DECLARED[4].conditions),
        *DECLARED[5:],
    )

    def differs_with_history(self) -> bool:
        """What has been tried is passed over."""
        return True

    @settings(max_examples=8)
    @given(spaces(), st.integers(0, 2**32 - 1))
    def test_proposals_are_values_of_the_space(self, space: Known, seed: int) -> None:
        """Or it says which parameter it cannot enumerate."""
        proposal = self.on(space, seed=seed).propose(0)
        endless = [one.name for one in space.parameters.values() if not is_finite(one)]
        if endless:
            assert f"a grid cannot enumerate {endless[0]!r}, a continuous range" in proposal.end
            assert proposal.exit_code == 2
        else:
            check_values(space, proposal.params)

    def test_the_same_question_has_the_same_answer(self) -> None:
        """The first that has not been tried, whatever the seed and the number."""
        live = self.sweep([OutcomeKind.COMPLETED] * 5)
        assert live.sampler.propose(5) == live.sampler.propose(9)
        assert self.make(seed=2).propose(0) == self.make(seed=1).propose(0)

    def test_its_order_is_that_of_the_parameters(self) -> None:
        """The last one's values change first, each from its first to its last; a branch not taken multiplies nothing."""
        live = LiveSweep(self.make([*BRANCHES[:2], STEPS]))
        found: list[list[Scalar]] = []
        for number in range(12):
            proposal = live.ask(number)
            found.append(list(proposal.params.values()))
        assert found == [
            *(["x", n, rate] for n in (1, 2, 3) for rate in (0.01, 0.1, 1.0)),
            *(["y", rate] for rate in (0.01, 0.1, 1.0)),
        ]
        assert live.sampler.propose(12).end == EXHAUSTED

    def test_it_goes_on_with_what_a_model_turns_out_to_read(self) -> None:
        """Parameters that only `build` brings to light are enumerated from then on; nothing is tried twice or left out."""
        live = LiveSweep(self.make([]))
        tried: list[dict[str, Scalar]] = []
        for number in range(7):
            first = live.ask(number)
            if first.end:
                break
            more = first if number else live.round(0, first.params, [BRANCHES[0]])
            if live.sampler.space.named(more.params)["a"] == ("x",) and number == 0:
                more = live.round(0, more.params, [STEPS], round=1)
            branch = live.sampler.space.named(more.params)["a"] == ("x",)
            tried.append(live.use(number, more, without=[] if branch else ["rate"]))
            live.report(number, [0.5])
            live.end(number, OutcomeKind.COMPLETED, 0.5)
        expected = [{"a": "x", "rate": 0.01}, {"a": "x", "rate": 0.1}, {"a": "x", "rate": 1.0}, {"a": "y"}]
        assert tried == expected

    def test_a_continuous_parameter_that_is_found_late_ends_it(self) -> None:
        """The trial that has met it is not trained; the sweep says what to do."""
        live = LiveSweep(self.make(BRANCHES))
        more = live.round(0, live.ask(0).params, [Number(name="drop", min=0.0, max=0.5, integer=False)])
        assert more.refusal.startswith("a grid cannot enumerate 'drop', a continuous range; give it a `step`")
        live.end(0, OutcomeKind.INFEASIBLE)
        assert (live.sampler.propose(1).exit_code, live.sampler.propose(1).end) == (2, more.refusal)

    def test_a_space_without_parameters_is_one_trial(self) -> None:
        """It ends once that has shown that there are none."""
        live = LiveSweep(self.make([DECLARED[6]]))
        live.use(0, live.ask(0))
        live.end(0, OutcomeKind.COMPLETED, 0.5)
        assert live.sampler.propose(1).end == f"{EXHAUSTED}: nothing is searched"


@settings(max_examples=10)
@given(declared_spaces(), st.sampled_from(["tpe", "random", "qmc", "nsga2", "gp"]), st.integers(0, 2**32 - 1))
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
    kinds = {one.kind for one in (TestRandom, TestTpe, TestSobol, TestNsga2, TestGrid)}
    assert kinds == set(NAMES) - {"auto", "cmaes", "gp"}  # the last two have modules of their own


def test_seeds_are_a_function_of_their_parts() -> None:
    """The same on every machine and in every process, and no two alike."""
    assert derived_seed(1, 2, 0) == 3535811444
    seeds = [derived_seed(*parts) for parts in itertools.product(range(10), repeat=3)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert derived_seed(1, 2) != derived_seed(12) != derived_seed("1", 2)
