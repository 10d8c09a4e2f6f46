"""A declared space: parameters and the clauses that they keep to, the same from Python, YAML and JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast, final

from .bad_form import BadForm
from .constraints import Constraints, check_where
from .errors import BadInput
from .known import Declared, Known
from .trial import Json, Scalar
from .yaml_form import declare_all

KEYS = ("space", "where")


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """One parameter as it is declared, with its branches or its group; `form` is what YAML would say of it."""

    name: str
    form: Mapping[str, Any]

    def to_json(self) -> dict[str, Json]:
        """Return the plain form; a list where order or the type of a key matters."""
        return {"name": self.name, **{key: _to_json(key, value) for key, value in self.form.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Entry:
        """Return the entry that `to_json` wrote."""
        form = {key: _from_json(key, value) for key, value in data.items() if key != "name"}
        return cls(str(data["name"]), form)

    @classmethod
    def of(cls, name: str, form: Any) -> Entry:
        """Return the entry of a form as YAML gives it; a list is a choice."""
        return cls(name, {"choice": list(cast(Sequence[Any], form))} if isinstance(form, list | tuple) else form)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """A space to search: pass it to `kerasweep.sweep(space=…)`, or write it as YAML.

    Two spaces are equal, and hash equal, where they declare the same parameters in the same order under the same
    conditions and clauses, however that is written; the order counts, as proposals depend on it.

    Args:
        entries: what `integer`, `real`, `choice`, `boolean`, `fixed` and `repeat` return.
        where: clauses such as `"units <= 256 or activation == 'relu'"`; every trial keeps to all of them.

    Raises:
        BadInput: the entries do not go together, or nothing keeps to the clauses.
    """

    entries: Sequence[Entry] = ()
    where: Sequence[str] = ()
    declared: tuple[Declared, ...] = field(init=False, repr=False)
    """The parameters one by one, each with its conditions, after those that it hangs on."""

    def __post_init__(self) -> None:
        """Read the entries."""
        if isinstance(self.where, str):
            raise BadInput(f"where is {self.where!r}; expected a list of clauses, as where=[{self.where!r}]")
        object.__setattr__(self, "entries", tuple(self.entries))
        object.__setattr__(self, "where", checked_where(tuple(self.where)))
        names = [one.name for one in self.entries]
        for name in names:
            if names.count(name) > 1:
                raise BadInput(f"{name!r} is declared twice; expected it once")
        forms = {one.name: one.form for one in self.entries}
        object.__setattr__(self, "declared", tuple(declare_all(forms, ("space",))))
        check_where(Constraints.of(self.where), Known.of(self.declared), ("where",))

    @property
    def digest(self) -> str:
        """A hash of 64 hexadecimal digits: the same on every machine, and for every way to write the space."""
        clauses = [one.canonical for one in Constraints.of(self.where).clauses]
        body = [[one.to_json() for one in self.declared], clauses]
        return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def sample(self, seed: int = 0) -> dict[str, Scalar]:
        """Return a random configuration, by name, that keeps to `where`.

        Raises:
            BadInput: none was found.
        """
        known = Known.of(self.declared)
        params = Constraints.of(self.where).find(known, {}, Random(seed))
        if params is None:
            raise BadInput("where: no random configuration keeps to the clauses; widen the space or relax them")
        return {known.parameters[key].name: value for key, value in params.items()}

    def to_json(self) -> dict[str, Json]:
        """Return plain data that `from_json` reads back."""
        return {"space": [one.to_json() for one in self.entries], "where": list(self.where)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Space:
        """Return the space that `to_json` wrote."""
        return cls([Entry.from_json(one) for one in data["space"]], list(data["where"]))

    def to_yaml(self) -> str:
        """Return the keys `space:` and `where:` as they stand in a sweep file."""
        from .yaml_writer import written

        body: dict[str, Any] = {"space": {one.name: one.form for one in self.entries}}
        return written(body | ({"where": list(self.where)} if self.where else {}))

    @classmethod
    def from_yaml(cls, text: str, source: str = "space.yaml") -> Space:
        """Return the space that the keys `space:` and `where:` of a text declare.

        Raises:
            BadInput: something is wrong with it; the message begins with `source`, the line and the column.
        """
        from .yaml_text import parse

        root = parse(text, source)
        try:
            return cls._from_plain(root.plain())
        except BadForm as fault:
            node = root.at(fault.path)
            raise (node.key if fault.at_key else node.place).fault(str(fault)) from fault

    @classmethod
    def _from_plain(cls, data: object) -> Space:
        if not isinstance(data, Mapping):
            raise BadForm("expected a mapping with the keys space and where")
        for key in cast(Mapping[Any, Any], data):
            if key not in KEYS:
                raise BadForm(f"unknown key {key!r}; expected space and where", (key,), at_key=True)
        keys = cast(Mapping[Any, Any], data)
        forms: object = keys.get("space") or {}
        if not isinstance(forms, Mapping):
            raise BadForm("'space' is no mapping; expected parameters, by name", ("space",))
        named = cast(Mapping[Any, Any], forms)
        declare_all(named, ("space",))  # says at once what is wrong with a form, and where
        return cls([Entry.of(str(name), form) for name, form in named.items()], checked_where(keys.get("where")))


def checked_where(where: object, path: tuple[str, ...] = ("where",)) -> tuple[str, ...]:
    """Return the clauses that `where` lists.

    Raises:
        BadForm: it is no list, or one of them is no clause.
    """
    from .clause import BadClause, Clause

    if where is None:
        return ()
    if not isinstance(where, list | tuple):
        raise BadForm("'where' is no list; expected clauses, as `where: [\"units <= 256\"]`", path)
    clauses = cast(Sequence[Any], where)
    for index, text in enumerate(clauses):
        try:
            Clause(text)
        except BadClause as error:
            raise BadForm(f"where: {error}", (*path, index)) from None
    return tuple(str(one) for one in clauses)


# JSON -------------------------------------------------------------------------------------------------------------------


def _group_to_json(group: Mapping[str, Any] | None) -> list[Json]:
    return [Entry.of(name, form).to_json() for name, form in (group or {}).items()]


def _group_from_json(group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {one.name: one.form for one in map(Entry.from_json, group)}


def _to_json(key: str, value: Any) -> Json:
    if key == "repeat":
        return _group_to_json(value)
    if key == "choice" and isinstance(value, Mapping):
        branches = cast(Mapping[Scalar, Any], value).items()
        return {"branches": [{"value": one, "parameters": _group_to_json(group)} for one, group in branches]}
    if key == "when":
        return [{"parent": parent, "values": values} for parent, values in value.items()]
    return list(cast(Sequence[Json], value)) if isinstance(value, list | tuple) else value


def _from_json(key: str, value: Any) -> Any:
    if key == "repeat":
        return _group_from_json(value)
    if key == "choice" and isinstance(value, Mapping):
        return {one["value"]: _group_from_json(one["parameters"]) for one in cast(Any, value)["branches"]}
    if key == "when":
        return {one["parent"]: one["values"] for one in value}
    return value
