"""What can be searched, and the words that everything else is said in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attention import transformer
    from .augmentation import image_augmentation, mixing, noise
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
    from .tables import table_inputs, tabular
    from .towers import siamese

__all__ = [
    "Heads",
    "branches",
    "classifier",
    "cnn",
    "convolutional_recurrent",
    "custom_objects",
    "dropout",
    "early_stopping",
    "ema_callbacks",
    "heads",
    "image_augmentation",
    "label_smoothing",
    "mixing",
    "mlp",
    "noise",
    "normalization",
    "optimizer",
    "plateau",
    "recurrent",
    "regressor",
    "regularizer",
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
    "branches": "combination",
    "classifier": "predictors",
    "cnn": "convolution",
    "convolutional_recurrent": "recurrence",
    "custom_objects": "schedules",
    "dropout": "regularization",
    "early_stopping": "regularization",
    "ema_callbacks": "optimizers",
    "heads": "combination",
    "image_augmentation": "augmentation",
    "label_smoothing": "regularization",
    "mixing": "augmentation",
    "mlp": "dense",
    "noise": "augmentation",
    "normalization": "regularization",
    "optimizer": "optimizers",
    "plateau": "schedules",
    "recurrent": "recurrence",
    "regressor": "predictors",
    "regularizer": "regularization",
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
    """Import what is asked for; the packages below this one are light, but need not all be there at once."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_FROM[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
