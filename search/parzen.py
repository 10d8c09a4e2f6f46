"""Parzen estimators of a tree of parameters: mixtures of kernels, one for each configuration that was seen.

Every parameter lies on the unit interval: a range in its own scale (log or linear), a grid as adjacent cells, each as
wide as its value's share of that scale, a choice as the number of its category. All densities are relative to the
uniform one, so that a parameter which a configuration lacks is a factor of 1, and so that densities over different
branches compare.

The kernels are those of Optuna 5: Gaussians cut off at the ends, as wide as the distance to the farther neighbour and
at least a hundredth of the range or more where there are few (Bergstra et al., NeurIPS 2011), categories with a mass
on the one that was seen; and one broad kernel for the prior. On a grid they are wide enough, besides, to reach the
values beside the one that was seen: one that does not draws what has been tried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np
from numpy.typing import NDArray
from scipy import special

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Array = NDArray[np.float64]

OF_A_CELL = 0.4
"""A kernel on a grid is at least so wide, as a share of its cell; four of five draws then stay in the cell."""
LOG_SQRT_2_PI = 0.5 * math.log(2 * math.pi)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One parameter between 0 and 1; `values`: how many it has, 0 for a continuous one."""

    low: float
    high: float
    log: bool = False
    step: float = 0.0
    values: int = 0
    categorical: bool = False

    @classmethod
    def of(cls, distribution: BaseDistribution) -> Axis:
        """Return the axis of a distribution of Optuna's."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        match distribution:
            case CategoricalDistribution(choices=choices):
                return cls(low=0, high=len(choices) - 1, step=1.0, values=len(choices), categorical=True)
            case IntDistribution() | FloatDistribution():
                step = distribution.step or 0.0
                values = round((distribution.high - distribution.low) / step) + 1 if step else 0
                low, high = float(distribution.low), float(distribution.high)
                return cls(low=low, high=high, log=distribution.log, step=step, values=values)
            case _:
                raise TypeError(f"no axis for {distribution}")

    def holds(self, x: Array) -> NDArray[np.bool_]:
        """Say which of these internal values are in the range; NaN is not."""
        slack = self.step / 2  # 0.1 + 3 * 0.2 is above 0.7
        return (x >= self.low - slack) & (x <= self.high + slack)

    def unit(self, x: Array) -> Array:
        """Return where internal values lie; NaN for those outside of the range. A category stays as it is."""
        inside = np.where(self.holds(x), x, np.nan)
        return inside if self.categorical else self._scaled(inside)

    def value(self, u: Array) -> Array:
        """Return the internal values that lie there, on the grid if there is one."""
        if self.categorical:
            return u
        first, last = self._ends
        x = first + u * (last - first)
        x = np.exp(x) if self.log else x
        if self.step:
            x = self.low + np.round((x - self.low) / self.step) * self.step
        return np.clip(x, self.low, self.high)

    def cell(self, u: Array) -> tuple[Array, Array]:
        """Return where the cells of grid values at `u` begin and end."""
        x, half = self.value(u), self.step / 2
        return self._scaled(x - half), self._scaled(x + half)

    @property
    def _ends(self) -> tuple[float, float]:
        low, high = self.low - self.step / 2, self.high + self.step / 2
        return (math.log(low), math.log(high)) if self.log else (low, high)

    def _scaled(self, x: Array) -> Array:
        first, last = self._ends
        return np.clip(((np.log(x) if self.log else x) - first) / max(last - first, 1e-300), 0.0, 1.0)


@final
class Parzen:
    """A density over some parameters: `points` (configurations, parameters) with weights, and the prior's weight of 1.

    A NaN is a parameter that the configuration lacks: its kernel says there what the prior says. With a `sharpness` of
    n, kernels may be as narrow as if there were n times as many.
    """

    def __init__(self, axes: Sequence[Axis], points: Array, weights: Array, sharpness: float = 1.0) -> None:
        self._sharpness = sharpness
        self._axes = axes
        self._points = np.vstack([points, np.full((1, len(axes)), np.nan)])
        self._counts = np.isfinite(points).sum(axis=0)
        with np.errstate(divide="ignore"):
            self.log_weights = np.log(np.append(weights, 1.0) / (weights.sum() + 1.0))

    @cached_property
    def _numeric(self) -> tuple[Array, Array, Array, Array]:
        """Centres, widths, mass below 0 and mass in the unit interval, by kernel and parameter."""
        points = self._points
        widths = bandwidths(points, self._counts, self._sharpness, self._least_widths())
        centres = np.where(np.isfinite(points), points, 0.5)
        below = ndtr(-centres / widths)
        return centres, widths, below, ndtr((1 - centres) / widths) - below

    def _least_widths(self) -> Array:
        """Return how wide each kernel has to be to reach beyond its cell of a grid, by parameter."""
        least = np.zeros_like(self._points)
        for column, axis in enumerate(self._axes):
            if axis.step and not axis.categorical:
                first, last = axis.cell(self._points[:, column])
                least[:, column] = OF_A_CELL * (last - first)
        return least

    def log_kernels(self, samples: Array, columns: Sequence[int]) -> Array:
        """Return (samples, kernels): the logarithm of each kernel's density at the samples in these parameters."""
        total = np.zeros((len(samples), len(self._points)))
        for place, column in enumerate(columns):
            total += self._log_kernel(samples[:, place], column)
        return total

    def _log_kernel(self, x: Array, column: int) -> Array:
        axis, points = self._axes[column], self._points[:, column]
        if not axis.categorical:
            return self._log_gaussian(axis, x, column)
        smoothing = 1.0 / (self._counts[column] + 1)
        scale = axis.values / (1 + axis.values * smoothing)
        seen = np.where(x[:, None] == points, math.log(scale * (1 + smoothing)), math.log(scale * smoothing))
        return np.where(np.isfinite(points), seen, 0.0)

    def _log_gaussian(self, axis: Axis, x: Array, column: int) -> Array:
        centres, widths, _, masses = (one[:, column] for one in self._numeric)
        if not axis.step:
            return -0.5 * ((x[:, None] - centres) / widths) ** 2 - (LOG_SQRT_2_PI + np.log(widths * masses))
        cells, inverse = np.unique(x, return_inverse=True)
        first, last = axis.cell(cells)
        mass = ndtr((last[:, None] - centres) / widths) - ndtr((first[:, None] - centres) / widths)
        share = (last - first)[:, None]
        return np.log(np.maximum(mass / (masses * share), 1e-300))[inverse]

    def sample(self, kernels: NDArray[np.intp], columns: Sequence[int], random: np.random.Generator) -> Array:
        """Return (kernels, columns): a draw from each kernel in these parameters, on the unit interval and the grid."""
        result = np.empty((len(kernels), len(columns)))
        for place, column in enumerate(columns):
            axis, u = self._axes[column], random.random(len(kernels))
            if axis.categorical:
                result[:, place] = self._categories(axis, self._points[kernels, column], column, u)
            else:
                result[:, place] = self._gaussian(axis, kernels, column, u)
        return result

    def _categories(self, axis: Axis, seen: Array, column: int, u: Array) -> Array:
        smoothing = 1.0 / (self._counts[column] + 1)
        share = 1 / (1 + axis.values * smoothing)  # of the category that was seen, beside the uniform rest
        uniform = np.floor((u - share) / (1 - share) * axis.values)
        result = np.where(u < share, seen, uniform)
        result = np.where(np.isfinite(seen), result, np.floor(u * axis.values))
        return np.clip(result, 0, axis.values - 1)

    def _gaussian(self, axis: Axis, kernels: NDArray[np.intp], column: int, u: Array) -> Array:
        centres, widths, below, masses = (one[kernels, column] for one in self._numeric)
        x = np.clip(centres + widths * ndtri(below + u * masses), 0.0, 1.0)
        return axis.unit(axis.value(x)) if axis.step else x


