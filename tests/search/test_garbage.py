"""Tests of `kerasweep.search.garbage`: what `gc` removes by what the journal says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kerasweep.search.claim import CLAIM, Past
from kerasweep.search.garbage import gc_command
from kerasweep.search.spec import Keep
from kerasweep.spaces.errors import BadInput, Infrastructure, SweepHeld
from kerasweep.trackers.events import SweepEnded, SweepStarted
from kerasweep.trackers.journal import Journal

from .specs import begun, completed, reported, spec
from .stores import store


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


def stored(home: Path, storage: str) -> Path:
    """Make an interrupted sweep with a storage; return its folder."""
    folder = home / "sweeps" / "small"
    folder.mkdir(parents=True)
    with Journal(folder) as journal:
        journal.append(SweepStarted(spec=spec(storage=storage).to_json()))
        journal.append(*completed(0, 0.5), *begun(1), SweepEnded(why="interrupted", exit_code=130))
    return folder


def test_a_machine_that_was_left_behind_removes_nothing(tmp_path: Path) -> None:
    """The sweep goes on elsewhere: what its journal here calls ended is needed there; trials it never began all the more."""
    place = tmp_path / "store" / "small"
    folder = stored(tmp_path / "here", str(tmp_path / "store"))
    for number in (0, 5):
        (place / "checkpoints" / str(number) / "epochs").mkdir(parents=True)
    gc_command("small", tmp_path / "here", as_json=False)
    assert sorted(path.name for path in (place / "checkpoints").iterdir()) == ["0", "5"]
    assert not (place / "checkpoints" / "0" / "epochs").exists()
    assert (place / "checkpoints" / "5" / "epochs").exists()
    (place / "checkpoints" / "0" / "epochs").mkdir()
    about = {"sweep": Past.of(folder / "journal.db").id(0), "session": "9-1.5", "host": "elsewhere", "at": 1.5}
    (place / CLAIM).write_text(json.dumps(about))
    with pytest.raises(SweepHeld, match="another driver of this sweep did"):
        gc_command("small", tmp_path / "here", as_json=False)
    assert (place / "checkpoints" / "0" / "epochs").exists()


def test_a_storage_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    """In a line of ours, whatever its library raises; and how it is mended where a package is missing."""
    with store() as faulty:
        faulty.fault = RuntimeError("token=abc123\nis not allowed")
        stored(tmp_path / "here", "teststore://x")
        with pytest.raises(
            Infrastructure, match="nothing that is needed is gone, `kerasweep gc small` goes on"
        ) as error:
            gc_command("small", tmp_path / "here", as_json=False)
    assert "abc123" not in str(error.value)
    assert "\n" not in str(error.value)
    stored(tmp_path / "there", "dropbox://x")
    with pytest.raises(BadInput, match="dropbox:// needs a package that is not installed"):
        gc_command("small", tmp_path / "there", as_json=False)


def test_a_sweep_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """With what there is."""
    with pytest.raises(BadInput, match="no sweep 'nothing'"):
        gc_command("nothing", tmp_path, as_json=False)
