"""What the fault suite on fakes shares: a fast folder, a clock that commits by groups, no waiting."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from kerasweep.search import engine
from kerasweep.trackers.journal import GROUP_S

MEMORY = Path("/dev/shm")  # noqa: S108


@pytest.fixture
def home() -> Iterator[Path]:
    """Return a folder in memory where there is one: thousands of commits need not reach a disk."""
    folder = Path(tempfile.mkdtemp(prefix="kerasweep-chaos-", dir=MEMORY if MEMORY.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every third look at the clock be a commit's time; requests are looked at every time; no log of faults."""
    ticks = count()
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks) * GROUP_S / 3)
    monkeypatch.setattr(engine, "INBOX_S", 0.0)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
