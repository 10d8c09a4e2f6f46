"""A form that cannot be understood: what is wrong with it, and which of its pieces is at fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import BadInput

Path = tuple[Any, ...]
"""Keys and indices from the outermost form to one of its pieces."""

LONG_NAME = 200


class BadForm(BadInput):
    """A form that cannot be understood; `path` leads to the piece at fault, to its key where `at_key`."""

    def __init__(self, message: str, path: Path = (), *, at_key: bool = False) -> None:
        super().__init__(message)
        self.path = path
        self.at_key = at_key


def checked_name(name: object, path: Path) -> str:
    """Return `name` if a parameter can be called so.

    Raises:
        BadForm: it cannot.
    """
    if not isinstance(name, str):
        raise BadForm(f"the parameter's name is {shown(name)}; expected text, so put it in quotes", path, at_key=True)
    if not name.isprintable() or len(name) > LONG_NAME or not all(part.strip() for part in name.split("/")):
        rule = f"up to {LONG_NAME} visible characters, no empty part between slashes"
        raise BadForm(f"{name!r} cannot name a parameter; expected {rule}", path, at_key=True)
    return name


def shown(value: object) -> str:
    """Return `value` as a message names it."""
    match value:
        case None:
            return "empty"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value if len(value) <= 60 else value[:59] + "…")
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case _:
            return f"{value}"
