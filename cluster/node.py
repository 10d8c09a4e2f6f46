"""Starts one Ray node on this machine, and ends; the node's processes stay.

    python -m kerasweep.cluster.node     (standard input: `NodeOrder` as JSON; standard output: `NodeStarted`)

What `ray start` does, on loopback only, with the token on, and without the daemons that no sweep needs. Several such
nodes make a cluster of one machine.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, final

from .credentials import taken
from .ray_session import ENVIRONMENT, OBJECT_STORE_BYTES, small_and_on_loopback
from .ray_token import ensure_token

LOOPBACK = "127.0.0.1"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOrder:
    """A node that is to be started; without an `address` it is the head of a new cluster."""

    folder: str
    cpus: int
    gpus: int
    address: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStarted:
    """A node that was started: its cluster's address, its name in Ray, and its processes."""

    address: str
    node_id: str
    pids: tuple[int, ...]


def start(order: NodeOrder) -> NodeStarted:
    """Start the node's processes; they outlive this one."""
    from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    ensure_token(os.environ, create=not order.address)  # before Ray would make one, which all users could read
    ensure_token_if_auth_enabled(None, create_token_if_missing=not order.address)
    parameters: dict[str, Any] = {
        "node_ip_address": LOOPBACK,
        "gcs_address": order.address or None,
        "num_cpus": order.cpus,
        "num_gpus": order.gpus,
        "labels": dict(order.labels),
        "temp_dir": order.folder if not order.address else None,
        "object_store_memory": OBJECT_STORE_BYTES,
        "include_dashboard": False,
        "include_log_monitor": False,
        "min_worker_port": 0,  # the system chooses all ports: nodes of one machine do not clash
        "max_worker_port": 0,
        "node_manager_port": 0,
        "dashboard_agent_listen_port": None,
    }
    with small_and_on_loopback():
        node: Any = Node(RayParams(**parameters), head=not order.address, shutdown_at_exit=False, spawn_reaper=False)
    pids = tuple(process.pid for _, process in node.live_processes())
    return NodeStarted(address=str(node.gcs_address), node_id=str(node.node_id), pids=pids)


def main() -> None:
    """Start what standard input orders, and say what was started."""
    os.umask(0o077)
    taken(os.environ)
    os.environ.update(ENVIRONMENT, RAY_AUTH_MODE="token")
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray prints is no answer
    answer.write(json.dumps(asdict(start(NodeOrder(**json.load(sys.stdin))))))
    answer.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
