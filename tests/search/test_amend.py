"""Tests of `kerasweep.search.amend`: what a resumed sweep may change."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from kerasweep.cluster.backend import KerasSettings
from kerasweep.search.amend import AMENDABLE, amended, check_kept
from kerasweep.search.budget import Budget
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.spec import Limits, Resources, Retry, Search, SweepSpec, Track
from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.known import Declared
from kerasweep.spaces.parameter import Number

from .specs import X, spec


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
        ("budget.trials=null", "the sweep has no end"),
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
        number = 0.5 if key == "checkpoint.share" else "true" if key == "cluster.insecure" else 7
        before = spec(resources=Resources(gpu=1))
        assert amended(before, [f"{key}={'0.9' if key == 'budget.goal' else number}"]) != before, key


Y = Number(name="y", min=1, max=8, integer=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"budget": Budget(trials=99, hours=3.0)},
        {"parallel": 1, "retry": Retry(crash=0), "limits": Limits(trial_s=5.0)},
        {"track": Track(uri="http://elsewhere:5000"), "storage": "/mnt/copies", "folder": "/moved"},
        {"search": Search(seed=99)},
    ],
)
def test_budgets_places_and_limits_do_not_change_what_is_searched(changes: dict[str, Any]) -> None:
    """A sweep goes on with them."""
    check_kept(spec(), spec(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": Objective(metric="loss", direction=Direction.MIN)}, "objective was .*acc.*, is .*loss"),
        ({"fit": {"epochs": 12}}, r"fit was {'epochs': 9}, is {'epochs': 12}"),
        ({"fit": {"epochs": 9, "batch_size": 8}}, "batch_size"),
        ({"declared": ()}, r"space\.x was {.*}, is not there"),
        ({"declared": (Declared(parameter=X), Declared(parameter=Y))}, r"space\.y was not there, is {.*'max': 8"),
        ({"declared": (Declared(parameter=replace(X, max=2.0)),)}, r"space\.x was .*'max': 1\.0.*, is .*'max': 2\.0"),
        ({"where": ("x < 0.5",)}, r"where was \(\), is \('x < 0\.5',\)"),
        ({"search": Search(sampler="random")}, r"search was .*'tpe'.*, is .*'random'"),
        ({"search": Search(stop=({"rule": "asha"},))}, "search was"),
        ({"keras": KerasSettings(backend="jax")}, "keras was"),
        ({"undeclared": "default"}, "undeclared was 'search', is 'default'"),
        ({"model": "other.py:build"}, r"model was 'model\.py:build', is 'other\.py:build'"),
        ({"data": "model.py:load"}, "data was None|data was not there"),
    ],
)
def test_what_decides_a_trial_is_kept(changes: dict[str, Any], message: str) -> None:
    """Each change that would mix trials of different kinds is refused, in one line, with what differs."""
    with pytest.raises(BadInput, match=message) as caught:
        check_kept(spec(), spec(**changes))
    assert "\n" not in str(caught.value)
    assert "give the new sweep another name" in str(caught.value)


def test_a_specification_is_the_same_after_a_journal_kept_it() -> None:
    """Tuples have become lists, numbers and names are what they were."""
    whole = spec(
        where=("x < 0.5",),
        search=Search(stop=({"rule": "asha", "min_epochs": 2},)),
        fit={"epochs": 3, "class_weight": {"0": 2.0}},
        declared=(Declared(parameter=X, open=frozenset({"step"})), Declared(parameter=Y)),
    )
    kept = SweepSpec.from_json(json.loads(json.dumps(whole.to_json())))
    check_kept(kept, whole)


def test_all_differences_are_named() -> None:
    """Not only the first."""
    with pytest.raises(BadInput, match=r"fit was .*; where was"):
        check_kept(spec(), spec(fit={"epochs": 1}, where=("x < 0.5",)))
