"""A parallel sweep on fakes, in which a seed says who is faster, what is lost and when the driver is killed.

What a trial does depends on its parameters alone: it asks for parameters late, in `build` and in `fit`, has a curve,
fails, is infeasible or logs nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, cast

from kerasweep.search.core import replay, step
from kerasweep.search.decisions import Ask, Close, End, Finish, SlotFree, Start
from kerasweep.search.number_order import NumberOrder
from kerasweep.search.outcomes import completed
from kerasweep.search.sampler import OptunaSampler, Proposal
from kerasweep.search.state import Rules, State
from kerasweep.spaces.known import Known
from kerasweep.spaces.parameter import Choice, Number, Parameter, identity, parameter_from_json
from kerasweep.spaces.trial import Cause, Outcome, OutcomeKind, Report, Scalar
from kerasweep.trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Entry,
    Event,
    ParametersUsed,
    Reported,
    RoundEnded,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TrialAsked,
    TrialEnded,
    decode,
    encode,
)

from .specs import X

KIND = Choice(name="kind", values=("a", "b", "c"), ordered=False)
LATE = Number(name="late", min=1, max=9, integer=True)
DEEP = Number(name="deep", min=0.0, max=1.0, integer=False)
EPOCHS = 5

Sampler = OptunaSampler | NumberOrder


class Fingerprint:
    """A sampler whose proposals hang on everything that it was told, and on the order of it."""

    def __init__(self) -> None:
        self.space = Known(parameters={identity(X): X})
        self._told = hashlib.sha256()
        self._curves: dict[int, dict[int, float]] = {}
        self._used: dict[int, Mapping[str, Scalar]] = {}

    def propose(self, number: int) -> Proposal:
        """Draw by what was told."""
        return self._draw(number, 0, {})

    def extend(
        self, number: int, round: int, pinned: Mapping[str, Scalar], specs: Sequence[Parameter] = ()
    ) -> Proposal:
        """Draw what is new."""
        self.learn(list(specs))
        return self._draw(number, round, pinned)

    def learn(self, specs: list[Parameter]) -> None:
        """Know more, in this order."""
        self.space = self.space.learn(specs)

    def apply(self, entry: Entry) -> None:
        """Take the event into the fingerprint."""
        match entry.event:
            case TrialAsked(trial=trial, params=params):
                self._tell("asked", trial, params)
            case RoundEnded(trial=trial, specs=specs, params=params):
                self.learn([parameter_from_json(spec) for spec in specs])
                self._tell("round", trial, params)
            case ParametersUsed(trial=trial, params=params, specs=specs):
                self.learn([parameter_from_json(spec) for spec in specs])
                self._used[trial] = params
            case Reported(trial=trial, report=report):
                self._curves.setdefault(trial, {}).setdefault(report.epoch, report.metrics.get("acc", -1.0))
            case TrialEnded(trial=trial, outcome=outcome):
                self._tell("ended", trial, self._used.get(trial), self._curves.get(trial), outcome.value)
            case _:
                pass

    def _tell(self, *what: object) -> None:
        self._told.update(json.dumps(what).encode())

    def _draw(self, number: int, round: int, pinned: Mapping[str, Scalar]) -> Proposal:
        random = Random(f"{self._told.hexdigest()} {number} {round} {list(self.space.parameters)}")

        def draw(key: str, parameter: Parameter) -> Scalar:
            del key
            if isinstance(parameter, Number):
                return random.randint(1, 9) if parameter.integer else random.random()
            return random.choice(parameter.values) if isinstance(parameter, Choice) else 0

        params = self.space.walk(draw, pinned)
        refusal = "not allowed" if random.random() < 0.1 and not round else ""
        return Proposal(params=params, attrs={}, refusal=refusal)


# Trials -----------------------------------------------------------------------------------------------------------------

Step = tuple[str, Any]


def course(values: Mapping[str, Scalar]) -> Iterator[Step]:
    """Yield what a pass of a trial does, one thing after the other; it may ask for parameters and be over."""
    x = float(values["x"])
    if "kind" not in values:
        yield "needs", [KIND]
        return
    if values["kind"] == "b" and "late" not in values:
        yield "needs", [LATE]
        return
    if x > 0.93:
        yield "infeasible", "too large"
        return
    yield "used", None
    base = x + 0.03 * float(values.get("late", 0)) * (values["kind"] == "b") + (values["kind"] == "c") * 0.1
    for epoch in range(1, EPOCHS + 1):
        if values["kind"] == "c" and epoch == 3:
            if "deep" not in values:
                yield "needs", [DEEP]
                return
            yield "used", None
            base += float(values["deep"])
        if 0.4 < x < 0.44 and epoch == 2:
            yield "error", f"boom at {epoch}"
            return
        name = "other" if 0.7 < x < 0.74 else "acc"
        value = float("nan") if 0.5 < x < 0.53 and epoch == 4 else round(base * epoch / EPOCHS, 6)
        repeat = round(base + 0.01 * (-1) ** epoch * epoch, 6)
        yield "report", Report(epoch=epoch, metrics={name: value, f"repeat_{epoch}/{name}": repeat, "loss": 1 / epoch})
    yield "completed", None


def read(values: Mapping[str, Scalar], known: Known) -> tuple[dict[str, Scalar], list[Parameter]]:
    """Return what a model reads of its parameters, by name, and what these are."""
    names = ["x", "kind", *(["late"] if values["kind"] == "b" else []), *(["deep"] if values["kind"] == "c" else [])]
    by_name = {one.name: one for one in known.parameters.values()}
    there = [name for name in names if name in values]
    return {name: values[name] for name in there}, [by_name[name] for name in there]


# The sweep --------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Trace:
    """What a trial was, whoever was faster."""

    seed: int
    proposed: Mapping[str, Scalar]
    extended: list[Mapping[str, Scalar]] = field(default_factory=list[Mapping[str, Scalar]])
    metrics: dict[int, str] = field(default_factory=dict[int, str])
    outcome: tuple[str, float | None, int | None, str] | None = None


class Lab:
    """One sweep; `run` takes it to its end."""

    def __init__(
        self, rules: Rules, make: Callable[[], Sampler], seed: int, *, slots: int, faults: float = 0.0
    ) -> None:
        self.rules = rules
        self.make = make
        self.slots = slots
        self.faults = faults
        self.random = Random(seed)
        self.entries: list[Entry] = []
        self.ends: list[int] = []
        self.why = ""
        self.durable = 0
        self._begin()
        self.record(SweepStarted(spec={}))

    def _begin(self) -> None:
        self.state: State = replay(self.rules, self.entries)
        make = self.make
        plain = cast(Callable[[], OptunaSampler], make)
        window = self.rules.window
        self.sampler: Sampler = make() if window is None else NumberOrder(plain, window)
        for entry in self.entries:
            self.sampler.apply(entry)
        self.passes: dict[int, Iterator[Step]] = {}

    def record(self, *events: Event) -> None:
        """Journal events and what follows from them."""
        waiting = list(events)
        for event in waiting:
            entry = Entry(seq=len(self.entries) + 1, at=float(len(self.entries)), event=decode(*encode(event)))
            self.entries.append(entry)
            self.state, commands = step(self.state, entry.event, entry.at)
            self.sampler.apply(entry)
            if isinstance(event, TrialEnded):
                self.ends.append(event.trial)
                self.passes.pop(event.trial, None)
            for command in commands:
                if isinstance(command, End):
                    attempt = self.state.live[command.number].attempt
                    waiting.append(TrialEnded(trial=command.number, attempt=attempt, outcome=command.outcome))
                elif isinstance(command, Close):
                    waiting.append(command.event)
        if not all(isinstance(event, Reported | ParametersUsed) for event in waiting):
            self.durable = len(self.entries)

    def run(self, most: int = 20_000) -> dict[int, Trace]:
        """Run the sweep; return its trials by number, in that order."""
        for _ in range(most):
            if self.state.finished:
                return self.traces()
            chance = self.random.random()
            if chance < self.faults / 10:
                self.die()
            elif self.passes and chance < self.faults:
                self.lose(self.random.choice(list(self.passes)))
            elif len(self.passes) < self.slots and self.random.random() < 0.5:
                self.fill()
            elif self.passes:
                self.advance(self.random.choice(list(self.passes)))
        raise AssertionError(f"the sweep does not come to its end: {self.state}")

    def fill(self) -> None:
        """Give a slot work."""
        _, (command,) = step(self.state, SlotFree())
        match command:
            case Ask(number=number):
                proposal = self.sampler.propose(number)
                asked = TrialAsked(
                    trial=number, seed=number, params=proposal.params, history_seq=0, attrs=proposal.attrs
                )
                if proposal.refusal:
                    self.record(asked, TrialEnded(trial=number, attempt=0, outcome=infeasible(proposal.refusal)))
                else:
                    self.record(asked, AttemptStarted(trial=number, attempt=1))
                    self.place(number)
            case Start(number=number):
                live = self.state.live[number]
                self.record(AttemptStarted(trial=number, attempt=live.next_attempt, round=live.round))
                self.place(number)
            case Close(event=closing):
                self.record(closing)
            case Finish(why=why, exit_code=code):
                self.why = why
                self.record(SweepEnded(why=why, exit_code=code))
            case _:
                pass

    def place(self, number: int) -> None:
        """Begin a pass."""
        self.passes[number] = course(self.values(number))

    def values(self, number: int) -> dict[str, Scalar]:
        """Return a live trial's parameters by name."""
        known = self.sampler.space.parameters
        return {known[key].name: value for key, value in self.state.live[number].params.items()}

    def advance(self, number: int) -> None:
        """Let a trial do its next thing."""
        live = self.state.live[number]
        what, more = next(self.passes[number])
        attempt = live.attempt
        match what:
            case "needs":
                del self.passes[number]
                proposal = self.sampler.extend(number, live.round + 1, live.params, more)
                specs = tuple(one.to_json() for one in more)
                ended = RoundEnded(trial=number, attempt=attempt, round=live.round, specs=specs, params=proposal.params)
                ended = replace(ended, attrs=proposal.attrs)
                events: list[Event] = [ended]
                if proposal.refusal:
                    events.append(TrialEnded(trial=number, attempt=attempt, outcome=infeasible(proposal.refusal)))
                self.record(*events)
            case "used":
                params, found = read(self.values(number), self.sampler.space)
                forms = tuple(one.to_json() for one in found)
                self.record(ParametersUsed(trial=number, attempt=attempt, params=params, specs=forms))
            case "report":
                if self.state.accepts(number, more):
                    self.record(Reported(trial=number, attempt=attempt, report=more))
            case "infeasible":
                self.record(TrialEnded(trial=number, attempt=attempt, outcome=infeasible(more)))
            case "error":
                self.passes.pop(number)
                self.record(AttemptEnded(trial=number, attempt=attempt, cause=Cause.ERROR, why=more))
            case _:
                outcome = completed(self.state, number)
                self.record(TrialEnded(trial=number, attempt=attempt, outcome=outcome))

    def lose(self, number: int) -> None:
        """Let a worker die."""
        del self.passes[number]
        attempt = self.state.live[number].attempt
        self.record(AttemptEnded(trial=number, attempt=attempt, cause=Cause.LOST, why="gone"))

    def die(self) -> None:
        """Kill the driver, which loses the reports of its last moments, and start another."""
        del self.entries[self.durable :]
        self._begin()
        placed = [(live.number, live.attempt) for live in self.state.placed]
        lost = [AttemptEnded(trial=one, attempt=attempt, cause=Cause.INTERRUPTED, why="") for one, attempt in placed]
        self.record(SweepResumed(spec={}), *lost)

    def traces(self) -> dict[int, Trace]:
        """Return what became of each trial."""
        return traces_of(self.entries)


def infeasible(why: str) -> Outcome:
    """Return the outcome of a trial that must not run."""
    return Outcome(kind=OutcomeKind.INFEASIBLE, reason=why)


def traces_of(entries: Sequence[Entry]) -> dict[int, Trace]:
    """Return what a journal has of each trial, whoever was faster."""
    found: dict[int, Trace] = {}
    for entry in entries:
        match entry.event:
            case TrialAsked(trial=trial, seed=seed, params=params):
                found[trial] = Trace(seed, params)
            case RoundEnded(trial=trial, params=params):
                found[trial].extended.append(params)
            case Reported(trial=trial, report=report):
                found[trial].metrics.setdefault(report.epoch, repr(report.metrics))
            case TrialEnded(trial=trial, outcome=one):
                found[trial].outcome = (str(one.kind), one.value, one.epoch, one.reason)
            case _:
                pass
    return found
