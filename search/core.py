"""The search, decided purely: `step(state, event) -> (state, commands)`.

No clock, file, Ray or Optuna in here. Journaled events change the state; `SlotFree` and `Tick` only ask what is due
and leave the state as it is, so that replaying the journal gives the state that the live run had.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import final

from ..spaces.trial import Cause, Outcome, OutcomeKind, Report
from ..trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Donor,
    Entry,
    Event,
    GraphicsMeasured,
    ParametersUsed,
    Reported,
    RoundEnded,
    SlotsPacked,
    SweepAmended,
    SweepClosing,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    Timed,
    TrialAsked,
    TrialEnded,
    TrialRetried,
)
from .budget import booked, enough, limits_used
from .goals import standing_order, without_value
from .objective import At
from .packing import Packing, measured, ran_out
from .population import Turn
from .repeats import hopeless, leading, score_of
from .state import ALIKE, Course, Live, Prospects, Ranked, Retryable, Rules, State
from .stop import Ending, Standing, ended
from .window import due, judged, settled

INFEASIBLE_IN_A_ROW = 50


# Questions that are not journaled ------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class SlotFree:
    """A slot has nothing to do."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed."""

    at: float


# Commands --------------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Ask:
    """Propose parameters for a new trial of this number; or train `confirms` again, or go on as an `heir` does."""

    number: int
    confirms: int | None = None
    heir: Donor | None = None


@final
@dataclass(frozen=True, slots=True)
class Start:
    """Give this waiting trial to the slot."""

    number: int


@final
@dataclass(frozen=True, slots=True)
class Wait:
    """There is nothing for the slot now, but there may be; `last`: only if one of those that run is to run again."""

    last: bool = False


@final
@dataclass(frozen=True, slots=True)
class Finish:
    """The sweep is over."""

    why: str
    exit_code: int


@final
@dataclass(frozen=True, slots=True)
class End:
    """The trial is over: journal this outcome, and stop it where it still trains."""

    number: int
    outcome: Outcome


@final
@dataclass(frozen=True, slots=True)
class Close:
    """Ask for no further trial: journal this."""

    event: SweepClosing


@final
@dataclass(frozen=True, slots=True)
class Pack:
    """Let slots take another share of a graphics processor: journal this."""

    event: SlotsPacked


Command = Ask | Start | Wait | Finish | End | Close | Pack
Step = tuple[State, tuple[Command, ...]]


# The one function -------------------------------------------------------------------------------------------------------


def step(state: State, event: Event | SlotFree | Tick, at: float = 0.0) -> Step:
    """Return the state after `event`, which was journaled at `at`, and what is to be done about it."""
    match event:
        case SlotFree():
            return state, (_next_for_slot(state),)
        case Tick(at=now):
            return state, _due(state, now)
        case SweepStarted():
            return replace(state, session_at=at, last_at=at), ()
        case SweepResumed():
            return _on_resume(state, at), ()
        case _:
            state = replace(state, last_at=max(at, state.last_at))
            state = replace(state, account=booked(state, event))
    match event:
        case TrialAsked():
            return _on_ask(state, event), ()
        case AttemptStarted(trial=number):
            return _on_start(state, event), ()
        case RoundEnded(trial=number):
            changes = {"params": event.params, "round": event.round + 1, "next_attempt": event.attempt}
            state = _changed(state, number, placed=False, **changes)
            return replace(state, queue=(number, *state.queue)), ()
        case ParametersUsed():
            return _on_used(state, event)
        case Reported(trial=number, report=report):
            return _within_budget(_on_report(state, number, report, awaits_result=event.awaits_result))
        case AttemptEnded():
            return _on_attempt_end(state, event)
        case TrialEnded():
            result = _on_trial_end(state, event)
            return _within_budget(result) if state.closing is None else result  # what closes ends the others itself
        case TrialRetried(trial=number):
            return _on_retry(state, number), ()
        case Timed(slot=slot):
            return _on_losses(state, slot, lost=False), ()
        case GraphicsMeasured():
            packing, packed = measured(state.packing, event)
            return replace(state, packing=packing), () if packed is None else (Pack(packed),)
        case SlotsPacked(share=share):
            packing = Packing(share=share, decided=True, needs=state.packing.needs)
            return replace(state, packing=packing), ()
        case SweepClosing():
            return replace(state, closing=event), ()
        case SweepAmended(settings=settings):
            opened = None if state.closing is not None and not state.closing.cancel else state.closing
            return replace(state, rules=state.rules.amended(settings), closing=opened), ()
        case SweepEnded():
            return replace(state, finished=True), ()
        case _:
            return state, ()


