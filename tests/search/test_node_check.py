"""Tests of what a driver asks of the nodes of a cluster, with this process in the place of a node."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from kerasweep.cluster.members import Check, look
from kerasweep.search.driver import node_check
from kerasweep.spaces.errors import BadInput


def refusal(check: Check) -> str:
    """Return what a node says that has what is here."""
    return check.refusal(look(tuple(check.versions), check.file))


@pytest.mark.parametrize("storage", [False, True])
def test_the_folder_of_checkpoints_must_be_the_same_on_all_nodes(storage: bool, tmp_path: Path) -> None:
    """The sweep's, or the plain folder that is its storage: one that a node has for itself is refused."""
    folder, place = tmp_path / "sweeps" / "rig", tmp_path / "mnt" / "x"
    check = node_check(folder, str(place) if storage else "")
    assert refusal(check) == ""
    mark = place / ".shared" if storage else folder.parent / ".shared"
    mark.write_text("of another disk")
    assert (f"storage: {place}" if storage else "the sweep's folder") in refusal(check)
    mark.unlink()
    assert refusal(check)


def test_a_url_must_be_opened_by_each_node(tmp_path: Path) -> None:
    """The sweep's own place there is looked at, which need not be there yet."""
    check = node_check(tmp_path / "rig", "memory://copies")
    assert (check.file, refusal(check)) == ("memory://copies/rig", "")


def test_a_mounted_store_may_have_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark is renamed into its place instead, and nothing is left beside it."""

    def refused(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    check = node_check(tmp_path / "rig", str(tmp_path / "x"))
    assert refusal(check) == ""
    assert [path.name for path in (tmp_path / "x").iterdir()] == [".shared"]


def test_a_storage_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    """Before anything is trained, in one line."""
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="file cannot be written to"):
        node_check(tmp_path / "rig", str(tmp_path / "file"))
