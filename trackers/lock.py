"""The kernel lock that makes a process the only one of its kind on a sweep."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path
from typing import final

from ..spaces.errors import BadInput, SweepHeld


@final
class Lock:
    """The kernel lock that makes a process the sweep's one driver.

    Survives: a kill -9 frees it at once; SIGSTOP does not.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self, patience_s: float = 1.0) -> None:
        """Take the lock.

        Raises:
            SweepHeld: another process has it.
            BadInput: the folder cannot be written.
        """
        fd = self._opened()
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # a reader's probe holds it for a moment; a driver names itself
                holder = os.pread(fd, 200, 0).decode(errors="replace").strip()
                if time.monotonic() > deadline or _alive(holder):
                    os.close(fd)
                    who = holder or "another process"
                    raise SweepHeld(f"{self._path.parent.name} is held by {who}; stop that driver first") from None
                time.sleep(0.05)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"pid {os.getpid()} on {socket.gethostname()} since {time.strftime('%F %T')}".encode(), 0)
        self._fd = fd

    def _opened(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            folder = self._path.parent
            mend = "make it writable, or copy it to where you can write"
            raise BadInput(f"cannot write in {folder}: {error.strerror}; {mend}") from error

    def release(self) -> None:
        """Give the lock back."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    @staticmethod
    def holder(path: Path) -> str | None:
        """Return who holds the lock (its own words), or None where nobody does.

        Raises:
            BadInput: it may not be read.
        """
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadInput(f"cannot read {path}: {error.strerror}; its owner can") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(fd, 200, 0).decode(errors="replace").strip() or "another process"
        finally:
            os.close(fd)
        return None


def _alive(holder: str) -> bool:
    words = holder.split()
    if len(words) < 4 or words[3] != socket.gethostname():
        return False
    return Path(f"/proc/{words[1]}").exists()
