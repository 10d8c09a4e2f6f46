"""Tests of what `kerasweep.spaces` offers by name."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest

from kerasweep import spaces


def test_every_building_block_is_found_under_the_package() -> None:
    """The same object as in its module, with a docstring."""
    table: dict[str, str] = vars(spaces)["_FROM"]
    assert sorted(table) == list(spaces.__all__)
    for name, module in table.items():
        found: Any = getattr(spaces, name)
        assert found is getattr(import_module(f"kerasweep.spaces.{module}"), name)
        assert found.__doc__
        assert name in dir(spaces)


def test_a_name_that_is_none_of_them_is_no_attribute() -> None:
    """As in any module."""
    with pytest.raises(AttributeError, match="optimiser"):
        _ = spaces.optimiser


def test_naming_a_building_block_imports_no_keras() -> None:
    """Only calling one does."""
    program = (
        "import sys; from kerasweep import spaces; [getattr(spaces, n) for n in spaces.__all__]; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"keras", "tensorflow", "keras_tuner"} & set(done.stdout.split())
