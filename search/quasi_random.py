"""Points of a low-discrepancy sequence: trial n gets point n, whoever asked before.

Sobol's sequence, one dimension for each known parameter in the order in which they became known, so that one that is
found late takes the next dimension and changes no other. Each dimension is shifted digit by digit (exclusive or with
32 random bits of its own, from the seed), which keeps the sequence as even as it was. A point that is refused is drawn
from the same place of a sequence that is shifted otherwise.
"""

from __future__ import annotations

import math
from typing import final

from ..spaces.parameter import Fixed, Parameter
from ..spaces.prior import at_quantile
from ..spaces.trial import Scalar
from .sampler import Ask, Proposal, derived_seed
from .study import Study

BITS = 30
"""Of Sobol's points in SciPy; the sequence has as many of them as numbers of so many bits."""


@final
class Sobol:
    """Covers the space evenly, and learns nothing."""

    tries = 20

    def propose(self, ask: Ask, study: Study) -> Proposal:
        """Return the parameters at the point of the trial's number; a value in log sampling is even in the logarithm."""
        parameters = [key for key, one in study.space.parameters.items() if not isinstance(one, Fixed)]
        digits = dict(zip(parameters, _point(ask.number, len(parameters)), strict=True))

        def draw(key: str, parameter: Parameter) -> Scalar:
            shift = derived_seed(ask.seed, key, ask.attempt, "sobol") >> (32 - BITS)
            return at_quantile(parameter, ((digits[key] ^ shift) + 0.5) / 2**BITS)

        return Proposal(params=study.space.walk(draw, dict(ask.pinned)))


def _point(index: int, dimensions: int) -> list[int]:
    """Return the digits of a point of the sequence, as whole numbers below 2**BITS."""
    if not dimensions:
        return []
    from scipy.stats import qmc

    engine = qmc.Sobol(dimensions, scramble=False, bits=BITS)
    if index:
        engine.fast_forward(index)
    return [math.floor(one * 2**BITS) for one in engine.random(1)[0].tolist()]
