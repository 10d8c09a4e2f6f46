"""A real sweep of twenty tiny trials, and blows at it at moments drawn from a seed; what holds after each is checked.

The driver, the raylet and the GCS take the run with them: the command ends with exit code 3, and `resume` goes on.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import final

import psutil

from kerasweep.trackers.history import History

from ..chaos.invariants import check, in_mlflow
from .rig import PATIENCE_S, Rig

TRIALS = 20
ENDING = ("driver", "raylet", "gcs")
PASSING = ("actor", "trainer", "tracker", "server")
LOOP = """
import time


def train(hp, report):
    rate = hp.Float("rate", 0.0, 1.0)
    for epoch in range(1, report.epochs + 1):
        time.sleep({epoch_s})
        report(epoch=epoch, loss=1.0 / epoch + rate)
"""
SWEEP = """
name: rig
train: model.py:train
objective: min loss
fit: {{epochs: {epochs}}}
search: {{sampler: random, seed: {seed}}}
budget: {{trials: {trials}}}
parallel: 2
"""


def tiny(
    home: Path, seed: int, *, trials: int = TRIALS, epochs: int = 8, epoch_s: float = 0.1, uri: str = "", more: str = ""
) -> Rig:
    """Make a sweep of trials that take less than a second each."""
    text = SWEEP.format(epochs=epochs, seed=seed, trials=trials) + (f"track: {{uri: {uri!r}}}\n" if uri else "") + more
    return Rig(home, LOOP.format(epoch_s=epoch_s), text)


@final
class Server:
    """An MLflow server over SQLite that can be killed, and comes back at the same port."""

    def __init__(self, folder: Path) -> None:
        self.store = f"sqlite:///{folder / 'server.db'}"
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.uri = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it answers some seconds later."""
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_BACKEND_STORE_URI": self.store}
        environment = {name: value for name, value in os.environ.items() if name != "KERASWEEP_RIG"} | quiet
        command = [sys.executable, "-P", "-m", "mlflow", "server", "--port", str(self._port), "--workers", "1"]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < deadline, "the MLflow server does not come up"
            time.sleep(0.2)

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=2)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """End it and its workers with SIGKILL."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """A kill that hit: what, and how long after its session's first report (seconds)."""

    kind: str
    after_s: float


def strike(sweep: Rig, sessions: Sequence[Sequence[str]], draw: random.Random, server: Server | None) -> list[Blow]:
    """Run the sweep to its end through one session of kills after the other; return those that hit.

    Raises:
        AssertionError: an invariant does not hold.
    """
    blows: list[Blow] = []
    runs = in_mlflow(server.store if server else f"sqlite:///{sweep.home / 'mlflow.db'}")
    command: tuple[str, ...] = ()
    if server is not None:
        server.wait()
    for kinds in (*sessions, ()):
        sweep.start(*command)
        command = ("resume", "rig")
        hit = _hit(sweep, kinds, draw, server)
        blows.extend(hit)
        code, said = finished(sweep)
        if code == 0:
            check(sweep.folder, trials=TRIALS, runs=runs, code=code, said=said, processes=sweep.all_processes)
            return blows
        assert any(one.kind in ENDING for one in hit), f"exit {code}: {said}"
        assert code == 3, said
        assert "kerasweep resume rig" in said
        check(sweep.folder, code=code, said=said, processes=sweep.all_processes)
    raise AssertionError("the last session, which nothing disturbed, did not end the sweep")


def finished(sweep: Rig) -> tuple[int, str]:
    """Wait for the command; on a machine so busy that it gave MLflow up, deliver the rest as it says."""
    code, said = sweep.finish()
    if code == 3 and "kerasweep sync rig" in said:
        code, said = sweep.run("sync", "rig")
    return code, said


def _hit(sweep: Rig, kinds: Sequence[str], draw: random.Random, server: Server | None) -> list[Blow]:
    """Kill one process of each kind, unless the sweep is over before."""
    blows: list[Blow] = []
    if not kinds or not _comes(sweep, lambda: reports(sweep.history(), since=0.0) > 0):
        return blows
    before, began = reports(sweep.history(), since=0.0), time.monotonic()
    if not _comes(sweep, lambda: reports(sweep.history(), since=0.0) > before):
        return blows
    for kind in kinds:
        time.sleep(draw.uniform(0.0, 0.8))
        if kind == "server":
            assert server is not None
            server.kill()
            server.start()
        else:
            if not _comes(sweep, lambda kind=kind: sweep.processes(kind)):
                break
            try:
                draw.choice(sweep.processes(kind)).kill()
            except (psutil.NoSuchProcess, IndexError):  # it has just ended
                break
        blows.append(Blow(kind=kind, after_s=time.monotonic() - began))
    return blows


def reports(history: History, *, since: float) -> int:
    """Return how many epochs were journaled since a time (seconds since 1970)."""
    return sum(at >= since for one in history.trials.values() for at in one.reported_at.values())


def _comes(sweep: Rig, condition: Callable[[], object]) -> bool:
    """Wait for a condition; return False where the command ends before."""
    deadline = time.monotonic() + PATIENCE_S
    assert sweep.launcher is not None
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        if sweep.launcher.poll() is not None:
            return False
        time.sleep(0.02)
    return True


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt(sweep: Rig, command: Sequence[str], draw: random.Random, latest_s: float) -> tuple[float, signal.Signals]:
    """Send a signal at a random instant of a command's life; return when and which; check how it ends.

    Raises:
        AssertionError: it ends otherwise than promised.
    """
    number, instant = draw.choice(SIGNALS), draw.uniform(0.0, latest_s)
    launcher = sweep.start(*command)
    with suppress(subprocess.TimeoutExpired):
        launcher.wait(instant)
    launcher.send_signal(number)
    sent = time.monotonic()
    code, said = sweep.finish(60.0)
    took = time.monotonic() - sent
    where = f"{number.name} after {instant:.2f} s, exit {code} after {took:.1f} s: {said}"
    begun = (sweep.folder / "journal.db").exists()
    if code == 0:
        assert sweep.history().ended, where
        return instant, number
    by_default = -number  # before Python has handlers
    bare = number == signal.SIGINT and code == 1 and said.startswith("Fatal Python error: init_")  # nor any of our code
    assert bare or code in (143 if number == signal.SIGTERM else 130, by_default), where
    assert "terminate called" not in said, where
    assert bare or code == by_default or "Traceback" not in said, where
    assert took < 10.5, where
    assert not (bare and begun), where
    if begun:
        check(sweep.folder, processes=sweep.all_processes)
    last = said.strip().rpartition("\n")[2]
    assert bare or code < 0 or any(words in last for words in ("safe", "nothing is lost", "nothing was left behind")), (
        where
    )
    deadline = time.monotonic() + 10.0
    while left := sweep.all_processes():
        assert time.monotonic() < deadline, f"left: {[one.cmdline() for one in left]}; {where}"
        time.sleep(0.1)
    if not begun:
        assert not (sweep.home / "sweeps").exists(), where
    return instant, number
