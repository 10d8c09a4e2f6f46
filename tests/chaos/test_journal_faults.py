"""A journal whose file is damaged, cut, locked, removed or replaced, on a full disk or the wrong file system."""

from __future__ import annotations

import logging
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kerasweep.search import cli
from kerasweep.spaces.errors import BadInput, Infrastructure, KerasweepError, SweepHeld
from kerasweep.spaces.trial import Report
from kerasweep.trackers.events import Event, Noticed, Reported
from kerasweep.trackers.journal import FORMAT, Journal, Lock, Reader
from kerasweep.trackers.steady_clock import SteadyClock

from .invariants import check, entries, in_fake
from .world import TRIALS, World

LONG = "KERASWEEP_CHAOS" in os.environ
FRAME = 24 + 4096
"""A page of SQLite's write-ahead log with its header; the log's own header has 32 bytes."""


def many(count: int) -> list[Event]:
    """Return events of different sizes."""
    reports = [
        Reported(trial=0, attempt=1, report=Report(epoch=n + 1, metrics={"loss": 1 / (n + 1)})) for n in range(count)
    ]
    return [event for n, one in enumerate(reports) for event in (one, Noticed(text=f"event {n} " + "x" * (n % 190)))]


def contents(folder: Path) -> list[tuple[int, float, str]]:
    """Return all that a reader makes of a journal."""
    return [(one.seq, one.at, repr(one.event)) for one in entries(folder)]


