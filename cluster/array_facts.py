"""One array of a user's data, looked at: its shape and type, and what its values are like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .facts import ArrayFacts

Array = NDArray[Any]

MOST_BYTES = 64_000_000
"""Of a larger array only rows at even distances are looked at."""
MOST_CLASSES = 2_000
UNKNOWN = "unknown"
"""The type of what is no plain array; nothing is said about it."""
FEW_ZEROS = 0.1
"""Where more of the values are the smallest one, as in pixels and counts of words, constant features are natural."""


def as_array(value: Any) -> Array:
    """Return a NumPy array of what Keras would take as one: an array, a frame, a series, a tensor of any backend."""
    if hasattr(value, "to_numpy"):  # pandas, polars
        return np.asarray(value.to_numpy())
    if hasattr(value, "numpy"):
        return np.asarray(value.numpy())
    return np.asarray(value)


def array_facts(
    value: Any, name: str, *, key: str | None = None, labels: bool = False, total: int | None = None
) -> ArrayFacts:
    """Return what is known of an array of samples.

    Args:
        value: `(samples, …)`.
        name: what messages call it.
        key: its key in a dict.
        labels: whether to count its values.
        total: how many samples there are; those of the array if None.
    """
    try:
        array = as_array(value)
    except Exception:  # a ragged or sparse tensor, or something that only Keras knows
        return ArrayFacts(name=name, key=key, shape=(), dtype=UNKNOWN)
    shape = tuple(int(length) for length in array.shape[1:])
    total = len(array) if total is None and array.ndim else total
    rows = _rows(array)
    base = ArrayFacts(
        name=name, key=key, shape=shape, dtype=_dtype(rows), rows=len(rows) if rows.ndim else 0, total=total
    )
    if not rows.size:
        return base
    if rows.dtype.kind in "OUS":
        return replace(base, counts=_counts(rows.ravel().tolist()) if labels else None)
    if rows.dtype.kind not in "biuf":
        return base
    return replace(base, **_numbers(rows, labels=labels))


def _rows(array: Array) -> Array:
    if array.nbytes <= MOST_BYTES or array.ndim == 0 or len(array) < 2:
        return array
    return array[:: -(-array.nbytes // MOST_BYTES)]


def _dtype(rows: Array) -> str:
    if rows.dtype.kind in "US":
        return "string"
    if rows.dtype.kind == "O":
        first = rows.ravel()[:100].tolist()
        return "string" if first and all(isinstance(one, str | bytes) for one in first) else "object"
    return str(rows.dtype)


def _numbers(rows: Array, *, labels: bool) -> dict[str, Any]:
    floats = rows.dtype.kind == "f"
    finite = rows
    nan = infinite = 0
    if floats and not np.isfinite(_total(rows)):
        nan = int(np.isnan(rows).sum())
        infinite = int(np.isinf(rows).sum())
        finite = rows[np.isfinite(rows)]
    facts: dict[str, Any] = {"nan": nan, "infinite": infinite}
    if not finite.size:
        return facts
    low, high = float(finite.min()), float(finite.max())
    whole = not floats or bool((finite[:1000] == np.floor(finite[:1000])).all() and (finite == np.floor(finite)).all())
    facts |= {"low": low, "high": high, "whole": whole, "alike": len(rows) > 1 and _alike(rows)}
    if labels:
        if rows.ndim > 1 and rows.shape[-1] > 1:
            sums = rows.sum(axis=-1, dtype="float64")
            facts["ones"] = bool(np.allclose(sums, 1.0, atol=1e-3))
        if whole and high - low < 1e6:
            facts["counts"] = _whole_counts(finite)
    elif rows.ndim == 2 and len(rows) > 1 and not nan and not infinite:
        facts |= _features(rows, low)
    return facts


def _total(rows: Array) -> float:
    with np.errstate(all="ignore"):
        return float(rows.sum(dtype="float64"))


def _alike(rows: Array) -> bool:
    head = rows[: min(len(rows), 50)]
    return bool((head == head[0]).all() and (rows == rows[0]).all())


def _features(rows: Array, low: float) -> dict[str, Any]:
    deviations = rows.std(axis=0, dtype="float64")
    widest = int(deviations.argmax())
    column = rows[:, widest]
    sparse = float((rows[:1000] == low).mean()) > FEW_ZEROS
    same = (rows == rows[0]).all(axis=0)
    return {
        "widest": (widest, float(deviations[widest]), float(column.min()), float(column.max())),
        "constant": () if sparse else tuple(int(index) for index in np.flatnonzero(same)),
    }


def _whole_counts(values: Array) -> dict[Any, int] | None:
    found, counts = np.unique(values.astype("int64"), return_counts=True)
    if len(found) > MOST_CLASSES:
        return None
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _counts(values: Sequence[Any]) -> dict[Any, int] | None:
    counts: dict[Any, int] = {}
    for value in values:
        plain = value.decode(errors="replace") if isinstance(value, bytes) else value
        counts[plain] = counts.get(plain, 0) + 1
        if len(counts) > MOST_CLASSES:
            return None
    return counts


# Rows -----------------------------------------------------------------------------------------------------------------


def row_hashes(arrays: Iterable[Any]) -> list[int]:
    """Return a number for each sample, equal for equal samples; several arrays together make one sample."""
    result: list[int] | None = None
    for value in arrays:
        array = as_array(value)
        if array.dtype.kind == "O":
            hashes = [hash(str(row)) for row in cast(list[Any], array.tolist())]
        else:
            flat = np.ascontiguousarray(array.reshape(len(array), -1))
            hashes = [hash(row.tobytes()) for row in flat]
        result = hashes if result is None else [hash(pair) for pair in zip(result, hashes, strict=False)]
    return result or []


def equal_feature(x: Any, y: Any) -> int | None:
    """Return the index of the feature of `x`, `(samples, features)`, that equals the labels in each of 20 or more rows."""
    inputs, labels = as_array(x), as_array(y)
    if inputs.ndim != 2 or inputs.dtype.kind not in "biuf" or labels.dtype.kind not in "biuf":
        return None
    labels = labels.reshape(len(labels), -1)
    if labels.shape[1] != 1 or len(labels) != len(inputs) or len(labels) < 20 or inputs.shape[1] < 2:
        return None
    if bool((labels == labels[0]).all()):
        return None
    likely = np.flatnonzero((inputs[:20] == labels[:20]).all(axis=0))
    same = [int(index) for index in likely if bool((inputs[:, index] == labels[:, 0]).all())]
    return same[0] if same else None
