"""What a slot with nothing to do gets next: a waiting trial, a new one, a confirmation, or the end."""

from __future__ import annotations

from ..trackers.events import SweepClosing
from .budget import limits_used, over
from .decisions import Ask, Close, Command, End, Finish, Start, Wait
from .outcomes import cut
from .state import State
from .window import due, settled


def next_for_slot(state: State) -> Command:
    """Return what a slot that has nothing to do gets, as things stand."""
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
    confirms = None if state.searched else state.confirming.next(state.rules.confirm, folds=state.rules.folds)
    if confirms is not None:
        return Ask(state.asked, confirms=confirms)
    if state.live:
        return Wait(last=not (state.searched and state.rules.confirm.top))
    return Finish(why, exit_code or _exit_code(state))


def _next_in_window(state: State) -> Command:
    """Ask once all have ended that the next trial is proposed from; where these end the search, once all others have."""
    if not due(state):
        return Wait()
    known = settled(state)
    hopeless, why = known.prospects.hopeless, over(known)
    if not hopeless and not why:
        return Ask(state.asked)
    if state.live:
        return Wait(last=bool(hopeless) or not state.rules.confirm.top)
    return Close(known.prospects.closing if hopeless else SweepClosing(why=why))


def _while_closing(state: State, closing: SweepClosing) -> Command:
    if closing.cancel:
        return Wait(last=True) if state.placed else Finish(closing.why, closing.exit_code or _exit_code(state))
    waiting = [state.live[number] for number in state.queue]
    for live in waiting:
        if live.confirms is None:
            return End(live.number, cut(live, state.rules, closing.why))
    if waiting and not state.searched:
        placed = [live.number for live in state.placed]
        alone = any(map(state.needs_all, [*placed, waiting[0].number]))
        return Wait() if placed and alone else Start(waiting[0].number)
    return _after_search(state, closing.why, closing.exit_code)


def _exit_code(state: State) -> int:
    return 0 if state.best else 1
