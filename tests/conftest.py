"""What all tests share: asserts that explain themselves in shared code too, and Hypothesis without wall-clock limits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.contracts", "tests.strategies", "tests.chaos.invariants")

settings.register_profile(
    "kerasweep",
    deadline=None,
    database=None,
    max_examples=12,  # the fast layer is to take less than a minute
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.differing_executors,  # a contract's properties run in several classes
    ],
)
settings.load_profile("kerasweep")


REAL = re.compile(r"^pytestmark = .*pytest\.mark\.real", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave modules that are real throughout unread by the fast layer: reading some of them imports TensorFlow."""
    if config.option.markexpr != "not real" or collection_path.suffix != ".py":
        return None
    return True if REAL.search(collection_path.read_text(encoding="utf-8")) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all real tests in one process, where several share the machine: they share Ray, MLflow and TensorFlow."""
    for item in items:
        if item.get_closest_marker("real"):
            item.add_marker(pytest.mark.xdist_group("real"))
