"""What keeps a model from learning its training data by heart, as functions of `hp`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import keras_tuner


def dropout(
    hp: keras_tuner.HyperParameters, kinds: Sequence[str] = ("dropout",), *, rank: int = 0, max_rate: float = 0.5
) -> keras.layers.Layer:
    """Return a new dropout layer: kinds `dropout`, `gaussian`, `spatial` (of `rank` 1, 2 or 3 spatial dimensions)."""
    raise NotImplementedError


def regularizer(
    hp: keras_tuner.HyperParameters, kinds: Sequence[str] = ("none", "l1", "l2", "l1_l2")
) -> keras.regularizers.Regularizer | None:
    """Return a kernel regularizer, or None."""
    raise NotImplementedError


def normalization(
    hp: keras_tuner.HyperParameters, kinds: Sequence[str] = ("none", "batch", "layer")
) -> keras.layers.Layer:
    """Return a new normalization layer (`keras.layers.Identity` for none); kinds also `group` and `rms`."""
    raise NotImplementedError


def label_smoothing(hp: keras_tuner.HyperParameters) -> float:
    """Return the smoothing of one-hot labels for `keras.losses.CategoricalCrossentropy`."""
    raise NotImplementedError


def early_stopping(hp: keras_tuner.HyperParameters, monitor: str = "val_loss") -> keras.callbacks.EarlyStopping:
    """Return the callback that ends a training when `monitor` stops improving."""
    raise NotImplementedError
