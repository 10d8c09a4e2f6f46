"""Tests of `kerasweep.search.goals`: several objectives and constraints, as the core decides by them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasweep.search.decisions import Close
from kerasweep.search.halving import SuccessiveHalving
from kerasweep.search.objective import At, Direction, Objective
from kerasweep.search.outcomes import completed
from kerasweep.search.summary import Summary, trial_json, trial_line
from kerasweep.spaces.bounds import Bounds
from kerasweep.spaces.pareto import Point, covers
from kerasweep.spaces.trial import Outcome, OutcomeKind
from kerasweep.trackers.events import ParametersUsed, TrialEnded

from .specs import begun, history
from .test_core import Search, only_end

ACCURACY = Objective(metric="acc", direction=Direction.MAX)
PARAMS = Objective(metric="params", direction=Direction.MIN)
RECALL = Objective(metric="recall", direction=Direction.MAX)


def search(*clauses: str, further: tuple[Objective, ...] = (PARAMS,), **rules: Any) -> Search:
    """Return a search with two objectives, if not told otherwise, under these constraints."""
    return Search(further=further, bounds=Bounds.of(clauses), **rules)


def build(one: Search, number: int, **facts: Any) -> tuple[Any, ...]:
    """Begin a trial whose model has these facts; return what is to be done."""
    one.ask(number)
    return one.tell(ParametersUsed(trial=number, attempt=1, params={}, facts=facts))


def run(one: Search, number: int, parameters: int, **metrics: float) -> Outcome:
    """Run a trial of one epoch from ask to end."""
    build(one, number, parameters=parameters)
    one.report(number, 1, **metrics)
    outcome = completed(one.state, number)
    one.end(number, outcome)
    return outcome


def test_a_trial_stands_for_the_values_of_its_best_epoch() -> None:
    """Best by the first objective; a tie goes to the second, then to the earlier."""
    one = search(further=(RECALL, PARAMS))
    build(one, 0, parameters=10)
    for epoch, (acc, recall) in enumerate([(0.5, 0.9), (0.7, 0.1), (0.7, 0.3), (0.7, 0.3), (0.6, 0.9)], 1):
        one.report(0, epoch, acc=acc, recall=recall)
    outcome = completed(one.state, 0)
    assert (outcome.value, outcome.epoch, outcome.values) == (0.7, 3, (0.7, 0.3, 10.0))


def test_the_last_epoch_counts_where_the_first_objective_says_so() -> None:
    """For all objectives alike."""
    one = search(further=(RECALL,), objective=replace(ACCURACY, at=At.LAST))
    build(one, 0)
    one.report(0, 1, acc=0.9, recall=0.9)
    one.report(0, 2, acc=0.5, recall=0.4)
    assert (completed(one.state, 0).values, completed(one.state, 0).epoch) == ((0.5, 0.4), 2)


def test_an_epoch_that_keeps_to_the_constraints_goes_first() -> None:
    """However good another one is; and the trial is feasible by it."""
    one = search("recall >= 0.5", further=())
    build(one, 0)
    for epoch, (acc, recall) in enumerate([(0.9, 0.2), (0.6, 0.5), (0.8, 0.4)], 1):
        one.report(0, epoch, acc=acc, recall=recall)
    outcome = completed(one.state, 0)
    assert (outcome.value, outcome.epoch, outcome.feasible, outcome.reason) == (0.6, 2, True, "")


def test_a_model_that_breaks_a_constraint_ends_before_it_trains() -> None:
    """As infeasible, in words, for no budget; the sampler is told by how much."""
    one = search("params <= 100", "recall >= 0.5")
    outcome = only_end(build(one, 0, parameters=200))
    assert (outcome.kind, outcome.counts) == (OutcomeKind.INFEASIBLE, False)
    assert outcome.reason == "constraint 'params <= 100' does not hold: params 200"
    assert outcome.violations == (0.5, 0.0)
    one.end(0, outcome)
    assert (one.state.counted, one.state.best) == (0, ())
    assert build(one, 1, parameters=100) == ()


def test_a_constraint_that_is_known_at_the_end_ranks_a_trial_behind() -> None:
    """It has its value, and a reason; the best is one that keeps to all constraints."""
    one = search("recall >= 0.5", further=())
    good, bad = run(one, 0, 1, acc=0.3, recall=0.6), run(one, 1, 1, acc=0.9, recall=0.4)
    assert (good.feasible, bad.feasible, bad.value) == (True, False, 0.9)
    assert bad.reason == "constraint 'recall >= 0.5' does not hold: recall 0.4"
    assert [ranked.number for ranked in one.state.best] == [0, 1]


def test_seconds_per_epoch_is_known_from_the_reports() -> None:
    """The median of the epochs after the first, as it is in the end; of a trial with one epoch it is that one's."""
    from kerasweep.spaces.trial import Report
    from kerasweep.trackers.events import Reported

    seconds = Objective(metric="seconds_per_epoch", direction=Direction.MIN)
    one = search("seconds_per_epoch <= 5", further=(seconds,))
    build(one, 0)
    for epoch, took in enumerate([9.0, 1.0, 3.0, 8.0], 1):
        report = Report(epoch=epoch, metrics={"acc": 1.0 / epoch}, seconds=took)
        one.tell(Reported(trial=0, attempt=1, report=report))
        assert completed(one.state, 0).values[1] == {1: 9.0, 2: 1.0, 3: 2.0, 4: 3.0}[epoch]
    assert (completed(one.state, 0).epoch, completed(one.state, 0).feasible) == (1, True)


