"""Tests of `kerasweep.trackers.journal` and of the form of its events."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasweep.spaces.errors import BadInput, Infrastructure, SweepHeld
from kerasweep.spaces.trial import Cause, Outcome, OutcomeKind, Report
from kerasweep.trackers import journal as journal_module
from kerasweep.trackers.events import (
    KINDS,
    AttemptEnded,
    AttemptStarted,
    Differed,
    Event,
    GraphicsMeasured,
    Noticed,
    ParametersUsed,
    Reported,
    RoundEnded,
    SlotsPacked,
    StartingPoints,
    SweepAmended,
    SweepClosing,
    SweepEnded,
    SweepRestored,
    SweepResumed,
    SweepStarted,
    Timed,
    TrialAsked,
    TrialEnded,
    TrialRetried,
    decode,
    encode,
)
from kerasweep.trackers.filesystem import filesystem_of
from kerasweep.trackers.journal import FORMAT, GROUP_S, Journal, Lock, Reader

from ..strategies import events

PATIENCE_S = 20.0


def notice(index: int) -> Noticed:
    """Return an event that tells which one it is."""
    return Noticed(text=f"event {index}")


def report(epoch: int, size: int = 0) -> Reported:
    """Return a report, `size` characters longer than need be."""
    return Reported(trial=0, attempt=1, report=Report(epoch=epoch, metrics={"loss" + "s" * size: 1.0 / epoch}))


def read(folder: Path) -> list[Event]:
    """Return the events that a reader finds."""
    with Reader(folder) as reader:
        return [entry.event for entry in reader.after()]


def eventually(condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds; fail if it does not within `PATIENCE_S`."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


@contextmanager
def child(program: str, *arguments: object) -> Generator[subprocess.Popen[str]]:
    """Run a Python program with a journal's words imported; it is killed at the end, and says `ready` at some point."""
    words = (
        "import os, resource, signal, sys\n"
        "from pathlib import Path\n"
        "from kerasweep.spaces.errors import KerasweepError\n"
        "from kerasweep.spaces.trial import Report\n"
        "from kerasweep.trackers.events import Noticed, Reported\n"
        "from kerasweep.trackers.journal import Journal\n"
        "folder = Path(sys.argv[1])\n"
    )
    command = [sys.executable, "-c", words + program, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """Return the child's next line."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


HOLDER = "journal = Journal(folder); print('ready', flush=True); sys.stdin.readline()"


class StoppedClock:
    """A monotonic clock that moves when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


# Events ---------------------------------------------------------------------------------------------------------------


@given(events)
def test_every_event_reads_back_as_it_was_written(event: Event) -> None:
    """Kind, trial and body are the whole event, types included, whatever text it carries."""
    again = decode(*encode(event))
    assert again == event
    assert type(again) is type(event)
    encode(event)[2].encode("ascii")


SAMPLES: tuple[Event, ...] = (
    SweepStarted(spec={"name": "digits"}),
    SweepResumed(spec={"name": "digits"}),
    SweepRestored(why="from a copy"),
    SweepClosing(why="done", cancel=True, exit_code=130),
    SweepEnded(why="budget", exit_code=0),
    SweepAmended(settings={"budget.trials": 9}, spec={"name": "digits"}),
    StartingPoints(points=({"values": {"x": 1}, "of": "start.try.0"},), prior=({"values": {"x": 2}, "worse": 0.5},)),
    TrialRetried(trial=1, params={"x": 1}),
    TrialAsked(trial=1, seed=2, params={"x": 1}, history_seq=3),
    AttemptStarted(trial=1, attempt=2, round=1),
    RoundEnded(trial=1, attempt=1, round=0, specs=({"kind": "fixed"},), params={}),
    ParametersUsed(trial=1, attempt=1, params={"units": 8}, specs=({"kind": "fixed"},)),
    report(3),
    AttemptEnded(trial=1, attempt=1, cause=Cause.LOST, why="gone"),
    Differed(trial=1, epoch=3),
    TrialEnded(trial=1, attempt=1, outcome=Outcome(kind=OutcomeKind.COMPLETED, value=1.0, epoch=3)),
    Timed(trial=1, attempt=1, slot="a", pid=7, times={"start": 1.0}),
    GraphicsMeasured(trial=1, attempt=1, peak_bytes=7, total_bytes=9),
    SlotsPacked(share=0.25, why="room for four"),
    notice(0),
)


def test_there_is_a_sample_of_every_kind() -> None:
    """The next test leaves no kind out."""
    assert {type(event).__name__ for event in SAMPLES} == set(KINDS)


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_a_later_versions_field_is_left_out(event: Event) -> None:
    """A journal with one more field in a body is read by this version."""
    kind, trial, body = encode(event)
    assert decode(kind, trial, json.dumps({**json.loads(body), "from_the_future": 1})) == event


@settings(max_examples=20)
@given(st.lists(events, max_size=8))
def test_a_reader_finds_what_was_appended(many: list[Event]) -> None:
    """Events come back in order, numbered from 1, with the times that they were journaled at."""
    with TemporaryDirectory() as name:
        with Journal(Path(name), clock=lambda: 12.5) as journal:
            entries = [journal.append_soon(event) for event in many]
        with Reader(Path(name)) as reader:
            assert list(reader.after()) == entries
            assert reader.last_seq() == len(many)
        assert [(entry.seq, entry.at) for entry in entries] == [(index + 1, 12.5) for index in range(len(many))]


def test_a_reader_can_go_on_from_where_it_was(tmp_path: Path) -> None:
    """`after` yields what follows a number, at most as many as wanted."""
    with Journal(tmp_path) as journal:
        journal.append(*map(notice, range(5)))
    with Reader(tmp_path) as reader:
        assert [entry.seq for entry in reader.after(2)] == [3, 4, 5]
        assert [entry.seq for entry in reader.after(2, limit=2)] == [3, 4]
        assert not list(reader.after(5))


def test_a_reopened_journal_goes_on_counting(tmp_path: Path) -> None:
    """Numbers stay consecutive over any number of drivers."""
    for index in range(3):
        with Journal(tmp_path) as journal:
            assert journal.seq == index
            journal.append(notice(index))
    assert read(tmp_path) == [notice(0), notice(1), notice(2)]


# Grouping -------------------------------------------------------------------------------------------------------------


def test_reports_share_one_commit_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is appended soon is not there until a second has passed and somebody ticks."""
    clock = StoppedClock(monkeypatch)
    with Journal(tmp_path) as journal, Reader(tmp_path) as reader:
        journal.append_soon(report(1))
        clock.now += GROUP_S * 0.9
        journal.append_soon(report(2))
        journal.tick()
        assert reader.last_seq() == 0
        clock.now += GROUP_S * 0.2
        journal.tick()
        assert reader.last_seq() == 2


def test_the_second_begins_with_the_first_of_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a commit the next report waits for its own second."""
    clock = StoppedClock(monkeypatch)
    with Journal(tmp_path) as journal, Reader(tmp_path) as reader:
        journal.append_soon(report(1))
        clock.now += GROUP_S
        journal.tick()
        clock.now += 10 * GROUP_S
        journal.append_soon(report(2))
        journal.tick()
        assert reader.last_seq() == 1


def test_an_append_commits_the_pending_reports_before_it(tmp_path: Path) -> None:
    """A trial's end takes its reports along, in their order."""
    with Journal(tmp_path) as journal:
        journal.append_soon(report(1))
        journal.append(notice(1))
        assert read(tmp_path) == [report(1), notice(1)]


def test_closing_commits_what_is_pending(tmp_path: Path) -> None:
    """Nothing is left behind by a driver that ends in good order."""
    with Journal(tmp_path) as journal:
        journal.append_soon(report(1))
    assert read(tmp_path) == [report(1)]


def test_an_event_that_cannot_be_written_takes_none_with_it(tmp_path: Path) -> None:
    """An append is all or nothing, also where one of its events is no JSON; what was pending stays pending."""
    with Journal(tmp_path) as journal:
        journal.append_soon(report(1))
        broken = TrialAsked(trial=0, seed=0, params={}, history_seq=0, attrs={"x": object()})
        with pytest.raises(TypeError):
            journal.append(notice(1), broken)
        assert journal.seq == 1
        journal.append(notice(2))
    assert read(tmp_path) == [report(1), notice(2)]


# Death ----------------------------------------------------------------------------------------------------------------


def test_what_append_returned_for_outlives_a_kill(tmp_path: Path) -> None:
    """A process that kills itself right after `append` leaves all of it."""
    program = "journal = Journal(folder)\nfor n in range(7): journal.append(Noticed(text=f'event {n}'))\n"
    with child(program + "os.kill(os.getpid(), signal.SIGKILL)", tmp_path) as process:
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
    assert read(tmp_path) == [notice(index) for index in range(7)]


def test_each_commit_is_flushed_to_the_disk(tmp_path: Path) -> None:
    """Not only a process but the machine may die after `append`: the log is synchronized at every commit."""
    with Journal(tmp_path) as journal:
        pragmas = [
            journal._db.execute(f"PRAGMA {name}").fetchone()[0]  # pyright: ignore[reportPrivateUsage]
            for name in ("journal_mode", "synchronous")
        ]
    assert pragmas == ["wal", 2]


def test_what_is_pending_may_be_lost_but_is_never_torn(tmp_path: Path) -> None:
    """A kill before the shared commit leaves the journal as it was at the last one, and open for the next driver."""
    program = (
        "journal = Journal(folder)\njournal.append(Noticed(text='event 0'))\n"
        "for n in range(50): journal.append_soon(Reported(trial=0, attempt=1, report=Report(epoch=n + 1, metrics={})))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    with child(program, tmp_path) as process:
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
    assert read(tmp_path) == [notice(0)]
    with Journal(tmp_path) as journal:
        journal.append(notice(1))
    assert read(tmp_path) == [notice(0), notice(1)]


def test_a_kill_during_creation_leaves_no_half_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal appears whole or not at all; the next driver makes it anew."""
    rename = Path.rename

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", die)
    with pytest.raises(KeyboardInterrupt):
        Journal(tmp_path)
    assert not (tmp_path / "journal.db").exists()
    monkeypatch.setattr(Path, "rename", rename)
    with Journal(tmp_path) as journal:
        journal.append(notice(0))
    assert read(tmp_path) == [notice(0)]


def test_a_cut_write_ahead_log_replays_a_prefix(tmp_path: Path) -> None:
    """Wherever a power cut ends the log, what is read is the beginning of what was written, in whole transactions."""
    source, cut = tmp_path / "source", tmp_path / "cut"
    source.mkdir()
    groups = [[notice(0)], [report(1), report(2), notice(1)], [notice(2)], [report(3, size=9000), notice(3)]]
    whole = [[event for group in groups[:count] for event in group] for count in range(len(groups) + 1)]
    found: list[int] = []
    with Journal(source) as journal:
        for group in groups:
            journal.append(*group)
        log = (source / "journal.db-wal").read_bytes()
        for size in [*range(0, len(log), 997), len(log) - 1, len(log)]:
            cut.mkdir()
            shutil.copy(source / "journal.db", cut)
            (cut / "journal.db-wal").write_bytes(log[:size])
            there = read(cut)
            assert there in whole
            found.append(len(there))
            with Journal(cut) as again:
                again.append(notice(99))
            assert read(cut) == [*there, notice(99)]
            shutil.rmtree(cut)
    assert found == sorted(found)
    assert set(found) == {len(events) for events in whole}


# One writer -----------------------------------------------------------------------------------------------------------


def test_a_second_driver_is_told_who_the_first_is(tmp_path: Path) -> None:
    """One process writes; the other learns its pid, and what to do."""
    with child(HOLDER, tmp_path) as process:
        assert line(process) == "ready"
        with pytest.raises(SweepHeld, match=rf"pid {process.pid} on .*; stop that driver first"):
            Journal(tmp_path)
        holder = Lock.holder(tmp_path / "journal.lock")
        assert holder is not None
        assert holder.startswith(f"pid {process.pid} ")


def test_a_stopped_driver_keeps_its_sweep_and_goes_on(tmp_path: Path) -> None:
    """The lock is the kernel's: SIGSTOP does not free it, and the driver, woken, writes on."""
    program = HOLDER + "; journal.append(Noticed(text='event 0')); print('written', flush=True); sys.stdin.readline()"
    with child(program, tmp_path) as process:
        assert line(process) == "ready"
        process.send_signal(signal.SIGSTOP)
        status = Path(f"/proc/{process.pid}/stat")
        eventually(lambda: status.read_text().rsplit(")", 1)[1].split()[0] == "T")
        with pytest.raises(SweepHeld):
            Journal(tmp_path)
        process.send_signal(signal.SIGCONT)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert line(process) == "written"
        assert read(tmp_path) == [notice(0)]


def test_a_dead_driver_frees_its_sweep_at_once(tmp_path: Path) -> None:
    """After a kill -9 the next driver opens the journal; nobody is named as its holder."""
    with child(HOLDER, tmp_path) as process:
        assert line(process) == "ready"
        process.kill()
        process.wait(PATIENCE_S)
        assert Lock.holder(tmp_path / "journal.lock") is None
        with Journal(tmp_path) as journal:
            journal.append(notice(0))


def test_a_closed_journal_is_free(tmp_path: Path) -> None:
    """The same process can open it again, and no holder is named in between."""
    for _ in range(2):
        Journal(tmp_path).close()
        assert Lock.holder(tmp_path / "journal.lock") is None


def test_a_lock_that_was_never_taken_has_no_holder(tmp_path: Path) -> None:
    """To ask who holds a sweep makes no file."""
    assert Lock.holder(tmp_path / "journal.lock") is None
    assert not list(tmp_path.iterdir())


def test_readers_of_another_process_see_a_growing_prefix(tmp_path: Path) -> None:
    """While a driver writes, a reader sees at each look what it saw before and possibly more, always whole."""
    program = (
        "journal = Journal(folder)\nprint('ready', flush=True)\n"
        "for n in range(200):\n"
        "    if n == 100: sys.stdin.readline()\n"
        "    journal.append(Noticed(text=f'event {2 * n}'), Noticed(text=f'event {2 * n + 1}'))\n"
        "sys.stdin.readline()"
    )
    everything, seen, looks = [notice(index) for index in range(400)], 0, 0
    with child(program, tmp_path) as process:
        assert line(process) == "ready"
        with Reader(tmp_path) as reader:
            deadline = time.monotonic() + PATIENCE_S
            while seen < len(everything) and time.monotonic() < deadline:
                there = [entry.event for entry in reader.after()]
                assert there == everything[: len(there)]
                assert len(there) % 2 == 0
                assert len(there) >= seen
                seen, looks = len(there), looks + 1
                if looks == 1:
                    assert process.stdin is not None
                    process.stdin.write("\n")
                    process.stdin.flush()
    assert seen == len(everything)
    assert looks > 1


# Files that are not what they should be -----------------------------------------------------------------------------------


def made(folder: Path) -> Path:
    """Make a journal of ten events in `folder`, closed, and return its file."""
    with Journal(folder) as journal:
        journal.append(*map(notice, range(10)))
    return folder / "journal.db"


@pytest.mark.parametrize("opens", [Journal, Reader])
def test_a_newer_format_is_refused_and_left_as_it_is(tmp_path: Path, opens: Callable[[Path], object]) -> None:
    """A journal of a later version: one line with what to do, and not a byte of it changed, nor a file beside it."""
    path = made(tmp_path)
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    db.close()
    before, beside = path.read_bytes(), sorted(tmp_path.iterdir())
    with pytest.raises(BadInput, match=f"format {FORMAT + 1}.*upgrade Kerasweep"):
        opens(tmp_path)
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == beside


@pytest.mark.parametrize("opens", [Journal, Reader])
@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0" + bytes(84), bytes(4096)])
def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, opens: Callable[[Path], object], content: bytes) -> None:
    """An empty file, a text, another program's database: refused, and left as it is."""
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with pytest.raises(Infrastructure, match=r"is not a Kerasweep journal.*left as it is"):
        opens(tmp_path)
    assert path.read_bytes() == content


def test_there_is_nothing_to_read_where_no_sweep_is(tmp_path: Path) -> None:
    """A reader of an empty folder says which command lists the sweeps, and makes no file."""
    with pytest.raises(BadInput, match="kerasweep list"):
        Reader(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        "body = replace(body, 'event 4', 'event 7')",
        "trial = 5",
        "at = at + 1",
        "kind = 'SweepEnded'",
        "crc = crc + 1",
    ],
)
def test_a_changed_row_is_found_and_named(tmp_path: Path, damage: str) -> None:
    """The checksum is over all columns: the events before a damaged one are read, it and the others are not."""
    path = made(tmp_path)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"UPDATE events SET {damage} WHERE seq = 5")  # noqa: S608
    db.close()
    there: list[Event] = []
    with Reader(tmp_path) as reader, pytest.raises(Infrastructure, match="damaged at event 5"):  # noqa: PT012
        for entry in reader.after():
            there.append(entry.event)
    assert there == [notice(index) for index in range(4)]


