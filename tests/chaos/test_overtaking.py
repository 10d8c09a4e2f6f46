"""A deterministic sweep on scripted slots of which now one, now another is faster: the same trials."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from kerasweep.search.budget import Budget
from kerasweep.search.spec import Search, SweepSpec
from kerasweep.trackers.events import Entry

from ..search.lab import traces_of
from .invariants import entries, retried
from .world import World, small


def run(folder: Path, seed: int, what: SweepSpec, *, slots: int) -> tuple[list[Entry], bool]:
    """Run a sweep on scripted slots, the next step being anybody's; return its journal, and whether one overtook another."""
    world, random, ends = World(folder, what, slots=slots), Random(seed), list[int]()
    with world.driver() as driver:
        for _ in range(2000):
            world.clock.now += 0.1
            if driver.ledger.history.ended is not None:
                break
            if len(driver.busy) < slots and random.random() < 0.7:
                driver.fill()
            elif driver.busy:
                slot = random.choice(driver.busy)
                had = slot.assignment
                driver.step(slot)
                if had is not None and slot.assignment is not had and driver.ledger.history.trials[had.number].outcome:
                    ends.append(had.number)
    return entries(folder), ends != sorted(ends)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_engine_gives_the_same_trials_whoever_is_faster(home: Path, sampler: str) -> None:
    """Late binding, an infeasible trial, a crash and a lost worker among them; on fewer slots than the window as well."""
    what = small(
        search=Search(sampler=sampler, stop=({"rule": "asha", "min_epochs": 1, "factor": 2},), seed=3, window=3),
        budget=Budget(trials=8),
    )
    runs = [run(home / str(seed), seed, what, slots=slots) for seed, slots in enumerate((3, 3, 3, 1))]
    first, *others = (traces_of(journaled) for journaled, _ in runs)
    assert all(one == first for one in others)
    assert any(overtook for _, overtook in runs)
    assert retried(runs[0][0])
    assert {one.outcome[0] for one in first.values() if one.outcome} >= {"completed", "stopped", "infeasible"}
