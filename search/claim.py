"""Whose a place for copies is: two sweeps of one name, or one sweep on two machines, must not write to the same.

    STORAGE/NAME/claim.json    {"sweep": …, "session": …, "host": …, "at": …}    who writes there

A session is a driver's turn at a sweep, or its restoring from a copy; the journal has the event that began it. Whoever
has the claim's session in its own journal, and all that was copied since, goes on from there and may take the place
over; whoever has not would overwrite what is nowhere else.
"""

from __future__ import annotations

import json
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, final

from ..cluster.checkpoint_files import Files, files_at
from ..spaces.errors import BadInput, KerasweepError, SweepHeld, one_line
from ..trackers.events import SweepRestored, SweepResumed, SweepStarted
from ..trackers.redaction import redact

CLAIM = "claim.json"
BEGINNINGS = tuple(kind.__name__ for kind in (SweepStarted, SweepResumed, SweepRestored))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A journal in short: the events that began its sessions, by number and time, and the number of its last event."""

    sessions: Sequence[tuple[int, float]] = ()
    seq: int = 0

    def id(self, index: int) -> str:
        """Return what one session is known by; the first one's is the sweep's."""
        seq, at = self.sessions[index]
        return f"{seq}-{at!r}"

    def end_of(self, session: str) -> int | None:
        """Return the number of the last event of that session; None where it is none of this journal's."""
        ids = [self.id(index) for index in range(len(self.sessions))]
        if session not in ids:
            return None
        after = [seq for seq, _ in self.sessions[ids.index(session) + 1 :]]
        return after[0] - 1 if after else self.seq

    @classmethod
    def of(cls, journal: Path) -> Past:
        """Read it from a journal's file."""
        db = sqlite3.connect(f"{journal.resolve().as_uri()}?mode=ro", uri=True, timeout=10.0)
        query = f"SELECT seq, at FROM events WHERE kind IN ({', '.join('?' * len(BEGINNINGS))}) ORDER BY seq"  # noqa: S608
        with closing(db):
            sessions = [(int(seq), float(at)) for seq, at in db.execute(query, BEGINNINGS)]
            return cls(sessions=sessions, seq=int(db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who writes to a place: a session of a sweep, on a machine, since a time in seconds since 1970."""

    sweep: str
    session: str
    host: str
    at: float

    def __str__(self) -> str:
        return f"{one_line(self.host, 80)}, since {datetime.fromtimestamp(self.at):%Y-%m-%d %H:%M}"


def check_claim(files: Files, place: str, past: Past) -> Claim | None:
    """Return who wrote to the place last; None where nobody did.

    Args:
        files: What is there.
        place: What to call it.
        past: The journal whose copies are to go there; an empty one of a sweep that is about to begin.

    Raises:
        BadInput: what is there is another sweep's, or further than the journal.
        SweepHeld: another machine goes on with the sweep.
    """
    names = files.names()
    claim = _read(files) if CLAIM in names else None
    newest = max((seq_of(name) for name in names), default=0)
    if claim is None and not newest:
        return None
    if not past.sessions or (claim is not None and claim.sweep != past.id(0)):
        whose = "" if claim is None else f" ({claim})"
        raise BadInput(
            f"{place} holds copies of another sweep of this name{whose}; give this one another name or storage, or "
            "remove that folder"
        )
    end = past.seq if claim is None else past.end_of(claim.session)
    if end is None:
        raise SweepHeld(
            f"{place} has what another driver of this sweep did ({claim}) and the journal here lacks; leave the sweep to "
            f"that one, or, once it has stopped for good, go on from its copy with `kerasweep resume {place}`"
        )
    if newest > end:
        raise BadInput(
            f"the copy in {place} has {newest} events, the journal here only {end} of them, so it is not overwritten; "
            f"go on from it with `kerasweep resume {place}`"
        )
    return claim


def claim(files: Files, past: Past) -> None:
    """Take the place for the journal's last session.

    Survives: the old claim or this one stands.
    """
    own = Claim(sweep=past.id(0), session=past.id(-1), host=socket.gethostname(), at=time.time())
    draft = files.draft(CLAIM)
    draft.write_text(json.dumps(asdict(own)))
    files.put(CLAIM, draft)


def seq_of(name: str) -> int:
    """Return the number of the last event in a copy of a journal, by its name; 0 for any other file."""
    number = name.removeprefix("journal-").removesuffix(".db")
    return int(number) if name == f"journal-{number}.db" and number.isdecimal() else 0


def _read(files: Files) -> Claim:
    with files.open(CLAIM) as file:
        data: dict[str, Any] = json.loads(file.read())
    return Claim(sweep=str(data["sweep"]), session=str(data["session"]), host=str(data["host"]), at=float(data["at"]))


def _check_writable(place: str) -> None:
    """Refuse a folder that takes no files, or that cannot be made; a URL is first written to by the first copy."""
    if "://" in place:
        return
    try:
        with tempfile.TemporaryFile(dir=next(one for one in (Path(place), *Path(place).parents) if one.exists())):
            pass
    except OSError as error:
        raise BadInput(f"storage: cannot write in {place}: {error.strerror}; choose another folder or URL") from error


@final
class PlaceCheck:
    """Looks at a place on a thread, while a driver starts."""

    def __init__(self, place: str, past: Past, open_files: Callable[[str], Files] = files_at) -> None:
        """Begin to look at `place` for copies of the journal."""
        self._error: KerasweepError | None = None
        self._thread = threading.Thread(target=self._look, args=(place, past, open_files), name="place", daemon=True)
        self._thread.start()

    def wait(self, patience_s: float) -> None:
        """Wait for the answer; a place that gives none, or an error, is left to the first copy.

        Raises:
            KerasweepError: the place is another one's, or takes no files.
        """
        self._thread.join(patience_s)
        if self._error is not None:
            raise self._error

    def _look(self, place: str, past: Past, open_files: Callable[[str], Files]) -> None:
        try:
            with closing(open_files(place)) as files:
                if not past.sessions:  # one that has begun goes on, and is copied once that is possible
                    _check_writable(place)
                check_claim(files, redact(place), past)
        except KerasweepError as error:
            self._error = error
        except Exception:  # a storage has its own; the copier tells of it
            return
