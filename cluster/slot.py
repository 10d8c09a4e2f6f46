"""A slot: the place for one trial at a time; supervises one trainer and replaces it when it dies, hangs or leaks.

Runs in the actor's process, which never imports TensorFlow, so that no user code can take it down.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, final

from ..spaces.trial import Assignment, Cause, Json
from .forkserver import NO_GRAPHICS, ForkServer, connect, exit_in_words
from .link import Link, LinkClosed, Message
from .program import Program

GRACE_S = 15.0
"""A stopped trial's thread that has not ended after so long costs its trainer."""
CLOSE_S = 6.0
RECYCLE_BYTES = 1_000_000_000
"""A trainer that has grown by so much since its first trial is due for recycling."""
POLL_S = 0.25
IDLE_S = 0.1
"""A slot that waits for a trial asks so often."""
LOGS = "kerasweep-logs-"
"""Begins the name of a folder for logs where there is no sweep's folder; the number of the slot's process follows."""
_WARM_S = 600.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSetup:
    """What every slot of a sweep is told: program, settings of its trials, limits, where logs go.

    `socket` is the fork server of the driver's machine; on another machine the slot starts one of its own.
    `versions` are those that the slot's node must have; none where that is the driver's. A chunk of reports covers `chunk_s` seconds.
    """

    program: Mapping[str, Any] = field(repr=False)
    settings: Mapping[str, Any]
    socket: str
    logs: str
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    cpu: int = 1
    gpu: float = 0
    chunk_s: float = 1.0
    trial_s: float | None = None
    silence_s: float = 1800.0
    memory_bytes: float | None = None

    def to_json(self) -> dict[str, Json]:
        """Return the form in which it travels."""
        return asdict(self)


@final
class Trainer:
    """The slot's side of one trainer."""

    def __init__(self, link: Link, setup: SlotSetup, name: str) -> None:
        self.link = link
        self.pid = 0
        self.trials = 0
        self.refusal: Message | None = None
        self.first_bytes = 0
        log = f"{setup.logs}/trainer-{name}.log"
        link.send({"type": "setup", "gpu": setup.gpu, "log": log})

    def ready(self, timeout_s: float) -> bool:
        """Wait until it has loaded the user's code; `refusal` says why it cannot train."""
        if not self.pid:
            message = self.link.receive(timeout_s)
            if message is None:
                return False
            self.pid = int(message["pid"])
            self.refusal = message if message["type"] == "refused" else None
        return True

    def resident_bytes(self) -> int:
        """Return the memory that it occupies."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def grown(self) -> bool:
        """Whether it is due for recycling."""
        return self.trials > 1 and self.resident_bytes() - self.first_bytes > RECYCLE_BYTES


def oom_kills() -> int:
    """Return how many processes the kernel has killed on this machine for want of memory; 0 where it does not say."""
    try:
        counters = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in counters.splitlines() if line.startswith("oom_kill ")), 0)


def _environment(setup: SlotSetup) -> dict[str, str]:
    """Return what the actor's environment says about graphics processors; a slot without any sees none."""
    if not setup.gpu:
        return NO_GRAPHICS
    names = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
    return {name: os.environ[name] for name in names if name in os.environ}


