"""Tests of `kerasweep.search.sweeps`: the folders of sweeps and how they stand."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kerasweep.search import sweeps
from kerasweep.spaces.errors import BadInput, Infrastructure, SweepHeld
from kerasweep.trackers.events import Event, SweepEnded, SweepStarted
from kerasweep.trackers.journal import Journal, Lock

from .specs import spec


def make(home: Path, name: str, *events: Event) -> Path:
    """Make a sweep in which these things happened."""
    folder = home / "sweeps" / name
    folder.mkdir(parents=True)
    with Journal(folder) as journal:
        journal.append(SweepStarted(spec=spec(name=name).to_json()), *events)
    return folder


def test_the_home_is_what_was_chosen_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option, the variable, the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERASWEEP_DIR", raising=False)
    assert sweeps.home_folder(None) == tmp_path
    monkeypatch.setenv("KERASWEEP_DIR", str(tmp_path / "one"))
    assert sweeps.home_folder(None) == tmp_path / "one"
    assert sweeps.home_folder(Path("two")) == tmp_path / "two"


def test_a_new_sweep_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut finds all of its files, with all that is in them, or no sweep: each is synchronized, then the name."""
    staging, folder = sweeps.stage(tmp_path, "small")
    (staging / "code" / "pkg").mkdir(parents=True)
    for name in ("sweep.json", "code/model.py", "code/pkg/layers.py"):
        (staging / name).touch()
    done: list[str] = []
    rename = Path.rename
    monkeypatch.setattr(os, "fsync", lambda fd: done.append(os.readlink(f"/proc/self/fd/{fd}")))  # pyright: ignore
    monkeypatch.setattr(Path, "rename", lambda path, to: (done.append("renamed"), rename(path, to)))  # pyright: ignore
    sweeps.settle(staging, folder)
    before, after = done[: done.index("renamed")], done[done.index("renamed") + 1 :]
    names = ("", "code", "code/pkg", "sweep.json", "code/model.py", "code/pkg/layers.py")
    assert {str(staging / name) for name in names} == set(before)
    assert after == [str(folder.parent)]


def test_a_name_that_was_taken_meanwhile_is_refused(tmp_path: Path) -> None:
    """Of two sweeps of one name the one that comes second is told; the first is untouched."""
    staging, folder = sweeps.stage(tmp_path, "small")
    make(tmp_path, "small")
    with pytest.raises(BadInput, match="is already used"):
        sweeps.settle(staging, folder)
    assert (folder / "journal.db").exists()


