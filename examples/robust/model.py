# pyright: basic, reportArgumentType=false, reportCallIssue=false
"""Adversarial training, in a loop of our own: the network learns from pictures that were changed to mislead it.

The attack is the fast gradient sign method (Goodfellow, Shlens & Szegedy, 2015): each pixel is moved by `ATTACK` to
where the loss grows.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from kerasweep import spaces

ATTACK = 0.1
loss_of = keras.losses.SparseCategoricalCrossentropy()


def train(hp, report, data):
    (x, y), (x_val, y_val) = data
    model = make_model(hp)
    optimizer = spaces.optimizer(hp, ["adam"], clipping=False)
    share = hp.Float("attacked_share", 0.0, 1.0, step=0.1, default=0.5)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x)).batch(report.fit["batch_size"])

    @tf.function
    def train_step(images, labels):
        attacked = attack(model, images, labels)
        with tf.GradientTape() as tape:
            plain = loss_of(labels, model(images, training=True))
            under_attack = loss_of(labels, model(attacked, training=True))
            loss = (1 - share) * plain + share * under_attack
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    for epoch in range(1, report.epochs + 1):
        losses = [train_step(images, labels) for images, labels in batches]
        measured = {f"val_{name}": value for name, value in measure(model, x_val, y_val).items()}
        report(epoch=epoch, model=model, loss=np.mean(losses), **measured)


def make_model(hp):
    inputs = keras.Input((8, 8, 1))
    x = spaces.cnn(hp, inputs, blocks=(1, 3), filters=(8, 32))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def attack(model, images, labels):
    with tf.GradientTape() as tape:
        tape.watch(images)
        loss = loss_of(labels, model(images, training=False))
    return tf.clip_by_value(images + ATTACK * tf.sign(tape.gradient(loss, images)), 0.0, 1.0)


def measure(model, x, y):
    """Return the accuracy on pictures as they are and under attack."""
    images = tf.constant(x)
    plain = np.argmax(model(images, training=False), axis=-1)
    attacked = np.argmax(model(attack(model, images, y), training=False), axis=-1)
    return {"accuracy": np.mean(plain == y), "robust_accuracy": np.mean(attacked == y)}


def load():
    train, validation, _ = split()
    return train, validation


def held_out():
    return split()[2]


def split():
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
    x, x_test, y, y_test = train_test_split(images, labels, test_size=450, stratify=labels, random_state=0)
    x, x_val, y, y_val = train_test_split(x, y, test_size=450, stratify=y, random_state=0)
    return (x, y), (x_val, y_val), (x_test, y_test)
