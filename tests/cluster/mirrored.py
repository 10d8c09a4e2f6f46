"""Trains one trial on one device and on two, and prints what each has seen: a program of its own, since a backend's
devices can be split only before it starts.

    python mirrored.py BACKEND
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

import numpy as np

SAMPLES = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
LABELS = (SAMPLES[:, 0] > 0).astype("int64")
SEEN: list[int] = []


def split_processor(backend: str) -> list[str]:
    """Make two devices of the processor; return their names."""
    os.environ.update(KERAS_BACKEND=backend, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    if backend == "tensorflow":
        tf: Any = importlib.import_module("tensorflow")

        half = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [half, half])
        return [device.name for device in tf.config.list_logical_devices("CPU")]
    return ["cpu:0", "cpu:1"]


def build(hp: Any) -> Any:
    """Return a network, and note over how many devices it is spread."""
    import keras

    model: Any = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    model.compile(keras.optimizers.SGD(hp.Fixed("rate", 0.5)), "sparse_categorical_crossentropy", metrics=["accuracy"])
    if keras.backend.backend() == "tensorflow":
        SEEN.append(model.distribute_strategy.num_replicas_in_sync)
    else:
        SEEN.append(len(model.layers[0].kernel.value.sharding.device_set))
    return model


def main(backend: str) -> None:
    """Print the losses of an epoch, and the devices, without and with a second one."""
    devices = split_processor(backend)
    from kerasweep.cluster.replicas import Replicas
    from kerasweep.cluster.settings import Settings
    from kerasweep.cluster.training import Training
    from kerasweep.cluster.user_code import UserCode
    from kerasweep.spaces.parameter import Fixed, identity
    from kerasweep.spaces.trial import Assignment

    fit = {"epochs": 3, "batch_size": 20, "shuffle": False}
    settings = Settings(metric="val_loss", maximize=False, at_last=False, fit=fit)
    code = UserCode.of(build, ((SAMPLES[:40], LABELS[:40]), (SAMPLES[40:], LABELS[40:])))
    params = {identity(Fixed(name="rate", value=0.5)): 0.5}
    found: list[Any] = []
    for some in (devices[:1], devices):
        code.replicas = Replicas.on(backend, some)
        said: list[Any] = []
        Training(code, Assignment(number=0, attempt=1, round=0, seed=3, params=params), settings, said.append).run()
        reports = [one["metrics"]["val_loss"] for one in said if one["type"] == "report"]
        found.append({"devices": SEEN[-1], "losses": reports, "ended": said[-1].get("kind"), "last": str(said[-1])})
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
