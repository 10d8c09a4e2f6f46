"""Tests of `kerasweep.trackers.status` and of the memo that it reads, `kerasweep.trackers.tracker_db`."""

from __future__ import annotations

import re
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path

import pytest

from kerasweep.spaces.errors import BadInput
from kerasweep.trackers.journal import Lock
from kerasweep.trackers.runs import SWEEP
from kerasweep.trackers.status import DeliveryStatus, delivery_status, trouble
from kerasweep.trackers.tracker_db import Destination, TrackerDb

from .sweeps import first_session, journal

HERE = Destination(uri="sqlite:////nowhere/mlflow.db", experiment="lab")
THERE = Destination(uri="http://ada:s3cret@there/", experiment="lab")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a sweep's folder."""
    return journal(tmp_path, first_session())


def test_before_any_tracker(folder: Path) -> None:
    """Nothing is delivered, nothing known."""
    assert delivery_status(folder) == DeliveryStatus(last_seq=len(first_session()))
    assert not delivery_status(folder).complete


def test_no_sweep(tmp_path: Path) -> None:
    """That is an error of the caller's."""
    with pytest.raises(BadInput):
        delivery_status(tmp_path)


def test_what_a_tracker_remembers(folder: Path) -> None:
    """How far it is and where the sweep is to be seen; who it is while it works."""
    lock = Lock(folder / "tracker.lock")
    lock.acquire()
    with TrackerDb(folder, HERE) as db:
        db.place("1", "view")
        db.set_run(SWEEP, "parent")
        db.set_run(0, "child")
        db.refuse()
        db.refuse(2)
        db.advance(len(first_session()))
        status = delivery_status(folder)
    assert status.complete
    assert (status.refused, status.experiment_id, status.parent_run_id, status.view_id) == (3, "1", "parent", "view")
    assert status.tracker is not None
    lock.release()
    assert delivery_status(folder).tracker is None


def test_each_destination_for_itself(folder: Path) -> None:
    """The last one used counts unless another one is asked for; a password is not kept."""
    with TrackerDb(folder, THERE) as db:
        db.advance(7)
    with TrackerDb(folder, HERE) as db:
        db.advance(5)
    assert delivery_status(folder).delivered_seq == 5
    assert delivery_status(folder, THERE).delivered_seq == 7
    assert delivery_status(folder, Destination(uri="http://nobody", experiment="lab")).delivered_seq == 0
    assert b"s3cret" not in b"".join(path.read_bytes() for path in folder.glob("tracker.db*"))


def test_starting_over(folder: Path) -> None:
    """Of this destination only."""
    with TrackerDb(folder, HERE) as here, TrackerDb(folder, THERE) as there:
        for db in (here, there):
            db.set_run(0, "run")
            db.advance(7)
        here.forget()
        assert (here.cursor, here.runs, there.cursor, there.runs) == (0, {}, 7, {0: "run"})


def test_nobody_else_reads_it(folder: Path) -> None:
    """Nor its companions."""
    with TrackerDb(folder, HERE):
        modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.glob("tracker.db*")}
    assert modes == {0o600}


@pytest.mark.parametrize("content", [b"", b"this is no database", b"SQLite format 3\x00" + b"x" * 500])
def test_a_broken_memo(folder: Path, content: bytes) -> None:
    """Reading it tells nothing; the next tracker makes a new one."""
    (folder / "tracker.db").write_bytes(content)
    assert delivery_status(folder).delivered_seq == 0
    with TrackerDb(folder, HERE) as db:
        assert db.cursor == 0


def test_since_when_and_why_mlflow_takes_nothing(folder: Path) -> None:
    """The first moment and the last reason stand until it takes it again, for each destination by itself."""
    assert trouble(folder) == ""
    with TrackerDb(folder, THERE) as there, TrackerDb(folder, HERE) as here:
        here.trouble("connection refused")
        first = trouble(folder)
        assert re.fullmatch(r"since \d\d:\d\d:\d\d: connection refused", first)
        here.trouble("it answers 503 Service Unavailable")
        assert trouble(folder) == first.replace("connection refused", "it answers 503 Service Unavailable")
        assert delivery_status(folder).trouble == trouble(folder)
        assert delivery_status(folder, THERE).trouble == ""
        there.recover()
        assert trouble(folder) != ""
        here.recover()
    assert trouble(folder) == ""


def test_a_trouble_of_days(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the day is told too."""
    with TrackerDb(folder, HERE) as here:
        here.trouble("connection refused")
    later = time.time() + 3 * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    assert re.match(r"since \d{4}-\d\d-\d\d \d\d:", trouble(folder))


def test_a_memo_of_an_earlier_version_has_no_troubles(folder: Path) -> None:
    """What it has is still read."""
    with TrackerDb(folder, HERE) as here:
        here.advance(3)
    with closing(sqlite3.connect(folder / "tracker.db")) as db, db:
        db.execute("DROP TABLE troubles")
    assert delivery_status(folder).delivered_seq == 3
