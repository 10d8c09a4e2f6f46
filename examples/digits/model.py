# pyright: basic
"""A dense network on scikit-learn's 1,797 handwritten digits of 8 x 8 pixels."""

import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def build(hp):
    activation = hp.Choice("activation", ["relu", "gelu", "swish"])
    dropout = hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.2)
    learning_rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log", default=1e-3)

    model = keras.Sequential([keras.Input((64,))])
    for index in range(hp.Int("layers", 1, 3, default=2)):
        model.add(layers.Dense(hp.Int(f"units_{index}", 32, 256, step=32, default=128), activation=activation))
        model.add(layers.Dropout(dropout))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def load():
    train, validation, _ = split()
    return train, validation


def held_out():
    return split()[2]


def split():
    images, labels = load_digits(return_X_y=True)
    images = images.astype("float32") / 16
    x, x_test, y, y_test = train_test_split(images, labels, test_size=400, stratify=labels, random_state=0)
    x, x_val, y, y_val = train_test_split(x, y, test_size=350, stratify=y, random_state=0)
    return (x, y), (x_val, y_val), (x_test, y_test)
