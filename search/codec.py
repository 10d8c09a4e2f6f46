"""Between our parameters and Optuna's distributions, exactly: in bounds, on the grid, back to the very value.

What Optuna has no form for becomes an index (a step under logarithmic sampling, an ordered choice) or is mirrored
(reverse-log); nobody but Optuna ever sees those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..spaces.parameter import Categories, Interval, Parameter, Steps
from ..spaces.trial import Scalar

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def distribution(parameter: Parameter) -> BaseDistribution:
    """Return what Optuna samples for the parameter."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match parameter.domain:
        case Interval(integer=True) as domain:
            return IntDistribution(int(domain.low), int(domain.high), log=domain.log)
        case Interval() as domain:
            return FloatDistribution(domain.low, domain.high, log=domain.log)
        case Steps(values=values):
            return IntDistribution(0, len(values) - 1)
        case Categories(values=values):
            return CategoricalDistribution(tuple(range(len(values))))


def decode(parameter: Parameter, internal: float) -> Scalar:
    """Return the parameter's value for what Optuna chose."""
    match parameter.domain:
        case Interval() as domain:
            value = domain.low + domain.high - internal if domain.mirrored else internal
            value = min(max(value, domain.low), domain.high)
            return int(value) if domain.integer else float(value)
        case Steps(values=values) | Categories(values=values):
            return values[int(internal)]


def encode(parameter: Parameter, value: Scalar) -> float | None:
    """Return what Optuna would have had to choose for `value`, or None where it could not have."""
    match parameter.domain:
        case Interval() as domain:
            if isinstance(value, str) or not domain.low <= value <= domain.high:
                return None
            number = domain.low + domain.high - value if domain.mirrored else value
            number = min(max(number, domain.low), domain.high)  # 0.1 + 0.7 - 0.7 is below 0.1
            return int(number) if domain.integer else float(number)
        case Steps(values=values) | Categories(values=values):
            alike = [index for index, one in enumerate(values) if one == value and _is_text(one) == _is_text(value)]
            exact = [index for index in alike if type(values[index]) is type(value)]
            return next(iter([*exact, *alike]), None)


def _is_text(value: Scalar) -> bool:
    return isinstance(value, str)
