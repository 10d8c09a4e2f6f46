"""What a building block takes as an argument for a range: `(min, max)` or a list is searched, one value is not asked.

A default that lies outside a narrowed range gives way to the nearest value in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from . import ranges
from .errors import BadInput

if TYPE_CHECKING:
    import keras_tuner

Span = int | tuple[int, int]
"""An integer, or the least and the greatest, both included."""


def count(hp: keras_tuner.HyperParameters, name: str, span: Span, default: int) -> int:
    """Ask for an integer of `span`, each equally likely: how many layers, blocks, stages.

    Raises:
        BadInput: the span is empty, or starts below 1.
    """
    low, high = _ends(name, span)
    return low if low == high else ranges.Count(low, high, min(max(default, low), high)).ask(hp, name)


def doubling(hp: keras_tuner.HyperParameters, name: str, span: Span, default: int) -> int:
    """Ask for an integer of `span` out of min, 2 min, 4 min …: how wide a layer is.

    A width matters by its factor, not by its difference; powers of two are what practitioners try.

    Raises:
        BadInput: as `count`.
    """
    low, high = _ends(name, span)
    if low * 2 > high:
        return low
    nearest = low
    while nearest * 2 <= min(default, high):
        nearest *= 2
    return int(cast(Any, hp).Int(name, low, high, step=2, sampling="log", default=nearest))


def level(hp: keras_tuner.HyperParameters, name: str, values: int | Sequence[int]) -> int:
    """Ask for one of a few integers; the first is the default."""
    if isinstance(values, int):
        return values
    if not values:
        raise BadInput(f"{name}: give one or more values, got {values!r}")
    return values[0] if len(values) == 1 else int(cast(Any, hp).Choice(name, list(values), default=values[0]))


def choose(hp: keras_tuner.HyperParameters, name: str, given: Sequence[str], known: Iterable[str] | None = None) -> str:
    """Ask for one of `given`; the first is the default.

    Raises:
        BadInput: there are none, or one, perhaps from the sweep file, is not among `known`.
    """
    value = ranges.choose(hp, name, given, given if known is None else known)
    if known is not None:
        ranges.check_names(name, [value], known)
    return value


def _ends(name: str, span: Span) -> tuple[int, int]:
    low, high = (span, span) if isinstance(span, int) else span
    if not 1 <= low <= high:
        raise BadInput(f"{name}: {span} is no range; give (min, max) with 1 <= min <= max, or one number above 0")
    return low, high
