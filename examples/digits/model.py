"""A small dense network on scikit-learn's 1,797 handwritten digits of 8 x 8 pixels."""

import keras
from keras import layers
from keras_tuner import HyperParameters
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def build(hp: HyperParameters) -> keras.Model:
    activation = hp.Choice("activation", ["relu", "gelu", "swish"])
    dropout = hp.Float("dropout", 0.0, 0.5, step=0.1)

    inputs = keras.Input((64,))
    x = inputs
    for index in range(hp.Int("layers", 1, 3)):
        x = layers.Dense(hp.Int(f"units_{index}", 32, 256, step=32), activation=activation)(x)
        x = layers.Dropout(dropout)(x)
    outputs = layers.Dense(10, activation="softmax")(x)

    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def load():
    images, labels = load_digits(return_X_y=True)
    x, x_val, y, y_val = train_test_split(
        images.astype("float32") / 16, labels, test_size=0.25, stratify=labels, random_state=0
    )
    return (x, y), (x_val, y_val)
