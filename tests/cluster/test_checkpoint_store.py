"""Tests of `kerasweep.cluster.checkpoint_store` and `checkpoint_files`: crashes at every step, damage of every kind."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kerasweep.cluster import checkpoint_files
from kerasweep.cluster.checkpoint import Damaged, place_of
from kerasweep.cluster.checkpoint_files import Files, LocalFiles, files_at, join
from kerasweep.cluster.checkpoint_store import KEPT, CheckpointStore, Found

TRIAL = "4:abc"
DEAD = 2**22 + 1
"""No process has this number: it is more than Linux gives."""


def content(epoch: int) -> dict[str, bytes]:
    """Return what the parts of an epoch's checkpoint hold."""
    return {"model": b"weights of %d" % epoch * 3, "fit": b'{"epoch": %d}' % epoch, "arrays": b"[]"}


def commit(store: CheckpointStore, epoch: int) -> None:
    """Commit a checkpoint of an epoch."""
    drafts: dict[str, tuple[str, Path]] = {}
    for part, data in content(epoch).items():
        suffix = f"{part}.bin"
        path = store.files.draft(suffix)
        path.write_bytes(data)
        drafts[part] = (suffix, path)
    store.commit(epoch, drafts)


def store_at(folder: Path, attempt: int = 1, trial: str = TRIAL) -> CheckpointStore:
    """Return the store of an attempt."""
    return CheckpointStore(LocalFiles(folder), trial, attempt)


def epoch_of(found: Found) -> int | None:
    """Return the epoch of what was found, after a look at what its parts hold."""
    if found.checkpoint is None:
        return None
    read = {part: path.read_bytes() for part, path in found.paths.items()}
    assert read == content(found.checkpoint.epoch)
    return found.checkpoint.epoch


def names(folder: Path) -> list[str]:
    """Return the names of all files in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture(params=["folder", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Give a folder, and a place that fsspec reaches."""
    if request.param == "folder":
        yield str(tmp_path / "a" / "b")
        return
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield "memory://sweeps/one/4"
    system.store.clear()


def test_the_newest_is_found_and_two_are_kept(place: str) -> None:
    """In a folder and in an object store alike; another attempt finds them, too."""
    store = CheckpointStore(files_at(place), TRIAL, 1)
    assert epoch_of(store.newest()) is None
    for epoch in (1, 5, 9, 12):
        commit(store, epoch)
        assert epoch_of(CheckpointStore(files_at(place), TRIAL, 2).newest()) == epoch
    assert [name for name in store.files.names() if place_of(name)] == ["000009-1.json", "000012-1.json"]
    assert len(store.files.names()) == KEPT * (1 + len(content(1)))
    store.files.close()


def test_discarding_leaves_nothing(place: str) -> None:
    """Neither manifests nor parts."""
    store = CheckpointStore(files_at(place), TRIAL, 1)
    commit(store, 3)
    store.discard()
    assert store.files.names() == []
    assert epoch_of(store.newest()) is None
    store.files.close()


def test_places_join_as_paths_and_as_urls() -> None:
    """With or without a slash at the end."""
    assert join("/a/b/", "4", "epochs") == "/a/b/4/epochs"
    assert join("s3://bucket", "4") == "s3://bucket/4"


def test_files_are_private_and_drafts_go(tmp_path: Path) -> None:
    """The folder is its owner's; a draft that was left is gone after closing, and an empty folder, too."""
    files = LocalFiles(tmp_path / "epochs")
    files.draft("x.bin").write_bytes(b"half")
    assert stat.S_IMODE((tmp_path / "epochs").stat().st_mode) == 0o700
    assert files.names() == []
    files.close()
    assert not (tmp_path / "epochs").exists()


# Damage ------------------------------------------------------------------------------------------------------------------


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a flipped bit": _flip,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "gone": Path.unlink,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("what", ["000005-1.json", "000005-1-model.bin", "000005-1-fit.bin"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_named_and_the_one_before_is_used(tmp_path: Path, damage: str, what: str) -> None:
    """Whichever of its files it is, and however it was damaged; the next commit keeps the sound one beside it."""
    store = store_at(tmp_path)
    commit(store, 3)
    commit(store, 5)
    DAMAGES[damage](tmp_path / what)
    later = store_at(tmp_path, attempt=2)
    found = later.newest()
    if what.endswith(".json") and damage == "gone":
        assert (epoch_of(found), found.passed_over) == (3, ())
        return
    assert epoch_of(found) == 3
    (text,) = found.passed_over
    assert "000005-1" in text
    if damage == "a folder":
        return
    commit(later, 4)
    assert epoch_of(store_at(tmp_path, attempt=3).newest()) == 4
    _flip(tmp_path / "000004-2-fit.bin")
    assert epoch_of(store_at(tmp_path, attempt=3).newest()) == 3


def test_every_byte_of_every_part_counts(tmp_path: Path) -> None:
    """Cut at each length, and with each bit flipped, a part is never taken for what was written."""
    store = store_at(tmp_path)
    commit(store, 5)
    part = tmp_path / "000005-1-fit.bin"
    whole = part.read_bytes()
    wrong = [whole[:length] for length in range(len(whole))]
    wrong += [
        bytes(b ^ (1 << bit) * (i == at) for i, b in enumerate(whole)) for at in range(len(whole)) for bit in (0, 7)
    ]
    for data in wrong:
        part.write_bytes(data)
        assert store_at(tmp_path).newest().checkpoint is None
    part.write_bytes(whole)
    assert epoch_of(store_at(tmp_path).newest()) == 5


