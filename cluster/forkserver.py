"""One process per machine that imports TensorFlow once and forks a warm trainer in milliseconds whenever asked.

A process that has imported Keras, but run nothing, holds no thread that a fork would lose (the native pools start with
the first operation), so a fork of it is a trainer that costs no import: the second slot, a replacement after a crash
and a successor for a leaking trainer alike. `gc.freeze` keeps the imported objects out of each later collection.

    python -m kerasweep.cluster.forkserver     (on standard input: the length of an `Order` in 8 bytes, then its JSON)

A process connects to the socket and sends `adopt`: from then on the connection belongs to a trainer (a warm one where
there is one). `checked` waits for the first trainer's verdict on the user's code, `inspected` for what it has found in
model and data; `status` asks how a trainer ended.
The kernel kills this process with its owner, and the trainers with this process.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

from ..spaces.errors import Infrastructure
from . import trainer
from .backend import environment, preloaded
from .link import Link, LinkClosed, check_peer, listen
from .program import Program

NO_GRAPHICS = {"CUDA_VISIBLE_DEVICES": "-1"}
ORPHAN_S = 1.0
"""A trainer whose owner died ends itself; one that cannot (stuck in native code) is killed after so many seconds."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a fork server is told: where to listen, the program, and how many trainers to warm up at once.

    A trainer gets `cpu` threads. Where trials have graphics processors, which ones is known only when a slot connects:
    then the trainers started at once only give their verdict on the program, with no graphics processor in sight.
    """

    owner: int
    socket: str
    program: Mapping[str, Any] = field(repr=False)
    warm: int = 0
    cpu: int = 1
    gpu: float = 0
    settings: Mapping[str, Any] | None = field(default=None, repr=False)
    """The sweep's, where the first trainer is to look at the model and the data before there is a trial."""


