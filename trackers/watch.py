"""The watch that a tracker keeps on its sweep's driver."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import final

from ..spaces.errors import KerasweepError
from .events import SweepEnded, SweepResumed
from .journal import Lock, Reader

POLL_S = 0.25
GRACE_S = 3.0
"""A driver that was never seen may still come for so long."""
GONE_S = 4.5
"""Without its driver a tracker is gone in so long."""
LAST_EVENTS = 100
"""A sweep's end is among so many last events."""

log = logging.getLogger("kerasweep.tracker")


@final
class Watch:
    """Looks after the driver, in a thread of its own: a request that hangs must not keep a tracker without one."""

    def __init__(self, folder: Path, grace_s: float = GRACE_S) -> None:
        self._folder = folder
        self._lock = folder / "journal.lock"
        self._grace_s = grace_s
        self._started = time.monotonic()
        self._seen = False
        self._lost_at: float | None = None
        self._closed = threading.Event()
        self.patient = False
        """Whether there is time left although the driver is gone, because it had ended the sweep."""
        self.look()

    def start(self) -> None:
        """Look from now on."""
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def look(self) -> None:
        """Look once."""
        now = time.monotonic()
        if Lock.holder(self._lock) is not None:
            self._seen, self._lost_at = True, None
        elif self._lost_at is None and (self._seen or now - self._started >= self._grace_s):
            self._lost_at = now

    @property
    def driver_gone(self) -> bool:
        """Whether no driver holds the sweep, and none is about to."""
        return self._lost_at is not None

    def _run(self) -> None:
        while not self._closed.wait(POLL_S):
            self.look()
            overdue = self._lost_at is not None and time.monotonic() - self._lost_at > GONE_S
            if overdue and not self.patient and not self._has_ended():
                log.warning("the driver is gone and MLflow does not answer; `kerasweep sync` delivers the rest")
                os._exit(3)

    def _has_ended(self) -> bool:
        """Look whether the driver had ended the sweep: the tracker may be at a long request, and not know it yet."""
        try:
            with Reader(self._folder) as reader:
                last = [entry.event for entry in reader.after(max(0, reader.last_seq() - LAST_EVENTS))]
        except KerasweepError:
            return False
        kinds = [type(event) for event in last if isinstance(event, (SweepEnded, SweepResumed))]
        return kinds[-1:] == [SweepEnded]