def replay(rules: Rules, entries: Iterable[Entry]) -> State:
    """Return the state that the journaled events lead to."""
    state = State(rules=rules)
    for entry in entries:
        state, _ = step(state, entry.event, entry.at)
    return state


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
    return _not_finite(wrong, values[wrong], report.epoch) if wrong else None


def _not_finite(metric: str, value: float, epoch: int) -> Outcome:
    return Outcome(kind=OutcomeKind.FAILED, reason=f"NonFiniteObjective: {metric} was {value} at epoch {epoch}")


# Its parts ----------------------------------------------------------------------------------------------------------------


def _next_for_slot(state: State) -> Command:
    if state.closing is not None:
        return _while_closing(state, state.closing)
    placed = [live.number for live in state.placed]
    if any(map(state.needs_all, placed)):
        return Wait()
    if state.queue:
        return Wait() if placed and state.needs_all(state.queue[0]) else Start(state.queue[0])
    trials = state.rules.budget.trials
    if trials is None or state.counted + len(state.searched) < trials:
        return _next_of_search(state) if state.rules.window is None else _next_in_window(state)
    spent = next(one for one in limits_used(state, state.last_at) if one.name == "trials")
    return _after_search(state, spent.why)


def _next_of_search(state: State) -> Command:
    plan = state.rules.population
    if plan is None or state.population.founders_wanted(plan):
        return Ask(state.asked)
    heir = state.population.next(plan, state.asked)
    if heir is not None:
        return Ask(state.asked, heir=heir)
    return _after_search(state, f"the population has trained its {plan.epochs} epochs")


def _after_search(state: State, why: str, exit_code: int = 0) -> Command:
    """Confirm the best trials once none of the search is live any more; then end."""
    confirms = None if state.searched else state.confirming.next(state.rules.confirm)
    if confirms is not None:
        return Ask(state.asked, confirms=confirms)
    if state.live:
        return Wait(last=not (state.searched and state.rules.confirm.top))
    return Finish(why, exit_code or _exit_code(state))


def _next_in_window(state: State) -> Command:
    """Ask once all have ended that the next trial is proposed from; where these leave no hope, once all others have."""
    if not due(state):
        return Wait()
    why = _hopeless(settled(state).prospects)
    if not why:
        return Ask(state.asked)
    return Wait(last=True) if state.live else Close(SweepClosing(why=why, cancel=True, exit_code=1))


def _while_closing(state: State, closing: SweepClosing) -> Command:
    if closing.cancel:
        return Wait(last=True) if state.placed else Finish(closing.why, closing.exit_code or _exit_code(state))
    waiting = [state.live[number] for number in state.queue]
    for live in waiting:
        if live.confirms is None:
            return End(live.number, _cut(live, state.rules, closing.why))
    if waiting and not state.searched:
        placed = [live.number for live in state.placed]
        alone = any(map(state.needs_all, [*placed, waiting[0].number]))
        return Wait() if placed and alone else Start(waiting[0].number)
    return _after_search(state, closing.why, closing.exit_code)


def _exit_code(state: State) -> int:
    return 0 if state.best else 1


def _due(state: State, now: float) -> tuple[Command, ...]:
    cancelled = state.closing is not None and state.closing.cancel
    reason = None if cancelled or state.finished else enough(state, now)
    if reason is None:
        return ()
    ends = (End(one, _cut(state.live[one], state.rules, reason.why)) for one in reason.done)
    return (*((Close(SweepClosing(why=reason.why)),) if state.closing is None else ()), *ends)


