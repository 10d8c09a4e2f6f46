"""Tests of `kerasweep.cluster.settings`."""

from __future__ import annotations

import pytest

from kerasweep.cluster.settings import Settings, sweep_arguments, trace_of


@pytest.mark.parametrize(("divisor", "size"), [(1, 30), (2, 15), (4, 7), (64, 1)])
def test_the_batch_size_is_divided_and_nothing_else(divisor: int, size: int) -> None:
    """For a trial whose memory did not suffice; one sample is the least."""
    settings = Settings(
        metric="loss", maximize=False, at_last=False, fit={"batch_size": 30, "epochs": 6}, batch_divisor=divisor
    )
    assert sweep_arguments(trace_of(settings, {}), settings) == {"batch_size": size, "epochs": 6}


def test_where_there_is_no_batch_size_none_is_made_up() -> None:
    """A dataset's batches are its own."""
    settings = Settings(metric="loss", maximize=False, at_last=False, fit={"epochs": 6}, batch_divisor=2)
    assert sweep_arguments(trace_of(settings, {}), settings) == {"epochs": 6}
