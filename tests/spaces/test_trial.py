"""Tests of `kerasweep.spaces.trial`."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.spaces.trial import Assignment, Outcome, OutcomeKind

from ..strategies import by_name, counts, floats, outcomes

assignments = st.builds(
    Assignment,
    number=counts,
    attempt=counts,
    round=counts,
    seed=counts,
    params=by_name,
    rungs=st.lists(counts, max_size=4).map(lambda rungs: tuple(rungs)),
    keep_above=st.none() | floats,
)


@given(assignments)
def test_an_assignment_travels_whole(assignment: Assignment) -> None:
    """What a slot reads is what the driver wrote."""
    assert Assignment.from_json(json.loads(json.dumps(assignment.to_json()))) == assignment


@given(outcomes)
def test_an_outcome_is_journaled_whole(outcome: Outcome) -> None:
    """What is read back is what was written."""
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        (OutcomeKind.COMPLETED, True),
        (OutcomeKind.STOPPED, True),
        (OutcomeKind.FAILED, True),
        (OutcomeKind.INFEASIBLE, False),
        (OutcomeKind.INTERRUPTED, False),
        (OutcomeKind.LOST, False),
    ],
)
def test_a_budget_is_spent_on_trials_that_tell_something(kind: OutcomeKind, counts: bool) -> None:
    """Infeasible, lost and interrupted trials cost no budget."""
    assert Outcome(kind=kind).counts is counts
