"""Where live events become durable: journal first, then core, sampler and history, and what follows from each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, final

from ..spaces.known import Known
from ..spaces.trial import Cause
from ..trackers.events import (
    AttemptEnded,
    Entry,
    Event,
    Noticed,
    StartingPoints,
    SweepAmended,
    SweepClosing,
    SweepEnded,
    SweepRestored,
    SweepResumed,
    SweepStarted,
    TrialAsked,
    TrialEnded,
)
from ..trackers.history import History
from ..trackers.journal import Journal, Reader
from ..trackers.redaction import mask
from ..trackers.status import delivery_status
from ..trackers.tracker_db import forget
from .core import step
from .decisions import Close, Command, End, Pack
from .number_order import NumberOrder
from .sampler import OptunaSampler
from .spec import SweepSpec
from .start import Starting, journaled
from .state import State


class Book(Protocol):
    """What a ledger needs of a journal's writing end: `Journal`, or `MemoryJournal` for a simulated sweep."""

    @property
    def seq(self) -> int:
        """The number of the last event."""
        ...

    def now(self) -> float:
        """Return the time that an event would have now."""
        ...

    def append(self, *events: Event) -> list[Entry]:
        """Write events, with all that is pending."""
        ...

    def append_soon(self, event: Event) -> Entry:
        """Write an event, before long."""
        ...

    def tick(self) -> None:
        """Write what has been pending for long."""
        ...


@final
class Ledger:
    """The journal's writing end together with all that is folded from it."""

    def __init__(
        self, journal: Book, spec: SweepSpec, past: Iterable[Entry] = (), *, secrets: Sequence[str] = ()
    ) -> None:
        """Fold the past; the same entries give the same state, sampler and history as the live run had.

        Args:
            journal: Where events are written.
            spec: The sweep.
            past: What is journaled.
            secrets: Texts that are masked in messages before these are journaled.
        """
        self.journal = journal
        self._secrets = secrets
        self.spec = spec
        self.state = State(rules=spec.rules())
        self.history = History()
        self._apart = set[int]()
        self.starting = Starting()
        self.sampler = sampler_of(spec)
        for entry in past:
            self._fold(entry)
        self.spec, self.state = spec, replace(self.state, rules=spec.rules())  # past amendments were of earlier ones

    def record(self, *events: Event) -> None:
        """Journal events, and what the core makes of them, in one transaction.

        Survives: all of it or nothing of it.
        """
        self._follow(events)
        self.journal.append()

    def record_soon(self, event: Event) -> bool:
        """Journal an event within a second; return True where it ended its trial, which was journaled at once."""
        followed = self._follow([event])
        if followed:
            self.journal.append()
        return followed

    def notice(self, text: str) -> None:
        """Journal, within a second, something that the user should read once."""
        self.record_soon(Noticed(text=text))

    def _follow(self, events: Iterable[Event]) -> bool:
        """Fold events and those that follow from them; say whether there were any that follow."""
        waiting = list(events)
        count = len(waiting)
        for event in waiting:
            commands = self._fold(self.journal.append_soon(masked(event, self._secrets)))
            waiting.extend(self._consequences(commands))
        return len(waiting) > count

    def _consequences(self, commands: Iterable[Command]) -> list[Event]:
        events: list[Event] = []
        for command in commands:
            if isinstance(command, End):
                attempt = self.state.live[command.number].attempt
                events.append(TrialEnded(trial=command.number, attempt=attempt, outcome=command.outcome))
            elif isinstance(command, Close | Pack):
                events.append(command.event)
        return events

    def _fold(self, entry: Entry) -> tuple[Command, ...]:
        self.state, commands = step(self.state, entry.event, entry.at)
        if isinstance(entry.event, TrialAsked) and entry.event.apart:
            self._apart.add(entry.event.trial)
        if isinstance(entry.event, StartingPoints):
            self.starting = Starting.of(entry.event)
        if isinstance(entry.event, SweepAmended):
            self.spec = SweepSpec.from_json(entry.event.spec)
        if entry.trial not in self._apart:
            self.sampler.apply(entry)
        self.history.apply(entry)
        return commands

    def decide(self, commands: Iterable[Command]) -> None:
        """Journal what commands that came without an event ask for."""
        events = self._consequences(commands)
        if events:
            self.record(*events)


def sampler_of(spec: SweepSpec) -> OptunaSampler | NumberOrder:
    """Return what proposes the sweep's trials, from no history yet."""

    def make() -> OptunaSampler:
        return OptunaSampler(
            sampler=spec.search.taken or spec.search.sampler,
            arguments=spec.search.arguments,
            # members may begin alike, where there are fewer configurations, and part by what they change
            duplicates=spec.search.duplicates or (spec.pbt is not None and spec.search.sampler != "grid"),
            seed=spec.search.seed,
            objective=spec.objective,
            space=Known.of(spec.declared),
            constraints=spec.constraints,
            further=spec.further,
            bounds=spec.bounds,
        )

    window = spec.search.window
    return make() if window is None else NumberOrder(make, window)


def begin(
    journal: Journal,
    spec: SweepSpec,
    *,
    versions: Mapping[str, str],
    origin: Mapping[str, str],
    secrets: Sequence[str] = (),
) -> Ledger:
    """Start the sweep of an empty journal, or take over the one that is there from the driver before.

    Survives: a kill -9 at any point; whoever begins next finds a sweep that has begun, or an empty journal.
    """
    folder = journal.path.parent
    if journal.seq and delivery_status(folder).delivered_seq > journal.seq:
        journal.append(SweepRestored(why="MLflow has had more than the journal has: its end was lost"))
    with Reader(folder) as reader:
        past = list(reader.after())
    if past and isinstance(past[-1].event, SweepRestored):
        forget(folder)
    ledger = Ledger(journal, spec, past, secrets=secrets)
    if not past:
        notes = [Noticed(text=note) for note in spec.notes]
        start = journaled(spec.start, spec.objective, Known.of(spec.declared), spec.constraints)
        ledger.record(SweepStarted(spec=spec.to_json(), versions=versions, origin=origin), *start, *notes)
        return ledger
    lost: list[Event] = [
        AttemptEnded(trial=live.number, attempt=live.attempt, cause=Cause.INTERRUPTED, why="its driver ended")
        for live in ledger.state.placed
    ]
    known = ledger.history.versions
    changed = [
        f"{name} was {known[name]}, is {versions[name]}" for name in known if versions.get(name, "") != known[name]
    ]
    notes = [Noticed(text=f"resumed with other versions: {', '.join(changed)}")] if changed and versions else []
    ledger.record(SweepResumed(spec=spec.to_json(), versions=versions), *lost, *notes)
    return ledger


def masked(event: Event, secrets: Sequence[str]) -> Event:
    """Return the event with none of the secrets in its messages, which may quote what the user's code has seen."""
    match event:
        case TrialEnded(outcome=outcome):
            reason, traceback = mask(outcome.reason, secrets), mask(outcome.traceback, secrets)
            return replace(event, outcome=replace(outcome, reason=reason, traceback=traceback))
        case AttemptEnded(why=why, traceback=traceback):
            return replace(event, why=mask(why, secrets), traceback=mask(traceback, secrets))
        case SweepClosing(why=why) | SweepEnded(why=why):
            return replace(event, why=mask(why, secrets))
        case Noticed(text=text):
            return replace(event, text=mask(text, secrets))
        case _:
            return event
