"""What is searched for: the best value of one metric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, final

from ..spaces.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    import keras_tuner

DEFAULT = "default_objective"
"""KerasTuner's name for the number that a `fit` of its own returns where no objective was named; it is minimised."""

_UP = frozenset(
    [
        "acc",
        "accuracy",
        "auc",
        "binary_accuracy",
        "categorical_accuracy",
        "precision",
        "recall",
        "sparse_categorical_accuracy",
        "sparse_top_k_categorical_accuracy",
        "top_k_categorical_accuracy",
        "true_negatives",
        "true_positives",
    ]
)
_DOWN = frozenset(
    [
        "loss",
        "bce",
        "binary_crossentropy",
        "binary_focal_crossentropy",
        "categorical_crossentropy",
        "categorical_focal_crossentropy",
        "categorical_hinge",
        "ce",
        "circle",
        "crossentropy",
        "ctc",
        "dice",
        "false_negatives",
        "false_positives",
        "hinge",
        "huber",
        "kl_divergence",
        "log_cosh",
        "log_cosh_error",
        "mae",
        "mape",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_squared_error",
        "mean_squared_logarithmic_error",
        "mse",
        "msle",
        "poisson",
        "root_mean_squared_error",
        "sparse_categorical_crossentropy",
        "squared_hinge",
        "tversky",
    ]
)
"""Of Keras's names those whose direction KerasTuner infers rightly; it would minimise `f1_score` and `r2_score`."""


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
            hint = "" if direction in valid else did_you_mean(direction, valid)
            raise BadInput(f"objective {text!r} was not understood{hint}; write `max val_accuracy` or `min val_loss`")
        return cls(metric=metric.strip(), direction=Direction(direction))

    @classmethod
    def of(cls, given: str | keras_tuner.Objective | None) -> Objective:
        """Return the objective that a caller from Python means; None: what `fit` returns, minimised.

        Raises:
            BadInput: it cannot be understood, or is several.
        """
        if given is None:
            return cls(metric=DEFAULT, direction=Direction.MIN)
        if isinstance(given, str):
            direction = inferred_direction(given)
            return cls.parse(given) if direction is None else cls(metric=given, direction=direction)
        if not hasattr(given, "direction") or hasattr(given, "objectives"):
            raise BadInput(f"objective {given!r} is not one objective; expected a name or one keras_tuner.Objective")
        return cls.parse(f"{given.direction} {given.name}")

    def score(self, value: float) -> float:
        """Return `value` turned so that more is better."""
        return value if self.direction is Direction.MAX else -value

    def better(self, value: float, than: float | None) -> bool:
        """Say whether a finite `value` is strictly better than `than` (None: than nothing)."""
        return math.isfinite(value) and (than is None or self.score(value) > self.score(than))

    def __str__(self) -> str:
        return f"{self.direction} {self.metric}"


def inferred_direction(metric: str) -> Direction | None:
    """Return which end of a metric of Keras's own is the good one, by its name; None where that does not tell."""
    name = metric.removeprefix("val_").removeprefix("weighted_")
    return Direction.MAX if name in _UP else Direction.MIN if name in _DOWN else None
