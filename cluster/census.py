"""What a Ray cluster is like at one moment: its living nodes, what is in use of each, which sweeps are on it.

A slot is a placement group, named after its sweep, so that a sweep knows its own from those of its peers. The table of
groups is exact at once; a node's own account of what is free lags by some tenths of a second, and is there for whatever
else uses the node.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast, final

from .placement import Node, Shape
from .ray_session import RaySession

PREFIX = "kerasweep:"
"""Begins the name of each sweep's groups; a number after another colon ends it."""
Held = dict[str, dict[str, float]]
"""Amounts by resource, by node."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """A cluster at one moment, as one sweep sees it: `held` are its own slots, `peers` the other sweeps.

    `wanting`: a peer waits for a slot.
    """

    nodes: tuple[Node, ...] = ()
    held: int = 0
    peers: frozenset[str] = field(default_factory=frozenset[str])
    wanting: bool = False


def take_census(own: str = "") -> Census:
    """Return what the cluster that this process has joined is like now; a few milliseconds."""
    import ray

    nodes = cast(list[dict[str, Any]], ray.nodes())
    return census_of(nodes, _free(), cast(Any, ray).util.placement_group_table(), own)


def _free() -> dict[str, dict[str, float]]:
    """Return what each node says is free of it.

    What the cluster's head goes by (`available_resources_per_node`) keeps what it has set aside on other nodes for the
    groups of a lost one, also where these refused: as long as no slot ends there, slots of them would look taken.
    """
    from ray._private.state import state
    from ray.core.generated import gcs_pb2

    said = cast(Any, state)._connect_and_get_accessor().get_all_resource_usage()
    usage = cast(Any, gcs_pb2).ResourceUsageBatchData.FromString(said)
    return {one.node_id.hex(): dict(one.resources_available) for one in usage.batch}


def census_of(
    nodes: list[dict[str, Any]], free: Mapping[str, Mapping[str, float]], groups: Mapping[str, Any], own: str = ""
) -> Census:
    """Return the census that follows from what Ray says."""
    mine, peers, rest = Held(), Held(), Held()
    held, sweeps, wanting = 0, set[str](), False
    for group in groups.values():
        name, made = str(group["name"]).rpartition(":")[0], group["state"] == "CREATED"
        is_own, is_peer = bool(own) and name == own, name.startswith(PREFIX) and name != own
        if made:
            _add(mine if is_own else peers if is_peer else rest, group)
            held += is_own
        if is_peer and group["state"] != "REMOVED":
            sweeps.add(name)
            wanting = wanting or not made
    living = [one for one in nodes if one["Alive"] and one["NodeID"] in free]
    return Census(
        nodes=tuple(_node(one, free[one["NodeID"]], mine, peers, rest) for one in living),
        held=held,
        peers=frozenset(sweeps),
        wanting=wanting,
    )


def _add(held: Held, group: Mapping[str, Any]) -> None:
    for index, node in group["bundles_to_node_id"].items():
        amounts = held.setdefault(node, {})
        for resource, amount in group["bundles"][index].items():
            amounts[resource] = amounts.get(resource, 0.0) + amount


def _node(one: Mapping[str, Any], free: Mapping[str, float], mine: Held, peers: Held, rest: Held) -> Node:
    """Return a node with what is in use of it: by groups, or by what is missing and not the sweep's own."""
    name, total = str(one["NodeID"]), cast(dict[str, float], one["Resources"])
    own, peer, other = (held.get(name, {}) for held in (mine, peers, rest))

    def others(key: str) -> float:
        missing = total[key] - free.get(key, 0.0) - own.get(key, 0.0)
        return max(peer.get(key, 0.0) + other.get(key, 0.0), missing)

    node = Node(id=name, host=str(one["NodeManagerHostname"]), total=total, labels=one.get("Labels") or {})
    return replace(node, others={key: others(key) for key in total}, peers=dict(peer))


def share_of(nodes: list[Node], shape: Shape, sweeps: int) -> int:
    """Return how many slots are one sweep's part of all that sweeps may have; one at least."""
    all_theirs = sum(node.without_peers().fits(shape) for node in nodes)
    return max(1, all_theirs // max(1, sweeps))


def nodes_of(address: str) -> tuple[Node, ...]:
    """Return the living nodes of a cluster, and what is in use of each.

    Raises:
        Infrastructure: it cannot be joined.
    """
    with tempfile.TemporaryDirectory(prefix="ks-") as folder:
        session = RaySession(Path(folder), slots=1, address=address)
        try:
            session.wait()
            return take_census().nodes
        finally:
            session.close()
