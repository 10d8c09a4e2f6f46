"""Tests of `kerasweep.search.forecast`: hours and survivors before a sweep, the time left during one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kerasweep.search.budget import Budget
from kerasweep.search.confirm import Confirm
from kerasweep.search.forecast import forecast, seconds_left, survival
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.population import Pbt
from kerasweep.search.spec import Resources, Search, SweepSpec
from kerasweep.search.summary import Summary
from kerasweep.spaces.trial import OutcomeKind
from kerasweep.trackers.events import Entry, Event, Reported, SweepStarted
from kerasweep.trackers.history import History

from .specs import START_AT, begun, completed, ended, history, reported, spec

ASHA = Search(sampler="random", stop=({"rule": "asha", "min_epochs": 1, "factor": 3},))

PARAMS = Objective(metric="params", direction=Direction.MIN)


def sweep(trials: int | None = 27, *, search: Search = ASHA, **changes: Any) -> SweepSpec:
    """Return a sweep of trials of 27 epochs."""
    return spec(**{"budget": Budget(trials=trials), "search": search, "fit": {"epochs": 27}, **changes})


def test_without_a_stop_rule_the_forecast_is_arithmetic() -> None:
    """Ten trials of 27 epochs of 2 seconds and 6 more each, on two slots."""
    found = forecast(sweep(10, search=Search()), slots=2, epoch_s=2.0, trial_s=6.0)
    assert found.seconds == pytest.approx(5 * 60.0)
    assert found.rungs == {27: 10}
    assert found.epochs == 270


def test_what_nobody_can_know_before_is_left_out() -> None:
    """Further objectives take part in the ranks; constraints, a goal and a want of better values end nothing here."""
    limits = Budget(trials=10, goal=0.1, no_improvement=1)
    plan = sweep(search=Search(), budget=limits, further=(PARAMS,), bounds=("params <= 5",))
    assert forecast(plan, slots=2, epoch_s=2.0, trial_s=6.0).rungs == {27: 10}
    halved = forecast(replace(plan, search=ASHA), slots=2, epoch_s=2.0, trial_s=6.0)
    assert (halved.trials, halved.rungs[1]) == (10, 10)
    assert 1 <= halved.rungs[27] < 10


def test_what_is_confirmed_comes_on_top() -> None:
    """Four runs of a minute on two slots; in a sweep under way what is left of them, and no limit of the search."""
    plan = sweep(10, search=Search(), confirm=Confirm(top=2, seeds=2))
    found = forecast(plan, slots=2, epoch_s=2.0, trial_s=6.0)
    assert (found.seconds, found.trials, found.epochs) == (pytest.approx(7 * 60.0), 10, 270)
    some = history(*completed(0, 0.5), confirm=Confirm(top=2, seeds=2), budget=Budget(trials=1), parallel=1)
    left = Summary.of(some).seconds_left(some.last_at)
    none = history(*completed(0, 0.5), budget=Budget(trials=1), parallel=1)
    assert left is not None
    assert left > 0
    assert Summary.of(none).seconds_left(none.last_at) == 0


def test_a_population_is_so_many_turns() -> None:
    """Four members of 27 epochs in turns of ten: three turns each, as many at a time as there are members."""
    plan = sweep(None, search=Search(), budget=Budget(trials=100), pbt=Pbt(population=4, interval=10, mutate=("x",)))
    found = forecast(plan, slots=8, epoch_s=2.0, trial_s=6.0)
    assert (found.trials, found.epochs, found.rungs) == (12, 4 * 27, {27: 4})
    assert found.seconds == pytest.approx(27 * 2.0 + 3 * 6.0)
    less = forecast(replace(plan, budget=Budget(trials=6)), slots=2, epoch_s=2.0, trial_s=6.0)
    assert (less.trials, less.rungs) == (6, {27: 0})


def test_a_stop_rule_leaves_about_a_third_at_each_rung() -> None:
    """About: asynchronous halving lets the first at a rung go on, and judges by those that came before."""
    found = forecast(sweep(270), slots=4, epoch_s=1.0, trial_s=0.0)
    assert list(found.rungs) == [1, 3, 9, 27]
    assert found.rungs[1] == 270
    assert 75 <= found.rungs[3] <= 120
    assert 25 <= found.rungs[9] <= 55
    assert found.epochs >= found.rungs[1] + 2 * found.rungs[3] + 6 * found.rungs[9] + 18 * found.rungs[27]
    assert found.seconds * 4 == pytest.approx(found.epochs, rel=0.15)


def test_a_budget_of_hours_says_how_many_trials_it_holds() -> None:
    """The time is the budget's, or less where the trials come first."""
    found = forecast(sweep(None, search=Search(), budget=Budget(hours=1.0)), slots=2, epoch_s=1.0, trial_s=3.0)
    assert found.seconds == pytest.approx(3600, rel=0.02)
    assert found.trials == pytest.approx(240, rel=0.03)
    both = forecast(sweep(4, search=Search(), budget=Budget(trials=4, hours=1.0)), slots=2, epoch_s=1.0, trial_s=3.0)
    assert both.seconds == pytest.approx(60)
    less = forecast(
        sweep(400, search=Search(), budget=Budget(trials=400, hours=0.1)), slots=2, epoch_s=1.0, trial_s=3.0
    )
    assert less.seconds == pytest.approx(360, abs=2)
    assert less.trials < 40


