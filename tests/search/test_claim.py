"""Tests of `kerasweep.search.claim`: a place for copies has one writer, whoever else begins, resumes or restores."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path

import pytest

from kerasweep.cluster.checkpoint_files import Files, LocalFiles, files_at
from kerasweep.search.claim import CLAIM, Past, PlaceCheck, check_claim, seq_of
from kerasweep.search.copies import EVERY_S, journals
from kerasweep.search.restore import restore
from kerasweep.spaces.errors import BadInput, KerasweepError, SweepHeld
from kerasweep.trackers.events import SweepEnded, SweepResumed
from kerasweep.trackers.journal import Journal

from ..cluster.test_checkpoint_store import DEAD
from .specs import completed, spec
from .test_copies import PATIENCE_S, Copied, seqs


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a folder for copies."""
    return tmp_path / "store"


def content(store: Path) -> dict[str, bytes]:
    """Return all that is copied."""
    return {path.name: path.read_bytes() for path in (store / "small").iterdir()}


def refused(store: Path, past: Past) -> KerasweepError:
    """Have a driver that begins look at the place; return why it must not."""
    check = PlaceCheck(f"{store}/small", past)
    with pytest.raises(KerasweepError) as caught:
        check.wait(PATIENCE_S)
    assert "\n" not in str(caught.value)
    return caught.value


def end(copied: Copied, number: int) -> None:
    """Have one more trial end, and a copy made a minute later."""
    copied.journal.append(*completed(number, 0.5))
    copied.now += EVERY_S
    copied.look(number + 1)


def test_a_sweep_of_the_same_name_is_refused_before_it_begins(tmp_path: Path, store: Path) -> None:
    """Also where the first one is over; what the other machine is called, and what to do, is said."""
    first = Copied(tmp_path / "here", str(store))
    first.look(2)
    first.close()
    before = content(store)
    error = refused(store, Past())
    assert isinstance(error, BadInput)
    assert re.search(
        r"holds copies of another sweep of this name \(.*, since \d{4}-.*\); give this one another", str(error)
    )
    assert content(store) == before


def test_a_sweep_that_could_not_look_before_it_began_writes_nothing_over(tmp_path: Path, store: Path) -> None:
    """Neither a journal nor the code; the copier says why, and stays out for good."""
    first, second = (Copied(tmp_path / name, str(store)) for name in ("here", "there"))
    first.look(2)
    before = content(store)
    second.look(2)
    assert "another sweep of this name" in second.copier.taken
    end(second, 2)
    second.copier.finish(PATIENCE_S)
    assert content(store) == before
    assert second.said == []
    end(first, 2)
    assert first.copier.taken == ""
    assert len(journals(LocalFiles(store / "small"))) == 2
    first.close()
    second.close()


def test_a_machine_whose_sweep_was_restored_elsewhere_stops_copying(tmp_path: Path, store: Path) -> None:
    """However far it has come meanwhile; the copies of the other one stay."""
    first = Copied(tmp_path / "here", str(store))
    first.look(2)
    restored = restore(f"{store}/small", tmp_path / "there")
    before = content(store)
    for number in range(2, 5):
        end(first, number)
    assert re.search(r"another driver of this sweep did .* leave the sweep to that one", first.copier.taken)
    assert content(store) == before
    assert isinstance(refused(store, Past.of(first.folder / "journal.db")), SweepHeld)
    PlaceCheck(f"{store}/small", Past.of(restored / "journal.db")).wait(PATIENCE_S)
    first.close()


def test_the_first_machine_may_have_its_sweep_back(tmp_path: Path, store: Path) -> None:
    """By the other one's copy, though its own journal is longer; that is kept beside."""
    first = Copied(tmp_path / "here", str(store))
    first.look(2)
    with Journal(restore(f"{store}/small", tmp_path / "there")) as journal:
        journal.append(SweepEnded(why="interrupted", exit_code=130))
    second = Copied.again(tmp_path / "there" / "sweeps" / "small", str(store))
    second.look(2)
    for number in range(2, 5):
        first.journal.append(*completed(number, 0.5))
    first.close()
    longer = seqs(first.folder)
    assert restore(f"{store}/small", tmp_path / "here") == first.folder
    assert len(seqs(first.folder)) < len(longer)
    assert (first.folder / "journal.db.replaced").exists()
    second.close()


def test_a_copy_that_is_further_than_the_journal_is_not_written_over(tmp_path: Path, store: Path) -> None:
    """A journal that lost its end, one from a backup, a copy that came after the restoring: the copy has more."""
    first = Copied(tmp_path / "here", str(store))
    first.look(2)
    (copy,) = journals(LocalFiles(store / "small"))
    older = (store / "small" / copy).read_bytes()
    end(first, 2)
    assert first.copier.taken == ""
    newest = content(store)
    first.close()
    for one in first.folder.glob("journal.db*"):
        one.unlink()
    (first.folder / "journal.db").write_bytes(older)
    error = refused(store, Past.of(first.folder / "journal.db"))
    assert isinstance(error, BadInput)
    assert f"go on from it with `kerasweep resume {store}/small`" in str(error)
    again = Copied.again(first.folder, str(store))
    again.look(2)
    assert "so it is not overwritten" in again.copier.taken
    again.close()
    assert content(store) == newest
    (first.folder / "journal.db").write_bytes(older)
    restore(f"{store}/small", tmp_path / "here")
    PlaceCheck(f"{store}/small", Past.of(first.folder / "journal.db")).wait(PATIENCE_S)


