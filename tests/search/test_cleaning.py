"""Tests of `kerasweep.search.cleaning`: what ended trials leave goes, and nobody waits for it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from kerasweep.search.cleaning import Cleaner

from .stores import PATIENCE_S, Store, numbers, store, write

PLACE = "teststore://sweeps/one/checkpoints"


@pytest.fixture
def slow() -> Iterator[type[Store]]:
    """Return a store."""
    with store() as one:
        yield one


def test_who_cleans_a_slow_store_goes_on_at_once_and_what_begins_meanwhile_stays(slow: type[Store]) -> None:
    """What has ended is decided when it is said, not when the store answers: new trials and live ones keep theirs."""
    for number in (0, 1, 2):
        write(PLACE, f"{number}/epochs/a", f"{number}/weights.npz")
    slow.open_again.clear()
    cleaner = Cleaner(PLACE)
    began = time.monotonic()
    cleaner.clean(asked=3, live={1}, best={2})
    assert time.monotonic() - began < PATIENCE_S / 4
    assert slow.entered.wait(PATIENCE_S)
    write(PLACE, "3/epochs/a")
    slow.open_again.set()
    assert cleaner.finish(PATIENCE_S)
    assert numbers(PLACE) == {1, 2, 3}
    assert not [one for one in slow.store if one.endswith("2/epochs/a")]


def test_ends_that_come_while_it_cleans_are_seen_to_afterwards(slow: type[Store]) -> None:
    """By one more look, however many there were."""
    write(PLACE, "0/a", "1/a", "2/a")
    slow.open_again.clear()
    cleaner = Cleaner(PLACE)
    for live in ({1, 2}, {2}, set[int]()):
        cleaner.clean(asked=3, live=live, best=set())
        assert slow.entered.wait(PATIENCE_S)
    slow.open_again.set()
    assert cleaner.finish(PATIENCE_S)
    assert numbers(PLACE) == set()


def test_the_wait_at_the_end_is_bounded_and_nothing_is_begun_after_it(slow: type[Store]) -> None:
    """It says that something is left; the trial that is being removed may still go, the others stay."""
    write(PLACE, "0/a", "1/a")
    slow.open_again.clear()
    cleaner = Cleaner(PLACE)
    cleaner.clean(asked=2, live=set(), best=set())
    assert slow.entered.wait(PATIENCE_S)
    assert not cleaner.finish(0.05)
    slow.open_again.set()
    cleaner.clean(asked=2, live=set(), best=set())
    while cleaner.busy:
        time.sleep(0.001)
    assert numbers(PLACE) == {0, 1}


def test_a_store_that_fails_costs_nothing_and_is_tried_again(slow: type[Store]) -> None:
    """Nobody hears an exception; the next end removes what was left."""
    write(PLACE, "0/a")
    cleaner = Cleaner(PLACE)
    slow.fault = PermissionError("not today")
    cleaner.clean(asked=1, live=set(), best=set())
    while cleaner.busy:
        time.sleep(0.001)
    assert numbers(PLACE) == {0}
    slow.fault = None
    cleaner.clean(asked=1, live=set(), best=set())
    assert cleaner.finish(PATIENCE_S)
    assert numbers(PLACE) == set()


def test_the_end_tells_of_what_a_failing_store_has_kept(slow: type[Store]) -> None:
    """So that the user hears of `gc`."""
    write(PLACE, "0/a")
    slow.fault = PermissionError("not today")
    cleaner = Cleaner(PLACE)
    cleaner.clean(asked=1, live=set(), best=set())
    assert not cleaner.finish(PATIENCE_S)
