"""Tests of `kerasweep.search.clusters` on clusters that are written down; their nodes are this process, or gone."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from kerasweep.cluster import addresses
from kerasweep.cluster.local_cluster import LocalCluster, LocalNode, Process
from kerasweep.search.clusters import address_of
from kerasweep.spaces.errors import BadInput

OWN, OTHER = "127.0.0.1:1", "127.0.0.1:2"


@pytest.mark.parametrize(
    ("alive", "found"),
    [
        ((True, True), OWN),
        ((True, False), OWN),
        ((False, True), f"the head of the cluster at {OWN} is gone"),
        ((False, False), OTHER),
    ],
)
def test_the_cluster_of_the_folder_is_taken_while_its_head_lives(
    alive: tuple[bool, ...], found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes without their head are no cluster, and that is said; where nothing of it lives, another one is looked for."""
    monkeypatch.setattr(addresses, "joined_here", lambda: [OWN, OTHER] if any(alive) else [OTHER])
    here = Process.of(os.getpid())
    nodes = tuple(
        LocalNode(id="n", cpus=1, gpus=0, processes=(here if lives else replace(here, began=0.0),)) for lives in alive
    )
    LocalCluster(address=OWN, folder=str(tmp_path / "ksc-1"), nodes=nodes).write(tmp_path)
    if found.startswith("the head"):
        with pytest.raises(BadInput, match=found):
            address_of(tmp_path, "auto", insecure=False)
    else:
        assert address_of(tmp_path, "auto", insecure=False) == found
