# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
"""Recurrent networks for sequences, of vectors and of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .convolution import cnn
from .errors import BadInput
from .ranges import Flag
from .regularization import dropout
from .residual import MOMENTUM
from .spans import Span, choose, count, doubling, level

if TYPE_CHECKING:
    import keras
    import keras_tuner

CELLS = ("gru", "lstm")
POOLINGS = ("last", "average")
KINDS = ("cnn_rnn", "conv_lstm")


def recurrent(
    hp: keras_tuner.HyperParameters,
    x: keras.KerasTensor,
    *,
    name: str = "recurrent",
    layers: Span = (1, 3),
    units: Span = (32, 256),
    cells: Sequence[str] = CELLS,
    sequences: bool = False,
) -> keras.KerasTensor:
    """Pass a sequence through stacked recurrent layers, in one direction or in both.

    The settings are those with which Keras uses cuDNN on a graphics processor; so there is no recurrent dropout.

    Sources:
        LSTM: Hochreiter & Schmidhuber, Long Short-Term Memory, 1997; GRU: Cho et al., Learning Phrase Representations
        using RNN Encoder-Decoder, EMNLP 2014; both directions: Schuster & Paliwal, Bidirectional Recurrent Neural
        Networks, 1997; that hidden size matters next to the learning rate, and up to some hundred units: Greff et
        al., LSTM: A Search Space Odyssey, 2017.

    Args:
        hp: The hyperparameters.
        x: `(batch, steps, features)`; a mask is followed.
        name: The scope of the parameters.
        layers: How many layers.
        units: Units of each layer, in each direction.
        cells: `gru`, `lstm`.
        sequences: Return a vector for each step instead of one for all.

    Returns:
        `(batch, units)`, or `(batch, steps, units)`; twice the units where both directions are read.

    Raises:
        BadInput: `x` is no batch of sequences, or a cell is unknown.
    """
    from keras import layers as keras_layers

    if len(x.shape) != 3:
        raise BadInput(f"a recurrent network needs (steps, features), got {tuple(x.shape)[1:]}")
    with hp.name_scope(name):
        cell = choose(hp, "cell", cells, CELLS)
        kinds = {"lstm": keras_layers.LSTM, "gru": keras_layers.GRU}
        both = Flag(True).ask(hp, "bidirectional")
        number = count(hp, "layers", layers, default=1)
        pooling = "none" if sequences else choose(hp, "pooling", POOLINGS, POOLINGS)
        for index in range(number):
            every_step = pooling != "last" or index < number - 1
            layer = kinds[cell](doubling(hp, f"units_{index}", units, default=128), return_sequences=every_step)
            x = keras_layers.Bidirectional(layer)(x) if both else layer(x)
            x = dropout(hp)(x)
        return keras_layers.GlobalAveragePooling1D()(x) if pooling == "average" else x


def convolutional_recurrent(
    hp: keras_tuner.HyperParameters,
    x: keras.KerasTensor,
    *,
    name: str = "convolutional_recurrent",
    layers: Span = (1, 3),
    filters: Span = (8, 64),
    kinds: Sequence[str] = KINDS,
) -> keras.KerasTensor:
    """Pass a sequence of images through a CNN per image and a recurrent network, or through convolutional LSTMs.

    Sources:
        `cnn_rnn`: Donahue et al., Long-term Recurrent Convolutional Networks for Visual Recognition and Description,
        CVPR 2015; `conv_lstm`: Shi et al., Convolutional LSTM Network: A Machine Learning Approach for Precipitation
        Nowcasting, NeurIPS 2015, with normalization between up to three layers of 64 filters as in Keras's example
        Next-Frame Video Prediction with Convolutional LSTMs.

    Args:
        hp: The hyperparameters.
        x: `(batch, frames, height, width, channels)`.
        name: The scope of the parameters; those of the two parts of `cnn_rnn` are under `<name>/cnn` and
            `<name>/recurrent`.
        layers: How many convolutional LSTMs.
        filters: Filters of each convolutional LSTM, and of the CNN's first block.
        kinds: `cnn_rnn`, `conv_lstm`.

    Returns:
        `(batch, features)`.

    Raises:
        BadInput: `x` is no batch of sequences of images.
    """
    import keras
    from keras import layers as keras_layers

    if len(x.shape) != 5:
        raise BadInput(f"a sequence of images is (frames, height, width, channels), got {tuple(x.shape)[1:]}")
    with hp.name_scope(name):
        if choose(hp, "kind", kinds, KINDS) == "cnn_rnn":
            frame: Any = keras.Input(x.shape[2:])
            eye = keras.Model(frame, cnn(hp, frame, filters=filters))
            return recurrent(hp, keras_layers.TimeDistributed(eye)(x))
        kernel_size = level(hp, "kernel_size", (3, 5))
        number = count(hp, "layers", layers, default=1)
        for index in range(number):
            width = doubling(hp, f"filters_{index}", filters, default=32)
            last = index == number - 1
            x = keras_layers.ConvLSTM2D(width, kernel_size, padding="same", return_sequences=not last)(x)
            x = keras_layers.BatchNormalization(momentum=MOMENTUM)(x)
        x = keras_layers.GlobalAveragePooling2D()(x)
        return dropout(hp)(x)
