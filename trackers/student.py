"""Student's t: the interval of a mean, and Welch's test of whether one mean is below another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance

LEVEL = 0.95
"""Of every interval that is shown."""
HUGE = 1e50


def mean(values: Sequence[float]) -> float:
    """Return the mean, of the largest floats, too, whose sum is none."""
    (values,), unit = _scaled(values)
    return fmean(values) * unit


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the two-sided 95 % t interval of the mean of at least two values; None of fewer."""
    from scipy.special import stdtrit

    if len(values) < 2:
        return None
    (values,), unit = _scaled(values)
    middle, wide = fmean(values), float(stdtrit(len(values) - 1, (1 + LEVEL) / 2))
    half = wide * math.sqrt(variance(values) / len(values))
    return (middle - half) * unit, (middle + half) * unit


def below(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the p value of Welch's one-sided t test that `one` has the lower mean; 1 where it cannot be told.

    The test of Welch, Biometrika 34 (1947), with the degrees of freedom of Welch and Satterthwaite. Both need two
    values; where neither has any spread, the means decide.
    """
    from scipy.special import stdtr

    if len(one) < 2 or len(other) < 2:
        return 1.0
    (one, other), _ = _scaled(one, other)
    errors = [variance(values) / len(values) for values in (one, other)]
    difference, total = fmean(one) - fmean(other), sum(errors)
    if total == 0.0:
        return 0.0 if difference < 0 else 1.0
    shares = [error / total for error in errors]
    freedom = 1 / sum(share**2 / (len(values) - 1) for share, values in zip(shares, (one, other), strict=True))
    return float(stdtr(freedom, difference / math.sqrt(total)))


def _scaled(*samples: Sequence[float]) -> tuple[list[Sequence[float]], float]:
    """Return samples in a unit in which squares and their squares are finite, and that unit; 1 but for huge values."""
    largest = max(abs(value) for values in samples for value in values)
    unit = largest if largest > HUGE else 1.0
    return [values if unit == 1.0 else [value / unit for value in values] for values in samples], unit
