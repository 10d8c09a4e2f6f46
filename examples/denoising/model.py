# pyright: basic, reportArgumentType=false, reportCallIssue=false
"""A denoising autoencoder: a subclassed model with a `train_step` of its own, which makes new noise for every batch."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits

from kerasweep import spaces

NOISE = 0.4


class DenoisingAutoencoder(keras.Model):
    def __init__(self, encoder, decoder, noise):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.noise = noise

    def call(self, images):
        return self.decoder(self.encoder(images))

    def train_step(self, data):
        _, clean = data
        noisy = clean + keras.random.normal(tf.shape(clean), stddev=self.noise)
        with tf.GradientTape() as tape:
            restored = self(noisy, training=True)
            loss = self.compute_loss(y=clean, y_pred=restored)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self.compute_metrics(None, clean, restored)


def build(hp):
    activation = hp.Choice("activation", ["relu", "gelu", "silu"])
    code = hp.Int("code", 8, 64, step=2, sampling="log", default=32)
    units = hp.Int("units", 64, 512, step=2, sampling="log", default=128)
    depth = hp.Int("layers", 1, 3)

    encoder = keras.Sequential([layers.Dense(units, activation=activation) for _ in range(depth)])
    encoder.add(layers.Dense(code, activation=activation))
    decoder = keras.Sequential([layers.Dense(units, activation=activation) for _ in range(depth)])
    decoder.add(layers.Dense(64))

    model = DenoisingAutoencoder(encoder, decoder, noise=hp.Float("noise", 0.2, 0.8, default=NOISE))
    model.compile(spaces.optimizer(hp, ["adam"], clipping=False), loss="mean_squared_error")
    return model


def load():
    train, validation, _ = split()
    return train, validation


def held_out():
    return split()[2]


def split():
    images, _ = load_digits(return_X_y=True)
    clean = np.random.default_rng(0).permutation(images.astype("float32") / 16)
    noisy = clean + np.random.default_rng(1).normal(scale=NOISE, size=clean.shape).astype("float32")
    parts = slice(0, 1000), slice(1000, 1300), slice(1300, None)
    return tuple((noisy[part], clean[part]) for part in parts)
