"""What is searched for: the best value of one metric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import final

from ..spaces.errors import BadInput, did_you_mean


class Direction(StrEnum):
    """Which end of the metric is the good one."""

    MAX = "max"
    MIN = "min"


class At(StrEnum):
    """Which epoch's value counts."""

    BEST = "best"
    LAST = "last"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """`max val_accuracy`: a metric as Keras logs it, and a direction."""

    metric: str
    direction: Direction
    at: At = At.BEST

    @classmethod
    def parse(cls, text: str) -> Objective:
        """Return the objective that `text` (`max NAME` or `min NAME`) means.

        Raises:
            BadInput: it does not read so.
        """
        direction, _, metric = text.strip().partition(" ")
        valid = [str(one) for one in Direction]
        if direction not in valid or not metric.strip():
            hint = did_you_mean(direction, valid)
            raise BadInput(f"objective {text!r} was not understood{hint}; write `max val_accuracy` or `min val_loss`")
        return cls(metric=metric.strip(), direction=Direction(direction))

    def score(self, value: float) -> float:
        """Return `value` turned so that more is better."""
        return value if self.direction is Direction.MAX else -value

    def better(self, value: float, than: float | None) -> bool:
        """Say whether a finite `value` is strictly better than `than` (None: than nothing)."""
        return math.isfinite(value) and (than is None or self.score(value) > self.score(than))

    def __str__(self) -> str:
        return f"{self.direction} {self.metric}"
