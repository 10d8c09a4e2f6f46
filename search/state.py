"""Where the search stands: the rules that it goes by, its live trials, its counts; plain frozen data."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, final

from ..spaces.bounds import Bounds
from ..spaces.pareto import Point
from ..spaces.trial import Cause, Json, Outcome, OutcomeKind, Report, Scalar
from ..trackers.events import Donor, SweepClosing
from .budget import Account, Budget
from .confirm import Confirm, Confirming
from .goals import Goals, Seen
from .objective import Objective
from .packing import Packing
from .population import Plan, Population
from .repeats import Leader, Repeats
from .stop import Ending, NeverStop, Rungs, Standing, StopRule

ALIKE = 3
"""So many first trials that fail with one error end the sweep."""
INFEASIBLE_IN_A_ROW = 50
"""So many configurations in a row that nobody can train end the sweep."""
LOSSES = 3
"""A node that lost so many attempts, with none that ended otherwise in between, is avoided."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All that the decisions depend on besides what happened; `retry` says how often a cause is forgiven.

    `gpus` are those of one trial. `smaller_batch`: a trial that ran out of memory is tried again with half the batch
    size, else alone. The weights of the `keep` best trials are kept. `folds`: a trial is the mean over several fits,
    folds or repeats. `packs`: trials share graphics processors as their memory allows. `window`: trial n is decided on
    from trials 0 … n - window alone; None: from all that has happened. `further` objectives stand beside the first,
    `bounds` are constraints on outcomes.
    """

    objective: Objective
    further: tuple[Objective, ...] = ()
    bounds: Bounds = field(default_factory=Bounds)
    budget: Budget = field(default_factory=Budget)
    gpus: float = 0.0
    max_epochs: int = 1
    first_value_epoch: int = 1
    stop: StopRule = field(default_factory=NeverStop)
    retry: Mapping[Cause, int] = field(default_factory=dict[Cause, int])
    smaller_batch: bool = False
    folds: bool = False
    keep: int = 3
    confirm: Confirm = field(default_factory=Confirm)
    repeats: Repeats = field(default_factory=Repeats)
    population: Plan | None = None
    window: int | None = None
    packs: bool = False

    @property
    def goals(self) -> Goals:
        """What is looked for."""
        return Goals(objectives=(self.objective, *self.further), bounds=self.bounds)

    def rank(self, value: float, epoch: int, number: int) -> tuple[float, ...]:
        """Return what sorts trials, best first; over folds, those that did more of them: the others may be harder."""
        return (-epoch if self.folds else 0, -self.objective.score(value), number)

    def amended(self, settings: Mapping[str, Json]) -> Rules:
        """Return the rules with settings of the sweep file changed; those that are none of theirs are left out."""
        rules, retry = self, dict(self.retry)
        for key, value in settings.items():
            section, _, name = key.partition(".")
            if section == "budget":
                limits: Any = {name: value}
                rules = replace(rules, budget=replace(rules.budget, **limits))
            elif section == "retry":
                retry[Cause(name)] = int(str(value))
            elif key == "keep.best":
                rules = replace(rules, keep=int(str(value)))
        return replace(rules, retry=retry)

    def forgives(self, cause: Cause, times: int) -> bool:
        """Say whether an attempt that ended by `cause` for the `times`-th time is tried again."""
        return cause is Cause.INTERRUPTED or times <= self.retry.get(cause, 0)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A trial that has not ended; `placed`: on a slot, else waiting for one.

    `confirms` and `donor` as in `TrialAsked`; `repeats` has the score of each repeat that is done.
    In a window, `rungs`, `leader` and `objective_seen` are those that it is judged by, and `standings` how it stood when
    it was.
    """

    number: int
    seed: int
    params: Mapping[str, Scalar]
    attempt: int = 0
    next_attempt: int = 1
    round: int = 0
    placed: bool = False
    best: float | None = None
    best_epoch: int | None = None
    last: float | None = None
    last_epoch: int | None = None
    mean: float = 0.0
    values: int = 0
    first_loss: float | None = None
    epoch: int = 0
    seen: Seen = field(default_factory=Seen)
    share: float = 1.0
    spent: Mapping[Cause, int] = field(default_factory=dict[Cause, int])
    confirms: int | None = None
    donor: Donor | None = None
    repeats: tuple[float, ...] = ()
    rungs: Rungs = field(default_factory=Rungs)
    leader: Leader | None = None
    standings: tuple[Standing, ...] = ()
    objective_seen: bool = False

    @property
    def ran_out(self) -> int:
        """How often its memory did not suffice."""
        return self.spent.get(Cause.OOM, 0)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Retryable:
    """A trial that has ended and may be run again: how it stood, and its outcome."""

    live: Live
    outcome: Outcome


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A trial that has a value; `point`: where it stands by all objectives and constraints."""

    value: float
    number: int
    epoch: int
    point: Point = field(default_factory=lambda: Point(()))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a trial that has ended leaves to be settled once its turn has come, in a window."""

    outcome: Outcome
    ending: Ending
    repeats: tuple[float, ...] = ()
    standings: tuple[Standing, ...] = ()
    objective_seen: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Prospects:
    """What the ends of trials, one after the other, say of whether the sweep has any.

    `failures` are the reasons of the first trials that failed, as long as none has had a value.
    """

    counted: int = 0
    succeeded: bool = False
    failures: tuple[str, ...] = ()
    infeasible_in_a_row: int = 0

    def after(self, outcome: Outcome) -> Prospects:
        """Return them after one more end."""
        has_value = outcome.value is not None and outcome.epoch is not None and math.isfinite(outcome.value)
        failed = outcome.kind is OutcomeKind.FAILED and not (self.succeeded or has_value)
        infeasible = outcome.kind is OutcomeKind.INFEASIBLE
        return Prospects(
            counted=self.counted + outcome.counts,
            succeeded=self.succeeded or has_value,
            failures=(*self.failures, outcome.reason)[: ALIKE + 1] if failed else self.failures,
            infeasible_in_a_row=self.infeasible_in_a_row + 1 if infeasible else 0,
        )

    def without(self, outcome: Outcome) -> Prospects:
        """Return them once an end was taken back, and with it the first failures."""
        return replace(self, counted=self.counted - outcome.counts, failures=())

    def renewed(self) -> Prospects:
        """Return them for a sweep that was taken up again all the same."""
        return replace(self, failures=(), infeasible_in_a_row=0)

    @property
    def hopeless(self) -> str:
        """Why the sweep has no prospects; empty: it has some."""
        if self.infeasible_in_a_row >= INFEASIBLE_IN_A_ROW:
            mend = "widen the space, or relax `where`, `constraints` or the model"
            return f"{INFEASIBLE_IN_A_ROW} configurations in a row were infeasible; {mend}"
        alike = {re.sub(r"\d+", "#", reason) for reason in self.failures}
        only_failures = not self.succeeded and self.counted == len(self.failures)
        if len(self.failures) == ALIKE and len(alike) == 1 and only_failures:
            return f"the first {ALIKE} trials failed alike: {self.failures[0]}"
        return ""

    @property
    def closing(self) -> SweepClosing:
        """How a sweep ends that has none."""
        return SweepClosing(why=self.hopeless, cancel=True, exit_code=0 if self.succeeded else 1)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where the search stands.

    `unamended` are the rules before they were changed in this session, None where they were not.
    In a window, `rungs`, `leader`, `objective_seen`, `prospects` and the row of the account are of trials 0 … `horizon`,
    of which `found` are the best; `ahead` has those that have ended since.
    """

    rules: Rules
    unamended: Rules | None = field(default=None, compare=False)
    asked: int = 0
    live: Mapping[int, Live] = field(default_factory=dict[int, Live])
    queue: tuple[int, ...] = ()
    counted: int = 0
    ended: Mapping[OutcomeKind, int] = field(default_factory=dict[OutcomeKind, int])
    best: tuple[Ranked, ...] = ()
    retryable: Mapping[int, Retryable] = field(default_factory=dict[int, Retryable])
    account: Account = field(default_factory=Account)
    rungs: Rungs = field(default_factory=Rungs)
    confirming: Confirming = field(default_factory=Confirming)
    leader: Leader | None = None
    population: Population = field(default_factory=Population)
    objective_seen: bool = False
    prospects: Prospects = field(default_factory=Prospects)
    horizon: int = -1
    found: tuple[Ranked, ...] = ()
    ahead: Mapping[int, Course] = field(default_factory=dict[int, Course])
    losses: Mapping[str, int] = field(default_factory=dict[str, int])
    packing: Packing = field(default_factory=Packing)
    closing: SweepClosing | None = None
    finished: bool = False
    spent_s: float = 0.0
    session_at: float = 0.0
    last_at: float = 0.0

    def changed(self, number: int, **changes: object) -> State:
        """Return the state with a live trial changed."""
        return replace(self, live={**self.live, number: replace(self.live[number], **changes)})

    def seconds(self, at: float) -> float:
        """Return the seconds that drivers have worked on the sweep by the time `at`; time between runs left out."""
        return self.spent_s + max(0.0, at - self.session_at)

    def accepts(self, trial: int, report: Report) -> bool:
        """Say whether a report is news: of a live trial's next epoch. The first one of an epoch stands."""
        return trial in self.live and report.epoch > self.live[trial].epoch

    @property
    def epochs_are_left(self) -> bool:
        """Whether another epoch may be journaled."""
        most = self.rules.budget.epochs
        return most is None or self.account.epochs < most

    @property
    def placed(self) -> list[Live]:
        """The trials on slots."""
        return [live for live in self.live.values() if live.placed]

    @property
    def searched(self) -> list[Live]:
        """The trials of the search itself, without the runs that confirm some."""
        return [live for live in self.live.values() if live.confirms is None]

    @property
    def kept(self) -> set[int]:
        """The trials whose weights stay: the best of the search, and the best run of each that was confirmed."""
        return {one.number for one in (*self.best, *self.confirming.best.values())}

    def keep_above(self, live: Live) -> float | None:
        """Return the value from which a live trial's weights are worth writing; None: always."""
        if live.confirms is not None:
            run = self.confirming.best.get(live.confirms)
            return run.value if run is not None and self.rules.goals.plain else None
        return self.best[-1].value if self.rules.goals.plain and len(self.best) >= self.rules.keep else None

    @property
    def donors(self) -> set[int]:
        """The trials that have ended and whose checkpoints stay, since others go on from them."""
        return self.population.donors(self.rules.population)

    def avoided(self, nodes: Collection[str]) -> set[str]:
        """Return those of the nodes on which no trial is to be placed: they keep losing them, and there are others."""
        bad = {node for node in nodes if self.losses.get(node, 0) >= LOSSES}
        return bad if bad < set(nodes) else set()

    @property
    def measures(self) -> bool:
        """Whether the memory that trials take of graphics processors is still to be found out."""
        return self.rules.packs and not self.packing.decided

    def needs_all(self, number: int) -> bool:
        """Say whether a trial must run alone: the memory did not suffice while others ran."""
        return self.live[number].ran_out > 0 and not self.rules.smaller_batch

    def batch_divisor(self, number: int) -> int:
        """Return what a trial's batch size is divided by."""
        return 2 ** self.live[number].ran_out if self.rules.smaller_batch else 1
