"""A driver without Ray, Keras or Optuna: journals events, folds them into the core and does what it commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from kerasweep.search.core import replay, step
from kerasweep.search.decisions import Ask, Close, End, Finish, SlotFree, Start, Tick, Wait
from kerasweep.search.state import Rules, State
from kerasweep.spaces.trial import Cause, Outcome, Scalar
from kerasweep.trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Entry,
    Event,
    SweepResumed,
    TrialAsked,
    TrialEnded,
    decode,
    encode,
)


class Book(Protocol):
    """What the bench needs of a journal."""

    def append(self, *events: Event) -> list[Entry]:
        """Write events and all that is pending; durable when this returns."""
        ...

    def append_soon(self, event: Event) -> Entry:
        """Write an event, durable with the next append."""
        ...


class MemoryBook:
    """A journal in memory: a crash keeps what was appended and loses what is pending."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.durable = 0
        self.now = 0.0

    def append(self, *events: Event) -> list[Entry]:
        """Write events and all that is pending."""
        entries = [self.append_soon(event) for event in events]
        self.durable = len(self.entries)
        return entries

    def append_soon(self, event: Event) -> Entry:
        """Write an event, durable with the next append."""
        self.entries.append(Entry(seq=len(self.entries) + 1, at=self.now, event=event))
        return self.entries[-1]

    def crash(self) -> None:
        """Lose what is pending."""
        del self.entries[self.durable :]


def proposal(number: int) -> tuple[int, Mapping[str, Scalar]]:
    """Return the seed and the parameters of a trial."""
    return 1000 + number, {"id": number}


class Bench:
    """A sweep under way; `slots` has the number and attempt of the trial on each busy slot."""

    def __init__(self, rules: Rules, book: Book, past: Iterable[Entry] = ()) -> None:
        self.book = book
        self.state: State = replay(rules, past)
        self.replayed = self.state
        self.slots: dict[int, tuple[int, int]] = {}

    def record(self, *events: Event, soon: bool = False) -> None:
        """Journal events and what follows from them, in one transaction; `soon`: unless something follows, later."""
        waiting = list(events)
        for event in waiting:
            entry = self.book.append_soon(event)
            self.state, commands = step(self.state, event, entry.at)
            self.replayed, _ = step(self.replayed, decode(*encode(event)), entry.at)
            for command in commands:
                if isinstance(command, End):
                    waiting.append(self.end(command.number, command.outcome))
                elif isinstance(command, Close):
                    waiting.append(command.event)
        if not soon or len(waiting) > len(events):
            self.book.append()
        placed = {live.number for live in self.state.placed}
        self.slots = {slot: (number, attempt) for slot, (number, attempt) in self.slots.items() if number in placed}

    def end(self, number: int, outcome: Outcome) -> TrialEnded:
        """Return the event that ends a live trial."""
        return TrialEnded(trial=number, attempt=self.state.live[number].attempt, outcome=outcome)

    def fill(self, slot: int) -> Finish | Wait | None:
        """Give a free slot what the core has for it; return the answer where that is no trial."""
        while True:
            self.tick(self.state.last_at)
            _, (command,) = step(self.state, SlotFree())
            match command:
                case End(number=number, outcome=outcome):
                    self.record(self.end(number, outcome))
                case Ask(number=number) as ask:
                    return self._place(slot, self._asked(ask), AttemptStarted(trial=number, attempt=1))
                case Start(number=number):
                    live = self.state.live[number]
                    start = AttemptStarted(trial=number, attempt=live.next_attempt, round=live.round)
                    return self._place(slot, start)
                case Finish() | Wait():
                    return command
                case _:
                    raise AssertionError(f"no slot can do {command}")

    def _asked(self, ask: Ask) -> TrialAsked:
        """Return the event of a new trial; one that confirms or inherits has the parameters of the other."""
        seed, params = proposal(ask.number)
        if ask.confirms is not None:
            params = self.state.confirming.params(ask.confirms)
        elif ask.heir is not None:
            params = {**self.state.population.turn_at(ask.heir).params, "explored": ask.heir.explores}
        return TrialAsked(
            trial=ask.number, seed=seed, params=params, history_seq=0, confirms=ask.confirms, donor=ask.heir
        )

    def tick(self, at: float) -> None:
        """Do what time brings."""
        _, commands = step(self.state, Tick(at=at))
        ends = [self.end(one.number, one.outcome) for one in commands if isinstance(one, End)]
        closings = [one.event for one in commands if isinstance(one, Close)]
        if commands:
            self.record(*closings, *ends)

    def _place(self, slot: int, *events: TrialAsked | AttemptStarted) -> None:
        self.record(*events)
        start = events[-1]
        assert isinstance(start, AttemptStarted)
        self.slots[slot] = (start.trial, start.attempt)

    def interrupt(self) -> None:
        """End what runs, as a cancelled sweep does."""
        self.record(*self._interruptions("interrupted"))

    def resume(self) -> None:
        """Take over from a driver that has died."""
        self.record(SweepResumed(spec={}), *self._interruptions("its driver ended"))

    def _interruptions(self, why: str) -> list[AttemptEnded]:
        return [
            AttemptEnded(trial=live.number, attempt=live.attempt, cause=Cause.INTERRUPTED, why=why)
            for live in self.state.placed
        ]
