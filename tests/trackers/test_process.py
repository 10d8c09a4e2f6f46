"""Tests of `kerasweep.trackers.process`: when it begins, when it gives up, when it is done. MLflow is in memory."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kerasweep.spaces.errors import BadInput
from kerasweep.trackers import process, watch
from kerasweep.trackers.events import SweepResumed
from kerasweep.trackers.journal import Journal, Lock
from kerasweep.trackers.process import Options, Tracker
from kerasweep.trackers.runs import Runs, Unreachable
from kerasweep.trackers.status import delivery_status

from .fakes import FakeRuns
from .sweeps import begun, first_session, journal, reported, second_session, spec, started

WHOLE = [*first_session(), *second_session()]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all waits be short."""
    monkeypatch.setattr(process, "POLL_S", 0.01)
    monkeypatch.setattr(watch, "POLL_S", 0.01)
    monkeypatch.setattr(process, "WRITE_S", 0.02)
    monkeypatch.setattr(process, "GRACE_S", 0.2)
    monkeypatch.setattr(process, "BACKOFF_S", (0.01, 0.05))


@pytest.fixture
def mlflow() -> FakeRuns:
    """Return an MLflow in memory."""
    return FakeRuns()


def track(folder: Path, mlflow: Runs, *, once: bool = False, again: bool = False, patience_s: float = 30.0) -> int:
    """Run a tracker to its end; return the exit code."""
    options = Options(folder=folder, once=once, again=again, patience_s=patience_s)
    return Tracker(options, connect=lambda _uri: mlflow).run()


@contextmanager
def tracking(folder: Path, mlflow: Runs) -> Generator[tuple[Tracker, list[int]]]:
    """Run a tracker beside the test; its exit code is in the list when it has ended."""
    tracker, codes = Tracker(Options(folder=folder), connect=lambda _uri: mlflow), list[int]()
    thread = threading.Thread(target=lambda: codes.append(tracker.run()))
    thread.start()
    try:
        yield tracker, codes
    finally:
        tracker.stop()
        thread.join(30.0)
        assert not thread.is_alive()


def wait_for(condition: Callable[[], object], patience_s: float = 30.0) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.005)


def statuses(mlflow: FakeRuns) -> dict[str, str]:
    """Return the runs' statuses by name."""
    return {run.name: run.status.name for run in mlflow.live.values()}


def test_a_sweep_from_its_beginning_to_its_end(tmp_path: Path, mlflow: FakeRuns) -> None:
    """The tracker may be there before the sweep, shows it as it goes, and ends with it."""
    with tracking(tmp_path, mlflow) as (_, codes), Journal(tmp_path) as one:
        one.append(*first_session()[:3])
        wait_for(lambda: statuses(mlflow) == {"digits": "RUNNING", "t0000": "RUNNING"})
        one.append(*WHOLE[3:])
        wait_for(lambda: codes)
    assert codes == [0]
    assert statuses(mlflow)["digits"] == "FINISHED"
    assert delivery_status(tmp_path).complete


def test_the_driver_goes_without_a_word(tmp_path: Path, mlflow: FakeRuns) -> None:
    """Open runs are killed and the tracker goes too."""
    with tracking(tmp_path, mlflow) as (_, codes):
        with Journal(tmp_path) as one:
            one.append(*first_session()[:-1])
            wait_for(lambda: "t0003" in statuses(mlflow))
            assert statuses(mlflow)["t0003"] == "RUNNING"
        wait_for(lambda: codes, 5.0)
    assert codes == [0]
    assert (statuses(mlflow)["t0003"], statuses(mlflow)["digits"]) == ("KILLED", "KILLED")


def test_a_driver_that_never_came(tmp_path: Path, mlflow: FakeRuns) -> None:
    """After a moment's grace the sweep counts as left alone."""
    assert track(journal(tmp_path, first_session()[:-1]), mlflow) == 0
    assert statuses(mlflow)["t0003"] == "KILLED"


