"""What makes one parameter of a YAML form: its range, its values to choose from, its default."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, cast

from .bad_form import BadForm, Path, checked_name, shown
from .errors import BadInput, did_you_mean
from .known import Declared
from .parameter import Boolean, Choice, Condition, Number, Parameter, Sampling
from .trial import Scalar

ANYWHERE = ("repeat", "when")
RANGE = ("min", "max", "step", "sampling", "default", *ANYWHERE)
CHOICE = ("choice", "ordered", "default", *ANYWHERE)
FIXED = ("fixed", *ANYWHERE)
OTHER_WORDS = {
    "each": "repeat",
    "high": "max",
    "if": "when",
    "low": "min",
    "max_value": "max",
    "min_value": "min",
    "options": "choice",
    "value": "fixed",
    "values": "choice",
}
SHAPES = "`{min: …, max: …}`, a list of values, `{choice: …}` or `{fixed: …}`"
MANY_VALUES = 100_000
LARGE = 10**17
"""A whole number from here on cannot be read back from YAML."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Where a form stands: the parameter's full name, its conditions, the path to it.

    `around` has what comes before and after the parameter's own name, then those of what it stands in: inside the
    second turn of a group in a branch, `model/cnn/` and `_1`.
    """

    name: str
    path: Path
    conditions: tuple[Condition, ...] = ()
    around: tuple[tuple[str, str], ...] = (("", ""),)

    def fault(self, message: str, *keys: Any, at_key: bool = False) -> BadForm:
        """Return the fault of the piece that `keys` leads to."""
        return BadForm(message, (*self.path, *keys), at_key=at_key)

    def within(self, name: Any, path: Path, before: str, after: str, condition: Condition | None) -> Slot:
        """Return the place of the parameter `name` of a group that stands here."""
        return Slot(
            name=checked_name(f"{before}{checked_name(name, path)}{after}", path),
            path=path,
            conditions=self.conditions if condition is None else (*self.conditions, condition),
            around=((before, after), *self.around),
        )


def check_keys(at: Slot, form: Mapping[Any, Any], valid: Sequence[str]) -> None:
    """Refuse keys that are not `valid`.

    Raises:
        BadForm: there is one; names what was meant, where that is known.
    """
    anywhere = tuple(dict.fromkeys((*RANGE, *CHOICE, *FIXED)))
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


def range_of(at: Slot, form: Mapping[Any, Any]) -> Declared:
    """Return the number that `min`, `max`, `step`, `sampling` and `default` declare; what is not said is left open.

    Raises:
        BadForm: they do not go together.
    """
    for end in ("min", "max"):
        if end not in form:
            raise at.fault(f"{at.name!r} has no {end!r}; expected {SHAPES}")
    numbers = {key: _number(at, form[key], key) for key in ("min", "max", "step", "default") if key in form}
    integer = all(isinstance(number, int) for number in numbers.values())
    number = _with(at, None, "min", name=at.name, conditions=at.conditions, integer=integer, **_ends(numbers))
    if "sampling" in form:
        number = _with(at, number, "sampling", sampling=_sampling(at, form["sampling"]))
    for key in ("step", "default"):
        if key in numbers:
            number = _with(at, number, key, **{key: numbers[key]})
    _check_grid(at, number)
    left_open = {key for key in ("sampling", "step") if key not in form} | ({"kind"} if integer else set[str]())
    return Declared(parameter=number, open=frozenset(left_open))


def _ends(numbers: Mapping[str, float]) -> dict[str, float]:
    return {"min": numbers["min"], "max": numbers["max"]}


def _with(at: Slot, number: Number | None, key: str, **changes: Any) -> Number:
    """Return the number with `changes`; what it says against them is the fault of `key`."""
    try:
        return Number(**changes) if number is None else replace(number, **changes)
    except BadInput as error:
        raise at.fault(str(error), key) from None


def _sampling(at: Slot, value: object) -> Sampling:
    names = [str(one) for one in Sampling]
    if value not in names:
        hint = did_you_mean(str(value), names)
        raise at.fault(f"'sampling' is {shown(value)}; expected {', '.join(names)}{hint}", "sampling")
    return Sampling(str(value))


def _check_grid(at: Slot, number: Number) -> None:
    """Refuse a grid that nobody can mean: it would be held in memory, its steps miss `max`, or it misses the default."""
    if number.step is None or number.min == number.max:
        return
    linear = number.sampling is Sampling.LINEAR
    if linear:
        count = (number.max - number.min) / number.step
    else:
        count = (math.log(number.max) - math.log(number.min)) / math.log(number.step)
    if count > MANY_VALUES:
        raise at.fault(f"{at.name!r} has over {MANY_VALUES} steps; expected a larger step, or none", "step")
    below, above = _around_max(number, round(count))
    if number.max not in (below, above):
        fitting = min((below, above), key=lambda end: (abs(end - number.max), end))
        message = f"steps of {number.step:g} from {number.min:g} miss max {number.max:g}; the nearest max that fits is"
        raise at.fault(f"{at.name!r}: {message} {_plain(number, fitting)}", "max")
    grid = number.grid()
    if number.default is not None and number.default not in grid:
        nearest = min(grid, key=lambda one: abs(float(one) - float(number.default or 0)))
        message = f"default {number.default:g} is not on the grid of {at.name!r}; the nearest value on it is {nearest}"
        raise at.fault(message, "default")


def _around_max(number: Number, steps: int) -> tuple[float, float]:
    """Return the last value that steps from `min` meet before `max`, or on it, and the first one from there."""
    low, step = Decimal(str(number.min)), Decimal(str(number.step))
    linear = number.sampling is Sampling.LINEAR
    ends = [float(low + step * many if linear else low * step**many) for many in (steps - 1, steps, steps + 1)]
    close = [
        end if not math.isclose(end, number.max, rel_tol=1e-12) else number.max for end in ends if end > 0 or linear
    ]
    below = max((end for end in close if number.min < end <= number.max), default=close[-1])
    return below, min((end for end in close if end >= number.max), default=below)


def _plain(number: Number, value: float) -> str:
    return str(int(value)) if number.integer else str(value)


def _number(at: Slot, value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise at.fault(f"{key!r} of {at.name!r} is {shown(value)}; expected a number", key)
    _check_size(at, value, key)
    return value


def _check_size(at: Slot, value: float, *keys: Any) -> None:
    if isinstance(value, int) and abs(value) >= LARGE:
        raise at.fault(f"{value} of {at.name!r} is too large; expected a whole number of at most 17 digits", *keys)


# Choices ----------------------------------------------------------------------------------------------------------------


def branching_choice(at: Slot, form: Mapping[Any, Any]) -> Parameter:
    """Return the parameter of a form that says `choice`, those of its branches left out.

    Raises:
        BadForm: its values do not go together.
    """
    values = form["choice"]
    if isinstance(values, Mapping):
        if not values:
            raise at.fault(f"'choice' of {at.name!r} is an empty mapping; expected at least one branch", "choice")
        return choice_of(at, list(cast(Mapping[Any, Any], values)), form, ("choice",))
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise at.fault(f"'choice' is {shown(values)}; expected a list of values, or a mapping of branches", "choice")
    return choice_of(at, cast(Sequence[Any], values), form, ("choice",))


def choice_of(at: Slot, values: Sequence[Any], form: Mapping[Any, Any], path: Path) -> Parameter:
    """Return the choice of these values, which stand at `path` below the form, with the form's default and order.

    Raises:
        BadForm: there are none, they are of several kinds, or one is there twice.
    """
    if not values:
        raise at.fault(f"{at.name!r} is an empty list; expected at least one value to choose from", *path)
    scalars = _alike(at, [scalar(at, value, *path, index) for index, value in enumerate(values)], path)
    default = _member(at, form, scalars)
    base: dict[str, Any] = {"name": at.name, "conditions": at.conditions, "default": default}
    if set(scalars) == {True, False} and isinstance(scalars[0], bool) and "ordered" not in form:
        return Boolean(**base)
    return Choice(**base, values=scalars, ordered=_ordered(at, form, scalars))


def _alike(at: Slot, values: Sequence[Scalar], path: Path) -> tuple[Scalar, ...]:
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


def _member(at: Slot, form: Mapping[Any, Any], values: Sequence[Scalar]) -> Scalar | None:
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


def _ordered(at: Slot, form: Mapping[Any, Any], values: Sequence[Scalar]) -> bool:
    ordered = form.get("ordered", not isinstance(values[0], bool | str))
    if not isinstance(ordered, bool):
        raise at.fault(f"'ordered' of {at.name!r} is {shown(ordered)}; expected true or false", "ordered")
    return ordered


def scalar(at: Slot, value: object, *keys: Any) -> Scalar:
    """Return the value if a parameter can have it.

    Raises:
        BadForm: it is no text, number or truth value, or one that could not be stored.
    """
    if isinstance(value, str):
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
            raise at.fault(
                f"a value of {at.name!r} holds a character that cannot be stored; expected plain text", *keys
            )
        return value
    if isinstance(value, bool) or (isinstance(value, int | float) and math.isfinite(value)):
        _check_size(at, value, *keys)
        return value
    raise at.fault(f"a value of {at.name!r} is {shown(value)}; expected text, a number, true or false", *keys)
