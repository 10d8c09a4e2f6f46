"""Tests of `kerasweep.cluster.weights_place`: weights that are carried to an object store and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kerasweep.cluster.weights import load_weights
from kerasweep.cluster.weights_place import fetch_weights, write_weights
from kerasweep.spaces.errors import Infrastructure

from .test_weights import FakeModel, assignment, kept, trained, weights

fsspec = pytest.importorskip("fsspec")
PLACE = "memory://sweeps/one/checkpoints"


def test_weights_come_back_from_an_object_store(tmp_path: Path) -> None:
    """As they were, with nothing left in between."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    write_weights(trained([0.1, 0.9, 0.5]), PLACE, assignment())
    assert sorted(path.rpartition("/")[2] for path in memory.find("sweeps")) == ["weights.json", "weights.npz"]
    assert kept(fetch_weights(PLACE, 4, tmp_path)) == (2, 2.0)
    memory.store.clear()


def test_weights_that_do_not_rank_are_not_carried() -> None:
    """Nothing is written that nobody asked for."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    write_weights(trained([0.1]), PLACE, assignment(keep_above=0.5))
    assert memory.find("sweeps") == []


def test_weights_of_this_machine_are_read_where_they_are(tmp_path: Path) -> None:
    """No copy is made; where there are none, that is said as ever."""
    write_weights(trained([0.5]), str(tmp_path), assignment())
    assert fetch_weights(str(tmp_path), 4, tmp_path / "copies") == tmp_path
    assert not (tmp_path / "copies").exists()
    with pytest.raises(Infrastructure, match="no weights of trial 5"):
        load_weights(FakeModel(weights(np.nan)), fetch_weights("memory://none", 5, tmp_path), 5)
