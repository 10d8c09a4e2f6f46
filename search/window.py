"""Decisions in parallel that do not depend on who is faster: in a window of w, trial n knows of trials 0 … n - w.

It is proposed once these have ended, and judged at its rungs against them and nobody else. What other trials do
meanwhile is kept until its turn, which goes by number: so with w slots, in whatever order and at whatever time trials
report and end, the same ones are asked for, proposed alike and stopped alike.
"""

from __future__ import annotations

from dataclasses import replace

from .budget import over
from .ranking import ranked, without_better
from .repeats import leading
from .state import Course, State
from .stop import Standing, ended


def due(state: State) -> bool:
    """Say whether all trials have ended that the next one is proposed from."""
    until = _until(state)
    return all(live.number > until for live in state.searched)


def settled(state: State) -> State:
    """Return the state with all taken in, by number, that the next trial is to know of; as it is without a window.

    Where that ends the search, what comes after is not taken in: there is no next trial, unless the budget is changed.
    """
    until = _until(state)
    while state.horizon < until and not over(state):
        number = state.horizon + 1
        if number in state.ahead:
            state = _taken_in(state, number, state.ahead[number])
        elif number in state.confirming.asked:  # it confirms another, and nobody learns from it
            state = replace(state, horizon=number)
        else:
            break
    return state


def _taken_in(state: State, number: int, course: Course) -> State:
    rules, rungs, outcome = state.rules, state.rungs, course.outcome
    for standing in course.standings:
        rungs, _ = rules.stop.decide(rungs, standing)
    return replace(
        state,
        horizon=number,
        rungs=ended(rules.stop, rungs, course.ending),
        leader=leading(state.leader, number, course.repeats, rules.repeats),
        prospects=state.prospects.after(outcome),
        objective_seen=state.objective_seen or course.objective_seen,
        account=without_better(state.account, state.found, rules, number, outcome),
        found=ranked(state.found, rules, number, outcome),
        ahead={one: there for one, there in state.ahead.items() if one != number},
    )


def judged(state: State, standing: Standing) -> tuple[State, str]:
    """Return the state after a live trial was judged by what it knows of, and why it stops (empty: it goes on)."""
    live = state.live[standing.number]
    rungs, why = state.rules.stop.decide(live.rungs, standing)
    live = replace(live, rungs=rungs, standings=(*live.standings, standing))
    return replace(state, live={**state.live, live.number: live}), why


def _until(state: State) -> int:
    """Return the number of the last trial that the next one knows of; below 0 where there is none."""
    return -1 if state.rules.window is None else state.asked - state.rules.window