# Damage ---------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quiet")
def test_a_log_cut_at_any_byte_is_the_beginning_of_the_sweep(home: Path) -> None:
    """Whatever of the log a power cut leaves, a prefix in whole commits is read, and the sweep comes to the same end."""
    whole = World(home / "whole")
    with whole.driver() as driver, whole.tracker() as tracker:
        while driver.turn():
            tracker.turn()
        log = (whole.folder / "journal.db-wal").read_bytes()
        shutil.copy(whole.folder / "journal.db", home / "main.db")
    before = contents(whole.folder)
    borders = [32 + FRAME * count for count in range(len(log) // FRAME + 1)]
    near = [border + step for border in borders for step in (-1, 0, 1, 23, 24, 25)]
    offsets = range(len(log) + 1) if LONG else sorted({0, 1, 31, *near[:: max(1, len(near) // 70)], len(log)})
    found: set[int] = set()
    for offset in offsets:
        world = World(home / "cut" / str(offset))
        shutil.copy(home / "main.db", world.folder / "journal.db")
        (world.folder / "journal.db-wal").write_bytes(log[:offset])
        there = contents(world.folder)
        assert there == before[: len(there)]
        if len(there) not in found:
            found.add(len(there))
            world.clock.now = whole.clock.now
            world.run()
            check(world.folder, trials=TRIALS, runs=in_fake(world.mlflow), like=whole.folder)
    assert len(found) > 15
    assert len(before) in found


def opened(folder: Path, before: list[tuple[int, float, str]]) -> KerasweepError | None:
    """Open a journal; return how it was refused, None where all is as before."""
    try:
        with Journal(folder):
            assert contents(folder) == before
    except KerasweepError as error:
        return error
    return None


def test_a_flipped_bit_or_a_cut_is_refused_or_harmless(home: Path) -> None:
    """Wherever in the file: the events are what they were, or one line says that it is damaged; it is never touched."""
    source, folder = home / "source", home / "damaged"
    source.mkdir()
    folder.mkdir()
    with Journal(source) as journal:
        journal.append(*many(60))
    whole, before = (source / "journal.db").read_bytes(), contents(source)
    seed = random.randrange(10**6)
    draw = random.Random(seed)
    places = range(len(whole)) if LONG else [*range(0, 112, 2), *draw.sample(range(len(whole)), 100)]
    broken = [whole[:at] + bytes([whole[at] ^ 1 << draw.randrange(8)]) + whole[at + 1 :] for at in places]
    broken += [whole[:size] for size in draw.sample(range(len(whole)), 30)]
    refused = 0
    for damaged in broken:
        for path in folder.iterdir():
            path.unlink()
        (folder / "journal.db").write_bytes(damaged)
        error = opened(folder, before)
        if error is not None:
            refused += 1
            assert (folder / "journal.db").read_bytes() == damaged, f"seed {seed}"
            assert "\n" not in str(error)
            assert error.exit_code == 3 or "upgrade Kerasweep" in str(error)
            assert Lock.holder(folder / "journal.lock") is None
    assert refused > len(broken) // 3


def test_a_schema_that_was_changed_does_not_pass_for_an_empty_journal(home: Path) -> None:
    """One flipped bit in `PRIMARY KEY` and SQLite finds no row, and nothing wrong."""
    with Journal(home) as journal:
        journal.append(*many(3))
    path = home / "journal.db"
    path.write_bytes(path.read_bytes().replace(b"seq INTEGER PRIMARY", b"seq INTEGEZ PRIMARY"))
    with pytest.raises(Infrastructure, match="damaged in its schema"):
        Reader(home)


def test_a_page_that_hides_its_last_rows_is_found(home: Path) -> None:
    """Rows that vanish at the end leave no gap, and each that is left is sound: the pages themselves are looked at."""
    with Journal(home) as journal:
        journal.append(*many(60))
    path = home / "journal.db"
    data = bytearray(path.read_bytes())
    pages = [
        at for at in range(4096, len(data), 4096) if data[at] == 13
    ]  # leaves of a table, at bytes 3 and 4 their rows
    last = max(pages, key=lambda at: bytes(data[at : at + 4096]).rfind(b"event 59 "))
    count = int.from_bytes(data[last + 3 : last + 5], "big")
    data[last + 3 : last + 5] = (count - 2).to_bytes(2, "big")
    path.write_bytes(data)
    assert len(entries(home)) == 118
    with pytest.raises(Infrastructure, match=r"is damaged \(.*\); it was left as it is"):
        Journal(home)
    assert path.read_bytes() == data


def test_a_missing_row_is_found(home: Path) -> None:
    """Numbers have no gap: also an event that is gone without a trace is missed."""
    with Journal(home) as journal:
        journal.append(*many(3))
    db = sqlite3.connect(home / "journal.db", isolation_level=None)
    db.execute("DELETE FROM events WHERE seq = 4")
    db.close()
    with pytest.raises(Infrastructure, match="damaged at event 4"):
        Journal(home)


# Commands -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def sweep(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of an interrupted sweep that the command line finds."""
    world = World(home / "sweeps" / "small")
    with world.driver() as driver:
        for _ in range(4):
            driver.turn()
    monkeypatch.chdir(home)
    monkeypatch.delenv("KERASWEEP_DIR", raising=False)
    return world.folder


def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Run a command in this process; return its exit code and what it complained of."""
    monkeypatch.setattr("sys.argv", ["kerasweep", *words])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0, said
    code = exit_.value.code
    return code if isinstance(code, int) else 0, said


@pytest.mark.parametrize("words", [("resume", "small"), ("show", "small"), ("best", "small")])
def test_every_command_refuses_a_damaged_journal_in_one_line(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """Exit code 3, the file as it was, where a copy is."""
    path = sweep / "journal.db"
    path.write_bytes(broken := path.read_bytes().replace(b"learning", b"lerning_").replace(b'"attempt"', b'"attemqt"'))
    (sweep / "sweep.json").write_text('{"name": "small", "storage": "/mnt/copies"}')
    code, said = command(monkeypatch, capsys, *words)
    assert code == 3, said
    assert "`kerasweep resume /mnt/copies/small`" in said
    assert path.read_bytes() == broken


def test_a_newer_journal_is_refused_in_one_line(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, the file as it was."""
    path = sweep / "journal.db"
    data = bytearray(path.read_bytes())
    data[60:64] = (FORMAT + 1).to_bytes(4, "big")
    path.write_bytes(data)
    code, said = command(monkeypatch, capsys, "resume", "small")
    assert (code, "upgrade Kerasweep" in said) == (2, True)
    assert path.read_bytes() == data


def test_a_second_driver_exits_with_4_and_names_the_first(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pid and host, and what to do."""
    with Journal(sweep):
        code, said = command(monkeypatch, capsys, "resume", "small")
    assert code == 4
    assert f"pid {os.getpid()} on {os.uname().nodename}" in said


# Two drivers ----------------------------------------------------------------------------------------------------------


def test_of_two_drivers_at_once_one_has_the_sweep_a_hundred_times(home: Path) -> None:
    """Both start at one instant: one writes, the other is told who does; also where there was no journal yet."""
    for number in range(100):
        folder = home / str(number)
        folder.mkdir()
        start, done = threading.Barrier(2), threading.Barrier(2)
        refused: list[SweepHeld] = []

        def drive(folder: Path = folder, start: threading.Barrier = start, done: threading.Barrier = done) -> None:
            start.wait(20)
            try:
                with Journal(folder) as journal:
                    journal.append(Noticed(text="mine"))
                    done.wait(20)
            except SweepHeld as error:
                refused.append(error)  # noqa: B023
                done.wait(20)

        threads = [threading.Thread(target=drive) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        (error,) = refused
        assert error.exit_code == 4
        assert f"held by pid {os.getpid()} on {os.uname().nodename} since" in str(error)
        assert [type(one.event) for one in entries(folder)] == [Noticed]


# The disk -------------------------------------------------------------------------------------------------------------


def test_however_little_room_is_left_a_commit_is_whole_or_not_there(home: Path) -> None:
    """A real limit on the file's size: the append fails, what was before stands, and writing goes on with room again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in range(0, 3 * FRAME, 64 if LONG else 640):
        folder = home / str(room)
        folder.mkdir()
        with Journal(folder) as journal:
            journal.append(Noticed(text="before"))
            size = (folder / "journal.db-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, hard))
            try:
                with pytest.raises(Infrastructure, match="free the disk, then resume"):
                    journal.append(Noticed(text="x" * 12_000))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert [one.event for one in entries(folder)] == [Noticed(text="before")]
            journal.append(Noticed(text="after"))
        assert [one.event for one in entries(folder)] == [Noticed(text="before"), Noticed(text="after")]


@pytest.mark.usefixtures("quiet")
def test_reports_whose_own_commit_finds_no_room_are_in_the_next(home: Path) -> None:
    """A failed `tick` loses no report and leaves no gap in the numbers."""
    world = World(home)
    with Journal(home, connect=world.connect) as journal:
        journal.append_soon(Noticed(text="a report"))

        def touch(_what: str) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        world.touch = touch
        for _ in range(5):
            time.monotonic()  # a second passes
        with pytest.raises(Infrastructure, match="disk is full"):
            journal.tick()
        world.touch = lambda _what: None
        journal.append(Noticed(text="an end"))
    assert [one.event for one in entries(home)] == [Noticed(text="a report"), Noticed(text="an end")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place], check=False, capture_output=True)
    if made.returncode:
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.usefixtures("quiet")
def test_a_sweep_on_a_full_disk_ends_and_is_resumed_with_room(small_disk: Path, home: Path) -> None:
    """A real disk with room for so much: journal, memo or both run full; freed, the sweep comes to its end."""
    undisturbed = World(home / "undisturbed")
    undisturbed.run()
    full = 0
    for room_kb in range(16, 400, 8 if LONG else 64):
        world = World(small_disk / "sweep")
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"")
        free = os.statvfs(small_disk)
        ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - room_kb * 1024)))
        try:
            world.run()
        except (KerasweepError, sqlite3.Error):
            full += 1
        ballast.unlink()
        world.run()
        check(world.folder, trials=TRIALS, runs=in_fake(world.mlflow), like=undisturbed.folder)
        shutil.rmtree(world.folder)
    assert full > 1


def test_a_locked_journal_is_waited_for_and_that_is_said(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another program holds the database for a while: nothing is lost, the log says what the driver waits for."""
    other = sqlite3.connect(home / "journal.db", isolation_level=None, check_same_thread=False)
    other.close()
    (home / "journal.db").unlink()
    with Journal(home, patience_s=20.0) as journal, caplog.at_level(logging.WARNING):
        other = sqlite3.connect(home / "journal.db", isolation_level=None, check_same_thread=False)
        other.execute("BEGIN EXCLUSIVE")

        def let_go() -> None:
            while "waiting" not in caplog.text:
                time.sleep(0.01)
            other.execute("ROLLBACK")

        thread = threading.Thread(target=let_go)
        thread.start()
        journal.append(Noticed(text="late"))
        thread.join(20)
        other.close()
    assert [one.event for one in entries(home)] == [Noticed(text="late")]


def test_a_removed_journal_is_written_back(home: Path) -> None:
    """Somebody deletes the file under its driver: the next commit has all of it, and the log, anew."""
    with Journal(home) as journal:
        journal.append(*many(5))
        for path in home.glob("journal.db*"):
            path.unlink()
        journal.append(Noticed(text="after"))
        assert len(entries(home)) == 11
        journal.append(Noticed(text="and on"))
    assert [one.event for one in entries(home)][-2:] == [Noticed(text="after"), Noticed(text="and on")]
    with Journal(home) as journal:
        assert journal.seq == 12


def test_a_journal_in_another_ones_place_is_not_written_to(home: Path) -> None:
    """A file restored by hand under a living driver, or a folder that is gone: the driver ends, nothing is mixed."""
    folder = home / "sweep"
    folder.mkdir()
    with pytest.raises(Infrastructure, match="cannot be written back"), Journal(folder) as journal:  # noqa: PT012
        journal.append(*many(2))
        shutil.copy(folder / "journal.db", home / "copy.db")
        (home / "copy.db").rename(folder / "journal.db")
        with pytest.raises(Infrastructure, match="was replaced under its driver"):
            journal.append(Noticed(text="no"))
        shutil.rmtree(folder)
        journal.append(Noticed(text="no"))


def test_a_file_system_that_has_no_shared_memory_is_refused(home: Path) -> None:
    """SQLite itself answers that it cannot keep a write-ahead log there: no journal is left, and the mend is named."""

    def connect(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(f"{path.as_uri()}?vfs=unix-dotfile", uri=True, isolation_level=None)

    with pytest.raises(BadInput, match=r"WAL is not safe; choose a local disk with --dir, and `storage:`"):
        Journal(home, connect=connect)
    assert [path.name for path in home.iterdir()] == ["journal.lock"]


# Time -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, -1e9])
def test_the_clock_of_the_machine_may_jump(home: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float) -> None:
    """Within a driver's run it moves nothing; the next driver starts no earlier than the last event."""
    with Journal(home) as journal:
        (first,) = journal.append(Noticed(text="before"))
        wall = time.time
        monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
        (second,) = journal.append(Noticed(text="after"))
        assert 0 <= second.at - first.at < 60
    with Journal(home) as journal:
        (third,) = journal.append(Noticed(text="another run"))
        (fourth,) = journal.append(Noticed(text="and on"))
    assert third.at >= second.at
    assert third.at - second.at < max(60, jump_s + 60)
    assert fourth.at > third.at, "time does not stand still until the clock has caught up"


def test_a_steady_clock_counts_seconds() -> None:
    """As fast as any clock."""
    clock = SteadyClock()
    before, began = clock(), time.monotonic()
    time.sleep(0.02)
    assert clock() - before == pytest.approx(time.monotonic() - began, abs=0.05)
    clock.not_before(before + 100)
    assert clock() >= before + 100


# Folders --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def read_only(home: Path, sweep: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder of a sweep in which nothing can be written, also not by root."""
    with monkeypatch.context() as patch:  # what it imports late may be what only root can read
        patch.setattr("sys.argv", ["kerasweep", "show", "small"])
        with pytest.raises(SystemExit):
            cli.main()
    home.chmod(0o755)
    (home / "sweeps").chmod(0o755)
    for path in sweep.iterdir():
        path.chmod(0o444)
    sweep.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield sweep
    if root:
        os.seteuid(0)
    sweep.chmod(0o755)


def test_a_sweep_that_cannot_be_written_is_shown_but_not_resumed(
    read_only: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and the mend; what is there is read without a file beside it."""
    before = sorted(read_only.iterdir())
    monkeypatch.setattr("sys.argv", ["kerasweep", "show", "small"])
    with pytest.raises(SystemExit) as shown:
        cli.main()
    assert shown.value.code in (None, 0)
    assert "acc" in capsys.readouterr().out
    with pytest.raises(BadInput, match=r"cannot write in .*: Permission denied; make it writable, or copy it"):
        Journal(read_only)
    assert sorted(read_only.iterdir()) == before


def test_a_killed_sweep_in_a_read_only_folder_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log cannot be read there."""
    with Journal(home) as journal:
        journal.append(Noticed(text="in the log"))
        copy = home / "copy"
        copy.mkdir()
        for name in ("journal.db", "journal.db-wal"):
            shutil.copy(home / name, copy)

    def refuse(path: Path, mode: int, **options: bool) -> bool:
        del path, mode, options
        return False

    monkeypatch.setattr(os, "access", refuse)
    with pytest.raises(BadInput, match="copy it to where you can write"):
        Reader(copy)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", ["with spaces", "ümläut-日本", "a'b\"c", "per%20cent", "que?ry#hash", "new\nline"])
def test_a_folder_may_have_any_name_and_stand_behind_a_link(home: Path, name: str) -> None:
    """Journal, memo and lock work in it, also by way of a symbolic link, and after a move."""
    world = World(home / name / "sweep")
    (home / "link").symlink_to(home / name)
    world.folder = home / "link" / "sweep"
    with world.driver() as driver:
        driver.turn()
        with pytest.raises(SweepHeld):
            Journal(home / name / "sweep")
    (home / name).rename(home / "moved")
    world.folder = home / "moved" / "sweep"
    world.run()
    check(world.folder, trials=TRIALS, runs=in_fake(world.mlflow), processes=list)


# Libraries ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'ray.tune'", name="ray.tune"), "ray is not installed"),
        (ImportError("cannot import name 'Runs'", name="mlflow"), "mlflow is not the version that kerasweep needs"),
    ],
)
def test_a_library_that_is_missing_or_too_old_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: ImportError, words: str
) -> None:
    """Exit code 3, which library, and the command that mends it; no traceback."""

    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("kerasweep.search.reading.list_command", broken)
    monkeypatch.setattr(
        "kerasweep.search.cli.app", lambda: __import__("kerasweep.search.reading", fromlist=["x"]).list_command()
    )
    code, said = command(monkeypatch, capsys, "list")
    assert code == 3
    assert words in said
    assert "pip install" in said
