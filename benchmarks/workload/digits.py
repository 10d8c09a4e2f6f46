"""The model, the data and the measure that all systems share: an MLP on scikit-learn's digits.

A trial's fit takes about two seconds on one core, half of it tracing, and hardly depends on the parameters: the sizes
are small, so that it does not matter which of them a system proposes. Sizes were chosen for that, not for accuracy.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, cast

import keras
import numpy as np
from space import DROPOUT, LEARNING_RATE, UNITS


def load() -> Any:
    """Return `((x, y), (x_val, y_val))`; from a file, so that no process pays for importing scikit-learn."""
    with np.load(os.environ["OVERHEAD_DATA"]) as data:
        x, y = data["x"], data["y"]
    return (x[:1440], y[:1440]), (x[1440:], y[1440:])


class FirstEpoch(keras.callbacks.Callback):
    """Note when the first epoch ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ended_at: float | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look at the clock once."""
        if self.ended_at is None:
            self.ended_at = time.time()


@keras.saving.register_keras_serializable("overhead")
class Timed(keras.Sequential):
    """A model that writes down when its training function began and its `fit` began and ended.

    Whoever calls `fit`, and with what, the line is the same; its callback comes first.
    """

    started: float = 0.0

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Fit, and append one line of JSON to the file of measures."""
        first, model = FirstEpoch(), cast(Any, super())
        kwargs["callbacks"] = [first, *(kwargs.get("callbacks") or ())]
        began = time.time()
        try:
            return model.fit(*args, **kwargs)
        finally:
            times = {"start": self.started, "fit_start": began, "fit_end": time.time(), "first_epoch": first.ended_at}
            _append({"pid": os.getpid(), **times})


def _append(measure: dict[str, Any]) -> None:
    descriptor = os.open(os.environ["OVERHEAD_MEASURES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, (json.dumps(measure) + "\n").encode())  # one short append is atomic between processes
    os.close(descriptor)


def network(*, units: int, learning_rate: float, dropout: float, started: float) -> Any:
    """Return the compiled model of a trial whose training function began at `started`."""
    layers: Any = keras.layers
    model: Any = Timed(
        [
            keras.Input((64,)),
            layers.Dense(units, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(units, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.started = started
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def build(hp: Any) -> Any:
    """Return the model for `hp`, as KerasTuner and Kerasweep call it."""
    started = time.time()
    low, high, step = UNITS
    return network(
        units=hp.Int("units", low, high, step=step),
        learning_rate=hp.Float("learning_rate", *LEARNING_RATE, sampling="log"),
        dropout=hp.Float("dropout", *DROPOUT),
        started=started,
    )
