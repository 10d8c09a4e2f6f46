"""A child process and all that it starts: run in a session of its own, sampled from outside, ended by pid.

Descendants are found by their parents, and those whose parent has gone by a mark in their environment.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import psutil

SAMPLE_S = 0.5
GRACE_S = 10.0
"""What the child left behind may end itself for so long; then it is ended."""

MARK = "OVERHEAD_RUN"

Samples = Sequence[tuple[float, Mapping[int, int]]]


class Failed(Exception):
    """The child failed or took too long; the message has the end of its log."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What was seen of a child: times in seconds since 1970, memory (RSS, bytes) by pid, and command lines by pid."""

    launched: float
    exited: float
    root: int
    samples: Samples = field(repr=False)
    commands: Mapping[int, str] = field(repr=False)

    def role(self, pid: int, trainers: Collection[int]) -> str:
        """Return what kind of process it was; `trainers` are those that trials ran in."""
        command = self.commands[pid]
        if pid in trainers or "kerasweep.cluster.forkserver" in command:
            return "trainers"
        if command.startswith("ray::") and not any(word in command for word in ("IDLE", "Agent")):
            return "trainers"
        if command.startswith("ray::") or "/ray/" in command:
            return "ray"
        return "tracker" if "kerasweep.trackers" in command else "driver"

    def peaks(self, trainers: Collection[int]) -> dict[str, int]:
        """Return the highest sum of memory (bytes) over the processes of each role, and over all of them."""
        peaks = {"all": 0}
        roles = {pid: self.role(pid, trainers) for pid in self.commands}
        for _, memory in self.samples:
            sums = {"all": sum(memory.values())}
            for pid, rss in memory.items():
                sums[roles[pid]] = sums.get(roles[pid], 0) + rss
            peaks = {role: max(peaks.get(role, 0), sums.get(role, 0)) for role in peaks | sums}
        return peaks


@final
class Family:
    """The child and its descendants, as far as they have been seen."""

    def __init__(self, root: int, mark: str) -> None:
        self.commands: dict[int, str] = {}
        self.samples: list[tuple[float, dict[int, int]]] = []
        self._mark = mark
        self._members: dict[int, float] = {root: psutil.Process(root).create_time()}
        self._strangers: dict[int, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Sample no more, and end whoever still runs."""
        self._done.set()
        self._thread.join()
        deadline = time.monotonic() + GRACE_S
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.2)
        self.end()

    def end(self) -> None:
        """End the processes that still run, politely first."""
        for process in self.alive():
            with suppress(psutil.Error):
                process.terminate()
        psutil.wait_procs(self.alive(), timeout=5)
        for process in self.alive():
            with suppress(psutil.Error):
                process.kill()

    def alive(self) -> list[psutil.Process]:
        """Return the processes of the family that run."""
        found = [one for one in psutil.process_iter() if self._belongs(one)]
        return [one for one in found if one.is_running() and _status(one) != psutil.STATUS_ZOMBIE]

    def _belongs(self, process: psutil.Process) -> bool:
        """Tell whether it is of the family; a pid that was given out again is another process."""
        try:
            pid, created = process.pid, process.create_time()
            if self._members.get(pid) == created:
                return True
            if process.ppid() not in self._members:
                if self._strangers.get(pid) == created:
                    return False
                if process.environ().get(MARK) != self._mark:
                    self._strangers[pid] = created
                    return False
        except psutil.Error:
            return False
        self._members[pid] = created
        return True

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_S):
            memory: dict[int, int] = {}
            for process in self.alive():
                with suppress(psutil.Error):
                    memory[process.pid] = process.memory_info().rss
                    self.commands[process.pid] = " ".join(process.cmdline()) or process.name()
            self.samples.append((time.time(), {pid: rss for pid, rss in memory.items() if pid in self.commands}))


def _status(process: psutil.Process) -> str:
    try:
        return process.status()
    except psutil.Error:
        return psutil.STATUS_ZOMBIE


def end_with_sigterm() -> None:
    """Let SIGTERM end this process the way Ctrl-C does: what it started is ended first."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str], timeout_s: float) -> Ran:
    """Run the command in `folder`, its output in `folder`/output.txt, and return what was seen.

    Raises:
        Failed: it ended with another code than 0, or not in time.
    """
    mark = uuid.uuid4().hex
    output = folder / "output.txt"
    with output.open("wb") as log:
        launched = time.time()
        child = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    family = Family(child.pid, mark)
    try:
        code = child.wait(timeout_s)
        exited = time.time()
    except subprocess.TimeoutExpired:
        family.end()
        raise Failed(f"{command[0]} did not end in {timeout_s:.0f} s; it wrote:\n{_tail(output)}") from None
    except BaseException:  # Ctrl-C: nothing is left running
        family.end()
        raise
    finally:
        family.close()
        child.wait()
    if code != 0:
        raise Failed(f"{' '.join(command)} ended with exit code {code}; it wrote:\n{_tail(output)}")
    return Ran(
        launched=launched, exited=exited, root=child.pid, samples=tuple(family.samples), commands=family.commands
    )


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-25:])
