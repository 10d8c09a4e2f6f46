"""The tracker process: `python -P -m kerasweep.trackers.process SWEEP_FOLDER [--once]` delivers one sweep to MLflow.

It tails the journal until the sweep has ended and everything has arrived. Exit codes: 0 all delivered; 2 there is no
sweep; 3 MLflow does not have all of it, a later call goes on; 143 told to stop before all was delivered.

Survives: a kill -9 at any point; the next tracker goes on where this one was.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, final

from ..spaces.errors import BadInput, KerasweepError, SweepHeld, one_line
from .backlog import entries
from .delivery import Delivery, log
from .events import SweepResumed, SweepStarted
from .journal import Lock, Reader
from .mlflow_runs import MlflowRuns
from .redaction import redact
from .runs import Runs, Unreachable
from .tracker_db import Destination, TrackerDb
from .watch import GRACE_S, POLL_S, Watch

WRITE_S = 1.0
"""A run is written to at most so often."""
STALE_END_S = 10.0
"""A driver that holds a sweep which had ended before may take so long to resume it."""
BACKOFF_S = (0.5, 10.0)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the process is asked; `uri` and `experiment` take the place of the sweep's own destination."""

    folder: Path
    once: bool = False
    again: bool = False
    patience_s: float = 60.0
    uri: str | None = None
    experiment: str | None = None

    @classmethod
    def parse(cls, argv: Sequence[str] | None) -> Options:
        """Return the options of a command line."""
        parser = argparse.ArgumentParser(prog="kerasweep.trackers.process", description=__doc__)
        parser.add_argument("folder", type=Path, help="the sweep's folder")
        parser.add_argument("--once", action="store_true", help="deliver what is journaled by now, and end")
        parser.add_argument("--again", action="store_true", help="deliver from the first event")
        parser.add_argument("--patience", type=float, default=60.0, metavar="SECONDS", help="without MLflow at the end")
        parser.add_argument("--uri", help="deliver to this tracking URI")
        parser.add_argument("--experiment", help="deliver to this experiment")
        given = parser.parse_args(argv)
        return cls(
            folder=given.folder,
            once=given.once,
            again=given.again,
            patience_s=given.patience,
            uri=given.uri,
            experiment=given.experiment,
        )


