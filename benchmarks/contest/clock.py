"""The clock that all searches share: workers on an event heap, in simulated seconds.

What a search does between a result and its next proposal costs no simulated time; what it costs in reality is noted.
"""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass
from typing import Protocol, final

from .task import Losses, Params, Seen, Task


@final
@dataclass(frozen=True, slots=True)
class Given:
    """What a worker is to train: parameters, up to an epoch, from the epoch that is done already."""

    key: str
    params: Params
    until: int
    since: int = 0


class Search(Protocol):
    """A search as the clock drives it."""

    def ask(self, worker: int) -> Given | None:
        """Return what a free worker trains; None: nothing now."""
        ...

    def report(self, key: str, epoch: int, losses: Losses) -> bool:
        """Take in the losses of an epoch; return True to have the trial stopped."""
        ...

    def end(self, key: str, *, stopped: bool, failed: bool) -> None:
        """Take note that a trial was stopped, failed, or came to its end."""
        ...


@final
@dataclass(slots=True)
class Trace:
    """What a search has seen by the end, in order; `cpu_s` is what it took to decide."""

    seen: list[Seen]
    trials: int
    cpu_s: float


def drive(search: Search, task: Task, *, workers: int, limit_s: float, seed: int) -> Trace:
    """Run a search on a task for so many simulated seconds."""
    heap: list[tuple[float, int, int]] = [(0.0, worker, worker) for worker in range(workers)]
    heapq.heapify(heap)
    order, trials = workers, 0
    work: dict[int, tuple[Given, list[tuple[Losses, float]], int]] = {}
    idle: list[int] = []
    seen: list[Seen] = []
    began = time.process_time()
    while heap:
        at_s, _, worker = heapq.heappop(heap)
        if at_s > limit_s:
            break
        free = True
        if worker in work:
            given, run, done = work.pop(worker)
            losses, _ = run[done]
            epoch = done + 1
            if not all(map(math.isfinite, losses)):
                search.end(given.key, stopped=False, failed=True)
            else:
                seen.append(Seen(at_s, given.params, epoch, losses))
                stop = search.report(given.key, epoch, losses)
                last = epoch >= min(given.until, len(run))
                if stop or last:
                    search.end(given.key, stopped=stop, failed=False)
                else:
                    order += 1
                    work[worker] = given, run, epoch
                    heapq.heappush(heap, (at_s + run[epoch][1], order, worker))
                    free = False
        waiting = [*idle, worker] if free else []
        idle = idle if not free else []
        for one in waiting:
            given = search.ask(one)
            if given is None:
                idle.append(one)
                continue
            run = list(task.run(given.params, seed * 1_000_003 + trials))
            since = min(given.since, len(run) - 1)  # what exploded does so again
            trials += 1
            order += 1
            work[one] = given, run, since
            heapq.heappush(heap, (at_s + run[since][1], order, one))
    return Trace(seen, trials, time.process_time() - began)
