"""Tests of `kerasweep.search.copies` and `kerasweep.search.restore`: a sweep's copy off its machine, and back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kerasweep.cluster.checkpoint_files import Files, LocalFiles, files_at
from kerasweep.search import sweeps
from kerasweep.search.copies import EVERY_S, Copier, journals
from kerasweep.search.restore import is_place, restore
from kerasweep.spaces.errors import BadInput, Infrastructure, SweepHeld
from kerasweep.trackers.events import SweepEnded, SweepRestored, SweepResumed, SweepStarted
from kerasweep.trackers.journal import Journal, Reader

from .specs import completed, spec

PATIENCE_S = 20.0


class Copied:
    """A sweep with two ended trials, its copier, and what that said."""

    def __init__(self, home: Path, storage: str, open_files: Callable[[str], Files] = files_at) -> None:
        self.folder = home / "sweeps" / "small"
        (self.folder / "code" / "pkg").mkdir(parents=True)
        (self.folder / "code" / "model.py").write_text("def build(hp): ...\n")
        (self.folder / "code" / "pkg" / "layers.py").write_text("SIZE = 'ä'\n")
        what = spec(storage=storage).to_json()
        (self.folder / "sweep.json").write_text(json.dumps(what))
        (self.folder / "sweep.yaml").write_text("name: small\n")
        self.now = 0.0
        self.said: list[str] = []
        self.journal = Journal(self.folder)
        self.journal.append(SweepStarted(spec=what), *completed(0, 0.1), *completed(1, 0.2))
        self.copier = Copier(
            self.folder, storage, notice=self.said.append, clock=lambda: self.now, open_files=open_files
        )

    @classmethod
    def again(cls, folder: Path, storage: str) -> Copied:
        """Take up a sweep that is there, as its next driver does."""
        one = cls.__new__(cls)
        one.folder, one.now, one.said = folder, 0.0, []
        one.journal = Journal(folder)
        one.journal.append(SweepResumed(spec=spec(storage=storage).to_json()))
        one.copier = Copier(folder, storage, notice=one.said.append, clock=lambda: one.now)
        return one

    def look(self, ended: int) -> None:
        """Let the copier look, and finish what it began."""
        self.copier.look(ended)
        for thread in threading.enumerate():
            if thread.name == "copy":
                thread.join(PATIENCE_S)

    def close(self) -> None:
        """Let go of the sweep."""
        self.journal.close()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a folder for copies."""
    return tmp_path / "store"


@pytest.fixture
def copied(tmp_path: Path, store: Path) -> Copied:
    """Return a sweep with a storage."""
    return Copied(tmp_path / "here", str(store))


def seqs(folder: Path) -> list[int]:
    """Return the numbers of the events."""
    with Reader(folder) as reader:
        return [entry.seq for entry in reader.after()]


def test_a_copy_follows_an_end_but_no_sooner_than_a_minute_after_the_last(copied: Copied, store: Path) -> None:
    """The first at once, later ones a minute apart and only when a trial has ended; two journals are kept."""
    files = LocalFiles(store / "small")
    copied.look(2)
    (first,) = journals(files)
    copied.journal.append(*completed(2, 0.3))
    copied.look(3)
    assert journals(files) == [first]
    copied.now += EVERY_S
    copied.look(3)
    assert len(journals(files)) == 2
    copied.now += EVERY_S
    copied.look(3)
    assert journals(files)[1] == first
    copied.now += EVERY_S
    copied.journal.append(*completed(3, 0.3))
    copied.look(4)
    assert len(journals(files)) == 2
    assert first not in journals(files)
    copied.close()


def test_the_last_copy_is_made_at_the_end(copied: Copied, store: Path, tmp_path: Path) -> None:
    """Whatever was journaled last is there, without a minute's wait."""
    copied.look(2)
    copied.journal.append(SweepEnded(why="budget", exit_code=0))
    copied.copier.finish(PATIENCE_S)
    copied.close()
    assert copied.said == []
    folder = restore(f"{store}/small", tmp_path / "there")
    assert len(seqs(folder)) == len(seqs(copied.folder)) + 1


@pytest.mark.parametrize("scheme", ["", "file://", "memory://"])
def test_a_sweep_goes_on_elsewhere(tmp_path: Path, scheme: str) -> None:
    """Journal, specification and code are as they were, the restoring is journaled, and nothing is left beside it."""
    storage = f"{scheme}{tmp_path}/store"
    copied = Copied(tmp_path / "here", storage)
    copied.look(2)
    copied.close()
    there = tmp_path / "there"
    folder = restore(f"{storage}/small", there)
    assert folder == there / "sweeps" / "small"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["small"]
    for name in ("sweep.yaml", "sweep.json", "code/model.py", "code/pkg/layers.py"):
        assert (folder / name).read_text() == (copied.folder / name).read_text()
    with Reader(folder) as reader, Reader(copied.folder) as original:
        entries = list(reader.after())
        assert entries[:-1] == list(original.after())
    assert isinstance(entries[-1].event, SweepRestored)
    assert sweeps.read(folder).settled == {0, 1}
    assert folder.stat().st_mode & 0o77 == 0
    with Journal(folder) as journal:
        journal.append(*completed(2, 0.3))