def test_what_is_resumed_on_its_own_machine_goes_on_copying(tmp_path: Path, store: Path) -> None:
    """Each turn of a driver takes over from the one before."""
    copied = Copied(tmp_path / "here", str(store))
    copied.look(2)
    for number in (2, 3):
        copied.close()
        copied = Copied.again(copied.folder, str(store))
        end(copied, number)
        assert (copied.copier.taken, copied.said) == ("", [])
    (store / "small" / CLAIM).unlink()
    end(copied, 4)
    assert copied.copier.taken == ""
    assert json.loads((store / "small" / CLAIM).read_text())["session"] == Past.of(copied.folder / "journal.db").id(-1)
    copied.close()


def test_a_new_sweep_is_refused_where_nothing_can_be_written(tmp_path: Path, store: Path) -> None:
    """One that has begun goes on meanwhile; the look itself leaves nothing."""
    PlaceCheck(f"{store}/small", Past()).wait(PATIENCE_S)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    check = PlaceCheck(f"{tmp_path}/file/small", Past())
    with pytest.raises(BadInput, match=r"storage: cannot write in .*/file/small: Not a directory; choose another"):
        check.wait(PATIENCE_S)
    PlaceCheck(f"{tmp_path}/file/small", Past(sessions=[(1, 0.0)])).wait(PATIENCE_S)


def test_files_of_others_stay_whoever_looks_reads_or_writes_there(tmp_path: Path, store: Path) -> None:
    """What is hidden in a place may be the user's, or what somebody is writing; only a dead writer's draft goes."""
    place = store / "small"
    place.mkdir(parents=True)
    host = socket.gethostname()
    others = {".env", ".gitignore", f".{os.getppid()}-{host}-sweep.json", f".{DEAD}-elsewhere-journal.db"}

    def hidden() -> set[str]:
        return {path.name for path in place.iterdir() if path.name.startswith(".")}

    for _ in range(2):
        PlaceCheck(str(place), Past()).wait(PATIENCE_S)
        with pytest.raises(BadInput, match="no copy of a sweep"):
            restore(f"{place}/", tmp_path / "there")
        assert hidden() == {path.name for path in place.iterdir()}, "something was left, or the folder went"
        for name in others:
            (place / name).write_text("mine")
    (place / f".{DEAD}-{host}-journal.db").write_text("half")
    copied = Copied(tmp_path / "here", str(store))
    copied.look(2)
    restore(str(place), tmp_path / "there")
    copied.close()
    assert journals(LocalFiles(place))
    assert hidden() == others


def test_a_draft_that_was_not_put_goes_and_so_does_a_folder_that_was_made_for_it(tmp_path: Path) -> None:
    """Once its writer closes; a folder that was there stays."""
    (tmp_path / "old").mkdir()
    for name in ("old", "new"):
        files = LocalFiles(tmp_path / name)
        files.draft("half").write_text("half")
        files.close()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["old"]


def test_a_place_that_does_not_answer_holds_nobody_up(store: Path) -> None:
    """Neither an error of the storage nor an empty place is a refusal."""

    def fails(place: str) -> Files:
        raise PermissionError(place)

    PlaceCheck(str(store), Past(), fails).wait(PATIENCE_S)
    PlaceCheck(str(store), Past()).wait(PATIENCE_S)
    assert check_claim(files_at("memory://nothing/here"), "there", Past()) is None


def test_a_journal_in_short_knows_where_its_turns_ended(tmp_path: Path) -> None:
    """The last event of each; nothing of a turn that is not its own."""
    with Journal(tmp_path) as journal:
        what = spec().to_json()
        journal.append(*completed(0, 0.1), SweepResumed(spec=what), *completed(1, 0.1), SweepResumed(spec=what))
        count = journal.seq
    past = Past.of(tmp_path / "journal.db")
    (first, _), (second, _) = past.sessions
    assert [past.end_of(past.id(index)) for index in (0, 1)] == [second - 1, count]
    assert (past.seq, second, first < second) == (count, count, True)
    assert past.end_of("1-0.5") is None


@pytest.mark.parametrize(
    ("name", "seq"), [("journal-000000000123.db", 123), ("journal-.db", 0), ("journal-x.db", 0), ("sweep.json", 0)]
)
def test_copies_are_known_by_their_names(name: str, seq: int) -> None:
    """And other files are not."""
    assert seq_of(name) == seq
