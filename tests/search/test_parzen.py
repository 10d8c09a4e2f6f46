"""Tests of `kerasweep.search.parzen`: densities that sum to one, draws that follow them, Optuna's kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasweep.search.parzen import Array, Axis, Parzen, bandwidths, log_sum

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FLOAT = Axis(low=-2.0, high=3.0)
LOG = Axis(low=1e-5, high=1e-1, log=True)
INT = Axis(low=1, high=7, step=1, values=7)
LOG_INT = Axis(low=8, high=64, step=1, values=57, log=True)
STEPS = Axis(low=0.1, high=0.7, step=0.2, values=4)
CHOICE = Axis(low=0, high=3, step=1, values=4, categorical=True)
AXES = pytest.mark.parametrize(
    "axis", [FLOAT, LOG, INT, LOG_INT, STEPS, CHOICE], ids=["float", "log", "int", "log int", "steps", "choice"]
)


def points_of(axis: Axis, count: int, seed: int = 0) -> Array:
    """Return random points of an axis, as a column."""
    u = np.random.default_rng(seed).random(count)
    values = np.floor(u * axis.values) if axis.categorical else axis.value(u)
    return axis.unit(values)[:, None]


def support(axis: Axis) -> tuple[Array, Array]:
    """Return points that stand for the whole axis, and the share of it that each stands for."""
    if axis.categorical:
        return np.arange(axis.values, dtype=float), np.full(axis.values, 1 / axis.values)
    if not axis.step:
        return (np.arange(4000, dtype=float) + 0.5) / 4000, np.full(4000, 1 / 4000)
    values: Array = axis.low + axis.step * np.arange(axis.values, dtype=float)
    first, last = axis.cell(axis.unit(values))
    return axis.unit(values), last - first


def density(parzen: Parzen, samples: Array, columns: Sequence[int]) -> Array:
    """Return the density of the mixture."""
    return np.exp(log_sum(parzen.log_kernels(samples, columns) + parzen.log_weights))


@AXES
@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_a_density_sums_to_one(axis: Axis, count: int) -> None:
    """With few points and with many, and so does each kernel alone."""
    parzen = Parzen([axis], points_of(axis, count), np.ones(count))
    x, share = support(axis)
    kernels = np.exp(parzen.log_kernels(x[:, None], [0]))
    assert kernels.shape == (len(x), count + 1)
    assert share.sum() == pytest.approx(1)
    assert share @ kernels == pytest.approx(np.ones(count + 1), rel=1e-3)
    assert share @ density(parzen, x[:, None], [0]) == pytest.approx(1, rel=1e-3)


@AXES
def test_draws_follow_the_density(axis: Axis) -> None:
    """By the test of Kolmogorov and Smirnov or of chi-squared, at a fixed seed."""
    from scipy import stats

    parzen = Parzen([axis], points_of(axis, 3), np.ones(3))
    random = np.random.default_rng(1)
    kernels = random.choice(4, size=3000, p=np.exp(parzen.log_weights))
    draws = parzen.sample(kernels, [0], random)[:, 0]
    x, share = support(axis)
    mass = share * density(parzen, x[:, None], [0])
    if axis.step:
        counts = np.array([np.isclose(draws, one).sum() for one in x])
        assert counts.sum() == len(draws)
        often = mass * len(draws) >= 5
        expected = np.append(mass[often], mass[~often].sum()) * len(draws)
        seen = np.append(counts[often], counts[~often].sum())
        kept = expected > 0
        assert stats.chisquare(seen[kept], expected[kept] * seen.sum() / expected.sum()).pvalue > 1e-3
    else:

        def cumulative(at: Array) -> Array:
            return np.interp(at, x, np.cumsum(mass))

        assert stats.kstest(draws, cumulative).pvalue > 1e-3


def test_scales() -> None:
    """A logarithmic range has its geometric middle in the middle; a grid's ends stand half a step from the ends."""
    assert LOG.unit(np.array([1e-5, 1e-3, 1e-1])) == pytest.approx([0, 0.5, 1])
    assert INT.unit(np.array([1.0, 4.0, 7.0])) == pytest.approx([0.5 / 7, 0.5, 6.5 / 7])
    assert LOG_INT.cell(LOG_INT.unit(np.array([8.0])))[0] == pytest.approx([0])
    assert np.isnan(INT.unit(np.array([0.0, 8.0, np.nan]))).all()


@AXES
@settings(max_examples=30)
@given(u=st.floats(0, 1))
def test_values_are_in_bounds_and_on_the_grid(axis: Axis, u: float) -> None:
    """Any point between 0 and 1 is a value of the parameter, and lies where that value does."""
    at = np.array([math.floor(u * 3.999)] if axis.categorical else [u])
    (value,) = axis.value(at)
    assert axis.low <= value <= axis.high
    if axis.step:
        steps = (value - axis.low) / axis.step
        assert steps == pytest.approx(round(steps), abs=1e-9)
    assert axis.value(axis.unit(np.array([value]))) == pytest.approx([value])


