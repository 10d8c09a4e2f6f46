"""A Gaussian process over a mixed space with inactive parameters, small enough to be fitted anew for each proposal.

The kernel is Matérn 5/2 with a length scale of its own for each parameter (ARD). Configurations are points of the unit
cube as `parzen.Axis` has them; of a choice, it counts only whether it is the same; a parameter that a configuration
lacks stands in the middle, so that it makes no difference between two that both lack it.

Length scales, variance and noise are those of highest posterior density, by L-BFGS with the exact gradient. Length
scales grow with the root of the number of parameters beforehand, as distances do (Hvarfner et al., Vanilla Bayesian
optimization performs great in high dimensions, ICML 2024).
"""

from __future__ import annotations

import math
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, special
from scipy.spatial import distance

from .parzen import Array

FITTED = 80
"""The parameters of the kernel are fitted to so many points at most, evenly picked."""
ITERATIONS = 12
"""Of L-BFGS."""
LENGTH, LENGTH_SPREAD = -0.5, 1.0
"""Prior mean and deviation of a length scale's logarithm, the mean for one parameter."""
VARIANCE_SPREAD = 0.7
"""Prior deviation of the logarithm of the variance, whose mean is that of 1: values are standardized."""
NOISE, NOISE_SPREAD = math.log(0.05), 1.5
"""Prior mean and deviation of the logarithm of the noise's variance."""
LEAST_NOISE = 1e-6

_distance: Any = distance
_linalg: Any = linalg
_optimize: Any = optimize


@final
class GaussianProcess:
    """A posterior over functions, given standardized values at some points."""

    def __init__(self, points: Array, values: Array, categorical: NDArray[np.bool_]) -> None:
        """Fit it; `evidence` is the logarithm of how likely the values are, all in all.

        Args:
            points: (points, parameters), without NaN.
            values: (points,), of mean 0 and variance 1.
            categorical: (parameters,), whether there is nothing but same and other.
        """
        self._points = points
        self._categorical = categorical
        self._precisions, self._variance, self._noise, self.evidence = self._fit(values)
        self._condition(values)

    def believe(self, points: Array) -> None:
        """Take in points (points, parameters) whose values are awaited, as if they came to what is expected there."""
        seen = self._factor @ (self._factor.T @ self._weights)
        values = np.append(seen, self.predict(points)[0])
        self._points = np.vstack([self._points, points])
        self._condition(values)

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Return the mean and the variance of the function, without noise, at points (points, parameters)."""
        covariance = self._covariance(points, self._points)
        explained = _linalg.solve_triangular(self._factor, covariance.T, lower=True, check_finite=False)
        return covariance @ self._weights, np.maximum(self._variance - (explained**2).sum(axis=0), 1e-9)

    def _condition(self, values: Array) -> None:
        covariance = self._covariance(self._points, self._points)
        covariance[np.diag_indices_from(covariance)] += self._noise
        self._factor: Array = _linalg.cholesky(covariance, lower=True, check_finite=False)
        self._weights: Array = _linalg.cho_solve((self._factor, True), values, check_finite=False)

    def _covariance(self, points: Array, others: Array) -> Array:
        """Return (points, others): the covariances of the function."""
        numbers = ~self._categorical
        scales = np.sqrt(self._precisions[numbers])
        squares: Array = _distance.cdist(points[:, numbers] * scales, others[:, numbers] * scales, "sqeuclidean")
        for place in np.flatnonzero(self._categorical):
            squares += self._precisions[place] * (points[:, place, None] != others[:, place])
        return self._variance * matern(squares)[0]

    def _gaps(self, points: Array) -> Array:
        """Return (parameters, points, points): the squared distances in each parameter."""
        gaps = points.T[:, :, None] - points.T[:, None, :]
        gaps[self._categorical] = gaps[self._categorical] != 0
        return gaps * gaps

    def _fit(self, values: Array) -> tuple[Array, float, float, float]:
        """Return the squared inverse length scales, the variance, the noise's variance and the evidence."""
        points, total = self._points, len(self._points)
        if len(points) > FITTED:
            picked = np.linspace(0, len(points) - 1, FITTED).round().astype(np.intp)
            points, values = points[picked], values[picked]
        count = points.shape[1]
        gaps = self._gaps(points)
        flat = gaps.reshape(count, -1)
        identity = np.eye(len(points))
        means = np.array([LENGTH + 0.5 * math.log(count)] * count + [0.0, NOISE])
        spreads = np.array([LENGTH_SPREAD] * count + [VARIANCE_SPREAD, NOISE_SPREAD])

        def loss(logs: Array) -> tuple[float, Array]:
            """Return the negative logarithm of the posterior density, and its gradient."""
            precisions, variance = np.exp(-2 * logs[:count]), math.exp(logs[count])
            noise = math.exp(logs[count + 1])
            correlation, slope = matern(np.tensordot(precisions, gaps, 1))
            factor = _linalg.cholesky(
                variance * correlation + (noise + LEAST_NOISE) * identity, lower=True, check_finite=False
            )
            weights = _linalg.cho_solve((factor, True), values, check_finite=False)
            excess = np.outer(weights, weights) - _linalg.cho_solve((factor, True), identity, check_finite=False)
            gradient = np.empty_like(logs)
            gradient[:count] = -0.5 * variance * precisions * (flat @ (excess * slope).ravel())
            gradient[count] = -0.5 * variance * (excess * correlation).sum()
            gradient[count + 1] = -0.5 * noise * np.trace(excess)
            off = (logs - means) / spreads
            fit = 0.5 * values @ weights + np.log(np.diag(factor)).sum() + 0.5 * off @ off
            return float(fit), gradient + off / spreads

        bounds = [(one - 4 * spread, one + 4 * spread) for one, spread in zip(means, spreads, strict=True)]
        found = _optimize.minimize(
            loss, means, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS}
        )
        logs: Array = found.x
        evidence = -float(found.fun) * total / len(points)
        return np.exp(-2 * logs[:count]), math.exp(logs[count]), math.exp(logs[count + 1]) + LEAST_NOISE, evidence


def matern(squares: Array) -> tuple[Array, Array]:
    """Return Matérn 5/2 correlations at squared distances in length scales, and their slope.

    The slope is that by the logarithm of a length scale, for each unit of squared distance that is due to its parameter.
    """
    far = np.sqrt(5 * squares)
    decay = np.exp(-far)
    return (1 + far + far**2 / 3) * decay, 5 / 3 * (1 + far) * decay


def log_expected_improvement(mean: Array, variance: Array, best: float) -> Array:
    """Return the logarithm of how far below `best` a value is expected to be, exact also where that is next to nothing.

    With its asymptote where the two terms of expected improvement cancel (Ament et al., Unexpected improvements to
    expected improvement, NeurIPS 2023).
    """
    deviation = np.sqrt(variance)
    z = (best - mean) / deviation
    near = np.maximum(z, -6.0)
    density = np.exp(-0.5 * near**2) / math.sqrt(2 * math.pi)
    gain = np.log(density + near * special.ndtr(near))
    far = -0.5 * z**2 - 0.5 * math.log(2 * math.pi) - 2 * np.log(np.maximum(-z, 1.0))
    return np.where(z > -6.0, gain, far) + np.log(deviation)
