"""An MLflow server on this machine's loopback, for looking at a tracking store that is no server itself.

It outlives the command that started it; `mlflow-server.json` in the state's folder says where it is, so that the next
command finds it. Nothing but this machine reaches it, and no other host name than its own is answered.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from ..spaces.errors import Infrastructure, one_line

_HOST = "127.0.0.1"
_ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
    "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "false",
    "MLFLOW_SERVER_X_FRAME_OPTIONS": "SAMEORIGIN",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "40",
    "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "100",
}
_NOT_THE_SERVERS = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_SQLALCHEMYSTORE_POOLCLASS")
_DETACHED = 'umask 077; "$@" >"$LOG" 2>&1 </dev/null & echo $!'
"""Run by a shell that ends at once, so that the server is nobody's child."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    pid: int
    group: int
    created_at: float
    port: int
    uri: str

    @property
    def base_url(self) -> str:
        return f"http://{_HOST}:{self.port}"


def ensure_server(uri: str, state_dir: Path, *, patience_s: float = 90.0) -> str:
    """Return the address of a server for the tracking store `uri`: its own, one that runs already, or a new one.

    Survives: a kill -9 while it starts leaves a server that nobody knows of, which does no harm.

    Raises:
        Infrastructure: it did not come up.
    """
    if uri.startswith(("http://", "https://")):
        return uri.rstrip("/")
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(state_dir / "mlflow-server.lock"):
        running = _remembered(state_dir)
        if running is not None and running.uri == uri and _is_alive(running) and _is_healthy(running.port):
            return running.base_url
        if running is not None:
            _end(running)
        with _first_opening(uri):
            server = _start(uri, state_dir)
            _write_private(state_dir / "mlflow-server.json", json.dumps(asdict(server)))
            _await_health(server, state_dir, patience_s)
        return server.base_url


def stop_server(state_dir: Path) -> bool:
    """End the server that was started from this folder; return whether there was one."""
    running = _remembered(state_dir)
    (state_dir / "mlflow-server.json").unlink(missing_ok=True)
    return running is not None and _end(running)


# Starting -------------------------------------------------------------------------------------------------------------


def _start(uri: str, state_dir: Path) -> _Server:
    import psutil

    port = _free_port()
    log = state_dir / "mlflow-server.log"
    _write_private(log, "")
    database = _sqlite_path(uri)
    artifacts = (state_dir if database is None else database.parent) / "mlartifacts"
    server = [sys.executable, "-P", "-m", "mlflow", "server", "--host", _HOST, "--port", str(port), "--workers", "1"]
    server += ["--allowed-hosts", f"{_HOST}:{port},localhost:{port}"]
    server += ["--cors-allowed-origins", f"http://{_HOST}:{port},http://localhost:{port}"]
    server += ["--app-name", "kerasweep"]  # `mlflow_app`
    server += ["--artifacts-destination", str(artifacts.resolve())]
    shell = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", _DETACHED, "sh", *server],
        env=_environment(uri) | {"LOG": str(log.resolve())},
        cwd=state_dir,
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    pid = int(shell.stdout)
    try:
        created_at = psutil.Process(pid).create_time()
        return _Server(pid=pid, group=os.getpgid(pid), created_at=created_at, port=port, uri=uri)
    except (psutil.NoSuchProcess, ProcessLookupError) as error:
        raise _did_not_start(uri, state_dir) from error


def _environment(uri: str) -> dict[str, str]:
    """Return the environment: the store goes here, where other users cannot read it, and not into the arguments."""
    mine = {name: value for name, value in os.environ.items() if name not in _NOT_THE_SERVERS}
    return mine | _ENVIRONMENT | {"MLFLOW_BACKEND_STORE_URI": uri}


def _await_health(server: _Server, state_dir: Path, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while not _is_healthy(server.port):
        if not _is_alive(server):
            raise _did_not_start(server.uri, state_dir)
        if time.monotonic() > deadline:
            _end(server)
            raise Infrastructure(
                f"the MLflow server did not answer within {patience_s:g} s; try again, or read {state_dir}/mlflow-server.log"
            )
        time.sleep(0.2)


def _did_not_start(uri: str, state_dir: Path) -> Infrastructure:
    log = state_dir / "mlflow-server.log"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    lines = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)] or lines
    last = one_line(lines[-1].replace(uri, "the tracking store")) if lines else "it said nothing"
    return Infrastructure(f"the MLflow server ended at its start: {last}; all of it is in {log}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=5.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


# Remembering and ending ------------------------------------------------------------------------------------------------


def _remembered(state_dir: Path) -> _Server | None:
    try:
        data: Mapping[str, Any] = json.loads((state_dir / "mlflow-server.json").read_text())
        return _Server(**data)
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _is_alive(server: _Server) -> bool:
    """Say whether the server's process lives; its number may belong to another one by now."""
    import psutil

    try:
        process = psutil.Process(server.pid)
        return process.create_time() == server.created_at and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end(server: _Server) -> bool:
    if not _is_alive(server):
        return False
    for number, patience_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(server.group, number)
        except ProcessLookupError:
            return True
        if _comes_true(lambda: not _group_lives(server.group), patience_s):
            break
    return True


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _comes_true(condition: Callable[[], bool], patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


# Files -----------------------------------------------------------------------------------------------------------------


def _sqlite_path(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")).resolve() if uri.startswith("sqlite:///") else None


@contextmanager
def _first_opening(uri: str) -> Generator[None]:
    """Hold off trackers while MLflow creates the tables of a database: two at once would damage it."""
    database = _sqlite_path(uri)
    if database is None or (database.exists() and database.stat().st_size > 0):
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with _alone(database.with_name(database.name + ".lock")):
        os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
        yield


@contextmanager
def _alone(lock: Path) -> Generator[None]:
    fd = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    new = path.with_name(path.name + ".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    new.replace(path)