def test_a_damaged_copy_is_passed_over_for_the_one_before(copied: Copied, store: Path, tmp_path: Path) -> None:
    """Half an upload, a flipped bit: the older copy is taken; where all are damaged, that is said."""
    copied.look(2)
    before = seqs(copied.folder)
    copied.now += EVERY_S
    copied.journal.append(*completed(2, 0.3))
    copied.look(3)
    copied.close()
    newest, older = (store / "small" / name for name in journals(LocalFiles(store / "small")))
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    assert seqs(restore(f"{store}/small", tmp_path / "there"))[:-1] == before
    older.write_bytes(older.read_bytes().replace(b"acc", b"bcc"))
    with pytest.raises(Infrastructure, match=r"every copy in .* is damaged"):
        restore(f"{store}/small", tmp_path / "elsewhere")
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_sweep_that_is_here_and_as_far_is_not_replaced(copied: Copied, store: Path, tmp_path: Path) -> None:
    """Nothing that is newer, at work, or another sweep is touched."""
    copied.look(2)
    home = tmp_path / "here"
    with pytest.raises(SweepHeld, match="is at work here: pid"):
        restore(f"{store}/small", home)
    copied.close()
    with pytest.raises(BadInput, match="go on with `kerasweep resume small`"):
        restore(f"{store}/small", home)
    other = tmp_path / "other" / "sweeps" / "small"
    other.mkdir(parents=True)
    with Journal(other) as journal:
        journal.append(SweepStarted(spec=spec().to_json()))
    with pytest.raises(BadInput, match="another sweep of the same name"):
        restore(f"{store}/small", tmp_path / "other")
    assert len(seqs(other)) == 1


def test_a_damaged_journal_is_replaced_and_kept(copied: Copied, store: Path, tmp_path: Path) -> None:
    """The message of the damage names the copy; restoring leaves the damaged file beside, and all else in place."""
    copied.look(2)
    copied.journal.append(SweepEnded(why="budget", exit_code=0))
    copied.close()
    path = copied.folder / "journal.db"
    path.write_bytes(broken := path.read_bytes().replace(b"acc", b"bcc"))
    (copied.folder / "checkpoints").mkdir()
    (copied.folder / "tracker.db").write_bytes(b"knows of too much")
    place = f"{store}/small"
    with pytest.raises(Infrastructure, match=rf"its last copy is in {place}: `kerasweep resume {place}`"):
        sweeps.read(copied.folder)
    assert restore(place, tmp_path / "here") == copied.folder
    assert (copied.folder / "journal.db.replaced").read_bytes() == broken
    assert (copied.folder / "checkpoints").is_dir()
    assert not (copied.folder / "tracker.db").exists()
    assert isinstance(list(Reader(copied.folder).after())[-1].event, SweepRestored)


def test_where_there_is_no_copy_that_is_said(tmp_path: Path, copied: Copied, store: Path) -> None:
    """An empty place, the place above; nothing is left behind."""
    copied.look(2)
    copied.close()
    with pytest.raises(BadInput, match="expected STORAGE/NAME"):
        restore(str(tmp_path / "nowhere"), tmp_path / "there")
    with pytest.raises(BadInput, match=r"it holds small: one of them\?"):
        restore(str(store), tmp_path / "there")
    assert not any((tmp_path / "there").iterdir())


@pytest.mark.parametrize("path", ["../evil.py", "/evil.py", "pkg/../../evil.py", "evil.sh"])
def test_code_of_a_copy_stays_in_its_folder(copied: Copied, store: Path, tmp_path: Path, path: str) -> None:
    """A path that leads out of the folder, or to what is no source, is refused and nothing is left."""
    copied.look(2)
    copied.close()
    (store / "small" / "code.json").write_text(json.dumps({path: "print('no')"}))
    with pytest.raises(BadInput, match="leads out"):
        restore(f"{store}/small", tmp_path / "there")
    assert not list(tmp_path.rglob("evil*"))


def test_a_storage_that_fails_is_noticed_once_and_tried_again(tmp_path: Path, store: Path) -> None:
    """The sweep hears of it by a notice; when the storage is back a copy is made."""
    down = [True]

    def open_files(place: str) -> Files:
        if down[0]:
            raise PermissionError("token=abc123 is not allowed")
        return files_at(place)

    copied = Copied(tmp_path / "here", str(store), open_files)
    for ended in range(2, 5):
        copied.look(ended)
        copied.now += EVERY_S
    copied.look(4)
    (said,) = copied.said
    assert "does not take a copy" in said
    assert "abc123" not in said
    down[0] = False
    copied.now += EVERY_S
    copied.look(5)
    assert journals(LocalFiles(store / "small"))
    copied.copier.finish(PATIENCE_S)
    assert len(copied.said) == 1
    copied.close()


def test_a_storage_that_hangs_holds_nothing_up(tmp_path: Path, store: Path) -> None:
    """Looking returns at once, the end waits as long as it was told, and that is noticed."""
    hangs = threading.Event()

    def open_files(place: str) -> Files:
        hangs.wait(PATIENCE_S)
        return files_at(place)

    copied = Copied(tmp_path / "here", str(store), open_files)
    for ended in range(2, 5):
        copied.copier.look(ended)
        copied.now += EVERY_S
    assert sum(thread.name == "copy" for thread in threading.enumerate()) == 1
    copied.copier.finish(0.05)
    assert "did not take the last copy in 0.05 s" in copied.said[-1]
    hangs.set()
    for thread in threading.enumerate():
        if thread.name == "copy":
            thread.join(PATIENCE_S)
    copied.close()


def test_names_and_places_are_told_apart() -> None:
    """A sweep's name has no slash."""
    assert [is_place(one) for one in ("digits", "./digits", "/mnt/x", "s3://bucket/x")] == [False, True, True, True]
