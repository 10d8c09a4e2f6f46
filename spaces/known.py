"""All the parameters that are known: those that the sweep file declares and those that models were seen to read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from .parameter import Fixed, Number, Parameter, Sampling, identity, parameter_from_json
from .trial import Json, Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A parameter of the sweep file; what `open` names (kind, step, sampling) it leaves as the model's code has it."""

    parameter: Parameter
    open: frozenset[str] = frozenset()

    def narrow(self, code: Parameter, values: Mapping[str, Scalar] | None = None) -> Parameter:
        """Return what is searched where the code asks for `code`: this range, on the code's terms where left open.

        The code's conditions hold. Where it states none, as in a plain `if` or loop, the declaration's are taken, if
        they hold under `values`, what the code has read so far by name: if they do not, the code reads it anyway.
        """
        stated = code.conditions or (self.parameter.conditions if self.parameter.active(values or {}) else ())
        mine = replace(self.parameter, conditions=stated)
        if not (isinstance(mine, Number) and isinstance(code, Number)):
            return mine
        if "kind" in self.open:
            mine = replace(mine, integer=code.integer)
        if "sampling" in self.open and (code.sampling is Sampling.LINEAR or mine.min > 0):
            mine = replace(mine, sampling=code.sampling)
        if "step" in self.open and mine.sampling is code.sampling:
            mine = replace(mine, step=code.step)
        if mine.default is None and code.default is not None and mine.min <= code.default <= mine.max:
            mine = replace(mine, default=code.default)
        return mine

    def to_json(self) -> dict[str, Json]:
        """Return the plain form."""
        return {"parameter": self.parameter.to_json(), "open": sorted(self.open)}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Declared:
        """Return what `to_json` wrote."""
        parameter = parameter_from_json(cast(Mapping[str, Json], data["parameter"]))
        return cls(parameter=parameter, open=frozenset(cast(Sequence[str], data["open"])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The known parameters in the order in which they became known, so that a parent comes before its children."""

    parameters: Mapping[str, Parameter] = field(default_factory=dict[str, Parameter])
    """By identity."""
    declared: frozenset[str] = frozenset()
    """Names of the sweep file that no model has read yet: the first time a model reads one, what it made of it takes the declaration's place."""

    @classmethod
    def of(cls, declared: Iterable[Declared]) -> Known:
        """Return the space that a sweep starts with."""
        parameters = [one.parameter for one in declared]
        known = {identity(parameter): parameter for parameter in parameters}
        return cls(parameters=known, declared=frozenset(parameter.name for parameter in parameters))

    def learn(self, specs: Iterable[Parameter]) -> Known:
        """Return the space with `specs` known too."""
        known, unread = dict(self.parameters), set(self.declared)
        for parameter in specs:
            if parameter.name in unread:
                unread.remove(parameter.name)
                known = _in_place_of_declaration(known, parameter)
            known.setdefault(identity(parameter), parameter)
        return replace(self, parameters=known, declared=frozenset(unread))

    def walk(
        self, draw: Callable[[str, Parameter], Scalar], pinned: Mapping[str, Scalar] | None = None
    ) -> dict[str, Scalar]:
        """Return a value for each active parameter, by identity: pinned ones as they are, the others by `draw`."""
        chosen: dict[str, Scalar] = {}
        by_name: dict[str, Scalar] = {}
        for key, parameter in self.parameters.items():
            if not parameter.active(by_name):
                continue
            if pinned is not None and key in pinned:
                value = pinned[key]
            else:
                value = parameter.value if isinstance(parameter, Fixed) else draw(key, parameter)
            chosen[key] = by_name[parameter.name] = value
        return chosen

    def named(self, params: Mapping[str, Scalar]) -> dict[str, tuple[Scalar, ...]]:
        """Return by name what `params` holds by identity; a name that is known in several forms may have several."""
        found: dict[str, tuple[Scalar, ...]] = {}
        for key, value in params.items():
            if key in self.parameters:
                name = self.parameters[key].name
                found[name] = (*found.get(name, ()), value)
        return found


def _in_place_of_declaration(known: Mapping[str, Parameter], read: Parameter) -> dict[str, Parameter]:
    """Return `known` with `read` where its declaration stood, so that it stays before its children.

    A parameter that is read under conditions that were not declared comes last instead, after its own parents.
    """
    result: dict[str, Parameter] = {}
    for key, one in known.items():
        if one.name != read.name or (one.conditions and one.conditions != read.conditions):
            result[key] = one
        elif one.conditions == read.conditions:
            result[identity(read)] = read
    return result