def test_a_resume_finds_its_tracker_waiting(tmp_path: Path, mlflow: FakeRuns) -> None:
    """A tracker that starts before the resuming driver is not misled by the end of the session before."""
    journal(tmp_path, first_session())
    with Journal(tmp_path) as one, tracking(tmp_path, mlflow) as (_, codes):
        wait_for(lambda: delivery_status(tmp_path).complete)
        one.append(*second_session()[:3])
        wait_for(lambda: statuses(mlflow)["digits"] == "RUNNING")
        assert not codes
        one.append(*second_session()[3:])
        wait_for(lambda: codes)
    assert (codes, statuses(mlflow)["digits"]) == ([0], "FINISHED")


def test_once(tmp_path: Path, mlflow: FakeRuns) -> None:
    """All that is journaled is delivered, and nothing waited for, whether a driver works or not."""
    with Journal(tmp_path) as one:
        one.append(*first_session()[:-1])
        assert track(tmp_path, mlflow, once=True) == 0
        assert statuses(mlflow)["digits"] == "RUNNING"
    assert track(tmp_path, mlflow, once=True) == 0
    assert statuses(mlflow)["digits"] == "KILLED"


def test_once_more_from_the_first_event(tmp_path: Path, mlflow: FakeRuns) -> None:
    """`--again` restores what was deleted by hand."""
    journal(tmp_path, WHOLE)
    assert track(tmp_path, mlflow, once=True) == 0
    (run,) = [run for run in mlflow.live.values() if run.name == "t0003"]
    run.deleted = True
    assert track(tmp_path, mlflow, once=True) == 0
    assert "t0003" not in statuses(mlflow)
    assert track(tmp_path, mlflow, once=True, again=True) == 0
    assert statuses(mlflow)["t0003"] == "FINISHED"


def test_no_sweep(tmp_path: Path, mlflow: FakeRuns) -> None:
    """That is an error of the caller's."""
    with pytest.raises(BadInput, match="no sweep"):
        track(tmp_path, mlflow, once=True)


@pytest.mark.parametrize("once", [False, True])
def test_mlflow_stays_away_at_the_end(tmp_path: Path, mlflow: FakeRuns, once: bool) -> None:
    """Patience is bounded; a later call delivers the rest."""
    mlflow.down = True
    assert track(journal(tmp_path, WHOLE), mlflow, once=once, patience_s=0.2) == 3
    mlflow.down = False
    assert track(tmp_path, mlflow, once=True) == 0
    assert statuses(mlflow)["digits"] == "FINISHED"


def test_mlflow_stays_away_for_a_while(tmp_path: Path, mlflow: FakeRuns, caplog: pytest.LogCaptureFixture) -> None:
    """As long as a driver works the tracker tries, past any patience, and says so once."""
    mlflow.down = True
    with caplog.at_level(logging.INFO, "kerasweep.tracker"), Journal(tmp_path) as one:
        one.append(*WHOLE[:5])
        with tracking(tmp_path, mlflow) as (_, codes):
            wait_for(lambda: mlflow.requests > 20)
            assert not codes
            mlflow.down = False
            wait_for(lambda: "t0000" in statuses(mlflow))
            one.append(*WHOLE[5:])
            wait_for(lambda: codes)
    assert codes == [0]
    assert [line for line in caplog.messages if "MLflow" in line] == [
        "MLflow at sqlite:////nowhere/mlflow.db does not take it now: connection refused",
        "MLflow takes it again",
    ]


def test_told_to_stop(tmp_path: Path, mlflow: FakeRuns) -> None:
    """With all delivered that is a good end, else it says that it was broken off."""
    with Journal(tmp_path) as one:
        one.append(*WHOLE[:5])
        with tracking(tmp_path, mlflow) as (_, codes):
            wait_for(lambda: delivery_status(tmp_path).complete)
        assert codes == [0]
        mlflow.down = True
        one.append(*begun(1))
        with tracking(tmp_path, mlflow) as (_, codes):
            wait_for(lambda: mlflow.requests > 15)
        assert codes == [143]