def test_a_large_sweep_is_taken_to_be_as_its_beginning() -> None:
    """A million trials of a thousand epochs are not simulated one by one."""
    found = forecast(sweep(1_000_000, fit={"epochs": 1000}, search=Search()), slots=2, epoch_s=1.0, trial_s=0.0)
    assert found.seconds == pytest.approx(1000 * 1_000_000 / 2, rel=0.01)
    assert found.trials == 1_000_000
    assert found.rungs == {1000: 1_000_000}


@pytest.mark.parametrize("trials", [None, 1000])
@pytest.mark.parametrize(
    ("name", "few", "many"),
    [("epochs", 60, 9000), ("hours", 0.01, 2.0), ("slot_hours", 0.01, 4.0), ("gpu_hours", 0.01, 2.0)],
)
def test_whatever_limit_comes_first_is_forecast(name: str, few: float, many: float, trials: int | None) -> None:
    """Few are reached while trials are simulated, many after those; both alone, and beside a number of trials."""
    for limit in (few, many):
        limits: dict[str, Any] = {"trials": trials, name: limit}
        plan = sweep(budget=Budget(**limits), resources=Resources(gpu=0.5))
        found = forecast(plan, slots=2, epoch_s=1.0, trial_s=1.0)
        held_s = found.trials * found.trial_s + found.epochs
        used = {"epochs": found.epochs, "hours": found.seconds / 3600, "slot_hours": held_s / 3600}
        used["gpu_hours"] = used["slot_hours"] / 2
        assert not found.open
        assert max(found.rungs.values()) <= found.trials
        assert used[name] <= limit * 1.02 + 2 / 900  # each slot goes on to the next epoch
        assert found.trials == trials or used[name] >= 0.97 * limit - 2 / 900


@pytest.mark.parametrize("limits", [Budget(goal=0.9), Budget(no_improvement=5)])
@pytest.mark.parametrize("pbt", [None, Pbt(population=4, interval=10, mutate=("x",))])
def test_where_values_alone_end_it_the_forecast_is_open(limits: Budget, pbt: Pbt | None) -> None:
    """It says what so many trials come to, and that nobody knows how many; a population has its end."""
    found = forecast(sweep(search=Search(), budget=limits, pbt=pbt), slots=2, epoch_s=1.0, trial_s=1.0)
    assert (found.open, found.trials) == ((True, 300) if pbt is None else (False, 12))
    assert found.to_json()["open"] is found.open


@pytest.mark.parametrize("limits", [Budget(epochs=54), Budget(slot_hours=60 / 3600), Budget(gpu_hours=60 / 3600)])
def test_a_population_ends_at_any_limit(limits: Budget) -> None:
    """At about half of its 4 members of 27 epochs of a second and 12 turns of one more."""
    plan = sweep(budget=limits, pbt=Pbt(population=4, interval=10, mutate=("x",)), resources=Resources(gpu=1))
    found = forecast(plan, slots=2, epoch_s=1.0, trial_s=1.0)
    assert (found.trials, found.epochs, found.seconds) == (6, 54, pytest.approx(30))


def test_the_confirmation_of_a_search_that_a_limit_ends_is_counted_once() -> None:
    """Its runs are no trials of the search, however many of those there was room for."""
    limits, confirm = Budget(trials=100, epochs=54), Confirm(top=2, seeds=3)
    found = forecast(sweep(search=Search(), budget=limits, confirm=confirm), slots=2, epoch_s=1.0, trial_s=0.0)
    assert (found.trials, found.epochs, found.seconds) == (2, 54, pytest.approx(27 + 3 * 27, abs=1))


