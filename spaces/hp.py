"""`hp`, as a model's `build(hp)` sees it: KerasTuner's class, with the values decided by the sweep.

A parameter that the driver knows arrives with the trial. One that it does not know is a *miss*: inside `build` it
takes its default and is noted, so that one pass finds all that the default path meets; inside `fit` it ends the pass
at once. Either way the trial comes back with a value for it (late binding).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from .known import Declared
from .parameter import Boolean, Choice, Condition, Fixed, Number, Parameter, Sampling, identity
from .trial import Scalar

if TYPE_CHECKING:
    import keras_tuner


class NeedsParameters(BaseException):
    """Ends a pass whose `fit` met an unknown parameter; not an `Exception`, so that user code cannot swallow it."""


@dataclass(slots=True, kw_only=True)
class Trace:
    """What one pass of a model read: `used`, with values, by identity; `misses`, the unknown ones among them."""

    assigned: Mapping[str, Scalar]
    declared: Mapping[str, Declared] = field(default_factory=dict[str, Declared])
    used: dict[str, tuple[Parameter, Scalar]] = field(default_factory=dict[str, tuple[Parameter, Scalar]])
    misses: dict[str, Parameter] = field(default_factory=dict[str, Parameter])
    fitting: bool = False

    def read(self, asked: Parameter) -> Scalar:
        """Return the value for what the code asks, and note that it did.

        Raises:
            NeedsParameters: it is unknown, and `fit` has begun.
        """
        declared = self.declared.get(asked.name)
        parameter = declared.narrow(asked, self.params) if declared else asked
        key = identity(parameter)
        if isinstance(parameter, Fixed):
            value = parameter.value
        elif key in self.assigned:
            value = self.assigned[key]
        else:
            self.misses[key] = parameter
            value = parameter.initial
            if self.fitting:
                raise NeedsParameters(parameter.name)
        self.used[key] = (parameter, value)
        return value

    @property
    def params(self) -> dict[str, Scalar]:
        """Values by plain name."""
        return {parameter.name: value for parameter, value in self.used.values()}


def from_keras_tuner(hp: keras_tuner.engine.hyperparameters.HyperParameter) -> Parameter:
    """Return our form of KerasTuner's parameter object."""
    source = cast(Any, hp)
    base: dict[str, Any] = {
        "name": str(source.name),
        "conditions": tuple(Condition(parent=one.name, values=tuple(one.values)) for one in source.conditions),
    }
    kind = type(hp).__name__
    if kind in ("Int", "Float"):
        return Number(
            **base,
            min=source.min_value,
            max=source.max_value,
            integer=kind == "Int",
            step=source.step,
            sampling=Sampling(source.sampling),
            default=source._default,  # `default` fills in min_value; None means that the code gave none
        )
    if kind == "Choice":
        return Choice(**base, values=tuple(source.values), ordered=bool(source.ordered), default=source._default)
    if kind == "Boolean":
        return Boolean(**base, default=bool(source.default))
    return Fixed(**base, value=source.value)


@cache
def hyperparameters_class() -> Callable[[Trace], keras_tuner.HyperParameters]:
    """Return the subclass of `keras_tuner.HyperParameters`; importing KerasTuner imports TensorFlow, hence late."""
    import keras_tuner

    class HyperParameters(keras_tuner.HyperParameters):
        """KerasTuner's container; its one way to a new value, `_retrieve`, asks the trace."""

        def __init__(self, trace: Trace) -> None:
            super().__init__()
            self._trace = trace

        def _retrieve(self, hp: Any) -> Any:
            known = self._exists(hp.name, hp.conditions)
            if not known and self._conditions_are_active(hp.conditions) and hp.name not in self.values:
                self.values[hp.name] = self._trace.read(from_keras_tuner(hp))
            return cast(Any, super()._retrieve(hp))

        def _exists(self, name: str, conditions: Any = None) -> bool:
            """Look a scope's parent up through all enclosing scopes, not only under exactly the current ones."""
            if conditions is None:
                return name in self.values or name in self._hps
            return super()._exists(name, conditions)

        def get(self, name: str) -> Any:
            """Return a value; a parameter that only the sweep file declares counts as read from here on."""
            full = self._get_name(name)
            if full not in self.values and full in self._trace.declared:
                self.values[full] = self._trace.read(self._trace.declared[full].parameter)
            return cast(Any, super().get(name))

    return HyperParameters
