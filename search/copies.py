"""Copies of a sweep off the driver's disk, from which another machine can go on.

    STORAGE/NAME/journal-000000000123.db    the journal up to event 123; the newest two are kept
    STORAGE/NAME/sweep.json, sweep.yaml     the specification
    STORAGE/NAME/code.json                  the user's code as it was at the start, text by relative path
    STORAGE/NAME/claim.json                 whose the place is (see `claim`)

A journal is checked whole when it is read, so that half of one, where a place shows such, is passed over.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import final

from ..cluster.checkpoint_files import Files, files_at
from ..cluster.program import snapshot
from ..spaces.errors import KerasweepError, one_line
from ..trackers.redaction import redact
from .claim import Past, check_claim, claim, seq_of
from .place import join

EVERY_S = 60.0
"""A copy begins at most so often."""
KEPT = 2

logger = logging.getLogger(__name__)


def journal_name(seq: int) -> str:
    """Return the name of a copy that has all up to event `seq`."""
    return f"journal-{seq:012d}.db"


@final
class Copier:
    """Copies one sweep after its trials' ends, on a thread: whatever the storage does, the sweep goes on.

    Survives: a copy is there whole or not at all; a kill -9 loses what ended since the last one.
    """

    def __init__(
        self,
        folder: Path,
        storage: str,
        *,
        notice: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        open_files: Callable[[str], Files] = files_at,
    ) -> None:
        """Get ready to copy the sweep in `folder`; `notice` is told of trouble, on the thread that calls `look`."""
        self._folder = folder
        self._place = join(storage, folder.name)
        self._notice = notice
        self._clock = clock
        self._open_files = open_files
        self._thread: threading.Thread | None = None
        self._began_at = float("-inf")
        self._copied = -1
        self._trouble = self._told = ""
        self._code_is_there = False
        self.taken = ""
        """Why the place must not be written to: it is another sweep's, or another machine goes on with this one."""

    def look(self, ended: int) -> None:
        """Begin a copy where trials have ended since the last one, a minute ago or more; to be called often.

        Args:
            ended: How many trials have ended.
        """
        if self._trouble and self._trouble != self._told:
            self._told = self._trouble
            self._notice(f"storage: {self._trouble}; the sweep goes on, and its copy is tried again")
        busy = self._thread is not None and self._thread.is_alive()
        if self.taken:
            return
        if ended != self._copied and not busy and self._clock() - self._began_at >= EVERY_S:
            self._copied, self._began_at = ended, self._clock()
            self._start()

    def finish(self, patience_s: float) -> None:
        """Copy once more, now; what has not arrived by then is told."""
        deadline = time.monotonic() + patience_s
        if self._thread is not None:
            self._thread.join(patience_s)
        if self.taken:
            return
        if self._thread is None or not self._thread.is_alive():
            self._start()
            if self._thread is not None:
                self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread is not None and self._thread.is_alive():
            self._trouble = f"{redact(self._place)} did not take the last copy in {patience_s:g} s"
        if self._trouble:
            self._notice(f"storage: {self._trouble}; the sweep itself is safe in {self._folder}")

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="copy", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            files = self._open_files(self._place)
            with closing(files):
                self._copy(files)
            self._trouble = ""
        except KerasweepError as error:
            self.taken, self._trouble = str(error), ""
        except Exception as error:  # a storage has its own
            logger.exception("the copy to the storage failed")
            text = one_line(redact(str(error) or type(error).__name__), 200)
            self._trouble = f"{redact(self._place)} does not take a copy: {text}"

    def _copy(self, files: Files) -> None:
        draft = files.draft("journal.db")
        _back_up(self._folder / "journal.db", draft)
        past = Past.of(draft)
        held = check_claim(files, redact(self._place), past)
        if held is None or held.session != past.id(-1):
            claim(files, past)
        if not self._code_is_there:
            _put(files, "code.json", json.dumps(snapshot(self._folder / "code")))
            for name in ("sweep.yaml", "sweep.json"):
                if (self._folder / name).exists():
                    _put(files, name, (self._folder / name).read_text())
            self._code_is_there = True
        files.put(journal_name(past.seq), draft)
        for name in journals(files)[KEPT:]:
            files.remove(name)


def journals(files: Files) -> list[str]:
    """Return the names of the copies of a journal, newest first."""
    return sorted(filter(seq_of, files.names()), reverse=True)


def _put(files: Files, name: str, text: str) -> None:
    draft = files.draft(name)
    draft.write_text(text)
    files.put(name, draft)


def _back_up(journal: Path, target: Path) -> None:
    """Write what is journaled to `target`, one file without a log, while its driver goes on."""
    target.unlink(missing_ok=True)
    source = sqlite3.connect(f"{journal.resolve().as_uri()}?mode=ro", uri=True, timeout=10.0)
    with closing(source), closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
