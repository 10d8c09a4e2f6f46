"""Signals, closed terminals, second drivers, a sweep left alone and looked at again: on real sweeps of tiny trials."""

from __future__ import annotations

import os
import pty
import random
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from kerasweep.trackers.history import History

from ..chaos.invariants import check, in_mlflow
from .kills import finished, interrupt, reports, tiny
from .rig import KERASWEEP, processes_of

pytestmark = pytest.mark.real


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder whose sweeps are ended after the test."""
    monkeypatch.setenv("KERASWEEP_RIG", str(tmp_path))
    yield tmp_path
    for process in processes_of(tmp_path):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def busy(history: History) -> bool:
    """Return the condition that trials report."""
    return reports(history, since=history.session_at) > 2


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run another command beside the sweep."""
    return subprocess.run([KERASWEEP, *arguments], cwd=home, capture_output=True, text=True, timeout=120, check=False)


def test_a_sweep_left_alone_is_shown_again_and_held_against_second_drivers(home: Path) -> None:
    """`--detach` survives its shell, `attach` comes and goes, the second driver exits 4, also while the first is stopped."""
    sweep = tiny(home, seed=1, trials=30, epochs=8, more="limits: {trial_s: 8, silence_s: 8}\n")
    code, text = sweep.run("run", "sweep.yaml", "--detach")
    assert (code, "kerasweep attach rig" in text) == (0, True), text
    (driver,) = sweep.processes("driver")
    sweep.launcher = None
    sweep.wait(busy)

    attached = psutil.Process(sweep.start("attach", "rig").pid)
    sweep.wait(lambda _: str(sweep.folder / "journal.db") in {one.path for one in attached.open_files()})
    attached.send_signal(signal.SIGINT)
    code, text = sweep.finish(10.0)
    assert (code, "rig runs on" in text) == (0, True), text

    driver.suspend()
    try:
        stopped = time.monotonic()
        seconds = [run(home, "resume", "rig") for _ in range(3)]
        for second in seconds:
            assert (second.returncode, second.stdout) == (4, "")
            assert f"pid {driver.pid} on " in second.stderr
        time.sleep(max(0.0, 12.0 - (time.monotonic() - stopped)))
    finally:
        driver.resume()
    sweep.launcher = None
    sweep.start("attach", "rig")
    code, text = finished(sweep)
    assert code == 0, text
    history = check(sweep.folder, trials=30, runs=in_mlflow(f"sqlite:///{home / 'mlflow.db'}"), code=code, said=text)
    assert {one.attempt for one in history.trials.values()} == {1}, "a trial was ended for its driver's sleep"
    again = run(home, "attach", "rig")
    assert (again.returncode, "rig is not running any more" in again.stdout) == (0, True), again.stdout
    assert "30 completed" in again.stdout


def test_a_reader_that_leaves_does_no_harm(home: Path) -> None:
    """`kerasweep run … | head -1`: the sweep runs to its end, and nobody complains."""
    sweep = tiny(home, seed=2, trials=6)
    line = f"{shlex.quote(KERASWEEP)} run sweep.yaml | head -1"
    done = subprocess.run(["/bin/sh", "-c", line], cwd=home, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout.count("\n") == 1
    assert done.stderr == "" or done.stderr.startswith("MLflow lacks "), done.stderr
    sweep.launcher = None
    sweep.run("sync", "rig")
    deadline = time.monotonic() + 60.0
    while sweep.all_processes():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    check(sweep.folder, trials=6, runs=in_mlflow(f"sqlite:///{home / 'mlflow.db'}"), code=0)


def test_a_closed_terminal_ends_a_sweep_as_ctrl_c_does(home: Path) -> None:
    """The sweep ends in good order and can be resumed; the driver's log has no dump of Ray's."""
    sweep = tiny(home, seed=3, trials=20)
    terminal, tty = pty.openpty()

    line = f"exec < {os.ttyname(tty)} > {os.ttyname(tty)} 2>&1; exec {shlex.quote(KERASWEEP)} run sweep.yaml"
    launcher = subprocess.Popen(["/bin/sh", "-c", line], cwd=home, start_new_session=True)  # its terminal from now on
    os.set_blocking(terminal, False)
    deadline = time.monotonic() + 120.0
    while not busy(sweep.history()):
        assert time.monotonic() < deadline
        assert launcher.poll() is None
        _drain(terminal)
        time.sleep(0.05)
    os.close(tty)
    os.close(terminal)
    closed = time.monotonic()
    assert launcher.wait(20.0) == 130
    assert time.monotonic() - closed < 10.5
    history = check(
        sweep.folder, code=130, said="nothing is lost: `kerasweep resume rig`", processes=sweep.all_processes
    )
    assert history.ended is not None
    assert history.ended.exit_code == 130
    log = (sweep.folder / "logs" / "driver.log").read_text(errors="replace")
    assert "*** " not in log
    assert "terminate called" not in log
    sweep.start("resume", "rig")
    code, text = finished(sweep)
    assert code == 0, text
    check(sweep.folder, trials=20, runs=in_mlflow(f"sqlite:///{home / 'mlflow.db'}"), code=code, said=text)


def _drain(terminal: int) -> None:
    try:
        os.read(terminal, 100_000)
    except BlockingIOError:
        return


def test_signals_at_random_instants_leave_nothing_behind(home: Path) -> None:
    """During the start and during `resume`: 130 or 143 within 10 s, no process and no half a sweep is left."""
    draw = random.Random(seed := random.randrange(1_000_000))
    sweep = tiny(home, seed=4, trials=20)
    try:
        for _ in range(3):
            begun = (sweep.folder / "journal.db").exists()
            interrupt(sweep, ("resume", "rig") if begun else ("run", "sweep.yaml"), draw, latest_s=6.0)
        if not (sweep.folder / "journal.db").exists():
            sweep.start()
            sweep.wait(busy)
            assert sweep.launcher is not None
            sweep.launcher.send_signal(signal.SIGTERM)
            assert sweep.finish()[0] == 143
        for _ in range(3):
            interrupt(sweep, ("resume", "rig"), draw, latest_s=8.0)
        sweep.start("resume", "rig")
        code, text = finished(sweep)
        assert code == 0, text
        check(sweep.folder, trials=20, runs=in_mlflow(f"sqlite:///{home / 'mlflow.db'}"), code=code, said=text)
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise
