"""What a search has found is worth: its best configuration's true loss, or the hypervolume of its front."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .task import Losses, Seen, Task


def worth(task: Task, seen: Sequence[Seen]) -> float:
    """Return what a search has found that has seen these results; less is better.

    With one objective: the truth of the configuration and epoch with the lowest loss seen. With two: the hypervolume,
    negative, of all that was seen, by its truth. Before there is a result: that of the median configuration.
    """
    if not seen:
        return task.usual
    if len(task.metrics) > 1:
        return -hypervolume(task.truth(one.params, one.epoch) for one in seen)
    best = min(seen, key=lambda one: one.losses)
    return task.truth(best.params, best.epoch)[0]


def hypervolume(points: Iterable[Losses]) -> float:
    """Return the area that points of two losses dominate, as far as (1, 1)."""
    area, lowest = 0.0, 1.0
    for first, second in sorted(points):
        if first < 1.0 and second < lowest:
            area += (1.0 - first) * (lowest - second)
            lowest = second
    return area
