"""A space in Python: what each parameter of `spaces.Space([...])` is made with.

The words and their order are those of KerasTuner's `hp.Int`, `hp.Float`, `hp.Choice`, `hp.Boolean` and `hp.Fixed`;
`when` makes any of them conditional: values of another parameter, by its full name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from .errors import BadInput
from .space import Entry
from .trial import Scalar
from .yaml_form import declare

Sampled = Literal["linear", "log", "reverse_log"]
When = Mapping[str, Scalar | Sequence[Scalar]]


def integer(
    name: str,
    min_value: int,
    max_value: int,
    *,
    step: int | None = None,
    sampling: Sampled | None = None,
    default: int | None = None,
    when: When | None = None,
) -> Entry:
    """Declare a whole number from `min_value` to `max_value`, both included.

    Args:
        name: what the model asks `hp` for.
        min_value: the least value.
        max_value: the greatest value.
        step: added under linear sampling, multiplied under the others; `max_value` has to be on the grid.
        sampling: `linear`, `log` or `reverse_log`; what is left out is as the model's code has it.
        default: the value that `plan` builds with, and that a model sees before a value is proposed.
        when: values of other parameters under which this one is read.

    Raises:
        BadInput: the range is empty, or a value does not fit it.
    """
    for word, value in (("min_value", min_value), ("max_value", max_value), ("step", step), ("default", default)):
        if value is not None and (isinstance(value, bool) or value != int(value)):
            raise BadInput(f"{word} of {name!r} is {value!r}; expected a whole number, or use `real`")
    form = {"min": int(min_value), "max": int(max_value), "step": step, "sampling": sampling, "default": default}
    return _entry(name, form, when)


def real(
    name: str,
    min_value: float,
    max_value: float,
    *,
    step: float | None = None,
    sampling: Sampled | None = None,
    default: float | None = None,
    when: When | None = None,
) -> Entry:
    """Declare a number from `min_value` to `max_value`, both included; the arguments are those of `integer`.

    Raises:
        BadInput: the range is empty, or a value does not fit it.
    """
    numbers = {"min": min_value, "max": max_value, "step": step, "default": default}
    form = {key: None if value is None else float(value) for key, value in numbers.items()}
    return _entry(name, {**form, "sampling": sampling}, when)


def choice(
    name: str,
    values: Sequence[Scalar] | Mapping[Any, Iterable[Entry]],
    *,
    ordered: bool | None = None,
    default: Scalar | None = None,
    when: When | None = None,
) -> Entry:
    """Declare a choice: a list of values, or branches, each with the parameters that are read only under it.

    Args:
        name: what the model asks `hp` for.
        values: text, numbers or truth values, all of one kind; or a mapping from each to its parameters, which are
            named `name/value/parameter`.
        ordered: whether the order of the values means something; it does by default for numbers.
        default: one of the values; the first one if None.
        when: values of other parameters under which this one is read.

    Raises:
        BadInput: there is no value, or they do not go together.
    """
    listed: Any = list(values)
    if isinstance(values, Mapping):
        listed = {value: _group(f"{name}/{value}", below) for value, below in values.items()}
    return _entry(name, {"choice": listed, "ordered": ordered, "default": default}, when)


def boolean(name: str, *, default: bool | None = None, when: When | None = None) -> Entry:
    """Declare a switch: true or false."""
    return _entry(name, {"choice": [False, True], "default": default}, when)


def fixed(name: str, value: Scalar, *, when: When | None = None) -> Entry:
    """Declare a value that is not searched, but recorded."""
    return _entry(name, {"fixed": value}, when)


def repeat(count: Entry, each: Iterable[Entry]) -> Entry:
    """Declare a group that is repeated so often as `count` says: `repeat(integer("layers", 1, 3), [...])`.

    The parameter `units` of the group becomes `units_0`, `units_1` and so on, as models name them in a loop; of a
    group in a group, `units_0_0`, `units_0_1`. `units_2` is read where `layers` is 3 or more.

    Raises:
        BadInput: the count is no whole number from 0 to 100.
    """
    return _checked(replace(count, form={**count.form, "repeat": _group(count.name, each)}))


def _entry(name: str, form: Mapping[str, Any], when: When | None) -> Entry:
    said = {key: value for key, value in form.items() if value is not None}
    if when is None:
        return _checked(Entry(name, said))
    plain = {parent: list(values) if isinstance(values, list | tuple) else values for parent, values in when.items()}
    _checked(Entry(name, said))
    return Entry(name, {**said, "when": plain})


def _checked(entry: Entry) -> Entry:
    """Return the entry, whose mistakes are told where they are made; of its `when` only the whole space can tell."""
    declare(entry.name, _without_when(entry.form))
    return entry


def _without_when(form: Mapping[Any, Any]) -> dict[Any, Any]:
    plain = {key: value for key, value in form.items() if key != "when"}
    if "repeat" in plain:
        plain["repeat"] = _group_without_when(plain["repeat"])
    if isinstance(plain.get("choice"), Mapping):
        branches = cast(Mapping[Any, Any], plain["choice"])
        plain["choice"] = {value: _group_without_when(group) for value, group in branches.items()}
    return plain


def _group_without_when(group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _without_when(form) for name, form in group.items()}


def _group(where: str, entries: Iterable[Entry]) -> dict[str, Any]:
    group: dict[str, Any] = {}
    for one in entries:
        if one.name in group:
            raise BadInput(f"{one.name!r} is declared twice in {where!r}; expected it once")
        group[one.name] = dict(one.form)
    return group