def test_one_tracker_at_a_time(tmp_path: Path, mlflow: FakeRuns, caplog: pytest.LogCaptureFixture) -> None:
    """A second one waits for the first."""
    journal(tmp_path, WHOLE)
    lock = Lock(tmp_path / "tracker.lock")
    lock.acquire()
    with caplog.at_level(logging.INFO, "kerasweep.tracker"), tracking(tmp_path, mlflow) as (_, codes):
        assert delivery_status(tmp_path).tracker is not None
        wait_for(lambda: "waiting for another tracker of this sweep to end" in caplog.messages)
        assert not codes
        assert not mlflow.requests
        lock.release()
        wait_for(lambda: codes)
    assert codes == [0]


def test_the_sweep_is_resumed_to_another_place(tmp_path: Path, mlflow: FakeRuns) -> None:
    """The tracker of the old destination makes room for that of the new one."""
    with Journal(tmp_path) as one, tracking(tmp_path, mlflow) as (_, codes):
        one.append(*WHOLE[:5])
        wait_for(lambda: "t0000" in statuses(mlflow))
        one.append(SweepResumed(spec=spec("http://somewhere/else")))
        wait_for(lambda: codes)
    assert codes == [0]


def test_another_destination(tmp_path: Path, mlflow: FakeRuns) -> None:
    """The caller's comes before the sweep's."""
    uris: list[str] = []

    def connect(uri: str) -> Runs:
        uris.append(uri)
        return mlflow

    options = Options(folder=journal(tmp_path, WHOLE), once=True, uri="http://there", experiment="mine")
    assert Tracker(options, connect=connect).run() == 0
    assert uris == ["http://there"]
    assert delivery_status(tmp_path).experiment_id == "id of mine"


@pytest.mark.real
def test_a_request_that_hangs_does_not_keep_a_tracker_without_driver(tmp_path: Path) -> None:
    """It is gone in seconds, whatever MLflow does; nothing is lost by it."""
    program = f"""
import sys, threading
from pathlib import Path
from kerasweep.trackers import process, watch
process.POLL_S, process.GRACE_S, process.GONE_S = 0.01, 0.1, 0.2
class Hangs:
    def __getattr__(self, name):
        threading.Event().wait()
sys.exit(process.Tracker(process.Options(folder=Path({str(tmp_path)!r})), connect=lambda uri: Hangs()).run())
"""
    journal(tmp_path, [started(), *begun(0), reported(0, 1, 0.5)])
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr


@pytest.mark.real
def test_it_imports_little() -> None:
    """Neither MLflow nor anything else heavy is imported before it is needed."""
    program = (
        "import sys, kerasweep.trackers.process, kerasweep.trackers.status;"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'mlflow', 'pandas', 'numpy', 'ray'}))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.real
def test_its_log_holds_no_secret(tmp_path: Path) -> None:
    """What goes wrong is told without the password that it went wrong with."""
    uri = "nosuchscheme://ada:s3cret@127.0.0.1/x"
    command = [sys.executable, "-P", "-m", "kerasweep.trackers.process", str(tmp_path), "--once", "--patience", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no sweep in" in done.stderr
    formatter = process.Formatter("%(message)s")
    record = logging.LogRecord("x", logging.INFO, "", 0, "lost %s", (uri,), None)
    assert formatter.format(record) == "lost nosuchscheme://***@127.0.0.1/x"


def test_unreachable_before_it_begins(tmp_path: Path) -> None:
    """Where even the connection fails, that is tried again too."""
    tries: list[str] = []

    def connect(uri: str) -> Runs:
        tries.append(uri)
        if len(tries) < 4:
            raise Unreachable("no route")
        return FakeRuns()

    assert Tracker(Options(folder=journal(tmp_path, WHOLE), once=True), connect=connect).run() == 0
    assert len(tries) == 4