def test_a_disk_that_does_not_take_a_sweep_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as a name that is used."""
    staging, folder = sweeps.stage(tmp_path, "small")

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Infrastructure, match="No space left on device; nothing was left behind"):
        sweeps.settle(staging, folder)


def test_sweeps_are_listed_oldest_first(tmp_path: Path) -> None:
    """Folders without a journal and those still being prepared are none."""
    assert sweeps.names(tmp_path) == []
    make(tmp_path, "b")
    make(tmp_path, "a")
    (tmp_path / "sweeps" / "empty").mkdir()
    make(tmp_path, ".new-c-1234")
    assert sweeps.names(tmp_path) == ["b", "a"]


def test_a_sweep_is_found_by_its_name(tmp_path: Path) -> None:
    """A wrong name is answered with the near one and those there are."""
    folder = make(tmp_path, "digits")
    assert sweeps.find(tmp_path, "digits") == folder
    with pytest.raises(BadInput, match=r"no sweep 'digit' .* \(did you mean 'digits'\?\); there are digits"):
        sweeps.find(tmp_path, "digit")
    with pytest.raises(BadInput, match="there is none yet"):
        sweeps.find(tmp_path / "elsewhere", "digits")


@pytest.mark.parametrize("name", ["../digits", ".", "..", "x/../digits", ""])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    """Nobody gets out of the folder of sweeps."""
    make(tmp_path, "digits")
    (tmp_path / "journal.db").write_bytes(b"")
    with pytest.raises(BadInput, match="no sweep"):
        sweeps.find(tmp_path, name)


def test_how_a_sweep_stands(tmp_path: Path) -> None:
    """Running while its lock is held; else by its last event, or by the lack of one."""
    ends = {"done": 0, "no success": 1, "interrupted": 130}
    for word, code in ends.items():
        folder = make(tmp_path, word.replace(" ", "-"), SweepEnded(why="", exit_code=code))
        assert sweeps.state(folder, sweeps.read(folder)) == word
    folder = make(tmp_path, "lost")
    assert sweeps.state(folder, sweeps.read(folder)) == "driver lost"
    with Journal(folder):
        assert sweeps.state(folder, sweeps.read(folder)) == "running"


def test_a_new_sweep_is_prepared_beside_its_place(tmp_path: Path) -> None:
    """Only its owner may look into it; undone, it leaves nothing, not even `sweeps/`."""
    staging, folder = sweeps.stage(tmp_path / "new", "digits")
    assert folder == tmp_path / "new" / "sweeps" / "digits"
    assert not folder.exists()
    assert stat.S_IMODE(staging.stat().st_mode) == 0o700
    assert sweeps.names(tmp_path / "new") == []
    (staging / "code").mkdir()
    sweeps.unstage(staging)
    assert not (tmp_path / "new" / "sweeps").exists()


def test_undoing_leaves_other_sweeps(tmp_path: Path) -> None:
    """Only what was prepared goes."""
    make(tmp_path, "other")
    staging, _ = sweeps.stage(tmp_path, "digits")
    sweeps.unstage(staging)
    assert sorted(path.name for path in (tmp_path / "sweeps").iterdir()) == ["other"]


def test_a_name_is_used_once(tmp_path: Path) -> None:
    """The message says how to go on."""
    make(tmp_path, "digits")
    with pytest.raises(BadInput, match=r"already used .* `kerasweep resume digits`"):
        sweeps.stage(tmp_path, "digits")


def test_a_sweep_that_runs_is_named_to_who_comes_second(tmp_path: Path) -> None:
    """Before anything is prepared, and where two have prepared it at the same time."""
    late, folder = sweeps.stage(tmp_path, "digits")
    make(tmp_path, "digits")
    lock = Lock(folder / "journal.lock")
    lock.acquire()
    with pytest.raises(SweepHeld, match=r"digits is running: pid \d+ .* `kerasweep stop digits` stops it"):
        sweeps.stage(tmp_path, "digits")
    with pytest.raises(SweepHeld, match="digits is running: pid"):
        sweeps.settle(late, folder)
    lock.release()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """Below a file, and where the kernel says no."""
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nope")):
        with pytest.raises(BadInput, match=r"cannot write in .* choose another folder with --dir"):
            sweeps.stage(home, "digits")


def test_what_a_killed_command_left_is_removed_later(tmp_path: Path) -> None:
    """A folder that has been in preparation for an hour is nobody's; a young one may be somebody's."""
    old, _ = sweeps.stage(tmp_path, "old")
    young, _ = sweeps.stage(tmp_path, "young")
    hour_ago = time.time() - sweeps.STALE_S - 1
    os.utime(old, (hour_ago, hour_ago))
    sweeps.stage(tmp_path, "third")
    assert not old.exists()
    assert young.exists()


def test_what_goes_while_it_is_looked_at_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another command removes a sweep, or gives one that it prepared its name."""
    make(tmp_path, "stays")
    real = Path.glob

    def glob(folder: Path, pattern: str) -> Iterator[Path]:
        yield folder / pattern.replace("[!.]*", "went").replace("*", "went")
        yield from real(folder, pattern)

    monkeypatch.setattr(Path, "glob", glob)
    assert sweeps.names(tmp_path) == ["stays"]
    assert [path.name for path in sweeps.stale(tmp_path / "sweeps")] == [f"{sweeps.GONE}went"]
