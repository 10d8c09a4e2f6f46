"""What can be searched, and the words that everything else is said in."""

from __future__ import annotations

from typing import Any

_LATE = {
    "custom_objects": "schedules",
    "dropout": "regularization",
    "early_stopping": "regularization",
    "ema_callbacks": "optimizers",
    "image_augmentation": "augmentation",
    "label_smoothing": "regularization",
    "mixing": "augmentation",
    "noise": "augmentation",
    "normalization": "regularization",
    "optimizer": "optimizers",
    "plateau": "schedules",
    "regularizer": "regularization",
    "schedule": "schedules",
}
"""Names of building blocks → their modules, imported when first asked for."""

__all__ = sorted(_LATE)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import a building block when it is first asked for."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_LATE[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
