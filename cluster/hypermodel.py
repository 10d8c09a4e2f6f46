"""The user's model, however it was written for KerasTuner: what it builds, how it fits, what its fit returns."""

from __future__ import annotations

import copy
import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast, final


@final
class UserModel:
    """A function `build(hp)`, or a `keras_tuner.HyperModel` class or instance, behind one face."""

    def __init__(self, source: Any) -> None:
        """Make ready; a class is instantiated.

        Args:
            source: A function `build(hp)`, a class without arguments, or an instance. A `HyperModel` may have left
                out `super().__init__()`, and anything with a `build(hp)` will do.

        Raises:
            TypeError: it is none of these.
        """
        if inspect.isclass(source):
            source = _instance(cast(type[Any], source))
        if _is_keras_model(source) or not (callable(source) or callable(getattr(source, "build", None))):
            raise TypeError(
                f"the model must be a function build(hp) or a HyperModel, got {_article(type(source).__name__)}; "
                "a function that returns the compiled model will do"
            )
        self._source: Any = source

    def build(self, hp: Any) -> Any:
        """Return the compiled model for `hp`; what `declare_hyperparameters` declares is known to it.

        Args:
            hp: Of `spaces.hp`.

        Raises:
            TypeError: what it built cannot be fitted.
        """
        declare = getattr(self._source, "declare_hyperparameters", None)
        if declare is not None:
            with hp.declaration():
                declare(hp)
        build = getattr(self._source, "build", None)
        model = build(hp) if build is not None else self._source(hp)
        if not hasattr(model, "fit") and self._own_fit() is None:
            raise TypeError(f"build(hp) must return a compiled Keras model, it returned {_article(model)}")
        return model

    def fit(self, hp: Any, model: Any, arguments: Mapping[str, Any]) -> Any:
        """Train the model, by the hypermodel's own `fit` where it has one; return what that returns.

        Args:
            hp: The same as in `build`.
            model: What `build` returned.
            arguments: Of `fit`, by Keras's names. To an own `fit` they are handed as `search(x, y, …)` does, and what
                it sets by itself stands above what the sweep says.
        """
        import keras

        fit = self._own_fit()
        if fit is None:
            return model.fit(**{"verbose": 0, **arguments})
        keras.config.disable_interactive_logging()  # nobody looks: a bar of an own `fit` would fill the log
        return call_as_search(lambda *places, **named: self._source.fit(hp, model, *places, **named), fit, arguments)

    def takes(self, name: str) -> bool:
        """Say whether the hypermodel's own `fit` takes an argument of that name, whatever Keras's does."""
        fit = self._own_fit()
        return fit is not None and _takes(fit, name)

    @property
    def has_own_fit(self) -> bool:
        """Whether the hypermodel trains by a `fit` of its own, whose result says what the epochs may not."""
        return self._own_fit() is not None

    @property
    def source(self) -> Any:
        """The function or hypermodel itself."""
        return self._source

    @property
    def own_fit(self) -> bool:
        """Whether it trains its models in a way of its own."""
        return self._own_fit() is not None

    def _own_fit(self) -> Any:
        import keras_tuner

        fit: Any = getattr(self._source, "fit", None)
        return None if getattr(fit, "__func__", None) is cast(Any, keras_tuner.HyperModel).fit else fit


def call_as_search(call: Callable[..., Any], function: Any, arguments: Mapping[str, Any]) -> Any:
    """Call user code that trains as KerasTuner's `search(x, y, …)` does, and return what it returns.

    Args:
        call: Calls the function, with what comes before.
        function: The user's. It gets the data, and of what the sweep says that for which it has a place. What it sets
            by itself stands above that.
        arguments: By name; `x` and `y` are handed by place.
    """
    given = {name: value for name, value in arguments.items() if name not in _OF_THE_SWEEP or _takes(function, name)}
    places = [given.pop(name) for name in _BY_PLACE if name in given]
    while True:
        try:
            return call(*places, **given)
        except TypeError as error:
            doubled = re.search(r"multiple values for keyword argument '(\w+)'", str(error))
            if doubled is None or doubled[1] not in given:
                raise
            del given[doubled[1]]


_BY_PLACE = ("x", "y")
_OF_THE_SWEEP = ("batch_size", "callbacks", "epochs", "verbose")
"""What a `fit` without `**kwargs` need not take."""


