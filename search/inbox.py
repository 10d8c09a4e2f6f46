"""Requests to a running driver from other processes: small JSON files in the sweep's folder, taken in order.

A request that carries `reply` is answered in a file of that name beside it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from ..spaces.errors import BadInput, Infrastructure, one_line

FOLDER = "inbox"
POLL_S = 0.02
_REPLY = re.compile(r"[0-9a-f]{16}")


def post(sweep: Path, request: dict[str, Any]) -> Path:
    """Leave a request for the sweep's driver; return its file.

    Survives: the file is there whole or not at all.
    """
    folder = sweep / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    name = f"{time.time_ns()}-{os.getpid()}"
    _write(folder / f"{name}.json", request)
    return folder / f"{name}.json"


def ask(sweep: Path, request: dict[str, Any], patience_s: float, alive: Callable[[], bool]) -> str | None:
    """Leave a request and return what the driver answers; None where it ended without having taken it.

    Raises:
        BadInput: the driver refuses it.
        Infrastructure: it does not answer in time, or ended before it could.
    """
    reply = secrets.token_hex(8)
    asked, answered = post(sweep, {**request, "reply": reply}), sweep / FOLDER / f"{reply}.answer"
    deadline = time.monotonic() + patience_s
    while True:
        gone = not alive()  # before the look, so that its last answer is read
        if answered.exists():
            given = json.loads(answered.read_text())
            answered.unlink()
            if given["refused"]:
                raise BadInput(given["text"])
            return str(given["text"])
        if gone or time.monotonic() > deadline:
            if not _withdrawn(asked):
                raise Infrastructure(
                    f"the driver of {sweep.name} ended, or hangs; `kerasweep show {sweep.name}` shows how it is"
                )
            if gone:
                return None
            raise Infrastructure(f"the driver of {sweep.name} has not answered in {patience_s:g} s; nothing is changed")
        time.sleep(POLL_S)


def answer(sweep: Path, request: dict[str, Any], do: Callable[[], str]) -> None:
    """Do what a request asks for, and leave what came of it where it wants to hear that."""
    try:
        text, refused = do(), False
    except BadInput as error:
        text, refused = one_line(str(error), 2000), True
    reply = str(request.get("reply", ""))
    if _REPLY.fullmatch(reply):
        _write(sweep / FOLDER / f"{reply}.answer", {"text": text, "refused": refused})


def discard(sweep: Path, before_ns: int) -> None:
    """Remove requests that were left before that time (nanoseconds since 1970): they were for a driver that has ended."""
    for path in (sweep / FOLDER).glob("*.json"):
        if int(path.name.partition("-")[0]) < before_ns:
            path.unlink(missing_ok=True)
    for path in (sweep / FOLDER).glob("*.answer"):
        if path.stat().st_mtime_ns < before_ns:  # nobody has waited for it
            path.unlink(missing_ok=True)


def take(sweep: Path) -> list[dict[str, Any]]:
    """Return the requests that are there, oldest first, and remove them; what does not read as one is dropped."""
    requests: list[dict[str, Any]] = []
    for path in sorted((sweep / FOLDER).glob("*.json")):
        try:
            request = json.loads(path.read_text())
        except (OSError, ValueError):
            request = None
        path.unlink(missing_ok=True)
        if isinstance(request, dict):
            requests.append(cast(dict[str, Any], request))
    return requests


def _write(path: Path, content: dict[str, Any]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(content))
    draft.replace(path)


def _withdrawn(request: Path) -> bool:
    """Take a request back; return False where somebody has taken it."""
    try:
        request.unlink()
    except FileNotFoundError:
        return False
    return True
