"""What a report changes: the standing of its trial, and whether that trial goes on."""

from __future__ import annotations

from dataclasses import replace

from ..spaces.errors import BadInput
from ..spaces.trial import Outcome, OutcomeKind, Report
from ..trackers.events import SweepClosing
from .decisions import Close, End, Step
from .goals import without_value
from .outcomes import cut, not_finite, stopped
from .repeats import hopeless, score_of
from .state import Live, Rules, State
from .stop import Standing
from .window import judged


def reported(state: State, number: int, report: Report, *, awaits_result: bool) -> Step:
    """Return the state after a live trial's report, and whether that ends the trial; `awaits_result`: of `fit`'s own."""
    if not state.accepts(number, report):
        return state, ()
    objective, goals = state.rules.objective, state.rules.goals
    live = state.live[number]
    seen = goals.timed(live.seen, report.seconds)
    values = goals.values(seen, report.metrics)
    if goals.missing(values):
        state = state.changed(number, epoch=report.epoch, seen=seen)
        why = "" if live.confirms is not None else _closes(state)
        if why and not awaits_result and report.epoch < state.rules.max_epochs:
            return state, (End(number, cut(state.live[number], state.rules, why)),)
        return (state, ()) if awaits_result else _on_missing_objective(state, number, report)
    in_window = state.rules.window is not None
    if not (in_window or state.objective_seen):
        state = replace(state, objective_seen=True)
    wrong = goals.non_finite(values)
    if wrong:
        state = state.changed(number, epoch=report.epoch, seen=seen, objective_seen=in_window)
        return state, (End(number, not_finite(wrong, values[wrong], report.epoch)),)
    value = values[objective.metric]
    seen, better = goals.reported(seen, report.epoch, report.metrics)
    best, best_epoch = (value, report.epoch) if better else (live.best, live.best_epoch)
    loss = report.metrics.get("loss")
    repeat = score_of(report, objective)
    state = state.changed(
        number,
        epoch=report.epoch,
        seen=seen,
        objective_seen=in_window,
        last=value,
        last_epoch=report.epoch,
        best=best,
        best_epoch=best_epoch,
        mean=live.mean + (value - live.mean) / (live.values + 1),
        values=live.values + 1,
        first_loss=live.first_loss if live.values else loss,
        repeats=live.repeats if repeat is None else (*live.repeats, repeat),
    )
    return _judge(state, number, since=live.last_epoch or 0, loss=loss)


def _judge(state: State, number: int, *, since: int, loss: float | None) -> Step:
    """Ask the stop rule about a trial that has a new value, the one before at epoch `since`."""
    why = _closes(state)
    rules, live, goals = state.rules, state.live[number], state.rules.goals
    if live.confirms is not None:
        return state, ()
    if not why and live.epoch < rules.max_epochs:
        standing = _standing(live, rules, since=since, loss=loss)
        if rules.window is None:
            rungs, why = rules.stop.decide(state.rungs, standing)
            state = state if rungs is state.rungs else replace(state, rungs=rungs)
        else:
            state, why = judged(state, standing)
        leader = state.leader if rules.window is None else live.leader
        if len(goals.objectives) == 1:  # of several, one may still be better
            why = why or hopeless(live.repeats, leader, rules.repeats, rules.objective)
    if not why:
        return state, ()
    return state, (End(number, stopped(state.live[number], state.rules, why)),)


def _closes(state: State) -> str:
    """Return why trials go no further than their next epoch; empty where they do, or where all are interrupted."""
    return "" if state.closing is None or state.closing.cancel else state.closing.why


def _standing(live: Live, rules: Rules, *, since: int, loss: float | None) -> Standing:
    assert live.last is not None  # noqa: S101
    assert live.best is not None  # noqa: S101
    assert live.best_epoch is not None  # noqa: S101
    score, goals = rules.objective.score, rules.goals
    values = goals.values(live.seen, live.seen.last)
    return Standing(
        number=live.number,
        max_epochs=rules.max_epochs,
        since=since,
        epoch=live.epoch,
        score=score(live.last),
        best=score(live.best),
        best_epoch=live.best_epoch,
        mean=score(live.mean),
        first_loss=live.first_loss,
        loss=loss,
        each=() if goals.plain else goals.each(live.seen),
        violation=goals.violation(values),
    )


def _on_missing_objective(state: State, number: int, report: Report) -> Step:
    """Refuse a sweep of which no model has logged what is searched for; in a window trial 0 alone can tell."""
    in_window = state.rules.window is not None
    seen = state.live[number].objective_seen if in_window else state.objective_seen
    if seen or report.epoch < state.rules.first_value_epoch:
        return state, ()
    why = without_value(state.rules.goals, report.metrics, state.live[number].seen)
    if in_window and number:  # whether another trial has had it by now is chance
        return state, (End(number, Outcome(kind=OutcomeKind.FAILED, reason=why)),)
    return state, (Close(SweepClosing(why=why, cancel=True, exit_code=BadInput.exit_code)),)
