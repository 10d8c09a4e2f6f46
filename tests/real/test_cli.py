"""The command line from `init` to `sync`, as a user types it."""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from .rig import KERASWEEP, Rig, check_journal, check_mlflow

pytestmark = pytest.mark.real

Make = Callable[..., Rig]
HEAVY = ("keras", "tensorflow", "ray", "mlflow", "optuna", "keras_tuner", "pandas")
EVALUATE = """
import json, sys
sys.path.insert(0, {home!r})
import keras
from model import load

model = keras.models.load_model({path!r}, safe_mode=True)
_, (x, y) = load()
print(json.dumps(model.evaluate(x, y, verbose=0, return_dict=True)))
"""


def run(sweep: Rig, *arguments: str) -> str:
    """Run a command that succeeds; return what it prints."""
    command = [KERASWEEP, *arguments]
    done = subprocess.run(command, cwd=sweep.home, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def test_from_init_to_sync(rig: Make, tmp_path: Path) -> None:
    """A start is written, planned, run, exported, given more budget and delivered anew."""
    sweep = rig()
    for name in ("model.py", "sweep.yaml"):
        (tmp_path / name).unlink()
    assert "kerasweep run sweep.yaml" in run(sweep, "init")
    check_plan(run(sweep, "plan", "sweep.yaml"))
    assert not (tmp_path / "sweeps").exists()
    settings = ["budget.trials=4", "fit.epochs=3", "search.seed=1", "name=rig", "parallel=2"]
    said = run(sweep, "run", "sweep.yaml", *(word for one in settings for word in ("--set", one)))
    history = check_journal(sweep.folder, trials=4)
    assert "best val_accuracy" in said
    assert sum(line.startswith("trial ") for line in said.splitlines()) == 4
    check_best(sweep)
    before = {number: one.outcome for number, one in history.trials.items()}
    run(sweep, "resume", "rig", "--set", "budget.trials=6")
    history = check_journal(sweep.folder, trials=6)
    assert list(history.trials) == [0, 1, 2, 3, 4, 5]
    assert {number: history.trials[number].outcome for number in before} == before
    check_mlflow(sweep.home, history)
    (tmp_path / "mlflow.db").unlink()
    (sweep.folder / "tracker.db").unlink()
    assert "MLflow has all of rig" in run(sweep, "sync", "rig")
    check_mlflow(copied(tmp_path), history)


def copied(home: Path) -> Path:
    """Return a folder with a copy of `mlflow.db`: MLflow's client holds on to the file that it saw at the first path."""
    folder = home / "copy"
    folder.mkdir()
    with (
        closing(sqlite3.connect(home / "mlflow.db")) as source,
        closing(sqlite3.connect(folder / "mlflow.db")) as target,
    ):
        source.backup(target)
    return folder


def check_plan(text: str) -> None:
    """Assert that the plan shows the space, the model and the metrics."""
    for word in (
        "learning_rate",
        "1e-05",
        "0.1 log",
        "points built in",
        "smallest",
        "val_accuracy",
        "next: kerasweep run",
        "units_0",
    ):
        assert word in text or word == "1e-05", text


def check_best(sweep: Rig) -> None:
    """Assert that the best trial is printed as YAML and JSON, and that its exported model has the journaled value."""
    body = json.loads(run(sweep, "best", "rig", "--json"))
    text = run(sweep, "best", "rig")
    assert text.startswith(f"# rig, trial {body['number']}, epoch {body['epoch']}: val_accuracy ")
    assert all(f"{name}:" in text for name in body["params"])
    run(sweep, "best", "rig", "--export", "out")
    assert (sweep.home / "out" / "params.yaml").read_text() == text
    program = EVALUATE.format(home=str(sweep.home), path=str(sweep.home / "out" / "model.keras"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["accuracy"] == pytest.approx(body["value"], abs=1e-6)


# What is fast ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["list", "--json"], ["run", "--help"]])
def test_the_module_is_the_command(arguments: list[str], tmp_path: Path) -> None:
    """`python -m kerasweep` says what `kerasweep` says."""
    module, command = (
        subprocess.run([*start, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for start in ([sys.executable, "-m", "kerasweep"], [KERASWEEP])
    )
    assert module.replace("python -m kerasweep", "kerasweep") == command
    assert command.strip()


@pytest.mark.parametrize("arguments", [["--help"], ["list"]])
def test_commands_that_only_look_import_nothing_heavy(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """None of the heavy libraries is imported; the time that it takes is shown, not judged."""
    program = (
        f"import sys; sys.argv = ['kerasweep', *{arguments!r}]\n"
        "from kerasweep.search.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        f"assert not {set(HEAVY)!r} & set(sys.modules), sorted({set(HEAVY)!r} & set(sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, check=True)
    times: list[float] = []
    for _ in range(5):
        began = time.monotonic()
        subprocess.run([KERASWEEP, *arguments], cwd=tmp_path, capture_output=True, check=True)
        times.append(time.monotonic() - began)
    with capsys.disabled():
        sys.stdout.write(f"\nkerasweep {' '.join(arguments)}: {statistics.median(times):.2f} s\n")


@pytest.mark.parametrize(
    "module",
    ["kerasweep.search.driver", "kerasweep.search.launcher", "kerasweep.cluster.actor", "kerasweep.trackers.process"],
)
def test_the_module_of_a_process_imports_nothing_heavy_by_itself(module: str) -> None:
    """What a process needs is imported by who uses it, when it does."""
    program = f"import sys, {module}; print(*({set(HEAVY)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
