"""Ray for the length of a sweep: started on this machine, loopback only, token on, quiet; or a cluster that runs."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, final

import psutil

from ..spaces.errors import Infrastructure, one_line
from .placement import Node
from .ray_token import ensure_token, require_token

DAEMONS = ("raylet", "gcs_server")
OBJECT_STORE_BYTES = 100_000_000
"""Only the program goes there, which Ray writes to the disk where it is larger; Ray would take a third of the memory."""
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "45",
    "RAY_preload_python_modules": "ray.tune,kerasweep.cluster.actor",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_THRESHOLD_S": "5",
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",
    "RAY_AIR_NEW_OUTPUT": "0",
}


class RayDied(BaseException):
    """Ray's own processes are gone; not an `Exception`, so that it passes through Tune, which would wait for ever."""


@contextmanager
def _replaced(owner: object, **names: Callable[..., Any]) -> Generator[None]:
    """Replace private functions of Ray for a while; one that a newer Ray no longer has stays away."""
    before = {name: getattr(owner, name) for name in names if hasattr(owner, name)}
    for name in before:
        setattr(owner, name, names[name])
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(owner, name, function)


@contextmanager
def small_and_on_loopback() -> Generator[None]:
    """Have Ray listen at 127.0.0.1 only, and start no daemons that a sweep does not need.

    Ray would put the machine's outer address in place of the loopback one. Its autoscaler, log monitor and dashboard
    server are three Python processes: 1.5 CPU-seconds of every start, for nothing.
    """
    from ray._private import node, services

    with (
        _replaced(services, resolve_ip_for_localhost=_same),
        _replaced(node.Node, start_monitor=_nothing, start_log_monitor=_nothing, start_api_server=_nothing),
    ):
        yield


def _nothing(*arguments: object, **named: object) -> None:
    del arguments, named


def _same(host: str) -> str:
    return host


@final
class RaySession:
    """Starts Ray on a thread, so that imports go on meanwhile; the thread stays, since Ray ends with it."""

    def __init__(self, folder: Path, *, slots: int, address: str | None = None) -> None:
        """Start at once.

        Args:
            folder: For Ray's files.
            slots: How many actors there will be, which decides whether workers are started for them.
            address: The cluster to join instead, of which this machine is a node.
        """
        few = (os.cpu_count() or 1) <= 2 * slots  # Ray starts a worker per cpu or none: on a large machine, none
        os.environ.update(ENVIRONMENT, RAY_prestart_worker_first_driver=str(int(few)))
        self._folder = folder
        self._address = address
        self._up = threading.Event()
        self._down = threading.Event()
        self._error: BaseException | None = None
        self._joined = False
        self._daemons: list[psutil.Process] = []
        self._thread = threading.Thread(target=self._hold, name="ray", daemon=True)
        self._thread.start()

    def _hold(self) -> None:
        try:
            self._start()
        except BaseException as error:
            self._error = error
        if self._down.is_set():
            self._shut_down()
        self._up.set()
        self._down.wait()

    def _start(self) -> None:
        import ray

        if ray.is_initialized():
            self._joined = True
            return
        if self._address is not None:
            from ray._private.authentication import authentication_token_setup as tokens

            logging.getLogger("ray").setLevel(logging.ERROR)
            ensure_token(os.environ, create=False)
            tokens.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)  # as Ray does for `auto` only
            with small_and_on_loopback():
                ray.init(address=self._address, log_to_driver=False, logging_level=logging.ERROR)
            return
        require_token()
        with small_and_on_loopback():
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                _temp_dir=str(self._folder),
            )

    def wait(self) -> Node:
        """Return what all of it has, as one node, once it is up.

        Raises:
            Infrastructure: it did not start.
        """
        while not self._up.wait(0.1):  # in short waits, so that a signal is heard
            pass
        if self._error is not None:
            what = f"the cluster at {self._address} could not be joined" if self._address else "Ray did not start"
            raise Infrastructure(f"{what}: {one_line(str(self._error))}") from self._error
        import ray

        if not (self._joined or self._address):
            self._daemons = [one for one in psutil.Process().children() if one.name() in DAEMONS]
        resources = cast(dict[str, float], ray.cluster_resources())
        return Node(id="", total=resources)

    @property
    def alive(self) -> bool:
        """Whether the processes of a Ray that was started here all live."""
        return all(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in self._daemons)

    @contextmanager
    def prestarted_actors(self) -> Generator[None]:
        """Let Tune's actors take the worker processes that Ray started in advance.

        Tune gives each actor a runtime environment of a few variables (a Ray that was started here has them anyway),
        for which Ray starts a new process: over a second of imports while all wait. On a cluster that was joined, the
        process that looked at a new node becomes its first actor.
        """
        import ray
        from ray.tune.execution import class_cache

        def get(cache: object, trainable: type) -> Any:
            del cache
            return cast(Any, ray).remote(trainable)

        if self._joined:
            yield
            return
        with _replaced(cast(Any, class_cache)._ActorClassCache, get=get):
            yield

    def check(self) -> None:
        """Look after Ray.

        Raises:
            RayDied: one of its processes is gone.
        """
        if not self.alive:
            raise RayDied

    def close(self) -> None:
        """End Ray, where it was started here; one that died on its own is left to the launcher.

        One that is still starting is ended by its thread: to wait for it would hold up an interrupted command.
        """
        if self._up.is_set():
            self._shut_down()  # first: Ray's daemons die with the thread that started them
        self._down.set()

    def _shut_down(self) -> None:
        import ray

        if not self._joined and self.alive and ray.is_initialized():
            ray.shutdown()
