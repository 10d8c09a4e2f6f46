"""Tests of `kerasweep.cluster.pace`: an epoch's seconds from a few batches."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kerasweep.cluster.facts import DataFacts, Kind, PartFacts
from kerasweep.cluster.pace import Pace, measured
from kerasweep.cluster.training import StopTraining


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run(
    pace: Pace, clock: Clock, *, steps: int, step_s: float, tests: int, test_s: float, first_s: float = 5.0
) -> None:
    """Fit as Keras does: epochs until something ends it."""
    try:
        for epoch in range(2):
            pace.begin()
            for batch in range(steps):
                clock.now += step_s + (first_s if epoch == 0 and batch == 0 else 0.0)
                if pace.trained(batch):
                    break
            for batch in range(tests):
                clock.now += test_s
                pace.tested(batch)
            pace.end()
    except StopTraining:
        return


def test_a_short_epoch_is_measured_whole_the_second_time() -> None:
    """The first has the compiling in it."""
    clock = Clock()
    pace = Pace(clock)
    run(pace, clock, steps=4, step_s=0.1, tests=2, test_s=0.05, first_s=0.5)
    assert pace.epoch_s(4, 2) == pytest.approx(0.5)


def test_a_long_epoch_is_told_from_its_batches() -> None:
    """Training is cut, the validation too, and both count for as many batches as there are."""
    clock = Clock()
    pace = Pace(clock)
    run(pace, clock, steps=10_000, step_s=0.05, tests=1000, test_s=0.02, first_s=1.0)
    assert pace.epoch_s(10_000, 1000) == pytest.approx(500 + 20)
    assert clock.now < 10


def test_an_unknown_number_of_batches_is_no_time() -> None:
    """Nor is one batch a pace."""
    clock = Clock()
    pace = Pace(clock)
    run(pace, clock, steps=10_000, step_s=0.05, tests=0, test_s=0.0)
    assert pace.epoch_s(None, None) is None
    single = Pace(clock)
    run(single, clock, steps=10, step_s=60.0, tests=0, test_s=0.0)
    assert single.epoch_s(10, None) is None


@pytest.mark.parametrize("kind", [Kind.GENERATOR, Kind.OTHER, Kind.NONE])
def test_data_that_a_fit_uses_up_is_left_alone(kind: Kind) -> None:
    """The trials need it."""
    called: list[Callable[..., object]] = []
    data = DataFacts(train=PartFacts(kind=kind, length=100))
    assert measured(lambda given: called.append(given["callbacks"]), {"batch_size": 10}, data) is None
    assert not called
