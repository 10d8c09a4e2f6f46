"""Tests of the tracker process with a real MLflow, looked at with nothing but MLflow's own client and a browser."""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from kerasweep.cluster.mlflow_server import ensure_server, stop_server
from kerasweep.spaces.errors import Infrastructure
from kerasweep.spaces.trial import OutcomeKind
from kerasweep.trackers.events import Event, Reported, SweepEnded, TrialEnded
from kerasweep.trackers.journal import Journal, Reader
from kerasweep.trackers.leaderboard import leaderboard_url
from kerasweep.trackers.status import delivery_status

from .sweeps import begun, ended, first_session, journal, reported, second_session, started

pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore:The ..noload.. loader:DeprecationWarning"),  # MLflow's own tables
]


@pytest.fixture(params=["database", "server"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a tracking URI, of a database and of a server."""
    if request.param == "server":
        return str(request.getfixturevalue("server"))
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Return the folder of a sweep to be."""
    folder = tmp_path / "sweep"
    folder.mkdir(mode=0o700)
    return folder


def tracker(folder: Path, *arguments: str, timeout_s: int = 10) -> subprocess.Popen[str]:
    """Start a tracker process."""
    command = [sys.executable, "-P", "-m", "kerasweep.trackers.process", str(folder), *arguments]
    environment = os.environ | {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_s)}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process: subprocess.Popen[str], code: int = 0, patience_s: float = 120.0) -> str:
    """Wait for its end; return what it said."""
    try:
        _, said = process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
        pytest.fail(f"it did not end; it said: {said}")
    assert process.returncode == code, said
    return said


def wait_for(condition: Callable[[], object], patience_s: float = 120.0) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.02)


def for_the_lab(events: Iterable[Event], uri: str, name: str) -> list[Event]:
    """Return the events with a destination, and an identity of their own."""
    first, *rest = events
    del first
    start = started(uri, name=name, track={"uri": uri, "experiment": name})
    return [type(start)(spec=start.spec, origin={**start.origin, "kerasweep.sweep_id": name}), *rest]


def many_trials(trials: int = 30, epochs: int = 10) -> list[Event]:
    """Return a long sweep; the later a trial, the better."""
    events: list[Event] = [started()]
    for trial in range(trials):
        events += begun(trial)
        events += [reported(trial, epoch, 0.5 + 0.01 * trial + 0.001 * epoch) for epoch in range(1, epochs + 1)]
        value = 0.5 + 0.01 * trial + 0.001 * epochs
        events.append(ended(trial, OutcomeKind.COMPLETED, value=value, epoch=epochs))
    return [*events, SweepEnded(why="budget", exit_code=0)]


def client(uri: str) -> Any:
    """Return MLflow's own client."""
    import mlflow

    return mlflow.MlflowClient(tracking_uri=uri)


def runs_of(uri: str, experiment: str) -> dict[str, Any]:
    """Return the experiment's runs by name, each of which is there once."""
    mlflow = client(uri)
    found = mlflow.get_experiment_by_name(experiment)
    runs: list[Any] = [] if found is None else list(mlflow.search_runs([found.experiment_id], max_results=1000))
    names = [run.info.run_name for run in runs]
    assert len(set(names)) == len(names), f"duplicates among {sorted(names)}"
    return dict(zip(names, runs, strict=True))


def assert_all_there(uri: str, experiment: str, folder: Path, parent: str = "") -> None:
    """Compare MLflow with the journal: every trial, every parameter, every point, each once."""
    parent = parent or experiment
    runs, mlflow = runs_of(uri, experiment), client(uri)
    with Reader(folder) as reader:
        entries = list(reader.after())
    trials = {entry.trial for entry in entries if entry.trial is not None}
    assert sorted(runs) == sorted([parent, *(f"t{number:04d}" for number in trials)])
    for number in trials:
        run = runs[f"t{number:04d}"]
        assert run.data.tags["mlflow.parentRunId"] == runs[parent].info.run_id
        expected: dict[str, list[tuple[int, int, str]]] = {}
        for entry in entries:
            if isinstance(entry.event, Reported) and entry.trial == number:
                report = entry.event.report
                for name, value in report.metrics.items():
                    shown = repr(value if math.isfinite(value) else math.nan)
                    expected.setdefault(name, []).append((report.epoch, int(entry.at * 1000), shown))
            if isinstance(entry.event, TrialEnded) and entry.trial == number:
                assert run.data.tags["outcome"] == str(entry.event.outcome.kind)
                assert run.info.end_time == int(entry.at * 1000)
        for name, points in expected.items():
            history = mlflow.get_metric_history(run.info.run_id, name)
            assert sorted((one.step, one.timestamp, repr(one.value)) for one in history) == sorted(points)


