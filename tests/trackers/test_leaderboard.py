"""Tests of `kerasweep.trackers.leaderboard`."""

from __future__ import annotations

import base64
import json
import random
import string
import zlib
from typing import Any

import pytest

from kerasweep.spaces.trial import OutcomeKind
from kerasweep.trackers.events import Entry, Event
from kerasweep.trackers.history import History
from kerasweep.trackers.leaderboard import leaderboard_url, note, saved_view, view_id

from .sweeps import begun, ended, started


def fold(*events: Event) -> History:
    """Return the history of events that were journaled at 1.0, 2.0, and so on."""
    return History.of(Entry(seq=index, at=float(index), event=event) for index, event in enumerate(events, 1))


def state(view: str) -> dict[str, Any]:
    """Return what the page does with a view."""
    packed = json.loads(view)["state"].removeprefix("deflate;")
    return json.loads(zlib.decompress(base64.b64decode(packed)))


@pytest.mark.parametrize(("direction", "ascending"), [("max", False), ("min", True)])
def test_best_first(direction: str, ascending: bool) -> None:
    """Sorted by the objective in its direction, the sweep's trials only, parameters between it and the outcome."""
    goal = {"metric": "val_loss", "direction": direction, "at": "best"}
    shown = state(saved_view(fold(started(objective=goal)), "parent", ["units", "lr"]))
    assert (shown["orderByKey"], shown["orderByAsc"]) == ("metrics.`objective`", ascending)
    assert shown["searchFilter"] == "tags.`mlflow.parentRunId` = 'parent'"
    assert shown["selectedColumns"] == ["metrics.`objective`", "params.`units`", "params.`lr`", "tags.`outcome`"]


@pytest.mark.parametrize("length", [8, 60, 250])
def test_five_hundred_parameters(length: int) -> None:
    """MLflow would cut a longer tag, and a cut view is none."""
    chance = random.Random(7)
    names = ["".join(chance.choices(string.ascii_letters, k=length)) for _ in range(500)]
    view = saved_view(fold(started()), "parent", names)
    assert len(view) < 20_000
    assert len(state(view)["selectedColumns"]) > 20


def test_a_view_has_one_id_for_a_sweep() -> None:
    """A link stays good."""
    assert view_id("digits-1") == view_id("digits-1") != view_id("digits-2")


def test_a_link() -> None:
    """It opens the machine-learning page with the view."""
    assert leaderboard_url("http://127.0.0.1:5000/", "3", "abc") == (
        "http://127.0.0.1:5000/#/experiments/3/runs?workflowType=machine_learning&viewStateShareKey=abc"
    )


def test_the_note_has_the_ten_best_with_links() -> None:
    """Best first, each with a link to its run where it has one."""
    events = [event for trial in range(12) for event in begun(trial)]
    ends = [ended(trial, OutcomeKind.COMPLETED, value=0.1 * trial, epoch=3) for trial in range(12)]
    lines = note(fold(started(), *events, *ends), "1", "view", {11: "abc"}).splitlines()
    assert lines[0].startswith("**max val_accuracy** · 12 completed · [all trials, best first](#/experiments/1/")
    assert lines[2] == "|  | trial | objective | epoch | learning_rate | units |"
    assert lines[4] == "| 1 | [t0011](#/experiments/1/runs/abc) | 1.1 | 3 | 0.0001 | 384 |"
    assert len(lines) == 4 + 10


def test_a_note_finds_room() -> None:
    """Parameters are left out before the tag is cut; nothing in a cell breaks the table."""
    history = fold(started(), *begun(0), ended(0, OutcomeKind.COMPLETED, value=0.5, epoch=1))
    history.trials[0].params = {"odd": "a|b\n<i>c", **{f"{'n' * 240}{index}": "v" * 500 for index in range(50)}}
    text = note(history, "1", "view", {})
    assert len(text) < 8_000
    assert "| a\\|b &lt;i>c |" in text


def test_the_note_of_a_new_sweep() -> None:
    """No table yet."""
    assert note(fold(started()), "1", "view", {}).count("\n") == 0
