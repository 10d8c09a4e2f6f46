"""Tests of `kerasweep.trackers.mlflow_runs`: one contract, kept by MLflow on a database, on a server, and by the fake."""

from __future__ import annotations

import math
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from kerasweep.trackers.mlflow_runs import MlflowRuns, prepare_environment
from kerasweep.trackers.runs import (
    PARENT,
    SWEEP_ID,
    TRIAL_KEY,
    Param,
    Point,
    Refused,
    RunGone,
    Runs,
    Status,
    Tag,
    Unreachable,
    Vanished,
)

from .fakes import FakeRuns

pytestmark = pytest.mark.filterwarnings("ignore:The ..noload.. loader:DeprecationWarning")  # MLflow's own tables


class RunsContract:
    """What a tracker relies on."""

    @pytest.fixture
    def runs(self, tmp_path: Path) -> Runs:
        """Return what is under test."""
        raise NotImplementedError

    @pytest.fixture
    def experiment(self, runs: Runs, request: pytest.FixtureRequest) -> str:
        """Return an experiment of the test's own."""
        return runs.experiment(f"{type(self).__name__} {request.node.name}")

    @pytest.fixture
    def run(self, runs: Runs, experiment: str) -> str:
        """Return a new run of a trial."""
        tags = {SWEEP_ID: "s-1", TRIAL_KEY: "s-1/7", PARENT: "p"}
        return runs.create(experiment, "t0007", 1_700_000_000_000, tags)

    def test_an_experiment_is_created_once(self, runs: Runs) -> None:
        """The same name is the same experiment."""
        assert runs.experiment("a name") == runs.experiment("a name")

    def test_a_created_run_is_found(self, runs: Runs, experiment: str, run: str) -> None:
        """By the sweep's id, with all that tells whose it is."""
        (found,) = runs.find(experiment, "s-1")
        assert (found.run_id, found.trial, found.parent) == (run, 7, "p")
        assert (found.started_ms, found.status.name) == (1_700_000_000_000, "RUNNING")
        assert runs.find(experiment, "s-2") == []

    def test_the_sweeps_own_run_has_no_number(self, runs: Runs, experiment: str) -> None:
        """That is how it is told from its trials."""
        runs.create(experiment, "s", 1, {SWEEP_ID: "s-1"})
        assert [found.trial for found in runs.find(experiment, "s-1")] == [None]

    def test_a_deleted_run_is_marked_and_takes_nothing(self, runs: Runs, experiment: str, run: str) -> None:
        """Whoever deleted it meant it."""
        runs.delete(run)
        assert [(found.run_id, found.deleted) for found in runs.find(experiment, "s-1")] == [(run, True)]
        with pytest.raises(RunGone):
            runs.write(run, [Tag("outcome", "completed")])

    def test_a_run_that_never_was(self, runs: Runs) -> None:
        """It takes nothing either, and is told from one that was deleted."""
        with pytest.raises(Vanished):
            runs.write("0" * 32, [Tag("outcome", "completed")])

    def test_writing_twice(self, runs: Runs, run: str) -> None:
        """What is there may be written again, whatever it is."""
        items = [Param("units", "32"), Tag("attempt", "1"), Point("loss", 0.5, 1, 1_700_000_001_000)]
        items += [Point("loss", math.nan, 2, 1_700_000_002_000)]
        runs.write(run, items)
        runs.write(run, items)

    def test_more_than_fits_into_a_request(self, runs: Runs, run: str) -> None:
        """The limits of a request are not ours to know."""
        params = [Param(f"p{index}", str(index)) for index in range(250)]
        tags = [Tag(f"g{index}", str(index)) for index in range(150)]
        points = [Point("loss", 1.0 / (index + 1), index, 1_700_000_000_000 + index) for index in range(2_300)]
        runs.write(run, [*params, *tags, *points])

    def test_a_parameter_does_not_change(self, runs: Runs, run: str) -> None:
        """Another value for it is refused."""
        runs.write(run, [Param("units", "32")])
        with pytest.raises(Refused):
            runs.write(run, [Param("units", "64")])

    @pytest.mark.parametrize("name", ["FINISHED", "FAILED", "KILLED"])
    def test_an_end(self, runs: Runs, experiment: str, run: str, name: str) -> None:
        """Status and time are what they were said to be, and can be said twice."""
        for _ in range(2):
            runs.set_status(run, Status(name=name, ended_ms=1_700_000_005_000))
        (found,) = runs.find(experiment, "s-1")
        assert found.status == Status(name=name, ended_ms=1_700_000_005_000)

    def test_running_again(self, runs: Runs, experiment: str, run: str) -> None:
        """An ended run can go on."""
        runs.set_status(run, Status(name="KILLED", ended_ms=1_700_000_005_000))
        runs.set_status(run, Status(name="RUNNING"))
        (found,) = runs.find(experiment, "s-1")
        assert found.status.name == "RUNNING"

    def test_a_view(self, runs: Runs, experiment: str) -> None:
        """It can be rewritten."""
        for text in ("one", "two"):
            runs.set_view(experiment, "mlflow.sharedViewState.x", text)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Runs]:
    """Return a database, opened for the first time."""
    path = tmp_path_factory.mktemp("database") / "deep" / "mlflow.db"
    return path, MlflowRuns(f"sqlite:///{path}")


