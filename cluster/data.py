"""The user's data: what it may be, and the arguments of `fit` that it becomes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard, cast, final

from ..spaces.errors import did_you_mean
from .array_cache import MappedTensors, load_once
from .array_loader import ArrayLoader

ARGUMENTS = (
    "x",
    "y",
    "sample_weight",
    "validation_data",
    "validation_split",
    "validation_steps",
    "validation_batch_size",
    "validation_freq",
    "batch_size",
    "epochs",
    "steps_per_epoch",
    "shuffle",
    "class_weight",
    "callbacks",
    "verbose",
)
HELD = ("x", "y", "sample_weight", "validation_data")


@final
class UserData:
    """What `data:` names: loaded once, or made for each trial where it is a function of `hp`."""

    def __init__(self, source: Any, cache: Path | None = None, around: Sequence[Any] = ()) -> None:
        """Load the data, unless they depend on the trial.

        Args:
            source: A function without arguments, a function of `hp`, what either would return, or None.
            cache: A folder of this machine in which trainers of one program share arrays.
            around: The rest of the user's program, whose globals the function may set.
        """
        self.given = source is not None
        self.function: Any = source if callable(source) and not is_dataset(source) else None
        self._make: Callable[[Any], Any] | None = None
        self._loaded: Any = None
        self._tensors = MappedTensors()
        self._loader = ArrayLoader()
        if not callable(source) or is_dataset(source):
            self._loaded = source if cache is None else load_once(lambda: source, cache, None)
        elif takes_hp(source):
            self._make = source
        elif cache is None:
            self._loaded = source()
        else:
            self._loaded = load_once(source, cache, around)

    def for_keras(
        self, arguments: Mapping[str, Any], model: Any, *, seed: int, epoch: int = 0, shared: bool = True
    ) -> dict[str, Any]:
        """Return arguments of a model's `fit` with the arrays as batches, in an order that follows from seed and epoch.

        Args:
            arguments: As `arguments` returned them, with the sweep's own.
            model: To be fitted.
            seed: Of the trial.
            epoch: The first, counted from 0.
            shared: Whether the arrays are those of all trials; otherwise nothing is kept of them.
        """
        import keras

        if keras.backend.backend() != "tensorflow":
            return dict(arguments)
        given = {name: self._tensors.of(one) if name in HELD else one for name, one in arguments.items()}
        loader = self._loader if shared and not self.by_trial else ArrayLoader()
        return loader.arguments(given, model, seed=seed, epoch=epoch)

    @property
    def by_trial(self) -> bool:
        """Whether each trial has data of its own."""
        return self._make is not None

    def of(self, hp: Any) -> Any:
        """Return the data of a trial as the user's code made them."""
        return self._loaded if self._make is None else self._make(hp)

    def arguments(self, hp: Any, takes: Callable[[str], bool] = lambda name: False) -> dict[str, Any]:
        """Return the data of a trial as arguments of `fit`.

        Args:
            hp: The trial's.
            takes: Whether there is a `fit` that takes an argument of this name, beside those of Keras's.

        Raises:
            TypeError: they are of no kind that `fit` takes.
        """
        return fit_arguments(self.of(hp), takes)


def takes_hp(function: Callable[..., Any]) -> bool:
    """Say whether a data function is one of `hp`: it has an argument that must be given, or a first one named `hp`."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    plain = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return bool(plain) and (plain[0].name == "hp" or plain[0].default is inspect.Parameter.empty)


def fit_arguments(data: Any, takes: Callable[[str], bool] = lambda name: False) -> dict[str, Any]:
    """Return the data as arguments of `fit`.

    Args:
        data: `((x, y), (x_val, y_val))`, `(x, y)`, each with sample weights as a third part where there are any;
            two datasets; one dataset; an array; or a dict of `fit` arguments. `x` and `y` may be lists or dicts of
            arrays, for several inputs and outputs. None is no data.
        takes: Whether there is a `fit` that takes an argument of this name, beside those of Keras's.

    Raises:
        TypeError: it is none of these.
    """
    if data is None:
        return {}
    if isinstance(data, Mapping):
        return _checked(cast(Mapping[str, Any], data), takes)
    if not _is_sequence(data):
        return {"x": data}
    parts = list(data)
    if len(parts) == 2:
        return _of_two(parts[0], parts[1])
    if len(parts) == 3 and all(_is_arrays(part) for part in parts):
        return {"x": parts[0], "y": parts[1], "sample_weight": parts[2]}
    raise TypeError(
        f"the data are {_shape_of(data)}; expected ((x, y), (x_val, y_val)), (x, y), two datasets, one dataset or a dict "
        "of arguments of fit"
    )


def _of_two(first: Any, second: Any) -> dict[str, Any]:
    if _is_split(first) and (_is_split(second) or is_dataset(second)):
        lists = isinstance(first, list) and isinstance(second, list)
        if lists and _lengths(cast(Any, first)) == _lengths(cast(Any, second)):
            raise TypeError(
                "the data are two lists of arrays of one length, which could be inputs and outputs or training and "
                "validation; give the latter as tuples ((x, y), (x_val, y_val)), the former as {'x': [...], 'y': [...]}"
            )
        train = dict(zip(("x", "y", "sample_weight"), first, strict=False))
        return {**train, "validation_data": tuple(second) if _is_split(second) else second}
    if is_dataset(first):
        return {"x": first, "validation_data": tuple(cast(Any, second)) if isinstance(second, list) else second}
    if _is_arrays(first) and _is_arrays(second):
        return {"x": first, "y": second}
    raise TypeError(
        f"the data are {_shape_of((first, second))}; expected (x, y) or training and validation data of one kind"
    )


def _checked(arguments: Mapping[str, Any], takes: Callable[[str], bool]) -> dict[str, Any]:
    for name in arguments:
        if name not in ARGUMENTS and not takes(name):
            raise TypeError(
                f"the data are a dict with {name!r}, which is no argument of fit{did_you_mean(str(name), ARGUMENTS)}; "
                "give several inputs as {'x': {…}, 'y': …}"
            )
    return dict(arguments)


def _is_split(value: Any) -> TypeGuard[Sequence[Any]]:
    """Say whether it can be `(x, y)` or `(x, y, sample_weight)`."""
    return _is_sequence(value) and len(value) in (2, 3) and all(_is_arrays(part) for part in value)


def _is_arrays(value: Any) -> bool:
    """Say whether it is one array, or inputs by place or by name."""
    if isinstance(value, Mapping):
        return all(_is_arrays(part) for part in cast(Mapping[str, Any], value).values())
    if _is_sequence(value):
        return len(value) > 0 and all(_is_arrays(part) or isinstance(part, int | float) for part in value)
    return hasattr(value, "shape")


def is_dataset(value: Any) -> bool:
    """Say whether it gives batches by itself: `tf.data`, `PyDataset`, a loader of PyTorch's, a generator."""
    if hasattr(value, "shape") or isinstance(value, Mapping | list | tuple):
        return False
    return hasattr(value, "__getitem__") or hasattr(value, "__iter__") or hasattr(value, "__next__")


def _is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, tuple | list)


def _lengths(parts: Sequence[Any]) -> list[int]:
    return [len(part) if hasattr(part, "__len__") else 0 for part in parts]


def _shape_of(data: Any) -> str:
    if _is_sequence(data):
        inner = ", ".join(_shape_of(part) for part in list(data)[:4])
        return f"({inner}{', …' if len(data) > 4 else ''})"
    return type(data).__name__
