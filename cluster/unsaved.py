"""What callbacks hold that no checkpoint has: neither JSON nor NumPy; known by that it changes while they are at work."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, cast

from .fit_state import held_by

MANY = 200
"""So many items of a container are looked at."""
DEPTH = 4
SMALL_BYTES = 100_000
_NO_STATE = (FunctionType, BuiltinFunctionType, MethodType, ModuleType, type)
_OF_KERAS = ("_model", "model", "params", "validation_data")


def marks_of(callback: Any) -> dict[str, object]:
    """Return a mark of each value that a callback holds and that cannot be written; another mark, another state.

    Keras's own callbacks, and Kerasweep's, make anew what they need.
    """
    if type(callback).__module__.partition(".")[0] in ("keras", "kerasweep"):
        return {}
    held = held_by(callback)
    values = cast("Mapping[str, Any]", vars(callback)).items()
    return {name: _mark(value, DEPTH) for name, value in values if name not in held and _has_state(name, value)}


def unsaved(callbacks: Sequence[Any], before: Sequence[Mapping[str, object]]) -> list[str]:
    """Return what has changed since the marks `before` were taken, as `Class.attribute`."""
    return [
        f"{type(callback).__name__}.{name}"
        for callback, first in zip(callbacks, before, strict=True)
        for name, mark in marks_of(callback).items()
        if name not in first or first[name] != mark
    ]


def _has_state(name: str, value: object) -> bool:
    """Say whether it may be state of the callback's own; a model and what is of it has its own place."""
    import keras

    of_model: tuple[type[Any], ...] = (keras.Model, keras.Layer, cast(Any, keras).optimizers.Optimizer)
    return name not in _OF_KERAS and not isinstance(value, (*_NO_STATE, *of_model))


def _mark(value: Any, depth: int) -> object:
    """Return what differs where the value does, as far as a bounded look tells."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return repr(value)
    if depth == 0:
        return type(value).__name__
    try:
        return type(value).__name__, _inside(value, depth - 1)
    except Exception:  # objects of the user's do what they like when they are looked at
        return type(value).__name__, id(value)


def _inside(value: Any, depth: int) -> object:
    import numpy as np

    if isinstance(value, Mapping):
        items = islice(cast("Mapping[Any, Any]", value).items(), MANY)
        return len(cast("Collection[Any]", value)), tuple((_mark(key, depth), _mark(one, depth)) for key, one in items)
    if isinstance(value, list | tuple | set | frozenset | deque):
        several = cast("Collection[Any]", value)
        return len(several), tuple(_mark(one, depth) for one in islice(several, MANY))
    if isinstance(value, random.Random):
        return hash(value.getstate())
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        plain = not array.dtype.hasobject and array.nbytes <= SMALL_BYTES
        return array.shape, array.tobytes() if plain else id(value)
    variables = getattr(value, "variables", None)  # of a metric
    if isinstance(variables, list):
        return tuple(_mark(one, depth) for one in cast("list[Any]", variables))
    return _mark(vars(value), depth) if hasattr(value, "__dict__") else id(value)
