"""How long an epoch takes: a fit of a few seconds, cut short, and what its batches say of a whole epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, cast, final

from .facts import DataFacts, Kind, PartFacts
from .training import StopTraining

TRAIN_S = 2.0
"""Training is cut so many seconds into an epoch; validation at half of that."""
EPOCHS = 2
"""The first epoch has what is done once in it; the second is measured where it ends in time."""
KERAS_BATCH = 32
REPEATABLE = (Kind.ARRAYS, Kind.DATASET, Kind.SEQUENCE)
"""Data that another fit may read without using it up."""


@final
class Pace:
    """Times a fit; to be added to its callbacks."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = 0.0
        self._whole: list[float] = []
        self._cut = False
        self._train: list[tuple[int, float]] = []
        self._test: list[tuple[int, float]] = []

    def callback(self) -> Any:
        """Return the Keras callback that listens, and ends the fit when enough was heard."""
        import keras

        pace = self

        class Listener(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                pace.begin()

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                if pace.trained(batch):
                    cast(Any, self).model.stop_training = True

            def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
                pace.tested(batch)

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                pace.end()

        return Listener()

    def begin(self) -> None:
        """Begin an epoch."""
        self._began, self._train, self._test = self._clock(), [], []

    def trained(self, batch: int) -> bool:
        """Note a batch; return True to have the epoch's training cut."""
        now = self._clock()
        self._train.append((batch, now))
        self._cut = self._cut or now - self._began > TRAIN_S
        return self._cut

    def tested(self, batch: int) -> None:
        """Note a batch of the validation.

        Raises:
            StopTraining: it has taken long enough.
        """
        now = self._clock()
        self._test.append((batch, now))
        if now - (self._train[-1][1] if self._train else self._began) > TRAIN_S / 2:
            self._cut = True
            raise StopTraining

    def end(self) -> None:
        """End an epoch.

        Raises:
            StopTraining: it was cut.
        """
        if self._cut:
            raise StopTraining
        self._whole.append(self._clock() - self._began)

    def epoch_s(self, steps: int | None, test_steps: int | None) -> float | None:
        """Return the seconds of an epoch of so many batches; None where too little was heard to say."""
        if len(self._whole) > 1:
            return self._whole[-1]
        trained_s = _whole_s(self._train, steps)
        tested_s = _whole_s(self._test, test_steps) if self._test else 0.0
        return None if trained_s is None or tested_s is None else trained_s + tested_s


def _whole_s(batches: list[tuple[int, float]], steps: int | None) -> float | None:
    """Return the seconds of so many batches at the pace of those after the first, which has the compiling in it."""
    if steps is None or len(batches) < 2:
        return None
    (first, began), (last, ended) = batches[0], batches[-1]
    return (ended - began) / max(1, last - first) * steps


def measured(fit: Callable[[dict[str, Any]], object], arguments: Mapping[str, Any], data: DataFacts) -> float | None:
    """Return the seconds of an epoch, from a fit of a few; None where that cannot be told without harm.

    Args:
        fit: Trains with such arguments of Keras's `fit`.
        arguments: Those of a trial.
        data: What is known of its data.
    """
    if data.train.kind not in REPEATABLE:
        return None
    pace = Pace()
    given: dict[str, Any] = {
        **arguments,
        "epochs": EPOCHS,
        "callbacks": [*(arguments.get("callbacks") or []), pace.callback()],
    }
    try:
        fit(given)
    except StopTraining:
        pass
    except Exception:  # what it says was said by the fit of one batch, or is for the trials to say
        return None
    batch = arguments.get("batch_size") or KERAS_BATCH
    steps = arguments.get("steps_per_epoch") or _batches(data.train, int(batch), 1.0 - data.split)
    tests = _batches(data.validation, int(arguments.get("validation_batch_size") or batch), 1.0)
    return pace.epoch_s(steps, arguments.get("validation_steps") or tests)


def _batches(part: PartFacts, batch: int, share: float) -> int | None:
    if part.batches is not None and part.batches > 0:
        return part.batches
    return math.ceil(part.length * share / batch) if part.length and part.kind is Kind.ARRAYS else None
