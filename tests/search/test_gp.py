"""The contract for `gp`, and what it proposes where the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kerasweep.search.cube import Cube
from kerasweep.search.gaussian_process import GaussianProcess
from kerasweep.search.gp import BENDS, BEST, OTHERS, STARTUP, likeliest, ordered, picked, standardized, weighed
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.sampler import OptunaSampler
from kerasweep.search.study import Study
from kerasweep.spaces.parameter import Choice, Condition, Fixed, Number, Sampling, identity
from kerasweep.spaces.trial import Outcome, OutcomeKind
from kerasweep.trackers.events import StartingPoints, TrialAsked, TrialEnded

from ..contracts.samplers import ACCURACY, DECLARED, LiveSweep, SamplerContract, space_of

RATE = Number(name="rate", min=1e-5, max=1e-1, integer=False, sampling=Sampling.LOG)
UNITS = Number(name="units", min=1, max=80, integer=True)


class TestGp(SamplerContract):
    """A Gaussian process."""

    kind = "gp"

    def differs_with_history(self) -> bool:
        """It models the values."""
        return True

    def test_running_trials_may_stand_close_together(self) -> None:
        """As many as there are slots, on few values."""
        live = LiveSweep(self.constrained(parameters=[RATE, UNITS], duplicates=True))
        for number in range(12):
            used = live.use(number, live.ask(number))
            live.end(number, OutcomeKind.COMPLETED, -abs(float(used["units"]) - 40))
        asked = [live.ask(number) for number in range(12, 20)]
        for number in range(20, 28):
            live.journal(TrialAsked(trial=number, seed=number, params=asked[0].params, history_seq=0))
        assert live.sampler.propose(28).params

    def test_constraints_are_modelled_beside_what_has_none(self) -> None:
        """Failures, and what an earlier sweep has found, say nothing of constraints."""
        sampler = OptunaSampler(sampler="gp", seed=3, objective=ACCURACY, space=space_of([RATE]), bounds=["params < 5"])
        live = LiveSweep(sampler)
        prior = tuple({"values": {"rate": 10**-one}, "of": "earlier", "worse": 0.1 * one} for one in range(2, 5))
        live.journal(StartingPoints(points=(), prior=prior))
        for number in range(16):
            used = live.use(number, live.ask(number))
            if number % 5 == 4:
                live.end(number, OutcomeKind.FAILED)
                continue
            broken = (max(0.0, float(used["rate"]) - 1e-3),)
            outcome = Outcome(kind=OutcomeKind.COMPLETED, value=float(used["rate"]), epoch=1, violations=broken)
            live.journal(TrialEnded(trial=number, attempt=1, outcome=outcome))
        assert live.sampler.propose(16).params


OPTIMIZER = Choice(name="optimizer", values=("adam", "sgd", "rmsprop"))
MOMENTUM = Number(
    name="momentum", min=0.0, max=1.0, integer=False, conditions=(Condition(parent="optimizer", values=("sgd",)),)
)


def accuracy(values: dict[str, float | str]) -> float:
    """Return what is best for sgd at a rate of 1e-2, 20 units and a momentum of 0.7: 0 there, and less elsewhere."""
    far = (math.log10(float(values["rate"])) + 2) ** 2 + ((float(values["units"]) - 20) / 20) ** 2
    return -far - ((float(values["momentum"]) - 0.7) ** 2 if values["optimizer"] == "sgd" else 0.5)


@pytest.mark.parametrize("seed", range(5))
def test_an_optimum_within_a_branch_is_found(seed: int) -> None:
    """In forty trials, to a thirtieth of what a random configuration lacks (3 at the median)."""
    sampler = OptunaSampler(
        sampler="gp", seed=seed, objective=ACCURACY, space=space_of([RATE, UNITS, OPTIMIZER, MOMENTUM])
    )
    live = LiveSweep(sampler)
    found: list[float] = []
    for number in range(40):
        used = live.use(number, live.ask(number))
        found.append(accuracy({**used}))
        live.end(number, OutcomeKind.COMPLETED, found[-1])
    assert max(found) > -0.1


def test_where_there_are_branches_every_third_trial_is_that_of_tpe() -> None:
    """From the trials so far, as `tpe` would propose it; without branches none is."""
    for parameters, turns in (
        ([RATE, OPTIMIZER, MOMENTUM], True),
        ([RATE, UNITS, OPTIMIZER, Fixed(name="seed", value=3)], False),
    ):
        kinds = ("gp", "tpe")
        asked = {
            kind: OptunaSampler(sampler=kind, seed=3, objective=ACCURACY, space=space_of(parameters)) for kind in kinds
        }
        live = LiveSweep(asked["gp"])
        for number in range(24):
            before = len(live.entries)
            proposal = live.ask(number)
            if number >= STARTUP:
                same = asked["tpe"].propose(number).params == proposal.params
                assert same == (turns and number % 3 == 2)
            live.use(number, proposal)
            live.end(number, OutcomeKind.COMPLETED, -abs(math.log10(float(proposal.params[identity(RATE)])) + 2))
            for entry in live.entries[before:]:
                asked["tpe"].apply(entry)


def test_the_first_trials_cover_the_space() -> None:
    """Of eight, one in each eighth of the range, as the sequence of `qmc` has it."""
    live = LiveSweep(OptunaSampler(sampler="gp", seed=1, objective=ACCURACY, space=space_of([UNITS, RATE])))
    rates = [math.log10(float(live.ask(number).params[identity(RATE)])) for number in range(STARTUP)]
    assert sorted(math.floor((rate + 5) / 4 * STARTUP) for rate in rates) == list(range(STARTUP))


def test_several_objectives_are_weighed_anew_for_each_trial() -> None:
    """So that proposals spread along the front."""
    further = Objective(metric="seconds", direction=Direction.MIN)
    sampler = OptunaSampler(sampler="gp", seed=1, objective=ACCURACY, further=[further], space=space_of([RATE]))
    live = LiveSweep(sampler)
    logs: list[float] = []
    for number in range(40):
        used = live.use(number, live.ask(number))
        logs.append(math.log10(float(used["rate"])))
        values = (-abs(logs[-1] + 4), abs(logs[-1] + 2))  # between 1e-4 and 1e-2 each is better in one
        outcome = Outcome(kind=OutcomeKind.COMPLETED, value=values[0], values=values, epoch=1)
        live.journal(TrialEnded(trial=number, attempt=1, outcome=outcome))
    modelled = logs[STARTUP:]
    inside = [one for one in modelled if -4.2 < one < -1.8]
    assert len(inside) > 0.8 * len(modelled)
    assert min(inside) < -3.5
    assert max(inside) > -2.5


def test_losses_without_a_value_are_worse_than_all_others_in_their_order() -> None:
    """The history's: stopped ones, the further the better, and failed ones."""
    found = ordered(np.array([1.0, 2.0, 9.0, np.nan, np.nan]))
    assert list(found[:3]) == [1.0, 2.0, 9.0]
    assert 9.0 < found[3] < found[4] == 16.0
    assert list(ordered(np.array([3.0, np.nan]))) == [3.0, 6.0]
    assert list(ordered(np.array([0.0, np.nan]))) == [0.0, 1.0]


