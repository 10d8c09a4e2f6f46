"""What a search is given and what comes of it: a task, and results of it; losses are minimised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, final

from kerasweep.spaces import Space
from kerasweep.spaces.trial import Scalar

Params = Mapping[str, Scalar]
Losses = tuple[float, ...]
"""One for each of a task's metrics."""
ONE: tuple[str, ...] = ("loss",)
TWO: tuple[str, ...] = ("first", "second")


class Task(Protocol):
    """Something to search; `epochs` is 1 where only whole runs are known."""

    name: str
    space: Space
    metrics: tuple[str, ...]
    """The names of the losses: one objective, or two."""
    epochs: int
    best: float
    """The lowest worth there is."""
    usual: float
    """The median worth of a random configuration."""
    mean_s: float
    """The mean seconds of a whole run of a random configuration."""

    def run(self, params: Params, seed: int) -> Sequence[tuple[Losses, float]]:
        """Return losses and seconds of each epoch of one run; one that is not finite ends it."""
        ...

    def truth(self, params: Params, epoch: int) -> Losses:
        """Return a configuration's losses after so many epochs, without the noise of one run.

        Two are normalized: 0 is the ideal point's, 1 the nadir point's.
        """
        ...


@final
@dataclass(frozen=True, slots=True)
class Seen:
    """A result: when, of what, after how many epochs, and the losses that the search was told."""

    at_s: float
    params: Params
    epoch: int
    losses: Losses
