"""The Keras callback that reports epochs and ends a fit that was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from .hypermodel import plain_metrics
from .weights import BestWeights

if TYPE_CHECKING:
    import keras


class Fitted(Protocol):
    """What the callback tells: a trial, or one fold of it."""

    @property
    def weights(self) -> BestWeights:
        """Hold on to the best weights."""
        ...

    def report(self, metrics: Mapping[str, float], seconds: float | None = None) -> None:
        """Tell the metrics of one more epoch."""

    def on_batch(self) -> None:
        """Count a batch, and raise if the trial was stopped."""

    def check_stop(self) -> None:
        """Raise if the trial was stopped."""


@cache
def reporter_class() -> Callable[[Fitted], keras.callbacks.Callback]:
    """Return the callback's class; importing Keras is left to the trainer."""
    import keras

    class Reporter(keras.callbacks.Callback):
        """Reports each epoch with the learning rate and its seconds; raises at the end of a batch once stopped."""

        def __init__(self, fitted: Fitted) -> None:
            super().__init__()
            self._fitted = fitted
            self._began = time.monotonic()

        @property
        def model(self) -> Any:
            """The model; a training loop may set it, as KerasTuner's guide does."""
            return self._model

        @model.setter
        def model(self, model: Any) -> None:
            self._model = model

        def __deepcopy__(self, memo: dict[int, Any]) -> Reporter:
            """Stay the same object in a copied list of callbacks: the trial is one."""
            return self

        def on_train_begin(self, logs: Any = None) -> None:
            self._fitted.weights.model = self.model
            self._began = time.monotonic()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self._fitted.on_batch()

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self._fitted.on_batch()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            metrics = plain_metrics(logs)
            rate = _learning_rate(self.model)
            if rate is not None:
                metrics.setdefault("learning_rate", rate)
            self._fitted.report(metrics, seconds=time.monotonic() - self._began)
            self._began = time.monotonic()  # what is measured of the model in between is not the epoch's
            self._fitted.check_stop()

    return Reporter


def _learning_rate(model: Any) -> float | None:
    optimizer: Any = getattr(model, "optimizer", None)
    try:
        return float(optimizer.learning_rate)
    except (AttributeError, TypeError, ValueError):
        return None
