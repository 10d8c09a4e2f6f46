"""Data functions that count their calls, in a module that holds nothing else, as a user's might."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

CALLS = "calls"
"""The loaders below write a line here for each call; the working folder is the test's."""


def call() -> None:
    """Note that a loader was called."""
    with open(CALLS, "a") as file:
        file.write(f"{os.getpid()}\n")


def calls() -> int:
    """Return how often a loader was called."""
    return len(Path(CALLS).read_text().splitlines())


def load() -> Any:
    """Return arrays of several types, nested."""
    call()
    x = np.arange(300_000, dtype="float64").reshape(-1, 3)
    return ({"a": x, "b": [x.astype("uint8"), None]}, np.array([["é", "b"]])), (x[:0], 3)


def load_object() -> Any:
    """Return something that is no array."""
    call()
    return (np.zeros(3), object())


def load_texts() -> Any:
    """Return an array of Python objects, which NumPy could only pickle."""
    call()
    return np.array(["a", None], dtype=object)


def load_and_die() -> Any:
    """End the process, as the kernel does when memory is short."""
    call()
    os.kill(os.getpid(), signal.SIGKILL)


def load_slowly() -> Any:
    """Take a while."""
    call()
    time.sleep(0.3)
    return np.zeros(3)