def test_checkpoints_of_another_trial_are_passed_over(tmp_path: Path) -> None:
    """Copied here whole, they are still another's; the next commit removes them."""
    commit(store_at(tmp_path, trial="9:other"), 50)
    store = store_at(tmp_path)
    found = store.newest()
    assert found.checkpoint is None
    assert "another trial's" in found.passed_over[0]
    commit(store, 2)
    assert [name for name in names(tmp_path) if place_of(name)] == ["000002-1.json"]


def test_a_manifest_under_another_name_is_passed_over(tmp_path: Path) -> None:
    """An old one that was copied over a newer name does not stand for it."""
    store = store_at(tmp_path)
    commit(store, 3)
    (tmp_path / "000007-1.json").write_bytes((tmp_path / "000003-1.json").read_bytes())
    found = store_at(tmp_path).newest()
    assert epoch_of(found) == 3
    assert "000007-1.json" in found.passed_over[0]


def test_an_earlier_attempt_that_still_writes_harms_nothing(tmp_path: Path) -> None:
    """A trainer on a node that was given up goes on for a while; what its successor wrote stays."""
    zombie, store = store_at(tmp_path, attempt=1), store_at(tmp_path, attempt=2)
    commit(zombie, 3)
    commit(store, 3)
    commit(zombie, 4)
    commit(zombie, 5)
    commit(zombie, 6)
    assert {"000003-2.json", "000003-2-model.bin"} <= set(names(tmp_path))
    commit(store, 7)
    assert epoch_of(store_at(tmp_path, attempt=3).newest()) == 7


# Crashes and failures ----------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ended here."""


class Steps:
    """The file operations of `checkpoint_files`, the n-th of which does not happen."""

    WATCHED = ("open", "fsync", "replace", "unlink")

    def __init__(self, fail_at: int, error: BaseException, pid: int | None = None) -> None:
        self.count = 0
        self.getpid = os.getpid if pid is None else lambda: pid
        self._fail_at = fail_at
        self._error = error

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in self.WATCHED:
            return real

        def step(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self._fail_at:
                raise self._error
            return None if name == "fsync" else real(*args, **kwargs)  # a disk is slow, and nobody pulls the plug

        return step


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_files, "os", Steps(0, Killed()))


def crash(folder: Path, monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException) -> bool:
    """Commit epochs 3, 5 and 7, the last one with a failure at a step; say whether it came to that."""
    store = store_at(folder)
    commit(store, 3)
    commit(store, 5)
    steps = Steps(step, error, DEAD)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint_files, "os", steps)
        try:
            commit(store, 7)
        except (Killed, OSError):
            return True
    return False


def test_a_kill_at_any_step_of_a_write_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before until the manifest has its name, the new one from then on; the next attempt cleans up."""
    found: list[int | None] = []
    for step in range(1, 100):
        folder = tmp_path / str(step)
        if not crash(folder, monkeypatch, step, Killed()):
            break
        later = store_at(folder, attempt=2)
        newest = later.newest()
        assert newest.passed_over == ()
        found.append(epoch_of(newest))
        commit(later, 8)
        commit(later, 9)
        later.files.close()
        assert len(names(folder)) == KEPT * (1 + len(content(1))), names(folder)
    assert len(found) > 15
    assert found == sorted(found, key=lambda epoch: epoch or 0)
    assert set(found) == {5, 7}


def test_a_write_that_fails_at_any_step_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: the error is raised, the same attempt goes on and writes the next one."""
    full = OSError(28, "No space left on device")
    for step in range(1, 100):
        folder = tmp_path / str(step)
        if not crash(folder, monkeypatch, step, full):
            break
        assert epoch_of(store_at(folder).newest()) in (5, 7)
        commit(store_at(folder), 9)
        assert epoch_of(store_at(folder).newest()) == 9
    else:
        raise AssertionError("it never came to an end")


class Forgetful:
    """Files that lose what they were given, as a disk does that lies about `fsync`."""

    def __init__(self, files: Files, lost: str) -> None:
        self._files = files
        self._lost = lost

    def put(self, name: str, draft: Path) -> None:
        """Write half of the file to be lost."""
        if name == self._lost:
            draft.write_bytes(draft.read_bytes()[:1])
        self._files.put(name, draft)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)


@pytest.mark.parametrize("lost", ["000009-1-model.bin", "000009-1.json"])
def test_what_reads_otherwise_than_it_was_written_costs_nothing_older(tmp_path: Path, lost: str) -> None:
    """A new checkpoint is verified before anything else is removed."""
    files: Any = Forgetful(LocalFiles(tmp_path), lost)
    store = CheckpointStore(files, TRIAL, 1)
    for epoch in (3, 5):
        commit(store, epoch)
    with pytest.raises(Damaged):
        commit(store, 9)
    assert [name for name in names(tmp_path) if place_of(name)][:2] == ["000003-1.json", "000005-1.json"]
    assert epoch_of(store_at(tmp_path).newest()) == 5
