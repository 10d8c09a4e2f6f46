"""Tests of `kerasweep.cluster.replicas` with a processor split in two, there being no graphics processors here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kerasweep.cluster.replicas import Replicas

PROGRAM = Path(__file__).with_name("mirrored.py")


def test_one_device_is_nothing_to_copy_to() -> None:
    """Nor is one that Keras spreads no model over; no backend is imported for it."""
    assert Replicas.on("tensorflow", ["GPU:0"]) == Replicas.on("jax", []) == Replicas.on("torch", ["a", "b"])


@pytest.mark.real
@pytest.mark.parametrize(
    "backend",
    [
        "tensorflow",
        "jax",
    ],
)
def test_a_trial_with_two_devices_trains_as_with_one(backend: str) -> None:
    """The model is on both, and its losses are those of the whole batches, not of their halves."""
    done = subprocess.run([sys.executable, str(PROGRAM), backend], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    one, two = json.loads(done.stdout.splitlines()[-1])
    assert (one["ended"], two["ended"]) == ("completed", "completed"), two["last"]
    assert (one["devices"], two["devices"]) == (1, 2)
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-4)
