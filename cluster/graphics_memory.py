"""What a trial takes of its graphics processor's memory: the allocator's peak, and what the card has in all."""

from __future__ import annotations

import ctypes
import importlib
from typing import Any

GROWTH = 2.0
"""The allocator of TensorFlow and JAX takes ever larger regions, each twice the one before: it may hold twice its peak."""


def measure(backend: str) -> dict[str, int]:
    """Return `peak_bytes`, held at most since the last measure, and `total_bytes`; both 0 where that cannot be known.

    The peak leaves out what the process takes besides its arrays. JAX counts from the start of the process.
    """
    try:
        peak, total = _of_torch() if backend == "torch" else (_peak_of(backend), _of_card())
    except Exception:  # no card, another maker's, or a version that says it otherwise
        peak = total = 0
    return {"peak_bytes": peak, "total_bytes": total if peak else 0}


def _peak_of(backend: str) -> int:
    if backend == "jax":
        device = _module("jax").local_devices()[0]
        stats: dict[str, int] = {} if device.platform == "cpu" else device.memory_stats()
        return int(GROWTH * stats.get("peak_bytes_in_use", 0))
    experimental = _module("tensorflow").config.experimental
    peak = int(GROWTH * experimental.get_memory_info("GPU:0")["peak"])
    experimental.reset_memory_stats("GPU:0")
    return peak


def _of_torch() -> tuple[int, int]:
    cuda = _module("torch").cuda
    peak, total = int(cuda.max_memory_reserved(0)), int(cuda.get_device_properties(0).total_memory)
    cuda.reset_peak_memory_stats(0)
    return peak, total


def _of_card() -> int:
    """Return the memory of the first card that this process sees, by the driver, which the backend has started.

    Raises:
        OSError: there is no driver of NVIDIA's.
    """
    driver, device, total = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), ctypes.c_size_t()
    if driver.cuDeviceGet(ctypes.byref(device), 0) or driver.cuDeviceTotalMem_v2(ctypes.byref(total), device):
        return 0
    return total.value


def _module(name: str) -> Any:
    """Return a module of which only the one that belongs to the backend may be installed."""
    return importlib.import_module(name)
