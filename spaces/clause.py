"""One clause of `where`: a small language over a trial's parameters, read by `ast` and computed here, never by Python.

    units <= 256 or activation == "relu"
    0.1 < p["optimizer/sgd/momentum"] + dropout < 0.9        p[…] for names that are no plain words
    kernel in (3, 5) and len(padding) == 4                   and not, +, -, *, /, //, %, **, abs, min, max

Everything is bounded: the text, the tree, numbers. A clause that mentions a parameter which the trial does not have
holds.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast, final

from .bad_form import shown
from .errors import BadInput, did_you_mean
from .parameter import Interval, Parameter
from .trial import Scalar

LONG_TEXT = 1_000
MANY_NODES = 200
MANY_BITS = 512
LARGE_POWER = 64
Value = bool | int | float | str | tuple["Value", ...]

COMPARE: Mapping[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.In: ("in", lambda left, right: left in right),
    ast.NotIn: ("not in", lambda left, right: left not in right),
}
ARITHMETIC: Mapping[type[ast.operator], Callable[[float, float], Any]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.FloorDiv: lambda left, right: left // right,
    ast.Mod: lambda left, right: left % right,
    ast.Pow: lambda left, right: left**right,
}
FUNCTIONS = ("abs", "len", "max", "min")
WORDS: Mapping[str, bool] = {"true": True, "false": False}
"""As YAML writes them."""
GRAMMAR = 'expected a comparison such as `units <= 256 or activation == "relu"`'


class BadClause(BadInput):
    """A clause that is none, or that compares what cannot be compared."""


class Uncomputable(Exception):
    """The clause has no value here: a division by zero, a number too large."""


@final
@dataclass(frozen=True, slots=True)
class Clause:
    """One clause; `names` are the parameters that it mentions."""

    text: str
    names: tuple[str, ...] = field(init=False)
    _tree: ast.expr = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the text.

        Raises:
            BadClause: it is no clause.
        """
        tree = _parsed(self.text)
        object.__setattr__(self, "_tree", tree)
        object.__setattr__(self, "names", tuple(dict.fromkeys(_names(tree))))
        _check(tree)
        if not _is_condition(tree):
            raise BadClause(f"{shown(self.text)} is neither true nor false; {GRAMMAR}")

    @property
    def canonical(self) -> str:
        """The clause without differences of spaces, quotes and brackets."""
        return ast.unparse(self._tree)

    @property
    def tree(self) -> ast.expr:
        """The clause as Python reads it."""
        return self._tree

    @property
    def parts(self) -> tuple[Clause, ...]:
        """What stands between its `and`, and the single comparisons of a chain; where all of them hold, it does."""
        match self._tree:
            case ast.BoolOp(op=ast.And(), values=values):
                return tuple(part for one in values for part in Clause(ast.unparse(one)).parts)
            case ast.Compare(left=left, ops=ops, comparators=others) if len(ops) > 1:
                links = zip(ops, [left, *others], others, strict=False)
                return tuple(Clause(ast.unparse(ast.Compare(one, [op], [other]))) for op, one, other in links)
            case _:
                return (self,)

    def holds(self, values: Mapping[str, Scalar]) -> bool:
        """Say whether it holds; it does where it mentions what `values`, by name, do not have.

        Raises:
            BadClause: it compares what cannot be compared.
        """
        if not all(name in values for name in self.names):
            return True
        try:
            return bool(_truth(_value(self._tree, values), self._tree))
        except Uncomputable:
            return False

    def check(self, known: Mapping[str, Parameter]) -> None:
        """Look for comparisons with what a parameter, of those known by name, never is.

        Raises:
            BadClause: there is one; names the nearest value.
        """
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                for left, op, right in zip(sides, node.ops, sides[1:], strict=False):
                    if isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn):
                        _check_values(left, right, known)
                        _check_values(right, left, known)

    def unknown(self, known: Iterable[str]) -> dict[str, str]:
        """Return those of its names that are not among `known`, each with a hint at what may be meant."""
        all_known = list(known)
        missing = [name for name in self.names if name not in all_known]
        return {name: self._meant(name, all_known) or did_you_mean(name, all_known) for name in missing}

    def _meant(self, name: str, known: Sequence[str]) -> str:
        """Return a hint for a full name that was written without `p[…]`, and so reads as a division."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                full = ast.unparse(node).replace(" / ", "/")
                if full in known and name in full.split("/"):
                    return f' (did you mean p["{full}"]?)'
        return ""


# Reading ----------------------------------------------------------------------------------------------------------------


def _parsed(text: object) -> ast.expr:
    if not isinstance(text, str) or not text.strip():
        raise BadClause(f"a clause is {shown(text)}; {GRAMMAR}")
    if len(text) > LONG_TEXT:
        raise BadClause(f"the clause {shown(text)} is too long; expected at most {LONG_TEXT} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd literals
            tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        where = "" if not error.offset or error.offset > len(text) else f" at {shown(text.strip()[error.offset - 1 :])}"
        raise BadClause(f"{shown(text)} is not understood{where}; {GRAMMAR}") from None
    except (ValueError, RecursionError, MemoryError):
        raise BadClause(f"{shown(text)} is not understood; {GRAMMAR}") from None
    if sum(1 for _ in ast.walk(tree)) > MANY_NODES:
        raise BadClause(f"the clause {shown(text)} is too long; split it into several")
    return tree


def _name(node: ast.expr) -> str | None:
    """Return the parameter that an expression names: `units` or `p["units"]`."""
    match node:
        case ast.Subscript(value=ast.Name(id="p"), slice=ast.Constant(value=str(name))):
            return name
        case ast.Name(id=name) if name not in WORDS:
            return name
        case _:
            return None


def _names(node: ast.AST) -> Iterable[str]:
    if isinstance(node, ast.expr) and (name := _name(node)) is not None:
        yield name
        return
    below = node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
    for child in below:
        yield from _names(child)


def _check(node: ast.expr) -> None:
    """Refuse whatever the language does not have."""
    match node:
        case ast.Name() | ast.Subscript() if _name(node) is not None:
            return
        case ast.Name():
            return
        case ast.Constant(value=bool() | float() | str()):
            return
        case ast.Constant(value=int(number)) if number.bit_length() <= 64:
            return
        case ast.BoolOp(values=below) | ast.List(elts=below) | ast.Tuple(elts=below):
            pass
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=one):
            below = [one]
        case ast.BinOp(op=op, left=left, right=right) if type(op) in ARITHMETIC:
            below = [left, right]
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in COMPARE for op in ops):
            below = [left, *others]
        case ast.Call(func=ast.Name(id=function), args=below, keywords=[]) if function in FUNCTIONS and below:
            if function in ("abs", "len") and len(below) != 1:
                raise BadClause(f"{function} takes one value, got {len(below)}")
        case ast.Call(func=ast.Name(id=function)):
            hint = did_you_mean(function, FUNCTIONS)
            raise BadClause(f"{shown(function + '(…)')} is not in the language; it has {', '.join(FUNCTIONS)}{hint}")
        case _:
            raise BadClause(f"{shown(ast.unparse(node))} is not in the language of `where`; {GRAMMAR}")
    for one in below:
        _check(one)


def _is_condition(node: ast.expr) -> bool:
    match node:
        case ast.BoolOp(values=values):
            return all(_is_condition(one) for one in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _is_condition(operand)
        case ast.Constant(value=value):
            return isinstance(value, bool)
        case _:
            return isinstance(node, ast.Compare | ast.Name | ast.Subscript)


def _check_values(one: ast.expr, other: ast.expr, known: Mapping[str, Parameter]) -> None:
    """Refuse literals in `other` that the parameter `one` never is."""
    parameter = known.get(_name(one) or "")
    if parameter is None or isinstance(parameter.domain, Interval):
        return
    values = parameter.domain.values
    literals = other.elts if isinstance(other, ast.List | ast.Tuple) else [other]
    for literal in literals:
        if isinstance(literal, ast.Constant) and isinstance(literal.value, str) and literal.value not in values:
            names = [shown(value) for value in values]
            hint = did_you_mean(literal.value, [value for value in values if isinstance(value, str)])
            some = ", ".join([*names[:8], *(["…"] if len(names) > 8 else [])])
            raise BadClause(f"{parameter.name!r} is never {literal.value!r}; it is one of {some}{hint}")


# Computing --------------------------------------------------------------------------------------------------------------


def computed(node: ast.expr, values: Mapping[str, Scalar]) -> Value:
    """Return the value of a part of a clause.

    Raises:
        BadClause: it compares or computes with what it cannot.
        Uncomputable: it has none here.
    """
    return _value(node, values)


def _value(node: ast.expr, values: Mapping[str, Scalar]) -> Value:
    name = _name(node)
    if name is not None:
        return values[name]
    match node:
        case ast.Constant(value=value):
            return cast(Scalar, value)
        case ast.Name(id=word):
            return WORDS[word]
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return tuple(_value(one, values) for one in elements)
        case ast.BoolOp(op=op, values=operands):
            wanted = isinstance(op, ast.Or)
            return wanted if any(_truth(_value(one, values), one) is wanted for one in operands) else not wanted
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _truth(_value(operand, values), operand)
        case ast.UnaryOp(op=op, operand=operand):
            number = _number(_value(operand, values), operand)
            return -number if isinstance(op, ast.USub) else number
        case ast.BinOp(op=op, left=left, right=right):
            return _computed(op, _number(_value(left, values), left), _number(_value(right, values), right))
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_value(one, values) for one in (left, *others)]
            return all(_compared(op, *pair) for op, *pair in zip(ops, sides, sides[1:], strict=False))
        case ast.Call(func=ast.Name(id=function), args=arguments):
            return _called(function, [_value(one, values) for one in arguments], node)
        case _:
            raise BadClause(f"{shown(ast.unparse(node))} is not in the language of `where`; {GRAMMAR}")


def _truth(value: Value, node: ast.expr) -> bool:
    if not isinstance(value, bool):
        raise BadClause(f"{ast.unparse(node)!r} is {shown(value)}, neither true nor false; {GRAMMAR}")
    return value


def _number(value: Value, node: ast.expr) -> int | float:
    if not isinstance(value, int | float):
        raise BadClause(f"{ast.unparse(node)!r} is {shown(value)}; expected a number to compute with")
    return value


def _computed(op: ast.operator, left: float, right: float) -> int | float:
    if isinstance(op, ast.Pow) and (abs(right) > LARGE_POWER or _bits(left) * abs(right) > MANY_BITS):
        raise Uncomputable
    try:
        result = ARITHMETIC[type(op)](left, right)
    except (ZeroDivisionError, OverflowError):
        raise Uncomputable from None
    if isinstance(result, complex) or _bits(result) > MANY_BITS:
        raise Uncomputable
    return result


def _bits(number: float) -> int:
    return number.bit_length() if isinstance(number, int) else 0


def _compared(op: ast.cmpop, left: Value, right: Value) -> bool:
    word, compare = COMPARE[type(op)]
    if isinstance(op, ast.In | ast.NotIn):
        fits = isinstance(right, tuple) or (isinstance(right, str) and isinstance(left, str))
    else:
        fits = _kind(left) == _kind(right)
    if not fits:
        raise BadClause(f"cannot tell whether {shown(left)} {word} {shown(right)}; expected two values of one kind")
    return compare(left, right)


def _kind(value: Value) -> str:
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, tuple) else "number"


def _called(function: str, arguments: list[Value], node: ast.expr) -> Value:
    if function == "len":
        (one,) = arguments
        if isinstance(one, str | tuple):
            return len(one)
        raise BadClause(f"{ast.unparse(node)!r}: {shown(one)} has no length; expected text or a list")
    if len(arguments) == 1 and isinstance(arguments[0], tuple) and function != "abs":
        arguments = list(arguments[0])
    numbers = [_number(one, node) for one in arguments]
    if not numbers:
        raise BadClause(f"{ast.unparse(node)!r} has nothing to choose from")
    return abs(numbers[0]) if function == "abs" else max(numbers) if function == "max" else min(numbers)