def test_what_is_near_the_best_is_told_apart_by_the_logarithm() -> None:
    """Nearly as far as what is a hundred times worse; without a bend losses stay as they are."""
    losses = np.array([0.0, 1.0, 10.0, 100.0, 1000.0, 10_000.0])
    bent, straight = (standardized(losses, bend) for bend in (1e-9, 1e6))
    assert bent is not None
    assert straight is not None
    assert (bent[0].mean(), bent[0].std()) == (pytest.approx(0), pytest.approx(1))
    steps = np.diff(bent[0])
    assert (steps > 0).all()
    assert steps[-1] < 2 * steps[-2] < 10 * steps[-3]
    assert straight[0] == pytest.approx((losses - losses.mean()) / losses.std(), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("bend", BENDS)
def test_what_units_add_to_a_density_is_their_slope(bend: float) -> None:
    """Its logarithm, summed; by finite differences, with mean and deviation as they are."""
    losses = np.random.default_rng(0).lognormal(0, 2, 30)
    found = standardized(losses, bend)
    assert found is not None
    step = 1e-6 * losses
    excess = losses - losses.min()
    near = max(bend * np.quantile(excess, 0.9), np.quantile(excess, 0.1))
    up, down = (np.log1p((excess + sign * step) / near) for sign in (1, -1))
    slopes = (up - down) / (2 * step) / np.log1p(excess / near).std()
    assert found[1] == pytest.approx(np.log(slopes).sum(), rel=1e-6)


def test_the_units_are_those_that_make_losses_likelier() -> None:
    """The logarithm where losses go over orders of magnitude, none where noise is added to what is smooth."""
    random = np.random.default_rng(0)
    points, numbers = random.random((60, 2)), np.array([False, False])
    smooth = (points**2).sum(axis=1)
    there = np.array([[0.2, 0.2]])
    for losses, bend in ((np.exp(8 * smooth), BENDS[0]), (smooth + random.normal(0, 0.2, 60), BENDS[1])):
        form = standardized(losses, bend)
        assert form is not None
        expected = GaussianProcess(points, form[0], numbers).predict(there)[0]
        assert likeliest(points, losses, numbers).predict(there)[0] == pytest.approx(expected)


@pytest.mark.parametrize("losses", [[1.0, 1.0, 1.0], [-1.7e308, 0.0, 1.7e308], [0.0, 5e-324, 1.0], [2.0]])
def test_any_finite_losses_can_be_modelled(losses: list[float]) -> None:
    """Equal ones, and those that are further apart than there are numbers; in their order."""
    points = np.arange(len(losses), dtype=np.float64)[:, None] / 3
    found = likeliest(points, np.array(losses), np.array([False])).predict(points)[0]
    assert np.isfinite(found).all()
    assert len(set(losses)) < 3 or found[0] < found[2]


def test_a_model_has_the_best_and_an_even_pick_of_the_others() -> None:
    """At most so many, whatever the history holds."""
    losses = np.random.default_rng(0).random(10_000)
    places = picked(losses)
    assert len(places) == len(set(places)) == BEST + OTHERS
    assert list(places[:BEST]) == list(np.argsort(losses)[:BEST])
    assert losses[places[BEST:]].mean() == pytest.approx(0.5, abs=0.02)
    assert sorted(picked(losses[:100])) == list(range(100))


def test_weights_of_several_objectives_leave_their_order() -> None:
    """What is better in both is better under any; what has no value has none."""
    losses = np.array([[1.0, 5.0], [2.0, 6.0], [np.nan, np.nan], [9.0, 5.5]])
    random = np.random.default_rng(0)
    for _ in range(20):
        found = weighed(losses, random)
        assert found[0] < found[1]
        assert np.isnan(found[2])
    assert list(weighed(losses[:2, :1], random)) == [1.0, 2.0]


def test_losses_without_measure_can_be_weighed() -> None:
    """As far apart as numbers go, in two objectives and in one."""
    losses = np.array([[-1.7e308, 1.0], [1.7e308, 2.0], [0.0, -1.7e308]])
    found = weighed(losses, np.random.default_rng(0))
    assert np.isfinite(found).all()
    assert found[0] < found[1] > found[2]
    assert np.isfinite(ordered(weighed(np.array([[1.7e308], [-1.7e308], [np.nan]]), np.random.default_rng(0)))).all()


def test_points_of_the_cube_are_configurations() -> None:
    """On the grid, pinned values kept, and nothing active that a condition rules out."""
    study = Study(ACCURACY, space_of(DECLARED))
    cube, random = Cube(study), np.random.default_rng(0)
    pinned = {identity(DECLARED[3]): "sgd"}
    for pins in ({}, pinned):
        points = cube.settled(cube.drawn(50, random), pins)
        points = np.vstack([points, cube.settled(cube.varied(points, [0.1], random), pins)])
        for point in points:
            params = cube.params(point, pins)
            named = {study.space.parameters[key].name: value for key, value in params.items()}
            assert ("momentum" in named) == (named["optimizer"] == "sgd")
            assert int(named["units"]) % 32 == 0
            assert not pins or named["optimizer"] == "sgd"
            active = {place for place, key in enumerate(study.space.parameters) if key in params}
            assert active == set(np.flatnonzero(~np.isnan(point)))


def test_a_variation_is_another_configuration() -> None:
    """A number goes to another value of its grid at least."""
    cube, random = Cube(Study(ACCURACY, space_of([UNITS]))), np.random.default_rng(0)
    points = cube.settled(np.full((100, 1), 0.5), {})
    near = cube.settled(cube.varied(points, [1e-9], random), {})
    assert (near != points).all()
