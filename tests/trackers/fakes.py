"""An MLflow in memory that can be down, lose an answer, or take its caller down with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import TypeVar

from kerasweep.trackers.runs import (
    PARENT,
    RESTORED,
    SWEEP_ID,
    TRIAL_KEY,
    UPTO,
    Found,
    Item,
    Param,
    Point,
    Refused,
    RunGone,
    Status,
    Tag,
    Unreachable,
    Vanished,
)

_T = TypeVar("_T")


class Killed(BaseException):
    """The tracker's process is no more."""


@dataclass(kw_only=True)
class FakeRun:
    """What MLflow would keep of a run."""

    name: str
    started_ms: int
    tags: dict[str, str]
    status: Status = field(default_factory=lambda: Status(name="RUNNING"))
    params: dict[str, str] = field(default_factory=dict[str, str])
    points: set[Point] = field(default_factory=set[Point])
    deleted: bool = False


class FakeRuns:
    """`Runs` in memory. `fault` is raised at request number `fault_at`, before its effect or after it."""

    def __init__(self) -> None:
        self.runs: dict[str, FakeRun] = {}
        self.views: dict[str, str] = {}
        self.requests = 0
        self.down = False
        self.fault_at = 0
        self.fault: BaseException = Unreachable("the answer was lost")
        self.after = False
        self.flaky: tuple[Random, float] | None = None
        """Draws for each request whether it fails, in such a share of them, and when."""
        self.poison: Callable[[Item], Exception | None] = lambda _item: None
        self._ids = count(1)

    def copy(self) -> FakeRuns:
        """Return one with the same runs."""
        other = FakeRuns()
        other.runs = {
            key: replace(run, tags=dict(run.tags), params=dict(run.params), points=set(run.points))
            for key, run in self.runs.items()
        }
        other.views = dict(self.views)
        other._ids = count(len(self.runs) + 1)
        return other

    def _request(self, effect: Callable[[], _T]) -> _T:
        self.requests += 1
        due, after = self.requests == self.fault_at, self.after
        if self.flaky is not None:
            draw, share = self.flaky
            due, after = draw.random() < share, draw.random() < 0.5
        if self.down:
            raise Unreachable("connection refused")
        if due and not after:
            raise self.fault
        result = effect()
        if due:
            raise self.fault
        return result

    @property
    def live(self) -> dict[str, FakeRun]:
        """The runs that are not deleted."""
        return {key: run for key, run in self.runs.items() if not run.deleted}

    def _run(self, run_id: str) -> FakeRun:
        if run_id not in self.runs:
            raise Vanished(run_id)
        if self.runs[run_id].deleted:
            raise RunGone(run_id)
        return self.runs[run_id]

    def experiment(self, name: str) -> str:
        """Return the id of the one experiment."""
        return self._request(lambda: f"id of {name}")

    def find(self, experiment_id: str, sweep_id: str) -> list[Found]:
        """Return all runs of the sweep, deleted ones too, the youngest first as MLflow does."""
        return self._request(
            lambda: [
                Found(
                    run_id=key,
                    trial=int(run.tags[TRIAL_KEY].rpartition("/")[2]) if TRIAL_KEY in run.tags else None,
                    parent=run.tags.get(PARENT),
                    started_ms=run.started_ms,
                    status=run.status,
                    deleted=run.deleted,
                    restored=int(run.tags.get(RESTORED, 0)),
                    upto=run.tags.get(UPTO, ""),
                )
                for key, run in reversed(self.runs.items())
                if run.tags[SWEEP_ID] == sweep_id
            ]
        )

    def create(self, experiment_id: str, name: str, started_ms: int, tags: Mapping[str, str]) -> str:
        """Create a run."""

        def effect() -> str:
            key = f"run{next(self._ids):03d}"
            self.runs[key] = FakeRun(name=name, started_ms=started_ms, tags=dict(tags))
            return key

        return self._request(effect)

    def write(self, run_id: str, items: Sequence[Item]) -> None:
        """Write all items, or none."""

        def effect() -> None:
            run = self._run(run_id)
            for item in items:
                if fault := self.poison(item):
                    raise fault
                if isinstance(item, Param) and run.params.get(item.key, item.value) != item.value:
                    raise Refused(f"{item.key} has another value")
            run.params |= {item.key: item.value for item in items if isinstance(item, Param)}
            run.tags |= {item.key: item.value for item in items if isinstance(item, Tag)}
            run.points |= {item for item in items if isinstance(item, Point)}

        self._request(effect)

    def set_status(self, run_id: str, status: Status) -> None:
        """Set the status; an end stays."""

        def effect() -> None:
            run = self._run(run_id)
            ended_ms = run.status.ended_ms if status.ended_ms is None else status.ended_ms
            run.status = Status(name=status.name, ended_ms=ended_ms)

        self._request(effect)

    def delete(self, run_id: str) -> None:
        """Delete a run."""

        def effect() -> None:
            self._run(run_id).deleted = True

        self._request(effect)

    def set_view(self, experiment_id: str, key: str, value: str) -> None:
        """Keep a view."""
        self._request(lambda: self.views.update({key: value}))
