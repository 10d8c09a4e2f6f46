# pyright: basic
"""The adding problem (Hochreiter & Schmidhuber, 1997): of 30 numbers two are marked, and their sum is asked for."""

import numpy as np

from kerasweep import spaces

STEPS = 30


def build(hp):
    return spaces.regressor(hp, (STEPS, 2), blocks={"recurrent": recurrent}, optimizer=adam)


def recurrent(hp, x):
    return spaces.recurrent(hp, x, layers=(1, 2), units=(16, 64))


def adam(hp):
    return spaces.optimizer(hp, ["adam"], weight_decay=False, clipping=False)


def load():
    return make_sequences(3000, seed=0), make_sequences(1000, seed=1)


def held_out():
    return make_sequences(2000, seed=2)


def make_sequences(count, seed):
    """Return sequences of (number, marked or not), and the sum of the two marked numbers of each."""
    random = np.random.default_rng(seed)
    numbers = random.uniform(-0.5, 0.5, size=(count, STEPS)).astype("float32")
    marks = np.zeros_like(numbers)
    for row in marks:
        row[random.choice(STEPS, size=2, replace=False)] = 1
    return np.stack([numbers, marks], axis=-1), (numbers * marks).sum(axis=1)
