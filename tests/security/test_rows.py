"""The table in SECURITY.md: a row for each of the eighteen threats, and a test for each row that is really there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = re.findall(r"^\| (\d+) \|.*\| ([^|]*) \|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)


def test_there_is_a_row_for_each_threat() -> None:
    """Numbered as in the threat table that they answer."""
    assert [int(number) for number, _ in ROWS] == list(range(1, 19))


@pytest.mark.parametrize(("number", "tests"), ROWS, ids=[number for number, _ in ROWS])
def test_the_tests_of_a_row_exist(number: str, tests: str) -> None:
    """A test that was renamed or removed takes its promise along, or this fails."""
    names = re.findall(r"`([^`]+)::(\w+)`", tests)
    assert names
    for file, name in names:
        tree = ast.parse((ROOT / file).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (
            f"row {number}: {file}::{name}"
        )
