"""The trainer: a forked process that has Keras imported and trains one trial after another for its slot.

The main thread talks with the slot; a training thread runs the user's code. When the slot's end of the link closes the
trainer ends, whatever it is doing.
"""

from __future__ import annotations

import gc
import io
import json
import os
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any, final

from ..spaces.errors import KerasweepError, one_line
from ..spaces.trial import Assignment
from .backend import grow_graphics_memory, limit_threads, make_deterministic
from .failure import describe
from .link import Link, LinkClosed, Message
from .program import Program
from .rehearsal import check, probe, refuse_unread, rehearse
from .settings import Settings
from .training import Training, clean_up
from .trial_log import mark
from .user_code import UserCode

BEAT_S = 1.0
"""The main thread says so often how far training is, so that a hang can be told from slow work."""


def run(
    program: Program,
    control: socket.socket,
    link: Link | None,
    *,
    cpu: int,
    warm_up: bool,
    adoptable: bool,
    cache: Path | None = None,
    inspect: Mapping[str, Any] | None = None,
) -> None:
    """Load the user's code and data, tell the verdict on `control`, then serve a slot until it is gone.

    Args:
        program: What to load.
        control: The fork server's end hears the verdict there and hands a slot's connection over.
        link: The slot's connection where there is one already.
        cpu: The threads that the backend may take for one operation.
        adoptable: Whether it may serve a slot, or only says what it thinks of the program.
        warm_up: Whether to spend the time until there is a trial on the backend's own start.
        cache: Where the trainers of this machine share the arrays of the data.
        inspect: The sweep's settings, where the model and the data are to be looked at; what is wrong is told on
            `control`, too.
    """
    limit_threads(program.keras.backend, cpu)
    if program.keras.deterministic:
        make_deterministic(program.keras.backend)
    code, verdict = _load(program, cache)
    del program
    control.sendall(json.dumps(verdict).encode() + b"\n")
    if inspect is not None:
        found = [] if code is None else check(code, Settings.from_json(inspect))
        findings = [one.to_json() for one in found]
        control.sendall(json.dumps({"type": "inspected", "findings": findings}).encode() + b"\n")
        clean_up()
    if not adoptable:
        return
    if code is not None and warm_up:
        _warm_up()
    if link is None:
        _, descriptors, _, _ = socket.recv_fds(control, 16, 1)
        if not descriptors:
            return
        link = Link(socket.socket(fileno=descriptors[0]))
    control.close()
    try:
        link.send({**verdict, "pid": os.getpid()})
        if code is not None:
            Trainer(link, code).serve()
    except LinkClosed:
        os._exit(0)


def _load(program: Program, cache: Path | None) -> tuple[UserCode | None, Message]:
    try:
        model, data = program.load()
        code = UserCode.of(model, data, loop=program.loop, keras=program.keras, cache=cache)
        if program.suspects:
            refuse_unread(code, program.suspects)
        gc.collect()
        gc.freeze()
        return code, {"type": "ready"}
    except KerasweepError as error:
        return None, {"type": "refused", "reason": one_line(str(error)), "traceback": ""}
    except (Exception, SystemExit) as error:
        failure = describe(error, program.root)
        return None, {"type": "refused", "reason": failure.reason, "traceback": failure.traceback}


def _warm_up() -> None:
    """Fit a model of one weight, so that the backend's lazy start (half a second) is not the first trial's."""
    import keras
    import numpy as np

    model: Any = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    x = np.zeros((2, 1), "float32")
    model.fit(x, x, verbose=0, validation_data=(x, x))
    del model
    clean_up()


@final
class Trainer:
    """Serves one slot."""

    def __init__(self, link: Link, code: UserCode) -> None:
        self._link = link
        self._code = code
        self._training: Training | None = None
        self._trials: SimpleQueue[Training] = SimpleQueue()
        threading.Thread(target=self._train, name="training", daemon=True).start()

    def serve(self) -> None:
        """Obey the slot until its end closes.

        Raises:
            LinkClosed: it did.
        """
        while True:
            message = self._link.receive(BEAT_S)
            if message is None:
                self._beat()
            elif message["type"] == "setup":
                _set_up(message, self._code.keras.backend)
            elif message["type"] == "trial":
                self._start(message)
            elif message["type"] in ("rehearse", "probe"):
                look = rehearse if message["type"] == "rehearse" else probe
                self._link.send(look(self._code, Settings.from_json(message["settings"]), message["params"]))
            elif message["type"] == "stop" and self._training is not None:
                self._training.stop(save=bool(message.get("checkpoint")))

    def _beat(self) -> None:
        if self._training is not None and self._training.running:
            self._link.send({"type": "beat", "batches": self._training.batches})

    def _start(self, message: Mapping[str, Any]) -> None:
        assignment = Assignment.from_json(message["assignment"])
        settings = Settings.from_json(message["settings"])
        self._training = Training(self._code, assignment, settings, self._say)
        self._trials.put(self._training)

    def _train(self) -> None:
        """Run the trials, all on one thread: TensorFlow keeps its kernels by thread, a new one builds half as fast."""
        while True:
            training = self._trials.get()
            mark(training.number, training.attempt)
            training.run()

    def _say(self, message: Message) -> None:
        try:
            self._link.send(message)
        except LinkClosed:
            os._exit(0)


def _set_up(message: Mapping[str, Any], backend: str) -> None:
    """Write to the slot's log file from now on."""
    log = Path(message["log"])
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.stdout.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # what was printed by a trial that dies is there
    if message["gpu"]:
        grow_graphics_memory(backend)
