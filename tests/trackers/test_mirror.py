"""Tests of `kerasweep.trackers.mirror`: what a run shows, and names that MLflow takes."""

from __future__ import annotations

import math
import posixpath
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.spaces.trial import OutcomeKind
from kerasweep.trackers import mirror
from kerasweep.trackers.events import Entry, Event, SweepStarted
from kerasweep.trackers.history import History
from kerasweep.trackers.mirror import Goal, cleaned_names

from .sweeps import begun, ended, reported, spec, started

MAX = Goal(metric="val_accuracy", maximize=True)


def fold(*events: Event) -> History:
    """Return the history of events that were journaled at 1.0, 2.0, and so on."""
    return History.of(Entry(seq=index, at=float(index), event=event) for index, event in enumerate(events, 1))


def objective(*events: Event, goal: Goal = MAX) -> list[tuple[int, float]]:
    """Return the points of the objective of trial 0, by step and time."""
    record = fold(started(), *begun(0), *events).trials[0]
    points = mirror.points(record, record.metrics.keys(), goal)
    found = sorted((one.step, one.at_ms, one.value) for one in points if one.key == "objective")
    return [(step, value) for step, _, value in found]


def test_only_improvements_of_the_objective() -> None:
    """In the direction that counts."""
    reports = [reported(0, epoch, value) for epoch, value in enumerate((0.5, 0.4, 0.6, 0.6, 0.3), 1)]
    assert objective(*reports) == [(1, 0.5), (3, 0.6)]
    assert objective(*reports, goal=Goal(metric="val_accuracy", maximize=False)) == [(1, 0.5), (2, 0.4), (5, 0.3)]


def test_an_improvement_is_one_over_all_epochs() -> None:
    """Which epochs are asked for changes nothing about what each of them is."""
    reports = [reported(0, epoch, value) for epoch, value in enumerate((0.5, 0.4, 0.6), 1)]
    record = fold(started(), *begun(0), *reports).trials[0]
    assert [one.step for one in mirror.points(record, {2}, MAX) if one.key == "objective"] == []
    assert [one.step for one in mirror.points(record, {3}, MAX) if one.key == "objective"] == [3]


def test_a_trial_without_a_value_is_not_ranked() -> None:
    """Its last point is NaN, which MLflow sorts behind all numbers."""
    *points, last = objective(reported(0, 1, 0.9), ended(0, OutcomeKind.FAILED, reason="it broke"))
    assert points == [(1, 0.9)]
    assert last[0] == 1
    assert math.isnan(last[1])


def test_six_digits() -> None:
    """More would not be read."""
    assert objective(reported(0, 1, 0.123456789)) == [(1, 0.123457)]


def test_a_metric_that_has_our_name() -> None:
    """It makes room: `objective` is what the table is sorted by."""
    assert cleaned_names(["objective", "loss"], taken=("objective",)) == {"objective": "objective_2", "loss": "loss"}


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("val_f1@0.5", "val_f1_0.5"),
        ("dense/units", "dense/units"),
        ("a//b", "a/b"),
        ("/a/", "a"),
        ("../x", "_/x"),
        ("lr=(1)", "lr__1_"),
        ("", "_"),
        ("..", "_"),
        ("x" * 300, "x" * 250),
        ("größe:1", "größe:1"),
    ],
)
def test_a_name_that_mlflow_takes(name: str, clean: str) -> None:
    """As near to the model's as it can be."""
    assert cleaned_names([name]) == {name: clean}


@given(st.lists(st.text(max_size=300), unique=True, max_size=8))
def test_all_names_are_taken_and_no_two_are_one(names: list[str]) -> None:
    """By MLflow's rules: its characters, a normal relative path, at most 250 of them."""
    clean = cleaned_names(names)
    assert list(clean) == names
    assert len(set(clean.values())) == len(names)
    for one in clean.values():
        assert re.fullmatch(r"[/\w.\- :]{1,250}", one)
        assert posixpath.normpath(one) == one
        assert not one.startswith(("..", "/"))
        assert one != "."


def test_long_and_broken_values() -> None:
    """They are cut to what MLflow keeps, and half a character does not stop a request."""
    record = fold(started(), *begun(0)).trials[0]
    record.params = {"text": "x" * 7000, "half": "\ud800", "token_file": "http://ada:pw@host/t"}
    shown = {one.key: one.value for one in mirror.params(record)}
    assert (len(shown["text"]), shown["half"], shown["token_file"]) == (6000, "?", "http://***@host/t")


def test_a_reason_is_short_and_holds_no_secret() -> None:
    """It stands in a column."""
    why = f"cannot load\nhttp://ada:pw@host/data {'x' * 1000}"
    history = fold(started(), *begun(0), ended(0, OutcomeKind.FAILED, reason=why))
    reason = mirror.trial_tags(history, history.trials[0], "p")["reason"]
    assert reason.startswith("cannot load http://***@host/data xxx")
    assert len(reason) <= 300


def test_a_sweep_without_a_given_identity() -> None:
    """Its name and start make one, the same at every reading."""
    history = fold(SweepStarted(spec=spec(name="it's")))
    assert mirror.sweep_id(history) == "it_s-1000"


def test_what_is_searched() -> None:
    """The declared parameters and those that models read, once each; not what is fixed."""
    history = fold(started())
    found = [{"name": "units", "kind": "int"}, {"name": "act(x)", "kind": "choice"}, {"name": "seed", "kind": "fixed"}]
    assert mirror.searched(history, found) == ["learning_rate", "units", "act_x_"]


def test_counts_of_a_new_sweep() -> None:
    """There is nothing to count."""
    assert mirror.counts(fold(started())) == "none yet"


def test_the_ranking_leaves_out_what_has_no_number() -> None:
    """Neither a failed trial nor an infinite value is ever the best one."""
    history = fold(
        started(),
        *begun(0),
        *begun(1),
        *begun(2),
        ended(0, OutcomeKind.COMPLETED, value=0.5, epoch=1),
        ended(1, OutcomeKind.FAILED),
        ended(2, OutcomeKind.COMPLETED, value=math.inf, epoch=1),
    )
    assert [record.number for record in mirror.ranking(history)] == [0]
