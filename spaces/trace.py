"""What a model reads of `hp` in one pass, and the values that it gets.

A parameter that the driver knows arrives with the trial. One that it does not know is a *miss*: inside `build` it
takes its default and is noted, so that one pass finds all that the default path meets; inside `fit` it ends the pass
at once. Either way the trial comes back with a value for it (late binding).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from .errors import BadInput, did_you_mean
from .known import Declared
from .parameter import Fixed, Parameter, identity
from .trial import Scalar


class NeedsParameters(BaseException):
    """Ends a pass whose `fit` met an unknown parameter; not an `Exception`, so that user code cannot swallow it."""


class Undeclared(StrEnum):
    """What becomes of a parameter that the code names and the sweep does not declare."""

    SEARCH = "search"
    DEFAULT = "default"
    REFUSE = "refuse"


@dataclass(slots=True, kw_only=True)
class Trace:
    """What one pass of a model read: `used`, with values, by identity; `misses`, the unknown ones among them.

    `known` are parameters that earlier passes or trials have found, for code that looks at a value before it says
    what it is.
    `pinned` are values that the code set by itself, by plain name: recorded, but no part of what is searched.
    """

    assigned: Mapping[str, Scalar]
    declared: Mapping[str, Declared] = field(default_factory=dict[str, Declared])
    known: tuple[Parameter, ...] = ()
    used: dict[str, tuple[Parameter, Scalar]] = field(default_factory=dict[str, tuple[Parameter, Scalar]])
    misses: dict[str, Parameter] = field(default_factory=dict[str, Parameter])
    pinned: dict[str, Scalar] = field(default_factory=dict[str, Scalar])
    fitting: bool = False
    undeclared: str = Undeclared.SEARCH

    def read(self, asked: Parameter) -> Scalar:
        """Return the value for what the code asks, and note that it did.

        Raises:
            NeedsParameters: it is unknown, and `fit` has begun.
            BadInput: the sweep does not declare it, and refuses such.
        """
        if self.undeclared != Undeclared.SEARCH and asked.name not in self.declared:
            return self._undeclared(asked)
        parameter = self._searched(asked)
        key = identity(parameter)
        value = self._value(key, parameter)
        if value is None:
            self.misses[key] = parameter
            value = parameter.initial
            if self.fitting:
                raise NeedsParameters(parameter.name)
        self.used[key] = (parameter, value)
        self.pinned.pop(parameter.name, None)
        return value

    def _undeclared(self, asked: Parameter) -> Scalar:
        """Return the default, which is recorded, but is no part of what is searched."""
        if self.undeclared == Undeclared.REFUSE:
            raise BadInput(
                f"the model reads {asked.name!r}, which the sweep does not declare"
                f"{did_you_mean(asked.name, self.declared)}, and undeclared parameters are refused"
            )
        self.pin(asked.name, asked.initial)
        return asked.initial

    def peek(self, asked: Parameter) -> Scalar:
        """Return the value for `asked`, or its default, and note nothing."""
        parameter = self._searched(asked)
        value = self._value(identity(parameter), parameter)
        return parameter.initial if value is None else value

    def pin(self, name: str, value: Any) -> None:
        """Note that the code set a value by itself."""
        if isinstance(value, bool | int | float | str):
            self.pinned[name] = value

    def _searched(self, asked: Parameter) -> Parameter:
        """Return what the sweep searches where the code asks for `asked`.

        A condition on what the code itself has set is no condition to the driver, which does not know the parent.
        """
        declared = self.declared.get(asked.name)
        parameter = declared.narrow(asked, self.params) if declared else asked
        known = {one.name for one, _ in self.used.values()} - self.pinned.keys()
        conditions = tuple(one for one in parameter.conditions if one.parent in known)
        return parameter if conditions == parameter.conditions else replace(parameter, conditions=conditions)

    def _value(self, key: str, parameter: Parameter) -> Scalar | None:
        return parameter.value if isinstance(parameter, Fixed) else self.assigned.get(key)

    @property
    def params(self) -> dict[str, Scalar]:
        """Values by plain name."""
        return {parameter.name: value for parameter, value in self.used.values()} | self.pinned