def _takes(function: Any, name: str) -> bool:
    """Say whether a function has a place for an argument."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return True
    return name in parameters or any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())


def _instance(kind: type[Any]) -> Any:
    try:
        inspect.signature(kind).bind()
    except TypeError as error:
        raise TypeError(
            f"the class {kind.__name__} cannot be made without arguments: {error}; give an instance"
        ) from None
    except ValueError:  # no signature to be had: calling it will tell
        pass
    return kind()


def _is_keras_model(source: Any) -> bool:
    import keras

    return isinstance(source, keras.Model)


def _article(what: Any) -> str:
    return "nothing" if what is None else what if isinstance(what, str) else type(what).__name__


# Callbacks -----------------------------------------------------------------------------------------------------------


def callbacks_for(source: Any, hp: Any, number: int | None = None) -> list[Any]:
    """Return the callbacks of one trial, which shares none with another; nor does TensorBoard its folder.

    Args:
        source: Callbacks, which are copied; or a function that makes them anew, without arguments or of `hp`; or None.
        hp: The trial's.
        number: The trial's, if it is one.

    Raises:
        TypeError: they cannot be copied.
    """
    if source is None:
        return []
    if callable(source) and not _is_callback(source):
        source = _call(cast(Callable[..., Any], source), hp)
        made = list(cast(Sequence[Any], source)) if isinstance(source, list | tuple) else [source]
        return _apart(made, number)
    given = list(cast(Sequence[Any], source)) if isinstance(source, list | tuple) else [source]
    try:
        return _apart(copy.deepcopy(given), number)
    except Exception as error:
        raise TypeError(
            f"the callbacks cannot be copied for a trial ({error}); give a function that makes them: callbacks=lambda: […]"
        ) from error


def _apart(callbacks: list[Any], number: int | None) -> list[Any]:
    """Give TensorBoard a folder of the trial's in the one that it was made with, as KerasTuner does."""
    for one in callbacks:
        if number is not None and type(one).__name__ == "TensorBoard":
            one.log_dir = os.path.join(str(one.log_dir), f"{number:04d}")
    return callbacks


def _is_callback(source: Any) -> bool:
    import keras

    return isinstance(source, keras.callbacks.Callback)


def _call(factory: Callable[..., Any], hp: Any) -> Any:
    """Call with `hp` where the function has a place for it that must be filled."""
    try:
        inspect.signature(factory).bind()
    except TypeError:
        return factory(hp)
    except ValueError:
        pass
    return factory()


# Results -------------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """What a `fit` returned: the metrics of each epoch of a History, else the last word on the whole trial.

    `value` is the objective where `fit` gave it as such (a number, a dict, a mean over several): it is the trial's,
    whatever the epochs were.
    """

    epochs: tuple[Mapping[str, float], ...] = ()
    final: Mapping[str, float] = field(default_factory=dict[str, float])
    value: float | None = None


def fit_result(returned: Any, metric: str, better: Callable[[float, float], bool]) -> FitResult:
    """Read what a `fit` returned, as KerasTuner does.

    Args:
        returned: A History, a number, a dict of metrics, a list of these (executions, folds: their mean counts), or
            None where the epochs said all.
        metric: The objective's name; a bare number is its value.
        better: Whether its first argument is a better objective than its second.

    Raises:
        TypeError: it is something else.
    """
    if returned is None:
        return FitResult()
    if hasattr(returned, "history"):
        return FitResult(epochs=_epochs(returned.history))
    if isinstance(returned, list | tuple):
        final = _mean([_summary(one, metric, better) for one in cast(Sequence[Any], returned)])
    else:
        final = _summary(returned, metric, better)
    return FitResult(final=final, value=final.get(metric))


def _summary(returned: Any, metric: str, better: Callable[[float, float], bool]) -> Mapping[str, float]:
    """Return one result as the metrics that count: those of a History's best epoch, a dict's, a number as `metric`."""
    if hasattr(returned, "history"):
        return _best(_epochs(returned.history), metric, better)
    if isinstance(returned, Mapping):
        return plain_metrics(cast(Mapping[str, Any], returned))
    if isinstance(returned, list | tuple):
        return _mean([_summary(one, metric, better) for one in cast(Sequence[Any], returned)])
    try:
        return {metric: float(returned)}
    except (TypeError, ValueError):
        raise TypeError(
            f"fit must return a History, a number, a dict of metrics or a list of these, got {type(returned).__name__}"
        ) from None


def _epochs(history: Mapping[str, Sequence[Any]]) -> tuple[Mapping[str, float], ...]:
    length = max((len(values) for values in history.values()), default=0)
    rows = [{name: values[index] for name, values in history.items() if index < len(values)} for index in range(length)]
    return tuple(plain_metrics(row) for row in rows)


def _best(
    epochs: Sequence[Mapping[str, float]], metric: str, better: Callable[[float, float], bool]
) -> Mapping[str, float]:
    best: Mapping[str, float] = {}
    for epoch in epochs:
        if metric not in best or (metric in epoch and better(epoch[metric], best[metric])):
            best = epoch
    return best


def _mean(results: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for result in results for name in result)
    columns = {name: [result[name] for result in results if name in result] for name in names}
    return {name: sum(values) / len(values) for name, values in columns.items()}


def plain_metrics(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """Return what Keras logged as plain floats; what is no number is left out."""
    metrics: dict[str, float] = {}
    for name, value in (logs or {}).items():
        with suppress(TypeError, ValueError):
            metrics[str(name)] = float(value)
    return metrics
