"""The launcher: starts the driver, shows its sweep, hands signals on, and has the last word and the exit code.

It imports nothing heavy and holds nothing: killed, it leaves the driver at work.
"""

from __future__ import annotations

import json
import math
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
from .lasting import lasting_terminal
from .live import View, last_words, view
from .signals import exit_code, handle

POLL_S = 0.1
END_S = 9.0
"""A driver that a signal has not ended after so long is killed: what it journaled is safe."""
DELIVERY_S = 60.0
"""After the sweep's end the command gives MLflow up when nothing more was delivered for so long."""
INTERRUPTED_S = 8.0
"""After the signal an interrupted command waits no longer for MLflow."""


@final
@dataclass(slots=True)
class _Run:
    """What is known of a driver that was started, and the signals that came for it."""

    process: subprocess.Popen[bytes] | None = None
    channel: int = -1
    signals: int = 0
    signal: int = 0
    signalled_at: float = math.inf
    started: bool = False
    stays: bool = False
    """Whether the driver can no longer refuse the sweep, and remove it."""
    error: str = ""
    error_code: int = 0
    text: str = ""

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Hand the first signal on; at the second, end everything. A terminal that closes may say so twice."""
        del frame
        if self.signals and number == signal.SIGHUP:
            return
        self.signals += 1
        if self.signals == 1:
            self.signal, self.signalled_at = number, time.monotonic()
            self.hand_on()
        elif self.process is not None:
            self.process.kill()

    def hand_on(self) -> None:
        """Give the driver the signal that has come."""
        if self.process is not None and self.signal:
            self.process.send_signal(signal.SIGTERM if self.signal == signal.SIGTERM else signal.SIGINT)

    def overdue(self, limit_s: float) -> bool:
        """Say whether a signal came so long ago."""
        return time.monotonic() - self.signalled_at > limit_s

    @property
    def driver(self) -> subprocess.Popen[bytes]:
        """The process."""
        assert self.process is not None  # noqa: S101
        return self.process

    @property
    def gone(self) -> bool:
        """Whether the driver has ended."""
        return self.driver.poll() is not None


def launch(job: Job, console: Console, *, detach: bool = False) -> int:
    """Run a job in a driver of its own; return the exit code of the command."""
    run = _Run()
    handle(run.on_signal)  # from the first moment: whatever comes must not leave a driver behind
    job = replace(job, scratch=tempfile.mkdtemp(prefix="ks-"))
    _start(run, job)
    try:
        with view(console, waiting_for="starting: TensorFlow, Ray and your code") as shown:
            history = _follow(run, job, shown, detach=detach)
        name = Path(job.folder).name
        if detach and not run.gone:
            console.print(f"{name} runs in the background; `kerasweep attach {name}` shows it", highlight=False)
            return 0
        if run.error or not run.started:
            return _not_begun(run, job)
        return _conclude(run, Path(job.folder), history, console)
    finally:
        if run.gone:
            clean_up(Path(job.scratch))
            shutil.rmtree(job.staging, ignore_errors=True) if job.staging else None


def _start(run: _Run, job: Job) -> None:
    reading, writing = os.pipe()
    logs = Path(job.staging or job.folder) / "logs"
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = os.open(logs / "driver.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    process = run.process = subprocess.Popen(  # noqa: S603
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
    run.channel = reading
    run.hand_on()  # one that came before there was a process


def _follow(run: _Run, job: Job, shown: View, *, detach: bool) -> History:
    """Show the sweep until its driver has ended, or, where it is left alone, can no longer refuse it."""
    history = History()
    reader: Reader | None = None
    ended = False
    while True:
        gone = run.gone
        if run.overdue(END_S) and not gone:
            run.driver.kill()
        ended = _hear(run) or ended or gone
        if detach and not run.signals and (run.stays or (run.started and not job.staging)):
            return history
        if run.started and reader is None:
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
            case "stays":
                run.stays = True
            case "error":
                run.error, run.error_code = message["text"], message["exit_code"]
            case "ended":
                ended = True
            case _:
                pass
    return ended


def _conclude(run: _Run, folder: Path, history: History, console: Console) -> int:
    how = "" if history.ended is not None else exit_in_words(run.driver.wait())
    code = conclude(folder, history, console, how=how, hurried=lambda: run.signals > 1 or run.overdue(INTERRUPTED_S))
    return exit_code(run.signal) if history.ended is None and run.signals else code


def conclude(
    folder: Path,
    history: History,
    console: Console,
    *,
    how: str = "is gone",
    patience_s: float = DELIVERY_S,
    hurried: Callable[[], bool] = lambda: False,
) -> int:
    """Say how a sweep without a driver stands, wait for MLflow to have it, and return the exit code of its command.

    Args:
        folder: The sweep's folder.
        history: All of its journal.
        console: Where to say it.
        how: What became of its driver, where the journal does not know.
        patience_s: So long MLflow may take nothing more before it is given up.
        hurried: Whether to give it up at once.
    """
    name = folder.name
    if not history.spec:
        _complain(f"the driver of {name} {how} before the sweep began; `kerasweep rm {name}` removes what it left")
        return 3
    console.print(last_words(history), soft_wrap=True)
    if history.ended is None:
        _complain(f"the driver of {name} {how}; what was journaled is safe: `kerasweep resume {name}`")
        return 3
    if history.ended.exit_code not in (0, 130, 143):
        _complain(history.ended.why if history.closing else f"no trial of {name} succeeded; `kerasweep show {name}`")
    if history.ended.exit_code in (130, 143):
        _complain(f"{history.ended.why}; nothing is lost: `kerasweep resume {name}`")
    behind = wait_for_delivery(folder, patience_s, hurried, lambda text: console.print(text, soft_wrap=True))
    if behind:
        _complain(behind)
    return history.ended.exit_code or (3 if behind else 0)


def _not_begun(run: _Run, job: Job) -> int:
    name = Path(job.folder).name
    if run.error:
        hint = "" if run.error_code == 2 else f": `kerasweep resume {name}`" if run.started else ""
        _complain(run.error + hint)
        return run.error_code
    code = run.driver.wait()
    begun = Path(job.folder).exists()
    left = f"nothing is lost: `kerasweep resume {name}`" if begun else "nothing was left behind"
    if run.signals:
        _complain(f"{name} was interrupted while it started; {left}")
        return exit_code(run.signal)
    _complain(f"the driver {exit_in_words(code)} while it started; {left}")
    return 3


def _complain(text: str) -> None:
    lasting_terminal(stderr=True).print(text, soft_wrap=True)


def wait_for_delivery(
    folder: Path,
    patience_s: float,
    hurried: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """Wait until MLflow has all of the sweep; return what is left to do, in words, or an empty string.

    Args:
        folder: The sweep's folder.
        patience_s: So long nothing more may be delivered before it gives up.
        hurried: Whether to give up at once.
        say: Is told once what it waits for, where MLflow takes nothing.
    """
    delivered, deadline, said = -1, 0.0, False
    while True:
        status = delivery_status(folder)
        if status.delivered_seq >= status.last_seq:
            return ""
        if status.delivered_seq > delivered:
            delivered, deadline = status.delivered_seq, time.monotonic() + patience_s
        why = f" ({status.trouble})" if status.trouble else ""
        if time.monotonic() > deadline or hurried():
            left = status.last_seq - status.delivered_seq
            return f"MLflow lacks {left} events of {folder.name}{why}, which are safe: `kerasweep sync {folder.name}`"
        if status.trouble and not said:
            said = True
            name = folder.name
            say(f"waiting for MLflow to have all of {name}{why}; nothing is lost: Ctrl-C, then `kerasweep sync {name}`")
        time.sleep(0.1)


def clean_up(scratch: Path) -> None:
    """End what a driver that was killed left of its Ray, found by the scratch folder in its environment; remove that."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # of another user, or gone by now
            if process.environ().get(SCRATCH) == str(scratch):
                process.kill()
    shutil.rmtree(scratch, ignore_errors=True)
