"""What the tests of the trackers share: a real MLflow server, and a browser where there is one."""

from __future__ import annotations

import socket
from collections.abc import Generator
from pathlib import Path

import pytest

from kerasweep.cluster.mlflow_server import ensure_server, stop_server


@pytest.fixture(scope="session")
def server_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the session's server keeps its state."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="session")
def server(server_state: Path) -> Generator[str]:
    """Return the address of a real MLflow server on a database of its own."""
    try:
        yield ensure_server(f"sqlite:///{server_state}/served.db", server_state, patience_s=180.0)
    finally:
        stop_server(server_state)


@pytest.fixture
def unused_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
