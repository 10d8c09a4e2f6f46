"""The search, decided purely: `step(state, event) -> (state, commands)`.

No clock, file, Ray or Optuna in here. Journaled events change the state; `SlotFree` and `Tick` only ask what is due
and leave the state as it is, so that replaying the journal gives the state that the live run had.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from ..spaces.trial import Cause, Outcome, OutcomeKind
from ..trackers.events import (
    AttemptEnded,
    AttemptStarted,
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
from .budget import booked, enough
from .confirm import Candidate
from .decisions import Close, Command, End, Pack, SlotFree, Step, Tick
from .judging import reported
from .next_trial import next_for_slot
from .outcomes import cut
from .packing import Packing, measured, ran_out
from .population import Turn
from .ranking import ranked, without_better
from .repeats import leading
from .state import Course, Live, Prospects, Retryable, Rules, State
from .stop import Ending, ended
from .window import settled


def step(state: State, event: Event | SlotFree | Tick, at: float = 0.0) -> Step:
    """Return the state after `event`, which was journaled at `at`, and what is to be done about it."""
    match event:
        case SlotFree():
            return state, (next_for_slot(state),)
        case Tick(at=now):
            return state, _due(state, now)
        case SweepStarted():
            return replace(state, session_at=at, last_at=at), ()
        case SweepResumed():
            return _on_resume(state, at), ()
        case _:
            now = max(at, state.last_at)
            state = replace(state, last_at=now, account=booked(state, event, now))
    match event:
        case TrialAsked():
            return _on_ask(state, event), ()
        case AttemptStarted(trial=number):
            return _on_start(state, event), ()
        case RoundEnded(trial=number):
            changes = {"params": event.params, "round": event.round + 1, "next_attempt": event.attempt}
            state = state.changed(number, placed=False, **changes)
            return replace(state, queue=(number, *state.queue)), ()
        case ParametersUsed():
            return _on_used(state, event)
        case Reported(trial=number, report=report):
            return _within_budget(reported(state, number, report, awaits_result=event.awaits_result))
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
            before = state.unamended or state.rules
            return replace(state, rules=state.rules.amended(settings), unamended=before, closing=opened), ()
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


def _due(state: State, now: float) -> tuple[Command, ...]:
    cancelled = state.closing is not None and state.closing.cancel
    reason = None if cancelled or state.finished else enough(state, now)
    if reason is None:
        return ()
    ends = (End(one, cut(state.live[one], state.rules, why)) for one, why in reason.done.items())
    return (*((Close(SweepClosing(why=reason.why)),) if reason.why and state.closing is None else ()), *ends)


def _within_budget(result: Step) -> Step:
    """Add what the budget asks for after an event that may have used up the last of it."""
    state, commands = result
    if any(isinstance(one, Close) for one in commands):
        return result
    ended = {one.number for one in commands if isinstance(one, End)}
    due = [one for one in _due(state, state.last_at) if not (isinstance(one, End) and one.number in ended)]
    return state, (*due, *commands)


def _on_resume(state: State, at: float) -> State:
    """Begin a session; a trial whose driver died between an attempt's end and the trial's own waits for a slot again."""
    state = settled(state)
    lost = (live.number for live in state.live.values() if not live.placed and live.number not in state.queue)
    return replace(
        state,
        rules=state.unamended or state.rules,
        unamended=None,
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
        live = replace(live, rungs=state.rungs, leader=state.leader, objective_seen=state.objective_seen)
    state = replace(state, asked=number + 1, live={**state.live, number: live}, queue=(*state.queue, number))
    if event.confirms is not None:
        return replace(state, confirming=state.confirming.ask(number, event.confirms))
    if state.rules.population is None:
        return state
    return replace(state, population=state.population.ask(number, event.donor))


def _prospects_of_next(state: State) -> Prospects:
    """Return those of a session that begins; in a window an interruption changes nothing, an end for want of any does."""
    ended_so = state.finished and state.closing is not None and state.closing.why == state.prospects.hopeless
    return state.prospects if state.rules.window is not None and not ended_so else state.prospects.renewed()


def _on_start(state: State, event: AttemptStarted) -> State:
    state = replace(state, queue=tuple(one for one in state.queue if one != event.trial))
    share = state.packing.share
    return state.changed(event.trial, attempt=event.attempt, round=event.round, share=share, placed=True)


def _on_used(state: State, event: ParametersUsed) -> Step:
    """Take in what was measured of the model; end a trial whose model breaks a constraint whatever it learns."""
    live = state.live.get(event.trial)
    if live is None or not event.facts:
        return state, ()
    goals = state.rules.goals
    state = state.changed(event.trial, seen=goals.built(live.seen, event.facts))
    refused = goals.refused(state.live[event.trial].seen)
    return state, () if refused is None else (End(event.trial, refused),)


def _on_attempt_end(state: State, event: AttemptEnded) -> Step:
    state = _on_losses(state, event.slot, lost=event.cause is Cause.LOST)
    live = state.live[event.trial]
    packed = ran_out(state.packing, live.share) if event.cause is Cause.OOM and event.traceback else None
    pack = () if packed is None else (Pack(packed),)  # one without a traceback was killed for the machine's own memory
    times = live.spent.get(event.cause, 0) + 1
    spent = {**live.spent, event.cause: times}
    state = state.changed(event.trial, placed=False, spent=spent, next_attempt=event.attempt + 1, round=0)
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
        point = state.rules.goals.point(outcome)
        return replace(state, confirming=state.confirming.end(outcome, live.number, point)), ()
    ending = _ending(live, outcome, state.rules)
    repeats = live.repeats if outcome.kind is OutcomeKind.COMPLETED and outcome.feasible else ()
    if state.rules.window is None:
        state = replace(
            state,
            rungs=ended(state.rules.stop, state.rungs, ending),
            leader=leading(state.leader, live.number, repeats, state.rules.repeats),
            account=without_better(state.account, state.best, state.rules, live.number, outcome),
        )
    else:
        state = _kept(state, live, Course(outcome=outcome, ending=ending, repeats=repeats))
    best = ranked(state.best, state.rules, live.number, outcome)
    state = replace(_learnt(state, live, outcome), counted=state.counted + outcome.counts, best=best)
    if outcome.retryable and state.rules.population is None:
        again = Retryable(live=live, outcome=outcome)
        state = replace(state, retryable={**state.retryable, event.trial: again})
    if state.rules.window is not None:
        return state, ()
    state = replace(state, prospects=state.prospects.after(outcome))
    why = "" if state.closing else state.prospects.hopeless
    return state, (Close(state.prospects.closing),) if why else ()


def _learnt(state: State, live: Live, outcome: Outcome) -> State:
    """Return the state with what a trial of the search leaves to those that are compared with it, or inherit."""
    rules, whole = state.rules, outcome.kind is OutcomeKind.COMPLETED
    turn = None
    if whole and live.last is not None and rules.population is not None:
        point = rules.goals.last_point(live.seen)
        turn = Turn(trial=live.number, epoch=live.epoch, point=point, seed=live.seed, params=live.params)
    failed = outcome.kind is not OutcomeKind.STOPPED
    state = replace(state, population=state.population.end(live.number, turn, failed=failed))
    if not rules.confirm.top or outcome.value is None or outcome.epoch is None or not math.isfinite(outcome.value):
        return state
    point = rules.goals.point(outcome)
    one = Candidate(number=live.number, point=point, epoch=outcome.epoch, params=live.params)
    return replace(state, confirming=state.confirming.enter(one, rules.confirm.top, folds=rules.folds))


def _kept(state: State, live: Live, course: Course) -> State:
    course = replace(course, standings=live.standings, objective_seen=live.objective_seen)
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
