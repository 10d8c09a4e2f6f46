# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
"""Dense networks for vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .regularization import dropout, normalization
from .spans import Span, choose, count, doubling

if TYPE_CHECKING:
    import keras
    import keras_tuner

ACTIVATIONS = ("relu", "gelu", "silu")


def mlp(
    hp: keras_tuner.HyperParameters,
    x: keras.KerasTensor,
    *,
    name: str = "mlp",
    layers: Span = (1, 4),
    units: Span = (32, 512),
    activations: Sequence[str] = ACTIVATIONS,
    normalizations: Sequence[str] = ("batch", "layer", "none"),
) -> keras.KerasTensor:
    """Pass a vector through dense layers, each of its own width.

    Sources:
        Up to some hundred units and dropout of 0 to 0.5 as in the search space for tabular data of Gorishniy et al.,
        Revisiting Deep Learning Models for Tabular Data, NeurIPS 2021; normalization: Ioffe & Szegedy, Batch
        Normalization, ICML 2015, and Ba et al., Layer Normalization, 2016; GELU: Hendrycks & Gimpel, 2016; SiLU
        (swish): Ramachandran et al., Searching for Activation Functions, 2017.

    Args:
        hp: The hyperparameters.
        x: `(batch, features)`; anything of higher rank is flattened.
        name: The scope of the parameters.
        layers: How many layers.
        units: Width of each layer.
        activations: After each layer.
        normalizations: Between each layer and its activation: `batch`, `layer`, `rms`, `none`.

    Returns:
        `(batch, units of the last layer)`.
    """
    from keras import layers as keras_layers

    if len(x.shape) > 2:
        x = keras_layers.Flatten()(x)
    with hp.name_scope(name):
        number = count(hp, "layers", layers, default=2)
        activation = choose(hp, "activation", activations)
        for index in range(number):
            x = keras_layers.Dense(doubling(hp, f"units_{index}", units, default=128))(x)
            x = normalization(hp, normalizations)(x)
            x = keras_layers.Activation(activation)(x)
            x = dropout(hp)(x)
    return x
