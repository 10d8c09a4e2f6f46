# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
"""Transformer encoders for sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .errors import BadInput
from .ranges import Flag
from .regularization import dropout
from .spans import Span, choose, count, doubling, level

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    import keras_tuner


def transformer(
    hp: keras_tuner.HyperParameters,
    x: keras.KerasTensor,
    *,
    name: str = "transformer",
    layers: Span = (1, 6),
    width: Span = (32, 256),
    heads: int | Sequence[int] = (4, 2, 8),
    sequences: bool = False,
) -> keras.KerasTensor:
    """Pass a sequence through the layers of a transformer encoder.

    It is made of Keras's own layers and operations alone, so that a saved model loads where Kerasweep is not installed.

    Sources:
        Vaswani et al., Attention Is All You Need, NeurIPS 2017 (6 layers, 8 heads, feed-forward layers of 4 times the
        width; sinusoidal positions, and learned ones as the alternative); normalization first, which trains without
        warm-up: Xiong et al., On Layer Normalization in the Transformer Architecture, ICML 2020; GELU as in Devlin et
        al., BERT, NAACL 2019. Small models for small data: Keras's example Text classification with Transformer has
        1 layer, 2 heads, width 32.

    Args:
        hp: The hyperparameters.
        x: `(batch, steps, features)`; a mask is followed.
        name: The scope of the parameters.
        layers: How many encoder layers.
        width: Features of each step within the encoder, shared out between the heads.
        heads: Attention heads.
        sequences: Return a vector for each step instead of their average.

    Returns:
        `(batch, width)`, or `(batch, steps, width)`.

    Raises:
        BadInput: `x` is no batch of sequences.
    """
    from keras import layers as keras_layers

    if len(x.shape) != 3:
        raise BadInput(f"a transformer needs (steps, features), got {tuple(x.shape)[1:]}")
    with hp.name_scope(name):
        number = count(hp, "layers", layers, default=2)
        features = doubling(hp, "width", width, default=64)
        parts = level(hp, "heads", heads)
        factor = level(hp, "feed_forward", (4, 2, 1))
        first_normalized = Flag(True).ask(hp, "norm_first")
        known = x.shape[1] is not None
        kinds = ("learned", "sine", "none") if known else ("sine", "none")
        positions = choose(hp, "positions", kinds, kinds)
        x = keras_layers.Dense(features)(x)
        if positions != "none":
            x = _placed(x, _positions(x, learned=positions == "learned"))
        for _ in range(number):
            attention = keras_layers.MultiHeadAttention(parts, max(features // parts, 1))
            y = keras_layers.LayerNormalization()(x) if first_normalized else x
            x = keras_layers.Add()([x, dropout(hp)(attention(y, y))])
            x = x if first_normalized else keras_layers.LayerNormalization()(x)
            y = keras_layers.LayerNormalization()(x) if first_normalized else x
            y = keras_layers.Dense(features * factor, activation="gelu")(y)
            y = keras_layers.Dense(features)(y)
            x = keras_layers.Add()([x, dropout(hp)(y)])
            x = x if first_normalized else keras_layers.LayerNormalization()(x)
        if first_normalized:
            x = keras_layers.LayerNormalization()(x)
        return x if sequences else keras_layers.GlobalAveragePooling1D()(x)


def _placed(x: keras.KerasTensor, positions: keras.KerasTensor) -> keras.KerasTensor:
    """Add positions to `x` under the mask of `x`.

    A sum of a masked and an unmasked tensor has no mask in Keras; zeroed steps, which `Masking` finds, bring it back.
    """
    from keras import layers, ops

    mask = cast(Any, x)._keras_mask if hasattr(x, "_keras_mask") else None
    x = layers.Add()([x, positions])
    return x if mask is None else layers.Masking()(ops.multiply(x, ops.cast(ops.expand_dims(mask, -1), x.dtype)))


def _positions(x: keras.KerasTensor, *, learned: bool) -> keras.KerasTensor:
    """Return a vector per position, `(batch, steps, features)`.

    Counting what is there, rather than a layer of our own, keeps the model made of Keras's parts.
    """
    import numpy
    from keras import layers, ops

    width = x.shape[-1]
    index = ops.subtract(ops.cumsum(ops.ones_like(x[:, :, 0], dtype="int32"), axis=1), 1)
    if learned:
        return layers.Embedding(x.shape[1], width)(index)
    rates = numpy.power(10_000.0, -numpy.arange(0, width, 2) / width).astype("float32")
    angles = ops.multiply(ops.cast(ops.expand_dims(index, -1), "float32"), rates)  # half precision cannot count far
    waves: Any = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
    return cast(Any, ops.cast(waves[:, :, :width], x.dtype))
