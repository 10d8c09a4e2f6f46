"""`when:` in the form of a parameter: the values of others under which it is read, and the order that follows.

{min: 0.0, max: 0.99, when: {optimizer: [sgd, rmsprop]}}      one of several values; one alone needs no list
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from .bad_form import BadForm, Path, shown
from .errors import did_you_mean
from .known import Declared
from .parameter import Condition, Interval, Number, Parameter
from .trial import Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """A condition as it is written: `names` are what its parent may be called, the nearest one first."""

    names: tuple[str, ...]
    values: tuple[object, ...]
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Formed:
    """A parameter read from its form, which stands at `path`; its `when` are not resolved yet."""

    declared: Declared
    path: Path
    whens: tuple[When, ...] = ()

    @property
    def name(self) -> str:
        """The parameter's full name."""
        return self.declared.parameter.name


def read_when(form: object, name: str, around: Sequence[tuple[str, str]], path: Path) -> tuple[When, ...]:
    """Return the conditions that a parameter's `when` states.

    Args:
        form: what stands there.
        name: the parameter's full name.
        around: what comes before and after a name beside the parameter, then beside what it stands in, and so on.
        path: where the form stands.

    Raises:
        BadForm: it is no mapping of names to values.
    """
    conditions = cast(Mapping[Any, object], form if isinstance(form, Mapping) else {})
    if not conditions:
        message = f"'when' of {name!r} is {shown(cast(object, form))}; expected values by parameter, as `{{optimizer: [sgd, adam]}}`"
        raise BadForm(message, path)
    whens: list[When] = []
    for parent, values in conditions.items():
        listed = cast(Sequence[object], values) if isinstance(values, list | tuple) else [values]
        if not listed or not all(isinstance(value, bool | int | float | str) for value in listed):
            message = f"'when' of {name!r} has {shown(cast(object, values))} for {parent!r}; expected a value or a list of values"
            raise BadForm(message, (*path, parent))
        names = dict.fromkeys([f"{before}{parent}{after}" for before, after in around] + [str(parent)])
        whens.append(When(names=tuple(names), values=tuple(listed), path=(*path, parent)))
    return tuple(whens)


def resolved(formed: Sequence[Formed]) -> list[Declared]:
    """Return the parameters with all their conditions, each after those that it hangs on, else in their order.

    Raises:
        BadForm: one is declared twice, hangs on none that there is or in the end on itself, or on a value that its
            parent cannot have.
    """
    by_name: dict[str, Formed] = {}
    for one in formed:
        if one.name in by_name:
            raise BadForm(f"{one.name!r} is declared twice; expected it once", one.path, at_key=True)
        by_name[one.name] = one
    return _in_order([_with_conditions(one, by_name) for one in formed])


def _with_conditions(one: Formed, by_name: Mapping[str, Formed]) -> Formed:
    if not one.whens:
        return one
    parameter = one.declared.parameter
    conditions = (*parameter.conditions, *(_condition(one.name, when, by_name) for when in one.whens))
    return replace(one, declared=replace(one.declared, parameter=replace(parameter, conditions=conditions)))


def _condition(name: str, when: When, by_name: Mapping[str, Formed]) -> Condition:
    found = next((one for one in when.names if one in by_name), None)
    if found is None:
        hint = did_you_mean(when.names[-1], by_name)
        message = f"{name!r} hangs on {when.names[-1]!r}, which is not declared; expected a parameter's full name{hint}"
        raise BadForm(message, when.path, at_key=True)
    parent = by_name[found].declared.parameter
    if isinstance(parent, Number) and not parent.integer:
        message = f"{name!r} hangs on {found!r}, a float; expected a choice, a switch or an integer"
        raise BadForm(message, when.path, at_key=True)
    return Condition(parent=found, values=tuple(_value(parent, value, when.path) for value in when.values))


def _value(parent: Parameter, value: object, path: Path) -> Scalar:
    domain = parent.domain
    if isinstance(domain, Interval):
        if isinstance(value, int) and not isinstance(value, bool) and domain.low <= value <= domain.high:
            return value
        raise BadForm(f"{parent.name!r} is never {shown(value)}; it is from {domain.low:g} to {domain.high:g}", path)
    for one in domain.values:
        if one == value and isinstance(one, bool) == isinstance(value, bool):
            return one
    names = [shown(one) for one in domain.values]
    hint = did_you_mean(value, [one for one in domain.values if isinstance(one, str)]) if isinstance(value, str) else ""
    some = ", ".join([*names[:8], *(["…"] if len(names) > 8 else [])])
    raise BadForm(f"{parent.name!r} is never {shown(value)}; it is one of {some}{hint}", path)


def _in_order(formed: Iterable[Formed]) -> list[Declared]:
    ordered: dict[str, Declared] = {}
    waiting = list(formed)
    while waiting:
        ready = next((one for one in waiting if _parents(one) <= ordered.keys()), None)
        if ready is None:
            cycle = " → ".join(_cycle({one.name: one for one in waiting}))
            first = next(one for one in waiting if one.whens)
            raise BadForm(f"cyclic condition: {cycle}; expected that no parameter hangs on itself", first.whens[0].path)
        waiting.remove(ready)
        ordered[ready.name] = ready.declared
    return list(ordered.values())


def _parents(one: Formed) -> set[str]:
    return {condition.parent for condition in one.declared.parameter.conditions}


def _cycle(waiting: Mapping[str, Formed]) -> list[str]:
    """Return the names around a cycle, the first one again at its end."""
    way = [next(iter(waiting))]
    while True:
        above = next(name for name in sorted(_parents(waiting[way[-1]])) if name in waiting)
        if above in way:
            return [*way[way.index(above) :], above]
        way.append(above)
