"""The Keras callback that reports epochs and ends a fit that was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from .hypermodel import plain_metrics
from .training import StopTraining, Training

if TYPE_CHECKING:
    import keras


@cache
def reporter_class() -> Callable[[Training], keras.callbacks.Callback]:
    """Return the callback's class; importing Keras is left to the trainer."""
    import keras

    class Reporter(keras.callbacks.Callback):
        """Reports each epoch with the learning rate and its seconds; raises at the end of a batch once stopped."""

        def __init__(self, training: Training) -> None:
            super().__init__()
            self._training = training
            self._began = time.monotonic()

        def __deepcopy__(self, memo: dict[int, Any]) -> Reporter:
            """Stay the same object in a copied list of callbacks: the trial is one."""
            return self

        def on_train_begin(self, logs: Any = None) -> None:
            self._training.weights.model = self.model
            self._began = time.monotonic()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self._on_batch()

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self._on_batch()

        def _on_batch(self) -> None:
            self._training.batches += 1
            if self._training.stopping:
                raise StopTraining

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            metrics = plain_metrics(logs)
            rate = _learning_rate(self.model)
            if rate is not None:
                metrics.setdefault("learning_rate", rate)
            now = time.monotonic()
            self._training.report(metrics, seconds=now - self._began)
            self._began = now
            if self._training.stopping:
                raise StopTraining

    return Reporter


def _learning_rate(model: Any) -> float | None:
    optimizer: Any = getattr(model, "optimizer", None)
    try:
        return float(optimizer.learning_rate)
    except (AttributeError, TypeError, ValueError):
        return None
