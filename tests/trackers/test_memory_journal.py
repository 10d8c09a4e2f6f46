"""Tests of `kerasweep.trackers.memory_journal`."""

from __future__ import annotations

from kerasweep.trackers.events import Noticed
from kerasweep.trackers.memory_journal import MemoryJournal


def test_events_are_numbered_and_have_the_time_that_was_set() -> None:
    """As those of a journal on disk; nothing is pending."""
    journal = MemoryJournal()
    (first,) = journal.append(Noticed(text="a"))
    journal.at = 2.5
    second = journal.append_soon(Noticed(text="b"))
    journal.tick()
    assert [(one.seq, one.at) for one in journal.entries] == [(1, 0.0), (2, 2.5)]
    assert journal.entries == [first, second]
    assert (journal.seq, journal.now()) == (2, 2.5)
