"""The YAML form of a parameter: a range, a list to choose from, branches, a fixed value.

{min: 1e-5, max: 1e-1, sampling: log, default: 1e-3}        a number; whole ends make an integer
[relu, gelu, swish]                                         a choice; numbers are ordered; [true, false]: a switch
{choice: [16, 32, 64], default: 32, ordered: true}          the same with more said
{choice: {adam: {beta_1: {…}}, sgd: {momentum: {…}}}}       branches: only the chosen one's parameters are active
{fixed: 0.5}                                                not searched, but recorded
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from .errors import BadInput, did_you_mean
from .parameter import Boolean, Choice, Condition, Fixed, Number, Parameter, Sampling
from .space import Declared
from .trial import Scalar

Path = tuple[Any, ...]
"""Keys and indices from the outermost form to one of its pieces."""

RANGE = ("min", "max", "step", "sampling", "default")
CHOICE = ("choice", "ordered", "default")
FIXED = ("fixed",)
OTHER_WORDS = {
    "high": "max",
    "low": "min",
    "max_value": "max",
    "min_value": "min",
    "options": "choice",
    "value": "fixed",
    "values": "choice",
}
SHAPES = "`{min: …, max: …}`, a list of values, `{choice: …}` or `{fixed: …}`"
MANY_VALUES = 100_000
LONG_NAME = 200


class BadForm(BadInput):
    """A form that cannot be understood; `path` leads to the piece at fault, to its key where `at_key`."""

    def __init__(self, message: str, path: Path = (), *, at_key: bool = False) -> None:
        super().__init__(message)
        self.path = path
        self.at_key = at_key


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """Where a form stands: the parameter's full name, its conditions, the path to it."""

    name: str
    conditions: tuple[Condition, ...]
    path: Path

    def fault(self, message: str, *keys: Any, at_key: bool = False) -> BadForm:
        """Return the fault of the piece that `keys` leads to."""
        return BadForm(message, (*self.path, *keys), at_key=at_key)

    def below(self, value: Scalar, name: Any) -> _Slot:
        """Return the place of the parameter `name` of the branch for `value`."""
        path = (*self.path, "choice", value, name)
        full = checked_name(f"{self.name}/{value}/{checked_name(name, path)}", path)
        return _Slot(name=full, conditions=(*self.conditions, Condition(parent=self.name, values=(value,))), path=path)


def declare(name: str, form: object, path: Path = ()) -> list[Declared]:
    """Return the parameter `name` of this form and, after it, those of its branches.

    Args:
        name: the full name; a branch's parameters are named `name/branch/parameter`.
        form: plain data, as YAML gives it.
        path: where the form stands; faults carry it in front of their own.

    Raises:
        BadForm: the form cannot be understood.
    """
    return _declare(_Slot(name=checked_name(name, path), conditions=(), path=path), form)


def checked_name(name: object, path: Path) -> str:
    """Return `name` if a parameter can be called so.

    Raises:
        BadForm: it cannot.
    """
    if not isinstance(name, str):
        raise BadForm(f"the parameter's name is {shown(name)}; expected text, so put it in quotes", path, at_key=True)
    if not name.isprintable() or len(name) > LONG_NAME or not all(part.strip() for part in name.split("/")):
        rule = f"up to {LONG_NAME} visible characters, no empty part between slashes"
        raise BadForm(f"{name!r} cannot name a parameter; expected {rule}", path, at_key=True)
    return name


def shown(value: object) -> str:
    """Return `value` as a message names it."""
    match value:
        case None:
            return "empty"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value if len(value) <= 60 else value[:59] + "…")
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case _:
            return f"{value}"


def _declare(at: _Slot, form: object) -> list[Declared]:
    match form:
        case Mapping():
            return _from_mapping(at, cast(Mapping[Any, Any], form))
        case Sequence() if not isinstance(form, str):
            return [Declared(parameter=_choice(at, cast(Sequence[Any], form), {}, ()))]
        case None:
            raise at.fault(f"{at.name!r} is empty; expected {SHAPES}")
        case _:
            raise at.fault(f"{at.name!r} is {shown(form)}; expected {SHAPES}; a literal is `{{fixed: {form}}}`")


