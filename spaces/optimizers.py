"""Every optimizer that Keras ships, each with the parameters that matter, as one function of `hp`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import keras_tuner

COMMON = ("adam", "adamw", "nadam", "sgd", "rmsprop", "lion")


def optimizer(
    hp: keras_tuner.HyperParameters,
    names: Sequence[str] = COMMON,
    *,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule | None = None,
    schedules: Sequence[str] = (),
    steps: int | None = None,
    weight_decay: bool = True,
    clipping: bool = True,
    ema: bool = False,
) -> keras.optimizers.Optimizer:
    """Choose one of `names` as `optimizer`, and its parameters as `optimizer/<name>/…`."""
    raise NotImplementedError


def ema_callbacks(model: keras.Model) -> list[keras.callbacks.Callback]:
    """Return the callback with which a model whose optimizer averages is validated on the averages; else none."""
    raise NotImplementedError
