"""Tests of `kerasweep stop` on a driver that ends when asked, on one that hangs, and on one that is somebody's program."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kerasweep.search import commands
from kerasweep.search.commands import DRIVER, stop_command
from kerasweep.search.inbox import FOLDER
from kerasweep.spaces.errors import BadInput, Infrastructure
from kerasweep.trackers.events import SweepStarted
from kerasweep.trackers.journal import Journal

from .specs import spec

HOLDS = """
import sys, time
from pathlib import Path
from kerasweep.trackers.journal import Lock

folder = Path(sys.argv[1])
Lock(folder / "journal.lock").acquire()
print("held", flush=True)
while sys.argv[2] == "hangs" or not list((folder / "inbox").glob("*.json")):
    time.sleep(0.05)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home with a sweep."""
    monkeypatch.setattr(commands, "STOP_S", 1.0)
    folder = tmp_path / "sweeps" / "small"
    folder.mkdir(parents=True)
    with Journal(folder) as journal:
        journal.append(SweepStarted(spec=spec().to_json()))
    return tmp_path


@pytest.fixture
def driver(home: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start processes that hold the sweep."""
    started: list[subprocess.Popen[str]] = []

    def start(how: str, name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDS, str(home / "sweeps" / "small"), how, name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for one in started:
        one.kill()
        one.communicate()


def test_a_driver_that_heeds_is_waited_for(
    home: Path, driver: Callable[..., subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends on its own."""
    process = driver("heeds", DRIVER)
    assert stop_command("small", home) == 0
    assert capsys.readouterr().out == "small is stopped; `kerasweep resume small` goes on\n"
    assert process.wait(10.0) == 0
    with pytest.raises(BadInput, match="small is not running"):
        stop_command("small", home)


def test_a_driver_that_hangs_is_killed(
    home: Path, driver: Callable[..., subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """As after Ctrl-C: what it journaled is safe, and the next driver finds no request."""
    process = driver("hangs", DRIVER)
    assert stop_command("small", home) == 0
    said = capsys.readouterr().out
    assert "its driver was killed; what it journaled is safe; `kerasweep resume small` goes on" in said
    assert process.poll() is not None
    assert list((home / "sweeps" / "small" / FOLDER).iterdir()) == []


def test_a_program_that_hangs_is_left_alone(home: Path, driver: Callable[..., subprocess.Popen[str]]) -> None:
    """A sweep that was started from Python runs in its caller's process: that is named, with the next command."""
    process = driver("hangs", "somebody's")
    with pytest.raises(Infrastructure, match=f"its driver is pid {process.pid} on .*safe.*`kerasweep resume small`"):
        stop_command("small", home)
    assert process.poll() is None