def _within_budget(result: Step) -> Step:
    """Add what the budget asks for after an event that may have used up the last of it."""
    state, commands = result
    if any(isinstance(one, Close) for one in commands):
        return result
    ended = {one.number for one in commands if isinstance(one, End)}
    due = [one for one in _due(state, state.last_at) if not (isinstance(one, End) and one.number in ended)]
    return state, (*due, *commands)


def _cut(live: Live, rules: Rules, why: str) -> Outcome:
    """Return the outcome of a trial that goes no further: stopped where it has a value, else interrupted."""
    if live.best is not None:
        return stopped(live, rules, why)
    return Outcome(kind=OutcomeKind.INTERRUPTED, reason=why)


def _changed(state: State, number: int, **changes: object) -> State:
    live = replace(state.live[number], **changes)
    return replace(state, live={**state.live, number: live})


def _on_resume(state: State, at: float) -> State:
    """Begin a session; a trial whose driver died between an attempt's end and the trial's own waits for a slot again."""
    state = settled(state)
    lost = (live.number for live in state.live.values() if not live.placed and live.number not in state.queue)
    return replace(
        state,
        closing=None,
        finished=False,
        queue=(*state.queue, *lost),
        prospects=_prospects_of_next(state),
        spent_s=state.seconds(state.last_at),
        account=state.account.resumed(state.last_at, at),
        session_at=at,
        last_at=at,
    )


def _on_ask(state: State, event: TrialAsked) -> State:
    number = event.trial
    state = settled(state)
    live = Live(number=number, seed=event.seed, params=event.params, confirms=event.confirms, donor=event.donor)
    if state.rules.window is not None:
        live = replace(live, rungs=state.rungs, objective_seen=state.objective_seen)
    state = replace(state, asked=number + 1, live={**state.live, number: live}, queue=(*state.queue, number))
    if event.confirms is not None:
        return replace(state, confirming=state.confirming.ask(number, event.confirms))
    if state.rules.population is None:
        return state
    return replace(state, population=state.population.ask(number, event.donor))


def _prospects_of_next(state: State) -> Prospects:
    """Return those of a session that begins; in a window an interruption changes nothing, an end for want of any does."""
    ended_so = state.finished and state.closing is not None and state.closing.why == _hopeless(state.prospects)
    return state.prospects if state.rules.window is not None and not ended_so else state.prospects.renewed()


def _on_start(state: State, event: AttemptStarted) -> State:
    state = replace(state, queue=tuple(one for one in state.queue if one != event.trial))
    share = state.packing.share
    return _changed(state, event.trial, attempt=event.attempt, round=event.round, share=share, placed=True)


def _on_used(state: State, event: ParametersUsed) -> Step:
    """Take in what was measured of the model; end a trial whose model breaks a constraint whatever it learns."""
    live = state.live.get(event.trial)
    if live is None or not event.facts:
        return state, ()
    goals = state.rules.goals
    state = _changed(state, event.trial, seen=goals.built(live.seen, event.facts))
    refused = goals.refused(state.live[event.trial].seen)
    return state, () if refused is None else (End(event.trial, refused),)


def _on_report(state: State, number: int, report: Report, *, awaits_result: bool) -> Step:
    if not state.accepts(number, report):
        return state, ()
    objective, goals = state.rules.objective, state.rules.goals
    state = _changed(state, number, epoch=report.epoch, seen=goals.timed(state.live[number].seen, report.seconds))
    live = state.live[number]
    values = goals.values(live.seen, report.metrics)
    if goals.missing(values):
        return (state, ()) if awaits_result else _on_missing_objective(state, number, report)
    state = _objective_seen(state, number)
    live = state.live[number]
    wrong = goals.non_finite(values)
    if wrong:
        return state, (End(number, _not_finite(wrong, values[wrong], report.epoch)),)
    value = values[objective.metric]
    seen, better = goals.reported(live.seen, report.epoch, report.metrics)
    best, best_epoch = (value, report.epoch) if better else (live.best, live.best_epoch)
    loss = report.metrics.get("loss")
    changes = {
        "mean": live.mean + (value - live.mean) / (live.values + 1),
        "values": live.values + 1,
        "first_loss": live.first_loss if live.values else loss,
        "seen": seen,
    }
    repeat = score_of(report, objective)
    state = _changed(
        state,
        number,
        repeats=live.repeats if repeat is None else (*live.repeats, repeat),
        last=value,
        last_epoch=report.epoch,
        best=best,
        best_epoch=best_epoch,
        **changes,
    )
    return _judge(state, number, since=live.last_epoch or 0, loss=loss)


