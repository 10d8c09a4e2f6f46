"""One live sweep, looked at from outside: what its processes have loaded, listen at and write; commands meanwhile."""

from __future__ import annotations

import ipaddress
import json
import stat
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from kerasweep.trackers.history import History

from .rig import KERASWEEP, MODEL, SWEEP, Rig, check_journal, check_mlflow, paths_below

pytestmark = pytest.mark.real
Make = Callable[..., Rig]

HEAVY = {"tensorflow", "keras", "ray", "mlflow", "optuna"}
SPY = f"""
import os
import sys


class Spy:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in {sorted(HEAVY)}:
            with open(os.path.join(os.environ["KERASWEEP_RIG"], "imports.log"), "a") as log:
                log.write(f"{{os.getpid()}} {{name}}\\n")


sys.meta_path.insert(0, Spy)
"""
"""Every Python that starts with it on its path writes down which of the heavy libraries it imports."""
EPOCHS = 400


def imports(sweep: Rig) -> dict[int, set[str]]:
    """Return which heavy libraries each process imported by itself."""
    found: dict[int, set[str]] = {}
    for line in (sweep.home / "imports.log").read_text().splitlines():
        pid, name = line.split()
        found.setdefault(int(pid), set()).add(name)
    return found


def has_tensorflow(process: psutil.Process) -> bool:
    """Say whether TensorFlow's library is mapped into the process, by import or by birth."""
    return "/tensorflow/libtensorflow" in Path(f"/proc/{process.pid}/maps").read_text()


def run(sweep: Rig, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run another command beside the sweep."""
    command = [KERASWEEP, *arguments]
    return subprocess.run(command, cwd=sweep.home, capture_output=True, text=True, timeout=60, check=False)


def many_epochs_done(history: History) -> bool:
    """Return the condition that both slots are well in `fit`, and MLflow is being told."""
    return sum(1 for one in history.trials.values() if one.running and len(one.metrics) > 2) == 2


def test_a_live_sweep_seen_from_outside(rig: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has loaded what, who listens where, whose files are whose; an edit of the model; `list` to `stop`."""
    (tmp_path / "spy").mkdir()
    (tmp_path / "spy" / "sitecustomize.py").write_text(SPY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "spy"))
    sweep = rig(MODEL, SWEEP.replace("epochs: 3", f"epochs: {EPOCHS}").replace("trials: 6", "trials: 50"))
    sweep.start()
    sweep.wait(many_epochs_done)
    sweep.wait(lambda _: any("mlflow" in names for names in imports(sweep).values()))
    check_imports(sweep)
    check_threads(sweep)
    check_ports(sweep.all_processes())
    sweep.model.write_text("raise SystemExit('edited in mid-sweep')\n")
    check_reading(sweep)
    wait_for_another_trial(sweep)
    check_modes(sweep.folder)
    said = run(sweep, "stop", "rig")
    assert (said.returncode, "kerasweep resume rig" in said.stdout) == (0, True), said
    code, text = sweep.finish()
    assert code == 130, text
    history = sweep.history()
    assert not [one for one in history.trials.values() if one.state == "failed"]
    assert sum(len(one.metrics) for one in history.trials.values()) > 4
    check_mlflow(sweep.home, history, status="KILLED")
    resumed_after_an_edit(sweep)


def check_imports(sweep: Rig) -> None:
    """Assert that each library is only where it belongs: TensorFlow in trainers, Ray nowhere near it, and so on."""
    assert sweep.launcher is not None
    (driver,), (tracker,), (server,) = (sweep.processes(role) for role in ("driver", "tracker", "forkserver"))
    trainers, actors = sweep.processes("trainer"), sweep.processes("actor")
    assert len(trainers) >= 2
    assert len(actors) == 2
    found = imports(sweep)
    assert sweep.launcher.pid not in found
    assert found[driver.pid] == {"ray", "optuna"}
    assert found[tracker.pid] == {"mlflow"}
    assert found[server.pid] == {"tensorflow", "keras"}
    for one in actors:
        assert found[one.pid] == {"ray"}
    for one in trainers:
        assert found.get(one.pid, set()) <= {"tensorflow", "keras"}
        assert has_tensorflow(one)
    for one in (driver, tracker, *actors):
        assert not has_tensorflow(one)


def check_threads(sweep: Rig) -> None:
    """Assert that a trainer of one cpu computes on one thread: its others wait."""
    for one in sweep.processes("trainer"):
        assert one.environ().get("OMP_NUM_THREADS") == "1"
        busy = [thread for thread in one.threads() if thread.user_time > 0.3 * sum(one.cpu_times()[:2])]
        assert len(busy) <= 2, one.threads()


def check_ports(processes: Iterable[psutil.Process]) -> None:
    """Assert that nothing of the sweep can be reached from another machine."""
    for one in processes:
        try:
            connections: list[Any] = one.net_connections(kind="inet")
        except psutil.Error:  # gone by now
            continue
        for connection in connections:
            if connection.status == psutil.CONN_LISTEN:
                address = ipaddress.ip_address(connection.laddr.ip.removeprefix("::ffff:"))
                assert address.is_loopback, (one.cmdline(), connection.laddr)


def check_modes(folder: Path) -> None:
    """Assert that the sweep's folder is its owner's alone, and so is all in it."""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in paths_below(folder):
        with suppress(FileNotFoundError):
            about = path.lstat()
            assert stat.S_ISLNK(about.st_mode) or about.st_mode & 0o077 == 0, path


def check_reading(sweep: Rig) -> None:
    """Assert that the commands that read work beside a running driver, and that a second driver is refused."""
    (row,) = json.loads(run(sweep, "list", "--json").stdout)
    assert (row["name"], row["state"]) == ("rig", "running")
    shown = json.loads(run(sweep, "show", "rig", "--json").stdout)
    assert {one["state"] for one in shown["trials"]} >= {"running"}
    assert shown["objective"] == "max val_accuracy"
    assert run(sweep, "show", "rig").returncode == 0
    one = json.loads(run(sweep, "show", "rig", "0", "--json").stdout)
    assert one["metrics"][0]["epoch"] == 1
    best = run(sweep, "best", "rig")
    assert best.returncode in (0, 1)
    second = run(sweep, "resume", "rig")
    assert (second.returncode, "rig is running: pid" in second.stderr) == (4, True), second
    again = run(sweep, "run", "sweep.yaml")
    assert again.returncode == 2, again


def wait_for_another_trial(sweep: Rig) -> None:
    """Have a trainer killed, so that a fresh process, forked after the edit, trains the trial again."""
    before = {number: one.attempt for number, one in sweep.history().trials.items()}
    sweep.kill("trainer")
    history = sweep.wait(
        lambda now: any(one.attempt > before.get(one.number, 1) and one.metrics for one in now.trials.values())
    )
    assert not [one for one in history.trials.values() if one.state == "failed"]
    sweep.wait(many_epochs_done)


def resumed_after_an_edit(sweep: Rig) -> None:
    """Assert that `resume` goes on with the code that the sweep began with, and says so; with a budget that is less."""
    running = len(sweep.history().trials)
    settings = ("--set", f"budget.trials={running}", "--set", "limits.trial_s=3")
    code, text = sweep.run("resume", "rig", *settings)
    assert code in (0, 1), text
    assert "model.py changed since rig began" in text
    history = check_journal(sweep.folder, trials=running)
    assert {one.state for one in history.trials.values()} <= {"failed", "completed"}
