"""How long a sweep will take: before it runs by its core alone on curves made up, while it runs by what is journaled."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import final

from ..spaces.bounds import Bounds
from ..spaces.trial import Json, Outcome, OutcomeKind, Report
from ..trackers.events import AttemptStarted, Event, Reported, TrialAsked, TrialEnded
from ..trackers.history import History, TrialRecord
from .budget import Used, limits_used, used
from .core import step
from .decisions import Ask, Close, End, SlotFree, Tick
from .outcomes import completed
from .population import Pbt
from .spec import SweepSpec
from .state import Rules, State

MOST_TRIALS = 300
"""Of a larger budget so many trials are simulated, and the rest is taken to be alike."""
MOST_EPOCHS = 60
"""Of longer trials the epochs are simulated in so many steps."""
NOISE = 0.3
"""How much epochs of one trial differ in rank, as a share of how much trials do."""
RECENT = 200
"""So many of the last trials say how long an epoch takes."""
UNSEEN = 1 / 3
"""The share that goes on from a rung, before any trial was judged at one."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a sweep is expected to come to: `rungs` has how many trials come to an epoch.

    `open`: nobody can say how many trials there will be, and it is what so many come to.
    """

    seconds: float
    trials: int
    epochs: int
    rungs: Mapping[int, int]
    slots: int
    epoch_s: float
    trial_s: float
    open: bool = False

    def to_json(self) -> dict[str, Json]:
        """Return the plain form."""
        return {
            "seconds": self.seconds,
            "trials": self.trials,
            "epochs": self.epochs,
            "rungs": {str(epoch): count for epoch, count in self.rungs.items()},
            "slots": self.slots,
            "epoch_s": self.epoch_s,
            "trial_s": self.trial_s,
            "open": self.open,
        }


def forecast(spec: SweepSpec, *, slots: int, epoch_s: float, trial_s: float) -> Forecast:
    """Return what a sweep comes to if each trial is as long as the one that was measured.

    The core and the stop rule decide; which trials are the better ones is made up: a trial's score is drawn once, and
    anew to a lesser part at each epoch.

    Args:
        spec: The sweep.
        slots: How many trials run at a time.
        epoch_s: The seconds of an epoch.
        trial_s: The seconds that a trial takes besides: the model's building, the first batch.
    """
    if spec.pbt is not None:
        return _of_population(spec, spec.pbt, slots=slots, epoch_s=epoch_s, trial_s=trial_s)
    whole = spec.budget.trials
    most = MOST_TRIALS if whole is None else min(whole, MOST_TRIALS)
    by = math.ceil(spec.max_epochs / MOST_EPOCHS)
    marks = sorted({*range(by, spec.max_epochs + 1, by), *_rungs(spec, most), spec.max_epochs})
    run = _Run(spec.rules(), marks, slots=slots, epoch_s=epoch_s, trial_s=trial_s, most=most)
    run.go()
    share = max((one.share for one in run.limits), default=0.0)
    times = max(1.0, 1 / share) if run.cut and share else 1.0
    rungs = [epoch for epoch in _rungs(spec, most) if epoch < spec.max_epochs]
    return Forecast(
        seconds=run.seconds * times + _confirming_s(spec, round(run.trials * times), slots, epoch_s, trial_s),
        trials=round(run.trials * times),
        epochs=round(sum(run.last.values()) * times),
        rungs={
            epoch: round(sum(last >= epoch for last in run.last.values()) * times)
            for epoch in (*rungs, spec.max_epochs)
        },
        slots=slots,
        epoch_s=epoch_s,
        trial_s=trial_s,
        open=run.cut and not share,
    )


def _confirming_s(spec: SweepSpec, trials: int, slots: int, epoch_s: float, trial_s: float) -> float:
    """Return the seconds in which the best of so many trials are trained again, each to its end."""
    runs = min(spec.confirm.top, trials) * spec.confirm.seeds
    return math.ceil(runs / slots) * (trial_s + spec.max_epochs * epoch_s)


def _of_population(spec: SweepSpec, pbt: Pbt, *, slots: int, epoch_s: float, trial_s: float) -> Forecast:
    """Return what a population comes to: turns of its members, of whom nobody is stopped."""
    turns = turns_of(spec)
    trials = turns if spec.budget.trials is None else min(spec.budget.trials, turns)
    epochs = math.ceil(spec.max_epochs * pbt.population * trials / turns)
    work_s = trials * trial_s + epochs * epoch_s
    seconds, gpus = work_s / min(slots, pbt.population), spec.resources.gpus
    limits = used(
        spec.budget, trials=trials, seconds=seconds, slot_seconds=work_s, gpus=gpus, epochs=epochs, without_better=0
    )
    times = 1 / max([1.0, *(one.share for one in limits)])
    seconds, trials, epochs = seconds * times, round(trials * times), round(epochs * times)
    ended = pbt.population if trials >= turns else max(0, trials - (turns - pbt.population))
    return Forecast(
        seconds=seconds,
        trials=trials,
        epochs=epochs,
        rungs={spec.max_epochs: ended},
        slots=slots,
        epoch_s=epoch_s,
        trial_s=trial_s,
    )


def turns_of(spec: SweepSpec) -> int:
    """Return the trials of a whole population, one for each turn; 0 where there is none."""
    return 0 if spec.pbt is None else spec.pbt.population * math.ceil(spec.max_epochs / spec.pbt.interval)


def _rungs(spec: SweepSpec, trials: int) -> list[int]:
    return sorted({epoch for number in range(min(trials, 100)) for epoch in spec.rungs(number)})


@final
class _Run:
    """The core alone on an event heap; its trials have no parameters, only scores."""

    def __init__(
        self, rules: Rules, marks: Sequence[int], *, slots: int, epoch_s: float, trial_s: float, most: int
    ) -> None:
        self._marks = marks
        self._slots, self._epoch_s, self._trial_s, self._most = slots, epoch_s, trial_s, most
        budget = replace(rules.budget, goal=None, no_improvement=None)  # no values are made up, only ranks
        self._objectives = rules.goals.objectives
        self._state = State(rules=replace(rules, budget=budget, bounds=Bounds()))
        self.seconds = 0.0
        self.last: dict[int, int] = {}
        self.cut = False
        """Whether the budget had room for more trials than were simulated."""

    @property
    def trials(self) -> int:
        """How many trials ended."""
        return self._state.counted

    @property
    def limits(self) -> tuple[Used, ...]:
        """What was used of each limit."""
        return limits_used(self._state, self.seconds)

    def go(self) -> None:
        """Run to the end of the budget, or of so many trials."""
        free = [(0.0, -1, slot) for slot in range(self._slots)]
        heapq.heapify(free)
        scores: dict[int, tuple[Random, float]] = {}
        idle = 0
        while free:
            self.seconds, number, place = heapq.heappop(free)
            _, commands = step(self._state, Tick(at=self.seconds))
            self._follow(commands)
            if number < 0:
                number = self._begin()
                if number < 0:
                    idle += 1
                else:
                    random = Random(number)
                    scores[number] = (random, random.gauss(0.0, 1.0))
                    heapq.heappush(free, (self.seconds + self._trial_s + self._marks[0] * self._epoch_s, number, 0))
                continue
            epoch = self._marks[place]
            random, score = scores[number]
            if number in self._state.live:
                self._report(number, epoch, score + random.gauss(0.0, NOISE))
            if number in self._state.live:
                later = (self._marks[place + 1] - epoch) * self._epoch_s
                heapq.heappush(free, (self.seconds + later, number, place + 1))
            else:
                for _ in range(1 + idle):
                    heapq.heappush(free, (self.seconds, -1, 0))
                idle = 0

    def _begin(self) -> int:
        """Return the trial that a free slot starts with; -1 where there is none any more."""
        _, (command, *_) = step(self._state, SlotFree())
        if not isinstance(command, Ask) or command.confirms is not None:
            return -1
        if command.number >= self._most:
            self.cut = True
            return -1
        number = command.number
        self._record(
            TrialAsked(trial=number, seed=0, params={}, history_seq=0), AttemptStarted(trial=number, attempt=1)
        )
        return number

    def _report(self, number: int, epoch: int, score: float) -> None:
        self.last[number] = epoch
        first, *others = self._objectives
        metrics = {first.metric: first.score(score)}
        metrics |= {one.metric: one.score(Random(f"{one.metric} {number}").gauss(0.0, 1.0)) for one in others}
        self._record(Reported(trial=number, attempt=1, report=Report(epoch=epoch, metrics=metrics)))
        if number in self._state.live and epoch == self._marks[-1]:
            self._record(TrialEnded(trial=number, attempt=1, outcome=completed(self._state, number)))

    def _record(self, *events: Event) -> None:
        for event in events:
            self._state, commands = step(self._state, event, self.seconds)
            self._follow(commands)

    def _follow(self, commands: Iterable[object]) -> None:
        for command in commands:
            if isinstance(command, End):
                self._record(TrialEnded(trial=command.number, attempt=1, outcome=command.outcome))
            elif isinstance(command, Close):
                self._record(command.event)


# While it runs ----------------------------------------------------------------------------------------------------------


def seconds_left(history: History, spec: SweepSpec, now: float) -> float | None:
    """Return the seconds to the end of the budget, by what is journaled; None where nothing says how long a trial takes.

    How many trials come to an epoch is estimated by Kaplan and Meier (JASA 1958), running trials being cut off where they
    are, and an epoch that none has come to yet by the stop rule's next rungs at the share that has gone on so far. What
    is left for all trials, running and to come, at the median seconds of an epoch and of what a trial takes besides, is
    shared by the slots; it is no less than what the longest trial alone needs.
    """
    limit_s = math.inf
    if spec.budget.hours is not None:
        limit_s = max(0.0, history.session_at + spec.budget.hours * 3600 - now)
    searched = [one for one in history.trials.values() if one.confirms is None]
    counted = sum(1 for one in searched if one.outcome is not None and one.outcome.counts)
    running = [one for one in searched if one.outcome is None]
    pace = _pace(history)
    if spec.budget.trials is None or pace is None:
        return limit_s if math.isfinite(limit_s) else None
    epoch_s, trial_s = pace
    alive = survival(history, spec)
    slots = spec.parallel or max(1, len([one for one in running if one.running]))
    wanted = min(spec.budget.trials, turns_of(spec) or spec.budget.trials)
    to_come = max(0, wanted - counted - len(running))
    begun = [_left(alive, len(one.metrics)) for one in running]
    works = [epochs * epoch_s + (0.0 if one.metrics else trial_s) for one, epochs in zip(running, begun, strict=True)]
    waited = [max(0.0, now - _last_sign(one)) if one.running else 0.0 for one in running]
    works = [max(0.0, work - min(wait, epoch_s)) for work, wait in zip(works, waited, strict=True)]
    work_s = sum(works) + to_come * (_left(alive, 0) * epoch_s + trial_s)
    return min(limit_s, max([work_s / slots, *works]))


def confirming_left(history: History, spec: SweepSpec) -> float:
    """Return the seconds that the runs take which confirm the best trials; 0 where nothing says how long a trial takes."""
    pace = _pace(history)
    if not spec.confirm.top or pace is None:
        return 0.0
    epoch_s, trial_s = pace
    runs = [one for one in history.trials.values() if one.confirms is not None]
    top = spec.confirm.top if spec.budget.trials is None else min(spec.confirm.top, spec.budget.trials)
    to_come = max(0, top * spec.confirm.seeds - len(runs))
    live = [max(0, spec.max_epochs - len(one.metrics)) * epoch_s for one in runs if one.outcome is None]
    slots = spec.parallel or max(1, sum(one.running for one in history.trials.values()))
    return (sum(live) + to_come * (trial_s + spec.max_epochs * epoch_s)) / slots


def survival(history: History, spec: SweepSpec) -> list[float]:
    """Return the share of trials that come to each epoch, from 0 to the last one."""
    reached = Counter[int]()
    left_off = Counter[int]()
    searched = [one for one in history.trials.values() if one.confirms is None]
    for one in searched:
        reached[len(one.metrics)] += 1
        left_off[len(one.metrics)] += _left_off(one.outcome)
    rungs = set(spec.rungs(0))
    alive, gone_on = [1.0], list[float]()
    further = len(searched) - reached[0]
    for epoch in range(spec.max_epochs):
        ends = left_off[epoch]  # a running trial that is here says nothing of the next epoch
        if ends + further:
            share = further / (ends + further)
            if epoch in rungs:
                gone_on.append(share)
        else:
            share = (sum(gone_on) / len(gone_on) if gone_on else UNSEEN) if epoch in rungs else 1.0
        alive.append(alive[-1] * share)
        further -= reached[epoch + 1]
    return alive


def _left_off(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.kind in (OutcomeKind.STOPPED, OutcomeKind.FAILED, OutcomeKind.COMPLETED)


def _left(alive: Sequence[float], epoch: int) -> float:
    """Return how many epochs a trial that has come to `epoch` has before it, on average."""
    epoch = min(epoch, len(alive) - 1)
    rest = sum(alive[epoch + 1 :])
    return rest / alive[epoch] if alive[epoch] > 0 else 0.0


def _pace(history: History) -> tuple[float, float] | None:
    """Return the seconds of an epoch, and of what a trial takes besides, over the last trials; None before any report.

    Reports are journaled in chunks, so that sums are taken, not single differences.
    """
    recent = [one for one in islice(reversed(history.trials.values()), RECENT) if one.metrics]
    between_s, between = 0.0, 0
    for one in recent:
        at = one.reported_at.values()
        between_s, between = between_s + max(at) - min(at), between + len(at) - 1
    spans = [
        ((one.ended_at or _last_sign(one)) - one.started_at, len(one.metrics))
        for one in recent
        if one.started_at is not None
    ]
    if not spans:
        return None
    total_s, epochs = sum(span for span, _ in spans), sum(count for _, count in spans)
    epoch_s = between_s / between if between and between_s else total_s / epochs
    return epoch_s, max(0.0, (total_s - epochs * epoch_s) / len(spans))


def _last_sign(trial: TrialRecord) -> float:
    return max(trial.reported_at.values(), default=trial.started_at or 0.0)
