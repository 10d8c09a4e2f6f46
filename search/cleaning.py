"""Removes what ended trials leave, on a thread: however slow the place for checkpoints is, the driver goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import final

from ..cluster.leftovers import remove_leftovers

logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """Which trials had ended when the driver asked: those below `asked` that were not `live`; of the `best` weights stay."""

    asked: int
    live: Collection[int]
    best: Collection[int]

    def holds(self, number: int) -> bool:
        return number < self.asked and number not in self.live


@final
class Cleaner:
    """Cleans one sweep's place after its trials' ends.

    What has ended is what had when `clean` was called: a trial that begins while a removal goes on is none of it.

    Survives: what a kill, or a storage that fails, leaves there is removed after the next end, by `resume` or by `gc`.
    """

    def __init__(self, root: str, remove: Callable[..., object] = remove_leftovers) -> None:
        """Get ready; `root` is the place, a folder or a URL."""
        self._root = root
        self._remove = remove
        self._lock = threading.Lock()
        self._due: _Ended | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._failed = False

    def clean(self, *, asked: int, live: Collection[int], best: Collection[int]) -> None:
        """Have the leftovers removed of all trials below `asked` that are not `live`; returns at once.

        While one removal goes on the newest call waits for its turn, and stands for those before it.
        """
        with self._lock:
            self._due = _Ended(asked=asked, live=frozenset(live), best=frozenset(best))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="cleaning", daemon=True)
                self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a removal goes on."""
        return self._thread is not None

    def finish(self, patience_s: float) -> bool:
        """Wait so long until all is removed, then begin nothing further; return whether all was."""
        thread = self._thread
        if thread is not None:
            thread.join(patience_s)
        with self._lock:
            self._closed = True
            return self._thread is None and self._due is None and not self._failed

    def _run(self) -> None:
        while (ended := self._next()) is not None:
            try:
                self._remove(self._root, over=ended.holds, best=ended.best, go_on=lambda: not self._closed)
                self._failed = False
            except Exception:  # a storage raises what its library has
                logger.exception("what ended trials left was not removed")
                self._failed = True

    def _next(self) -> _Ended | None:
        with self._lock:
            if self._closed or self._due is None:
                self._thread = None
                return None
            ended, self._due = self._due, None
            return ended
