# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
"""Networks for text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .attention import transformer
from .convolution import cnn
from .errors import BadInput
from .recurrence import recurrent
from .regularization import dropout
from .spans import Span, choose, doubling

if TYPE_CHECKING:
    import keras
    import keras_tuner

ENCODERS = ("average", "cnn", "recurrent", "transformer")
RESERVED = 2
"""Tokens that `TextVectorization` keeps for padding (0) and unknown words (1)."""
FEWEST = 1_000
"""Words below which a vocabulary is not cut."""


def vocabulary(texts: Iterable[str], size: int = 20_000) -> tuple[str, ...]:
    """Return the `size` most frequent words of `texts`, most frequent first.

    Words are told apart as `keras.layers.TextVectorization` does by default: lower case, no punctuation, split at white
    space. Call it once, beside the data, not in `build(hp)`.

    Source: 20,000 words as in Google's guide to text classification
    (developers.google.com/machine-learning/guides/text-classification).
    """
    removed = str.maketrans("", "", "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'")
    words = Counter[str]()
    for one in texts:
        words.update(one.lower().translate(removed).split())
    return tuple(word for word, _ in sorted(words.items(), key=lambda item: (-item[1], item[0]))[:size])


def text(
    hp: keras_tuner.HyperParameters,
    x: keras.KerasTensor,
    words: Sequence[str] | int,
    *,
    name: str = "text",
    length: Span = (32, 512),
    width: Span = (16, 256),
    encoders: Sequence[str] = ENCODERS,
) -> keras.KerasTensor:
    """Embed the words of a text, and encode their sequence.

    Strings become tokens within the model, by `TextVectorization`; that layer works on TensorFlow's strings. On another
    backend give the model tokens instead: the same layer in the data, `words` being the number of different tokens.

    Sources:
        `average`: Joulin et al., Bag of Tricks for Efficient Text Classification (fastText), EACL 2017; `cnn`: Kim,
        Convolutional Neural Networks for Sentence Classification, EMNLP 2014; `recurrent` and `transformer` as the
        blocks of that name. Up to 20,000 words and some hundred words of each text as in Google's guide to text
        classification (developers.google.com/machine-learning/guides/text-classification).

    Args:
        hp: The hyperparameters.
        x: Strings, `(batch,)` or `(batch, 1)`; or tokens, `(batch, steps)`, 0 for padding.
        words: The vocabulary, most frequent first, of which the model takes a part; or, for tokens, their number.
        name: The scope of the parameters; those of the encoder are under `<name>/<encoder>`.
        length: Words of each text that are read; not asked for tokens.
        width: Features of each word.
        encoders: `average`, `cnn`, `recurrent`, `transformer`.

    Returns:
        `(batch, features)`.

    Raises:
        BadInput: `words` does not go with `x`, or an encoder is unknown.
    """
    from keras import layers

    with hp.name_scope(name):
        if x.dtype == "string":
            x, size = _tokens(hp, x, words, length)
        elif isinstance(words, int):
            size = words
        else:
            size = len(words) + RESERVED
        features = doubling(hp, "width", width, default=64)
        encoder = choose(hp, "encoder", encoders, ENCODERS)
        # A convolution has no use for the mask and would warn that it drops it.
        x = layers.Embedding(size, features, mask_zero=encoder != "cnn")(x)
        x = dropout(hp)(x)
        if encoder == "cnn":
            return cnn(hp, x, blocks=(1, 3), filters=(32, 128))
        if encoder == "recurrent":
            return recurrent(hp, x, layers=(1, 2))
        return transformer(hp, x, layers=(1, 4)) if encoder == "transformer" else layers.GlobalAveragePooling1D()(x)


def _tokens(
    hp: keras_tuner.HyperParameters, x: keras.KerasTensor, words: Sequence[str] | int, length: Span
) -> tuple[keras.KerasTensor, int]:
    """Return the tokens of strings, and how many different ones there are."""
    from keras import layers

    if isinstance(words, int) or not words:
        raise BadInput("text from strings needs its vocabulary, e.g. words=spaces.vocabulary(texts)")
    least = len(words)
    while least // 2 >= FEWEST:
        least //= 2  # from the whole vocabulary down, so that it is among the choices
    known = doubling(hp, "words", (least, len(words)), default=len(words))
    vectorize = layers.TextVectorization(
        vocabulary=list(words[:known]), output_sequence_length=doubling(hp, "length", length, default=128)
    )
    return vectorize(x), known + RESERVED
