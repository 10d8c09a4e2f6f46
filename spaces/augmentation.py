"""Changes to the training data that keep its labels true, as functions of `hp`; inference sees none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import keras
    import keras_tuner

Flip = Literal["horizontal", "vertical", "horizontal_and_vertical"]


def image_augmentation(
    hp: keras_tuner.HyperParameters,
    *,
    flip: Flip | None = None,
    value_range: tuple[float, float] = (0.0, 255.0),
    policies: Sequence[str] = ("none", "geometric", "photometric", "both", "rand_augment"),
) -> keras.layers.Layer:
    """Return a layer for images `(batch, height, width, channels)` that is active in training only."""
    raise NotImplementedError


def noise(hp: keras_tuner.HyperParameters, max_stddev: float = 0.3) -> keras.layers.Layer:
    """Return a `GaussianNoise` layer for standardized tables and sequences."""
    raise NotImplementedError


def mixing(
    hp: keras_tuner.HyperParameters, kinds: Sequence[str] = ("none", "mixup", "cutmix")
) -> Callable[[object, object], tuple[object, object]]:
    """Return a function of a batch `(images, one-hot labels)` for `tf.data.Dataset.map`."""
    raise NotImplementedError
