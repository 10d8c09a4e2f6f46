"""A real sweep by the command line, in a folder of its own, with hands to find its processes and eyes on its journal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import psutil

from kerasweep.cluster.local_cluster import LocalCluster
from kerasweep.spaces.errors import BadInput
from kerasweep.trackers import mirror
from kerasweep.trackers.history import History
from kerasweep.trackers.journal import Reader

from ..chaos.invariants import check, check_runs, entries, in_mlflow

__all__ = ["check_journal", "check_mlflow", "entries"]
KERASWEEP = str(Path(sys.executable).parent / "kerasweep")
PATIENCE_S = 240.0
ROLES = ("driver", "tracker", "forkserver", "trainer", "actor")
"""What a sweep's own processes are to it; beside them its Ray's, which may be a cluster's."""

MODEL = """
import keras
import numpy as np


def build(hp):
    model = keras.Sequential([keras.Input((64,))])
    for layer in range(hp.Int("layers", 1, 2)):
        model.add(keras.layers.Dense(hp.Int(f"units_{layer}", 8, 32, step=8), activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def load():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    return (x[:1000], y[:1000]), (x[1000:1300], y[1000:1300])
"""

PACE = """
import pathlib
import time

arrays = load


class Pace(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if not pathlib.Path(__file__).with_name("hurry").exists():
            time.sleep(0.2)


def load():
    (x, y), held_out = arrays()
    return {"x": x, "y": y, "validation_data": held_out, "callbacks": [Pace()]}
"""
"""After a model: its epochs last, however fast the machine, until `hurry` lies beside it, so that a moment can be met."""

SWEEP = """
name: rig
model: model.py:build
data: model.py:load
objective: max val_accuracy
fit: {epochs: 3, batch_size: 32}
search: {sampler: random, seed: 1}
budget: {trials: 6}
parallel: 2
"""


def paths_below(folder: Path) -> Iterator[Path]:
    """Yield what is below a folder that others change meanwhile: what goes while it is read is left out."""
    for place, folders, files in os.walk(folder):
        yield from (Path(place, name) for name in (*folders, *files))


class Rig:
    """One folder with a model and a sweep file, and the processes of the sweep that runs in it."""

    def __init__(self, home: Path, model: str = MODEL, sweep: str = SWEEP) -> None:
        self.home = home
        self.folder = home / "sweeps" / "rig"
        self.model = home / "model.py"
        self.model.write_text(textwrap.dedent(model))
        (home / "sweep.yaml").write_text(textwrap.dedent(sweep))
        self.launcher: subprocess.Popen[str] | None = None

    def start(self, *arguments: str, output: IO[str] | None = None) -> subprocess.Popen[str]:
        """Start `kerasweep` without waiting for it."""
        self.launcher = subprocess.Popen(
            [KERASWEEP, *(arguments or ("run", "sweep.yaml"))],
            cwd=self.home,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return self.launcher

    def finish(self, timeout_s: float = PATIENCE_S) -> tuple[int, str]:
        """Wait for what was started; return its exit code and what it printed."""
        assert self.launcher is not None
        text, _ = self.launcher.communicate(timeout=timeout_s)
        return self.launcher.returncode, text

    def check(self, code: int, said: str, *, trials: int | None = None, uri: str = "") -> History:
        """Assert all invariants on the sweep whose command has just ended so, with its own MLflow or the one at `uri`."""
        runs = in_mlflow(uri or f"sqlite:///{self.home / 'mlflow.db'}")
        return check(self.folder, trials=trials, runs=runs, code=code, said=said, processes=self.workers)

    def hurry(self) -> None:
        """End the pauses of a paced model."""
        (self.home / "hurry").touch()

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run `kerasweep` to its end."""
        self.start(*arguments)
        return self.finish()

    def history(self) -> History:
        """Return what the journal says now; an empty history before there is one."""
        try:
            with Reader(self.folder) as reader:
                return History.of(reader.after(0))
        except BadInput:
            return History()

    def wait(self, condition: Callable[[History], object], timeout_s: float = PATIENCE_S) -> History:
        """Return the history as soon as the condition holds."""
        deadline = time.monotonic() + timeout_s
        while not condition(history := self.history()):
            assert time.monotonic() < deadline, f"did not come about; {history.trials}"
            assert self.launcher is None or self.launcher.poll() is None or condition(self.history()), "it ended before"
            time.sleep(0.05)
        return history

    def processes(self, role: str) -> list[psutil.Process]:
        """Return the sweep's living processes of a role: driver, tracker, forkserver, trainer, actor, raylet, gcs."""
        return [process for process in self.all_processes() if role_of(process) == role]

    def all_processes(self) -> list[psutil.Process]:
        """Return every living process whose command line, environment or working folder names this sweep."""
        return processes_of(self.home)

    def workers(self) -> list[psutil.Process]:
        """Return the sweep's living processes but the nodes of a cluster, which outlive it."""
        nodes = LocalCluster.read(self.home)
        return [process for process in self.all_processes() if nodes is None or role_of(process) in ROLES]

    def kill(self, role: str) -> int:
        """Kill one process of a role with SIGKILL; return its pid."""
        process = self.processes(role)[0]
        process.send_signal(signal.SIGKILL)
        return process.pid

    def close(self) -> None:
        """End whatever is left."""
        for process in self.all_processes():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue


def processes_of(home: Path) -> list[psutil.Process]:
    """Return every living process that was started for the sweep in a folder, by a mark in its environment."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            mine = process.environ().get("KERASWEEP_RIG") == str(home)
            if mine and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


def role_of(process: psutil.Process) -> str:
    """Return what a process is to its sweep; empty where that cannot be told."""
    try:
        words, name = " ".join(process.cmdline()), process.name()
        parent = process.parent()
        above = "" if parent is None else " ".join(parent.cmdline())
    except psutil.Error:
        return ""
    if "kerasweep.cluster.forkserver" in words:
        return "trainer" if "kerasweep.cluster.forkserver" in above else "forkserver"
    if "kerasweep.search.driver" in words:
        return "driver"
    if "kerasweep.trackers.process" in words:
        return "tracker"
    if "ray::SlotActor" in words or "ray::SlotActor" in name:
        return "actor"
    return {"raylet": "raylet", "gcs_server": "gcs"}.get(name, "")


def check_journal(folder: Path, *, trials: int) -> History:
    """Assert the promises on the journal: the budget exact, no trial lost, none run again after its end."""
    return check(folder, trials=trials)


def check_mlflow(home: Path, history: History, status: str = "FINISHED") -> None:
    """Assert with nothing but `MlflowClient` that MLflow mirrors the journal: runs, parameters, metrics, statuses."""
    runs = in_mlflow(f"sqlite:///{home / 'mlflow.db'}")(mirror.sweep_id(history))
    check_runs(history, runs)
    assert [run.status for run in runs if run.trial is None] == [status]


def rigs(home: Path, monkeypatch: Any) -> Iterator[Callable[..., Rig]]:
    """Give a maker of rigs; what they started is ended after the test."""
    made: list[Rig] = []
    monkeypatch.setenv("KERASWEEP_RIG", str(home))
    monkeypatch.delenv("KERASWEEP_DIR", raising=False)

    def make(model: str = MODEL, sweep: str = SWEEP) -> Rig:
        rig = Rig(home, model, sweep)
        made.append(rig)
        return rig

    yield make
    for rig in made:
        rig.close()
