"""Tests of `kerasweep.search.summary`."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kerasweep.search.budget import Budget
from kerasweep.search.forecast import seconds_left
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.spec import Search
from kerasweep.search.summary import (
    Summary,
    duration,
    failures,
    number,
    parameters,
    scalar,
    sparkline,
    trial_json,
    trial_line,
    value_of,
)
from kerasweep.spaces.trial import OutcomeKind
from kerasweep.trackers.events import AttemptStarted, Timed, TrialAsked

from .specs import START_AT, begun, completed, ended, history, reported

WHOLE = [
    *completed(0, 0.2, 0.7, 0.4),
    *begun(1),
    ended(1, OutcomeKind.FAILED, why="ValueError: no"),
    *begun(2),
    *reported(2, 0.9),
    ended(2, OutcomeKind.STOPPED, 0.9, 1, why="asha: 2 of 2"),
    *begun(3),
    ended(3, OutcomeKind.INFEASIBLE, why="too large"),
    *completed(4, 0.7),
    *begun(5),
]


def test_trials_are_ranked_best_first() -> None:
    """Completed and stopped ones by value, the earlier of equals first; others have no place."""
    assert [one.number for one in Summary.of(history(*WHOLE)).ranked()] == [2, 0, 4]
    loss = Objective(metric="acc", direction=Direction.MIN)
    assert [one.number for one in Summary.of(history(*WHOLE, objective=loss)).ranked()] == [0, 4, 2]


def test_over_folds_trials_are_ranked_by_folds_first() -> None:
    """A mean over fewer folds is not set against one over all."""
    stopped = [*begun(0), *reported(0, 0.9), ended(0, OutcomeKind.STOPPED, 0.9, 1)]
    whole = [*begun(1), *reported(1, 0.6, 0.8), ended(1, OutcomeKind.COMPLETED, 0.8, 2)]
    assert [one.number for one in Summary.of(history(*stopped, *whole, fit={"folds": 2})).ranked()] == [1, 0]
    assert [one.number for one in Summary.of(history(*stopped, *whole, fit={"epochs": 2})).ranked()] == [0, 1]


def test_a_value_that_is_no_number_is_no_value() -> None:
    """Infinity is never the best."""
    one = history(*begun(0), ended(0, OutcomeKind.COMPLETED, math.inf, 1))
    assert value_of(one.trials[0]) is None
    assert Summary.of(one).best() is None


def test_the_counts_name_each_state() -> None:
    """In an order that does not change, without those that are none."""
    summary = Summary.of(history(*WHOLE))
    assert summary.counts() == "2 completed, 1 stopped, 1 failed, 1 infeasible, 1 running"
    assert summary.counted() == 4
    assert [one.number for one in summary.running()] == [5]
    assert Summary.of(history()).counts() == "no trial yet"


def test_the_time_left_is_that_of_the_forecast() -> None:
    """What `forecast` says of the history; None before anything was reported."""
    half = history(*completed(0, *[0.1] * 9), *completed(1, *[0.2] * 9), budget=Budget(trials=4))
    left = Summary.of(half).seconds_left(START_AT + 100)
    assert left == seconds_left(half, Summary.of(half).spec, START_AT + 100)
    assert left == pytest.approx(12, rel=0.2)
    assert Summary.of(history(budget=Budget(trials=4))).seconds_left(START_AT + 5) is None


def test_the_busy_share_is_fit_over_slot_time() -> None:
    """Of two slots, one in fit for 8 of 10 seconds and the other not at all: 0.4."""
    times = {"start": START_AT, "fit_start": START_AT + 1, "fit_end": START_AT + 9, "end": START_AT + 10}
    timed = Timed(trial=0, attempt=1, slot="s", pid=1, times=times)
    one = history(*begun(0), timed, ended(0, OutcomeKind.COMPLETED, 0.5, 1))
    assert Summary.of(one).busy_share(START_AT + 100, 2) == pytest.approx(0.4)
    assert Summary.of(history(*begun(0))).busy_share(START_AT + 100, 2) is None


def test_the_busy_share_counts_what_still_runs() -> None:
    """A trial that has not ended is in fit from its start to now; more than all is not shown."""
    times = {"start": START_AT, "fit_start": START_AT, "fit_end": START_AT + 10, "end": START_AT + 10}
    timed = Timed(trial=0, attempt=1, slot="s", pid=1, times=times)
    one = history(*begun(0), timed, ended(0, OutcomeKind.COMPLETED, 0.5, 1), *begun(1))
    share = Summary.of(one).busy_share(START_AT + 20, 2)
    assert share is not None
    assert 0.5 < share <= 1.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "-"), (0.4, "0 s"), (59.9, "59 s"), (65, "1 min 05 s"), (3600, "1 h 00 min"), (90061, "25 h 01 min")],
)
def test_durations_read_well(seconds: float | None, words: str) -> None:
    """Seconds, minutes, hours."""
    assert duration(seconds) == words


@given(st.lists(st.floats(), max_size=40))
@example([1.7976931348623157e308, -9.9792015476736e291])
def test_a_curve_is_a_line_of_blocks(values: list[float]) -> None:
    """Whatever the values are: at most twelve blocks, those that are no numbers left out."""
    line = sparkline(values)
    assert len(line) <= 12
    assert set(line) <= set("▁▂▃▄▅▆▇█")


def test_a_curve_rises_and_falls() -> None:
    """From the lowest to the highest block; a flat one is flat."""
    assert sparkline([0.0, 0.5, 1.0, 0.0]) == "▁▅█▁"
    assert sparkline([3.0, 3.0]) == "▁▁"
    assert sparkline([]) == ""


def test_values_are_short() -> None:
    """Five digits, four for a parameter, no line breaks."""
    assert (number(0.123456789), number(None), number(1e-9)) == ("0.12346", "-", "1e-09")
    assert parameters({"lr": 0.0012345, "act\nivation": "re\nlu", "n": 3, "b": True}) == (
        "lr=0.001234 act ivation=re lu n=3 b=True"
    )
    assert len(scalar("x" * 1000)) == 40


def test_a_finished_trial_is_one_line() -> None:
    """Number of how many, state, value and epoch, parameters, reason."""
    trials, goal = history(*WHOLE).trials, Objective(metric="acc", direction=Direction.MAX)
    assert trial_line(trials[0], goal, 20) == "trial 0/20 completed acc=0.7 (epoch 2) x=0.5"
    assert trial_line(trials[1], goal, None) == "trial 1 failed x=0.5 [ValueError: no]"
    assert trial_line(trials[5], goal, None) == "trial 5 running"


def test_a_trial_as_json() -> None:
    """Plain data, with what a script wants to know."""
    body = json.loads(json.dumps(trial_json(history(*WHOLE).trials[0])))
    assert (body["number"], body["state"], body["value"], body["epoch"]) == (0, "completed", 0.7, 2)
    assert (body["params"], body["attempts"], body["epochs"], body["reproduced"]) == ({"x": 0.5}, 1, 3, True)
    assert body["ended_at"] - body["started_at"] == 5.0


def test_failures_are_counted_by_reason() -> None:
    """The most frequent one first; other ends are none."""
    events = [
        event
        for trial, why in enumerate(("a", "b", "b"))
        for event in (*begun(trial), ended(trial, OutcomeKind.FAILED, why=why))
    ]
    stopped = [*begun(3), ended(3, OutcomeKind.INFEASIBLE, why="c")]
    assert failures(history(*events, *stopped).trials.values()) == [("b", 2), ("a", 1)]


def test_a_row_without_better_values_is_counted_in_the_order_that_decides() -> None:
    """As trials ended; in a deterministic search by number, whoever was faster. A confirmation is no trial of it."""
    run = TrialAsked(trial=3, seed=3, params={}, history_seq=0, confirms=0)
    again = [run, AttemptStarted(trial=3, attempt=1), ended(3, OutcomeKind.COMPLETED, 0.3, 1)]
    events = [*completed(1, 0.3), *completed(2, 0.4), *completed(0, 0.5), *again]
    for bounds in ((), ("acc >= 0",)):
        in_order, by_number = (
            Summary.of(history(*events, budget=Budget(no_improvement=9), bounds=bounds, search=search)).used(0.0)
            for search in (Search(), Search(window=2))
        )
        assert (in_order[0].used, by_number[0].used) == (0, 2)
