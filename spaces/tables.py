# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
"""Tables: numbers standardized or binned, categories looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from .errors import BadInput, did_you_mean
from .spans import Span, choose, doubling

if TYPE_CHECKING:
    import keras
    import keras_tuner
    import numpy
    from numpy.typing import ArrayLike, NDArray

NUMBERS = ("standardized", "binned")
CATEGORIES = ("one_hot", "embedding")


def table_inputs(columns: Mapping[str, ArrayLike]) -> dict[str, keras.KerasTensor]:
    """Return an input of shape `(batch, 1)` for each column: strings, integers (also Booleans) or floats, as they are.

    An integer column is taken for a category; give a count or an amount as floats.
    """
    import keras
    import numpy

    kinds = {"f": "float32", "i": "int64", "u": "int64", "b": "int64"}
    return {
        name: cast(Any, keras.Input((1,), name=name, dtype=kinds.get(numpy.asarray(column).dtype.kind, "string")))
        for name, column in columns.items()
    }


def tabular(
    hp: keras_tuner.HyperParameters,
    inputs: Mapping[str, keras.KerasTensor] | keras.KerasTensor,
    data: Mapping[str, ArrayLike] | ArrayLike,
    *,
    name: str = "tabular",
    numbers: Sequence[str] = NUMBERS,
    categories: Sequence[str] = CATEGORIES,
    width: Span = (4, 32),
) -> keras.KerasTensor:
    """Encode the columns of a table as one vector, by what the training data hold; `mlp` is the usual next block.

    Strings and integers are looked up by layers that need TensorFlow; on another backend encode them in the data.

    Sources:
        Keras's example Structured data classification from scratch (normalized numbers, one-hot categories); binned
        numbers: Gorishniy et al., On Embeddings for Numerical Features in Tabular Deep Learning, NeurIPS 2022;
        embedded categories: Guo & Berkhahn, Entity Embeddings of Categorical Variables, 2016.

    Args:
        hp: The hyperparameters.
        inputs: `(batch, 1)` for each column by name, its dtype saying what it is (floats: a number; integers and
            strings: a category), as `table_inputs` makes them; or numbers only, `(batch, features)`.
        data: The training data in the same form; what they do not hold is unknown later.
        name: The scope of the parameters.
        numbers: `standardized` (mean 0, variance 1), `binned` (one-hot, bins of equal counts).
        categories: `one_hot`, `embedding`.
        width: Features of an embedded category.

    Returns:
        `(batch, features)`.

    Raises:
        BadInput: columns and data do not match, or a number is missing (NaN).
    """
    import numpy
    from keras import layers

    with hp.name_scope(name):
        if not isinstance(inputs, Mapping):
            return _numbers(hp, inputs, numpy.asarray(data, "float32"), numbers)
        columns = _columns(inputs, data)
        floats = [key for key, one in inputs.items() if "float" in str(one.dtype)]
        looked_up = [key for key in inputs if key not in floats]
        parts: list[keras.KerasTensor] = []
        if floats:
            stacked = numpy.concatenate([columns[key].astype("float32") for key in floats], axis=1)
            x = layers.Concatenate()([inputs[key] for key in floats]) if len(floats) > 1 else inputs[floats[0]]
            parts.append(_numbers(hp, x, stacked, numbers, floats))
        if looked_up:
            kind = choose(hp, "categories", categories, CATEGORIES)
            features = doubling(hp, "width", width, default=8) if kind == "embedding" else 0
            parts += [_category(inputs[key], columns[key], features) for key in looked_up]
        return layers.Concatenate()(parts) if len(parts) > 1 else parts[0]


def standardized(x: keras.KerasTensor, data: ArrayLike) -> keras.KerasTensor:
    """Shift and scale the last axis of `x` so that `data` have mean 0 and variance 1 there."""
    import numpy
    from keras import layers

    values = numpy.asarray(data)
    around = tuple(range(values.ndim - 1))
    mean = values.mean(axis=around, dtype="float64")
    variance = values.var(axis=around, dtype="float64")
    return layers.Normalization(mean=mean.astype("float32"), variance=variance.astype("float32"))(x)


def _numbers(
    hp: keras_tuner.HyperParameters,
    x: keras.KerasTensor,
    data: NDArray[numpy.float32],
    kinds: Sequence[str],
    names: Sequence[str] = (),
) -> keras.KerasTensor:
    import numpy
    from keras import layers

    missing = numpy.flatnonzero(~numpy.isfinite(data).all(axis=0))
    if missing.size:
        first = int(missing[0])
        column = repr(names[first]) if names else f"number {first}"
        raise BadInput(f"column {column} has values that are no finite numbers; fill them, or drop their rows")
    if choose(hp, "numbers", kinds, NUMBERS) == "standardized":
        return standardized(x, data)
    bins = doubling(hp, "bins", (8, 64), default=16)
    quantiles = numpy.linspace(0, 1, bins + 1)[1:-1]
    parts: list[keras.KerasTensor] = []
    for index in range(data.shape[1]):
        edges = [float(edge) for edge in numpy.unique(numpy.quantile(data[:, index], quantiles))]
        layer = layers.Discretization(bin_boundaries=edges, output_mode="one_hot")
        parts.append(layer(x[:, index : index + 1]))
    return layers.Concatenate()(parts) if len(parts) > 1 else parts[0]


def _category(x: keras.KerasTensor, column: NDArray[Any], features: int) -> keras.KerasTensor:
    """Return a category as one-hot, or as `features` numbers; index 0 is for what the data do not hold."""
    import numpy
    from keras import layers

    lookup = layers.StringLookup if x.dtype == "string" else layers.IntegerLookup
    known = numpy.unique(column.astype(str) if x.dtype == "string" else column.astype("int64")).tolist()
    index = lookup(vocabulary=known)(x)
    if not features:
        return layers.CategoryEncoding(num_tokens=len(known) + 1, output_mode="one_hot")(index)
    return layers.Flatten()(layers.Embedding(len(known) + 1, features)(index))


def _columns(inputs: Mapping[str, Any], data: Mapping[str, ArrayLike] | ArrayLike) -> dict[str, NDArray[Any]]:
    """Return the data of each input as `(rows, 1)`."""
    import numpy

    if not isinstance(data, Mapping):
        raise BadInput(
            "tabular has inputs by name, so its data must be a dict of columns, or a DataFrame as dict(frame)"
        )
    for name in inputs:
        if name not in data:
            raise BadInput(f"tabular has no data for the input {name!r}{did_you_mean(name, data)}")
    return {name: numpy.asarray(data[name]).reshape(-1, 1) for name in inputs}
