"""Tests of `kerasweep.search.reading`: what `list` says of sweeps of all kinds."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from kerasweep.search import sweeps
from kerasweep.search.spec import SweepSpec
from kerasweep.spaces.errors import BadInput
from kerasweep.trackers.events import SweepEnded, SweepStarted
from kerasweep.trackers.history import History
from kerasweep.trackers.journal import FORMAT, Journal

from ..security.command import command
from .specs import completed, spec


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make sweeps in the current folder, with a trial each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERASWEEP_DIR", raising=False)

    def made(name: str, **more: object) -> Path:
        folder = tmp_path / "sweeps" / name
        folder.mkdir(parents=True)
        with Journal(folder) as journal:
            started = SweepStarted(spec={**spec(name=name).to_json(), **more})
            journal.append(started, *completed(0, 0.5), SweepEnded(why="budget", exit_code=0))
        return folder

    return made


def change(folder: Path, statement: str) -> None:
    """Change a journal behind its back."""
    db = sqlite3.connect(folder / "journal.db")
    db.execute(statement)
    db.commit()
    db.close()


def test_a_sweep_that_cannot_be_read_does_not_hide_the_others(make: Callable[..., Path]) -> None:
    """Damaged, of a newer format, with a newer kind of event or setting: a row like any other, and why."""
    make("sound")
    change(make("damaged"), "UPDATE events SET crc = 1 WHERE seq = 2")
    change(make("newer"), f"PRAGMA user_version = {FORMAT + 1}")
    make("setting", colour="green")
    said = command("list", "--json")
    rows = {row["name"]: row for row in json.loads(said.out)}
    assert (said.code, said.error) == (0, "")
    assert {name: row["state"] for name, row in rows.items()} == {
        "sound": "done",
        "damaged": "unreadable",
        "newer": "unreadable",
        "setting": "unreadable",
    }
    assert (rows["sound"]["best"], rows["sound"]["why"]) == (0.5, "")
    assert "is damaged at event 2" in rows["damaged"]["why"]
    assert rows["newer"]["why"].endswith("upgrade Kerasweep")
    assert rows["setting"]["why"].endswith("upgrade Kerasweep")
    said = command("list")
    assert said.code == 0
    assert f"newer: {rows['newer']['why']}" in said.out.splitlines()


def test_a_sweep_that_is_removed_while_it_is_listed_is_left_out(
    make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By somebody else's `rm`."""
    make("stays")
    real = sweeps.read

    def read(folder: Path) -> History:
        if folder.name == "goes":
            shutil.rmtree(folder)
        return real(folder)

    make("goes")
    monkeypatch.setattr(sweeps, "read", read)
    said = command("list", "--json")
    assert [row["name"] for row in json.loads(said.out)] == ["stays"]


@pytest.mark.parametrize("more", [{"colour": "green"}, {"budget": {"trials": 1, "sheep": 9}}, {"objective": {}}])
def test_a_specification_of_a_newer_version_is_said_so(more: dict[str, object]) -> None:
    """By whatever reads it."""
    with pytest.raises(BadInput, match=r"is not of this Kerasweep .*; upgrade Kerasweep"):
        SweepSpec.from_json({**spec().to_json(), **more})