def _from_mapping(at: _Slot, form: Mapping[Any, Any]) -> list[Declared]:
    if not form:
        raise at.fault(f"{at.name!r} is an empty mapping; expected {SHAPES}")
    kind = "fixed" if "fixed" in form else "choice" if "choice" in form else "range"
    _check_keys(at, form, {"fixed": FIXED, "choice": CHOICE, "range": RANGE}[kind])
    if kind == "fixed":
        value = _scalar(at, form["fixed"], "fixed")
        return [Declared(parameter=Fixed(name=at.name, conditions=at.conditions, value=value))]
    if kind == "range":
        return [_range(at, form)]
    values = form["choice"]
    if isinstance(values, Mapping):
        return _branches(at, form, cast(Mapping[Any, Any], values))
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise at.fault(f"'choice' is {shown(values)}; expected a list of values, or a mapping of branches", "choice")
    return [Declared(parameter=_choice(at, cast(Sequence[Any], values), form, ("choice",)))]


def _check_keys(at: _Slot, form: Mapping[Any, Any], valid: Sequence[str]) -> None:
    anywhere = (*RANGE, "choice", "ordered", "fixed")
    for key in form:
        if key in valid:
            continue
        if key in anywhere:
            raise at.fault(f"{key!r} does not go with {valid[0]!r}; expected {SHAPES}", key, at_key=True)
        word = OTHER_WORDS.get(str(key))
        hint = f" (did you mean {word!r}?)" if word else did_you_mean(str(key), anywhere)
        names = ", ".join(valid if any(one in form for one in valid) else anywhere)
        raise at.fault(f"unknown key {shown(key)} in {at.name!r}; expected one of {names}{hint}", key, at_key=True)


# Ranges -----------------------------------------------------------------------------------------------------------------


def _range(at: _Slot, form: Mapping[Any, Any]) -> Declared:
    for end in ("min", "max"):
        if end not in form:
            raise at.fault(f"{at.name!r} has no {end!r}; expected {SHAPES}")
    numbers = {key: _number(at, form[key], key) for key in RANGE if key in form and key != "sampling"}
    integer = all(isinstance(number, int) for number in numbers.values())
    number = _with(at, None, "min", name=at.name, conditions=at.conditions, integer=integer, **_ends(numbers))
    if "sampling" in form:
        number = _with(at, number, "sampling", sampling=_sampling(at, form["sampling"]))
    for key in ("step", "default"):
        if key in numbers:
            number = _with(at, number, key, **{key: numbers[key]})
    _check_count(at, number)
    left_open = {key for key in ("sampling", "step") if key not in form} | ({"kind"} if integer else set[str]())
    return Declared(parameter=number, open=frozenset(left_open))


def _ends(numbers: Mapping[str, float]) -> dict[str, float]:
    return {"min": numbers["min"], "max": numbers["max"]}


def _with(at: _Slot, number: Number | None, key: str, **changes: Any) -> Number:
    """Return the number with `changes`; what it says against them is the fault of `key`."""
    try:
        return Number(**changes) if number is None else replace(number, **changes)
    except BadInput as error:
        raise at.fault(str(error), key) from None


def _sampling(at: _Slot, value: object) -> Sampling:
    names = [str(one) for one in Sampling]
    if value not in names:
        hint = did_you_mean(str(value), names)
        raise at.fault(f"'sampling' is {shown(value)}; expected {', '.join(names)}{hint}", "sampling")
    return Sampling(str(value))


def _check_count(at: _Slot, number: Number) -> None:
    """Refuse a grid that nobody can mean: it would be held in memory."""
    if number.step is None or number.min == number.max:
        return
    if number.sampling is Sampling.LINEAR:
        count = (number.max - number.min) / number.step
    else:
        count = (math.log(number.max) - math.log(number.min)) / math.log(number.step)
    if count > MANY_VALUES:
        raise at.fault(f"{at.name!r} has over {MANY_VALUES} steps; expected a larger step, or none", "step")


