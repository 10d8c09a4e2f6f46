"""Tests of `kerasweep.search.removal`."""

from __future__ import annotations

from pathlib import Path

import pytest

from kerasweep.search import removal
from kerasweep.trackers.events import SweepEnded, SweepStarted
from kerasweep.trackers.journal import Journal, Lock
from kerasweep.trackers.tracker_db import Destination, TrackerDb

from ..security.command import command
from .specs import completed, spec


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a sweep in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERASWEEP_DIR", raising=False)
    folder = tmp_path / "sweeps" / "mine"
    (folder / "logs").mkdir(parents=True)
    with Journal(folder) as journal:
        journal.append(
            SweepStarted(spec=spec(name="mine").to_json()), *completed(0, 0.5), SweepEnded(why="x", exit_code=0)
        )
    return folder


def delivered(folder: Path, upto: int) -> None:
    """Have MLflow know of the sweep's first events."""
    track = spec().track
    with TrackerDb(folder, Destination(uri=track.uri, experiment=track.experiment)) as db:
        db.place("1", "view")
        db.advance(upto)


def test_the_folder_goes_and_what_mlflow_has_is_named(sweep: Path) -> None:
    """With --yes nobody is asked."""
    delivered(sweep, 6)
    said = command("rm", "mine", "--yes")
    assert said.code == 0
    assert said.out == "mine is removed; its runs in MLflow stay: experiment 'kerasweep' at sqlite:///mlflow.db\n"
    assert list(sweep.parent.iterdir()) == []


def test_without_a_yes_it_stays(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody can be asked he is, and told what would go; where nobody can, nothing happens."""
    delivered(sweep, 2)
    said = command("rm", "mine")
    assert (said.code, "say so with --yes" in said.error) == (2, True), said
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    answers = [False, True]

    def confirm(text: str) -> bool:
        asked.append(text)
        return answers[len(asked) - 1]

    monkeypatch.setattr(removal.typer, "confirm", confirm)
    for answer in answers:
        assert command("rm", "mine").code == 0
        assert sweep.exists() != answer
    assert "1 trials" in asked[0]
    assert "MLflow lacks 5 events of it, `kerasweep sync mine` delivers them. Remove it?" in asked[0]


@pytest.mark.parametrize("lock", ["journal.lock", "tracker.lock"])
def test_a_sweep_at_work_is_not_removed(lock: str, sweep: Path) -> None:
    """Neither under its driver nor under its tracker; who holds it is named."""
    held = Lock(sweep / lock)
    held.acquire()
    try:
        said = command("rm", "mine", "--yes")
    finally:
        held.release()
    assert (said.code, "held by pid" in said.error) == (4, True), said
    assert sweep.exists()
    assert command("rm", "mine", "--yes").code == 0


def test_a_damaged_sweep_can_be_removed(sweep: Path) -> None:
    """It need not be readable for that."""
    data = (sweep / "journal.db").read_bytes()
    (sweep / "journal.db").write_bytes(data[:100] + b"\0" * (len(data) - 100))
    assert command("rm", "mine", "--yes").code == 0
    assert not sweep.exists()


def test_a_removal_that_was_killed_is_finished_by_the_next(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is free at once; what was left of the folder goes with the next `rm` or `run`."""
    monkeypatch.setattr(removal.shutil, "rmtree", lambda *_, **__: None)
    assert command("rm", "mine", "--yes").code == 0
    assert [path.name[:6] for path in sweep.parent.iterdir()] == [".gone-"]
    assert "no sweep 'mine'" in command("show", "mine").error
    monkeypatch.undo()
    monkeypatch.chdir(sweep.parent.parent)
    removal.sweeps.remove_stale(sweep.parent)
    assert list(sweep.parent.iterdir()) == []
