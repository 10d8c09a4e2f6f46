"""Tests of `kerasweep.cluster.leftovers`: what goes and what stays, in a folder and in an object store."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from kerasweep.cluster.leftovers import Removed, remove_drafts, remove_leftovers

FILES = ("weights.npz", "weights.json", "epochs/000003-1.json", "epochs/000003-1-model.weights.h5")


@pytest.fixture(params=["folder", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Give a folder with five trials in it, and the same behind fsspec."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    root = str(tmp_path / "checkpoints") if request.param == "folder" else "memory://sweeps/one/checkpoints"
    for number in range(5):
        for name in FILES:
            with fsspec.open(f"{root}/{number}/{name}", "wb", auto_mkdir=True) as file:
                file.write(b"12345")
    yield root
    memory.store.clear()


def left(root: str) -> dict[int, set[str]]:
    """Return the files that are left, by trial."""
    import fsspec

    system, path = cast("tuple[Any, str]", fsspec.core.url_to_fs(root))
    found: dict[int, set[str]] = {}
    for one in system.find(path):
        number, _, name = one.removeprefix(path).strip("/").partition("/")
        found.setdefault(int(number), set()).add(name)
    return found


def test_only_what_is_needed_stays(place: str) -> None:
    """All of a live trial, the weights of a best one, nothing of the others; a second time nothing goes."""
    assert remove_leftovers(place, over=lambda one: one != 1, best={2, 9}) == Removed(trials=4, bytes=3 * 20 + 10)
    assert left(place) == {1: set(FILES), 2: {"weights.npz", "weights.json"}}
    assert remove_leftovers(place, over=lambda one: one != 1, best={2}) == Removed()


def test_a_place_that_is_not_there_has_nothing_to_remove(tmp_path: Path) -> None:
    """Neither a folder nor a prefix."""
    assert remove_leftovers(str(tmp_path / "none"), over=lambda _: True, best={}) == Removed()
    assert remove_leftovers("memory://none/at/all", over=lambda _: True, best={}) == Removed()


def test_what_is_no_trial_is_left_alone(tmp_path: Path) -> None:
    """Files, other names, and what a link points to."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").write_text("x")
    root = tmp_path / "checkpoints"
    root.mkdir()
    (root / "7").symlink_to(tmp_path / "elsewhere")
    (root / "8").write_text("a file")
    (root / "9 notes").mkdir()
    remove_leftovers(str(root), over=lambda _: True, best={})
    assert (tmp_path / "elsewhere" / "mine").exists()
    assert {path.name for path in root.iterdir()} == {"7", "8", "9 notes"}


def test_drafts_go(tmp_path: Path) -> None:
    """Of checkpoints and of weights; what is whole stays, and what is hidden, but no draft."""
    drafts = ("3/epochs/.71-fit.json", "3/draft-weights.npz", "3/weights.json.draft")
    for name in (*drafts, "3/epochs/000003-1.json", "3/epochs/.nfs0001"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
    assert remove_drafts(str(tmp_path)) == 12
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [".nfs0001", "000003-1.json"]
    assert remove_drafts("memory://none") == 0
