"""Messages between a slot and its trainer: JSON over a local socket that only this user's processes may open.

The kernel vouches for the peer's user (`SO_PEERCRED`), on both ends, so there is no secret to keep.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, final

from ..spaces.errors import Infrastructure

Message = Mapping[str, Any]


class LinkClosed(Exception):
    """The other end is gone."""


@final
class Link:
    """One end of a connection; `send` may be called from any thread, `receive` from one."""

    def __init__(self, sock: socket.socket) -> None:
        check_peer(sock)
        sock.setblocking(True)
        self._connection: Connection[bytes, bytes] = Connection(sock.detach())
        self._sending = threading.Lock()

    @classmethod
    def connect(cls, path: Path) -> Link:
        """Connect to the socket at `path`.

        Raises:
            OSError: nobody listens there.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(str(path))
        except OSError:
            sock.close()
            raise
        return cls(sock)

    def send(self, message: Message) -> None:
        """Send one message.

        Raises:
            LinkClosed: the other end is gone.
        """
        data = json.dumps(message, separators=(",", ":")).encode()
        try:
            with self._sending:
                self._connection.send_bytes(data)
        except OSError as error:
            raise LinkClosed(str(error)) from error

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """Return the next message, or None where none came in time.

        Raises:
            LinkClosed: the other end is gone.
        """
        try:
            if not self._connection.poll(timeout_s):
                return None
            return json.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise LinkClosed(str(error)) from error

    def fileno(self) -> int:
        """Return the descriptor, for `select`."""
        return self._connection.fileno()

    def close(self) -> None:
        """Close this end."""
        self._connection.close()


def listen(path: Path) -> socket.socket:
    """Return a listening socket at `path`, which must be in a folder that only its owner can enter."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    path.chmod(0o600)
    sock.listen(64)
    return sock


def check_peer(sock: socket.socket) -> int:
    """Return the process id of the other end.

    Raises:
        Infrastructure: the other end belongs to another user.
    """
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", credentials)
    if uid != os.getuid():
        raise Infrastructure(f"a process of another user (uid {uid}) is at the other end of a local socket; closed it")
    return int(pid)
