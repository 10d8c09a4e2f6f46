"""A proxy on the loopback that does to MLflow's answers what networks and servers do to them."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, final

_POOL = b'{"error_code": "BAD_REQUEST", "message": "QueuePool limit of size 5 overflow 10 reached"}'
HTML = b"<html><body><h1>Bad Gateway</h1></body></html>"


@final
@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to a request. `forward`: it reaches MLflow, and only its answer suffers."""

    name: str
    forward: bool
    status: int = 0
    body: bytes = b""
    cut: int | None = None
    torn: bool = False
    reset: bool = False
    hangs: bool = False
    held: bool = False


FAULTS = (
    Fault(name="request lost", forward=False),
    Fault(name="answer lost", forward=True),
    Fault(name="request reset", forward=False, reset=True),
    Fault(name="answer reset", forward=True, reset=True),
    Fault(name="answer cut", forward=True, cut=20),
    Fault(name="answer torn", forward=True, torn=True),
    Fault(name="no body", forward=True, cut=0),
    Fault(name="500", forward=False, status=500, body=b'{"error_code": "INTERNAL_ERROR", "message": "oops"}'),
    Fault(name="500 after all", forward=True, status=500, body=HTML),
    Fault(name="502", forward=True, status=502, body=HTML),
    Fault(name="429", forward=False, status=429),
    Fault(name="400", forward=False, status=400, body=_POOL),
    Fault(name="effect after the next", forward=False, held=True, status=504),
)
"""One of each kind that is over at once. `held`: the request reaches MLflow, but only after the next one to its path."""
HANGING = (Fault(name="half open", forward=False, hangs=True), Fault(name="no answer", forward=True, hangs=True))
"""Those that the client has to give up."""


@final
@dataclass(kw_only=True)
class Proxy:
    """Forwards to `port`; `fault_for` is asked at each request (its path, and how often that came) what to do to it."""

    url: str
    fault_for: Callable[[str, int], Fault | None] = lambda _path, _time: None
    refuses: Callable[[bytes], Fault | None] = lambda _sent: None
    seen: Counter[str] = field(default_factory=Counter[str])
    met: Counter[str] = field(default_factory=Counter[str])
    held: dict[str, tuple[str, str, bytes]] = field(default_factory=dict[str, tuple[str, str, bytes]])
    closed: threading.Event = field(default_factory=threading.Event)


@contextmanager
def proxy(port: int, *, at: int = 0) -> Generator[Proxy]:
    """Run a proxy in front of the server on `port`; it listens `at` a port of its own choice unless told."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def handle_any(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0].removeprefix("/api/2.0/mlflow/")
            one.seen[path] += 1
            fault = one.fault_for(path, one.seen[path]) or one.refuses(sent)
            if fault is not None:
                one.met[path] += 1
            answer = _forward(port, self.command, self.path, sent) if fault is None or fault.forward else (0, b"")
            if fault is not None and fault.held:
                one.held[path] = (self.command, self.path, sent)
            elif path in one.held:
                _forward(port, *one.held.pop(path))
            if fault is None:
                self.answer(*answer)
            else:
                self.spoil(fault, *answer)

        do_GET = do_POST = do_PATCH = handle_any  # noqa: N815 - these are the names that are looked for

        def answer(self, status: int, body: bytes, length: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def spoil(self, fault: Fault, status: int, body: bytes) -> None:
            self.close_connection = True
            if fault.hangs:
                one.closed.wait()
            elif fault.status:
                self.answer(fault.status, fault.body)
            elif fault.torn:
                self.answer(status, body[: len(body) // 2], len(body) + 1)
            elif fault.cut is not None:
                self.answer(status, body[: min(fault.cut, max(len(body) - 1, 0))])
            elif fault.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_WR) if not fault.reset else self.connection.close()

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients that go away are what this is about."""

    server = Server(("127.0.0.1", at), Handler)
    one = Proxy(url=f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        one.closed.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _forward(port: int, method: str, path: str, sent: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, sent, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 502, HTML
    finally:
        connection.close()
