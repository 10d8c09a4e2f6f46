"""The run book: which run is whose, also when an answer was lost, the memo was lost, or two were made for one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import final

from .runs import SWEEP, Found, Refused, Runs, Status, Unreachable
from .tracker_db import TrackerDb

DOUBT_S = 15.0
"""So long after a `create` whose answer was lost, its run may still turn up."""

log = logging.getLogger("kerasweep.tracker")


@final
class RunBook:
    """The runs of one sweep at one destination, by trial; that of the sweep under `SWEEP`."""

    def __init__(self, db: TrackerDb, clock: Callable[[], float]) -> None:
        self._db = db
        self._clock = clock
        self._searches = [clock()]
        self._searched = False
        self.ids = dict(db.runs)
        self.statuses: dict[int, Status] = {}
        self.gone: set[int] = set()
        """Trials whose run was deleted by hand; they are left alone."""
        self.doubtful = bool(self.ids)
        """Whether there may be runs that nobody knows of."""

    @property
    def search_is_due(self) -> bool:
        """Whether MLflow is to be asked what runs there are."""
        return any(at <= self._clock() for at in self._searches)

    def search(
        self, mlflow: Runs, experiment_id: str, identity: str, stale: Callable[[Found], bool] = lambda _: False
    ) -> bool:
        """Adopt unknown runs, delete duplicates and stale ones; return whether the sweep's own run was lost with all."""
        runs: dict[int, list[Found]] = {}
        for one in mlflow.find(experiment_id, identity):
            if stale(one):
                log.info("run %s shows what came after the copy that the sweep goes on from: deleted", one.run_id)
                with suppress(Refused):
                    mlflow.delete(one.run_id)
                continue
            runs.setdefault(SWEEP if one.trial is None else one.trial, []).append(one)
        first, self._searched = not self._searched, True
        lost = first and SWEEP in self.ids and SWEEP not in runs
        if lost:
            self._db.forget()
            self.ids = {}
        parents = [one.parent for same in runs.values() for one in same]
        for number, same in runs.items():
            self._adopt(mlflow, number, same, parents)
        if first:
            self.gone |= self.ids.keys() - runs.keys()
        self._searches = [at for at in self._searches if at > self._clock()]
        return lost

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
        self.statuses.setdefault(number, keep.status)

    def create(self, number: int, create: Callable[[], str]) -> str:
        """Return the id of the run that `create` makes; where its answer is lost, it is searched for before the next.

        Raises:
            Unreachable: also where the run is refused, since then it is the experiment that is.
        """
        try:
            run = create()
        except Refused as error:
            raise Unreachable(str(error)) from None
        except Unreachable:
            self.doubtful = True
            self._searches = [self._clock(), self._clock() + DOUBT_S]
            raise
        self._know(number, run)
        self.statuses[number] = Status(name="RUNNING")
        return run

    def _know(self, number: int, run: str) -> None:
        self.ids[number] = run
        self._db.set_run(number, run)
