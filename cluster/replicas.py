"""One model on several graphics processors of a trial: each holds a copy and takes its share of every batch.

TensorFlow mirrors what is built within a strategy's scope; JAX shards what is fitted under a distribution. Keras on
PyTorch has neither in one process.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, final

BACKENDS = ("tensorflow", "jax")
"""Those with which a trial may have several."""


@final
@dataclass(frozen=True, slots=True)
class Replicas:
    """Where a trainer's models live; on what Keras chooses where there is no strategy and no distribution."""

    strategy: Any = field(default=None)
    distribution: Any = field(default=None)

    @classmethod
    def on(cls, backend: str, devices: Sequence[str]) -> Replicas:
        """Return copies on these devices, as the backend calls them; on fewer than two there is nothing to copy."""
        if len(devices) < 2:
            return cls()
        if backend == "tensorflow":
            return cls(strategy=_module("tensorflow").distribute.MirroredStrategy(list(devices)))
        if backend == "jax":
            import keras

            return cls(distribution=keras.distribution.DataParallel(devices=list(devices)))
        return cls()

    def start_session(self) -> None:
        """Set what Keras's clearing of a session takes back."""
        if self.distribution is not None:
            import keras

            keras.distribution.set_distribution(self.distribution)

    def scope(self) -> AbstractContextManager[object]:
        """Return the context to build a model in."""
        return nullcontext() if self.strategy is None else self.strategy.scope()


def graphics_processors(backend: str) -> list[str]:
    """Return the names of those that the backend sees, of all that this process may use; starts the backend."""
    if backend == "tensorflow":
        return [device.name for device in _module("tensorflow").config.list_logical_devices("GPU")]
    if backend == "jax":
        return [f"{device.platform}:{device.id}" for device in _module("jax").devices() if device.platform != "cpu"]
    torch = _module("torch")
    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def _module(name: str) -> Any:
    """Return a module of which only the one that belongs to the backend may be installed."""
    return importlib.import_module(name)
