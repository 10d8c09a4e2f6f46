"""A journal in memory, on a clock that is set by hand: for what never happened and nobody resumes."""

from __future__ import annotations

from typing import final

from .events import Entry, Event


@final
class MemoryJournal:
    """The writing end of a simulated sweep; as `Journal`, without a file."""

    def __init__(self) -> None:
        """Begin at 0 seconds."""
        self.entries: list[Entry] = []
        self.at = 0.0

    @property
    def seq(self) -> int:
        """The number of the last event."""
        return len(self.entries)

    def now(self) -> float:
        """Return the simulated time in seconds."""
        return self.at

    def append(self, *events: Event) -> list[Entry]:
        """Write events."""
        return [self.append_soon(event) for event in events]

    def append_soon(self, event: Event) -> Entry:
        """Write an event."""
        entry = Entry(seq=len(self.entries) + 1, at=self.at, event=event)
        self.entries.append(entry)
        return entry

    def tick(self) -> None:
        """Do nothing: nothing is pending."""
