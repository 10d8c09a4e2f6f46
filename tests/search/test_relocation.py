"""Tests of `kerasweep.search.relocation`."""

from __future__ import annotations

from pathlib import Path

import pytest

from kerasweep.search.relocation import relocated
from kerasweep.search.spec import Track

from .specs import spec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a sweep's folder with a copy of its code."""
    folder = tmp_path / "home" / "sweeps" / "small"
    (folder / "code" / "pkg").mkdir(parents=True)
    (folder / "code" / "model.py").touch()
    (folder / "code" / "pkg" / "layers.py").touch()
    return folder


def test_what_is_where_it_was_stays(folder: Path, tmp_path: Path) -> None:
    """The code's folder is there, and that of MLflow's database; a server is not looked at."""
    for uri in (f"sqlite:///{tmp_path}/mlflow.db", "http://somewhere:5000"):
        one = spec(folder=str(tmp_path), track=Track(uri=uri))
        assert relocated(one, folder, tmp_path / "home") == one


def test_code_that_moved_along_is_used_where_it_is(folder: Path, tmp_path: Path) -> None:
    """All files stand beside `sweeps/`: the data does, too."""
    home = tmp_path / "home"
    (home / "pkg").mkdir()
    (home / "model.py").touch()
    (home / "pkg" / "layers.py").touch()
    assert relocated(spec(folder="/gone"), folder, home).folder == str(home)


def test_code_that_is_gone_is_the_sweeps_own_copy(folder: Path, tmp_path: Path) -> None:
    """Also where only a part of it stands beside `sweeps/`."""
    home = tmp_path / "home"
    (home / "model.py").touch()
    assert relocated(spec(folder="/gone"), folder, home).folder == str(folder / "code")


def test_a_database_that_stayed_behind_is_replaced(folder: Path, tmp_path: Path) -> None:
    """By the one in the home folder, in the same experiment."""
    home = tmp_path / "home"
    one = spec(folder=str(tmp_path), track=Track(uri="sqlite:////gone/mlflow.db", experiment="lab"))
    assert relocated(one, folder, home).track == Track(uri=f"sqlite:///{home}/mlflow.db", experiment="lab")
