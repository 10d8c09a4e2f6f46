"""How a trial ended: the outcome that its reports lead to."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..spaces.trial import Outcome, OutcomeKind, Report
from .goals import without_value
from .objective import At
from .state import Live, Rules, State


def completed(state: State, number: int, logged: Iterable[str] = (), value: float | None = None) -> Outcome:
    """Return the outcome of a trial whose training ran to its end; `value`: as a `fit` of its own gave it."""
    live, rules = state.live[number], state.rules
    if live.best is None and rules.goals.plain and live.epoch and rules.objective.metric in logged:  # it was retried
        why = f"{rules.objective.metric} was never finite when its epochs were first reported, and those reports stand"
        return Outcome(kind=OutcomeKind.FAILED, reason=f"NonFiniteObjective: {why}")
    if live.best is None:
        return Outcome(kind=OutcomeKind.FAILED, reason=without_value(rules.goals, logged, live.seen))
    if value is not None and not math.isfinite(value):
        why = f"NonFiniteObjective: {rules.objective.metric} was {value} in the end"
        return Outcome(kind=OutcomeKind.FAILED, reason=why)
    return _valued(OutcomeKind.COMPLETED, live, rules, value=value)


def stopped(live: Live, rules: Rules, why: str) -> Outcome:
    """Return the outcome of a trial that was stopped early."""
    return _valued(OutcomeKind.STOPPED, live, rules, why=why)


def cut(live: Live, rules: Rules, why: str) -> Outcome:
    """Return the outcome of a trial that goes no further: stopped where it has a value, else interrupted."""
    if live.best is not None:
        return stopped(live, rules, why)
    return Outcome(kind=OutcomeKind.INTERRUPTED, reason=why)


def _valued(kind: OutcomeKind, live: Live, rules: Rules, *, why: str = "", value: float | None = None) -> Outcome:
    last = rules.objective.at is At.LAST or value is not None
    found, epoch = (live.last, live.last_epoch) if last else (live.best, live.best_epoch)
    outcome = Outcome(kind=kind, value=found if value is None else value, epoch=epoch, reason=why)
    return rules.goals.outcome(live.seen, outcome, last=last, value=value)


def failed_again(state: State, number: int, report: Report) -> Outcome | None:
    """Return the outcome of a retried trial that comes to the epoch at which it failed, and fails there again.

    The first report of that epoch stands, so this one is none; but it must not be passed over either.
    """
    live, goals = state.live.get(number), state.rules.goals
    if live is None or report.epoch != live.epoch or live.epoch == live.last_epoch:
        return None
    values = goals.values(live.seen, report.metrics)
    wrong = "" if goals.missing(values) else goals.non_finite(values)
    return not_finite(wrong, values[wrong], report.epoch) if wrong else None


def not_finite(metric: str, value: float, epoch: int) -> Outcome:
    """Return the outcome of a trial one of whose objectives was NaN or infinite."""
    return Outcome(kind=OutcomeKind.FAILED, reason=f"NonFiniteObjective: {metric} was {value} at epoch {epoch}")