def test_what_the_model_logs_goes_before_what_is_measured() -> None:
    """A metric of a built-in's name is the model's own affair."""
    one = search(further=(PARAMS,))
    build(one, 0, parameters=10)
    one.report(0, 1, acc=0.5, params=7.0)
    assert completed(one.state, 0).values == (0.5, 7.0)


def test_a_measure_alone_can_be_the_objective() -> None:
    """It needs nothing that the model logs."""
    one = Search(objective=PARAMS)
    build(one, 0, parameters=12)
    one.report(0, 1, loss=3.0)
    assert (completed(one.state, 0).value, completed(one.state, 0).epoch) == (12.0, 1)


@pytest.mark.parametrize(
    ("clauses", "further", "words"),
    [
        (["recal >= 0.5"], (PARAMS,), "'recal', which `constraints` mentions, is not among the model's metrics"),
        (["recal >= 0.5"], (PARAMS,), "(did you mean 'recall'?): it logs acc, recall"),
        (["parms <= 5"], (), "(did you mean 'params'?)"),
        ([], (replace(RECALL, metric="recal"),), "the objective 'recal' is not among the model's metrics"),
        ([], (replace(RECALL, metric="flops"),), "the objective 'flops' could not be measured: ValueError: no"),
        (["latency_ms <= 5"], (), "'latency_ms', which `constraints` mentions, could not be measured"),
    ],
)
def test_what_nobody_knows_refuses_the_sweep_at_its_first_trial(
    clauses: list[str], further: tuple[Objective, ...], words: str
) -> None:
    """With what may be meant, or why it is not known."""
    one = search(*clauses, further=further)
    build(one, 0, parameters=1, unmeasured={"flops": "ValueError: no"})
    (close,) = one.report(0, 1, acc=0.5, recall=0.5)
    assert isinstance(close, Close)
    assert words in close.event.why
    assert close.event.exit_code == 2


def test_any_objective_that_is_no_number_fails_the_trial() -> None:
    """Not only the first."""
    one = search(further=(RECALL,))
    build(one, 0)
    assert only_end(one.report(0, 1, acc=0.5, recall=math.nan)).reason == (
        "NonFiniteObjective: recall was nan at epoch 1"
    )


def test_an_epoch_counts_where_all_is_logged() -> None:
    """Metrics of the validation may be there at some epochs only; never all at once is a reason of its own."""
    one = search(further=(RECALL,), first_value_epoch=3)
    build(one, 0)
    one.report(0, 1, acc=0.9)
    assert "no epoch logged all" not in completed(one.state, 0).reason
    one.report(0, 2, acc=0.5, recall=0.5)
    one.report(0, 3, acc=0.9)
    assert (completed(one.state, 0).values, completed(one.state, 0).epoch) == ((0.5, 0.5), 2)
    two = search(further=(RECALL,), first_value_epoch=3)
    build(two, 0)
    two.report(0, 1, acc=0.9)
    two.report(0, 2, recall=0.9)
    assert completed(two.state, 0, ["acc", "recall"]).reason.startswith("no epoch logged all of acc, recall")


def test_what_an_attempt_has_measured_stands() -> None:
    """Latency is another each time; the trial keeps the first."""
    latency = Objective(metric="latency_ms", direction=Direction.MIN)
    one = search(further=(latency,))
    build(one, 0, latency_ms=2.0)
    one.tell(ParametersUsed(trial=0, attempt=2, params={}, facts={"latency_ms": 3.0}))
    one.report(0, 1, acc=0.5)
    assert completed(one.state, 0).values == (0.5, 2.0)


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=12))
def test_the_best_are_the_front_first(trials: list[tuple[int, int, int]]) -> None:
    """Whatever comes: what is kept has, while there is room, all of the front, and begins with the best by the first."""
    one = search("recall >= 2", trials=20, keep=20)
    for number, (acc, parameters, recall) in enumerate(trials):
        run(one, number, parameters, acc=float(acc), recall=float(recall))
    points = [ranked.point for ranked in one.state.best]
    assert len(points) == len(trials)
    assert points[0] == min(points, key=lambda point: point.order)
    for place, point in enumerate(points):
        assert not any(covers(later, point) and later != point for later in points[place + 1 :])


def test_the_weights_of_few_are_kept_from_all_of_the_front() -> None:
    """The best by the first objective always, then what is far from it; what fell out does not come back."""
    one = search(keep=2)
    for number, (acc, parameters) in enumerate([(0.1, 1), (0.5, 5), (0.52, 6), (0.9, 9)]):
        run(one, number, parameters, acc=acc)
    assert [ranked.number for ranked in one.state.best] == [3, 0]


