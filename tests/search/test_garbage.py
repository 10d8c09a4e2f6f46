"""Tests of `kerasweep.search.garbage`: what `gc` removes by what the journal says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kerasweep.search.garbage import gc_command
from kerasweep.search.spec import Keep
from kerasweep.spaces.errors import BadInput, SweepHeld
from kerasweep.trackers.events import SweepEnded, SweepStarted
from kerasweep.trackers.journal import Journal

from .specs import begun, completed, reported, spec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a sweep that was interrupted: trials 0 to 2 are complete, trial 3 is not, and two weights are to stay."""
    folder = tmp_path / "sweeps" / "small"
    folder.mkdir(parents=True)
    what = spec(keep=Keep(best=2))
    with Journal(folder) as journal:
        journal.append(SweepStarted(spec=what.to_json()))
        for trial, value in enumerate((0.5, 0.9, 0.7)):
            journal.append(*completed(trial, value))
        journal.append(*begun(3), *reported(3, 0.1))
        journal.append(SweepEnded(why="interrupted", exit_code=130))
    for number in range(4):
        for name in ("weights.npz", "weights.json", "epochs/000001-1.json", "epochs/.12-fit.json"):
            path = folder / "checkpoints" / str(number) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"12345")
    return folder


def left(folder: Path) -> list[str]:
    """Return what is left of the checkpoints."""
    root = folder / "checkpoints"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_what_the_journal_does_not_need_goes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The weights of the best two stay, and all that the live trial goes on from; drafts go."""
    home = folder.parent.parent
    gc_command("small", home, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"trials": 3, "bytes": 20 + 10 + 10 + 5}
    weights = ["weights.json", "weights.npz"]
    assert left(folder) == [f"1/{name}" for name in weights] + [f"2/{name}" for name in weights] + [
        "3/epochs/000001-1.json",
        *(f"3/{name}" for name in weights),
    ]
    gc_command("small", home, as_json=False)
    assert capsys.readouterr().out == "small: nothing to remove\n"


def test_a_running_sweep_cleans_by_itself(folder: Path) -> None:
    """Nothing is touched while its driver is at work."""
    before = left(folder)
    with Journal(folder), pytest.raises(SweepHeld, match="cleans by itself"):
        gc_command("small", folder.parent.parent, as_json=False)
    assert left(folder) == before


def test_a_sweep_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """With what there is."""
    with pytest.raises(BadInput, match="no sweep 'nothing'"):
        gc_command("nothing", tmp_path, as_json=False)
