"""A sweep on an event heap instead of Ray: the same core, sampler and stop rules, on curves that are known beforehand.

Events are folded by the same ledger as in a live run, into a journal in memory, so that every decision is the one that
a live run takes where the same reports come in the same order. Time is simulated, in seconds; nothing is random but
what the sampler draws, and nothing is read from a clock.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Protocol, final

from ..spaces.parameter import Parameter
from ..spaces.trial import Cause, Json, Outcome, OutcomeKind, Report, Scalar
from ..trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    ParametersUsed,
    Reported,
    StartingPoints,
    SweepClosing,
    SweepEnded,
    SweepStarted,
    TrialAsked,
    TrialEnded,
)
from ..trackers.history import History
from ..trackers.memory_journal import MemoryJournal
from ..trackers.mirror import value_of
from .confirm import Confirm
from .core import step
from .decisions import Ask, Close, End, Finish, SlotFree, Start, Tick
from .ledger import Ledger
from .outcomes import completed
from .sampler import Proposal, derived_seed
from .spec import SweepSpec

Epoch = tuple[Mapping[str, float], float]
"""An epoch's metrics and its seconds."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What training with some parameters does.

    `before_s` is the time from a free slot to the beginning of the first epoch, `after_s` from the last epoch that
    counts until nothing of it runs any more: a slot is given the next trial as soon as one is stopped, as in a live run,
    but that begins only then. A trial that does not come to its last epoch in good order has `end`, after what there
    is of epochs. `facts` are what was found out about its model, as in `ParametersUsed`.
    """

    epochs: Sequence[Epoch]
    before_s: float = 0.0
    after_s: float = 0.0
    end: Outcome | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Curves(Protocol):
    """Where curves come from: a table, a formula, a recorded sweep."""

    def of(self, number: int, params: Mapping[str, Scalar]) -> Curve:
        """Return the curve of a trial with these parameters, by name; the same for the same, whenever asked."""
        ...


def simulated(
    spec: SweepSpec,
    curves: Curves,
    *,
    slots: int,
    known: Iterable[Parameter] = (),
    proposed: Mapping[int, Mapping[str, Scalar]] | None = None,
    start: StartingPoints | None = None,
) -> History:
    """Return what a sweep would come to; its times are simulated seconds, from 0.

    Args:
        spec: The sweep.
        curves: What its trials would do.
        slots: How many trials run at a time.
        known: Parameters that a model reads without their being declared.
        proposed: Parameters by identity for some trials, by number, in place of the sampler's.
        start: What the search starts from.
    """
    simulator = Simulator(spec, curves, slots=slots, known=known, proposed=proposed, start=start)
    simulator.run()
    return simulator.ledger.history


@final
@dataclass(slots=True)
class _Training:
    """A trial on a slot; `used` is to be said once its model is built, `done` epochs have been reported."""

    slot: int
    attempt: int
    curve: Curve
    used: ParametersUsed | None
    done: int = 0


@final
class Simulator:
    """Runs one sweep, event by event."""

    def __init__(
        self,
        spec: SweepSpec,
        curves: Curves,
        *,
        slots: int,
        known: Iterable[Parameter] = (),
        proposed: Mapping[int, Mapping[str, Scalar]] | None = None,
        start: StartingPoints | None = None,
    ) -> None:
        """Get ready; the arguments are those of `simulated`."""
        self.journal = MemoryJournal()
        self.ledger = Ledger(
            self.journal, replace(spec, confirm=Confirm())
        )  # what is confirmed is no part of the search
        self.ledger.sampler.know(list(known))
        self._proposed = proposed or {}
        self._beginning = [] if start is None else [start]
        self._curves = curves
        self._training: dict[int, _Training] = {}
        self._heap: list[tuple[float, int, int, int]] = []
        self._pushed = 0
        self._idle: list[int] = []
        self._busy_until: dict[int, float] = dict.fromkeys(range(slots), 0.0)

    def run(self) -> None:
        """Run to the end of the sweep."""
        self.ledger.record(SweepStarted(spec=self.ledger.spec.to_json()), *self._beginning)
        for slot in self._busy_until:
            self._push(0.0, slot, -1)
        while self._heap and not self.ledger.state.finished:
            self.journal.at, _, slot, number = heapq.heappop(self._heap)
            self._tick()
            if number < 0:
                self._fill(slot)
            else:
                self._advance(number)
            for ended in sorted(self._training.keys() - self.ledger.state.live.keys()):
                self._leave(ended)
            self._retry_idle()

    def _push(self, at: float, slot: int, number: int) -> None:
        """Have something happen: on a slot that is free by then, or to a trial; what was pushed first goes first."""
        self._pushed += 1
        heapq.heappush(self._heap, (at, self._pushed, slot, number))

    def _tick(self) -> None:
        _, commands = step(self.ledger.state, Tick(at=self.journal.at))
        if commands:
            self.ledger.decide(commands)
        closing = self.ledger.state.closing
        if closing is not None and closing.cancel:
            self._cancel(closing.why)

    def _cancel(self, why: str) -> None:
        for live in self.ledger.state.placed:
            self.ledger.record(AttemptEnded(trial=live.number, attempt=live.attempt, cause=Cause.INTERRUPTED, why=why))
            self._leave(live.number)

    def _retry_idle(self) -> None:
        idle, self._idle = self._idle, []
        for slot in idle:
            if not self.ledger.state.finished:
                self._fill(slot)

    # A slot -----------------------------------------------------------------------------------------------------------

    def _fill(self, slot: int) -> None:
        """Give a free slot what the core has for it."""
        while True:
            _, (command, *_) = step(self.ledger.state, SlotFree())
            match command:
                case End() | Close():
                    self.ledger.decide([command])
                case Ask(number=number):
                    events = self._ask(number)
                    if not events:
                        self._idle.append(slot)
                        return
                    self.ledger.record(*events)
                    if isinstance(events[-1], AttemptStarted):
                        self._start(slot, number, 1)
                        return
                case Start(number=number):
                    live = self.ledger.state.live[number]
                    attempt = live.next_attempt
                    self.ledger.record(AttemptStarted(trial=number, attempt=attempt, round=live.round))
                    self._start(slot, number, attempt)
                    return
                case Finish(why=why, exit_code=code):
                    self.ledger.record(SweepEnded(why=why, exit_code=code))
                    return
                case _:
                    self._idle.append(slot)
                    return

    def _ask(self, number: int) -> list[Event]:
        """Return what a proposal comes to; nothing while there is none, but trials run that may make for one."""
        given = self._proposed.get(number)
        proposal = self.ledger.sampler.propose(number) if given is None else Proposal(params=given)
        if proposal.end:
            over = SweepClosing(why=proposal.end, exit_code=proposal.exit_code)
            return [] if self.ledger.state.live else [over]
        asked = TrialAsked(
            trial=number,
            seed=derived_seed(self.ledger.spec.search.seed, number, "trial"),
            params=proposal.params,
            history_seq=self.journal.seq,
            attrs=proposal.attrs,
        )
        if proposal.refusal:
            refused = Outcome(kind=OutcomeKind.INFEASIBLE, reason=proposal.refusal)
            return [asked, TrialEnded(trial=number, attempt=0, outcome=refused)]
        return [asked, AttemptStarted(trial=number, attempt=1)]

    def _start(self, slot: int, number: int, attempt: int) -> None:
        params = self.ledger.state.live[number].params
        known = self.ledger.sampler.space.parameters
        read = [(known[key], value) for key, value in params.items() if key in known]
        named = {parameter.name: value for parameter, value in read}
        specs = tuple(_spec(parameter) for parameter, _ in read)
        curve = self._curves.of(number, named)
        used = ParametersUsed(trial=number, attempt=attempt, params=named, specs=specs, facts=curve.facts)
        self._training[number] = _Training(slot, attempt, curve, used)
        self._push(max(self.journal.at, self._busy_until[slot]) + curve.before_s, slot, number)

    # A trial ----------------------------------------------------------------------------------------------------------

    def _next(self, number: int, training: _Training, now: float) -> None:
        """Push what comes next of a trial: an epoch, or its end."""
        curve = training.curve
        more = training.done < len(curve.epochs)
        self._push(now + (curve.epochs[training.done][1] if more else curve.after_s), training.slot, number)

    def _advance(self, number: int) -> None:
        training = self._training.get(number)
        if training is None:
            return
        if training.used is not None:
            self._build(number, training, training.used)
            return
        if training.done >= len(training.curve.epochs):
            self._finish(number, training)
            return
        metrics, seconds = training.curve.epochs[training.done]
        training.done += 1
        report = Report(epoch=training.done, metrics=metrics, seconds=seconds)
        self.ledger.record_soon(Reported(trial=number, attempt=training.attempt, report=report))
        if number in self.ledger.state.live:
            self._next(number, training, self.journal.at)
        else:
            self._busy_until[training.slot] = self.journal.at + training.curve.after_s

    def _build(self, number: int, training: _Training, used: ParametersUsed) -> None:
        """Say what the model is, which then trains, unless it breaks a constraint whatever it learns."""
        training.used = None
        self.ledger.record_soon(used)
        if number in self.ledger.state.live:
            self._next(number, training, self.journal.at)
        else:
            self._busy_until[training.slot] = self.journal.at + training.curve.after_s

    def _finish(self, number: int, training: _Training) -> None:
        outcome = training.curve.end or completed(self.ledger.state, number, _logged(training.curve))
        self.ledger.record(TrialEnded(trial=number, attempt=training.attempt, outcome=outcome))

    def _leave(self, number: int) -> None:
        """Free the trial's slot."""
        self._push(self.journal.at, self._training.pop(number).slot, -1)