def stopped_at(number: int, *values: float) -> list[Event]:
    """Return a trial that was stopped after these epochs."""
    return [*begun(number), *reported(number, *values), ended(number, OutcomeKind.STOPPED, max(values), 1)]


def test_survival_counts_those_that_went_on() -> None:
    """Two of three stop at epoch 1; one that runs there says nothing of the next epoch."""
    what = history(
        *stopped_at(0, 0.1),
        *stopped_at(1, 0.2),
        *completed(2, *[0.1 * epoch for epoch in range(1, 10)]),
        *begun(3),
        *reported(3, 0.5),
    )
    alive = survival(what, spec(search=ASHA))
    assert alive[:2] == [1.0, 1.0]
    assert alive[2:] == pytest.approx([1 / 3] * 8)


def test_a_rung_that_none_has_come_to_is_taken_as_those_before() -> None:
    """Before any judgement a third goes on; after some, as many as did so far."""
    fresh = survival(history(*begun(0)), spec(search=ASHA))
    assert fresh[1:] == pytest.approx([1.0, 1 / 3, 1 / 3, *[1 / 9] * 6])
    half = survival(history(*stopped_at(0, 0.1), *begun(1), *reported(1, 0.3, 0.4)), spec(search=ASHA))
    assert half[2:] == pytest.approx([0.5, 0.5, *[0.25] * 6])


def timed(*trials: tuple[int, float, list[Event]], **changes: Any) -> History:
    """Return a history of trials that began at these times, a report every ten seconds."""
    rows: list[tuple[float, Event]] = [(0.0, SweepStarted(spec=spec(**changes).to_json()))]
    for _, start, events in trials:
        at = start
        for event in events:
            at += 10.0 if isinstance(event, Reported) else 0.0
            rows.append((at, event))
    rows.sort(key=lambda row: row[0])
    return History.of(Entry(seq=seq, at=START_AT + at, event=event) for seq, (at, event) in enumerate(rows, 1))


def test_the_time_left_is_the_work_left_over_the_slots() -> None:
    """Two slots, trials of nine epochs of ten seconds: two done, two to come take ninety seconds more."""
    two = timed(*((n, 0.0, completed(n, *[0.1] * 9)) for n in (0, 1)), budget=Budget(trials=4))
    assert seconds_left(two, spec(budget=Budget(trials=4)), START_AT + 90) == pytest.approx(90)
    running = timed(
        *((n, 0.0, completed(n, *[0.1] * 9)) for n in (0, 1)),
        *((n, 90.0, [*begun(n), *reported(n, *[0.1] * 6)]) for n in (2, 3)),
    )
    assert seconds_left(running, spec(budget=Budget(trials=4)), START_AT + 150) == pytest.approx(30)


def test_the_time_left_is_shorter_where_trials_are_stopped() -> None:
    """Six of eight trials ended at the first rung: what is to come will, for the most part, too."""
    what = timed(
        *((n, 10.0 * n, stopped_at(n, 0.1)) for n in range(6)),
        *((n, 0.0, completed(n, *[0.1] * 9)) for n in (6, 7)),
    )
    left = seconds_left(what, spec(budget=Budget(trials=40), search=ASHA), START_AT + 90)
    assert left is not None
    assert left == pytest.approx(32 * (10 + 8 * 10 / 4) / 2, rel=0.2)


def test_the_longest_trial_alone_bounds_the_end() -> None:
    """Many slots do not make one trial shorter."""
    what = timed((0, 0.0, [*begun(0), *reported(0, 0.1)]))
    assert seconds_left(what, spec(budget=Budget(trials=1), parallel=8), START_AT + 10) == pytest.approx(80)


def test_the_hours_come_first_if_they_do() -> None:
    """Without a report nothing else is known."""
    hours = spec(budget=Budget(trials=400, hours=0.05))
    what = timed((0, 0.0, completed(0, *[0.1] * 9)))
    assert seconds_left(what, hours, START_AT + 100) == pytest.approx(80)
    assert seconds_left(history(), spec(budget=Budget(trials=4)), START_AT) is None
    assert seconds_left(history(), spec(budget=Budget(hours=1.0)), START_AT) == pytest.approx(3600)