@final
class Tracker:
    """The process's loop."""

    def __init__(self, options: Options, connect: Callable[[str], Runs] = MlflowRuns) -> None:
        self._options = options
        self._connect = connect
        self._stop = threading.Event()
        self._watch = Watch(options.folder, 0.0 if options.once else GRACE_S)
        self._started = self._waiting_since = time.monotonic()
        self._next_at = 0.0
        self._backoff_s = BACKOFF_S[0]
        self._trouble: str | None = None
        self._stale_end = False

    def stop(self) -> None:
        """Finish the run that is being written and end."""
        self._stop.set()

    def run(self) -> int:
        """Work until all is done; return the exit code.

        Raises:
            BadInput: there is no sweep.
        """
        lock = Lock(self._options.folder / "tracker.lock")
        try:
            reader = self._reader() if self._acquire(lock) else None
            if reader is None:
                return 143
            with reader:
                return self._track(reader)
        finally:
            self._watch.close()
            lock.release()

    def _acquire(self, lock: Lock) -> bool:
        said = False
        while not self._stop.is_set():
            try:
                lock.acquire(0.0)
            except SweepHeld:
                if not said:
                    log.info("waiting for another tracker of this sweep to end")
                said = True
                self._stop.wait(POLL_S)
                continue
            if not self._options.once:
                self._watch.start()
            return True
        return False

    def _reader(self) -> Reader | None:
        """Return the journal once it is there; None where told to stop before."""
        while not self._stop.is_set():
            try:
                return Reader(self._options.folder)
            except BadInput:
                if self._options.once or self._watch.driver_gone:
                    raise
            self._stop.wait(POLL_S)
        return None

    def _track(self, reader: Reader) -> int:
        destination = self._destination(reader)
        while destination is None and not self._stop.is_set() and not self._watch.driver_gone:
            self._stop.wait(POLL_S)
            destination = self._destination(reader)
        if destination is None:
            return 0
        uri = destination.uri
        with TrackerDb(self._options.folder, destination) as db:
            if self._options.again:
                db.forget()
            delivery = Delivery(reader, db, lambda: self._connect(uri), destination.experiment)
            delivery.backlog.read()
            self._stale_end = delivery.backlog.history.ended is not None
            while (code := self._round(delivery, db, destination)) is None:
                self._stop.wait(POLL_S)
            return code

    def _destination(self, reader: Reader) -> Destination | None:
        spec = None
        for entry in entries(reader):
            if isinstance(entry.event, (SweepStarted, SweepResumed)):
                spec = entry.event.spec
        return None if spec is None else self._aim(spec)

    def _aim(self, spec: Mapping[str, Any]) -> Destination:
        track, options = spec["track"], self._options
        return Destination(uri=options.uri or track["uri"], experiment=options.experiment or track["experiment"])

    def _round(self, delivery: Delivery, db: TrackerDb, destination: Destination) -> int | None:
        """Read, deliver what is due, and return the exit code where this was the last time."""
        gone = self._driver_gone()
        delivery.backlog.read(all_of_it=gone and not self._options.once)  # what is still open is to be killed at once
        caught_up = delivery.backlog.caught_up
        ended = caught_up and delivery.backlog.history.ended is not None
        self._watch.patient = ended
        self._stale_end &= ended or not caught_up
        if delivery.over != (caught_up and (gone or ended)):
            delivery.over = not delivery.over
            self._next_at, self._waiting_since = 0.0, time.monotonic()
        if delivery.pending and time.monotonic() >= self._next_at:
            self._deliver(delivery, db, destination, gone)
        if not delivery.pending and caught_up and self._is_finished(delivery, destination, gone, ended):
            return 0
        if self._stop.is_set():
            return 143 if delivery.pending else 0
        waited_s = time.monotonic() - self._waiting_since
        if delivery.pending and waited_s > self._options.patience_s and (delivery.over or self._options.once):
            log.warning("MLflow does not have all of the sweep; `kerasweep sync` delivers the rest")
            return 3
        return None

    def _driver_gone(self) -> bool:
        self._watch.look()
        return self._watch.driver_gone

    def _is_finished(self, delivery: Delivery, destination: Destination, gone: bool, ended: bool) -> bool:
        """Say whether nothing more will come, now that all there is has been delivered."""
        if self._options.once or gone:
            return True
        if ended:
            return not self._stale_end or time.monotonic() - self._started > STALE_END_S
        return self._aim(delivery.backlog.history.spec) != destination

    def _deliver(self, delivery: Delivery, db: TrackerDb, destination: Destination, gone: bool) -> None:
        try:
            delivery.deliver(lambda: not self._stop.is_set() and self._driver_gone() == gone)
        except Unreachable as error:
            text = one_line(redact(str(error)))
            if text != self._trouble:
                log.warning("MLflow at %s does not take it now: %s", redact(destination.uri), text)
                db.trouble(text)
            self._trouble = text
            self._next_at = time.monotonic() + self._backoff_s * random.uniform(0.75, 1.25)
            self._backoff_s = min(self._backoff_s * 2, BACKOFF_S[1])
            return
        if self._trouble:
            log.info("MLflow takes it again")
        if self._trouble != "":  # at first nothing is known of what an earlier tracker met
            db.recover()
        self._trouble, self._backoff_s = "", BACKOFF_S[0]
        self._next_at = self._waiting_since = time.monotonic()
        self._next_at += WRITE_S


@final
class Formatter(logging.Formatter):
    """A formatter that leaves no secret in a line."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tracker process and return its exit code."""
    options = Options.parse(argv)
    os.umask(0o077)
    os.nice(5)  # training comes first, but on a busy machine MLflow still has to be imported in seconds
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    log.setLevel(logging.INFO)
    tracker = Tracker(options)

    def stop(_number: int, _frame: FrameType | None) -> None:
        tracker.stop()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        return tracker.run()
    except KerasweepError as error:
        log.error("%s", error)
        return error.exit_code
    except Exception:
        log.exception("the tracker failed; nothing is lost by that: `kerasweep sync` delivers the rest")
        return 3


if __name__ == "__main__":
    sys.exit(main())