def _logged(curve: Curve) -> Iterable[str]:
    return {name for metrics, _ in curve.epochs for name in metrics}


@lru_cache(maxsize=4096)
def _spec(parameter: Parameter) -> Mapping[str, Json]:
    return parameter.to_json()


# What came of it --------------------------------------------------------------------------------------------------------


def makespan_s(history: History) -> float:
    """Return the seconds from the first trial's start to the last one's end; 0 where none ended."""
    starts = [one.started_at for one in history.trials.values() if one.started_at is not None]
    ends = [one.ended_at for one in history.trials.values() if one.ended_at is not None]
    return max(ends) - min(starts) if starts and ends else 0.0


def survivors(history: History, rungs: Iterable[int]) -> dict[int, int]:
    """Return how many trials have come to each of these epochs."""
    last = [max(one.metrics, default=0) for one in history.trials.values()]
    return {rung: sum(epoch >= rung for epoch in last) for rung in rungs}


def best_over_time(history: History, metric: str, sign: float, *, last: bool = False) -> list[tuple[float, float]]:
    """Return each improvement of the best value reported, with its seconds since the first trial's start.

    Trials that end without keeping to the constraints are left out.

    Args:
        history: The sweep.
        metric: The objective's.
        sign: 1 where more is better, else -1.
        last: Whether a trial's value is that of its end, which nobody knows before.
    """
    begin = min((one.started_at for one in history.trials.values() if one.started_at is not None), default=0.0)
    kept = [one for one in history.trials.values() if one.outcome is None or one.outcome.feasible]
    if last:
        values = [(one.ended_at, one.number, value_of(one)) for one in kept if one.ended_at is not None]
    else:
        values = [
            (one.reported_at[epoch], one.number, row[metric])
            for one in kept
            for epoch, row in one.metrics.items()
            if metric in row
        ]
    reports = sorted((at - begin, number, value) for at, number, value in values if math.isfinite(value))
    found: list[tuple[float, float]] = []
    for at, _, value in reports:
        if not found or sign * value > sign * found[-1][1]:
            found.append((at, value))
    return found
