"""Tests of what samplers learn where there are several objectives, or constraints on outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kerasweep.search.objective import Direction, Objective
from kerasweep.search.sampler import OptunaSampler
from kerasweep.spaces.known import Declared, Known
from kerasweep.spaces.parameter import Number
from kerasweep.spaces.trial import Outcome, OutcomeKind
from kerasweep.trackers.events import TrialEnded, TrialRetried

from ..contracts.samplers import LiveSweep, finished

X, Y = (Number(name=name, min=0.0, max=1.0, integer=False) for name in "xy")
ACCURACY = Objective(metric="acc", direction=Direction.MAX)
PARAMS = Objective(metric="params", direction=Direction.MIN)


def sweep(*, further: Sequence[Objective] = (), bounds: Sequence[str] = (), kind: str = "tpe") -> LiveSweep:
    """Return a sweep on paper over x and y."""
    known = Known.of([Declared(parameter=one) for one in (X, Y)])
    return LiveSweep(
        OptunaSampler(sampler=kind, seed=3, objective=ACCURACY, space=known, further=further, bounds=bounds)
    )


def end(live: LiveSweep, number: int, kind: OutcomeKind, values: Sequence[float] = (), *broken: float) -> None:
    """End a trial with these values, and constraints broken by so much."""
    outcome = Outcome(
        kind=kind,
        value=values[0] if values else None,
        epoch=1 if values else None,
        values=tuple(values),
        violations=broken,
    )
    live.journal(TrialEnded(trial=number, attempt=1, outcome=outcome))


def go(live: LiveSweep, number: int) -> dict[str, Any]:
    """Ask for a trial whose model reads all."""
    return live.use(number, live.ask(number))


@pytest.mark.parametrize("kind", ["tpe", "random", "qmc", "nsga2"])
def test_a_replay_proposes_the_same(kind: str) -> None:
    """Completed, stopped, infeasible and failed trials of two objectives: from the journal alone."""
    kinds = [OutcomeKind.COMPLETED, OutcomeKind.STOPPED, OutcomeKind.INFEASIBLE, OutcomeKind.FAILED]
    live = sweep(further=[PARAMS], bounds=["params <= 5"], kind=kind)
    for number in range(24):
        used = go(live, number)
        how = kinds[number % 4]
        values = () if number % 4 > 1 else (float(used["x"]), float(used["y"]))
        end(live, number, how, values, 0.5 if how is OutcomeKind.INFEASIBLE else 0.0)
    again = sweep(further=[PARAMS], bounds=["params <= 5"], kind=kind)
    again.journal(*(entry.event for entry in live.entries))
    assert again.sampler.propose(24) == live.sampler.propose(24)


def test_a_failure_is_taken_back_where_others_break_a_constraint() -> None:
    """Both wait to be told; the trial that is retried leaves, the one that is infeasible stays."""
    live = sweep(bounds=["params <= 5"])
    go(live, 0)
    end(live, 0, OutcomeKind.INFEASIBLE, (), 0.5)
    proposal = live.ask(1)
    live.use(1, proposal)
    end(live, 1, OutcomeKind.FAILED)
    live.journal(TrialRetried(trial=1, params=proposal.params))
    live.use(1, proposal)
    end(live, 1, OutcomeKind.COMPLETED, (0.9,), 0.0)
    assert sorted(one.state.name for one in finished(live.sampler)) == ["COMPLETE", "PRUNED"]


def test_stopped_trials_are_told_with_their_values() -> None:
    """Of several objectives Optuna learns from complete trials only; a stopped one stands where it was stopped."""
    live = sweep(further=[PARAMS])
    go(live, 0)
    live.report(0, [0.1, 0.2])
    end(live, 0, OutcomeKind.STOPPED, (0.2, 7.0), 0.0)
    (told,) = finished(live.sampler)
    assert (told.state.name, told.values, told.intermediate_values) == ("COMPLETE", [0.2, 7.0], {})


def test_of_one_objective_a_stopped_trial_is_told_with_its_curve() -> None:
    """As ever, constraints or not."""
    live = sweep(bounds=["params <= 5"])
    go(live, 0)
    live.report(0, [0.1, 0.2])
    end(live, 0, OutcomeKind.STOPPED, (0.2,), 0.25)
    (told,) = finished(live.sampler)
    assert (told.state.name, told.intermediate_values) == ("PRUNED", {1: 0.1, 2: 0.2})
    assert told.constraints == {"params <= 5": 0.25}


def test_it_goes_to_the_front() -> None:
    """Where acc is x minus y, and params x: y should be 0, and x anything."""
    live = sweep(further=[PARAMS])
    proposed: list[dict[str, float]] = []
    for number in range(60):
        used = go(live, number)
        proposed.append(used)
        x, y = float(used["x"]), float(used["y"])
        end(live, number, OutcomeKind.COMPLETED, (x - y, x))
    late = proposed[30:]
    assert sum(float(one["y"]) < 0.25 for one in late) >= 20  # of 30; at random, 7 would be
    assert max(float(one["x"]) for one in late) - min(float(one["x"]) for one in late) > 0.5


def test_what_breaks_a_constraint_before_it_trains_is_left() -> None:
    """A model too large is never trained, and its like are proposed less and less."""
    live = sweep(bounds=["params <= 5"])
    large: list[bool] = []
    for number in range(60):
        used = go(live, number)
        x, y = float(used["x"]), float(used["y"])
        large.append(x > 0.3)
        if x > 0.3:
            end(live, number, OutcomeKind.INFEASIBLE, (), x - 0.3)
        else:
            end(live, number, OutcomeKind.COMPLETED, (y,), 0.0)
    assert sum(large[30:]) <= 14  # of 30; at random, 21 would be
