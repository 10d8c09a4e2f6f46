"""A training loop of the user's own: `train(hp, report)` or `train(hp, report, data)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast, final

from ..spaces.trial import Json

if TYPE_CHECKING:
    import keras

SIGNATURES = "train(hp, report) or train(hp, report, data)"


class Trial(Protocol):
    """What a `Report` tells."""

    epoch: int

    @property
    def number(self) -> int:
        """The trial's number."""
        ...

    def report(self, metrics: Mapping[str, float], seconds: float | None = None, *, epoch: int | None = None) -> None:
        """Tell the metrics of an epoch."""

    def keep(self, models: Mapping[str, Any]) -> None:
        """Take the weights of these models where an epoch is the best."""

    def on_batch(self) -> None:
        """Count a batch, and raise if the trial was stopped."""

    def check_stop(self) -> None:
        """Raise if the trial was stopped."""


@final
class Report:
    """What a training loop tells of itself: call it after each epoch.

    A trial that was stopped ends inside the call, by an exception that `except Exception` does not catch.
    """

    def __init__(self, trial: Trial, fit: Mapping[str, Json]) -> None:
        self._trial = trial
        self._fit = fit

    @property
    def number(self) -> int:
        """The trial's number, counted from 0: what a loop writes by itself may be named after it."""
        return self._trial.number

    @property
    def fit(self) -> Mapping[str, Any]:
        """What the sweep says under `fit:`, with this trial's values where they are searched."""
        return self._fit

    @property
    def epochs(self) -> int:
        """The most epochs that the trial may take: `fit: {epochs: …}`."""
        return int(cast(Any, self._fit.get("epochs", 1)))

    def __call__(
        self, *, epoch: int, model: keras.Model | Mapping[str, keras.Model] | None = None, **metrics: Any
    ) -> None:
        """Report an epoch that is done.

        Args:
            epoch: How many epochs are done, so 1 after the first; it must grow from call to call.
            model: The model, or several by name: their weights are kept where the epoch is the best.
            metrics: A number each; a tensor or an array of one element will do.

        Raises:
            ValueError: the epoch does not count up from 1.
            TypeError: a metric is no number, or a model is none.
        """
        self._check_epoch(epoch)
        numbers = {name: number(name, value) for name, value in metrics.items()}
        if not numbers:
            raise TypeError("report(…) got no metric; expected some, as report(epoch=1, loss=0.5)")
        if model is not None:
            self._trial.keep(_models(model))
        self._trial.report(numbers, epoch=int(epoch))
        self._trial.check_stop()

    def batch(self) -> None:
        """Say that a batch is done: a stop takes effect here, and a long epoch is not taken for a hang."""
        self._trial.on_batch()

    def _check_epoch(self, epoch: object) -> None:
        if isinstance(epoch, bool) or not hasattr(epoch, "__index__"):
            raise TypeError(f"report(epoch={epoch!r}) is no whole number; expected how many epochs are done, 1 or more")
        before, given = self._trial.epoch, int(cast(Any, epoch))
        if given < 1:
            raise ValueError(f"report(epoch={given}): epochs are counted from 1; report epoch + 1 of a loop from 0")
        if given <= before:
            raise ValueError(f"report(epoch={given}) came after epoch {before}; expected a greater one")


@final
class UserLoop:
    """The function that `train:` names."""

    def __init__(self, function: Any, *, with_data: bool) -> None:
        """Make ready.

        Args:
            function: `train(hp, report)`, or `train(hp, report, data)` where the sweep has data.
            with_data: Whether it has.

        Raises:
            TypeError: it takes other arguments.
        """
        if not callable(function) or inspect.isclass(function):
            raise TypeError(f"train must be a function {SIGNATURES}, got {type(function).__name__}")
        self._function: Callable[..., Any] = function
        name = getattr(function, "__name__", "train")
        fits = _arguments(self._function)
        if with_data and 3 not in fits:
            mend = f"expected {name}(hp, report, data)"
            raise TypeError(f"{name}(hp, report) takes no data, but the sweep has `data`; {mend}")
        if not with_data and 2 not in fits:
            raise TypeError(f"{name}(hp, report, data) needs data; name the function that loads them as `data`")
        self._takes_data = with_data

    def run(self, hp: Any, report: Report, data: Any) -> Any:
        """Train one trial; return what the function returns."""
        return self._function(hp, report, data) if self._takes_data else self._function(hp, report)


def _arguments(function: Callable[..., Any]) -> set[int]:
    """Return with how many arguments it can be called, of 2 and 3.

    Raises:
        TypeError: with neither.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:  # of one that is not Python's own the call will tell
        return {2, 3}
    fits = {count for count in (2, 3) if _binds(signature, count)}
    if not fits:
        raise TypeError(f"train must be a function {SIGNATURES}, it is {getattr(function, '__name__', '')}{signature}")
    return fits


def _binds(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def number(name: str, value: Any) -> float:
    """Return a metric as a float.

    Raises:
        TypeError: it is no number, and no array or tensor of one.
    """
    if not isinstance(value, str | bytes) and value is not None:
        try:
            return float(value.item() if hasattr(value, "item") else value)
        except (TypeError, ValueError):
            pass
    shown = f"{type(value).__name__} {value!r:.40}"
    raise TypeError(f"report({name}=…) got {shown}; expected a number, or an array of one element")


def _models(given: Any) -> dict[str, Any]:
    models = dict(cast(Mapping[Any, Any], given)) if isinstance(given, Mapping) else {"model": given}
    for name, model in models.items():
        if not (isinstance(name, str) and name.isidentifier()):
            raise TypeError(f"report(model=…): {name!r} cannot be a model's name; expected a word, such as 'generator'")
        if not hasattr(model, "get_weights"):
            raise TypeError(f"report(model=…) got {type(model).__name__}; expected a Keras model, or a dict of models")
    return models
