"""Constraints on what trials come to, as `where` is on what they are given: `params <= 1e6`, `val_recall >= 0.9`.

A clause is one of the language of `where` over what the model logs and over built-in measures. One that mentions what
is not known yet holds for the time being.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast, final

from .bad_form import BadForm, Path, shown
from .clause import COMPARE, GRAMMAR, BadClause, Clause, Uncomputable, computed

MEASURES: Mapping[str, str] = {
    "params": "the model's parameters, all of them, trained or not",
    "flops": "floating-point operations of a forward pass of one sample",
    "model_mb": "the size of the model as a .keras file, in millions of bytes, without the optimizer's state",
    "latency_ms": "milliseconds of inference for one sample",
    "seconds_per_epoch": "the median of the epochs after the first, with validation",
}
"""What can be named beside the metrics that a model logs."""
OF_THE_MODEL = ("params", "flops", "model_mb", "latency_ms")
"""Those that are known once the model is built; they do not change while it trains."""
LEAST = 1e-9
"""The violation of a clause that is missed by a hair, such as `x < 1` by 1."""
_EXAMPLE = "expected a comparison such as `params <= 1e6`"


@final
@dataclass(frozen=True, slots=True)
class Bounds:
    """Clauses that a trial's outcome should keep to."""

    clauses: tuple[Clause, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Bounds:
        """Return the constraints of these texts.

        Raises:
            BadClause: one of them is no clause.
        """
        return cls(tuple(Clause(text) for text in texts))

    @property
    def names(self) -> tuple[str, ...]:
        """What they mention, each once."""
        return tuple(dict.fromkeys(name for clause in self.clauses for name in clause.names))

    def among(self, names: Collection[str]) -> Bounds:
        """Return those that mention nothing but these names."""
        return Bounds(tuple(clause for clause in self.clauses if set(clause.names) <= set(names)))

    def violations(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """Return for each clause by how much `values`, by name, break it: 0 where it holds, else up to 2 a comparison.

        A comparison is missed by the difference of its sides over the larger of them, so that clauses of any units can
        be added up.
        """
        return tuple(_violation(clause, values) for clause in self.clauses)

    def refusal(self, values: Mapping[str, float]) -> str:
        """Return which clause `values` break, and with what; empty if none."""
        for clause, violation in zip(self.clauses, self.violations(values), strict=True):
            if violation:
                here = ", ".join(f"{name} {values[name]:.6g}" for name in clause.names)
                return f"constraint {shown(clause.text)} does not hold: {here}"
        return ""


def checked_bounds(value: object, path: Path = ("constraints",)) -> tuple[str, ...]:
    """Return the clauses that `constraints` lists.

    Raises:
        BadForm: it is no list; or one of them is no clause, mentions nothing, or compares what is no number.
    """
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise BadForm("'constraints' is no list; expected clauses, as `constraints: [\"params <= 1e6\"]`", path)
    texts = cast(Sequence[object], value)
    for index, text in enumerate(texts):
        try:
            clause = Clause(cast(str, text))
            clause.holds(dict.fromkeys(clause.names, 1.0))
        except BadClause as error:
            told = str(error).replace(GRAMMAR, _EXAMPLE).replace("the language of `where`", "the language of clauses")
            raise BadForm(f"constraints: {told}", (*path, index)) from None
        if not clause.names:
            raise BadForm(f"constraints: {shown(text)} mentions no metric; {_EXAMPLE}", (*path, index))
    return tuple(str(one) for one in texts)


def epoch_order(
    metrics: Mapping[str, float], goals: Sequence[tuple[str, bool]], bounds: Bounds
) -> tuple[float, ...] | None:
    """Return what makes one epoch of a trial better than another, the greater the better; None where that is open.

    An epoch that keeps to the constraints on what is logged goes before one that does not; then the first objective
    decides, ties the next. What is measured of the model is the same for all epochs, and does not.

    Args:
        metrics: What the epoch logged.
        goals: The objectives: a name, and whether more is better.
        bounds: All constraints.
    """
    scores: list[float] = []
    for name, maximize in goals:
        if name in metrics:
            scores.append(metrics[name] if maximize else -metrics[name])
        elif name not in MEASURES:
            return None
    if any(name not in metrics and name not in MEASURES for name in bounds.names):
        return None
    return (-sum(bounds.among(metrics).violations(metrics)), *scores)


def measures_of(facts: Mapping[str, object]) -> dict[str, float]:
    """Return the measures of a model that a trainer's facts have, by name."""
    told = {"params": facts.get("parameters"), **facts}
    found = ((name, told.get(name)) for name in OF_THE_MODEL)
    return {name: float(one) for name, one in found if isinstance(one, int | float)}


def median_seconds(epochs: Sequence[float]) -> float | None:
    """Return the median of the epochs after the first, which also compiles; of the first where it is the only one."""
    from statistics import median

    told = [seconds for seconds in epochs if seconds > 0]
    return median(told[1:] or told) if told else None


def _violation(clause: Clause, values: Mapping[str, float]) -> float:
    try:
        return 0.0 if clause.holds(values) else _missed(clause.tree, values)
    except BadClause:
        return 1.0


def _missed(node: ast.expr, values: Mapping[str, float]) -> float:
    """Return by how much a condition is missed, 0 where it holds."""
    try:
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                return sum(_missed(one, values) for one in parts)
            case ast.BoolOp(values=parts):
                return min(_missed(one, values) for one in parts)
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [computed(one, values) for one in (left, *others)]
                pairs = zip(sides, ops, sides[1:], strict=False)
                return sum(0.0 if COMPARE[type(op)][1](one, other) else _gap(one, other) for one, op, other in pairs)
            case _:
                return 0.0 if computed(node, values) is True else 1.0
    except Uncomputable:
        return 1.0


def _gap(one: object, other: object) -> float:
    if not isinstance(one, int | float) or not isinstance(other, int | float):
        return 1.0
    larger = max(abs(one), abs(other))
    gap = abs(one - other) / larger if larger else 0.0
    return gap if gap == gap and gap > LEAST else LEAST if gap == gap else 1.0
