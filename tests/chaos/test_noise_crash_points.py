"""A sweep that confirms, and one with a population, killed at their durable writes: they go on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kerasweep.search.budget import Budget
from kerasweep.search.confirm import Confirm
from kerasweep.search.population import Pbt
from kerasweep.search.spec import Search

from .invariants import check, in_fake
from .test_crash_points import photographs
from .world import World, small

pytestmark = pytest.mark.usefixtures("quiet")
WORLDS: dict[str, tuple[dict[str, Any], int]] = {
    "confirm": ({"confirm": Confirm(top=2, seeds=2)}, 6),
    "epochs": ({"confirm": Confirm(top=2, seeds=2), "budget": Budget(epochs=4)}, 2),
    "population": (
        {
            "pbt": Pbt(population=3, interval=1, mutate=("x",)),
            "budget": Budget(trials=9),
            "search": Search(sampler="random", seed=3),
        },
        9,
    ),
}


@pytest.mark.parametrize("which", WORLDS)
def test_a_kill_at_any_durable_write_changes_nothing(home: Path, which: str) -> None:
    """The same trials are asked for, with the same parameters and donors, and end alike; MLflow has each once."""
    changes, trials = WORLDS[which]
    whole = World(home / "whole", small(**changes))
    taken = photographs(home, whole)
    history = check(whole.folder, trials=trials, runs=in_fake(whole.mlflow))
    apart = [one for one in history.trials.values() if one.confirms is not None or one.donor is not None]
    assert len(apart) >= 3
    assert any(one.outcome is not None and one.outcome.value is not None for one in apart)
    for what, world in taken[3::9]:
        world.run()
        after = check(world.folder, trials=trials, runs=in_fake(world.mlflow), like=whole.folder)
        assert [(one.confirms, one.donor) for one in after.trials.values()] == [
            (one.confirms, one.donor) for one in history.trials.values()
        ], what