def test_a_point_that_lacks_a_parameter_says_there_what_the_prior_says() -> None:
    """Its kernel is as broad as the prior's, and no neighbour of those that have one."""
    axes = [FLOAT, CHOICE]
    points = np.array([[0.2, np.nan], [np.nan, 2.0], [0.3, 1.0]])
    parzen = Parzen(axes, points, np.ones(3))
    samples = np.array([[0.25, 2.0], [0.9, 0.0]])
    first, second = parzen.log_kernels(samples, [0]), parzen.log_kernels(samples, [1])
    assert first[:, 1] == pytest.approx(first[:, 3])
    assert second[:, 0] == pytest.approx([0, 0])
    alone = Parzen(axes[:1], points[[0, 2], :1], np.ones(2))
    assert first[:, [0, 2]] == pytest.approx(alone.log_kernels(samples, [0])[:, :2])


def test_a_joint_density_keeps_what_goes_together() -> None:
    """Two clusters on a diagonal: the corners off it are improbable, though each value alone is common."""
    points = np.array([[0.2, 0.2], [0.21, 0.19], [0.22, 0.2]] * 4 + [[0.8, 0.8], [0.81, 0.79], [0.82, 0.8]] * 4)
    parzen = Parzen([FLOAT, FLOAT], points, np.ones(len(points)))
    on, off = density(parzen, np.array([[0.2, 0.2], [0.2, 0.8]]), [0, 1])
    assert on > 10 * off
    grid = (np.arange(60) + 0.5) / 60
    everywhere = np.array([[x, y] for x in grid for y in grid])
    assert density(parzen, everywhere, [0, 1]).mean() == pytest.approx(1, rel=1e-2)


def test_widths_are_the_distance_to_the_farther_neighbour_within_bounds() -> None:
    """Never narrower than the share of the range that as many kernels would have; a lone point reaches the far end."""
    x = np.array([[0.1], [0.5], [0.45], [0.5]])
    assert bandwidths(x, np.array([4]))[:, 0] == pytest.approx([0.35, 1 / 6, 0.35, 1 / 6])
    assert bandwidths(np.array([[0.3]]), np.array([1])) == pytest.approx(0.7)
    assert bandwidths(np.array([[np.nan]]), np.array([0])) == pytest.approx(1)


@pytest.mark.parametrize("axis", [INT, LOG_INT, STEPS], ids=["int", "log int", "steps"])
def test_a_kernel_on_a_grid_reaches_the_values_beside_its_own(axis: Axis) -> None:
    """However many trials had the same value, and however sharp kernels may be; a tenth or so goes to either side."""
    values: Array = axis.low + axis.step * np.arange(axis.values, dtype=float)
    x, share = support(axis)
    middle = axis.values // 2
    parzen = Parzen([axis], np.full((30, 1), axis.unit(values[middle : middle + 1])[0]), np.ones(30), sharpness=3.0)
    mass = share * np.exp(parzen.log_kernels(x[:, None], [0])[:, 15])
    assert mass[middle] < 0.85
    assert min(mass[middle - 1], mass[middle + 1]) > 0.05


def optunas() -> Sequence[BaseDistribution]:
    """Return one distribution of each kind."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    return [
        FloatDistribution(-2.0, 3.0),
        FloatDistribution(1e-5, 1e-1, log=True),
        FloatDistribution(0.1, 0.7, step=0.2),
        IntDistribution(1, 7),
        IntDistribution(8, 64, log=True),
        CategoricalDistribution(["a", "b", "c", "d"]),
    ]


def test_the_density_is_that_of_optuna() -> None:
    """Over all kinds of parameters together, but for the volume that a uniform density has in each scale.

    No value comes twice: between two alike Optuna gives the widths out as its sort happens to fall.
    """
    from optuna.samplers._tpe.parzen_estimator import (  # pyright: ignore[reportPrivateUsage]
        _ParzenEstimator,  # pyright: ignore[reportPrivateUsage]
        _ParzenEstimatorParameters,  # pyright: ignore[reportPrivateUsage]
    )
    from optuna.samplers._tpe.sampler import default_weights

    axes = [Axis.of(one) for one in optunas()]
    names = [str(place) for place in range(len(axes))]
    random = np.random.default_rng(0)
    unit = np.column_stack([random.permutation(support(axis)[0])[:4] for axis in axes])
    values: dict[str, Any] = {
        name: axis.value(unit[:, place]) for place, (name, axis) in enumerate(zip(names, axes, strict=True))
    }
    settings = _ParzenEstimatorParameters(
        prior_weight=1.0, consider_magic_clip=True, consider_endpoints=False, weights=default_weights, multivariate=True
    )
    theirs = _ParzenEstimator(values, dict(zip(names, optunas(), strict=True)), settings)
    ours = Parzen(axes, unit, np.ones(4))
    samples = np.hstack([points_of(axis, 50, seed + 10) for seed, axis in enumerate(axes)])
    columns = range(len(axes))
    drawn: dict[str, Any] = {
        name: axis.value(samples[:, place]) for place, (name, axis) in enumerate(zip(names, axes, strict=True))
    }
    volume = np.zeros(50)
    for place, axis in enumerate(axes):
        if axis.categorical:
            volume += math.log(axis.values)
        elif axis.step:
            first, last = axis.cell(samples[:, place])
            volume -= np.log(last - first)
        else:
            volume += math.log(math.log(axis.high / axis.low) if axis.log else axis.high - axis.low)
    density = log_sum(ours.log_kernels(samples, columns) + ours.log_weights)
    assert density == pytest.approx(theirs.log_pdf(drawn) + volume, abs=1e-6)