def _number(at: _Slot, value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise at.fault(f"{key!r} of {at.name!r} is {shown(value)}; expected a number", key)
    return value


# Choices ----------------------------------------------------------------------------------------------------------------


def _choice(at: _Slot, values: Sequence[Any], form: Mapping[Any, Any], path: Path) -> Parameter:
    if not values:
        raise at.fault(f"{at.name!r} is an empty list; expected at least one value to choose from", *path)
    scalars = _alike(at, [_scalar(at, value, *path, index) for index, value in enumerate(values)], path)
    default = _member(at, form, scalars)
    base: dict[str, Any] = {"name": at.name, "conditions": at.conditions, "default": default}
    if set(scalars) == {True, False} and isinstance(scalars[0], bool) and "ordered" not in form:
        return Boolean(**base)
    return Choice(**base, values=scalars, ordered=_ordered(at, form, scalars))


def _alike(at: _Slot, values: Sequence[Scalar], path: Path) -> tuple[Scalar, ...]:
    """Return the values, all of one type, as KerasTuner wants them: a whole number among floats is a float."""
    kinds = {"a switch" if isinstance(one, bool) else "text" if isinstance(one, str) else "number" for one in values}
    if len(kinds) > 1:
        message = f"{at.name!r} mixes {' and '.join(sorted(kinds))}; expected values of one kind (quotes make text)"
        raise at.fault(message, *path)
    if any(isinstance(one, float) for one in values):
        values = [float(one) for one in values]
    seen = set[Scalar]()
    for index, value in enumerate(values):
        if value in seen:
            raise at.fault(f"{at.name!r} lists {shown(value)} twice; expected each value once", *path, index)
        seen.add(value)
    return tuple(values)


def _member(at: _Slot, form: Mapping[Any, Any], values: Sequence[Scalar]) -> Scalar | None:
    """Return the default, if the form gives one."""
    if "default" not in form:
        return None
    default = form["default"]
    for value in values:
        if value == default and isinstance(value, bool) == isinstance(default, bool):
            return value
    names = [shown(value) for value in values]
    hint = did_you_mean(default, [str(value) for value in values]) if isinstance(default, str) else ""
    some = ", ".join([*names[:8], *(["…"] if len(names) > 8 else [])])
    raise at.fault(f"'default' of {at.name!r} is {shown(default)}; expected one of {some}{hint}", "default")


def _ordered(at: _Slot, form: Mapping[Any, Any], values: Sequence[Scalar]) -> bool:
    ordered = form.get("ordered", not isinstance(values[0], bool | str))
    if not isinstance(ordered, bool):
        raise at.fault(f"'ordered' of {at.name!r} is {shown(ordered)}; expected true or false", "ordered")
    return ordered


def _branches(at: _Slot, form: Mapping[Any, Any], branches: Mapping[Any, Any]) -> list[Declared]:
    if not branches:
        raise at.fault(f"'choice' of {at.name!r} is an empty mapping; expected at least one branch", "choice")
    parent = _choice(at, list(branches), form, ("choice",))
    declared = [Declared(parameter=parent)]
    for value, children in branches.items():
        if children is None:
            continue
        if not isinstance(children, Mapping):
            message = f"the branch {shown(value)} of {at.name!r} is {shown(children)}; expected its parameters, by name"
            raise at.fault(message, "choice", value)
        for name, child in cast(Mapping[Any, Any], children).items():
            declared += _declare(at.below(value, name), child)
    return declared


def _scalar(at: _Slot, value: object, *keys: Any) -> Scalar:
    if isinstance(value, bool | str) or (isinstance(value, int | float) and math.isfinite(value)):
        return value
    raise at.fault(f"a value of {at.name!r} is {shown(value)}; expected text, a number, true or false", *keys)
