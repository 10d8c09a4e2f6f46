# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false, reportOperatorIssue=false
"""Cross-validation: how far diabetes will have progressed after a year, from ten measures of 442 patients."""

import keras
from keras import layers
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from kerasweep import spaces


def build(hp):
    (x, _), _ = split()
    inputs = keras.Input((10,))
    features = spaces.tabular(hp, inputs, x)
    features = spaces.mlp(hp, features, layers=(1, 3), units=(16, 128))
    outputs = layers.Dense(1, kernel_regularizer=spaces.regularizer(hp))(features)
    model = keras.Model(inputs, outputs)
    model.compile(
        spaces.optimizer(hp, ["adam"], clipping=False), loss="mean_squared_error", metrics=["mean_absolute_error"]
    )
    return model


def load():
    return split()[0]


def held_out():
    return split()[1]


def split():
    x, y = load_diabetes(return_X_y=True, scaled=False)
    y = (y - 150) / 80
    x, x_test, y, y_test = train_test_split(x.astype("float32"), y.astype("float32"), test_size=110, random_state=0)
    return (x, y), (x_test, y_test)
