"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .rig import Rig, rigs


@pytest.fixture(autouse=True, scope="session")
def hang_ups() -> Iterator[None]:
    """Have sweeps end with their terminal also where the tests run under `nohup`, which they would inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Rig]]:
    """Make sweeps in a temporary folder; what they start is ended after the test."""
    yield from rigs(tmp_path, monkeypatch)
