"""Show a sweep again that runs in the background, or was started elsewhere; nothing but its journal is needed."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from ..trackers.history import History
from ..trackers.journal import Lock, Reader
from ..trackers.status import delivery_status
from .launcher import DELIVERY_S, POLL_S, conclude
from .live import view
from .signals import Interrupt


def attach(folder: Path, console: Console) -> int:
    """Show the sweep until it ends, and return the exit code of its command; Ctrl-C leaves it as it is."""
    name = folder.name
    if Lock.holder(folder / "journal.lock") is None:
        console.print(f"{name} is not running any more", highlight=False)
    try:
        history = _follow(folder, console)
        at_work = delivery_status(folder).tracker is not None
        return conclude(folder, history, console, patience_s=DELIVERY_S if at_work else 0.0)
    except Interrupt as interrupt:
        if Lock.holder(folder / "journal.lock") is not None:
            runs_on = f"{name} runs on: `kerasweep attach {name}` shows it, `kerasweep stop {name}` stops it"
            console.print(runs_on, highlight=False, soft_wrap=True)
        return 0 if interrupt.code == 130 else interrupt.code


def _follow(folder: Path, console: Console) -> History:
    """Show the sweep for as long as it has a driver; return its history."""
    history = History()
    with Reader(folder) as reader, view(console, waiting_for=f"{folder.name} is starting") as shown:
        while True:
            running = Lock.holder(folder / "journal.lock") is not None  # before reading, so that its last word is read
            for entry in reader.after(history.seq):
                history.apply(entry)
            shown.show(history)
            if not running:
                return history
            time.sleep(POLL_S)
