"""Budgets: when a sweep has had enough. What is used is a function of what is journaled, and of the time asked for.

Trials are exact: none is asked for that there is no room for. At the last of its epochs, too, everything ends. At the
other limits running trials stop at their next epoch, so that they keep what they have learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, final

from ..spaces.pareto import Point
from ..trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    Reported,
    RoundEnded,
    TrialEnded,
    TrialRetried,
)
from .objective import At, Direction, Objective

if TYPE_CHECKING:
    from .state import Live, Ranked, State

HOUR_S = 3600.0
WORDS: Mapping[str, str] = {
    "trials": "trial",
    "hours": "hour",
    "slot_hours": "slot hour",
    "gpu_hours": "gpu hour",
    "epochs": "epoch",
    "no_improvement": "trial without a better value",
}
_BOUNDED = (
    "accuracy",
    "acc",
    "auc",
    "binary_accuracy",
    "binary_io_u",
    "categorical_accuracy",
    "f1_score",
    "fbeta_score",
    "io_u",
    "mean_io_u",
    "one_hot_io_u",
    "one_hot_mean_io_u",
    "precision",
    "precision_at_recall",
    "recall",
    "recall_at_precision",
    "sensitivity_at_specificity",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "specificity_at_sensitivity",
    "top_k_categorical_accuracy",
)
_NOT_NEGATIVE = (
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "false_negatives",
    "false_positives",
    "hinge",
    "huber",
    "log_cosh",
    "mae",
    "mape",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mse",
    "msle",
    "root_mean_squared_error",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "true_negatives",
    "true_positives",
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """When the sweep ends: the first one reached; None is no limit.

    `hours` are those in which a driver worked on it. A slot hour is an hour for which one slot was held by a trial, a
    gpu hour that times the gpus of a trial. `epochs` are those reported, over all trials; one trained again after a
    loss counts once. `no_improvement`: so many counted trials in a row without a better best. `goal`: a value.
    """

    trials: int | None = None
    hours: float | None = None
    slot_hours: float | None = None
    gpu_hours: float | None = None
    epochs: int | None = None
    no_improvement: int | None = None
    goal: float | None = None

    def __str__(self) -> str:
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        parts = [counted(name, value) for name, value in given.items() if value is not None and name in WORDS]
        return " or ".join([*parts, *([] if self.goal is None else [f"goal {self.goal:g}"])]) or "the whole grid"

    @property
    def endless(self) -> bool:
        """Whether there is no limit at all."""
        return self == Budget()

    @property
    def only_goal(self) -> bool:
        """Whether nothing but a value ends the sweep."""
        return self.goal is not None and replace(self, goal=None).endless


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """How much of one limit is used."""

    name: str
    used: float
    limit: float

    @property
    def share(self) -> float:
        """The share that is used, 1 where all is."""
        return self.used / self.limit

    def __str__(self) -> str:
        unit = "trials without a better value" if self.name == "no_improvement" else f"{WORDS[self.name]}s"
        return f"{_short(self.used)}/{_short(self.limit)} {unit}"

    @property
    def why(self) -> str:
        """Why the sweep ends where all is used."""
        if self.name == "no_improvement":
            return f"no better value in {counted('trials', self.limit)} in a row"
        return f"the budget of {counted(self.name, self.limit)} is spent"


def used(
    limits: Budget, *, trials: int, seconds: float, slot_seconds: float, gpus: float, epochs: int, without_better: int
) -> tuple[Used, ...]:
    """Return what is used of each limit that there is."""
    amounts: dict[str, tuple[float | None, float]] = {
        "trials": (limits.trials, trials),
        "hours": (limits.hours, seconds / HOUR_S),
        "slot_hours": (limits.slot_hours, slot_seconds / HOUR_S),
        "gpu_hours": (limits.gpu_hours, slot_seconds * gpus / HOUR_S),
        "epochs": (limits.epochs, epochs),
        "no_improvement": (limits.no_improvement, without_better),
    }
    return tuple(
        Used(name=name, used=amount, limit=limit) for name, (limit, amount) in amounts.items() if limit is not None
    )


def counted(name: str, amount: float) -> str:
    """Return `1 epoch`, `2.5 slot hours`."""
    one, _, rest = WORDS[name].partition(" without")
    return f"{_short(amount)} {one}{'' if amount == 1 else 's'}{' without' + rest if rest else ''}"


def _short(amount: float) -> str:
    return str(int(amount)) if amount == int(amount) else f"{amount:.4g}"


def unreachable(goal: float, objective: Objective) -> str:
    """Return why no value can be as good as `goal`, as far as the metric's name tells; empty where one may be."""
    name = objective.metric.removeprefix("val_").removeprefix("weighted_")
    if objective.direction is Direction.MAX:
        return f"{objective.metric} is never above 1" if name in _BOUNDED and goal > 1 else ""
    return f"{objective.metric} is never below 0" if name in (*_BOUNDED, *_NOT_NEGATIVE) and goal < 0 else ""


