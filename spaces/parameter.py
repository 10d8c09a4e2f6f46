"""One searched parameter: its domain, its default, the conditions under which a model reads it.

The words and the sampling are KerasTuner's (`min`, `max`, `step`, `sampling`, `default`); a parameter is identified by
all of them but the default, so that two branches may use one name with two ranges.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from itertools import count, takewhile
from typing import Any, cast, final

from .errors import BadInput
from .trial import Json, Scalar

LARGEST = 2**53
"""Up to here each whole number is a float of its own, which is what samplers count in."""


class Sampling(StrEnum):
    """How a number is drawn from its range."""

    LINEAR = "linear"
    LOG = "log"
    REVERSE_LOG = "reverse_log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Holds when the parameter `parent` has one of `values`."""

    parent: str
    values: tuple[Scalar, ...]

    def holds(self, values: Mapping[str, Scalar]) -> bool:
        """Say whether it holds under `values`, by name."""
        return self.parent in values and values[self.parent] in self.values


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """All numbers from `low` to `high`; `log`: uniform in the logarithm; `mirrored`: of the distance from `high`."""

    low: float
    high: float
    integer: bool = False
    log: bool = False
    mirrored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Finitely many values in an order that means something."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Categories:
    """Finitely many values without an order."""

    values: tuple[Scalar, ...]


