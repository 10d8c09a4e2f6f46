"""MLflow's server application behind a door of our own: for this user's browser, and for looking at experiments.

    mlflow server --app-name kerasweep      (an entry point of the group `mlflow.app`)

MLflow's server knows no users: any account of the machine could write to it, and its assistant runs a shell for
whoever connects from the machine itself, with no setting against it. So connections of other users are refused (the
kernel knows whose end a local connection has), requests that a page of another origin makes are, and what serves
other purposes than experiments is not there.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, final

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CLOSED = ("assistant", "gateway", "jobs", "mcp", "mcp-servers", "webhooks", "scorers", "prompt-optimization")
"""A request with one of these among the parts of its path is for something else than experiments."""
READING = ("GET", "HEAD", "OPTIONS")
CONNECTIONS = Path("/proc/net/tcp")


@final
class Door:
    """Lets through to `application` who may come in; imports MLflow's with the first message, in the server's process."""

    def __init__(self, application: Application | None = None, *, connections: Path = CONNECTIONS) -> None:
        self._application = application
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on, or refuse it."""
        why = "" if scope["type"] == "lifespan" else self._objection(scope)
        if why:
            await _refuse(scope, why, send)
            return
        if self._application is None:
            from mlflow.server.fastapi_app import app as application

            self._application = application
        await self._application(scope, receive, send)

    def _objection(self, scope: Scope) -> str:
        owner = owner_of(scope.get("client"), self._connections)
        if owner not in (os.getuid(), 0):
            return "this server is another user's"
        route = (
            str(scope["path"]).lower().partition("/mlflow-artifacts/")[0]
        )  # a folder of artifacts is called anything
        if any(part in CLOSED for part in route.split("/")):
            return "this server is for experiments only"
        origin = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), None)
        if scope.get("method") not in READING and origin is not None and origin not in _own_origins(scope):
            return "this request comes from a page of another origin"
        return ""


def owner_of(client: tuple[str, int] | None, connections: Path = CONNECTIONS) -> int | None:
    """Return the user at the other end of a local connection; None where the kernel does not know of one."""
    if client is None:
        return None
    try:
        number = int.from_bytes(socket.inet_aton(client[0]), sys.byteorder)
        table = connections.read_text().splitlines()[1:]
    except (OSError, ValueError):
        return None
    wanted = f"{number:08X}:{client[1]:04X}"
    for line in table:
        _, local, _, _, _, _, _, user, *_ = line.split()
        if local == wanted:
            return int(user)
    return None


def _own_origins(scope: Scope) -> tuple[str, ...]:
    server = scope.get("server")
    return () if server is None else tuple(f"http://{host}:{server[1]}" for host in ("127.0.0.1", "localhost"))


async def _refuse(scope: Scope, why: str, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": why.encode()})


app = Door()
