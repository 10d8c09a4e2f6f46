"""Tests of `kerasweep.search.number_order`: where a window of trials meets a space that has an end."""

from __future__ import annotations

from typing import cast

from kerasweep.search.number_order import NumberOrder
from kerasweep.search.sampler import OptunaSampler, Proposal
from kerasweep.spaces.parameter import Choice, Number, identity
from kerasweep.spaces.trial import OutcomeKind

from ..contracts.samplers import ACCURACY, LiveSweep, space_of

KIND = Choice(name="kind", values=("plain", "deep"))
UNITS = Number(name="units", min=1, max=2, integer=True)


def grid() -> OptunaSampler:
    """Return a grid over what only models name."""
    return OptunaSampler(sampler="grid", seed=1, objective=ACCURACY, space=space_of([]))


def train(live: LiveSweep, number: int, proposal: Proposal) -> None:
    """Have a trial use what was proposed, and end."""
    live.use(number, proposal)
    live.report(number, [0.5])
    live.end(number, OutcomeKind.COMPLETED, 0.5)


def test_nothing_is_over_before_all_that_has_ended_is_known() -> None:
    """The last trial of a window may have shown parameters that make for more; a resumed sweep goes on alike."""
    live = LiveSweep(cast(OptunaSampler, NumberOrder(grid, 2)))
    both = [live.ask(0), live.ask(1)]
    for number, first in enumerate(both):
        train(live, number, live.round(number, first.params, [KIND]))
    deep = live.ask(2)
    assert deep.params == {identity(KIND): "deep"}
    more = live.round(2, deep.params, [UNITS])
    assert live.sampler.propose(3).end == "the grid is exhausted"  # as far as it knows; trial 2 still runs
    train(live, 2, more)
    left = live.sampler.propose(3)
    assert (left.end, left.params[identity(UNITS)]) == ("", 2)
    resumed = NumberOrder(grid, 2)
    for entry in live.entries:
        resumed.apply(entry)
    assert resumed.propose(3) == left
    others = NumberOrder(grid, 2)
    for entry in live.entries:
        others.apply(entry)
    assert others.propose(5) == left  # 3 and 4 confirm others, and are not told of
    live.ask(3)
    train(live, 3, left)
    assert live.sampler.propose(4).end == "the grid is exhausted"
