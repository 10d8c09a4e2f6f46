"""Which declared parameters the code never names: they would be searched in vain."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping

from ..spaces.errors import BadInput
from .reference import parsed

ANYTHING = ".*"
PERCENT = re.compile(r"%(?:\(\w*\))?[-+ #0-9.]*[a-zA-Z]")
BRACES = re.compile(r"\{[^{}]*\}")
LEAST = 3
"""A literal that is joined with something must have so many characters to count."""


def mentions(sources: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return those of `names` that no string in the sources can be, neither whole nor by a part after a slash.

    `f"units_{i}"` can be `units_3`, and so can `"units_" + str(i)`. Where a source is not Python nothing is known, and
    nothing is returned. Arguments of `fit` are always read.

    Args:
        sources: Python source by file name.
        names: full names of parameters, such as `units`, `optimizer/adam/beta_1`, `fit/batch_size`.
    """
    try:
        trees = [parsed(source) for source in sources.values()]
    except BadInput:
        return []
    nodes = [node for tree in trees for node in ast.walk(tree)]
    words = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    patterns = [re.compile(pattern, re.DOTALL) for pattern in {*_patterns(nodes)}]
    return [name for name in names if not name.startswith("fit/") and not _is_named(name, words, patterns)]


def _is_named(name: str, words: set[str], patterns: Iterable[re.Pattern[str]]) -> bool:
    parts = name.split("/")
    tails = ["/".join(parts[index:]) for index in range(len(parts))]
    return not words.isdisjoint(tails) or any(pattern.fullmatch(tail) for pattern in patterns for tail in tails)


def _patterns(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield a regular expression for each string that is put together."""
    for node in nodes:
        pieces = _pieces(node)
        literal = sum(len(piece) for piece in pieces if piece is not None)
        if None in pieces and literal >= (1 if isinstance(node, ast.JoinedStr) else LEAST):
            yield "".join(ANYTHING if piece is None else re.escape(piece) for piece in pieces)


def _pieces(node: ast.AST) -> list[str | None]:
    """Return the literal pieces of a string expression in their order; None stands for what is not known."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=values):
            return [piece for value in values for piece in _pieces(value)]
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return [*_pieces(left), *_pieces(right)]
        case ast.BinOp(op=ast.Mod(), left=ast.Constant(value=str(text))):
            return _split(PERCENT, text)
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            return _split(BRACES, text)
        case _:
            return [None]


def _split(holes: re.Pattern[str], text: str) -> list[str | None]:
    literals = holes.split(text)
    return [piece for literal in literals for piece in (literal, None)][:-1]
