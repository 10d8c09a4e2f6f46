"""A model that trains in a moment, for long sweeps: what grows over trials is not the model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


def load() -> Any:
    """Return random points and which side of a plane they are on."""
    x = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
    y = (x.sum(axis=1) > 0).astype("float32")
    return (x[:192], y[:192]), (x[192:], y[192:])


def build(hp: Any) -> keras.Model:
    """Return the model."""
    layers: Any = keras.layers
    model: Any = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(hp.Int("units", 4, 64), activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="binary_crossentropy", metrics=["accuracy"])
    return model
