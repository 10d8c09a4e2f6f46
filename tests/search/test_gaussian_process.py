"""Tests of `kerasweep.search.gaussian_process`: the posterior of textbooks, length scales that fit, exact tails."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kerasweep.search.gaussian_process import GaussianProcess, log_expected_improvement, matern
from kerasweep.search.parzen import Array

NUMBERS = np.array([False, False])


def standard(values: Array) -> Array:
    """Return values of mean 0 and variance 1."""
    return (values - values.mean()) / values.std()


def test_correlations_are_those_of_matern() -> None:
    """(1 + √5 r + 5 r² / 3) exp(-√5 r), r the distance in length scales."""
    found, _ = matern(np.array([0.41]))
    r = math.sqrt(0.41)
    assert found[0] == pytest.approx((1 + math.sqrt(5) * r + 5 * r * r / 3) * math.exp(-math.sqrt(5) * r))


def test_the_slope_is_that_of_the_correlation_by_the_logarithm_of_a_length_scale() -> None:
    """Against a finite difference, for one of two parameters."""

    def squares(log: float) -> Array:
        return np.array([0.04 * math.exp(-2 * log) + 0.25])

    _, slope = matern(squares(-0.7))
    up, down = (matern(squares(-0.7 + step))[0][0] for step in (1e-6, -1e-6))
    assert (up - down) / 2e-6 == pytest.approx(slope[0] * 0.04 * math.exp(1.4), rel=1e-6)


def test_a_smooth_function_is_learned_from_few_points() -> None:
    """Nearly exact between the points, uncertain far from them."""
    random = np.random.default_rng(0)
    points = random.random((40, 2)) * 0.5
    new = random.random((20, 2)) * 0.5

    def function(x: Array) -> Array:
        return np.sin(3 * x[:, 0]) + x[:, 1] ** 2

    values = function(points)
    model = GaussianProcess(points, standard(values), NUMBERS)
    mean, variance = model.predict(new)
    assert mean * values.std() + values.mean() == pytest.approx(function(new), abs=0.05)
    assert model.predict(np.array([[1.0, 1.0]]))[1][0] > 10 * variance.max()


def test_a_parameter_that_makes_no_difference_gets_a_long_scale() -> None:
    """What is predicted changes with the one that does."""
    points = np.random.default_rng(1).random((50, 2))
    model = GaussianProcess(points, standard(np.cos(4 * points[:, 0])), NUMBERS)
    corners = np.array([[0.1, 0.5], [0.9, 0.5], [0.5, 0.1], [0.5, 0.9]])
    mean, _ = model.predict(corners)
    assert abs(mean[0] - mean[1]) > 20 * abs(mean[2] - mean[3])


def test_categories_have_no_order() -> None:
    """What is learned of two says the same of any third."""
    points = np.array([[0.0], [0.0], [5.0], [5.0]] * 4)
    model = GaussianProcess(points, standard(points[:, 0] + np.tile([0.0, 0.1], 8)), np.array([True]))
    third, other = model.predict(np.array([[1.0], [4.0]]))[0]
    assert third == pytest.approx(other)
    assert third == pytest.approx(0.0, abs=1e-6)


def test_noise_is_not_taken_for_signal() -> None:
    """Of values that have nothing to do with the points, the mean is near 0 everywhere."""
    random = np.random.default_rng(2)
    model = GaussianProcess(random.random((80, 2)), standard(random.standard_normal(80)), NUMBERS)
    assert np.abs(model.predict(random.random((50, 2)))[0]).mean() < 0.4


def test_what_is_awaited_leaves_the_mean_and_takes_the_doubt() -> None:
    """As if it came to what is expected."""
    points = np.random.default_rng(3).random((20, 2)) * 0.5
    model = GaussianProcess(points, standard(points.sum(axis=1)), NUMBERS)
    there = np.array([[0.9, 0.9]])
    mean, variance = model.predict(there)
    model.believe(there)
    after, less = model.predict(there)
    assert after == pytest.approx(mean, abs=1e-3)
    assert less[0] < 0.2 * variance[0]


def test_equal_points_and_equal_values_can_be_modelled() -> None:
    """A covariance of equal rows."""
    model = GaussianProcess(np.full((30, 2), 0.5), np.zeros(30), NUMBERS)
    assert np.isfinite(model.predict(np.array([[0.5, 0.5], [0.1, 0.2]]))[0]).all()


@pytest.mark.parametrize("z", [3.0, 0.0, -2.0, -5.9, -6.1])
def test_expected_improvement_is_the_integral(z: float) -> None:
    """Of how far a normal value is below the best, on both sides of where the asymptote begins."""
    found = log_expected_improvement(np.array([1.0]), np.array([4.0]), 1.0 + 2 * z)[0]
    x = np.linspace(z - 14, z, 100_001)
    exact = ((z - x) * np.exp(-0.5 * x**2)).sum() * (x[1] - x[0]) / math.sqrt(2 * math.pi)
    assert math.exp(found) == pytest.approx(2 * exact, rel=0.1 if z < -6 else 1e-6)


def test_expected_improvement_still_compares_where_it_is_next_to_nothing() -> None:
    """A hundred deviations above the best."""
    found = log_expected_improvement(np.array([90.0, 100.0]), np.array([1.0, 1.0]), 0.0)
    assert np.isfinite(found).all()
    assert found[0] > found[1]