@final
class Slot:
    """One place for a trial. `assign` never waits and never raises; `step` returns what came about."""

    def __init__(
        self,
        setup: SlotSetup,
        *,
        node: str = "",
        clock: Callable[[], float] = time.monotonic,
        oom_kills: Callable[[], int] = oom_kills,
    ) -> None:
        """Get ready; `node` is the name of the node, which becomes part of the slot's."""
        self._setup = setup
        self._clock = clock
        self._oom_kills = oom_kills
        self._kills_before = 0
        self._name = f"{node}-{os.getpid()}".lstrip("-")
        self._trainer: Trainer | None = None
        self._spare: Trainer | None = None
        self._server: ForkServer | None = None
        self._waiting: Assignment | None = None
        self._running: Assignment | None = None
        self._left: Assignment | None = None
        self._left_at = 0.0
        self._late: list[Message] = []
        self._began = 0.0
        self._heard = 0.0
        self._batches = 0
        self._peak = 0
        self._wanted_at = 0.0
        self._looked_at: float | None = None

    def assign(self, assignment: Assignment) -> None:
        """Take an assignment in; a trial still running was stopped by the driver."""
        self.rest()
        self._waiting = assignment
        self._wanted_at = self._clock()
        self._start_at_once()

    def rest(self) -> None:
        """Have nothing to train; a trial still running was stopped by the driver."""
        if self._running is not None:
            self._leave(self._running)
        self._waiting = self._running = None

    def warm(self) -> None:
        """Get a trainer without waiting for it."""
        if self._trainer is None:
            self._trainer = self._adopt()

    def step(self) -> tuple[list[Message], bool]:
        """Train for a chunk of time; return the messages that came about, and whether the trial is over.

        Returns at once at a rung, at the end of a round and at the end of the trial; soon where there is none.
        """
        if self._waiting is None and self._running is None:
            return self._idle(), False
        self._skip_unwatched()
        deadline = self._clock() + self._setup.chunk_s
        try:
            return self._train_until(deadline)
        finally:
            self._looked_at = self._clock()

    def _train_until(self, deadline: float) -> tuple[list[Message], bool]:
        messages: list[Message] = []
        while True:
            messages, self._late = messages + self._late, []
            message = self._next(max(0.0, min(POLL_S, deadline - self._clock())))
            if message is not None:
                messages.append(message)
                if message["type"] in ("needs", "ended"):
                    self._running = None
                    return messages, True
                if message["type"] == "report" and self._at_rung(message):
                    return messages, False
            elif self._clock() >= deadline:
                return messages, False

    def close(self) -> None:
        """Let the trainers go; a trial that was stopped gets a moment to write its weights."""
        if self._running is not None:
            self._leave(self._running, checkpoint=True)
        deadline = time.monotonic() + CLOSE_S
        while self._left is not None and self._trainer is not None and time.monotonic() < deadline:
            self._left_is_over(POLL_S)
        for trainer in (self._trainer, self._spare):
            if trainer is not None:
                trainer.link.close()
        self._trainer = self._spare = None
        if self._server is not None:
            self._server.close()
            shutil.rmtree(self._server.socket.parent, ignore_errors=True)

    # Parts ----------------------------------------------------------------------------------------------------------

    def _skip_unwatched(self) -> None:
        """Leave the time since the last step out of the limits: a driver that was stopped for an hour costs no trial."""
        if self._looked_at is not None and self._running is not None:
            gap = max(0.0, self._clock() - max(self._looked_at, self._began))
            self._began += gap
            self._heard += gap

    def _idle(self) -> list[Message]:
        if self._left is None:
            time.sleep(IDLE_S)
        else:
            self._left_is_over(IDLE_S)
        messages, self._late = self._late, []
        return messages

    def _next(self, timeout_s: float) -> Message | None:
        """Return one message about the present trial, if one comes in time."""
        try:
            if self._running is None:
                return self._begin(timeout_s)
            return self._listen(timeout_s)
        except LinkClosed:
            return self._on_dead_trainer()

    def _start_at_once(self) -> None:
        """Begin the trial where its trainer is warm and free: Tune takes two calls more until it asks for a step."""
        trainer = self._trainer
        if trainer is None or not trainer.pid or trainer.refusal is not None or self._left is not None:
            return
        try:
            self._begin(0.0)
        except LinkClosed:  # it died while it was idle; `step` gets another
            self._trainer = None

    def _begin(self, timeout_s: float) -> Message | None:
        """Give the waiting trial to the trainer once that is free and warm."""
        assert self._waiting is not None  # noqa: S101
        if self._left is not None and not self._left_is_over(timeout_s):
            return None
        self._use_spare()
        self.warm()
        assert self._trainer is not None  # noqa: S101
        if not self._trainer.ready(timeout_s):
            return self._too_cold()
        if self._trainer.refusal is not None:
            self._running, self._waiting = self._waiting, None
            return self._refused(self._trainer.refusal)
        settings = self._setup.settings  # a trainer that died idle is found out here, at no cost to the trial
        self._trainer.link.send({"type": "trial", "assignment": self._waiting.to_json(), "settings": settings})
        self._running, self._waiting = self._waiting, None
        self._began = self._heard = self._clock()
        self._batches = self._peak = 0
        self._kills_before = self._oom_kills()
        return None

    def _listen(self, timeout_s: float) -> Message | None:
        trainer, running = self._trainer, self._running
        assert trainer is not None  # noqa: S101
        assert running is not None  # noqa: S101
        message = trainer.link.receive(timeout_s)
        if message is None or message["type"] == "beat":
            if message is not None and message["batches"] > self._batches:
                self._batches, self._heard = message["batches"], self._clock()
            return self._over_limit(trainer)
        self._heard = self._clock()
        if message.get("trial") != running.number or message.get("attempt") != running.attempt:
            return None
        if message["type"] == "ended":
            self._peak = max(self._peak, trainer.resident_bytes())
            self._after_trial(trainer, message)
            if message["kind"] == Cause.OOM:
                message = {**message, "reason": f"{message['reason']}{self._peak_in_words()}"}
        return {**message, "slot": self._name, "at": time.time()}

    def _after_trial(self, trainer: Trainer, message: Message) -> None:
        trainer.trials += 1
        if trainer.trials == 1:
            trainer.first_bytes = trainer.resident_bytes()
        if message["kind"] == "oom":
            self._drop(trainer)
        elif self._spare is None and trainer.grown:
            self._spare = self._adopt(spare=True)

    def _use_spare(self) -> None:
        """Put the warmed successor in the place of a trainer that is due."""
        if self._spare is None:
            return
        try:
            if not self._spare.ready(0.0):
                return
        except LinkClosed:  # it died while it loaded: another is warmed after the next trial
            self._spare = None
            return
        if self._trainer is not None:
            self._trainer.link.close()
        self._trainer, self._spare = self._spare, None

    def _leave(self, assignment: Assignment, *, checkpoint: bool = False) -> None:
        """Have the trainer stop what the driver no longer wants; `checkpoint`: it may go on with it one day."""
        if self._trainer is None:
            return
        try:
            self._trainer.link.send({"type": "stop", "checkpoint": checkpoint})
        except LinkClosed:
            self._trainer = None
            return
        self._left, self._left_at = assignment, self._clock()

    def _left_is_over(self, timeout_s: float) -> bool:
        """Wait for the stopped trial's thread to end; after the grace time its trainer is replaced."""
        assert self._trainer is not None  # noqa: S101
        try:
            message = self._trainer.link.receive(timeout_s)
        except LinkClosed:
            self._left = self._trainer = None
            return True
        if message is not None and message["type"] in ("ended", "needs"):
            self._left = None
            if message["type"] == "ended":
                self._after_trial(self._trainer, message)
                self._late.append({**message, "type": "timed", "slot": self._name})
            return True
        if self._clock() - self._left_at > GRACE_S:
            self._drop(self._trainer)
            self._left = None
            return True
        return False

    def _adopt(self, *, spare: bool = False) -> Trainer:
        """Connect to a new trainer: forked by this machine's fork server, or by one of the slot's own."""
        path = Path(self._setup.socket) if self._server is None else self._server.socket
        adopt = {"type": "adopt", "spare": spare, "environment": _environment(self._setup)}
        try:
            link = connect(path, adopt, patience_s=30.0 if self._server is not None else 0.0)
        except (OSError, LinkClosed):
            if not Path(self._setup.logs).is_dir():  # another machine, without the sweep's folder
                self._setup = replace(self._setup, logs=tempfile.mkdtemp(prefix=f"{LOGS}{os.getpid()}-"))
            self._server = ForkServer(
                Path(tempfile.mkdtemp(prefix="kerasweep-")),
                Program.from_json(self._setup.program),
                cpu=self._setup.cpu,
                gpu=self._setup.gpu,
                log=Path(self._setup.logs) / f"trainers-{self._name}.log",
            )
            link = connect(self._server.socket, adopt, patience_s=30.0)
        return Trainer(link, self._setup, self._name)

    def _drop(self, trainer: Trainer) -> None:
        """Kill a trainer that cannot be used any more."""
        if trainer.pid:
            with suppress(ProcessLookupError):
                os.kill(trainer.pid, signal.SIGKILL)
        trainer.link.close()
        if trainer is self._trainer:
            self._trainer = None

    def _over_limit(self, trainer: Trainer) -> Message | None:
        """Kill the trainer, and say why, where the trial is over one of its limits."""
        setup, now = self._setup, self._clock()
        self._peak = max(self._peak, trainer.resident_bytes())
        if setup.trial_s is not None and now - self._began > setup.trial_s:
            return self._killed(trainer, Cause.HANG, f"it took more than limits.trial_s ({setup.trial_s:g} s)")
        if now - self._heard > setup.silence_s:
            return self._killed(trainer, Cause.HANG, f"no batch was done in limits.silence_s ({setup.silence_s:g} s)")
        if setup.memory_bytes is not None and self._peak > setup.memory_bytes:
            gigabytes = f"{self._peak / 1e9:.1f} GB, the limit is {setup.memory_bytes / 1e9:g} GB (limits.memory_gb)"
            return self._killed(trainer, Cause.OOM, f"it took {gigabytes}")
        return None

    def _killed(self, trainer: Trainer, cause: Cause, why: str) -> Message:
        self._drop(trainer)
        return self._ended(cause, why)

    def _on_dead_trainer(self) -> Message | None:
        """Make what happened an outcome of the trial, if one was running; the next trial gets another trainer."""
        trainer, self._trainer = self._trainer, None
        if trainer is None:
            return None
        trainer.link.close()
        if self._running is None:
            return self._too_cold()
        code = self._exit_code(trainer.pid)
        why = f"the training process {exit_in_words(code)}"
        if code == -signal.SIGKILL and self._oom_kills() > self._kills_before:
            return self._ended(Cause.OOM, f"{why}, by the kernel for want of memory{self._peak_in_words()}")
        return self._ended(Cause.LOST if code is None else Cause.CRASH, why)

    def _peak_in_words(self) -> str:
        """Return what the process took at most, as far as that was seen: it is looked at once a second."""
        return f"; its process took up to {self._peak / 1e9:.2f} GB" if self._peak else ""

    def _exit_code(self, pid: int) -> int | None:
        path = Path(self._setup.socket) if self._server is None else self._server.socket
        try:
            link = connect(path, {"type": "status", "pid": pid})
            answer = link.receive(5.0)
            link.close()
        except (OSError, LinkClosed):
            return None
        return None if answer is None else answer["exit"]

    def _too_cold(self) -> Message | None:
        """Give up on a machine where no trainer becomes ready."""
        if self._clock() - self._wanted_at < _WARM_S:
            return None
        self._running, self._waiting = self._waiting, None
        return self._ended(Cause.LOST, f"no trainer became ready within {_WARM_S:g} s; see the logs")

    def _refused(self, refusal: Message) -> Message:
        return self._ended(Cause.ERROR, refusal["reason"], refusal["traceback"])

    def _ended(self, cause: Cause, why: str, traceback: str = "") -> Message:
        running = self._running
        assert running is not None  # noqa: S101
        return {
            "type": "ended",
            "kind": str(cause),
            "reason": why,
            "traceback": traceback,
            "trial": running.number,
            "attempt": running.attempt,
            "slot": self._name,
            "at": time.time(),
        }

    def _at_rung(self, message: Message) -> bool:
        return self._running is not None and message["epoch"] in self._running.rungs
