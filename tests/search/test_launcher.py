"""Tests of `kerasweep.search.launcher`: what it does with signals, and when it leaves a sweep alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kerasweep.search.job import Job
from kerasweep.search.launcher import _follow, _Run  # pyright: ignore[reportPrivateUsage]
from kerasweep.search.live import PlainView
from kerasweep.search.terminal import Terminal
from kerasweep.trackers.journal import Journal

DRIVER = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: print("INT", flush=True))
signal.signal(signal.SIGTERM, lambda *_: print("TERM", flush=True))
print("up", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def driver() -> Iterator[subprocess.Popen[str]]:
    """Give a process that says which signals it gets."""
    with subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True) as process:
        assert heard(process) == "up"
        yield process
        process.kill()


def heard(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "INT"), (signal.SIGTERM, "TERM"), (signal.SIGHUP, "INT")])
def test_the_first_signal_is_handed_on_and_the_second_kills(
    driver: subprocess.Popen[str], number: int, word: str
) -> None:
    """A terminal that closes is Ctrl-C, however often it says so."""
    run = _Run(process=driver)  # type: ignore[arg-type]
    run.on_signal(number, None)
    assert heard(driver) == word
    run.on_signal(signal.SIGHUP, None)
    assert driver.poll() is None
    run.on_signal(signal.SIGINT, None)
    assert driver.wait(10) == -signal.SIGKILL


def test_a_signal_before_there_is_a_driver_is_kept_for_it(driver: subprocess.Popen[str]) -> None:
    """The time limits run from its arrival."""
    run = _Run()
    assert not run.overdue(0.0)
    run.on_signal(signal.SIGTERM, None)
    assert run.overdue(-1.0)
    run.process = driver  # type: ignore[assignment]
    run.hand_on()
    assert heard(driver) == "TERM"


@pytest.mark.parametrize(("staging", "last"), [("prepared", "stays"), ("", "started")])
def test_a_sweep_is_left_alone_once_it_can_no_longer_be_refused(
    driver: subprocess.Popen[str], tmp_path: Path, staging: str, last: str
) -> None:
    """A new one when its driver says so; one that is resumed as soon as it has begun, since it is never removed."""
    Journal(tmp_path).close()
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    run = _Run(process=driver, channel=reading)  # type: ignore[arg-type]
    job = Job(spec={}, program={}, folder=str(tmp_path), staging=staging)
    follows = threading.Thread(target=_follow, args=(run, job, PlainView(Terminal())), kwargs={"detach": True})
    follows.start()
    for word in ("starting", "started", "stays"):
        follows.join(0.5)
        assert follows.is_alive(), f"it left before {word}"
        os.write(writing, (json.dumps({"type": word}) + "\n").encode())
        if word == last:
            break
    follows.join(20.0)
    assert not follows.is_alive()
    assert driver.poll() is None
    os.close(reading)
    os.close(writing)
