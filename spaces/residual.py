# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
"""Residual networks for images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import BadInput
from .ranges import Flag
from .regularization import dropout
from .spans import Span, choose, count, doubling

if TYPE_CHECKING:
    import keras
    import keras_tuner

LARGE = 96
"""Pixels from which on an image is first reduced fourfold, as the ImageNet networks do and the CIFAR ones do not."""

VERSIONS = ("v2", "v1")
MOMENTUM = 0.9
"""Of the averages that normalization keeps; Keras's 0.99 lags behind in the first hundreds of steps."""


def resnet(
    hp: keras_tuner.HyperParameters,
    x: keras.KerasTensor,
    *,
    name: str = "resnet",
    stages: Span = (2, 4),
    blocks: Span = (1, 4),
    filters: Span = (16, 64),
    versions: Sequence[str] = VERSIONS,
) -> keras.KerasTensor:
    """Pass an image through stages of residual blocks; each stage halves the size and doubles the filters.

    Sources:
        v1: He et al., Deep Residual Learning for Image Recognition, CVPR 2016 (3 stages from 16 filters for images of
        32 x 32, 4 stages from 64 filters behind a 7 x 7 convolution and pooling for large ones); v2, normalization
        and activation first: He et al., Identity Mappings in Deep Residual Networks, ECCV 2016; squeeze-and-excitation
        with a reduction of 16: Hu et al., Squeeze-and-Excitation Networks, CVPR 2018.

    Args:
        hp: The hyperparameters.
        x: `(batch, height, width, channels)`.
        name: The scope of the parameters.
        stages: How many stages.
        blocks: Residual blocks of two 3 x 3 convolutions, in each stage.
        filters: Filters of the first stage.
        versions: `v2`, `v1`.

    Returns:
        `(batch, filters of the last stage)`.

    Raises:
        BadInput: `x` is no batch of images.
    """
    from keras import layers

    if len(x.shape) != 4:
        raise BadInput(f"a residual network needs (height, width, channels), got {tuple(x.shape)[1:]}")
    with hp.name_scope(name):
        number = count(hp, "stages", stages, default=3)
        width = doubling(hp, "filters", filters, default=32)
        first_normalized = choose(hp, "version", versions, VERSIONS) == "v2"
        squeeze = Flag(False).ask(hp, "squeeze_excitation")
        x = _stem(x, width, first_normalized)
        for stage in range(number):
            for block in range(count(hp, f"blocks_{stage}", blocks, default=2)):
                stride = 2 if stage > 0 and block == 0 else 1
                x = _block(x, width * 2**stage, stride, first_normalized, squeeze)
        if first_normalized:
            x = _normalized(x)
        x = layers.GlobalAveragePooling2D()(x)
        return dropout(hp)(x)


def _stem(x: keras.KerasTensor, filters: int, first_normalized: bool) -> keras.KerasTensor:
    from keras import layers

    large = min(size or LARGE for size in x.shape[1:3]) >= LARGE
    if large:
        x = layers.Conv2D(filters, 7, strides=2, padding="same", use_bias=False)(x)
    else:
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    if not first_normalized:
        x = _normalized(x)
    return layers.MaxPooling2D(3, strides=2, padding="same")(x) if large else x


def _block(x: keras.KerasTensor, filters: int, stride: int, first_normalized: bool, squeeze: bool) -> keras.KerasTensor:
    """Add two convolutions of `x` to `x`, which is projected where its shape changes."""
    from keras import layers

    start = _normalized(x) if first_normalized else x
    y = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(start)
    y = _normalized(y)
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
    if not first_normalized:
        y = layers.BatchNormalization(momentum=MOMENTUM)(y)
    if squeeze:
        y = _squeezed(y, filters)
    if stride > 1 or x.shape[-1] != filters:
        x = layers.Conv2D(filters, 1, strides=stride, use_bias=False)(start)
        if not first_normalized:
            x = layers.BatchNormalization(momentum=MOMENTUM)(x)
    x = layers.Add()([x, y])
    return x if first_normalized else layers.Activation("relu")(x)


def _squeezed(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    """Weigh the channels by what all positions together say of them."""
    from keras import layers

    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = layers.Dense(max(filters // 16, 4), activation="relu")(weights)
    weights = layers.Dense(filters, activation="sigmoid")(weights)
    return layers.Multiply()([x, weights])


def _normalized(x: keras.KerasTensor) -> keras.KerasTensor:
    from keras import layers

    return layers.Activation("relu")(layers.BatchNormalization(momentum=MOMENTUM)(x))
