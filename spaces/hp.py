"""`hp`, as a model's `build(hp)` sees it: KerasTuner's class, with the values decided by the sweep."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from .known import Declared
from .parameter import Boolean, Choice, Condition, Fixed, Number, Parameter, Sampling
from .trace import Trace
from .trial import Scalar

if TYPE_CHECKING:
    import keras_tuner


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
            default=_default_within(source),
        )
    if kind == "Choice":
        return Choice(**base, values=tuple(source.values), ordered=bool(source.ordered), default=source._default)
    if kind == "Boolean":
        return Boolean(**base, default=bool(source.default))
    return Fixed(**base, value=source.value)


def _default_within(hp: Any) -> float | None:
    """Return the default that the code gave; one outside the range, which KerasTuner lets pass, is none."""
    given = hp._default  # `default` fills in min_value; None means that the code gave none
    return given if given is not None and hp.min_value <= given <= hp.max_value else None


def declared_by(hp: keras_tuner.HyperParameters) -> tuple[Declared, ...]:
    """Return the parameters of a container of KerasTuner's, which stand in the place of those that the code names."""
    return tuple(Declared(parameter=from_keras_tuner(one)) for one in cast(Any, hp).space)


class Values(dict[str, Any]):
    """`hp.values`: by name; what was declared beforehand is read when the code first looks at it."""

    def __init__(self, hp: Any, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._hp = hp

    def __missing__(self, name: str) -> Any:
        """Read what is declared."""
        parameter = self._hp.declared(name)
        if parameter is None:
            raise KeyError(name)
        return self._hp.read(parameter)

    def __contains__(self, name: object) -> bool:
        """Say whether there is a value, or would be on looking."""
        return super().__contains__(name) or (isinstance(name, str) and self._hp.declared(name) is not None)

    def __setitem__(self, name: str, value: Any) -> None:
        """Set what the code wants it to be."""
        self._hp.pin(name, value)
        super().__setitem__(name, value)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or the default where there is none."""
        try:
            return self[name]
        except KeyError:
            return default


@cache
def hyperparameters_class() -> Callable[..., keras_tuner.HyperParameters]:
    """Return the subclass of `keras_tuner.HyperParameters`; importing KerasTuner imports TensorFlow, hence late.

    Without a trace an instance is KerasTuner's own in all respects but the look-up of a scope's parent: new parameters
    take their defaults.
    """
    import keras_tuner

    class HyperParameters(keras_tuner.HyperParameters):
        """KerasTuner's container; its one way to a new value, `_register`, asks the trace."""

        _hps: Any
        _space: Any
        _name_scopes: Any

        def __init__(self, trace: Trace | None = None, *, tunable: bool = True) -> None:
            """Begin a pass.

            Args:
                trace: What the sweep says, and where reading is noted; without one, nothing but defaults.
                tunable: Whether parameters that nobody declared are searched; they take their defaults if not.
            """
            self.trace = trace
            self._tunable = tunable
            self._declaring = False
            self._before: frozenset[str] = frozenset()
            super().__init__()

        @property
        def values(self) -> dict[str, Any]:
            """The active parameters' values by name."""
            return self._values

        @values.setter
        def values(self, values: Mapping[str, Any]) -> None:
            self._values: dict[str, Any] = dict(values) if self.trace is None else Values(self, values)
            for name, value in values.items():
                self.pin(name, value)

        @contextmanager
        def declaration(self) -> Generator[None]:
            """Take what is asked for in here as declared: it is read when the code first looks at it after."""
            self._declaring = True
            try:
                yield
            finally:
                self._declaring = False

        def declared(self, name: str) -> Parameter | None:
            """Return the active parameter of that name that was declared, by the code or the sweep, or found; else None."""
            for one in self._hps.get(name, ()):
                if self._conditions_are_active(one.conditions):
                    return from_keras_tuner(one)
            if self.trace is None:
                return None
            by_sweep = self.trace.declared.get(name)
            found = self.trace.known if self._tunable else ()
            known = [by_sweep.parameter] if by_sweep else [one for one in found if one.name == name]
            return next((one for one in known if one.active(self.values)), None)

        def read(self, parameter: Parameter) -> Scalar:
            """Return the sweep's value for a parameter, which counts as used from here on unless only declaring."""
            assert self.trace is not None  # noqa: S101
            if self._declaring:
                return self.trace.peek(parameter)
            value = self.trace.read(parameter)
            dict.__setitem__(self._values, parameter.name, value)
            return value

        def pin(self, name: str, value: Any) -> None:
            """Note a value that the code sets by itself."""
            if self.trace is not None and self._tunable:
                self.trace.pin(name, value)

        def _register(self, hyperparameter: Any, overwrite: bool = False) -> Any:
            if self.trace is None:
                return cast(Any, super()._register(hyperparameter, overwrite))
            name = hyperparameter.name
            self._validate_name(name)
            if self._declaring:
                return self._declare(hyperparameter, overwrite)
            if self._conditions_are_active(hyperparameter.conditions) and not dict.__contains__(self._values, name):
                if self._tunable or name in self.trace.declared or name in self._before:
                    self.read(from_keras_tuner(hyperparameter))
                else:
                    dict.__setitem__(self._values, name, hyperparameter.default)
            return cast(Any, super()._register(hyperparameter))

        def _declare(self, hyperparameter: Any, overwrite: bool) -> Any:
            one = hyperparameter.__class__.from_config(hyperparameter.get_config())
            name = one.name
            self._hps[name].insert(0 if overwrite else len(self._hps[name]), one)
            self._space.append(one)
            if overwrite:
                self._values.pop(name, None)
            return self._values[name] if self._conditions_are_active(one.conditions) else None

        def _exists(self, name: str, conditions: Any = None) -> bool:
            """Look a scope's parent up through all enclosing scopes, not only under exactly the current ones."""
            if conditions is None:
                return name in self._hps or name in self.values
            return super()._exists(name, conditions)

        def merge(self, hps: Any, overwrite: bool = True) -> None:
            """Declare the parameters of another container, or of a list."""
            with self.declaration():
                super().merge(hps, overwrite)

        def ensure_active_values(self) -> None:
            """Drop the values of inactive parameters; without a trace, draw missing ones of active parameters."""
            if self.trace is None:
                super().ensure_active_values()
                return
            for one in self._space:
                if not self.is_active(one):
                    self._values.pop(one.name, None)

        def copy(self) -> Any:
            """Return a container in which new parameters are not searched, but take their defaults."""
            if self.trace is None:
                return cast(Any, super().copy())
            other = HyperParameters(self.trace, tunable=False)
            other._before = frozenset(self._hps)
            other._name_scopes = list[str](self._name_scopes)
            for one in self._space:
                other._hps[one.name].append(one)
            other._space = self._space.copy()
            other._values = Values(other, self._values)
            return other

        def __reduce__(self) -> Any:
            """Travel, and be copied deeply, as KerasTuner's own container: only here is there a trace to ask."""
            return keras_tuner.HyperParameters.from_config, (self.get_config(),)

    return HyperParameters


def __getattr__(name: str) -> Any:
    """Give `HyperParameters` by its name too, for those who do not mind the import."""
    if name == "HyperParameters":
        return hyperparameters_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
