"""Tests of the contest of `benchmarks/quality.py`: which cells there are, how one is played, what the table says."""

from __future__ import annotations

import math
from typing import Any

import pytest
from contest import ours
from contest.clock import Trace, drive
from contest.rivals import RIVALS
from contest.table import shown
from contest.task import Task
from contest.worth import worth
from quality import Plan

from .bowls import TASKS, Bowl, Pair, x_of

GAMES: list[tuple[Task, str]] = [
    *((task, search) for task in TASKS for search in ("kerasweep", "optuna-median", "random")),
    (Bowl(), "optuna-hyperband"),
    (Pair(), "optuna-nsga2"),
]


def played(search: str, task: Task, *, workers: int, limit_s: float) -> Trace:
    """Return what a search sees of a task."""
    if search == "kerasweep":
        return ours.sweep(task, workers=workers, limit_s=limit_s, seed=1)
    return drive(RIVALS[search](task, 1), task, workers=workers, limit_s=limit_s, seed=1)


@pytest.mark.parametrize(("task", "search"), GAMES, ids=lambda one: one if isinstance(one, str) else one.name)
def test_a_search_sees_what_its_trials_said_and_no_worker_idles(task: Task, search: str) -> None:
    """Losses are those of the configuration, one for each metric; an epoch takes a second of one worker."""
    trace = played(search, task, workers=3, limit_s=40.0)
    assert [one.at_s for one in trace.seen] == sorted(one.at_s for one in trace.seen)
    for one in trace.seen:
        losses, _ = task.run(one.params, 0)[one.epoch - 1]
        assert one.losses == pytest.approx(losses)
        assert len(one.losses) == len(task.metrics)
    exploded = sum(x_of(one.params) > 0.8 for one in trace.seen) if isinstance(task, Bowl) else 0
    assert 0.75 * 120 - exploded <= len(trace.seen) <= 120


@pytest.mark.parametrize(("task", "search"), GAMES, ids=lambda one: one if isinstance(one, str) else one.name)
def test_a_cell_that_is_played_again_is_the_same(task: Task, search: str) -> None:
    """Trial by trial, so that the table can be made again."""
    once, again = (played(search, task, workers=3, limit_s=20.0).seen for _ in range(2))
    assert once == again


@pytest.mark.parametrize("search", ["kerasweep", "optuna-median"])
def test_a_search_for_two_objectives_learns_from_both(search: str) -> None:
    """It finds far more of the front than random search does in the same time."""
    task = Pair()
    found = played(search, task, workers=1, limit_s=80.0)
    drawn = played("random", task, workers=1, limit_s=80.0)
    assert len(found.seen) == len(drawn.seen) == 80
    assert worth(task, found.seen) - task.best < 0.7 * (worth(task, drawn.seen) - task.best)


def test_what_explodes_ends_and_is_not_seen() -> None:
    """Where x is above 0.9 no epoch is seen, above 0.8 two are; the worker goes on."""
    trace = played("random", Bowl(), workers=1, limit_s=300.0)
    assert not [one for one in trace.seen if x_of(one.params) > 0.9]
    assert {one.epoch for one in trace.seen if x_of(one.params) > 0.8} == {1, 2}
    assert all(math.isfinite(one.losses[0]) for one in trace.seen)


def test_the_plan_has_each_rival_where_it_can_play() -> None:
    """KerasTuner on four tasks with five seeds; NSGA-II for two objectives alone; no rival twice where it is the same."""
    cells = list(Plan(workers=(1,)).cells())
    by = {name: {one.task for one in cells if one.search == name} for name in {one.search for one in cells}}
    pairs = {one.task for one in cells if one.task.startswith("bbob-biobj/")}
    curves = {one.task for one in cells if one.task.startswith("keras/")}
    assert len(pairs) == 5
    assert by["kerasweep"] == by["random"] == by["glue"] == by["optuna-median"] > pairs | curves
    assert by["optuna-nsga2"] == pairs
    assert by["glue-3"] == by["optuna-hyperband"] == curves
    assert by["kerastuner-bayesian"] == by["kerastuner-hyperband"]
    assert len(by["kerastuner-bayesian"]) == 4
    assert max(one.seed for one in cells if one.search == "kerastuner-bayesian") == 4


def row(task: str, search: str, seed: int, regret: float) -> dict[str, Any]:
    """Return a cell that has come to one regret and stayed there."""
    return {"task": task, "search": search, "workers": 1, "seed": seed, "regret": [regret] * 60}


def test_the_table_has_a_section_for_those_who_played_a_part() -> None:
    """All tasks with the searches that played all; KerasTuner's; those with two objectives, where no search is twice."""
    rows: list[dict[str, Any]] = []
    for seed in range(3):
        for task in ("hpobench/car", "bbob-biobj/f2", "bbob-biobj/f21"):
            rows += [row(task, "kerasweep", seed, 0.1), row(task, "glue", seed, 0.2), row(task, "random", seed, 0.4)]
        rows += [row("hpobench/car", "kerastuner-bayesian", seed, 0.3)]
        rows += [row(task, "optuna-nsga2", seed, 0.3) for task in ("bbob-biobj/f2", "bbob-biobj/f21")]
    sections = {part.partition(":")[0]: part for part in shown(rows).split("### ")[1:]}
    assert [*sections] == ["1 workers", "1 workers, with KerasTuner", "1 workers, two objectives"]
    whole, slow, two = sections.values()
    assert "3 tasks" in whole
    assert "| glue-3 |" in whole
    assert "nsga2" not in whole
    assert "1 tasks" in slow
    assert "| kerastuner-bayesian | 4.00" in slow
    assert "2 tasks" in two
    assert "| optuna-nsga2 | 3.00" in two
    assert "| kerasweep | 1.00" in two
    assert "glue-3" not in two


@pytest.mark.parametrize(("tasks", "p"), [(5, 0.002), (9, 0.0039)])
def test_few_tasks_are_told_apart_by_their_seeds(tasks: int, p: float) -> None:
    """Over tasks five that are all won have p = 0.06; ten pairs of task and seed have 0.002. At each share of the time."""
    rows: list[dict[str, Any]] = []
    for seed in range(2):
        for place in range(tasks):
            rows += [
                row(f"hpobench/{place}", "kerasweep", seed, 0.1),
                row(f"hpobench/{place}", "glue", seed, 0.2 + place / 9),
            ]
    against = shown(rows).partition("Kerasweep against each")[2]
    assert against.count(f"+1.00, p = {p:.2g}") == 2 * 5  # glue, and glue-3, which is the same there
