"""Real sweeps whose MLflow server is away: before, during and after, refusing or silent."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Generator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from kerasweep.cluster.mlflow_server import ensure_server, stop_server
from kerasweep.trackers.history import History
from kerasweep.trackers.status import delivery_status, trouble

from ..chaos.invariants import check
from ..trackers.proxy import Fault, proxy
from ..trackers.test_mlflow_real import assert_all_there, runs_of
from .rig import MODEL, PACE, SWEEP, Rig

pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore:The ..noload.. loader:DeprecationWarning"),  # MLflow's own tables
]
Make = Callable[..., Rig]
PATIENT = """
import pathlib
import time

arrays, GO = load, pathlib.Path(__file__).parent / "go"


class UntilGo(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        while epoch and not GO.exists():
            time.sleep(0.05)


def load():
    (x, y), held_out = arrays()
    return {"x": x, "y": y, "validation_data": held_out, "callbacks": [UntilGo()]}
"""
"""Trials wait after their first epoch: the tracker starts with a first report."""
SILENT = Fault(name="half open", forward=False, hangs=True)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    """Return the port of a real MLflow server."""
    state = tmp_path_factory.mktemp("server")
    try:
        yield urlsplit(ensure_server(f"sqlite:///{state}/mlflow.db", state, patience_s=180.0)).port or 0
    finally:
        stop_server(state)


@pytest.fixture
def address() -> int:
    """Return a port at which nobody answers yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tracked(port: int, name: str) -> str:
    """Return a sweep that is tracked at a port, in an experiment of its own."""
    return SWEEP + f"track: {{uri: 'http://127.0.0.1:{port}', experiment: {name}}}\n"


def reached(sweep: Rig, ports: set[int]) -> set[str]:
    """Return the roles of those processes of a sweep that are connected to one of the ports."""
    roles = ("driver", "actor", "trainer", "forkserver", "raylet", "tracker")
    found: set[str] = set()
    for role in roles:
        for process in sweep.processes(role):
            try:
                connected = process.net_connections(kind="tcp")
            except psutil.Error:
                continue
            if any(one.raddr and one.raddr.port in ports for one in connected):
                found.add(role)
    return found


def test_away_from_before_the_start_until_after_the_end(rig: Make, port: int, address: int) -> None:
    """It says so once, trains all trials, exits 3 with the command, and that command delivers everything."""
    sweep = rig(MODEL + PATIENT, tracked(address, "away"))
    launcher = sweep.start()
    sweep.wait(lambda _: trouble(sweep.folder))
    (sweep.home / "go").touch()
    sweep.wait(lambda history: history.ended)
    launcher.send_signal(signal.SIGINT)  # it need not be waited for
    code, text = sweep.finish()
    assert code == 3, text
    lines = [line for line in text.splitlines() if line]
    assert lines[0].startswith(f"nobody answers at the tracker http://127.0.0.1:{address}")
    assert len([line for line in lines if "MLflow is behind since" in line and "connection refused" in line]) == 1
    assert len([line for line in lines if line.startswith("waiting for MLflow to have all of rig (since ")]) == 1
    assert "which are safe: `kerasweep sync rig`" in lines[-1]
    assert "connection refused" in lines[-1]
    history = check(sweep.folder, trials=6, code=code, said=text)
    code, text = sweep.run("sync", "rig")
    assert code == 3, text
    assert "nothing is lost" in text
    with proxy(port, at=address):
        code, text = sweep.run("sync", "rig")
    assert (code, text.strip()) == (0, "MLflow has all of rig")
    sweep.check(code, text, trials=6, uri=f"http://127.0.0.1:{port}")
    assert_there(port, "away", sweep.folder, history)


def assert_there(port: int, experiment: str, folder: Path, history: History) -> None:
    """Assert that the server has all of a sweep, once, with nothing running."""
    uri = f"http://127.0.0.1:{port}"
    assert_all_there(uri, experiment, folder, parent="rig")
    assert {run.info.status for run in runs_of(uri, experiment).values()} == {"FINISHED"}
    assert delivery_status(folder).complete
    assert history.ended is not None


def test_silent_in_the_middle(rig: Make, port: int) -> None:
    """Requests hang while trials go on; only the tracker is connected at all; all of it is there in the end."""
    with proxy(port) as between:
        where = urlsplit(between.url).port or 0
        sweep = rig(
            MODEL + PACE, tracked(where, "silent").replace("epochs: 3", "epochs: 8").replace("trials: 6", "trials: 40")
        )
        sweep.start()
        sweep.wait(lambda _: between.seen["runs/log-batch"])
        connected: set[str] = set()
        silent_at = len(sweep.history().trials)
        between.fault_for = lambda _path, _time: SILENT
        sweep.wait(
            lambda history: connected.update(reached(sweep, {where, port})) or len(history.trials) >= silent_at + 4
        )
        assert connected == {"tracker"}
        assert delivery_status(sweep.folder).delivered_seq < delivery_status(sweep.folder).last_seq
        between.fault_for = lambda _path, _time: None
        between.closed.set()
        sweep.hurry()
        code, text = sweep.finish()
        assert code == 0, text
        history = sweep.check(code, text, trials=40, uri=f"http://127.0.0.1:{port}")
        assert_there(port, "silent", sweep.folder, history)
