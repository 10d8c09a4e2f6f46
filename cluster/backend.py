"""The sweep's settings of Keras, and what differs by the library that computes: TensorFlow, JAX or PyTorch.

A process has one backend, chosen before Keras is imported (`KERAS_BACKEND`), so it is the fork server's.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from ..spaces.trial import Json

BACKENDS = ("tensorflow", "jax", "torch")
VARIABLE = "KERAS_BACKEND"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KerasSettings:
    """What holds for every trial of a sweep; None leaves it to the model's own code.

    `jit_compile` and `steps_per_execution` take the place of what the model was compiled with.
    """

    backend: str = "tensorflow"
    dtype_policy: str | None = None
    jit_compile: bool | None = None
    steps_per_execution: int | None = None
    deterministic: bool = False

    def to_json(self) -> dict[str, Json]:
        """Return the form in which it travels."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> KerasSettings:
        """Return what `to_json` wrote."""
        return cls(**data)

    def apply_to(self, model: Any) -> None:
        """Have a compiled model trained as the sweep says; its training function is made when `fit` begins."""
        if self.jit_compile is not None:
            model.jit_compile = self.jit_compile
        if self.steps_per_execution is not None:
            model.steps_per_execution = self.steps_per_execution


def default_backend() -> str:
    """Return the backend that Keras would choose by itself: by its variable, else by its configuration file."""
    named = os.environ.get(VARIABLE)
    if named:
        return named
    folder = os.environ.get("KERAS_HOME") or "~/.keras"
    try:
        told = json.loads((Path(folder).expanduser() / "keras.json").read_text())["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return BACKENDS[0]
    return told if isinstance(told, str) and told else BACKENDS[0]


def missing(backend: str) -> str:
    """Return what to do about a backend that is not installed; an empty string where there is nothing to do."""
    if backend == "tensorflow" or importlib.util.find_spec(backend) is not None:  # TensorFlow is there in any case
        return ""
    return f'{backend} is not installed; expected it from `pip install "kerasweep[{backend}]"`'


def environment(settings: KerasSettings, cpu: int) -> dict[str, str]:
    """Return what must stand in the environment before Keras and its backend are imported.

    JAX makes pools of as many threads as its variable says. Of a graphics processor it would take three quarters at
    once, but several trials may share one. TensorFlow's threads are limited here where only the user's data need it.
    """
    variables = {VARIABLE: settings.backend}
    if settings.backend != "tensorflow":
        variables |= {"TF_NUM_INTRAOP_THREADS": str(cpu), "TF_NUM_INTEROP_THREADS": str(cpu)}
    if settings.backend == "jax":
        variables |= {"PJRT_NPROC": str(cpu), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if settings.deterministic:
        variables["PYTHONHASHSEED"] = "0"  # the order of a set of texts, which a model may loop over
    if settings.deterministic and settings.backend == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        variables["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    if settings.deterministic and settings.backend == "torch":
        variables["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    return variables


def preloaded(backend: str) -> tuple[str, ...]:
    """Return the packages that every trainer needs; none of them starts the backend, which a fork would break.

    TensorFlow is one of them whatever the backend: Keras asks it whether the data are its own.
    """
    return (*dict.fromkeys((backend, "tensorflow", "keras", "keras_tuner")),)


def limit_threads(backend: str, cpu: int) -> None:
    """Keep the backend to so many threads; to be called before it runs anything. JAX is told by `environment`."""
    if backend == "tensorflow":
        options = _module("tensorflow").config.threading
        options.set_intra_op_parallelism_threads(cpu)
        options.set_inter_op_parallelism_threads(cpu)
    elif backend == "torch":
        _module("torch").set_num_threads(cpu)


def grow_graphics_memory(backend: str) -> None:
    """Let TensorFlow take graphics memory as it needs it; PyTorch does, and JAX is told by `environment`."""
    if backend != "tensorflow":
        return
    config = _module("tensorflow").config
    for device in config.list_physical_devices("GPU"):
        config.experimental.set_memory_growth(device, True)


def make_deterministic(backend: str) -> None:
    """Have every operation give the same result each time; to be called before the user's code runs.

    Random operations need a seed from then on; each trial sets its own. JAX is told by `environment`.
    """
    import keras

    keras.utils.set_random_seed(0)
    if backend == "tensorflow":
        _module("tensorflow").config.experimental.enable_op_determinism()
    elif backend == "torch":
        _module("torch").use_deterministic_algorithms(True)


def _module(name: str) -> Any:
    """Return a module of which only the one that belongs to the backend may be installed."""
    return importlib.import_module(name)
