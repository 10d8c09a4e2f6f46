"""One cell: one search on one task with so many workers and a seed, and what its best was worth as time went by."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

from . import ours
from .clock import Trace, drive
from .rivals import RIVALS
from .task import Seen, Task
from .tasks import task
from .worth import worth

POINTS = 60
"""A cell's regret is noted at so many times, equally far apart, the last at the end."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What is played; it lasts `rounds` times the mean of a whole run."""

    task: str
    search: str
    workers: int
    seed: int
    rounds: int


def played(cell: Cell) -> dict[str, Any]:
    """Play a cell; return it with its regret over time, trials and processor seconds."""
    what = task(cell.task)
    limit_s = cell.rounds * what.mean_s
    trace = _trace(cell, what, limit_s)
    regret = [float(f"{one:.4g}") for one in regrets(what, trace.seen, limit_s)]
    return {**asdict(cell), "trials": trace.trials, "cpu_s": round(trace.cpu_s, 2), "regret": regret}


def _trace(cell: Cell, what: Task, limit_s: float) -> Trace:
    if cell.search == "kerasweep":
        return ours.sweep(what, workers=cell.workers, limit_s=limit_s, seed=cell.seed)
    if cell.search.startswith("kerasweep-"):
        sampler = cell.search.removeprefix("kerasweep-")
        return ours.sweep(what, workers=cell.workers, limit_s=limit_s, seed=cell.seed, sampler=sampler)
    search = RIVALS[cell.search](what, cell.seed)
    return drive(search, what, workers=cell.workers, limit_s=limit_s, seed=cell.seed)


def regrets(what: Task, seen: Sequence[Seen], limit_s: float) -> list[float]:
    """Return the normalized regret at each time: 0 is the best there is, 1 the median configuration."""
    found: list[float] = []
    for point in range(1, POINTS + 1):
        past = bisect_right(seen, limit_s * point / POINTS, key=lambda one: one.at_s)
        found.append((worth(what, seen[:past]) - what.best) / ((what.usual - what.best) or 1.0))
    return found
