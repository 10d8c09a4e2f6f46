# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
"""Convolutional networks for sequences, images and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .dense import ACTIVATIONS
from .errors import BadInput
from .regularization import dropout, normalization
from .spans import Span, choose, count, doubling, level

if TYPE_CHECKING:
    import keras
    import keras_tuner


POOLINGS = ("average", "max")


def cnn(
    hp: keras_tuner.HyperParameters,
    x: keras.KerasTensor,
    *,
    name: str = "cnn",
    blocks: Span = (1, 4),
    filters: Span = (16, 64),
    kernel_sizes: int | Sequence[int] = (3, 5),
    activations: Sequence[str] = ACTIVATIONS,
) -> keras.KerasTensor:
    """Pass a sequence, an image or a volume through blocks of convolutions, each of which halves the size.

    Each block has twice the filters of the one before. What remains is pooled over all positions, so that the size of
    the input may be unknown.

    Sources:
        Stacks of small convolutions with filters that double as the size is halved: Simonyan & Zisserman, Very Deep
        Convolutional Networks for Large-Scale Image Recognition, ICLR 2015; global average pooling: Lin et al.,
        Network In Network, ICLR 2014; normalization between convolution and activation: Ioffe & Szegedy, Batch
        Normalization, ICML 2015.

    Args:
        hp: The hyperparameters.
        x: `(batch, steps, features)`, `(batch, height, width, channels)` or `(batch, depth, height, width, channels)`.
        name: The scope of the parameters.
        blocks: How many blocks.
        filters: Filters of the first block.
        kernel_sizes: Width of all kernels.
        activations: After each convolution.

    Returns:
        `(batch, filters of the last block)`.

    Raises:
        BadInput: `x` has another rank.
    """
    from keras import layers

    rank = len(x.shape) - 2
    kinds = {
        1: (layers.Conv1D, layers.MaxPooling1D, layers.GlobalAveragePooling1D, layers.GlobalMaxPooling1D),
        2: (layers.Conv2D, layers.MaxPooling2D, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D),
        3: (layers.Conv3D, layers.MaxPooling3D, layers.GlobalAveragePooling3D, layers.GlobalMaxPooling3D),
    }
    if rank not in kinds:
        raise BadInput(
            f"a convolution needs (steps, features), (height, width, channels) or (depth, height, width, channels), "
            f"got {tuple(x.shape)[1:]}; for a vector use mlp, for an image without channels add keras.layers.Reshape"
        )
    convolution, shrink, average, maximum = kinds[rank]
    with hp.name_scope(name):
        number = count(hp, "blocks", blocks, default=3)
        width = doubling(hp, "filters", filters, default=32)
        convolutions = count(hp, "convolutions", (1, 2), default=1)
        kernel_size = level(hp, "kernel_size", kernel_sizes)
        activation = choose(hp, "activation", activations)
        for block in range(number):
            for _ in range(convolutions):
                x = convolution(width * 2**block, kernel_size, padding="same")(x)
                x = normalization(hp, ("batch", "none"))(x)
                x = layers.Activation(activation)(x)
            if block < number - 1:
                x = shrink(padding="same")(x)
        pooling = choose(hp, "pooling", POOLINGS, POOLINGS)
        x = (average if pooling == "average" else maximum)()(x)
        return dropout(hp)(x)
