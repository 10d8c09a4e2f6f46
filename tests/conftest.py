"""What all tests share: asserts that explain themselves in shared code too, and Hypothesis without wall-clock limits."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.contracts", "tests.strategies", "tests.chaos.invariants")

settings.register_profile(
    "kerasweep",
    deadline=None,
    database=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.differing_executors,  # a contract's properties run in several classes
    ],
)
settings.load_profile("kerasweep")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all real tests in one process, where several share the machine: they share Ray, MLflow and TensorFlow."""
    for item in items:
        if item.get_closest_marker("real"):
            item.add_marker(pytest.mark.xdist_group("real"))
