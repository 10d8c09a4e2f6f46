"""What can be searched, and the words that everything else is said in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attention import transformer
    from .augmentation import image_augmentation, mixing, noise
    from .builders import boolean, choice, fixed, integer, real, repeat
    from .combination import Heads, branches, heads
    from .convolution import cnn
    from .dense import mlp
    from .language import text, vocabulary
    from .optimizers import ema_callbacks, optimizer
    from .predictors import classifier, regressor
    from .pretrained import transfer
    from .recurrence import convolutional_recurrent, recurrent
    from .regularization import dropout, early_stopping, label_smoothing, normalization, regularizer
    from .residual import resnet
    from .schedules import custom_objects, plateau, schedule
    from .space import Space
    from .tables import table_inputs, tabular
    from .towers import siamese

__all__ = [
    "Heads",
    "Space",
    "boolean",
    "branches",
    "choice",
    "classifier",
    "cnn",
    "convolutional_recurrent",
    "custom_objects",
    "dropout",
    "early_stopping",
    "ema_callbacks",
    "fixed",
    "heads",
    "image_augmentation",
    "integer",
    "label_smoothing",
    "mixing",
    "mlp",
    "noise",
    "normalization",
    "optimizer",
    "plateau",
    "real",
    "recurrent",
    "regressor",
    "regularizer",
    "repeat",
    "resnet",
    "schedule",
    "siamese",
    "table_inputs",
    "tabular",
    "text",
    "transfer",
    "transformer",
    "vocabulary",
]

_FROM = {
    "Heads": "combination",
    "Space": "space",
    "boolean": "builders",
    "branches": "combination",
    "choice": "builders",
    "classifier": "predictors",
    "cnn": "convolution",
    "convolutional_recurrent": "recurrence",
    "custom_objects": "schedules",
    "dropout": "regularization",
    "early_stopping": "regularization",
    "ema_callbacks": "optimizers",
    "fixed": "builders",
    "heads": "combination",
    "image_augmentation": "augmentation",
    "integer": "builders",
    "label_smoothing": "regularization",
    "mixing": "augmentation",
    "mlp": "dense",
    "noise": "augmentation",
    "normalization": "regularization",
    "optimizer": "optimizers",
    "plateau": "schedules",
    "real": "builders",
    "recurrent": "recurrence",
    "regressor": "predictors",
    "regularizer": "regularization",
    "repeat": "builders",
    "resnet": "residual",
    "schedule": "schedules",
    "siamese": "towers",
    "table_inputs": "tables",
    "tabular": "tables",
    "text": "language",
    "transfer": "pretrained",
    "transformer": "attention",
    "vocabulary": "language",
}
"""Names → their modules, imported when first asked for. No name is also a module's: that would hide it."""


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_FROM[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
