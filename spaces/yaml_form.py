"""The YAML form of a parameter: a range, a list to choose from, branches, a repeated group, a fixed value.

{min: 1e-5, max: 1e-1, sampling: log, default: 1e-3}        a number; whole ends make an integer
[relu, gelu, swish]                                         a choice; numbers are ordered; [true, false]: a switch
{choice: [16, 32, 64], default: 32, ordered: true}          the same with more said
{choice: {adam: {beta_1: {…}}, sgd: {momentum: {…}}}}       branches: only the chosen one's parameters are active
{min: 1, max: 4, repeat: {units: {…}}}                      a count, and so often a group: units_0, units_1, …
{fixed: 0.5}                                                not searched, but recorded
{min: 0.0, max: 0.9, when: {optimizer: [sgd, rmsprop]}}     active under values of another parameter
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from .bad_form import BadForm, Path, checked_name, shown
from .form_values import (
    CHOICE,
    FIXED,
    MANY_VALUES,
    RANGE,
    SHAPES,
    Slot,
    branching_choice,
    check_keys,
    choice_of,
    range_of,
    scalar,
)
from .known import Declared
from .parameter import Condition, Fixed, Interval, Parameter
from .trial import Scalar
from .when_form import Formed, When, read_when, resolved

__all__ = ["MANY_VALUES", "BadForm", "Path", "checked_name", "declare", "declare_all", "shown"]

MANY_REPEATS = 100
MANY_PARAMETERS = 2_000


def declare(name: str, form: object, path: Path = ()) -> list[Declared]:
    """Return the parameter `name` of this form and, after it, those of its branches and groups.

    Args:
        name: the full name; a branch's parameters are named `name/branch/parameter`, a group's `parameter_0` and on.
        form: plain data, as YAML gives it.
        path: where the form stands; faults carry it in front of their own.

    Raises:
        BadForm: the form cannot be understood.
    """
    return resolved(_formed(Slot(name=checked_name(name, path), path=path), form))


def declare_all(forms: Mapping[Any, Any], path: Path = ()) -> list[Declared]:
    """Return the parameters of several forms, by name, each after those that it hangs on.

    Raises:
        BadForm: one of the forms cannot be understood, or they do not go together.
    """
    formed: list[Formed] = []
    for name, form in forms.items():
        at = (*path, name)
        formed += _formed(Slot(name=checked_name(name, at), path=at), form)
        if len(formed) > MANY_PARAMETERS:
            raise BadForm(f"over {MANY_PARAMETERS} parameters with {name!r}; expected fewer", at, at_key=True)
    return resolved(formed)


def _formed(at: Slot, form: object) -> list[Formed]:
    match form:
        case Mapping():
            return _from_mapping(at, cast(Mapping[Any, Any], form))
        case Sequence() if not isinstance(form, str):
            return [Formed(declared=Declared(parameter=choice_of(at, cast(Sequence[Any], form), {}, ())), path=at.path)]
        case None:
            raise at.fault(f"{at.name!r} is empty; expected {SHAPES}")
        case _:
            raise at.fault(f"{at.name!r} is {shown(form)}; expected {SHAPES}; a literal is `{{fixed: {form}}}`")


def _from_mapping(at: Slot, form: Mapping[Any, Any]) -> list[Formed]:
    if not form:
        raise at.fault(f"{at.name!r} is an empty mapping; expected {SHAPES}")
    kind = "fixed" if "fixed" in form else "choice" if "choice" in form else "range"
    check_keys(at, form, {"fixed": FIXED, "choice": CHOICE, "range": RANGE}[kind])
    if kind == "fixed":
        value = scalar(at, form["fixed"], "fixed")
        declared = Declared(parameter=Fixed(name=at.name, conditions=at.conditions, value=value))
    elif kind == "range":
        declared = range_of(at, form)
    else:
        declared = Declared(parameter=branching_choice(at, form))
    whens: tuple[When, ...] = ()
    if "when" in form:
        whens = read_when(form["when"], at.name, at.around, (*at.path, "when"))
    below: list[Formed] = []
    if isinstance(form.get("choice"), Mapping):
        below += _branches(at, form["choice"])
    if "repeat" in form:
        below += _repeated(at, declared.parameter, form["repeat"])
    if len(below) > MANY_PARAMETERS:
        raise at.fault(f"over {MANY_PARAMETERS} parameters below {at.name!r}; expected fewer", at_key=True)
    return [Formed(declared=declared, path=at.path, whens=whens), *below]


# Groups -----------------------------------------------------------------------------------------------------------------


def _branches(at: Slot, branches: Mapping[Any, Any]) -> list[Formed]:
    below: list[Formed] = []
    for value, children in branches.items():
        if isinstance(value, float):
            message = f"{at.name!r} branches on {value}, a float; expected text, whole numbers or true and false"
            raise at.fault(message, "choice", value, at_key=True)
        path, before = (*at.path, "choice", value), f"{at.name}/{_in_name(value)}/"
        condition = Condition(parent=at.name, values=(value,))
        for name, child in _group(at, children, f"the branch {shown(value)} of {at.name!r}", path):
            below += _formed(at.within(name, (*path, name), before, "", condition), child)
    return below


def _in_name(value: Scalar) -> str:
    return shown(value) if isinstance(value, bool) else str(value)


def _repeated(at: Slot, count: Parameter, group: object) -> list[Formed]:
    """Return the group's parameters, turn by turn; a turn is active where the count goes beyond its index."""
    path = (*at.path, "repeat")
    counts = _counts(at, count)
    before, after = at.around[0]
    below: list[Formed] = []
    for index in range(max(counts)):
        beyond = tuple(value for value in counts if value > index)
        condition = None if beyond == counts else Condition(parent=at.name, values=beyond)
        for name, child in _group(at, group, f"'repeat' of {at.name!r}", path):
            below += _formed(at.within(name, (*path, name), before, f"{after}_{index}", condition), child)
        if len(below) > MANY_PARAMETERS:
            raise BadForm(f"'repeat' of {at.name!r} makes over {MANY_PARAMETERS} parameters; expected fewer", path)
    return below


def _counts(at: Slot, count: Parameter) -> tuple[int, ...]:
    domain = count.domain
    rule = f"'repeat' needs a count: whole numbers from 0 to {MANY_REPEATS}"
    if isinstance(domain, Interval):
        fits = domain.integer and domain.low >= 0 and domain.high <= MANY_REPEATS
        values: tuple[Scalar, ...] = tuple(range(int(domain.low), int(domain.high) + 1)) if fits else ()
    else:
        values = domain.values
    counts = tuple(value for value in values if isinstance(value, int) and not isinstance(value, bool))
    if not counts or len(counts) < len(values) or min(counts) < 0 or max(counts) > MANY_REPEATS:
        raise at.fault(f"{rule}; {at.name!r} is none", "repeat", at_key=True)
    return counts


def _group(at: Slot, group: object, what: str, path: Path) -> list[tuple[Any, Any]]:
    if group is None:
        return []
    if not isinstance(group, Mapping):
        raise BadForm(f"{what} is {shown(group)}; expected its parameters, by name", path)
    return list(cast(Mapping[Any, Any], group).items())
