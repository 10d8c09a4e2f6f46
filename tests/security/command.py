"""The command line in this process, watched: what it printed, and what it did that a look at a file must not do."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any, final

from kerasweep.search import cli

ACTIONS = (
    *("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"),
    *("socket.connect", "socket.bind", "socket.sendto", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link"),
    *("os.symlink", "os.truncate", "os.chmod", "os.chown", "shutil.rmtree", "shutil.move", "pickle.find_class"),
    *("urllib.Request", "webbrowser.open", "ctypes.dlopen"),
)
_seen: list[tuple[str, tuple[Any, ...]]] | None = None
_installed = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended; `seconds` of processor time."""

    code: int
    out: str
    error: str
    seconds: float


def command(*arguments: str) -> Done:
    """Run `kerasweep` with these arguments in this process."""
    before, out, error = sys.argv, io.StringIO(), io.StringIO()
    sys.argv = ["kerasweep", *arguments]
    code, began = 0, time.process_time()
    try:
        with redirect_stdout(out), redirect_stderr(error):
            cli.main()
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else 1 if exit.code else 0
    finally:
        sys.argv = before
    return Done(code=code, out=out.getvalue(), error=error.getvalue(), seconds=time.process_time() - began)


@contextmanager
def watched(folder: str, forbidden: Sequence[str] = ACTIONS) -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
    """Collect what is done meanwhile: the forbidden actions, files written, code run that lies in `folder`.

    An audit hook stays for the life of its process; outside of this context it looks at nothing.
    """
    global _seen, _installed
    if not _installed:
        sys.addaudithook(_audit)
        _installed = True
    global _folder, _forbidden
    _folder, _forbidden, _seen = folder, frozenset(forbidden), []
    try:
        yield _seen
    finally:
        _seen = None


_folder = ""
_forbidden: frozenset[str] = frozenset()


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is None:
        return
    if event in _forbidden or (event == "open" and _is_writing(arguments)):
        _seen.append((event, tuple(str(one)[:200] for one in arguments)))
    elif event == "exec" and str(getattr(arguments[0], "co_filename", "")).startswith(_folder):
        _seen.append((event, (str(arguments[0]),)))


def _is_writing(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str):
        return any(char in mode for char in "wax+")
    return bool(isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