def _objective_seen(state: State, number: int) -> State:
    if state.rules.window is None:
        return replace(state, objective_seen=True)
    return _changed(state, number, objective_seen=True)


def _judge(state: State, number: int, *, since: int, loss: float | None) -> Step:
    """Ask the stop rule about a trial that has a new value, the one before at epoch `since`."""
    why = "" if state.closing is None or state.closing.cancel else state.closing.why
    rules, live = state.rules, state.live[number]
    if live.confirms is not None:
        return state, ()
    if not why and live.epoch < rules.max_epochs:
        standing = _standing(live, rules, since=since, loss=loss)
        if rules.window is None:
            rungs, why = rules.stop.decide(state.rungs, standing)
            state = replace(state, rungs=rungs)
            why = why or hopeless(live.repeats, state.leader, rules.repeats, rules.objective)
        else:
            state, why = judged(state, standing)
    if not why:
        return state, ()
    return state, (End(number, stopped(state.live[number], state.rules, why)),)


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
    in_window = state.rules.window is not None
    seen = state.live[number].objective_seen if in_window else state.objective_seen
    if seen or report.epoch < state.rules.first_value_epoch:
        return state, ()
    why = without_value(state.rules.goals, report.metrics, state.live[number].seen)
    end = End(number, Outcome(kind=OutcomeKind.FAILED, reason=why))
    if in_window:  # whether another trial has had it by now is chance
        return state, (end,)
    return state, (end, Close(SweepClosing(why=why, cancel=True, exit_code=1)))


def _on_attempt_end(state: State, event: AttemptEnded) -> Step:
    state = _on_losses(state, event.slot, lost=event.cause is Cause.LOST)
    live = state.live[event.trial]
    packed = ran_out(state.packing, live.share) if event.cause is Cause.OOM and event.traceback else None
    pack = () if packed is None else (Pack(packed),)  # one without a traceback was killed for the machine's own memory
    times = live.spent.get(event.cause, 0) + 1
    spent = {**live.spent, event.cause: times}
    state = _changed(state, event.trial, placed=False, spent=spent, next_attempt=event.attempt + 1, round=0)
    if state.rules.forgives(event.cause, times):
        return replace(state, queue=(*state.queue, event.trial)), pack
    kind = OutcomeKind.LOST if event.cause is Cause.LOST else OutcomeKind.FAILED
    reason = event.why if times == 1 else f"{event.why} ({times} times)"
    outcome = Outcome(kind=kind, reason=reason, traceback=event.traceback)
    return state, (*pack, End(event.trial, outcome))


def _on_losses(state: State, slot: str, *, lost: bool) -> State:
    """Count the losses in a row of the slot's node; on one machine slots name none."""
    node = slot.rpartition("-")[0]
    if not node or not (lost or node in state.losses):
        return state
    losses = {name: count for name, count in state.losses.items() if name != node}
    return replace(state, losses={**losses, node: state.losses.get(node, 0) + 1} if lost else losses)


def _on_trial_end(state: State, event: TrialEnded) -> Step:
    outcome, live = event.outcome, state.live[event.trial]
    state = replace(
        state,
        live={number: one for number, one in state.live.items() if number != event.trial},
        queue=tuple(number for number in state.queue if number != event.trial),
        ended={**state.ended, outcome.kind: state.ended.get(outcome.kind, 0) + 1},
    )
    if live.confirms is not None:
        return replace(state, confirming=state.confirming.end(outcome, live.number, state.rules.objective.better)), ()
    ending = _ending(live, outcome, state.rules)
    if state.rules.window is None:
        state = replace(state, rungs=ended(state.rules.stop, state.rungs, ending))
    else:
        state = _kept(state, live, outcome, ending)
    state = replace(_learnt(state, live, outcome), counted=state.counted + outcome.counts, best=_ranked(state, event))
    if outcome.retryable and state.rules.population is None:
        again = Retryable(live=live, outcome=outcome)
        state = replace(state, retryable={**state.retryable, event.trial: again})
    if state.rules.window is not None:
        return state, ()
    state = replace(state, prospects=state.prospects.after(outcome))
    why = "" if state.closing else _hopeless(state.prospects)
    return state, (Close(SweepClosing(why=why, cancel=True, exit_code=1)),) if why else ()


