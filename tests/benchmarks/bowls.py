"""Tasks for a contest whose answers are known by heart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

from contest.clock import Given, Search
from contest.task import ONE, TWO, Losses, Params, Task

from kerasweep.spaces import Space


def x_of(params: Params) -> float:
    """Return the parameter that all have."""
    x = params["x"]
    assert isinstance(x, float)
    return x


@final
class Bowl:
    """One objective over a conditional space: a run comes closer to its value in nine epochs, of a second each.

    Where `x` is above 0.8 it explodes after the second, above 0.9 in the first, unless it is calm.
    """

    name = "bowl"
    metrics = ONE
    epochs = 9
    best, usual, mean_s = 0.0, 0.5, 9.0
    space = Space.from_yaml("""
space:
  x: {min: 0.0, max: 1.0}
  kind:
    choice:
      wide: {width: {min: 8, max: 64, sampling: log}}
      deep: {layers: {min: 1, max: 4}, skip: [false, true]}
""")

    def __init__(self, *, calm: bool = False) -> None:
        self._calm = calm

    def run(self, params: Params, seed: int) -> Sequence[tuple[Losses, float]]:
        """Return the curve."""
        x = x_of(params)
        losses = [self.truth(params, epoch) for epoch in range(1, 10)]
        last = 9 if self._calm else 1 if x > 0.9 else 3 if x > 0.8 else 9
        if last < 9:
            losses = [*losses[: last - 1], (math.nan,)]
        return [(one, 1.0) for one in losses]

    def truth(self, params: Params, epoch: int) -> Losses:
        """Return the value, and what is missing to it by then."""
        types = {name: type(value) for name, value in params.items()}
        wide = {"x": float, "kind": str, "kind/wide/width": int}
        deep = {"x": float, "kind": str, "kind/deep/layers": int, "kind/deep/skip": bool}
        assert types == (wide if params["kind"] == "wide" else deep)
        return (abs(x_of(params) - 0.3) + 0.2 * (params["kind"] == "wide") + 1 / epoch,)


@final
class Pair:
    """Two objectives: `y` is to be 0, and `x` goes from the best of one to the best of the other."""

    name = "bbob-biobj/pair"
    metrics = TWO
    epochs = 1
    best, usual, mean_s = -2 / 3, 0.0, 1.0
    space = Space.from_yaml("space: {x: {min: 0.0, max: 1.0}, y: {min: 0.0, max: 4.0}}")

    def run(self, params: Params, seed: int) -> Sequence[tuple[Losses, float]]:
        """Return both values, which are ten times what is normalized."""
        first, second = self.truth(params, 1)
        return [((10 * first, 10 * second), 1.0)]

    def truth(self, params: Params, epoch: int) -> Losses:
        """Return both values; where `y` is 0 the second is 1 - sqrt(first)."""
        x, y = x_of(params), params["y"]
        assert isinstance(y, float)
        return x, 1 - math.sqrt(x) + y


@final
class Watched:
    """A search whose proposals are kept."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self.given: list[Given] = []

    def ask(self, worker: int) -> Given | None:
        """Ask, and keep it."""
        given = self._search.ask(worker)
        if given is not None:
            self.given.append(given)
        return given

    def report(self, key: str, epoch: int, losses: Losses) -> bool:
        """Pass it on."""
        return self._search.report(key, epoch, losses)

    def end(self, key: str, *, stopped: bool, failed: bool) -> None:
        """Pass it on."""
        self._search.end(key, stopped=stopped, failed=failed)


TASKS: tuple[Task, ...] = (Bowl(), Pair())
