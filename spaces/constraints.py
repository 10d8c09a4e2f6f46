"""All clauses of `where` over a space: whether a configuration keeps to them, and one that does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from random import Random
from typing import final

from .bad_form import BadForm, Path, shown
from .clause import BadClause, Clause
from .known import Known
from .prior import MANY_VALUES, configuration, configurations
from .trial import Scalar

MANY_CONFIGURATIONS = 20_000
DRAWS = 10_000
"""So many random configurations are tried before a space counts as one that has none."""
BEGINNINGS = 4
MANY_MEANINGS = 64


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Clauses that hold together; `constants` are values besides the parameters, by name."""

    clauses: tuple[Clause, ...] = ()
    constants: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])

    @classmethod
    def of(cls, texts: Iterable[str], constants: Mapping[str, Scalar] | None = None) -> Constraints:
        """Return the constraints of these texts.

        Raises:
            BadClause: one of them is no clause.
        """
        return cls(clauses=tuple(Clause(text) for text in texts), constants=dict(constants or {}))

    def broken(self, values: Mapping[str, Sequence[Scalar]]) -> Clause | None:
        """Return the first clause that does not hold; one that cannot be computed does not.

        Args:
            values: what a trial has, by name; a clause has to hold under each of several values.
        """
        return next((one for one in self.clauses if self._is_broken(one, values)), None)

    def _is_broken(self, clause: Clause, values: Mapping[str, Sequence[Scalar]]) -> bool:
        meanings = product(*(values.get(name, self._constant(name)) for name in clause.names))
        for one in islice(meanings, MANY_MEANINGS):
            try:
                holds = clause.holds(dict(zip(clause.names, one, strict=True)))
            except BadClause:
                holds = False
            if not holds:
                return True
        return False

    def refusal(self, values: Mapping[str, Sequence[Scalar]]) -> str:
        """Return why a trial with these values, by name, must not run; empty if it may."""
        clause = self.broken(values)
        if clause is None:
            return ""
        here = ", ".join(f"{name} {shown(one)}" for name in clause.names for one in values.get(name, ()))
        try:
            clause.holds({name: values.get(name, self._constant(name))[0] for name in clause.names})
        except BadClause as error:
            return f"where: {shown(clause.text)} cannot be computed: {error}"
        return f"where: {shown(clause.text)} does not hold for {here}"

    def find(
        self, known: Known, pinned: Mapping[str, Scalar], random: Random, tries: int = DRAWS
    ) -> dict[str, Scalar] | None:
        """Return a random configuration, by identity, that keeps to all clauses; None if none is found."""
        for _ in range(tries):
            params = configuration(known, random, dict(pinned))
            if self.broken(known.named(params)) is None:
                return params
        return self.approach(known, pinned, random, tries)

    def mend(
        self, known: Known, params: Mapping[str, Scalar], pinned: Mapping[str, Scalar], random: Random, tries: int
    ) -> dict[str, Scalar] | None:
        """Return `params` with only what a broken clause mentions drawn anew; None if that does not help."""
        mended = dict(params)
        for _ in range(tries):
            clause = self.broken(known.named(mended))
            if clause is None:
                return mended
            kept = {key: value for key, value in mended.items() if known.parameters[key].name not in clause.names}
            mended = configuration(known, random, {**kept, **pinned})
        return None

    def approach(
        self, known: Known, pinned: Mapping[str, Scalar], random: Random, tries: int = DRAWS
    ) -> dict[str, Scalar] | None:
        """Return a configuration that keeps to all clauses where hardly any does; None if none is found.

        From a random one on, a parameter that a broken part of a clause mentions is drawn anew, one at a time, and stays
        as it was where that would break more parts; since this may lead to a dead end, it begins several times.
        """
        parts = [part for clause in self.clauses for part in clause.parts]
        params, broken = dict[str, Scalar](), parts
        for index in range(tries):
            begins = index % (tries // BEGINNINGS or 1) == 0
            names = random.choice(broken or parts).names
            redrawn = random.choice([key for key in params if known.parameters[key].name in names] or [""])
            kept = {} if begins else {key: value for key, value in params.items() if key != redrawn}
            drawn = configuration(known, random, {**kept, **pinned})
            values = known.named(drawn)
            if self.broken(values) is None:
                return drawn
            left = [part for part in parts if self._is_broken(part, values)]
            if begins or len(left) <= len(broken):
                params, broken = drawn, left
        return None

    def _constant(self, name: str) -> tuple[Scalar, ...]:
        return (self.constants[name],) if name in self.constants else ()


def check_where(constraints: Constraints, known: Known, path: Path) -> None:
    """Refuse clauses that compare what cannot be compared, or that no configuration of a declared space keeps to.

    Clauses that mention what is not declared are left to the trials, whose models may have it.

    Args:
        constraints: the clauses.
        known: the declared parameters.
        path: where the clauses stand, the first one at index 0.

    Raises:
        BadForm: one cannot be kept to.
    """
    if not constraints.clauses:
        return
    declared = {one.name: one for one in known.parameters.values()}
    names = {*declared, *constraints.constants}
    for index, clause in enumerate(constraints.clauses):
        try:
            clause.check(declared)
        except BadClause as error:
            raise BadForm(f"where: {error}", (*path, index)) from None
    sure = [(index, one) for index, one in enumerate(constraints.clauses) if names.issuperset(one.names)]
    for chosen in ([pair] for pair in sure) if len(sure) < 2 else [*([pair] for pair in sure), sure]:
        index, clause = chosen[0]
        together = Constraints(clauses=tuple(one for _, one in chosen), constants=constraints.constants)
        concerned = _concerned(known, together)
        every = configurations(concerned, MANY_CONFIGURATIONS)
        try:
            kept = _is_kept(together, concerned, every)
        except BadClause as error:
            raise BadForm(f"where: {error}", (*path, index)) from None
        if not kept:
            what = shown(clause.text) if len(chosen) == 1 else "all clauses together"
            of = f"none of {len(every)}" if every is not None else f"none of {_draws(concerned)} random"
            raise BadForm(
                f"where: {of} configurations keeps to {what}; widen the space or relax the clause",
                (*path, index) if len(chosen) == 1 else path,
            )


def _concerned(known: Known, constraints: Constraints) -> Known:
    """Return the parameters that the clauses mention, with those that they hang on; the others change nothing."""
    names = {name for clause in constraints.clauses for name in clause.names}
    for one in reversed(list(known.parameters.values())):  # a parent comes before its children
        if one.name in names:
            names |= {condition.parent for condition in one.conditions}
    return replace(known, parameters={key: one for key, one in known.parameters.items() if one.name in names})


def _draws(known: Known) -> int:
    """Return how many random configurations are tried: so many that it takes no more than a moment."""
    return min(DRAWS, MANY_VALUES // 2 // (len(known.parameters) or 1))


def _is_kept(constraints: Constraints, known: Known, every: Sequence[Mapping[str, Scalar]] | None) -> bool:
    random = Random(0)
    some = every if every is not None else (configuration(known, random) for _ in range(_draws(known)))
    for params in some:
        values = {**constraints.constants, **{name: one[-1] for name, one in known.named(params).items()}}
        if all(clause.holds(values) for clause in constraints.clauses):
            return True
    return every is None and constraints.approach(known, {}, random, _draws(known)) is not None
