"""What can be searched, and the words that everything else is said in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .augmentation import image_augmentation, mixing, noise
    from .builders import boolean, choice, fixed, integer, real, repeat
    from .optimizers import ema_callbacks, optimizer
    from .regularization import dropout, early_stopping, label_smoothing, normalization, regularizer
    from .schedules import custom_objects, plateau, schedule
    from .space import Space

__all__ = [
    "Space",
    "boolean",
    "choice",
    "custom_objects",
    "dropout",
    "early_stopping",
    "ema_callbacks",
    "fixed",
    "image_augmentation",
    "integer",
    "label_smoothing",
    "mixing",
    "noise",
    "normalization",
    "optimizer",
    "plateau",
    "real",
    "regularizer",
    "repeat",
    "schedule",
]

_FROM = {
    "Space": "space",
    "boolean": "builders",
    "choice": "builders",
    "custom_objects": "schedules",
    "dropout": "regularization",
    "early_stopping": "regularization",
    "ema_callbacks": "optimizers",
    "fixed": "builders",
    "image_augmentation": "augmentation",
    "integer": "builders",
    "label_smoothing": "regularization",
    "mixing": "augmentation",
    "noise": "augmentation",
    "normalization": "regularization",
    "optimizer": "optimizers",
    "plateau": "schedules",
    "real": "builders",
    "regularizer": "regularization",
    "repeat": "builders",
    "schedule": "schedules",
}
"""Names → their modules, imported when first asked for. No name is also a module's: that would hide it."""


def __getattr__(name: str) -> Any:
    """Import what is asked for; the packages below this one are light, but need not all be there at once."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_FROM[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