def test_stopped_by_front_at_a_rung() -> None:
    """A trial that another beats in every respect stops, with its values; one that none beats goes on, however many."""
    one = search(stop=SuccessiveHalving(min_epochs=1, factor=3))
    for number, parameters in enumerate([10, 5, 2, 1]):
        build(one, number, parameters=parameters)
        assert one.report(number, 1, acc=0.1 * parameters) == ()
    build(one, 4, parameters=6)
    outcome = only_end(one.report(4, 1, acc=0.4))
    assert (outcome.kind, outcome.values) == (OutcomeKind.STOPPED, (0.4, 6.0))
    assert outcome.reason == ("asha: 5 of 5 at epoch 1 by acc, params: on front 2, the best 1 and all of front 1 go on")


def test_a_number_that_fit_returns_is_the_first_objective() -> None:
    """The others are those of the last epoch."""
    one = search(further=(RECALL,))
    build(one, 0)
    one.report(0, 1, acc=0.9, recall=0.9)
    one.report(0, 2, acc=0.5, recall=0.4)
    assert completed(one.state, 0, value=0.7).values == (0.7, 0.4)


def test_several_folds_go_before_few() -> None:
    """A mean over fewer folds is not set against one over all."""
    one = search(folds=True, objective=replace(ACCURACY, at=At.LAST))
    build(one, 0, parameters=1)
    one.report(0, 1, acc=0.9)
    one.end(0, completed(one.state, 0))
    build(one, 1, parameters=5)
    one.report(1, 1, acc=0.2)
    one.report(1, 2, acc=0.3)
    one.end(1, completed(one.state, 1))
    assert [ranked.number for ranked in one.state.best] == [1, 0]


def test_an_outcome_travels_as_json() -> None:
    """With all values; one of an older journal has none."""
    outcome = Outcome(kind=OutcomeKind.COMPLETED, value=1.0, epoch=2, values=(1.0, 2.0), violations=(0.0, 0.5))
    assert Outcome.from_json(outcome.to_json()) == outcome
    assert Outcome.from_json({"kind": "completed", "value": 1.0}).feasible


# In words -------------------------------------------------------------------------------------------------------------


def ended(number: int, *values: float, violations: tuple[float, ...] = (0.0,)) -> list[Any]:
    """Return a trial that ended with these values at epoch 1."""
    outcome = Outcome(kind=OutcomeKind.COMPLETED, value=values[0], epoch=1, values=values, violations=violations)
    return [*begun(number), TrialEnded(trial=number, attempt=1, outcome=outcome)]


FRONT = [
    *ended(0, 0.9, 100.0),
    *ended(1, 0.5, 10.0),
    *ended(2, 0.4, 50.0),
    *ended(3, 0.95, 5.0, violations=(0.5,)),
    *ended(4, 0.5, 10.0),
]


def test_the_front_of_a_finished_sweep() -> None:
    """Feasible trials that none beats, best by the first objective first; of equal ones the first."""
    summary = Summary.of(history(*FRONT, further=(PARAMS,), bounds=("acc > 0",)))
    assert [one.number for one in summary.front()] == [0, 1]
    best = summary.best()
    assert best is not None
    assert best.number == 0
    assert [one.number for one in summary.ranked()][-1] == 3
    assert summary.goal == "max acc, min params"


def test_where_nothing_is_feasible_the_least_broken_is_the_best() -> None:
    """There is an answer, and it says that it is none."""
    broken = [*ended(0, 0.9, 1.0, violations=(0.5,)), *ended(1, 0.1, 1.0, violations=(0.2,))]
    summary = Summary.of(history(*broken, further=(PARAMS,), bounds=("acc > 2",)))
    assert [one.number for one in summary.front()] == [1]
    assert not trial_json(summary.front()[0], summary.metrics)["feasible"]


def test_all_values_are_shown() -> None:
    """In the line of a trial, and as JSON by name."""
    summary = Summary.of(history(*FRONT, further=(PARAMS,)))
    trial = summary.history.trials[0]
    assert "acc=0.9 params=100 (epoch 1)" in trial_line(trial, summary.objective, None, summary.spec.further)
    assert trial_json(trial, summary.metrics)["values"] == {"acc": 0.9, "params": 100.0}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=10))
def test_the_best_is_on_the_front(values: list[tuple[int, int]]) -> None:
    """And the first of it; the ranking begins with all of the front."""
    events = [event for number, pair in enumerate(values) for event in ended(number, *map(float, pair))]
    summary = Summary.of(history(*events, further=(PARAMS,)))
    front, ranked = summary.front(), summary.ranked()
    assert summary.best() is front[0] is ranked[0]
    assert {one.number for one in ranked[: len(front)]} == {one.number for one in front}
    points = [Point((float(a), -float(b))) for a, b in values]
    assert all(any(covers(points[one.number], point) for one in front) for point in points)
