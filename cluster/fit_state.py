"""The state of a Keras fit between two epochs: model, optimizers, random numbers, callbacks; taken out and put back.

Weights and optimizers go by Keras's `.weights.h5`, which leaves out the state of seed generators (dropout,
augmentation) and skips an optimizer that is not built: both are seen to here.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

from ..spaces.errors import one_line
from ..spaces.trial import Json
from .hdf5_guard import check_hdf5

_ROOM = 2
"""Keras writes without compression: unpacked, a file is hardly larger than it is."""
_OF_KERAS = ("_model", "model", "params", "validation_data")
"""What Keras itself sets on a callback."""


class CannotResume(BaseException):
    """The checkpoint does not fit this fit; no `Exception`, so that user code around `fit` cannot swallow it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FitState:
    """What is not in the weights' file: plain JSON, and arrays by name."""

    plain: Mapping[str, Json]
    arrays: Mapping[str, Any]


def take(model: Any, callbacks: Sequence[Any], before: Sequence[Mapping[str, Any]], weights: Path) -> FitState:
    """Return a fit's state, and write the model's to `weights`, a path that ends in `.weights.h5`.

    Args:
        model: Compiled and built.
        callbacks: Of the fit, in their order, without those that Keras adds.
        before: What `held_by` said of each when the fit began: only what has changed since is state.
        weights: A file to write.
    """
    model.save_weights(weights)
    arrays = {f"seed.{index}": _copied(state) for index, state in enumerate(_seeds(model, made=False))}
    changed: list[Json] = []
    for index, (callback, first) in enumerate(zip(callbacks, before, strict=True)):
        plain: dict[str, Json] = {}
        for name, value in held_by(callback).items():
            if _is_arrays(value):
                arrays |= {f"callback.{index}.{name}.{at}": _copied(one) for at, one in enumerate(_listed(value))}
                plain[name] = {"arrays": len(_listed(value)) if isinstance(value, list) else None}
            elif name not in first or first[name] != value:
                plain[name] = {"op": _op_name(value)} if callable(value) else {"value": value}
        changed.append({"class": type(callback).__name__, "state": plain})
    variables = {id(one): index for index, one in enumerate(model.variables)}
    optimizers = {
        name: {"of": [variables[id(one)] for one in _trained_by(optimizer)], "variables": len(optimizer.variables)}
        for name, optimizer in _optimizers(model).items()
        if optimizer.built
    }
    plain_state: dict[str, Json] = {
        "optimizers": optimizers,
        "callbacks": changed,
        "seeds": len(_seeds(model)),
    }
    return FitState(plain=plain_state, arrays=arrays)


def put_back(model: Any, callbacks: Sequence[Any], state: FitState, weights: Path) -> None:
    """Give a fit that begins the state of the one that was taken.

    Args:
        model: Of the same `build`, compiled and built.
        callbacks: Of the fit, in their order, after their `on_train_begin`.
        state: As `take` returned it.
        weights: The file that `take` wrote.

    Raises:
        CannotResume: the model, its optimizers or the callbacks are others; they may be half changed.
    """
    plain = cast("Mapping[str, Any]", state.plain)
    _build_optimizers(model, plain["optimizers"])
    _or_else(lambda: check_hdf5(weights, _ROOM * weights.stat().st_size), "the weights cannot be read")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Skipping")  # Keras only warns of what it leaves out
        _or_else(lambda: model.load_weights(weights), "the model is another one")
    seeds = _seeds(model, made=plain["seeds"] > len(_seeds(model)))
    if len(seeds) != plain["seeds"]:
        raise CannotResume(f"the model has {len(seeds)} seed generators, it had {plain['seeds']}")
    for index, seed in enumerate(seeds):
        _or_else(lambda seed=seed, index=index: seed.assign(state.arrays[f"seed.{index}"]), "a seed generator differs")
    names = [type(one).__name__ for one in callbacks]
    had = [one["class"] for one in plain["callbacks"]]
    if names != had:
        raise CannotResume(f"the callbacks are {', '.join(names) or 'none'}; they were {', '.join(had) or 'none'}")
    for index, callback in enumerate(callbacks):
        for name, held in plain["callbacks"][index]["state"].items():
            setattr(callback, name, _value(held, f"callback.{index}.{name}", state.arrays))


