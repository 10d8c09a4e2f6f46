"""Every configuration once, in order.

The order is that of the parameters as they became known (those of the sweep file first, as they stand there), the last
one's values changing first, each from its first value to its last. Only active parameters are enumerated: a branch
that is not taken multiplies nothing. What is next is the first that no trial has tried, so that a resumed sweep, one
that lost trials, or one whose model turns out to read more, goes on exactly; a parameter that only running `build(hp)`
brings to light is enumerated from then on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from ..spaces.known import Known
from ..spaces.parameter import Parameter
from ..spaces.prior import in_order, members
from ..spaces.trial import Scalar
from .sampler import Ask, Proposal
from .study import Study
from .tried import is_searched

Params = dict[str, Scalar]

MANY_MEMBERS = 1_000_000
EXHAUSTED = "the grid is exhausted"


@final
class Grid:
    """Enumerates the space."""

    tries = 1

    def __init__(self) -> None:
        self._ahead: tuple[object, Iterator[Params | None], Params | None] | None = None
        """Where the first was found that was not refused: what stands before it will be refused again."""

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
        params = self._first(ask, study.space)
        return Proposal(params={}, end=EXHAUSTED) if params is None else Proposal(params=params)

    def _first(self, ask: Ask, space: Known) -> Params | None:
        if ask.pinned:
            every = in_order(space, MANY_MEMBERS, ask.pinned)
            return next((one for one in every if one is not None and not ask.refusal(one)), None)
        told = (list(space.parameters), ask.released)
        if self._ahead is None or self._ahead[0] != told:
            every = in_order(space, MANY_MEMBERS)
            self._ahead = told, every, next(every, None)
        _, every, params = self._ahead
        while params is not None and ask.refusal(params):
            params = next(every, None)
        self._ahead = told, every, params
        return params


def is_finite(parameter: Parameter) -> bool:
    """Say whether the parameter can be enumerated."""
    return members(parameter, MANY_MEMBERS) is not None


def cannot_enumerate(name: str) -> str:
    """Return why a parameter stands against a grid, and what to do."""
    return (
        f"a grid cannot enumerate {name!r}, a continuous range; give it a `step` or a list of values, "
        "or take another sampler, such as qmc"
    )
