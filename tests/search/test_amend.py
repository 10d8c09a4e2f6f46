"""Tests of `kerasweep.search.amend`: what a resumed sweep may change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kerasweep.search.amend import AMENDABLE, amended
from kerasweep.search.spec import Budget, Limits, Retry
from kerasweep.spaces.errors import BadInput

from .specs import spec


def test_budgets_and_places_may_change() -> None:
    """Several settings at once; all else stays."""
    changed = amended(
        spec(),
        [
            "budget.trials=9",
            "budget.hours=0.5",
            "parallel=1",
            "limits.trial_s=60",
            "retry.crash=0",
            "limits.memory_gb=2",
        ],
    )
    assert changed == replace(
        spec(),
        budget=Budget(trials=9, hours=0.5),
        parallel=1,
        limits=Limits(trial_s=60.0, memory_gb=2.0),
        retry=Retry(crash=0),
    )


def test_nothing_set_changes_nothing() -> None:
    """The specification is the one that it was."""
    assert amended(spec(), []) == spec()


def test_a_limit_may_be_taken_away() -> None:
    """`null` as in the sweep file."""
    assert amended(spec(budget=Budget(trials=4, hours=1.0)), ["budget.hours=null"]).budget == Budget(trials=4)
    assert amended(spec(), ["parallel=null"]).parallel is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("objective=min loss", "a resumed sweep keeps it"),
        ("budget.trial=3", r"did you mean 'budget\.trials'\?"),
        ("nonsense", "these may change: budget.trials"),
        ("budget.trials=many", "'many' is not a number"),
        ("budget.trials=2.5", "'2.5' is not a number"),
        ("budget.trials=0", "must be above 0"),
        ("budget.trials=-1", "must be above 0"),
        ("budget.hours=nan", "is not a number"),
        ("budget.hours=inf", "is not a number"),
        ("limits.silence_s=0", "must be above 0"),
        ("retry.crash=-1", "must be above 0"),
        ("parallel=0", "must be above 0"),
        ("budget.trials=null", "needs trials or hours"),
    ],
)
def test_what_may_not_change_is_one_line(setting: str, message: str) -> None:
    """The key, what is wrong with it and what would do."""
    with pytest.raises(BadInput, match=message) as caught:
        amended(spec(), [setting])
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("--set ")


def test_whatever_may_change_is_a_field() -> None:
    """The keys are those of the sweep file."""
    for key in AMENDABLE:
        value = "true" if key == "cluster.insecure" else "3"
        assert amended(spec(), [f"{key}={value}"]) != spec(limits=Limits(silence_s=1.0)), key
