"""The several fits that a trial is the mean over: one for each fold, or one for each of its seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Any, final

from .folds import check_foldable, fold_arguments, fold_of_each
from .settings import Settings


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """So many fits, each with a seed and arguments of its own; `word` is what one is called, `metrics` the objectives'."""

    count: int
    word: str
    metrics: tuple[str, ...]
    seed: Callable[[int], int]
    arguments: Callable[[Mapping[str, Any], int], dict[str, Any]]

    def report(self, done: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Return the mean over finished fits of each metric that all of them have, and the newest one's own.

        Of repeats also the objectives' standard deviations, `<name>_std`, from the second on.
        """
        names = [name for name in done[0] if all(name in one for one in done)]
        means = {name: sum(one[name] for one in done) / len(done) for name in names}
        newest = {f"{self.word}_{len(done)}/{name}": one for name, one in done[-1].items() if name != "learning_rate"}
        spread = self.metrics if self.word == "repeat" and len(done) > 1 else ()
        means |= {f"{name}_std": stdev(one[name] for one in done) for name in spread if name in names}
        return {**means, **newest}


def fits_of(settings: Settings, seed: int, given: Mapping[str, Any]) -> Fits:
    """Return the fits of a trial.

    Args:
        settings: The sweep's; they ask for folds or for repeats.
        seed: Of the trial.
        given: The arguments of `fit`.

    Raises:
        ValueError: the data cannot be split into folds.
    """
    metrics = tuple(name for name, _ in settings.goals)
    if not settings.folds:
        return Fits(
            count=settings.repeats,
            word="repeat",
            metrics=metrics,
            seed=lambda index: repeat_seed(seed, index),
            arguments=lambda arguments, _: dict(arguments),
        )
    folds = settings.folds
    of_each = fold_of_each(given.get("y"), check_foldable(given, folds), folds, settings.seed)
    return Fits(
        count=folds,
        word="fold",
        metrics=metrics,
        seed=lambda _: seed,
        arguments=lambda arguments, index: fold_arguments(arguments, of_each, index),
    )


def repeat_seed(seed: int, index: int) -> int:
    """Return the seed of a trial's repeat, counted from 0: the trial's own for the first."""
    if not index:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/repeat/{index}".encode()).digest()[:4], "big")
