"""Tests of `kerasweep.trackers.trade_offs`: what MLflow shows of several objectives and constraints."""

from __future__ import annotations

import base64
import json
import math
import zlib
from typing import Any

from kerasweep.spaces.trial import OutcomeKind
from kerasweep.trackers.events import Entry, Event, ParametersUsed
from kerasweep.trackers.history import History
from kerasweep.trackers.leaderboard import note, saved_view
from kerasweep.trackers.standing import standing_tags
from kerasweep.trackers.trade_offs import front_of, points, ranking, trial_tags

from .sweeps import begun, ended, reported, started

GOALS: dict[str, Any] = {
    "further": [{"metric": "params", "direction": "min", "at": "best"}],
    "bounds": ["params <= 50", "latency_ms <= 5"],
}


def fold(*events: Event, **changes: Any) -> History:
    """Return the history of a sweep for accuracy and size, events a second apart."""
    return History.of(
        Entry(seq=index, at=float(index), event=event)
        for index, event in enumerate([started(**{**GOALS, **changes}), *events], 1)
    )


def trial(number: int, size: int, *accuracies: float, latency: float = 1.0, broken: float = 0.0) -> list[Event]:
    """Return a whole trial."""
    facts = {"parameters": size, "latency_ms": latency}
    best = max(accuracies)
    return [
        *begun(number),
        ParametersUsed(trial=number, attempt=1, params={"units": size}, facts=facts),
        *(reported(number, epoch, accuracy) for epoch, accuracy in enumerate(accuracies, 1)),
        ended(
            number,
            OutcomeKind.COMPLETED,
            value=best,
            epoch=accuracies.index(best) + 1,
            values=(best, float(size)),
            violations=(0.0, broken),
        ),
    ]


SWEEP = [
    *trial(0, 10, 0.5, 0.7, 0.6),
    *trial(1, 40, 0.9),
    *trial(2, 30, 0.6),
    *trial(3, 5, 0.95, latency=9.0, broken=0.4),
]


def shown(history: History, number: int) -> dict[str, list[tuple[int, float]]]:
    """Return the points of a trial by metric, as (step, value)."""
    record = history.trials[number]
    found: dict[str, list[tuple[int, float]]] = {}
    for point in points(record, record.metrics, history.spec):
        found.setdefault(point.key, []).append((point.step, point.value))
    return found


def test_each_objective_has_a_metric_whose_last_point_is_the_value() -> None:
    """And what was measured has its own, under its name; what the model logs is as ever."""
    metrics = shown(fold(*SWEEP), 0)
    assert metrics["val_accuracy"] == [(1, 0.5), (2, 0.7), (3, 0.6)]
    assert metrics["objective/val_accuracy"] == [(1, 0.5), (2, 0.7), (2, 0.7)]
    assert metrics["objective/params"] == [(2, 10.0)]
    assert (metrics["params"], metrics["latency_ms"]) == ([(0, 10.0)], [(0, 1.0)])
    assert "objective" not in metrics


def test_a_trial_without_a_value_is_not_ranked() -> None:
    """Its last point is no number."""
    failed = [*begun(0), reported(0, 1, 0.9), ended(0, OutcomeKind.FAILED, reason="no")]
    for column in ("objective/val_accuracy", "objective/params"):
        step, value = shown(fold(*failed), 0)[column][-1]
        assert (step, math.isnan(value)) == (1, True)


def test_the_sweep_names_its_front() -> None:
    """Feasible trials that none beats, best by the first objective first; the best trial is the first of them."""
    history = fold(*SWEEP)
    assert [one.number for one in front_of(history)] == [1, 0]
    assert [one.number for one in ranking(history)] == [1, 0, 2, 3]
    assert standing_tags(history) == {
        "best_trial": "1",
        "best_value": "0.9",
        "front": "t0001 val_accuracy 0.9, params 40; t0000 val_accuracy 0.7, params 10",
    }


def test_a_trial_says_whether_it_is_feasible() -> None:
    """Where there are constraints, and once it has ended."""
    history = fold(*SWEEP, *begun(4))
    tags = [trial_tags(history.trials[number], history.spec) for number in (0, 3, 4)]
    assert tags == [{"feasible": "true"}, {"feasible": "false"}, {}]
    assert trial_tags(history.trials[0], fold(bounds=[]).spec) == {}


def test_a_sweep_with_one_objective_is_as_it_was() -> None:
    """No further tags, and the metric `objective`."""
    history = fold(
        *begun(0), reported(0, 1, 0.5), ended(0, OutcomeKind.COMPLETED, value=0.5, epoch=1), further=[], bounds=[]
    )
    assert standing_tags(history) == {"best_trial": "0", "best_value": "0.5"}
    assert set(shown(history, 0)) == {"val_accuracy", "loss", "objective"}


def test_the_leaderboard_has_a_column_for_each() -> None:
    """Objectives first, sorted by the first; then what constraints are about, and whether they are kept to."""
    packed = json.loads(saved_view(fold(*SWEEP), "parent", ["units"]))["state"].removeprefix("deflate;")
    view = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert view["selectedColumns"] == [
        "metrics.`objective/val_accuracy`",
        "metrics.`objective/params`",
        "metrics.`latency_ms`",
        "params.`units`",
        "tags.`feasible`",
        "tags.`outcome`",
    ]
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`objective/val_accuracy`", False)


def test_the_note_has_all_values() -> None:
    """The front first, a column for each objective."""
    text = note(fold(*SWEEP), "1", "view", {})
    assert text.startswith("**max val_accuracy, min params**")
    first = next(line for line in text.splitlines() if line.startswith("| 1 "))
    assert "| t0001 | 0.9 | 40 | 1 |" in first
