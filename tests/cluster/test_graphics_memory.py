"""Tests of `kerasweep.cluster.graphics_memory` on stand-ins for the backends: this machine has no card."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from kerasweep.cluster import graphics_memory
from kerasweep.cluster.graphics_memory import measure

GB = 10**9


def drive(monkeypatch: pytest.MonkeyPatch, driver: SimpleNamespace) -> None:
    """Put a driver in the place of the card's."""

    def load(name: str) -> SimpleNamespace:
        assert name == "libcuda.so.1"
        return driver

    monkeypatch.setattr(ctypes, "CDLL", load)


def first(into: object, index: int) -> int:
    """Find the first card."""
    del into
    return index


def fails(into: object, index: int) -> int:
    """Find no card."""
    del into
    return 100 + index


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put backends and a driver in place that have seen a peak of 3 GB on a card of 16 GB; return what was reset."""
    reset: list[str] = []

    class Card:
        def memory_stats(self) -> dict[str, int]:
            return {"peak_bytes_in_use": 3 * GB}

        platform = "gpu"

    def peak(device: str) -> dict[str, int]:
        assert device == "GPU:0"
        return {"current": GB, "peak": 3 * GB}

    def reserved(index: int) -> int:
        return 3 * GB + index

    def properties(index: int) -> SimpleNamespace:
        return SimpleNamespace(total_memory=16 * GB + index)

    def forget(device: object) -> None:
        reset.append(str(device))

    experimental = SimpleNamespace(get_memory_info=peak, reset_memory_stats=forget)
    cuda = SimpleNamespace(
        max_memory_reserved=reserved, get_device_properties=properties, reset_peak_memory_stats=forget
    )
    modules: dict[str, Any] = {
        "tensorflow": SimpleNamespace(config=SimpleNamespace(experimental=experimental)),
        "jax": SimpleNamespace(local_devices=lambda: [Card()]),
        "torch": SimpleNamespace(cuda=cuda),
    }
    monkeypatch.setattr(graphics_memory, "_module", modules.__getitem__)

    def total(into: Any, device: Any) -> int:
        del device
        into._obj.value = 16 * GB
        return 0

    drive(monkeypatch, SimpleNamespace(cuDeviceGet=first, cuDeviceTotalMem_v2=total))
    return reset


@pytest.mark.parametrize(
    ("backend", "peak", "reset"), [("tensorflow", 6, ["GPU:0"]), ("jax", 6, []), ("torch", 3, ["0"])]
)
def test_each_backend_says_what_it_held(forgotten: list[str], backend: str, peak: int, reset: list[str]) -> None:
    """Of those that grow by doubling twice the peak; the next trial's begins anew where the backend allows it."""
    assert measure(backend) == {"peak_bytes": peak * GB, "total_bytes": 16 * GB}
    assert forgotten == reset


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_without_a_card_nothing_is_known(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    """Whatever the backend raises."""

    def none(name: str) -> Any:
        raise RuntimeError(f"{name} sees no card")

    monkeypatch.setattr(graphics_memory, "_module", none)
    assert measure(backend) == {"peak_bytes": 0, "total_bytes": 0}


@pytest.mark.usefixtures("forgotten")
def test_a_card_whose_driver_says_nothing_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a peak, and nothing to compare it with."""
    drive(monkeypatch, SimpleNamespace(cuDeviceGet=fails))
    assert measure("tensorflow") == {"peak_bytes": 6 * GB, "total_bytes": 0}
