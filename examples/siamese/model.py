# pyright: basic, reportArgumentType=false
"""A siamese network: do two pictures show the same digit? Both are seen by one and the same convolutional network."""

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from kerasweep import spaces


def build(hp):
    left = keras.Input((8, 8, 1), name="left")
    right = keras.Input((8, 8, 1), name="right")
    distance = spaces.siamese(hp, left, right, tower=small_cnn)
    same = keras.layers.Dense(1, activation="sigmoid", name="same")(distance)

    model = keras.Model([left, right], same)
    model.compile(spaces.optimizer(hp, ["adam"], clipping=False), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def small_cnn(hp, x):
    return spaces.cnn(hp, x, blocks=(1, 3), filters=(16, 64))


def load():
    train, validation, _ = split()
    return train, validation


def held_out():
    return split()[2]


def split():
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
    x, x_test, y, y_test = train_test_split(images, labels, test_size=500, stratify=labels, random_state=0)
    x, x_val, y, y_val = train_test_split(x, y, test_size=500, stratify=y, random_state=0)
    return pairs(x, y, seed=0), pairs(x_val, y_val, seed=1), pairs(x_test, y_test, seed=2)


def pairs(images, labels, seed):
    """Pair each picture with one of the same digit and one of another; return ([left, right], same)."""
    random = np.random.default_rng(seed)
    alike = [random.choice(np.flatnonzero(labels == label)) for label in labels]
    other = [random.choice(np.flatnonzero(labels != label)) for label in labels]
    left = np.concatenate([images, images])
    right = images[np.array(alike + other)]
    same = np.repeat([1.0, 0.0], len(images)).astype("float32").reshape(-1, 1)
    return [left, right], same
