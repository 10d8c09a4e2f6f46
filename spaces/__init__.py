"""What can be searched, and the words that everything else is said in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .builders import boolean, choice, fixed, integer, real, repeat
    from .space import Space

__all__ = [
    "Space",
    "boolean",
    "choice",
    "fixed",
    "integer",
    "real",
    "repeat",
]

_FROM = {
    "Space": "space",
    "boolean": "builders",
    "choice": "builders",
    "fixed": "builders",
    "integer": "builders",
    "real": "builders",
    "repeat": "builders",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for; the packages below this one are light, but need not all be there at once."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_FROM[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
