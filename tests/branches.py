"""What a building block asks of KerasTuner's own `hp`, on every branch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Block = Callable[[Any], object]


def asked(block: Block, values: Mapping[str, Any] | None = None) -> Any:
    """Return KerasTuner's `hp` after the block has run with it; parameters named in `values` have these."""
    import keras_tuner

    hp: Any = keras_tuner.HyperParameters()
    hp.values.update(values or {})
    block(hp)
    return hp


def names(block: Block, values: Mapping[str, Any] | None = None) -> set[str]:
    """Return the names of the parameters that the block asks under `values`."""
    return {one.name for one in asked(block, values).space}


def values_of(parameter: Any) -> list[Any]:
    """Return all values of a choice, or both ends of a number."""
    match type(parameter).__name__:
        case "Boolean":
            return [False, True]
        case "Choice":
            return list(parameter.values)
        case _:
            return [parameter.min_value, parameter.max_value]


def walk(block: Block) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Return every parameter that the block asks on any branch, by name, with values under which it does."""
    found: dict[str, tuple[Any, dict[str, Any]]] = {}
    queue: list[dict[str, Any]] = [{}]
    while queue:
        values = queue.pop(0)
        for one in asked(block, values).space:
            if one.name not in found:
                found[one.name] = (one, values)
                queue += [{**values, one.name: value} for value in values_of(one)]
    return found


def corners(block: Block) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield each parameter's name, one of its ends or choices, and the values that bring the block there."""
    for name, (parameter, values) in walk(block).items():
        for value in values_of(parameter):
            yield name, value, {**values, name: value}


def describe(parameter: Any) -> str:
    """Return a parameter's range in words."""
    kind, default = type(parameter).__name__, parameter.default
    if kind == "Boolean":
        return f"yes or no ({'yes' if default else 'no'})"
    if kind == "Choice":
        return f"{', '.join(map(_text, parameter.values))} ({_text(default)})"
    ends = f"{_text(parameter.min_value)} to {_text(parameter.max_value)}"
    log = ", log" if parameter.sampling == "log" else ""
    step = f", step {_text(parameter.step)}" if parameter.step and kind == "Float" else ""
    return f"{ends}{log}{step} ({_text(default)})"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"