Domain = Interval | Steps | Categories


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    name: str
    conditions: tuple[Condition, ...] = ()

    def active(self, values: Mapping[str, Scalar]) -> bool:
        """Say whether a model with these values reads the parameter."""
        return all(condition.holds(values) for condition in self.conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(_Named):
    """An integer or a float between `min` and `max`, both included.

    `step` adds under linear sampling and multiplies under the logarithmic ones, as in KerasTuner.
    """

    min: float
    max: float
    integer: bool
    step: float | None = None
    sampling: Sampling = Sampling.LINEAR
    default: float | None = None

    def __post_init__(self) -> None:
        """Check the range; give its numbers the type of the parameter, so that 1 and 1.0 are one bound.

        Raises:
            BadInput: the range is empty or too large, a logarithm or a step does not fit it.
        """
        for name in ("min", "max", "step", "default"):
            object.__setattr__(self, name, _as_kind(getattr(self, name), integer=self.integer))
        if not (math.isfinite(self.min) and math.isfinite(self.max)):
            raise BadInput(f"{self.name!r} needs finite ends, got min {_said(self.min)} and max {_said(self.max)}")
        if self.min > self.max:
            raise BadInput(f"{self.name!r} has min {_said(self.min)} > max {_said(self.max)}; swap the two")
        if self.integer and max(abs(self.min), abs(self.max)) > LARGEST:
            raise BadInput(
                f"{self.name!r} goes from {_said(self.min)} to {_said(self.max)}, which is too large; expected whole numbers "
                f"of at most {LARGEST} on either side of 0, up to which samplers are exact"
            )
        if not math.isfinite(self.max - self.min):
            raise BadInput(
                f"{self.name!r} goes from {_said(self.min)} to {_said(self.max)}, which is too wide; "
                "expected a finite difference, as from -1e307 to 1e307"
            )
        if self.sampling is not Sampling.LINEAR and self.min <= 0:
            raise BadInput(f"{self.name!r} samples {self.sampling}, so min must be above 0, got {_said(self.min)}")
        if self.step is not None and not (0 if self.sampling is Sampling.LINEAR else 1) < self.step < math.inf:
            least = "above 0" if self.sampling is Sampling.LINEAR else "above 1: it multiplies"
            raise BadInput(
                f"{self.name!r} has step {_said(self.step)}; with {self.sampling} sampling it must be {least}"
            )
        if self.default is not None and not self.min <= self.default <= self.max:
            raise BadInput(
                f"{self.name!r} has default {_said(self.default)}, outside {_said(self.min)} to {_said(self.max)}"
            )

    @property
    def domain(self) -> Domain:
        """The values it can take."""
        if self.step is not None and not (self.integer and self.step == 1 and self.sampling is Sampling.LINEAR):
            return Steps(values=self.grid())
        return Interval(
            low=self.min,
            high=self.max,
            integer=self.integer,
            log=self.sampling is not Sampling.LINEAR,
            mirrored=self.sampling is Sampling.REVERSE_LOG,
        )

    @property
    def initial(self) -> Scalar:
        """The default, or what KerasTuner takes in its place."""
        return self._cast(self.min if self.default is None else self.default)

    def _cast(self, value: float) -> Scalar:
        return int(value) if self.integer else float(value)

    def grid(self) -> tuple[Scalar, ...]:
        """Return the values on the grid, exact in decimal (0.1 + 0.2 is 0.3), `max` included where a step meets it."""
        if self.step is None:
            raise ValueError(f"{self.name!r} has no step")
        return _grid(self.min, self.max, self.step, self.integer, self.sampling)

    def to_json(self) -> dict[str, Json]:
        """Return the plain form."""
        body: dict[str, Json] = {"kind": "int" if self.integer else "float", "min": self.min, "max": self.max}
        return _spec(self, {**body, "step": self.step, "sampling": str(self.sampling), "default": self.default})


@lru_cache(maxsize=256)
def _grid(low: float, high: float, step: float, integer: bool, sampling: Sampling) -> tuple[Scalar, ...]:
    first, last, by = (Decimal(str(number)) for number in (low, high, step))
    if sampling is Sampling.LINEAR:
        points = [first + index * by for index in range(int((last - first) / by) + 1)]
    else:
        points = list(takewhile(lambda point: float(point) <= high, (first * by**index for index in count())))
    if sampling is Sampling.REVERSE_LOG:
        points = [last - point + first for point in points]
    kind = int if integer else float
    return tuple(dict.fromkeys(kind(float(point)) for point in points))


def _said(value: float) -> str:
    """Return the number as one would write it."""
    return str(int(value)) if math.isfinite(value) and value == int(value) and abs(value) < 1e15 else str(value)


def _as_kind(value: float | None, *, integer: bool) -> float | None:
    """Return the value as an integer or a float where that is the same number."""
    if value is None or not math.isfinite(value) or (integer and value != int(value)):
        return value
    return int(value) if integer else float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(_Named):
    """One of `values`; `ordered` when their order means something (numbers)."""

    values: tuple[Scalar, ...]
    ordered: bool = False
    default: Scalar | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            BadInput: there are none, or the default is not among them.
        """
        if not self.values:
            raise BadInput(f"{self.name!r} has no values to choose from; give at least one")
        if self.default is not None and self.default not in self.values:
            raise BadInput(f"{self.name!r} has default {self.default!r}, which is not one of {list(self.values)}")

    @property
    def domain(self) -> Domain:
        """The values it can take, each once."""
        values = tuple({(type(value), value): value for value in self.values}.values())
        if self.ordered and len(values) > 2:
            return Steps(values=values)
        return Categories(values=values)

    @property
    def initial(self) -> Scalar:
        """The default, or what KerasTuner takes in its place."""
        return self.values[0] if self.default is None else self.default

    def to_json(self) -> dict[str, Json]:
        """Return the plain form."""
        body: dict[str, Json] = {"kind": "choice", "values": list(self.values), "ordered": self.ordered}
        return _spec(self, {**body, "default": self.default})


@dataclass(frozen=True, slots=True, kw_only=True)
class Boolean(_Named):
    """True or False."""

    default: bool | None = None

    @property
    def domain(self) -> Domain:
        """The values it can take."""
        return Categories(values=(False, True))

    @property
    def initial(self) -> Scalar:
        """The default, or what KerasTuner takes in its place."""
        return bool(self.default)

    def to_json(self) -> dict[str, Json]:
        """Return the plain form."""
        return _spec(self, {"kind": "boolean", "default": self.default})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed(_Named):
    """One value, not searched, but recorded."""

    value: Scalar

    @property
    def domain(self) -> Domain:
        """The one value it can take."""
        return Categories(values=(self.value,))

    @property
    def initial(self) -> Scalar:
        """The value."""
        return self.value

    def to_json(self) -> dict[str, Json]:
        """Return the plain form."""
        return _spec(self, {"kind": "fixed", "value": self.value})


Parameter = Number | Choice | Boolean | Fixed


def _spec(parameter: _Named, body: dict[str, Json]) -> dict[str, Json]:
    conditions = [{"parent": one.parent, "values": list(one.values)} for one in parameter.conditions]
    return {"name": parameter.name, **body, "conditions": conditions}


@final
class _Exact:
    """Something to look up by what it is to the letter: 1, 1.0 and true are equal, and yet three."""

    __slots__ = ("_text", "it")

    def __init__(self, it: Any) -> None:
        self.it = it
        self._text = repr(it)

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Exact) and self._text == other._text


def parameter_from_json(spec: Mapping[str, Json]) -> Parameter:
    """Return the parameter whose `to_json` is `spec`."""
    return _from_json(_Exact(spec))


@lru_cache(maxsize=4096)  # each trial of a sweep brings the same ones
def _from_json(spec: _Exact) -> Parameter:
    body: dict[str, Any] = dict(spec.it)
    kind = body.pop("kind")
    conditions = cast(Sequence[Mapping[str, Json]], body.pop("conditions", ()))
    body["conditions"] = tuple(
        Condition(parent=str(one["parent"]), values=tuple(cast(Sequence[Scalar], one["values"]))) for one in conditions
    )
    if kind in ("int", "float"):
        body["sampling"] = Sampling(str(body["sampling"]))
        return Number(integer=kind == "int", **body)
    if kind == "choice":
        body["values"] = tuple(cast(Sequence[Scalar], body["values"]))
        return Choice(**body)
    return Boolean(**body) if kind == "boolean" else Fixed(**body)


def identity(parameter: Parameter) -> str:
    """Return a short name for all that makes the parameter what it is: name, domain, conditions; not the default."""
    return _identity(_Exact(parameter))


@lru_cache(maxsize=4096)
def _identity(exact: _Exact) -> str:
    parameter: Parameter = exact.it
    spec = dict[str, Any](parameter.to_json())
    spec.pop("default", None)
    if isinstance(parameter, Number):  # 1 and 1.0 are one bound
        whole = parameter.integer and parameter.sampling is Sampling.LINEAR  # then no step is a step of 1
        step = float(parameter.step) if parameter.step is not None else 1.0 if whole else None
        spec |= {"min": float(parameter.min), "max": float(parameter.max), "step": step}
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def without_conditions(parameter: Parameter) -> Parameter:
    """Return the parameter as if it were always active."""
    return replace(parameter, conditions=())
