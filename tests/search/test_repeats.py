"""Tests of repeats: what the core makes of a trial that is the mean over seeds, and the test that stops a hopeless one."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest

from kerasweep.search.budget import Budget
from kerasweep.search.decisions import Finish
from kerasweep.search.objective import At, Direction, Objective
from kerasweep.search.outcomes import completed
from kerasweep.search.repeats import Leader, Repeats, hopeless
from kerasweep.search.state import Rules
from kerasweep.spaces.bounds import Bounds
from kerasweep.spaces.trial import Outcome, OutcomeKind, Report
from kerasweep.trackers.events import Reported, SweepStarted, TrialEnded

from .bench import Bench, MemoryBook

PLAN = Repeats(seeds=4, level=0.05)
LOSS = Objective(metric="m", direction=Direction.MIN, at=At.LAST)
RULES = Rules(objective=LOSS, budget=Budget(trials=3), max_epochs=4, folds=True, repeats=PLAN)


def run(values: list[list[float]]) -> tuple[Bench, list[Outcome]]:
    """Run a sweep whose trials have these losses, one by seed; return it with how they ended."""
    book = MemoryBook()
    bench = Bench(replace(RULES, budget=Budget(trials=len(values))), book)
    bench.record(SweepStarted(spec={}))
    while not isinstance(bench.fill(0), Finish):
        number, attempt = bench.slots[0]
        for epoch, loss in enumerate(values[number], 1):
            mean = sum(value / epoch for value in values[number][:epoch])
            metrics = {"m": mean, f"repeat_{epoch}/m": loss}
            bench.record(Reported(trial=number, attempt=attempt, report=Report(epoch=epoch, metrics=metrics)))
            if 0 not in bench.slots:
                break
        else:
            bench.record(bench.end(number, completed(bench.state, number)))
    ended = [entry.event.outcome for entry in book.entries if isinstance(entry.event, TrialEnded)]
    assert bench.replayed == bench.state
    return bench, ended


def test_a_hopeless_trial_is_stopped_between_two_repeats() -> None:
    """After the second seed, with the reason in words; the better one is trained to its end."""
    _, ended = run([[0.50, 0.52, 0.51, 0.49], [0.90, 0.91, 0.5, 0.5], [0.40, 0.41, 0.42, 0.39]])
    assert [one.kind for one in ended] == [OutcomeKind.COMPLETED, OutcomeKind.STOPPED, OutcomeKind.COMPLETED]
    assert ended[1].epoch == 2
    assert ended[1].reason.startswith(
        "repeats: after 2 of 4 seeds its mean 0.905 is worse than the 0.505 of trial 0 (Welch's one-sided t test, p "
    )
    assert ended[1].reason.endswith("< 0.05)")


def test_the_largest_losses_end_no_sweep() -> None:
    """A trial that explodes just below infinity, and one on either side of 0, are hopeless or not, as any other."""
    _, ended = run([[1.7e308] * 4, [1.7e308, -1.7e308, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5], [1.7e308, 1.6e308, 0.0, 0.0]])
    assert [one.kind for one in ended] == [OutcomeKind.COMPLETED] * 3 + [OutcomeKind.STOPPED]


def test_a_lucky_start_ranks_behind_those_that_finished() -> None:
    """A trial stopped early (here by its budget of epochs elsewhere) is no better by the mean of fewer seeds."""
    bench, _ = run([[0.5, 0.5, 0.5, 0.5], [0.6, 0.6, 0.6, 0.6]])
    rank = bench.state.rules.rank
    assert rank(0.3, 2, 9) > rank(0.6, 4, 1) > rank(0.5, 4, 0)


def test_noise_alone_stops_few() -> None:
    """Trials as good as the leader are stopped about as often as the level says, by each of two looks."""
    draw = random.Random(1)
    stopped = 0
    for _ in range(400):
        leader = Leader(number=0, scores=tuple(draw.gauss(0, 1) for _ in range(4)))
        own = [draw.gauss(0, 1) for _ in range(3)]
        stopped += any(hopeless(own[:count], leader, PLAN, LOSS) for count in (2, 3))
    assert stopped < 0.12 * 400


def test_what_is_far_behind_is_stopped_and_one_seed_tells_nothing() -> None:
    """Two repeats are the least; without a leader nothing is compared."""
    leader = Leader(number=3, scores=(0.9, 0.91, 0.9, 0.92))
    assert hopeless([0.1, 0.12], leader, PLAN, Objective(metric="m", direction=Direction.MAX))
    assert not hopeless([0.1], leader, PLAN, LOSS)
    assert not hopeless([0.1, 0.12], None, PLAN, LOSS)


# Several objectives and constraints -----------------------------------------------------------------------------------


def second(values: list[list[float]], **rules: Any) -> list[Outcome]:
    """Run a sweep of two metrics, `m` with these values by seed and `n` with those of `m` turned round."""
    book = MemoryBook()
    bench = Bench(replace(RULES, budget=Budget(trials=len(values)), **rules), book)
    bench.record(SweepStarted(spec={}))
    while not isinstance(bench.fill(0), Finish):
        number, attempt = bench.slots[0]
        for epoch, loss in enumerate(values[number], 1):
            mean = fmean(values[number][:epoch])
            metrics = {"m": mean, "n": -mean, f"repeat_{epoch}/m": loss}
            bench.record(Reported(trial=number, attempt=attempt, report=Report(epoch=epoch, metrics=metrics)))
            if 0 not in bench.slots:
                break
        else:
            bench.record(bench.end(number, completed(bench.state, number)))
    return [entry.event.outcome for entry in book.entries if isinstance(entry.event, TrialEnded)]


def test_of_several_objectives_the_means_count_and_none_is_hopeless_by_one() -> None:
    """What is far behind by the first may be ahead by the second: it is trained on all seeds."""
    further = (Objective(metric="n", direction=Direction.MIN, at=At.LAST),)
    ended = second([[0.5, 0.5, 0.51, 0.49], [0.9, 0.91, 0.5, 0.5]], further=further)
    assert [one.kind for one in ended] == [OutcomeKind.COMPLETED] * 2
    assert ended[1].values == pytest.approx((0.7025, -0.7025))


def test_a_leader_keeps_to_the_constraints() -> None:
    """A trial is not given up for one that breaks them; what they are compared with is the mean over all seeds."""
    values = [[0.1, 0.1, 0.11, 0.09], [0.9, 0.91, 0.92, 0.9], [1.5, 1.51, 1.5, 1.5]]
    ended = second(values, bounds=Bounds.of(["m > 0.5"]))
    assert [one.feasible for one in ended] == [False, True, True]
    assert [one.kind for one in ended] == [OutcomeKind.COMPLETED, OutcomeKind.COMPLETED, OutcomeKind.STOPPED]
    assert "of trial 1" in ended[2].reason
