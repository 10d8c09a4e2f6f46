"""Learning rates over a training, as functions of `hp`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import keras_tuner

COMMON = ("constant", "cosine", "exponential", "polynomial", "one_cycle")


def schedule(
    hp: keras_tuner.HyperParameters,
    learning_rate: float,
    names: Sequence[str] = COMMON,
    *,
    steps: int | None = None,
    warmup: bool = True,
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Choose one of `names` as `schedule`, with `learning_rate` as its peak; `steps` = epochs x steps per epoch."""
    raise NotImplementedError


def plateau(hp: keras_tuner.HyperParameters, monitor: str = "val_loss") -> keras.callbacks.ReduceLROnPlateau:
    """Return the callback that lowers the learning rate when `monitor` stops improving."""
    raise NotImplementedError