def _learnt(state: State, live: Live, outcome: Outcome) -> State:
    """Return the state with what a trial of the search leaves to those that are compared with it, or inherit."""
    rules, whole = state.rules, outcome.kind is OutcomeKind.COMPLETED
    turn = None
    if whole and live.last is not None:
        score = rules.objective.score(live.last)
        turn = Turn(trial=live.number, epoch=live.epoch, score=score, seed=live.seed, params=live.params)
    failed = outcome.kind is not OutcomeKind.STOPPED
    return replace(
        state,
        confirming=state.confirming.enter(outcome, live.number, live.params, rules.confirm.top, rules.rank),
        leader=leading(state.leader, live.number, live.repeats if whole else (), rules.repeats),
        population=state.population.end(live.number, turn, failed=failed),
    )


def _kept(state: State, live: Live, outcome: Outcome, ending: Ending) -> State:
    course = Course(outcome=outcome, ending=ending, standings=live.standings, objective_seen=live.objective_seen)
    return replace(state, ahead={**state.ahead, live.number: course})


def _on_retry(state: State, number: int) -> State:
    """Take a trial up again as it stood, with all of its retries before it; its failure counts no more."""
    before, kind = state.retryable[number].live, state.retryable[number].outcome.kind
    attempt = max(before.next_attempt, before.attempt + 1)
    live = replace(before, placed=False, round=0, next_attempt=attempt, spent={})
    return replace(
        state,
        live={**state.live, number: live},
        queue=(*state.queue, number),
        retryable={one: there for one, there in state.retryable.items() if one != number},
        counted=state.counted - state.retryable[number].outcome.counts,
        ended={**state.ended, kind: state.ended[kind] - 1},
        prospects=state.prospects.without(state.retryable[number].outcome),
    )


def _ending(live: Live, outcome: Outcome, rules: Rules) -> Ending:
    ending = Ending(
        number=live.number,
        kind=outcome.kind,
        score=None if outcome.value is None else rules.objective.score(outcome.value),
        epoch=live.last_epoch,
        last=None if live.last is None else rules.objective.score(live.last),
    )
    return ending if rules.goals.plain else replace(ending, each=rules.goals.endings(live.seen, outcome, ending))


def _ranked(state: State, event: TrialEnded) -> tuple[Ranked, ...]:
    """Return the best trials with one more; a trial that falls out is gone, as its weights are."""
    outcome, rules = event.outcome, state.rules
    if outcome.value is None or outcome.epoch is None or not math.isfinite(outcome.value):
        return state.best
    point = rules.goals.point(outcome)
    ranked = [*state.best, Ranked(value=outcome.value, number=event.trial, epoch=outcome.epoch, point=point)]
    if not rules.goals.plain:
        order = standing_order([(one.point, one.epoch) for one in ranked], folds=rules.folds)
        return tuple(ranked[place] for place in order[: rules.keep])
    return tuple(sorted(ranked, key=lambda one: rules.rank(one.value, one.epoch, one.number))[: rules.keep])


def _hopeless(prospects: Prospects) -> str:
    if prospects.infeasible_in_a_row >= INFEASIBLE_IN_A_ROW:
        mend = "widen the space, or relax `where`, `constraints` or the model"
        return f"{INFEASIBLE_IN_A_ROW} configurations in a row were infeasible; {mend}"
    failures = prospects.failures
    alike = {re.sub(r"\d+", "#", reason) for reason in failures}
    only_failures = not prospects.succeeded and prospects.counted == len(failures)
    if len(failures) == ALIKE and len(alike) == 1 and only_failures:
        return f"the first {ALIKE} trials failed alike: {failures[0]}"
    return ""