class TestFake(RunsContract):
    """The fake is as good as what it stands for."""

    @pytest.fixture
    def runs(self, tmp_path: Path) -> Runs:
        """Return a fake."""
        return FakeRuns()


@pytest.mark.real
class TestDatabase(RunsContract):
    """MLflow on a SQLite database, with no server between."""

    @pytest.fixture
    def runs(self, tmp_path: Path, opened: tuple[Path, Runs]) -> Runs:
        """Return MLflow on it."""
        return opened[1]

    def test_the_file_is_private_and_fast(self, opened: tuple[Path, Runs]) -> None:
        """Nobody else reads it; a busy disk does not slow it down."""
        path = opened[0]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_bytes()[18:20] == b"\x02\x02"  # the header's mark of a WAL

    def test_artifacts_lie_beside_it(self, opened: tuple[Path, Runs]) -> None:
        """And not wherever the tracker happened to be started."""
        path, runs = opened
        location = client(f"sqlite:///{path}").get_experiment(runs.experiment("any")).artifact_location
        assert location == (path.parent / "mlartifacts").as_uri()


@pytest.mark.real
class TestServer(RunsContract):
    """MLflow behind a server."""

    @pytest.fixture
    def runs(self, tmp_path: Path, server: str) -> Runs:
        """Return MLflow on the session's server."""
        return MlflowRuns(server)


@pytest.mark.real
def test_two_first_openings_at_once(tmp_path: Path) -> None:
    """The database is made once; unguarded, two at once damage it."""

    faults: list[Exception] = []

    def opened() -> None:
        try:
            MlflowRuns(f"sqlite:///{tmp_path}/mlflow.db").experiment("lab")
        except Unreachable as error:
            faults.append(error)

    threads = [threading.Thread(target=opened) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


@pytest.mark.real
def test_nobody_answers(unused_port: int) -> None:
    """That passes, and is said at once: MLflow's own retries are off."""
    with pytest.raises(Unreachable) as caught:
        MlflowRuns(f"http://ada:s3cret@127.0.0.1:{unused_port}").experiment("lab")
    assert "s3cret" not in str(caught.value)


@pytest.mark.real
def test_a_deleted_experiment(tmp_path: Path) -> None:
    """It is said what to do; nothing is written off, for it may be restored."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    runs = MlflowRuns(uri)
    client(uri).delete_experiment(runs.experiment("lab"))
    with pytest.raises(Unreachable, match="restore it"):
        runs.experiment("lab")


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow neither repeats requests on its own nor tells anybody; a longer timeout of the user's stays."""
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_ENABLE_ASYNC_LOGGING"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "99")
    prepare_environment()
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "99"


def client(uri: str) -> Any:
    """Return MLflow's own client."""
    import mlflow

    return mlflow.MlflowClient(tracking_uri=uri)
