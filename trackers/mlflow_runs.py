"""The MLflow end: `Runs` by a few calls on `MlflowClient`, with explicit run ids.

MLflow's own retries are off (a repeated `create_run` makes a second run); who calls repeats, and knows what is safe.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar, final

from .filesystem import filesystem_of
from .mlflow_errors import timed_out, translated
from .runs import (
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
    Status,
    Tag,
    Unreachable,
    Vanished,
)

_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
}
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
_TIMEOUT_S = (10, 30)
"""An answer is waited for so long, and that of a server known to be slow so long, unless the user says how long."""

_LOCAL_FILESYSTEMS = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "f2fs"}
"""Where SQLite's WAL is known to work."""

_T = TypeVar("_T")


def prepare_environment() -> None:
    """Set what MLflow reads when it is imported."""
    os.environ.update(_ENVIRONMENT)
    os.environ.setdefault(_TIMEOUT, str(_TIMEOUT_S[0]))


@final
class MlflowRuns:
    """`Runs` on a tracking URI."""

    def __init__(self, uri: str) -> None:
        """Import MLflow and open the store; a database is created where there is none.

        Raises:
            Unreachable: it cannot be opened now.
        """
        prepare_environment()
        self._uri = uri
        self._database = _sqlite_path(uri)
        given = int(os.environ[_TIMEOUT])
        self._limits_s = _TIMEOUT_S if given in _TIMEOUT_S else (given, given)
        self._files = 0
        self._inode: tuple[int, int] | None = None
        self._held: int | None = None
        """The open file: while it is held no other one gets its inode."""
        self._client: Any = None
        self._called(lambda: None)

    def _called(self, call: Callable[[], _T]) -> _T:
        """Return what `call` returns, its errors in our words."""
        began = time.monotonic()
        try:
            if self._client is None:
                self._open()
            result = call()
        except Exception as error:
            self._check_database()
            if timed_out(error):
                self._wait_for(self._limits_s[1])
            raise translated(error) from None  # the original would show an address with its password
        self._check_database()
        if time.monotonic() - began < self._limits_s[0] / 2:
            self._wait_for(self._limits_s[0])
        return result

    def _open(self) -> None:
        import mlflow

        logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # it would print what is raised here, unredacted
        uri = self._uri
        if self._database is not None:  # MLflow opens a database once by URI, also when the file is another one
            uri = f"sqlite:///{'/.' * self._files}{self._database}"
            _keep_no_connections()
        with _first_opening(self._database):
            if self._database is not None and self._held is None:
                self._held = os.open(self._database, os.O_RDONLY)
                self._inode = _inode(self._database)
            self._client = mlflow.MlflowClient(tracking_uri=uri)

    def _wait_for(self, seconds: int) -> None:
        os.environ[_TIMEOUT] = str(seconds)  # MLflow reads it at each request

    def _check_database(self) -> None:
        """Tell where the file is another one by now: what is written would go to one that has no name any more.

        Raises:
            Vanished: it is; the next call opens the new one.
        """
        if self._database is None or self._inode is None or _inode(self._database) == self._inode:
            return
        if self._held is not None:
            os.close(self._held)
        self._files += 1
        self._inode = self._held = self._client = None
        raise Vanished(f"{self._database} was deleted or replaced")

    def experiment(self, name: str) -> str:
        """Return the id of the experiment, created where there is none."""
        found = self._called(lambda: self._client.get_experiment_by_name(name))
        if found is None:
            try:
                return _id(self._called(lambda: self._create_experiment(name)))
            except Refused:  # another one was quicker
                found = self._called(lambda: self._client.get_experiment_by_name(name))
        if found is None or found.lifecycle_stage != "active":
            raise Unreachable(
                f"the experiment {name!r} was deleted in MLflow: restore it there, or track to another one"
            )
        return _id(found.experiment_id)

    def _create_experiment(self, name: str) -> Any:
        tags = {"mlflow.experimentKind": "custom_model_development"}
        if self._database is None:
            return self._client.create_experiment(name, tags=tags)
        location = (self._database.parent / "mlartifacts").as_uri()
        return self._client.create_experiment(name, artifact_location=location, tags=tags)

    def find(self, experiment_id: str, sweep_id: str) -> list[Found]:
        """Return all runs of the sweep, deleted ones too as long as MLflow has them."""
        from mlflow.entities import ViewType

        found: list[Found] = []
        token: str | None = None
        while True:
            page: Any = self._called(
                lambda token=token: self._client.search_runs(
                    [experiment_id],
                    f"tags.`{SWEEP_ID}` = '{sweep_id}'",
                    run_view_type=ViewType.ALL,
                    max_results=1000,
                    page_token=token,
                )
            )
            found.extend(_found(run) for run in page)
            token = page.token
            if not token:
                return found

    def create(self, experiment_id: str, name: str, started_ms: int, tags: Mapping[str, str]) -> str:
        """Create a run, running, and return its id."""
        run: Any = self._called(
            lambda: self._client.create_run(experiment_id, start_time=started_ms, tags=dict(tags), run_name=name)
        )
        return _id(run.info.run_id)

    def write(self, run_id: str, items: Sequence[Item]) -> None:
        """Write items in as few requests as MLflow's limits allow."""
        from mlflow import entities

        params = [entities.Param(one.key, one.value) for one in items if isinstance(one, Param)]
        tags = [entities.RunTag(one.key, one.value) for one in items if isinstance(one, Tag)]
        metrics = [entities.Metric(one.key, one.value, one.at_ms, one.step) for one in items if isinstance(one, Point)]
        self._called(lambda: self._client.log_batch(run_id, metrics=metrics, params=params, tags=tags))

    def set_status(self, run_id: str, status: Status) -> None:
        """Set a run's status; an end that is there already can be moved, not taken away."""
        name, ended_ms = status.name, status.ended_ms
        if ended_ms is None:
            self._called(lambda: self._client.update_run(run_id, status=name))
        else:
            self._called(lambda: self._client.set_terminated(run_id, status=name, end_time=ended_ms))

    def delete(self, run_id: str) -> None:
        """Delete a run."""
        self._called(lambda: self._client.delete_run(run_id))

    def set_view(self, experiment_id: str, key: str, value: str) -> None:
        """Write a tag of the experiment."""
        self._called(lambda: self._client.set_experiment_tag(experiment_id, key, value))


