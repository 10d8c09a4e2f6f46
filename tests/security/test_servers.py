"""Rows 3 and 4: who comes through the door before MLflow's server, and which servers a sweep is not recorded at."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Iterator, MutableMapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from kerasweep.cluster.mlflow_app import CLOSED, Door, owner_of
from kerasweep.search.tracking_uri import check_version
from kerasweep.spaces.errors import BadInput

PORT = 4321


def connections(folder: Path, owner: int, client: tuple[str, int] = ("127.0.0.1", 50000)) -> Path:
    """Write the kernel's table with one connection, whose client's end is `owner`'s."""
    number = int.from_bytes(socket.inet_aton(client[0]), sys.byteorder)
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    line = f"   0: {number:08X}:{client[1]:04X} 0100007F:{PORT:04X} 01 00000000:00000000 00:00000000 00000000  {owner}        0 1\n"
    (folder / "tcp").write_text(head + line)
    return folder / "tcp"


def ask(door: Door, path: str = "/", method: str = "GET", origin: str | None = None, **scope: Any) -> int:
    """Return the status of one request; the application behind answers 200."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = [] if origin is None else [(b"origin", origin.encode())]
    plain = {"type": "http", "path": path, "method": method, "headers": headers}
    asyncio.run(door({**plain, "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", PORT), **scope}, receive, send))
    return int(sent[0].get("status", 0))


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer anything."""
    await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.fixture
def door(tmp_path: Path) -> Door:
    """Return a door with this user's connection at it."""
    return Door(application, connections=connections(tmp_path, os.getuid()))


@pytest.mark.parametrize("path", ["/", "/static-files/x.js", "/ajax-api/2.0/mlflow/runs/search", "/health"])
def test_this_user_comes_in(door: Door, path: str) -> None:
    """What the page of experiments needs is there."""
    assert ask(door, path) == 200
    assert ask(door, path, "POST", origin=f"http://127.0.0.1:{PORT}") == 200


def test_another_user_does_not(tmp_path: Path) -> None:
    """Nor one that the kernel does not know of, as after a forged X-Forwarded-For."""
    door = Door(application, connections=connections(tmp_path, os.getuid() + 1))
    assert ask(door) == 403
    door = Door(application, connections=connections(tmp_path, os.getuid()))
    assert ask(door, client=("10.0.0.1", 0)) == 403
    assert ask(door, client=None) == 403
    assert ask(Door(application, connections=tmp_path / "gone")) == 403


@pytest.mark.parametrize("word", CLOSED)
def test_what_is_not_for_experiments_is_not_there(door: Door, word: str) -> None:
    """The assistant with its shell, jobs, the gateway; a folder of artifacts may be called so."""
    assert ask(door, f"/ajax-api/3.0/mlflow/{word}/config") == 403
    assert ask(door, f"/AJAX-API/3.0/mlflow/{word.upper()}") == 403
    assert ask(door, f"/api/2.0/mlflow-artifacts/artifacts/1/{word}/x") == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.com",
        f"https://127.0.0.1:{PORT}",
        "http://localhost:1234",
        "null",
        f"http://localhost:{PORT}.evil.com",
        "",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_page_of_another_origin_cannot_write(door: Door, origin: str, method: str) -> None:
    """Not even one of another port of this machine, which MLflow itself lets in."""
    assert ask(door, "/ajax-api/2.0/mlflow/runs/create", method, origin=origin) == 403


def test_a_websocket_of_a_stranger_is_closed(tmp_path: Path) -> None:
    """The same door for every kind of connection."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    door = Door(application, connections=connections(tmp_path, os.getuid() + 1))
    scope = {"type": "websocket", "path": "/", "headers": [], "client": ("127.0.0.1", 50000)}
    asyncio.run(door(scope, lambda: None, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_kernel_says_whose_a_real_connection_is() -> None:
    """A connection of this process is this user's."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname()) as client:
            assert owner_of(client.getsockname()) == os.getuid()
        assert owner_of(("127.0.0.1", 1)) is None


# Servers elsewhere -----------------------------------------------------------------------------------------------------


class Answering(BaseHTTPRequestHandler):
    """Answers with what the test has set."""

    said: ClassVar[bytes] = b""
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(self.status)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(self.said if self.path == "/base/version" else b"0.1")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """Return the address of a server that says which version it is."""
    with HTTPServer(("127.0.0.1", 0), Answering) as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{one.server_address[1]}/base"
        one.shutdown()
        thread.join()


@pytest.mark.parametrize("said", [b"2.22.1", b"3.9.0", b"3.0", b"1.30.0\x1b[31m"])
def test_an_old_server_is_refused(server: str, said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, with the version to upgrade to."""
    monkeypatch.setattr(Answering, "said", said)
    with pytest.raises(BadInput, match=r"is version [\d.]+.* upgrade it to 3\.10 or newer") as caught:
        check_version(server)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("status", "said"),
    [(200, b"3.10.0"), (200, b"3.17.2"), (200, b"10.0"), (200, b"<html>"), (404, b"1.0"), (302, b"")],
)
def test_a_new_server_and_one_that_does_not_say_are_let_pass(
    server: str, status: int, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy may answer something else; no redirect is followed."""
    monkeypatch.setattr(Answering, "said", said)
    monkeypatch.setattr(Answering, "status", status)
    check_version(server)
    check_version("http://127.0.0.1:1")