def bandwidths(points: Array, counts: NDArray[np.intp], sharpness: float = 1.0, least: Array | float = 0.0) -> Array:
    """Return the width of each kernel: the distance to the farther neighbour, within bounds; 1 without a value."""
    filled = np.where(np.isfinite(points), points, np.inf)
    order = np.argsort(filled, axis=0, kind="stable")
    ranked = np.take_along_axis(filled, order, axis=0)
    with np.errstate(invalid="ignore"):
        gaps = np.diff(ranked, axis=0)
    gaps = np.where(np.isfinite(gaps), gaps, 0.0)
    edge = np.zeros((1, points.shape[1]))
    widths = np.empty_like(points)
    np.put_along_axis(widths, order, np.maximum(np.vstack([edge, gaps]), np.vstack([gaps, edge])), axis=0)
    widths = np.where(counts == 1, np.maximum(points, 1 - points), widths)
    widths = np.clip(widths, np.maximum(1.0 / np.minimum(100, 2 + counts * sharpness), least), 1.0)
    return np.where(np.isfinite(points), widths, 1.0)


def ndtr(x: Array) -> Array:
    """Return the mass of the standard normal distribution below `x`."""
    return cast(Any, special).ndtr(x)


def ndtri(mass: Array) -> Array:
    """Return below what the standard normal distribution has that mass."""
    return cast(Any, special).ndtri(mass)


def log_sum(x: Array) -> Array:
    """Return the logarithm of the sum of exponentials over the last axis."""
    top = x.max(axis=-1)
    return np.log(np.exp(x - top[..., None]).sum(axis=-1)) + top
