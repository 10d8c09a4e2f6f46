"""The versions that all nodes of a sweep must have in common. Ray itself refuses nodes with another Ray or Python."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

PACKAGES = ("kerasweep", "keras", "tensorflow")


def versions() -> dict[str, str]:
    """Return those of this process."""
    return {name: version(name) for name in PACKAGES}


def difference(wanted: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Return in words what is missing or another version, or an empty string."""
    wrong = [name for name, one in wanted.items() if found.get(name) != one]
    return ", ".join(f"{name} {found.get(name) or 'missing'} (the sweep has {wanted[name]})" for name in wrong)
