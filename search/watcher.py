"""The live view beside a driver that runs in this process: a thread that reads the journal."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from ..spaces.errors import BadInput
from ..trackers.history import History
from ..trackers.journal import Reader
from ..trackers.status import trouble
from .live import view

LOOK_S = 0.5


@contextmanager
def watching(folder: Path, console: Console, *, shown: bool) -> Generator[None]:
    """Show the sweep in `folder` while the block runs."""
    if not shown:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(folder, console, over), name="live-view", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(5.0)


def _watch(folder: Path, console: Console, over: threading.Event) -> None:
    history = History()
    with view(console, waiting_for="starting: TensorFlow, Ray and your code") as shown:
        while True:
            last = over.wait(LOOK_S)
            try:
                with Reader(folder) as reader:
                    for entry in reader.after(history.seq):
                        history.apply(entry)
            except BadInput:  # the sweep has not begun
                pass
            else:
                shown.show(history, trouble(folder))
            if last:
                return
