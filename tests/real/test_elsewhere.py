"""A sweep whose machine is lost goes on elsewhere from its copy, and one whose folders were moved where they are now."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ..chaos.invariants import check, in_mlflow
from .rig import MODEL, PACE, SWEEP, Rig
from .test_faults import in_fit, trials_ended

pytestmark = pytest.mark.real


def test_a_sweep_goes_on_on_another_machine_and_after_a_move(
    tmp_path: Path, rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copied from a folder with spaces behind a link, lost with its machine, brought back, moved, given more budget."""
    lost = tmp_path / "mein Gerät"
    lost.mkdir()
    (tmp_path / "link").symlink_to(lost)
    monkeypatch.setenv("KERASWEEP_RIG", str(tmp_path / "link"))
    spec = SWEEP.replace("epochs: 3", "epochs: 15") + f"storage: {tmp_path}/ein Speicher\n"
    here = Rig(tmp_path / "link", MODEL + PACE, spec)
    here.start()
    here.wait(trials_ended(2))
    here.wait(in_fit)
    here.kill("driver")
    code, text = here.finish()
    assert code == 3, text
    shutil.rmtree(lost / "sweeps")

    home = tmp_path / "other"
    home.mkdir()
    monkeypatch.setenv("KERASWEEP_RIG", str(home))
    other = Rig(home, MODEL, SWEEP)
    (home / "model.py").unlink()
    code, text = other.run("resume", f"{tmp_path}/ein Speicher/rig")
    assert code == 0, text
    assert "brought back from its copy" in text
    check(other.folder, trials=6, code=code, said=text, runs=in_mlflow(f"sqlite:///{lost}/mlflow.db"))

    lost.rename(tmp_path / "gone")
    home.rename(tmp_path / "moved")
    monkeypatch.setenv("KERASWEEP_RIG", str(tmp_path / "moved"))
    moved = rig()
    moved.home = tmp_path / "moved"
    moved.folder = moved.home / "sweeps" / "rig"
    code, text = moved.run("resume", "rig", "--set", "budget.trials=7")
    if code == 3 and "`kerasweep sync rig`" in text:  # a new database takes MLflow a minute on a busy machine
        code, text = moved.run("sync", "rig")
    assert code == 0, text
    runs = in_mlflow(f"sqlite:///{moved.home}/mlflow.db")
    check(moved.folder, trials=7, code=code, said=text, runs=runs, processes=moved.all_processes)
