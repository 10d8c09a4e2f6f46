"""Tests that `docs/building-blocks.md` says what the architectures ask, and that its examples build."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kerasweep.spaces.predictors import BY_RANK

from .blocks import build_at
from .page import PAGE, tables, written

pytestmark = pytest.mark.real


def test_the_tables_are_those_of_the_code() -> None:
    """Parameters, ranges, defaults, conditions and sources; `python -m tests.spaces.page` brings the page up to date."""
    assert written() == tables()


def test_the_examples_build() -> None:
    """Each function of `hp` on the page returns a compiled model."""
    found: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(block, found)  # noqa: S102
    outputs = build_at(found["build"], {})[0].output
    assert {name: tuple(one.shape) for name, one in outputs.items()} == {"digit": (None, 10), "price": (None, 1)}
    assert build_at(found["build_classifier"], {})[0].output_shape == (None, 10)


def test_the_table_of_shapes_is_that_of_the_code() -> None:
    """Each rank has its architectures, in order."""
    rows = re.findall(r"^\| `\((.*?)\)` \| (.*?) \|$", PAGE.read_text(), re.MULTILINE)
    said = {len([side for side in shape.split(",") if side.strip()]): names for shape, names in rows}
    assert said == {rank: ", ".join(f"`{name}`" for name in known) for rank, known in BY_RANK.items()}
