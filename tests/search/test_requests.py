"""Tests of `kerasweep.search.requests`: what may change once a sweep has begun, which trials run again."""

from __future__ import annotations

import pytest

from kerasweep.search.budget import Budget
from kerasweep.search.requests import LIVE, again, changed, in_words, retried_in_words
from kerasweep.search.spec import Keep, Retry, SweepSpec
from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.trial import Outcome, OutcomeKind

from .specs import spec
from .test_core import Search


def test_settings_change_together() -> None:
    """The event has what is new, and all that holds from then on."""
    event = changed(spec(), ["budget.trials=100", " budget.goal = 0.99", "retry.crash=0", "keep.best=1"], slots=2)
    assert dict(event.settings) == {"budget.trials": 100, "budget.goal": 0.99, "retry.crash": 0, "keep.best": 1}
    after = spec(budget=Budget(trials=100, goal=0.99), retry=Retry(crash=0), keep=Keep(best=1))
    assert SweepSpec.from_json(event.spec) == SweepSpec.from_json(after.to_json())
    said = "budget.trials is 100, was 4; budget.goal is 0.99, was none; retry.crash is 0, was 2; keep.best is 1, was 3"
    assert in_words(spec(), event) == said


def test_more_may_change_while_nothing_runs() -> None:
    """What slots are given at their start needs a new one."""
    assert changed(spec(), ["limits.trial_s=60", "parallel=9"]).settings == {"limits.trial_s": 60.0, "parallel": 9}
    assert changed(spec(), ["parallel=1"], slots=2).settings == {"parallel": 1}
    assert changed(spec(), ["budget.hours=1", "budget.trials=null"], slots=2).settings["budget.trials"] is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("limits.trial_s=60", "`kerasweep stop small`, then `kerasweep resume small --set limits.trial_s=60`"),
        ("checkpoint.every_s=5", "the slots of a running sweep have it from their start"),
        ("parallel=3", "has places for 2; `kerasweep stop small`, then `kerasweep resume small --set parallel=3`"),
        ("objective=min loss", "a sweep that has begun keeps it"),
        ("fit.epochs=3", "or its trials could not be compared"),
        ("budget.trial=3", r"did you mean 'budget\.trials'\?"),
        ("budget.trials", "expected `key=value`"),
        ("budget.trials=0", "must be above 0"),
        ("budget.trials=-3", "must be above 0"),
        ("budget.trials=many", "'many' is not a number"),
        ("budget.hours=1e9", "at most 100000"),
        ("budget.epochs=1.5", "is not a number"),
        ("budget.goal=high", "'high' is not a number"),
        ("budget.gpu_hours=3", "never used up by trials without a gpu"),
        ("budget.trials=null", "the sweep has no end"),
        ("retry.crash=9999", "from 0 to 1000"),
        ("keep.best=0", "must be above 0"),
    ],
)
def test_what_may_not_change_live_is_one_line(setting: str, message: str) -> None:
    """Why not, and what to do."""
    with pytest.raises(BadInput, match=message) as caught:
        changed(spec(), [setting], slots=2)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("set ")


def test_nothing_to_set_is_a_mistake() -> None:
    """The line shows how."""
    with pytest.raises(BadInput, match=r"expected `kerasweep set small budget.trials=100`"):
        changed(spec(), [])


def test_what_changes_live_is_what_the_driver_decides() -> None:
    """The list that the README has."""
    sections = {key.partition(".")[0] for key in LIVE}
    assert sections == {"budget", "retry", "parallel", "keep"}


def ended(*kinds: OutcomeKind) -> Search:
    """Return a search whose trials ended so, and one that runs."""
    search = Search(trials=99)
    for number, kind in enumerate(kinds):
        search.ask(number)
        value = 0.5 if kind in (OutcomeKind.COMPLETED, OutcomeKind.STOPPED) else None
        search.end(number, Outcome(kind=kind, value=value, epoch=None if value is None else 1, reason=f"so {number}"))
    search.ask(len(kinds))
    return search


def test_all_that_failed_or_were_lost_run_again() -> None:
    """In the order of their numbers; those that were interrupted only where they are named."""
    search = ended(*OutcomeKind)
    kinds = {kind: number for number, kind in enumerate(OutcomeKind)}
    wanted = sorted([kinds[OutcomeKind.FAILED], kinds[OutcomeKind.LOST]])
    assert [one.trial for one in again(search.state)] == wanted
    number = kinds[OutcomeKind.INTERRUPTED]
    (one,) = again(search.state, [number, number])
    assert (one.trial, dict(one.params)) == (number, {"id": number})
    assert retried_in_words(again(search.state)) == f"trials {wanted[0]} and {wanted[1]} run again"


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([9], "there is no trial 9; there are 3, numbered from 0"),
        ([-1], "there is no trial -1"),
        ([0], "trial 0 has a result; only trials that failed, were lost or interrupted run again"),
        ([1, 2], "trial 2 runs; nothing is to be repeated yet"),
    ],
)
def test_a_trial_that_cannot_run_again_is_one_line(numbers: list[int], message: str) -> None:
    """And none of the others does either."""
    search = ended(OutcomeKind.COMPLETED, OutcomeKind.FAILED)
    with pytest.raises(BadInput, match=message):
        again(search.state, numbers)


def test_where_nothing_failed_there_is_nothing_to_retry() -> None:
    """It says what could be named."""
    with pytest.raises(BadInput, match=r"no trial has failed or was lost$"):
        again(ended(OutcomeKind.COMPLETED).state)
    with pytest.raises(BadInput, match=r"name those that were interrupted: 0$"):
        again(ended(OutcomeKind.INTERRUPTED).state)
