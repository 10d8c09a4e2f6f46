"""Ranges that building blocks ask of `hp`, each with a default; they hold for KerasTuner's `hp` as for ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, final

from .errors import BadInput, did_you_mean

if TYPE_CHECKING:
    import keras_tuner


@final
@dataclass(frozen=True, slots=True)
class Log:
    """Numbers from `low` to `high`, uniform in their logarithm."""

    low: float
    high: float
    default: float

    def ask(self, hp: keras_tuner.HyperParameters, name: str) -> float:
        """Return the value of the parameter `name`."""
        return float(cast(Any, hp).Float(name, self.low, self.high, sampling="log", default=self.default))


@final
@dataclass(frozen=True, slots=True)
class Linear:
    """Numbers from `low` to `high`, uniform, or at every `step` from `low`."""

    low: float
    high: float
    default: float
    step: float | None = None

    def ask(self, hp: keras_tuner.HyperParameters, name: str) -> float:
        """Return the value of the parameter `name`."""
        return float(cast(Any, hp).Float(name, self.low, self.high, step=self.step, default=self.default))


@final
@dataclass(frozen=True, slots=True)
class Count:
    """Whole numbers from `low` to `high`."""

    low: int
    high: int
    default: int

    def ask(self, hp: keras_tuner.HyperParameters, name: str) -> int:
        """Return the value of the parameter `name`."""
        return int(cast(Any, hp).Int(name, self.low, self.high, default=self.default))


@final
@dataclass(frozen=True, slots=True)
class Levels:
    """A few ordered values: for decay rates, where the distance from 1 is what counts (0.9, 0.99, 0.999)."""

    values: tuple[float, ...]
    default: float

    def ask(self, hp: keras_tuner.HyperParameters, name: str) -> float:
        """Return the value of the parameter `name`."""
        return float(cast(Any, hp).Choice(name, list(self.values), ordered=True, default=self.default))


@final
@dataclass(frozen=True, slots=True)
class Flag:
    """On or off."""

    default: bool

    def ask(self, hp: keras_tuner.HyperParameters, name: str) -> bool:
        """Return the value of the parameter `name`."""
        return bool(cast(Any, hp).Boolean(name, default=self.default))


def choose(hp: keras_tuner.HyperParameters, name: str, given: Sequence[str], known: Iterable[str]) -> str:
    """Return one of `given`, the first by default; a single one is not asked.

    Raises:
        BadInput: as `check_names`.
    """
    check_names(name, given, known)
    return given[0] if len(given) == 1 else str(cast(Any, hp).Choice(name, list(given), default=given[0]))


def check_names(what: str, given: Sequence[str], known: Iterable[str]) -> None:
    """Check what a block is to choose from.

    Raises:
        BadInput: nothing, or a name that is not among `known`.
    """
    known = list(known)
    if isinstance(given, str) or not given:
        raise BadInput(f"{what}: give a list of one or more of {', '.join(known)}, got {given!r}")
    for one in given:
        if one not in known:
            raise BadInput(f"{what}: {one!r} is not known{did_you_mean(one, known)}; there are {', '.join(known)}")