def test_a_sweep_of_two_sessions(uri: str, sweep: Path) -> None:
    """Everything that was journaled is there, the sweep's own run tells where it stands."""
    journal(sweep, for_the_lab([*first_session(), *second_session()[1:]], uri, "two sessions"))
    finish(tracker(sweep, "--once"))
    assert_all_there(uri, "two sessions", sweep)
    runs = runs_of(uri, "two sessions")
    assert {name: run.info.status for name, run in runs.items()} == {
        "two sessions": "FINISHED",
        "t0000": "FINISHED",
        "t0001": "FINISHED",
        "t0002": "FAILED",
        "t0003": "FINISHED",
        "t0004": "FINISHED",
        "t0005": "FAILED",
    }
    parent = runs["two sessions"].data.tags
    assert (parent["best_trial"], parent["best_value"], parent["mlflow.user"]) == ("3", "0.8", "ada")
    assert "t0003" in parent["mlflow.note.content"]
    assert runs["t0003"].data.metrics["objective"] == 0.8
    assert runs["t0000"].data.params == {"learning_rate": "0.1", "units": "32"}


def test_killed_in_mid_delivery(uri: str, sweep: Path) -> None:
    """Whatever a SIGKILL leaves, the next tracker completes: nothing is missing, nothing is there twice."""
    name = f"killed {uri.partition(':')[0]}"
    journal(sweep, for_the_lab(many_trials(), uri, name))
    done = 0
    for share in (0.2, 0.5, 0.8):
        process = tracker(sweep)

        wait_for(lambda share=share: len(_known_runs(sweep)) > 30 * share)
        process.send_signal(signal.SIGKILL)
        finish(process, -signal.SIGKILL)
        assert len(_known_runs(sweep)) > done
        done = len(_known_runs(sweep))
    (sweep / "tracker.db").unlink()  # to make it harder
    finish(tracker(sweep))
    assert_all_there(uri, name, sweep)
    assert {run.info.status for run in runs_of(uri, name).values()} == {"FINISHED"}


def _known_runs(folder: Path) -> list[str]:

    if not (folder / "tracker.db").exists():
        return []
    with closing(sqlite3.connect(f"file:{folder}/tracker.db?mode=ro", uri=True)) as db:
        try:
            return [row[0] for row in db.execute("SELECT run_id FROM runs")]
        except sqlite3.OperationalError:
            return []


def test_the_driver_dies_and_the_sweep_is_resumed(uri: str, sweep: Path) -> None:
    """Live while it runs, killed within seconds when it dies, and going on in the same runs afterwards."""
    name = f"died {uri.partition(':')[0]}"
    with Journal(sweep) as one:
        process = tracker(sweep)
        one.append(*for_the_lab(first_session()[:-1], uri, name))
        wait_for(lambda: delivery_status(sweep).complete)
        assert runs_of(uri, name)["t0003"].info.status == "RUNNING"
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 5
    at = time.monotonic()
    finish(process)
    assert time.monotonic() - at < 5.0
    before = runs_of(uri, name)
    assert {before[run].info.status for run in ("t0003", name)} == {"KILLED"}
    with Journal(sweep) as one:
        process = tracker(sweep)
        resumed = for_the_lab([started(), *second_session()], uri, name)
        one.append(type(second_session()[0])(spec=resumed[0].spec), *resumed[2:4])  # pyright: ignore
        wait_for(lambda: delivery_status(sweep).complete)
        assert {runs_of(uri, name)[run].info.status for run in ("t0003", name)} == {"RUNNING"}
        one.append(*resumed[4:])
        finish(process)
    after = runs_of(uri, name)
    assert {run: after[run].info.run_id for run in before} == {run: before[run].info.run_id for run in before}
    assert_all_there(uri, name, sweep)


def test_a_server_that_stops_answering(server: str, server_state: Path, sweep: Path) -> None:
    """Requests whose answers never came are repeated, and what they did in the end is there once."""
    group = json.loads((server_state / "mlflow-server.json").read_text())["group"]
    journal(sweep, for_the_lab(many_trials(20), server, "stopped"))
    process = tracker(sweep, timeout_s=1)
    for runs in (2, 8, 14):
        wait_for(lambda runs=runs: len(_known_runs(sweep)) >= runs)
        os.killpg(group, signal.SIGSTOP)
        try:
            time.sleep(2.5)  # so long that requests time out
        finally:
            os.killpg(group, signal.SIGCONT)
    said = finish(process)
    assert "does not take it now" in said
    wait_for(lambda: len(runs_of(server, "stopped")) == 21)
    assert_all_there(server, "stopped", sweep)


