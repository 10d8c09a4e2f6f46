"""Tests of `kerasweep.cluster.members` with nodes that the test makes up; real ones are in `tests/real/test_cluster.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kerasweep.cluster.census import Census
from kerasweep.cluster.members import (
    Check,
    Members,
    _by_value,  # pyright: ignore[reportPrivateUsage]
    look,
)
from kerasweep.cluster.placement import Node, Shape
from kerasweep.cluster.versions import versions

HERE = {"kerasweep": "1.0", "keras": "3.15"}


def answer(text: str = "mark", **changed: str) -> Mapping[str, Any]:
    """Return what a node answers."""
    return {"versions": {**HERE, **changed}, "text": text}


@pytest.mark.parametrize(
    ("found", "words", "blind"),
    [
        (answer(), "", False),
        (answer(numpy="2"), "", False),
        (answer(kerasweep="0.9"), "it has kerasweep 0.9 (the sweep has 1.0); install the same there", False),
        ({"versions": {"keras": "3.15"}, "text": "mark"}, "kerasweep missing (the sweep has 1.0)", False),
        (answer(""), "does not see the sweep's folder", True),
        (answer("another"), "--dir", True),
    ],
)
def test_what_keeps_a_node_from_a_sweep(found: Mapping[str, Any], words: str, blind: bool) -> None:
    """Other versions, named with those of the sweep; a folder that it does not share."""
    check = Check(versions=HERE, file="/home/sweeps/.shared", text="mark")
    refusal = check.refusal(found)
    assert words in refusal
    assert bool(refusal) is bool(words)
    assert check.blind(found) is blind


def test_a_folder_need_not_be_shared_where_none_is_named() -> None:
    """As with a storage that all nodes reach."""
    assert Check(versions=HERE).refusal(answer("")) == ""


@pytest.mark.parametrize(
    ("storage", "found", "words"),
    [
        ("/mnt/x", answer(), ""),
        ("/mnt/x", answer(""), "does not reach `storage: /mnt/x`, where checkpoints are kept; expected a folder"),
        ("s3://x", {**answer("mark"), "why": ""}, ""),
        (
            "s3://x",
            {**answer("mark"), "why": "NoCredentials"},
            "does not reach `storage: s3://x`, where checkpoints are",
        ),
        ("s3://x", {**answer("mark"), "why": "Install s3fs"}, "kept (Install s3fs); expected"),
    ],
)
def test_a_storage_must_be_reached(storage: str, found: Mapping[str, Any], words: str) -> None:
    """A folder that the nodes do not share, a URL that one of them cannot open: named, with why."""
    check = Check(versions=HERE, file="there", text="mark", storage=storage)
    assert words in check.refusal(found)
    assert check.blind(found) is bool(words)


def test_a_url_is_tried_where_the_node_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing needs to be there yet; what the file system raises is told by its kind alone, which quotes no secret."""
    fsspec = pytest.importorskip("fsspec")
    travelled = _by_value(look)
    assert travelled((), "memory://never/written") == {"versions": {}, "text": "", "why": ""}
    assert look((), "nowhere://x")["why"] == "ValueError"

    def refuses(*arguments: object, **named: object) -> None:
        raise PermissionError("secret")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "ls", refuses)
    assert look((), "memory://x")["why"] == "PermissionError"


def test_this_process_passes_its_own_check(tmp_path: Any) -> None:
    """What `look` finds here is what the driver has."""
    (tmp_path / "mark").write_text("text")
    check = Check(versions=versions(), file=str(tmp_path / "mark"), text="text")
    assert check.refusal(look(tuple(check.versions), check.file)) == ""


