"""Tests of `benchmarks/contest/worth.py` and of regrets over time."""

from __future__ import annotations

import random
from itertools import pairwise, product

import pytest
from contest.cells import POINTS, regrets
from contest.coco import ends_of_front
from contest.task import Losses, Seen
from contest.worth import hypervolume, worth

from .bowls import Bowl, Pair


def boxes(points: list[Losses]) -> float:
    """Return the dominated area box by box of the grid that the points make."""
    marks = [sorted({1.0, *(min(one[side], 1.0) for one in points)}) for side in (0, 1)]
    area = 0.0
    for (left, right), (low, high) in product(pairwise(marks[0]), pairwise(marks[1])):
        if any(first <= left and second <= low for first, second in points):
            area += (right - left) * (high - low)
    return area


@pytest.mark.parametrize("seed", range(20))
def test_hypervolume_is_the_area_of_all_boxes_that_are_dominated(seed: int) -> None:
    """Whatever points there are: equal ones, on one line, beyond the reference, better than the ideal."""
    draw = random.Random(seed)
    values = [draw.choice([-0.5, 0.0, 0.25, 0.25, draw.random(), draw.random(), 1.0, 2.0]) for _ in range(40)]
    points = list(zip(values[::2], values[1::2], strict=True))
    assert hypervolume(points) == pytest.approx(boxes(points))
    assert hypervolume(reversed(points)) == hypervolume(points)


def test_hypervolume_of_known_fronts() -> None:
    """Nothing, the ideal, the nadir, a staircase."""
    assert hypervolume([]) == 0
    assert hypervolume([(0.0, 0.0)]) == 1
    assert hypervolume([(1.0, 0.0), (0.0, 1.0), (1.5, -9.0)]) == 0
    assert hypervolume([(0.0, 0.5), (0.5, 0.0), (0.5, 0.5)]) == 0.75


def test_the_front_of_two_functions_ends_at_the_optimum_of_each() -> None:
    """Each function's worst value on the front is that at the other's optimum."""
    assert ends_of_front([(1.0, 20.0), (10.0, 2.0)]) == ((1.0, 2.0), (10.0, 20.0))


def test_regret_with_two_objectives_falls_to_nothing_as_the_front_fills() -> None:
    """One is no result; dominated results change nothing; the whole front leaves what its steps leave."""
    task = Pair()
    found = [(0.25, 0.0), (0.25, 0.4), (0.0, 0.5), *((step / 1000, 0.0) for step in range(1000))]
    seen = [Seen(at_s, {"x": x, "y": y}, 1, (0.0, 0.0)) for at_s, (x, y) in enumerate(found, 2)]
    assert worth(task, []) == 0
    assert worth(task, seen[:1]) == worth(task, seen[:2]) == pytest.approx(-0.75 * 0.5)
    assert worth(task, seen[:3]) == pytest.approx(-0.75 * 0.5)
    values = regrets(task, seen, 60.0)
    assert len(values) == POINTS
    assert values[0] == 1
    assert values[1:4] == pytest.approx([1 - 0.375 / (2 / 3)] * 3)
    assert all(later <= former for former, later in pairwise(values))
    assert regrets(task, seen, 2000.0)[-1] == pytest.approx(0, abs=2e-3)


def test_regret_with_one_objective_is_that_of_the_lowest_loss_seen() -> None:
    """By its truth, which may be worse than what was there before; of equals it is the first."""
    task = Bowl()
    params = [{"x": x, "kind": "deep", "kind/deep/layers": 1, "kind/deep/skip": True} for x in (0.5, 0.7, 0.3)]
    told = [0.4, 0.1, 0.1]
    seen = [Seen(at_s, one, 9, (loss,)) for at_s, one, loss in zip((15, 30, 45), params, told, strict=True)]
    values = regrets(task, seen, 60.0)
    assert values[13] == 1
    assert values[14] == values[28] == pytest.approx((0.2 + 1 / 9) / 0.5)
    assert values[29] == values[-1] == pytest.approx((0.4 + 1 / 9) / 0.5)