# What the core keeps of it ------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What was used; `holding` has, of each trial on a slot, since when it holds that.

    `row` are the trials that counted since the last one that was better than all before it; `front`, with several
    objectives or constraints, where those stand that no other was better than.
    """

    epochs: int = 0
    held_s: float = 0.0
    holding: Mapping[int, float] = field(default_factory=dict[int, float])
    row: tuple[int, ...] = ()
    front: tuple[Point, ...] = ()

    def slot_seconds(self, at: float) -> float:
        """Return the seconds for which trials have held slots by the time `at`, added up over the slots."""
        return self.held_s + sum(max(0.0, at - since) for since in self.holding.values())

    def taken(self, number: int, at: float) -> Account:
        """Return the account once a trial has got a slot."""
        return replace(self, holding={**self.holding, number: at})

    def released(self, number: int, at: float) -> Account:
        """Return the account once a trial holds no slot any more."""
        if number not in self.holding:
            return self
        held_s = self.held_s + max(0.0, at - self.holding[number])
        holding = {one: since for one, since in self.holding.items() if one != number}
        return replace(self, held_s=held_s, holding=holding)

    def resumed(self, last_at: float, at: float) -> Account:
        """Return the account of the next driver; the time since the last event of the one before is left out."""
        return replace(self, held_s=self.slot_seconds(last_at), holding=dict.fromkeys(self.holding, at))


def booked(state: State, event: Event, at: float) -> Account:
    """Return the account with what an event at the time `at` uses; `state` is that before it. Runs that confirm a trial
    use nothing.
    """
    account = state.account
    live = state.live.get(event.trial) if isinstance(event, AttemptStarted | Reported | TrialEnded) else None
    if live is not None and live.confirms is not None:
        return account
    match event:
        case AttemptStarted(trial=number):
            return account.taken(number, at)
        case RoundEnded(trial=number) | AttemptEnded(trial=number):
            return account.released(number, at)
        case Reported(trial=number, report=report) if state.accepts(number, report):
            trial = state.live[number]
            before = max(trial.epoch, 0 if trial.donor is None else trial.donor.epoch)
            return replace(account, epochs=account.epochs + report.epoch - before)
        case TrialEnded(trial=number):
            return account.released(number, at)
        case TrialRetried(trial=number):
            return replace(account, row=tuple(one for one in account.row if one != number))
        case _:
            return account


# What the core asks -------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Enough:
    """Why a sweep ends (empty: it goes on); `done`: the trials on slots that are to end with what they have, and why."""

    why: str
    done: Mapping[int, str] = field(default_factory=dict[int, str])


def enough(state: State, at: float) -> Enough | None:
    """Return why nothing more is to be begun at the time `at`, or who has done enough; None while there is room.

    Trials alone are no reason: those that there is room for are asked for, and none is ended. In a window the values of
    trials are none either, until their turn has come (`over`).
    """
    in_window = state.rules.window is not None
    reached = _good_enough(
        state, ((live.number, value) for live in _running(state) if (value := _value(state, live)) is not None)
    )
    done = {number: why for number, why in reached.items() if _is_under_way(state, number)}
    why = "" if in_window else next(iter(reached.values()), "") or _goal_of(state, state.best)
    if not why:
        others = ("trials", "no_improvement") if in_window else ("trials",)
        spent = [one for one in limits_used(state, at) if one.name not in others and one.share >= 1]
        why = spent[0].why if spent else ""
        if any(one.name == "epochs" for one in spent):
            done |= {live.number: why for live in _running(state)}
    return Enough(why, done) if why or done else None


def _running(state: State) -> Iterator[Live]:
    """Yield the trials of the search that are on slots."""
    return (live for live in state.placed if live.confirms is None)


def over(state: State) -> str:
    """Return why, in a window, the values of the trials whose turn has come end the search; empty where they do not."""
    spent = [one.why for one in limits_used(state, state.last_at) if one.name == "no_improvement" and one.share >= 1]
    return _goal_of(state, state.found) or next(iter(spent), "")


def limits_used(state: State, at: float) -> tuple[Used, ...]:
    """Return what is used of each limit at the time `at`."""
    return used(
        state.rules.budget,
        trials=state.counted,
        seconds=state.seconds(at),
        slot_seconds=state.account.slot_seconds(at),
        gpus=state.rules.gpus,
        epochs=state.account.epochs,
        without_better=len(state.account.row),
    )


def _goal_of(state: State, best: tuple[Ranked, ...]) -> str:
    """Return why the goal is reached, where one of the best trials has; over folds, once it has been through all of them."""
    whole = state.rules.max_epochs if state.rules.folds else 0
    values = ((one.number, one.value) for one in best if one.epoch >= whole and not one.point.violation)
    return next(iter(_good_enough(state, values).values()), "")


def _good_enough(state: State, values: Iterable[tuple[int, float]]) -> dict[int, str]:
    """Return the trials whose value is as good as the goal, in words."""
    goal, objective = state.rules.budget.goal, state.rules.objective
    if goal is None:
        return {}
    return {
        number: f"the goal of {goal:g} is reached: {objective.metric} {value:.6g} in trial {number}"
        for number, value in values
        if objective.score(value) >= objective.score(goal)
    }


def _value(state: State, live: Live) -> float | None:
    """Return what a running trial would have if it ended now; over folds, once it has been through all of them."""
    if state.rules.folds:
        return live.last if live.epoch >= state.rules.max_epochs else None
    last = state.rules.objective.at is At.LAST
    goals, seen = state.rules.goals, live.seen
    if not goals.plain and goals.violation(goals.values(seen, seen.last if last else seen.best)):
        return None
    return live.last if last else live.best


def _is_under_way(state: State, number: int) -> bool:
    return number in state.live and state.live[number].epoch < state.rules.max_epochs
