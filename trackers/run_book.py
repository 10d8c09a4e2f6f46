"""The run book: which run is whose, also when an answer was lost, the memo was lost, or two were made for one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Set
from contextlib import suppress
from typing import final

from .runs import SWEEP, Found, Refused, Runs, Status, Unreachable, Vanished
from .tracker_db import TrackerDb

DOUBT_S = 15.0
"""So long after MLflow answers again, the run of a `create` whose answer was lost may still turn up."""

log = logging.getLogger("kerasweep.tracker")


@final
class RunBook:
    """The runs of one sweep at one destination, by trial; that of the sweep under `SWEEP`."""

    def __init__(self, db: TrackerDb, clock: Callable[[], float]) -> None:
        self._db = db
        self._clock = clock
        self._searches = [clock()]
        self._searched = False
        self._in_doubt = False
        self.ids = dict(db.runs)
        self.statuses: dict[int, Status] = {}
        self.gone: set[int] = set()
        """Trials whose run was deleted by hand; they are left alone."""
        self.doubtful = bool(self.ids)
        """Whether there may be runs that nobody knows of, or writes that took effect later than others after them."""

    @property
    def search_is_due(self) -> bool:
        """Whether MLflow is to be asked what runs there are."""
        return any(at <= self._clock() for at in self._searches)

    def distrust(self) -> None:
        """Look for all runs as at the first time: what was known may be of another store."""
        self._searched, self._searches = False, [self._clock()]
        self.statuses.clear()

    def search(
        self, mlflow: Runs, experiment_id: str, identity: str, stale: Callable[[Found], bool] = lambda _: False
    ) -> bool:
        """Adopt unknown runs, delete duplicates and stale ones; return whether runs were lost, and all is to be written.

        A run that is known and deleted was deleted by hand; one that is known and not there was lost, and so is
        everything where it is the sweep's own.
        """
        runs: dict[int, list[Found]] = {}
        there: set[str] = set()
        for one in mlflow.find(experiment_id, identity):
            if not one.deleted and stale(one):
                log.info("run %s shows what the journal does not have (any more): deleted", one.run_id)
                with suppress(Refused):
                    mlflow.delete(one.run_id)
                continue
            there.add(one.run_id)
            if not one.deleted:
                runs.setdefault(SWEEP if one.trial is None else one.trial, []).append(one)
        first, self._searched = not self._searched, True
        lost = first and self._forget(there, runs.keys())
        parents = [one.parent for same in runs.values() for one in same]
        for number, same in runs.items():
            self._adopt(mlflow, number, same, parents)
        if first:
            self.gone |= self.ids.keys() - runs.keys()
        now = self._clock()
        self._searches = [at for at in self._searches if at > now]
        if self._in_doubt:  # a request that hung may take effect when MLflow wakes up, a moment after this one
            self._searches.append(now + DOUBT_S)
            self._in_doubt = False
        return lost

    def _forget(self, there: Set[str], live: Set[int]) -> bool:
        """Forget what is not there any more; return whether there was any such thing."""
        missing = {number for number, run in self.ids.items() if run not in there}
        if SWEEP in missing or (SWEEP in self.ids and SWEEP not in live):
            missing = set(self.ids)
            self.gone.clear()
        for number in missing:
            del self.ids[number]
            self.gone.discard(number)
        if missing:
            self._db.forget(missing)
        return bool(missing)

    def _adopt(self, mlflow: Runs, number: int, same: list[Found], parents: list[str | None]) -> None:
        """Keep the run that we know, else the one that others call their parent, else the oldest."""
        known = self.ids.get(number)
        keep = min(same, key=lambda one: (one.run_id != known, -parents.count(one.run_id), one.started_ms, one.run_id))
        for one in same:
            if one is not keep:
                log.info("run %s is a duplicate of %s: deleted", one.run_id, keep.run_id)
                with suppress(Refused):
                    mlflow.delete(one.run_id)
        if keep.run_id != known:
            self._know(number, keep.run_id)
        self.statuses[number] = keep.status

    def create(self, number: int, create: Callable[[], str]) -> str:
        """Return the id of the run that `create` makes; where its answer is lost, it is searched for before the next.

        Raises:
            Unreachable: also where the run is refused, since then it is the experiment that is.
            Vanished: the experiment is not there.
        """
        try:
            run = create()
        except Vanished:
            raise
        except Refused as error:
            raise Unreachable(str(error)) from None
        except Unreachable:
            self.doubtful = self._in_doubt = True
            self._searches = [self._clock()]
            raise
        self._know(number, run)
        self.statuses[number] = Status(name="RUNNING")
        return run

    def _know(self, number: int, run: str) -> None:
        self.ids[number] = run
        self._db.set_run(number, run)
