"""Tests of `kerasweep.trackers.watch`: how long a tracker stays without a driver, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kerasweep.trackers.events import Noticed, SweepEnded, SweepResumed, SweepStarted
from kerasweep.trackers.journal import Journal

BUSY = """
import sys, time
from pathlib import Path
from kerasweep.trackers import watch

watch.POLL_S, watch.GONE_S = 0.01, 0.2
watch.Watch(Path(sys.argv[1]), 0.0).start()
time.sleep(1.0)  # at a long request
"""
ENDED = SweepEnded(why="budget", exit_code=0)
LATE = Noticed(text="the last copy was made")


@pytest.mark.parametrize(
    ("events", "code"),
    [((), 3), ((ENDED,), 0), ((ENDED, LATE), 0), ((ENDED, SweepResumed(spec={})), 3)],
    ids=["lost", "ended", "ended and said more", "resumed and lost"],
)
def test_a_tracker_at_a_long_request_stays_for_a_sweep_that_has_ended(
    tmp_path: Path, events: tuple[SweepEnded | Noticed | SweepResumed, ...], code: int
) -> None:
    """Though it has not read of the end yet; without a driver that had ended its sweep it goes at once."""
    with Journal(tmp_path) as journal:
        journal.append(SweepStarted(spec={}), *events)
    done = subprocess.run([sys.executable, "-c", BUSY, str(tmp_path)], capture_output=True, timeout=60, check=False)
    assert done.returncode == code
