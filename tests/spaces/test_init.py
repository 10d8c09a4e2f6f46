"""Tests of what `kerasweep.spaces` offers by name."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest

from kerasweep import spaces


@pytest.mark.parametrize("name", spaces.__all__)
def test_what_the_package_names_is_there(name: str) -> None:
    """Imported from its module when asked for; a module of the same name would hide it."""
    found: Any = getattr(spaces, name)
    assert found.__module__.startswith("kerasweep.spaces.")
    assert found.__doc__
    assert name in dir(spaces)
    assert find_spec(f"kerasweep.spaces.{name}") is None


def test_a_name_that_is_none_of_them_is_no_attribute() -> None:
    """As in any module."""
    with pytest.raises(AttributeError, match="optimiser"):
        getattr(spaces, "optimiser")  # noqa: B009


def test_naming_a_building_block_imports_no_keras() -> None:
    """Only calling one does."""
    program = (
        "import sys; from kerasweep import spaces; [getattr(spaces, n) for n in spaces.__all__]; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"keras", "tensorflow", "keras_tuner"} & set(done.stdout.split())