def _found(run: Any) -> Found:
    tags: Mapping[str, str] = run.data.tags
    key = tags.get(TRIAL_KEY)
    return Found(
        run_id=str(run.info.run_id),
        trial=None if key is None else int(key.rpartition("/")[2]),
        parent=tags.get(PARENT),
        started_ms=int(run.info.start_time or 0),
        status=Status(name=str(run.info.status), ended_ms=run.info.end_time),
        deleted=run.info.lifecycle_stage != "active",
        restored=int(tags.get(RESTORED, 0)),
        upto=tags.get(UPTO, ""),
    )


def _id(given: object) -> str:
    """Return an id that MLflow gave; it takes an empty answer, which is none of a server's, for an empty id."""
    if not given:
        raise Unreachable("its answer was cut short or is no answer of MLflow's")
    return str(given)


# A database of our own ---------------------------------------------------------------------------------------------


def _sqlite_path(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")).resolve() if uri.startswith("sqlite:///") else None


def _inode(database: Path | None) -> tuple[int, int] | None:
    try:
        found = None if database is None else database.stat()
    except FileNotFoundError:
        found = None
    return None if found is None else (found.st_dev, found.st_ino)


def _keep_no_connections() -> None:
    """Let MLflow open the file for each request: a kept connection goes on with a file that was deleted or read-only."""
    for name in ("POOL_SIZE", "MAX_OVERFLOW", "POOL_RECYCLE"):
        os.environ.pop(f"MLFLOW_SQLALCHEMYSTORE_{name}", None)
    os.environ["MLFLOW_SQLALCHEMYSTORE_POOLCLASS"] = "NullPool"


@contextmanager
def _first_opening(database: Path | None) -> Generator[None]:
    """Hold off others while MLflow creates its tables, which two at once would damage; make the file private, WAL."""
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(database.with_name(database.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if not database.exists():
            _put_aside(database)
            os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
            if filesystem_of(database.parent) in _LOCAL_FILESYSTEMS:
                with closing(sqlite3.connect(database)) as db:
                    db.execute("PRAGMA journal_mode = WAL")
        yield
    finally:
        os.close(fd)


def _put_aside(database: Path) -> None:
    """Rename what is left of a database that was deleted: SQLite would take it for part of the new one."""
    for suffix in ("-wal", "-shm", "-journal"):
        left = database.with_name(database.name + suffix)
        if left.exists():
            left.replace(left.with_name(left.name + ".left"))