def learning_rates(model: Any) -> dict[str, float]:
    """Return the rate of each of the model's optimizers that has one which is not a schedule."""
    found: dict[str, float] = {}
    for name, optimizer in _optimizers(model).items():
        inner = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
        if hasattr(getattr(inner, "_learning_rate", None), "assign"):  # a variable, which is saved with the weights
            found[name] = float(inner.learning_rate)
    return found


def set_learning_rates(model: Any, rates: Mapping[str, float]) -> None:
    """Set what `learning_rates` returned."""
    for name, rate in rates.items():
        optimizer = _optimizers(model)[name]
        getattr(optimizer, "inner_optimizer", optimizer).learning_rate = rate


def held_by(callback: Any) -> dict[str, Any]:
    """Return what a callback holds of itself that can be written: plain values, arrays, lists of these, Keras's ops."""
    return {
        name: value
        for name, value in cast("Mapping[str, Any]", vars(callback)).items()
        if name not in _OF_KERAS and (is_plain(value) or _is_arrays(value) or _op_name(value))
    }


def is_plain(value: object) -> bool:
    """Say whether JSON gives back just this."""
    if isinstance(value, list):
        return all(is_plain(one) for one in cast("list[object]", value))
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return all(type(key) is str and is_plain(one) for key, one in items)
    return value is None or type(value) in (bool, int, float, str)


def _op_name(value: Any) -> str:
    """Return the name of a function in `keras.ops`: callbacks choose their comparison when the first epoch ends."""
    import keras

    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) and callable(value) and getattr(keras.ops, name, None) is value else ""


def _value(held: Mapping[str, Any], name: str, arrays: Mapping[str, Any]) -> Any:
    import keras

    if "value" in held:
        return held["value"]
    if "op" in held:
        return getattr(keras.ops, held["op"])
    if held["arrays"] is None:
        return arrays[f"{name}.0"][()]
    return [arrays[f"{name}.{at}"] for at in range(held["arrays"])]


def _is_arrays(value: object) -> bool:
    import numpy as np

    if isinstance(value, list):
        several = cast("list[object]", value)
        return bool(several) and all(isinstance(one, np.ndarray) and not one.dtype.hasobject for one in several)
    return isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject


def _listed(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def _copied(value: Any) -> Any:
    """Return a copy that a later step does not change; what NumPy has no type for (bfloat16) as float32."""
    import numpy as np

    array = np.array(value.numpy() if hasattr(value, "numpy") else value)
    return array.astype("float32") if array.dtype.kind == "V" else array


# Of Keras ----------------------------------------------------------------------------------------------------------------


def _seeds(model: Any, *, made: bool = False) -> list[Any]:
    """Return the states of all seed generators; `made`: also that which Keras makes when one is first missing."""
    weights = {id(one) for one in model.weights}
    shared: Any = importlib.import_module("keras.src.random.seed_generator")
    state: Any = importlib.import_module("keras.src.backend.common.global_state")
    common = shared.global_seed_generator() if made else state.get_global_attribute(shared.GLOBAL_SEED_GENERATOR)
    return [one for one in model.variables if id(one) not in weights] + ([] if common is None else [common.state])


def _optimizers(model: Any) -> dict[str, Any]:
    """Return the model's optimizer, and those of a training step of its own."""
    import keras

    kind = cast("type[object]", keras.optimizers.Optimizer)
    held = cast("dict[str, Any]", vars(model))
    return {name: one for name, one in held.items() if isinstance(one, kind)}


def _trained_by(optimizer: Any) -> Sequence[Any]:
    return getattr(optimizer, "_trainable_variables", ())


def _build_optimizers(model: Any, had: Mapping[str, Any]) -> None:
    optimizers = _optimizers(model)
    if not had.keys() <= optimizers.keys():
        raise CannotResume(f"the model has the optimizers {', '.join(optimizers)}; it had {', '.join(had)}")
    variables = model.variables
    for name, one in had.items():
        optimizer = optimizers[name]
        if not optimizer.built:
            _or_else(lambda: optimizer.build([variables[index] for index in one["of"]]), "the model is another one")  # noqa: B023
        if len(optimizer.variables) != one["variables"]:
            raise CannotResume(f"the optimizer has {len(optimizer.variables)} variables, it had {one['variables']}")


def _or_else(action: Callable[[], object], what: str) -> None:
    try:
        action()
    except Exception as error:  # Keras raises whatever its layers do
        raise CannotResume(f"{what}: {one_line(str(error))}") from error
