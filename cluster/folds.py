"""k-fold cross-validation: which samples each fold holds out, and the arrays of a fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

SPLIT = ("x", "y", "sample_weight")
NOT_WITH_FOLDS = ("validation_data", "validation_split", "validation_steps", "steps_per_epoch")


def check_foldable(arguments: Mapping[str, Any], folds: int) -> int:
    """Return the number of samples in arguments of `fit` that can be split.

    Raises:
        ValueError: they cannot: they are no arrays, too few, or bring validation data of their own.
    """
    for name in NOT_WITH_FOLDS:
        if arguments.get(name) is not None:
            raise ValueError(f"fit.folds validates on each fold in turn; take {name!r} out, or fit.folds")
    lengths = {len(array) for name in SPLIT for array in _leaves(arguments.get(name))}
    if not lengths:
        raise ValueError("fit.folds needs data to split; expected arrays from `data:`, as (x, y)")
    if len(lengths) > 1:
        raise ValueError(f"the arrays of the data have different lengths, {sorted(lengths)}; expected one")
    samples = lengths.pop()
    if samples < folds:
        raise ValueError(f"fit.folds is {folds}, the data have {samples} samples; expected at least one in each fold")
    return samples


def fold_of_each(y: Any, samples: int, folds: int, seed: int) -> Any:
    """Return the fold, 0 to folds - 1, in which each sample is held out, as integers (samples,).

    The folds differ by at most one in size. Where `y` is a class for each sample (one column of integers, or text)
    so do the samples of each class in them (stratified). The same for the same data and seed, so trials are compared
    on the same folds.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    order = random.permutation(samples)
    classes = _classes(y, samples)
    if classes is not None:  # one class after the other, dealt out in turn
        order = order[np.argsort(classes[order], kind="stable")]
    fold = np.empty(samples, dtype="int64")
    fold[order] = np.arange(samples) % folds
    return fold


def fold_arguments(arguments: Mapping[str, Any], fold: Any, index: int) -> dict[str, Any]:
    """Return the arguments of `fit` for one fold: the others to train on, this one to validate with."""
    import numpy as np

    train, held_out = np.flatnonzero(fold != index), np.flatnonzero(fold == index)
    given = [name for name in SPLIT if arguments.get(name) is not None]
    held = [_taken(arguments[name], held_out) if name in given else None for name in SPLIT]
    return {
        **{name: value for name, value in arguments.items() if name not in SPLIT},
        **{name: _taken(arguments[name], train) for name in given},
        "validation_data": tuple(held[: SPLIT.index(given[-1]) + 1]),
    }


def _classes(y: Any, samples: int) -> Any:
    import numpy as np

    if y is None or isinstance(y, Mapping | list | tuple) or not hasattr(y, "shape"):
        return None
    labels = np.asarray(y)
    if labels.size != samples or labels.dtype.kind not in "iubUS":
        return None
    return np.unique(labels.reshape(samples), return_inverse=True)[1].reshape(samples)


def _taken(value: Any, indices: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _taken(one, indices) for name, one in cast(Mapping[str, Any], value).items()}
    if isinstance(value, list | tuple):
        parts = [_taken(one, indices) for one in cast(Sequence[Any], value)]
        return tuple(parts) if isinstance(value, tuple) else parts
    return value.iloc[indices] if hasattr(value, "iloc") else _array(value)[indices]


def _leaves(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [leaf for one in cast(Mapping[str, Any], value).values() for leaf in _leaves(one)]
    if isinstance(value, list | tuple):
        return [leaf for one in cast(Sequence[Any], value) for leaf in _leaves(one)]
    return [_array(value)]


def _array(value: Any) -> Any:
    import numpy as np

    if hasattr(value, "iloc") or isinstance(value, np.ndarray):
        return cast(Any, value)
    if not hasattr(value, "shape"):
        raise ValueError(f"fit.folds needs arrays to split, the data are {type(value).__name__}; return (x, y) arrays")
    return np.asarray(value)