def test_nobody_there_at_the_end(unused_port: int, sweep: Path) -> None:
    """It gives up after a while and says what to do."""
    journal(sweep, for_the_lab(first_session(), f"http://127.0.0.1:{unused_port}", "away"))
    said = finish(tracker(sweep, "--patience", "1"), 3)
    assert "kerasweep sync" in said
    assert not delivery_status(sweep).complete


def test_an_idle_tracker_uses_little(sweep: Path, tmp_path: Path) -> None:
    """While nothing happens it takes less than a fiftieth of a processor."""
    with Journal(sweep) as one:
        one.append(*for_the_lab(first_session()[:-1], f"sqlite:///{tmp_path}/mlflow.db", "idle"))
        process = tracker(sweep)
        wait_for(lambda: delivery_status(sweep).complete)
        watched = psutil.Process(process.pid)
        before = sum(watched.cpu_times()[:2])
        time.sleep(4.0)  # a share of a time needs a time
        used = sum(watched.cpu_times()[:2]) - before
        process.send_signal(signal.SIGTERM)
        finish(process)
    assert used < 4.0 / 50


CHROMIUM = shutil.which("chromium")


@pytest.mark.skipif(CHROMIUM is None, reason="needs the browser chromium")
def test_the_leaderboard_in_a_browser(server: str, sweep: Path, tmp_path: Path) -> None:
    """Its link opens a table of the trials, best first, with the parameters as columns and failed ones not ranked."""
    events = for_the_lab(many_trials(12), server, "page")
    failed: list[Event] = [*begun(12), reported(12, 1, 0.99), ended(12, OutcomeKind.FAILED, reason="it broke")]
    journal(sweep, [*events[:-1], *failed, events[-1]])
    finish(tracker(sweep))
    status = delivery_status(sweep)
    assert status.experiment_id is not None
    assert status.view_id is not None
    page = dom(leaderboard_url(server, status.experiment_id, status.view_id), tmp_path / "browser")
    rows = re.findall(r">(t\d{4})</", page)
    shown = list(dict.fromkeys(rows))
    assert shown[:12] == [f"t{number:04d}" for number in range(11, -1, -1)]
    columns = list(dict.fromkeys(re.findall(r'col-id="(\w+\.`[^`]+`)"', page)))
    assert {"metrics.`objective`", "params.`learning_rate`", "params.`units`", "tags.`outcome`"} <= set(columns)


def dom(url: str, profile: Path) -> str:
    """Return what a browser makes of a page."""
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", *quiet]
    command += [f"--user-data-dir={profile}", "--window-size=1600,1200", "--virtual-time-budget=30000"]
    return subprocess.run([*command, "--dump-dom", url], capture_output=True, text=True, timeout=180, check=True).stdout


def test_the_server_is_there_once_and_keeps_to_itself(server: str, server_state: Path) -> None:
    """It is found again, answers this machine only under its own name, and shows its store to nobody."""
    state = json.loads((server_state / "mlflow-server.json").read_text())
    assert ensure_server(state["uri"], server_state) == server
    for name in ("mlflow-server.json", "mlflow-server.log", "served.db"):
        assert stat.S_IMODE((server_state / name).stat().st_mode) == 0o600
    connection = http.client.HTTPConnection("127.0.0.1", state["port"], timeout=30)
    connection.request("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0", headers={"Host": "evil.example"})
    assert connection.getresponse().status == 403
    connection.close()
    processes = [psutil.Process(state["pid"]), *psutil.Process(state["pid"]).children(recursive=True)]
    assert not [one for one in processes if "served.db" in " ".join(one.cmdline())]
    listening = {one.laddr.ip for it in processes for one in it.net_connections() if one.status == "LISTEN"}
    assert listening == {"127.0.0.1"}


def test_a_server_that_cannot_start(tmp_path: Path) -> None:
    """What it said last is said, and nothing is left."""
    (tmp_path / "broken.db").write_bytes(b"this is no database, though it is longer than a header " * 100)
    with pytest.raises(Infrastructure, match=r"ended at its start: .*file is not a database"):
        ensure_server(f"sqlite:///{tmp_path}/broken.db", tmp_path / "state", patience_s=120.0)
    assert not stop_server(tmp_path / "state")
