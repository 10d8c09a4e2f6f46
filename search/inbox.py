"""Requests to a running driver from other processes: small JSON files in the sweep's folder, taken in order."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, cast

FOLDER = "inbox"


def post(sweep: Path, request: dict[str, Any]) -> None:
    """Leave a request for the sweep's driver.

    Survives: the file is there whole or not at all.
    """
    folder = sweep / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    name = f"{time.time_ns()}-{os.getpid()}"
    draft = folder / f"{name}.draft"
    draft.write_text(json.dumps(request))
    draft.replace(folder / f"{name}.json")


def discard(sweep: Path, before_ns: int) -> None:
    """Remove requests that were left before that time (nanoseconds since 1970): they were for a driver that has ended."""
    for path in (sweep / FOLDER).glob("*.json"):
        if int(path.name.partition("-")[0]) < before_ns:
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