def test_a_flipped_byte_in_the_file_never_passes_for_another_event(tmp_path: Path) -> None:
    """Whichever byte of the text of an event flips on disk, no reader shows a changed event."""
    path = made(tmp_path)
    whole = path.read_bytes()
    start = whole.index(b"event 4")
    for offset in range(start, start + 7):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        with pytest.raises(Infrastructure, match="damaged at event 5"):
            read(tmp_path)


def test_a_broken_database_is_an_infrastructure_error_for_reader_and_writer(tmp_path: Path) -> None:
    """Where SQLite itself cannot make sense of the file, both ends say so in one line, and the lock is free again."""
    path = made(tmp_path)
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * (path.stat().st_size - 100))
    broken = path.read_bytes()
    with pytest.raises(Infrastructure, match="left as it is"):
        Journal(tmp_path)
    with pytest.raises(Infrastructure, match="left as it is"):
        read(tmp_path)
    assert path.read_bytes() == broken
    assert Lock.holder(tmp_path / "journal.lock") is None


def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """Whatever the umask, nobody else reads a journal, its log or its lock."""
    before = os.umask(0)
    try:
        with Journal(tmp_path) as journal:
            journal.append(notice(0))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes.keys() >= {"journal.db", "journal.db-wal", "journal.lock"}
    assert set(modes.values()) == {0o600}


