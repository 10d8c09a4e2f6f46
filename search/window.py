"""Decisions in parallel that do not depend on who is faster: in a window of w, trial n knows of trials 0 … n - w.

It is proposed once these have ended, and judged at its rungs against them and nobody else. What other trials do
meanwhile is kept until its turn, which goes by number: so with w slots, in whatever order and at whatever time trials
report and end, the same ones are asked for, proposed alike and stopped alike.
"""

from __future__ import annotations

from dataclasses import replace

from .state import State
from .stop import Standing, ended


def due(state: State) -> bool:
    """Say whether all trials have ended that the next one is proposed from."""
    until = _until(state)
    return all(live.number > until for live in state.searched)


def settled(state: State) -> State:
    """Return the state with all taken in, by number, that the next trial is to know of; as it is without a window."""
    ahead, until = dict(state.ahead), _until(state)
    horizon, rungs, prospects, seen = state.horizon, state.rungs, state.prospects, state.objective_seen
    while horizon < until and (horizon + 1 in ahead or horizon + 1 in state.confirming.asked):
        horizon += 1
        if horizon not in ahead:  # it confirms another, and nobody learns from it
            continue
        course = ahead.pop(horizon)
        for standing in course.standings:
            rungs, _ = state.rules.stop.decide(rungs, standing)
        rungs = ended(state.rules.stop, rungs, course.ending)
        prospects = prospects.after(course.outcome)
        seen = seen or course.objective_seen
    return replace(state, horizon=horizon, rungs=rungs, prospects=prospects, objective_seen=seen, ahead=ahead)


def judged(state: State, standing: Standing) -> tuple[State, str]:
    """Return the state after a live trial was judged by what it knows of, and why it stops (empty: it goes on)."""
    live = state.live[standing.number]
    rungs, why = state.rules.stop.decide(live.rungs, standing)
    live = replace(live, rungs=rungs, standings=(*live.standings, standing))
    return replace(state, live={**state.live, live.number: live}), why


def _until(state: State) -> int:
    """Return the number of the last trial that the next one knows of; below 0 where there is none."""
    return -1 if state.rules.window is None else state.asked - state.rules.window
