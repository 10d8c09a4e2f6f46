"""What import kerasweep offers."""

from __future__ import annotations

from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from kerasweep.spaces.errors import (
    BadInput,
    Infeasible,
    Infrastructure,
    KerasweepError,
    NoTrialSucceeded,
    SweepHeld,
    TrackerBehind,
)

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

    from kerasweep.search.api import sweep
    from kerasweep.search.results import Result, TrialResult

__version__ = _version("kerasweep")

__all__ = [
    "BadInput",
    "HyperParameters",
    "Infeasible",
    "Infrastructure",
    "KerasweepError",
    "NoTrialSucceeded",
    "Result",
    "SweepHeld",
    "TrackerBehind",
    "TrialResult",
    "sweep",
]

_LATE = {
    "sweep": "search.api",
    "Result": "search.results",
    "TrialResult": "search.results",
    "HyperParameters": "spaces.hp",
}


def __getattr__(name: str) -> Any:
    """Import what is large when it is first asked for."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_LATE[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