# File systems ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/home/me", "ext4"),
        ("/data", "nfs4"),
        ("/data/sweeps/one", "nfs4"),
        ("/database", "ext4"),
        ("/data/fast/one", "xfs"),
        ("/my disk/one", "cifs"),
        ("/twice/one", "nfs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path, path: str, kind: str) -> None:
    """The longest mount point above a path counts, and of two on one point the later."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda1 / ext4 rw 0 0\nserver:/data /data nfs4 rw 0 0\n/dev/sdb1 /data/fast xfs rw 0 0\n"
        "//server/x /my\\040disk cifs rw 0 0\nauto /twice autofs rw 0 0\nserver:/twice /twice nfs rw 0 0\n"
    )
    assert filesystem_of(Path(path), mounts) == kind


def test_where_mounts_cannot_be_told_nothing_is_claimed(tmp_path: Path) -> None:
    """A system without /proc/mounts gives an empty answer."""
    assert filesystem_of(tmp_path, tmp_path / "none") == ""


def test_a_network_file_system_is_refused_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No journal is made where SQLite's write-ahead log is not safe."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path.resolve()} nfs4 rw 0 0\n")

    def injected(folder: Path) -> str:
        return filesystem_of(folder, mounts)

    monkeypatch.setattr(journal_module, "filesystem_of", injected)
    with pytest.raises(BadInput, match=r"is on nfs4.*choose a local disk with --dir"):
        Journal(tmp_path)
    assert list(tmp_path.iterdir()) == [mounts]


# A full disk ----------------------------------------------------------------------------------------------------------


FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(folder)
journal.append(Noticed(text='event 0'))
log = folder / 'journal.db-wal'
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + int(sys.argv[2]), hard))
try:
    journal.append(Noticed(text='x' * 20_000), Noticed(text='event 1'))
except KerasweepError as error:
    print(type(error).__name__, error.exit_code, error, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
if sys.argv[3] == 'freed':
    journal.append(Noticed(text='event 1'))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("room", [0, 1, 4096, 5000, 12_000])
@pytest.mark.parametrize("then", ["killed", "freed"])
def test_a_full_disk_costs_only_what_was_being_written(tmp_path: Path, room: int, then: str) -> None:
    """A commit without room fails as a whole, in one line; what was journaled stays, and writing goes on once freed."""
    with child(FULL, tmp_path, room, then) as process:
        said = line(process)
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
    assert said.startswith("Infrastructure 3 cannot write")
    assert said.endswith("what was journaled before is safe: free the disk, then resume")
    assert read(tmp_path) == [notice(0), *([notice(1)] if then == "freed" else [])]
    with Journal(tmp_path) as journal:
        journal.append(notice(2))
    assert read(tmp_path)[-1] == notice(2)


def impatient(path: Path) -> sqlite3.Connection:
    """Return a connection that does not wait for a lock."""
    return sqlite3.connect(path, isolation_level=None, timeout=0.0)


def test_pending_reports_wait_for_a_commit_that_succeeds(tmp_path: Path) -> None:
    """A commit that fails loses no report: the next one that goes through has them all, numbered without a gap."""
    with (
        Journal(tmp_path, connect=impatient, patience_s=0.0) as journal,
        sqlite3.connect(tmp_path / "journal.db", isolation_level=None) as other,
    ):
        journal.append_soon(report(1))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Infrastructure, match="locked"):
            journal.append(notice(1))
        other.execute("ROLLBACK")
        journal.append(notice(2))
        with Reader(tmp_path) as reader:
            assert [(entry.seq, entry.event) for entry in reader.after()] == [(1, report(1)), (2, notice(2))]
    other.close()


def test_a_journal_that_cannot_commit_at_its_end_still_frees_the_sweep(tmp_path: Path) -> None:
    """A full disk at closing is an error, but not a lock that nobody can release."""
    journal = Journal(tmp_path)
    journal._db.execute("PRAGMA query_only = ON")  # pyright: ignore[reportPrivateUsage]
    journal.append_soon(report(1))
    with pytest.raises(Infrastructure):
        journal.close()
    with Journal(tmp_path) as again:
        again.append(notice(0))
    assert read(tmp_path) == [notice(0)]


def test_a_lock_that_may_not_be_read_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is another user's; who holds it cannot be known."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BadInput, match=r"cannot read .*journal.lock: Permission denied"):
        Lock.holder(tmp_path / "journal.lock")
