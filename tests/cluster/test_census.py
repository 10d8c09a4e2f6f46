"""Tests of `kerasweep.cluster.census` on what Ray says, as the test makes it up."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from kerasweep.cluster.census import Census, census_of, share_of, take_census
from kerasweep.cluster.placement import Node, Shape

OURS = "kerasweep:ours"


def group(name: str, node: str, state: str = "CREATED", **bundle: float) -> dict[str, Any]:
    """Return a placement group as Ray's table shows it."""
    return {"name": name, "state": state, "bundles": {0: bundle}, "bundles_to_node_id": {0: node}}


def seen(name: str, *, alive: bool = True, **total: float) -> dict[str, Any]:
    """Return a node as Ray shows it."""
    return {"NodeID": name, "Alive": alive, "NodeManagerHostname": "h", "Resources": total}


def test_what_is_in_use_is_told_apart_by_whose_it_is() -> None:
    """The sweep's own groups, its peers', others', and what is missing of a node besides."""
    groups = {
        "1": group(f"{OURS}:1", "n", CPU=1.0, GPU=0.5),
        "2": group(f"{OURS}:2", "n", CPU=1.0, GPU=0.5),
        "3": group("kerasweep:theirs:1", "n", CPU=1.0),
        "4": group(f"{OURS}:3", "n", state="PENDING", CPU=1.0),
        "5": group("", "m", CPU=4.0),
        "6": group("kerasweep:ours-2:1", "m", state="REMOVED", CPU=4.0),
    }
    nodes = [seen("n", CPU=8.0, GPU=2.0), seen("m", CPU=4.0), seen("dead", alive=False, CPU=9.0), seen("new", CPU=9.0)]
    census = census_of(nodes, {"n": {"CPU": 3.0, "GPU": 1.0}, "m": {}}, groups, OURS)  # an actor has two more of n
    first = Node(id="n", host="h", total={"CPU": 8.0, "GPU": 2.0}, others={"CPU": 3.0, "GPU": 0.0}, peers={"CPU": 1.0})
    second = Node(id="m", host="h", total={"CPU": 4.0}, others={"CPU": 4.0})
    assert census == Census(nodes=(first, second), held=2, peers=frozenset({"kerasweep:theirs"}), wanting=False)
    assert first.fits(Shape(cpu=1, gpu=0.5)) == 4


def test_a_peer_without_its_slot_is_wanting() -> None:
    """Its group waits in Ray's line."""
    census = census_of([], {}, {"1": group("kerasweep:theirs:1", "", state="PENDING", CPU=1.0)}, OURS)
    assert (census.wanting, census.peers) == (True, {"kerasweep:theirs"})


def test_a_group_that_was_just_made_does_not_count_twice() -> None:
    """The table has it before the node's account has: neither more nor less room comes of it."""
    groups = {"1": group(f"{OURS}:1", "n", CPU=1.0)}
    for free in (2.0, 1.0):
        (node,) = census_of([seen("n", CPU=2.0)], {"n": {"CPU": free}}, groups, OURS).nodes
        assert node.fits(Shape(cpu=1)) == 2


def test_a_node_is_believed_about_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head may go on counting what it had set aside there for the group of a node that died."""
    node = SimpleNamespace(node_id=b"\x0a", resources_available={"CPU": 2.0, "GPU": 0.8})
    accessor = SimpleNamespace(get_all_resource_usage=lambda: b"said")
    batch = SimpleNamespace(FromString={b"said": SimpleNamespace(batch=[node])}.get)
    state = SimpleNamespace(_connect_and_get_accessor=lambda: accessor)
    groups = {str(index): group(f"{OURS}:{index}", "0a", CPU=1.0, GPU=0.6) for index in range(2)}
    head = SimpleNamespace(state=state, available_resources_per_node=lambda: {"0a": {"CPU": 1.0, "GPU": 0.2}})
    ray = SimpleNamespace(
        nodes=lambda: [seen("0a", CPU=4.0, GPU=2.0)], util=SimpleNamespace(placement_group_table=lambda: groups)
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray._private.state", head)
    monkeypatch.setitem(
        sys.modules, "ray.core.generated", SimpleNamespace(gcs_pb2=SimpleNamespace(ResourceUsageBatchData=batch))
    )
    (found,) = take_census(OURS).nodes
    assert found.fits(Shape(cpu=1, gpu=0.6)) == 2


def test_a_part_is_of_what_sweeps_may_have() -> None:
    """What others hold is nobody's part; one slot is the least."""
    node = Node(id="n", total={"CPU": 8.0}, others={"CPU": 6.0}, peers={"CPU": 4.0})
    assert [share_of([node], Shape(cpu=1), sweeps) for sweeps in (1, 2, 3, 9)] == [6, 3, 2, 1]