@final
class ForkServer:
    """The owner's handle: starts the process, connects to it."""

    def __init__(
        self,
        folder: Path,
        program: Program,
        *,
        warm: int = 0,
        cpu: int = 1,
        gpu: float = 0,
        log: Path | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Start the process; it listens at once and forks when its imports are done."""
        self.socket = folder / f"trainers-{os.getpid()}.sock"
        order = Order(
            owner=os.getpid(),
            socket=str(self.socket),
            program=program.to_json(),
            warm=warm,
            cpu=cpu,
            gpu=gpu,
            settings=settings,
        )
        variables = {"TF_CPP_MIN_LOG_LEVEL": "2", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **os.environ}
        variables |= environment(program.keras, cpu)
        with open(log or os.devnull, "ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "kerasweep.cluster.forkserver"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=variables,
                start_new_session=True,
            )
        assert self._process.stdin is not None  # noqa: S101
        body = json.dumps(asdict(order)).encode()
        self._process.stdin.write(len(body).to_bytes(8, "big") + body)
        self._process.stdin.flush()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def checked(self, timeout_s: float = 600.0) -> dict[str, Any]:
        """Return the first trainer's verdict on the program: `{"type": "ready"}` or `{"type": "refused", …}`.

        Raises:
            Infrastructure: the process died or did not answer.
        """
        link = connect(self.socket, {"type": "checked"}, patience_s=60.0)
        try:
            answer = link.receive(timeout_s)
        except LinkClosed as error:
            raise Infrastructure(f"the process that imports Keras ended (exit {self._process.poll()})") from error
        finally:
            link.close()
        if answer is None:
            raise Infrastructure(f"importing Keras and the model's code took more than {timeout_s:g} s")
        return answer

    def inspected(self, timeout_s: float) -> list[dict[str, Any]]:
        """Return the errors that the first trainer has found in model and data; none where that takes longer."""
        link = connect(self.socket, {"type": "inspected"})
        try:
            answer = link.receive(timeout_s)
        except LinkClosed:
            return []
        finally:
            link.close()
        return [] if answer is None else answer["findings"]

    def close(self) -> None:
        """End the process, and with it its trainers; it holds nothing that would have to be put in order."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self.socket.unlink(missing_ok=True)


def connect(path: Path, message: Mapping[str, Any], patience_s: float = 0.0) -> Link:
    """Return a link to the fork server at `path` on which `message` was sent.

    Raises:
        OSError: nobody listens there, also not within `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            link = Link.connect(path)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            link.send(message)
            return link


# Inside the process ---------------------------------------------------------------------------------------------------


@final
@dataclass(slots=True, kw_only=True)
class _Child:
    pid: int
    control: socket.socket
    owner: int | None = None
    orphan_since: float | None = None
    said: bytes = b""
    inspects: bool = False


class _Server:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, _Child] = {}
        self._ended: dict[int, int] = {}
        self._waiting: list[Link] = []
        self._asking: list[Link] = []
        self._verdict: dict[str, Any] | None = None
        self._inspected: dict[str, Any] | None = None
        self._listener = listen(Path(order.socket))
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(0, selectors.EVENT_READ)

    def run(self) -> None:
        _preload(str(self._order.program["keras"]["backend"]))
        for index in range(self._order.warm):
            self._fork(None, None, variables=NO_GRAPHICS, waits=True, inspects=index == 0)
        while True:
            for key, _ in self._selector.select(timeout=0.2):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj == 0:
                    if not os.read(0, 4096):
                        self._end()
                elif isinstance(key.data, _Child):
                    self._hear(key.data)
                else:
                    self._answer(key.data)
            self._reap()
            self._end_orphans()

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        owner = check_peer(sock)
        link = Link(sock)
        self._selector.register(link, selectors.EVENT_READ, (link, owner))

    def _answer(self, data: tuple[Link, int]) -> None:
        link, owner = data
        self._selector.unregister(link)
        try:
            message = link.receive(1.0)
            if message is None or message["type"] == "checked":
                self._waiting.append(link)
                self._tell()
                return
            if message["type"] == "inspected":
                self._asking.append(link)
                self._tell()
                return
            if message["type"] == "adopt":
                self._adopt(link, owner, message)
            else:
                link.send({"type": "status", "exit": self._exit_of(int(message["pid"]))})
        except LinkClosed:
            pass
        link.close()

    def _exit_of(self, pid: int) -> int | None:
        """Return a trainer's exit (negative: the signal), waiting a moment for one that is just dying."""
        for _ in range(50):
            self._reap()
            if pid not in self._children:
                break
            time.sleep(0.02)
        return self._ended.get(pid)

    def _adopt(self, link: Link, owner: int, message: Mapping[str, Any]) -> None:
        for child in self._children.values():
            if child.owner is None and not self._order.gpu:
                try:
                    socket.send_fds(child.control, [b"x"], [link.fileno()])
                except OSError:
                    continue
                child.owner = owner
                return
        self._fork(link, owner, variables=message["environment"], waits=message["spare"])

    def _fork(
        self,
        link: Link | None,
        owner: int | None,
        *,
        variables: Mapping[str, str],
        waits: bool,
        inspects: bool = False,
    ) -> None:
        mine, theirs = socket.socketpair()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            die_with_parent(parent)
            os.environ.update(variables)
            self._become_trainer(theirs, link, waits, inspects)
        theirs.close()
        child = _Child(pid=pid, control=mine, owner=owner, inspects=inspects and self._order.settings is not None)
        self._children[pid] = child
        self._selector.register(mine, selectors.EVENT_READ, child)

    def _become_trainer(self, control: socket.socket, link: Link | None, waits: bool, inspects: bool) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._selector.close()
        self._listener.close()
        for child in self._children.values():
            child.control.close()
        for waiting in (*self._waiting, *self._asking):
            waiting.close()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        code = 1
        try:
            order = self._order
            adoptable = link is not None or not order.gpu
            cache = Path(order.socket).parent / "data"
            warm_up = waits and not order.gpu
            trainer.run(
                Program.from_json(order.program),  # kept by nobody: it may hold the data
                control,
                link,
                cpu=order.cpu,
                warm_up=warm_up,
                adoptable=adoptable,
                cache=cache,
                inspect=order.settings if inspects else None,
            )
            code = 0
        finally:
            os._exit(code)

    def _hear(self, child: _Child) -> None:
        """Take a trainer's verdict on the program; its end of the socket closing is heard of by `_reap`."""
        part = child.control.recv(1_000_000)
        if not part:
            self._selector.unregister(child.control)
            return
        child.said += part
        *lines, child.said = child.said.split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message["type"] == "inspected":
                self._inspected = message
            elif self._verdict is None:
                self._verdict = message
        self._tell()

    def _tell(self) -> None:
        for links, answer in ((self._waiting, self._verdict), (self._asking, self._inspected)):
            for link in links if answer is not None else ():
                with suppress(LinkClosed):
                    link.send(answer or {})
                link.close()
            if answer is not None:
                links.clear()

    def _reap(self) -> None:
        for pid in list(self._children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                continue
            self._ended[pid] = os.waitstatus_to_exitcode(status)
            child = self._children.pop(pid)
            with suppress(KeyError):
                self._selector.unregister(child.control)
            child.control.close()
            if child.inspects and self._inspected is None:
                self._inspected = {"type": "inspected", "findings": []}
                self._tell()
            if self._verdict is None:
                self._verdict = {
                    "type": "refused",
                    "reason": f"importing the model's code {exit_in_words(self._ended[pid])}",
                }
                self._tell()

    def _end_orphans(self) -> None:
        for child in self._children.values():
            if child.owner is None or Path(f"/proc/{child.owner}").exists():
                continue
            child.orphan_since = child.orphan_since or time.monotonic()
            if time.monotonic() - child.orphan_since > ORPHAN_S:
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)

    def _end(self) -> None:
        for pid in self._children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os._exit(0)


def _preload(backend: str) -> None:
    """Import all that trainers need, once."""
    for name in preloaded(backend):
        importlib.import_module(name)

    gc.collect()
    gc.freeze()


def exit_in_words(code: int | None) -> str:
    """Return `was killed by SIGSEGV` or `exited with code 3`."""
    if code is None:
        return "ended without a trace"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"exited with code {code}"


def main() -> None:
    """Read the order from standard input and serve until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    order = Order(**json.loads(_read_order()))
    die_with_parent(order.owner)
    _Server(order).run()


def _read_order() -> bytes:
    """Read the order's length and the order, which may hold the data of the sweep."""
    with open(0, "rb", closefd=False) as pipe:
        size = int.from_bytes(pipe.read(8), "big")
        body = pipe.read(size)
    if not size or len(body) < size:
        sys.exit(0)
    return body


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, however that happens and whatever this process does."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main()
