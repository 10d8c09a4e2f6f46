"""The journal's clock: the time of day at the start, counted on by a clock that nobody sets."""

from __future__ import annotations

import time
from typing import final

_BOOT = getattr(time, "CLOCK_BOOTTIME", None)


def _elapsed() -> float:
    """Return seconds that also count while the machine sleeps, where it has such a clock."""
    return time.monotonic() if _BOOT is None else time.clock_gettime(_BOOT)


@final
class SteadyClock:
    """Seconds since 1970 that never go back nor jump, whatever happens to the time of day."""

    def __init__(self) -> None:
        self._offset = time.time() - _elapsed()

    def __call__(self) -> float:
        return self._offset + _elapsed()

    def not_before(self, at: float) -> None:
        """Go on from `at` where it is later: the time of day was set back since."""
        self._offset = max(self._offset, at - _elapsed())
