"""Every example runs, raises no false alarm, and can be evaluated as its README says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .rig import KERASWEEP, check_journal

pytestmark = pytest.mark.real
EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/sweep.yaml"))


def copy_examples(home: Path) -> Path:
    """Return the folder with a copy of the examples in it, since they may keep files beside them."""
    shutil.copytree(EXAMPLES, home / "examples", ignore=shutil.ignore_patterns(".cache", "__pycache__"))
    return home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the examples, their sweeps and one `mlflow.db` for all."""
    return copy_examples(tmp_path_factory.mktemp("home"))


def call(home: Path, *command: str) -> str:
    """Return what a command prints that must end well."""
    environment = {**os.environ, "KERASWEEP_DIR": str(home)}
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs(home: Path, name: str) -> None:
    """Two trials of one epoch complete, each with a value."""
    small = ("--set", "budget.trials=2", "--set", "fit.epochs=1")
    call(home, KERASWEEP, "run", f"examples/{name}/sweep.yaml", *small)
    trials = check_journal(home / "sweeps" / name, trials=2).trials.values()
    values = [trial.outcome.value for trial in trials if trial.outcome is not None]
    assert len([value for value in values if value is not None]) == 2


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_found_against_an_example(home: Path, name: str) -> None:
    """`plan` builds it at the points that it has time for, and finds nothing wrong."""
    plan = json.loads(call(home, KERASWEEP, "plan", f"examples/{name}/sweep.yaml", "--json", "--limit", "3"))
    assert plan["findings"] == []
    assert plan["failed"] == []


@pytest.mark.parametrize("name", ["folds", "hypermodel", "robust"])
def test_what_was_found_is_compared_with_the_defaults(tmp_path: Path, name: str) -> None:
    """`evaluate.py` measures both on held-out data, for each way in which a sweep trains."""
    home = copy_examples(tmp_path)  # its own: the example is edited
    sweep = home / "examples" / name / "sweep.yaml"
    sweep.write_text(re.sub(r"epochs: \d+", "epochs: 1", sweep.read_text()))
    call(home, KERASWEEP, "run", str(sweep), "--set", "budget.trials=1")
    text = call(home, sys.executable, "examples/evaluate.py", name)
    assert re.search(r"(?m)^  \w+ +defaults +[\d.]+  \([\d.]+ to [\d.]+\)$", text), text
    assert re.search(r"(?m)^  \w+ +trial 0 +[\d.]+  \([\d.]+ to [\d.]+\)$", text), text


def test_every_example_has_its_page_and_its_line() -> None:
    """Each README names the command that runs it, and the list of examples has all of them."""
    assert len(NAMES) >= 8
    listed = (EXAMPLES / "README.md").read_text()
    for name in NAMES:
        assert f"kerasweep run examples/{name}/sweep.yaml" in (EXAMPLES / name / "README.md").read_text()
        assert f"[{name}]({name}/)" in listed
