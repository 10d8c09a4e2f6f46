"""Tests of `kerasweep.search.fidelity`: what a sampler that learns from completed trials is shown of the others."""

from __future__ import annotations

import pytest

from kerasweep.search.fidelity import as_completed
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.sampler import OptunaSampler
from kerasweep.spaces.trial import Outcome, OutcomeKind
from kerasweep.trackers.events import StartingPoints, TrialAsked, TrialEnded

from ..contracts.samplers import BRANCHES, DECLARED, LiveSweep, space_of

RATE = DECLARED[0]


def swept(direction: Direction) -> LiveSweep:
    """Return a sweep with completed, stopped, failed and running trials; values are better the later a trial is."""
    objective = Objective(metric="acc", direction=direction)
    live = LiveSweep(OptunaSampler(sampler="random", seed=1, objective=objective, space=space_of([RATE])))
    sign = 1 if direction is Direction.MAX else -1
    for number, (kind, curve) in enumerate(
        [
            (OutcomeKind.COMPLETED, [0.2, 0.3, 0.4]),
            (OutcomeKind.COMPLETED, [0.2, 0.3, 0.5]),
            (OutcomeKind.COMPLETED, [0.2, 0.3, 0.7]),
            (OutcomeKind.STOPPED, [0.9]),
            (OutcomeKind.STOPPED, [0.1, 0.2]),
            (OutcomeKind.STOPPED, [0.1, 0.3]),
            (OutcomeKind.FAILED, []),
        ]
    ):
        live.use(number, live.ask(number))
        live.report(number, [sign * one for one in curve])
        live.end(number, kind, sign * max(curve) if curve else None)
    live.ask(7)
    return live


@pytest.mark.parametrize("direction", Direction)
def test_a_stopped_trial_ranks_by_how_far_it_came(direction: Direction) -> None:
    """A flattering value at epoch 1 counts less than a modest one at epoch 2; below all that completed, above failures."""
    study = swept(direction).sampler.study
    shown = as_completed(study.get_trials(deepcopy=False), study.directions)
    sign = 1 if direction is Direction.MAX else -1
    completed, (running,) = (
        [one for one in shown if one.state.name == "COMPLETE"],
        [one for one in shown if one.state.name == "RUNNING"],
    )
    assert running.params
    values = [sign * one.value for one in completed if one.value is not None]
    assert values[:3] == [0.4, 0.5, 0.7]
    first, behind, ahead, failed = values[3:]
    assert 0.4 > ahead > behind > first > failed
    assert failed == pytest.approx(0.4 - 0.1)  # as far below the worst as that is below the median


def test_what_is_shown_changes_no_history() -> None:
    """The study keeps what was stopped as stopped."""
    study = swept(Direction.MAX).sampler.study
    before = [(one.state, one.values) for one in study.get_trials()]
    as_completed(study.get_trials(deepcopy=False), study.directions)
    assert [(one.state, one.values) for one in study.get_trials()] == before


def test_stopped_trials_alone_rank_among_themselves() -> None:
    """Before any trial has completed there is something to learn."""
    live = LiveSweep(swept(Direction.MAX).sampler)
    study = live.sampler.study
    stopped = [one for one in study.get_trials() if one.state.name == "PRUNED" and one.intermediate_values]
    shown = as_completed(stopped, study.directions)
    assert [one.intermediate_values for one in sorted(shown, key=lambda one: -(one.value or 0.0))] == [
        {1: 0.1, 2: 0.3},
        {1: 0.1, 2: 0.2},
        {1: 0.9},
    ]


def test_a_failure_that_knew_few_parameters_does_not_narrow_the_model() -> None:
    """Samplers model what all completed trials have in common; a build that died before it read anything has nothing."""
    live = LiveSweep(swept(Direction.MAX).sampler)
    live.journal(TrialAsked(trial=8, seed=0, params={}, history_seq=0))
    live.end(8, OutcomeKind.FAILED)
    live.use(9, live.ask(9))
    live.end(9, OutcomeKind.COMPLETED, 0.6)
    study = live.sampler.study
    shown = as_completed(study.get_trials(deepcopy=False), study.directions)
    assert all(set(one.distributions) == {"rate"} for one in shown)
    assert sum(not one.distributions for one in study.get_trials() if one.state.name == "PRUNED") == 1


@pytest.mark.parametrize("completes", [True, False], ids=["completed", "infeasible"])
def test_what_lacks_the_constraints_of_others_is_not_shown(completes: bool) -> None:
    """A model of constraints needs them of all trials; a failure has none, nor has what an earlier sweep has found."""
    objective = Objective.parse("max acc")
    live = LiveSweep(
        OptunaSampler(sampler="random", seed=1, objective=objective, space=space_of([RATE]), bounds=["params < 5"])
    )
    live.journal(StartingPoints(points=(), prior=({"values": {"rate": 1e-3}, "of": "earlier, trial 0", "worse": 0.5},)))
    for number in range(4):
        live.use(number, live.ask(number))
        if number == 0:
            live.end(number, OutcomeKind.FAILED)
        elif number == 1 or completes:
            outcome = Outcome(kind=OutcomeKind.COMPLETED, value=number / 4, epoch=1, violations=(0.0,))
            live.journal(TrialEnded(trial=number, attempt=1, outcome=outcome))
        else:
            outcome = Outcome(kind=OutcomeKind.INFEASIBLE, violations=(2.0,))
            live.journal(TrialEnded(trial=number, attempt=1, outcome=outcome))
    live.sampler.propose(4)
    told = live.sampler.study.get_trials(deepcopy=False)
    shown = as_completed(told, live.sampler.study.directions)
    assert sum(one.state.name in ("COMPLETE", "PRUNED") and not one.constraints for one in told) == 2
    assert [list(one.constraints) for one in shown] == [["params < 5"]] * 3


def test_the_model_is_shown_what_is_running() -> None:
    """So that a sampler that heeds it does not propose the same again."""
    live = LiveSweep(
        OptunaSampler(sampler="random", seed=1, objective=Objective.parse("max acc"), space=space_of(BRANCHES))
    )
    live.use(0, live.ask(0))
    study = live.sampler.study
    assert [one.state.name for one in as_completed(study.get_trials(), study.directions)] == ["RUNNING"]
