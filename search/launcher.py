"""The launcher: starts the driver, shows its sweep, hands signals on, and has the last word and the exit code.

It imports nothing heavy and holds nothing: killed, it leaves the driver at work.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, final

import psutil
from rich.console import Console

from ..cluster.forkserver import exit_in_words
from ..trackers.history import History
from ..trackers.journal import Reader
from ..trackers.status import delivery_status, trouble
from .job import SCRATCH, Job
from .live import View, last_words, view
from .terminal import Terminal

POLL_S = 0.1
DELIVERY_S = 60.0
"""After the sweep's end the command gives MLflow up when nothing more was delivered for so long."""
INTERRUPTED_S = 8.0
"""An interrupted command waits no longer for MLflow."""


@final
@dataclass(slots=True)
class _Run:
    """What is known of a driver that was started."""

    process: subprocess.Popen[bytes]
    channel: int
    signals: int = 0
    started: bool = False
    error: str = ""
    error_code: int = 0
    text: str = ""


def launch(job: Job, console: Console, *, detach: bool = False) -> int:
    """Run a job in a driver of its own; return the exit code of the command."""
    job = replace(job, scratch=tempfile.mkdtemp(prefix="ks-"))
    run = _start(job)
    try:
        with view(console, waiting_for="starting: TensorFlow, Ray and your code") as shown:
            history = _follow(run, job, shown, detach=detach)
    finally:
        if run.process.poll() is not None:
            clean_up(Path(job.scratch))
            shutil.rmtree(job.staging, ignore_errors=True) if job.staging else None
    if detach and run.process.poll() is None:
        console.print(f"{Path(job.folder).name} runs in the background; `kerasweep show {Path(job.folder).name}`")
        return 0
    return _conclude(run, job, history, console)


def _start(job: Job) -> _Run:
    reading, writing = os.pipe()
    logs = Path(job.staging or job.folder) / "logs"
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = os.open(logs / "driver.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-m", "kerasweep.search.driver", str(writing)],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        pass_fds=[writing],
        start_new_session=True,
    )
    os.close(writing)
    os.close(log)
    assert process.stdin is not None  # noqa: S101
    process.stdin.write(json.dumps(asdict(job)).encode())
    process.stdin.close()
    os.set_blocking(reading, False)
    run = _Run(process=process, channel=reading)

    def hand_on(number: int, frame: FrameType | None) -> None:
        """Hand the first signal on; at the second, end everything."""
        del frame
        run.signals += 1
        if run.signals == 1:
            process.send_signal(signal.SIGTERM if number == signal.SIGTERM else signal.SIGINT)
        else:
            process.kill()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, hand_on)
    return run


def _follow(run: _Run, job: Job, shown: View, *, detach: bool) -> History:
    """Show the sweep until its driver has ended, or has begun where it is left alone."""
    history = History()
    reader: Reader | None = None
    ended = False
    while True:
        gone = run.process.poll() is not None
        ended = _hear(run) or ended or gone
        if run.started and reader is None:
            if detach:
                return history
            reader = Reader(Path(job.folder))
        if reader is not None:
            before = history.seq
            for entry in reader.after(history.seq):
                history.apply(entry)
            if history.seq != before or int(time.time() * 2) != int((time.time() - POLL_S) * 2):
                shown.show(history, trouble(Path(job.folder)))
        if gone or (ended and history.ended is not None):
            return history
        time.sleep(POLL_S)


def _hear(run: _Run) -> bool:
    """Read what the driver says; return True once it has nothing more to do but end."""
    try:
        run.text += os.read(run.channel, 1_000_000).decode()
    except BlockingIOError:
        return False
    *lines, run.text = run.text.split("\n")
    ended = False
    for line in lines:
        message: Mapping[str, Any] = json.loads(line)
        match message["type"]:
            case "started":
                run.started = True
            case "error":
                run.error, run.error_code = message["text"], message["exit_code"]
            case "ended":
                ended = True
            case _:
                pass
    return ended


def _conclude(run: _Run, job: Job, history: History, console: Console) -> int:
    name = Path(job.folder).name
    if run.error or not run.started:
        return _not_begun(run, name)
    console.print(last_words(history))
    if history.ended is None:
        code = run.process.wait()
        how = exit_in_words(code)
        _complain(f"the driver of {name} {how}; what was journaled is safe: `kerasweep resume {name}`")
        return 130 if run.signals else 3
    if history.ended.exit_code not in (0, 130, 143):
        _complain(history.ended.why if history.closing else f"no trial of {name} succeeded; `kerasweep show {name}`")
    if history.ended.exit_code in (130, 143):
        _complain(f"{history.ended.why}; nothing is lost: `kerasweep resume {name}`")
    limit = time.monotonic() + INTERRUPTED_S
    behind = wait_for_delivery(
        Path(job.folder), DELIVERY_S, lambda: run.signals > 1 or (run.signals > 0 and time.monotonic() > limit)
    )
    if behind:
        _complain(behind)
    return history.ended.exit_code or (3 if behind else 0)


def _not_begun(run: _Run, name: str) -> int:
    if run.error:
        hint = "" if run.error_code == 2 else f": `kerasweep resume {name}`" if run.started else ""
        _complain(run.error + hint)
        return run.error_code
    code = run.process.wait()
    if run.signals:
        return 143 if code == 143 else 130
    _complain(f"the driver {exit_in_words(code)} before the sweep began; nothing was left behind")
    return 3


def _complain(text: str) -> None:
    Terminal(stderr=True).print(text, soft_wrap=True)


def wait_for_delivery(folder: Path, patience_s: float, hurried: Callable[[], bool] = lambda: False) -> str:
    """Wait until MLflow has all of the sweep; return what is left to do, in words, or an empty string.

    Args:
        folder: The sweep's folder.
        patience_s: So long nothing more may be delivered before it gives up.
        hurried: Whether to give up at once.
    """
    delivered, deadline = -1, 0.0
    while True:
        status = delivery_status(folder)
        if status.delivered_seq >= status.last_seq:
            return ""
        if status.delivered_seq > delivered:
            delivered, deadline = status.delivered_seq, time.monotonic() + patience_s
        if time.monotonic() > deadline or hurried():
            left, why = status.last_seq - status.delivered_seq, f" ({status.trouble})" if status.trouble else ""
            return f"MLflow lacks {left} events of {folder.name}{why}, which are safe: `kerasweep sync {folder.name}`"
        time.sleep(0.1)


def clean_up(scratch: Path) -> None:
    """End what a driver that was killed left of its Ray, found by the scratch folder in its environment; remove that."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # of another user, or gone by now
            if process.environ().get(SCRATCH) == str(scratch):
                process.kill()
    shutil.rmtree(scratch, ignore_errors=True)
