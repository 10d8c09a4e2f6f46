"""Every configuration once, in order.

The order is that of the parameters as they became known (those of the sweep file first, as they stand there), the last
one's values changing first, each from its first value to its last. Only active parameters are enumerated: a branch
that is not taken multiplies nothing. What is next is the first that no trial has tried, so that a resumed sweep, one
that lost trials, or one whose model turns out to read more, goes on exactly; a parameter that only running `build(hp)`
brings to light is enumerated from then on.
"""

from __future__ import annotations

from typing import final

from ..spaces.parameter import Parameter
from ..spaces.prior import in_order, members
from .sampler import Ask, Proposal
from .study import Study
from .tried import is_searched

MANY_MEMBERS = 1_000_000
EXHAUSTED = "the grid is exhausted"


@final
class Grid:
    """Enumerates the space."""

    tries = 1

    def propose(self, ask: Ask, study: Study) -> Proposal:
        """Return the first configuration that is not refused."""
        parameters = study.space.parameters
        endless = [one for key, one in parameters.items() if key not in ask.pinned and not is_finite(one)]
        if endless:
            return Proposal(params={}, end=cannot_enumerate(endless[0].name), exit_code=2)
        if not any(map(is_searched, parameters.values())) and any(
            one.state.name == "COMPLETE" for one in study.trials()
        ):
            return Proposal(params={}, end=f"{EXHAUSTED}: nothing is searched")
        for params in in_order(study.space, MANY_MEMBERS, ask.pinned):
            if params is not None and not ask.refusal(params):
                return Proposal(params=params)
        return Proposal(params={}, end=EXHAUSTED)


def is_finite(parameter: Parameter) -> bool:
    """Say whether the parameter can be enumerated."""
    return members(parameter, MANY_MEMBERS) is not None


def cannot_enumerate(name: str) -> str:
    """Return why a parameter stands against a grid, and what to do."""
    return (
        f"a grid cannot enumerate {name!r}, a continuous range; give it a `step` or a list of values, "
        "or take another sampler, such as qmc"
    )
