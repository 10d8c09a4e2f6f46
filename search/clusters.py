"""The commands about the cluster of several nodes on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..cluster.addresses import AUTO, LOCAL, resolve
from ..cluster.census import nodes_of
from ..cluster.local_cluster import LocalCluster, down, up
from ..cluster.placement import Node
from ..spaces.errors import BadInput
from . import sweeps


def up_command(home: Path | None, *, nodes: int, cpus: int, gpus: int) -> None:
    """Have so many nodes live."""
    place = sweeps.home_folder(home)
    before = LocalCluster.read(place)
    were = 0 if before is None else len(before.alive)
    console = Console()
    with console.status("starting Ray nodes"):
        cluster = up(place, nodes=nodes, cpus=cpus, gpus=gpus)
    started = max(0, len(cluster.alive) - were)
    console.print(f"{len(cluster.alive)} nodes at {cluster.address}, {started} started", soft_wrap=True)
    console.print("next: kerasweep run sweep.yaml --address auto", soft_wrap=True)


def down_command(home: Path | None) -> None:
    """End what `up` started."""
    ended = down(sweeps.home_folder(home))
    Console().print(f"ended {len(ended)} processes")


def status_command(home: Path | None, address: str, *, insecure: bool, as_json: bool) -> None:
    """Show the nodes of a cluster and what they have left."""
    found = nodes_of(address_of(sweeps.home_folder(home), address, insecure=insecure))
    if as_json:
        print(json.dumps([asdict(node) for node in found]))  # noqa: T201
        return
    table = Table("node", "host", "cpu", "gpu", "memory GB", "labels", box=None, pad_edge=False)

    def share(node: Node, name: str, unit: float = 1) -> str:
        free = node.total.get(name, 0.0) - node.others.get(name, 0.0)
        return f"{free / unit:.3g} of {node.total.get(name, 0.0) / unit:.3g} free"

    for node in found:
        labels = ", ".join(f"{key}={value}" for key, value in node.labels.items() if not key.startswith("ray.io/node-"))
        table.add_row(
            node.id[:8], node.host, share(node, "CPU"), share(node, "GPU"), share(node, "memory", 1e9), labels
        )
    Console().print(table)


def address_of(home: Path, address: str, *, insecure: bool) -> str:
    """Return the HOST:PORT of a cluster; `auto` is the one that was started in the folder, else this machine's only one.

    Raises:
        BadInput: this machine is no node of it, its head is gone, or there is no token for it.
    """
    own = LocalCluster.read(home) if address == AUTO else None
    if own is not None and own.alive and not own.nodes[0].alive:
        raise BadInput(
            f"the head of the cluster at {own.address} is gone, and with it the cluster; `kerasweep cluster up` starts a new "
            f"one, `--address {LOCAL}` is this machine alone"
        )
    return resolve(own.address if own is not None and own.alive else address, insecure=insecure)