class Cluster:
    """A cluster as the test says; `members` look at it at each question."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, shape: Shape | None = None) -> None:
        monkeypatch.setattr("kerasweep.cluster.members.LOOK_S", 0.0)
        self.now = Census()
        self.told: list[str] = []
        self.members = Members(shape or Shape(cpu=1), Check(versions=HERE), "ours", self.told.append, self._census)
        monkeypatch.setattr(self.members, "_hear", self._hear)
        self.fit = True

    def _census(self, own: str) -> Census:
        assert own == "kerasweep:ours"
        return self.now

    def _hear(self, node: Node) -> None:
        if self.fit:
            self.members._admitted.add(node.id)  # pyright: ignore[reportPrivateUsage]
        else:
            self.members._refuse(node, "it is old")  # pyright: ignore[reportPrivateUsage]

    def has(self, *cpus: float, taken: float = 0, peers: int = 0, held: int = 0, wanting: bool = False) -> Members:
        """Say what there is: nodes of so many processors; `taken` by peers, of the first node."""
        nodes = tuple(
            Node(
                id=f"n{index}",
                host="h",
                total={"CPU": cpu},
                others={"CPU": 0 if index else taken},
                peers={"CPU": 0 if index else taken},
            )
            for index, cpu in enumerate(cpus)
        )
        self.now = Census(nodes=nodes, held=held, peers=frozenset(map(str, range(peers))), wanting=wanting)
        return self.members


def test_nothing_fits_before_a_node_has_answered() -> None:
    """A cluster has no room until one of its nodes is known to be fit."""
    members = Members(Shape(cpu=1), Check(versions=HERE), "ours")
    assert (members.nodes, members.capacity, members.settled) == ([], 0, False)


def test_room_comes_and_goes_with_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that joins counts at once, one that dies no longer; without any, one trial waits for the next."""
    cluster = Cluster(monkeypatch)
    assert cluster.has(2, 2).room() == 4
    assert cluster.has(2, 2, 3).room() == 7
    assert cluster.has(2).room() == 2
    assert cluster.has().room() == 1
    assert cluster.has(0, 1).room() == 1


def test_a_refused_node_is_told_once_and_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is in the line, and no group may go there."""
    cluster = Cluster(monkeypatch)
    cluster.has(2).look()
    cluster.fit = False
    members = cluster.has(2, 4)
    assert (members.room(), members.room()) == (2, 2)
    assert cluster.told == ["node h (n1): cpu 4, gpu 0 is not used: it is old"]
    assert members.group() == {
        "name": "kerasweep:ours:1",
        "bundle_label_selector": [{"ray.io/node-id": "!in(n1)"}],
    }


def test_a_node_that_is_avoided_is_used_only_where_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep does not stop for it."""
    members = Cluster(monkeypatch).has(2, 4)
    members.avoided = lambda names: {"n1"} & set(names)
    members.look()
    assert (members.room(), [node.id for node in members.nodes]) == (2, ["n0"])
    members.avoided = lambda names: names
    members.look()
    assert members.room() == 6


def test_labels_of_the_slot_and_closed_nodes_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is asked for, nothing is said."""
    cluster = Cluster(monkeypatch, Shape(cpu=1, labels={"zone": "a"}))
    assert cluster.has(1).group() == {"name": "kerasweep:ours:1", "bundle_label_selector": [{"zone": "a"}]}
    assert Cluster(monkeypatch).has(1).group() == {"name": "kerasweep:ours:1"}


def test_a_peer_that_waits_gets_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that holds all gives up to its part, one idle slot at a time; then it keeps what it has."""
    cluster = Cluster(monkeypatch)
    assert cluster.has(4, peers=1, held=4).room() == 4
    members = cluster.has(4, peers=1, held=4, wanting=True)
    assert members.room() == 2
    assert not members.surplus(placed=4)
    asked = [members.surplus(placed=3) for _ in range(2)]
    assert asked == [False, True]
    assert not cluster.has(4, taken=2, peers=1, held=2, wanting=True).surplus(placed=1)
    assert not cluster.has(4, taken=1, peers=1, held=3).surplus(placed=2)


def test_a_sweep_with_less_than_its_part_waits_with_one_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray gives it the next slot that comes free."""
    cluster = Cluster(monkeypatch)
    assert cluster.has(4, taken=4, peers=1).room() == 1
    assert cluster.has(4, taken=3, peers=1, held=1).room() == 2
    assert cluster.has(4, taken=2, peers=1, held=2).room() == 2
    assert cluster.has(4, taken=4, peers=3).room() == 1
