"""Tests of `kerasweep.search.doctor`, what it checks, and what it mends."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, cast

import psutil
import pytest

from kerasweep.cluster.checkpoint_files import FILES
from kerasweep.cluster.local_cluster import HOME, LocalCluster
from kerasweep.cluster.slot import LOGS
from kerasweep.search import doctor
from kerasweep.search.checks import TESTED, Check, State
from kerasweep.search.job import ALIVE, SCRATCH
from kerasweep.search.leftovers import YOUNG_S, leftovers
from kerasweep.trackers.events import Event, SweepEnded, SweepStarted
from kerasweep.trackers.journal import Journal, Lock

from ..security.command import command
from ..test_packaging import locked
from .specs import spec

every = psutil.process_iter


class Usage(NamedTuple):
    """What `shutil.disk_usage` returns."""

    total: int
    used: int
    free: int


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder; the temporary folder is one of its own, so that no other sweep's are seen."""
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    monkeypatch.setattr(psutil, "process_iter", lambda: (one for one in every() if is_of(tmp_path, one)))
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.delenv("KERASWEEP_DIR", raising=False)
    return tmp_path / "home"


def is_of(folder: Path, process: psutil.Process) -> bool:
    """Say whether a process is one of the test's: other sweeps may run on this machine."""
    try:
        return process.environ().get(SCRATCH, "").startswith(str(folder))
    except psutil.Error:
        return False


def examined(*words: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """Return the exit code of `doctor --quick --json` and its checks by name."""
    said = command("doctor", "--quick", "--json", *words)
    assert said.error == ""
    data = json.loads(said.out)
    found: dict[str, list[dict[str, str]]] = {}
    for one in data["checks"]:
        found.setdefault(one["name"], []).append(one)
    assert data["ok"] == (said.code == 0)
    return said.code, found


def made(home: Path, name: str, *events: Event) -> Path:
    """Make a sweep in which these things happened."""
    folder = home / "sweeps" / name
    (folder / "logs").mkdir(parents=True)
    with Journal(folder) as journal:
        journal.append(SweepStarted(spec=spec(name=name).to_json()), *events)
    return folder


def aged(path: Path) -> Path:
    """Make a folder old enough to be left over."""
    path.mkdir(exist_ok=True)
    old = time.time() - YOUNG_S - 10
    os.utime(path, (old, old))
    return path


# What is installed -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("home")
def test_a_sound_machine_passes() -> None:
    """All checks are there, none is bad, and it is said in a line each."""
    code, found = examined()
    assert code == 0, found
    assert {"python", "versions", "disk", "memory", "open files", "folder", "clock", "leftovers"} <= found.keys()
    assert not [one for group in found.values() for one in group if one["state"] == "bad"]
    said = command("doctor", "--quick")
    assert said.code == 0
    assert "sweeps can run here" in said.out.splitlines()[-1]


def test_the_tested_versions_are_those_of_the_lock() -> None:
    """Nobody has to remember to change them."""
    versions = {name: {str(one) for one in locked()[name]} for name in TESTED}
    assert {name: version for name, version in TESTED.items() if version not in versions[name]} == {}


@pytest.mark.usefixtures("home")
def test_a_version_that_is_too_old_is_bad_and_an_untested_one_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that mends it."""
    real = importlib.metadata.version
    fake = {"mlflow": "2.1.0", "optuna": "5.9.0"}

    def version(name: str) -> str:
        return fake.get(name) or real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    code, found = examined()
    bad, note = found["versions"]
    assert code == 1
    assert (bad["state"], "mlflow 2.1.0; kerasweep needs mlflow" in bad["said"]) == ("bad", True)
    assert bad["mend"].startswith("pip install 'mlflow")
    assert (note["state"], "optuna 5.9.0 (5.0.0)" in note["said"]) == ("note", True)


@pytest.mark.parametrize(("free", "state", "code"), [(10**12, "ok", 0), (2 * 10**9, "note", 0), (10**8, "bad", 1)])
@pytest.mark.usefixtures("home")
def test_a_disk_that_is_nearly_full(free: int, state: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before a sweep finds out."""

    def usage(path: Path) -> Usage:
        del path
        return Usage(10**13, 0, free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    answer, found = examined()
    assert (answer, found["disk"][0]["state"]) == (code, state)


def test_a_folder_that_cannot_be_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by trying, not by looking at modes."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    code, found = examined()
    assert (code, found["folder"][0]["state"]) == (1, "bad")
    assert "Permission denied" in found["folder"][0]["said"]


@pytest.mark.usefixtures("home")
def test_a_clock_that_the_disk_does_not_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network's disk, or after the clock was set back."""
    real = os.stat

    class Later:
        st_dev = 1
        st_uid = 0
        st_mtime = time.time() + 3600

    def stat(path: Any, *rest: Any, **named: Any) -> Any:
        return Later if "kerasweep-doctor" in str(path) else real(path, *rest, **named)

    monkeypatch.setattr(os, "stat", stat)
    _, found = examined()
    assert (found["clock"][0]["state"], "+3600 s off" in found["clock"][0]["said"]) == ("note", True), found["clock"]


# What dead sweeps have left ---------------------------------------------------------------------------------------------


def test_scratch_folders_of_dead_drivers_are_removed_with_fix_only(home: Path, tmp_path: Path) -> None:
    """One whose driver lives is left alone, and so are a young one, a link and what has another name."""
    temporary = tmp_path / "tmp"
    dead, alive, young = aged(temporary / "ks-dead"), aged(temporary / "ks-alive"), temporary / "ks-young"
    young.mkdir()
    other = aged(temporary / "other")
    (temporary / "ks-link").symlink_to(other)
    lock = Lock(alive / ALIVE)
    lock.acquire()
    aged(alive)
    try:
        _, found = examined()
        (one,) = found["leftovers"]
        assert (one["state"], one["said"]) == ("note", f"1 scratch folder of dead drivers in {temporary}")
        assert dead.exists()
        _, found = examined("--fix")
        assert found["leftovers"][0]["said"].endswith(": mended")
    finally:
        lock.release()
    assert sorted(path.name for path in temporary.iterdir()) == ["ks-alive", "ks-link", "ks-young", "other"]


def test_a_folder_that_goes_while_it_is_looked_at_is_passed_over(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its driver has just ended and removed it."""
    temporary = tmp_path / "tmp"

    def gone_after(look: Callable[[Path], Any]) -> Callable[[Path], Any]:
        def looked(path: Path) -> Any:
            found = look(path)
            if path.parent == temporary:
                path.rmdir()
            return found

        return looked

    for name, look in (("is_dir", os.path.isdir), ("lstat", os.lstat)):  # whichever it looks at
        for folder in ("ks-ended", "ksc-ended", "kerasweep-ended"):
            aged(temporary / folder)
        with monkeypatch.context() as patched:
            patched.setattr(Path, name, gone_after(look))
            found = [one.said for one in leftovers(home, temporary)]
        assert any(temporary.iterdir()) or found == ["nothing of a dead sweep is left"]


def orphan(scratch: Path) -> int:
    """Start a process that is marked with a scratch folder and has lost its parent; return its id."""
    program = (
        "import os, subprocess, sys\n"
        f"marked = {{**os.environ, {SCRATCH!r}: {str(scratch)!r}}}\n"
        "nowhere = {name: subprocess.DEVNULL for name in ('stdin', 'stdout', 'stderr')}\n"
        "one = subprocess.Popen(['sleep', '60'], env=marked, start_new_session=True, **nowhere)\n"
        "print(one.pid, flush=True)\n"
        "os._exit(0)\n"
    )
    pid = int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)
    await_mark(pid)
    return pid


def await_mark(pid: int) -> None:
    """Wait until a process shows its scratch folder, which Linux does some time after the program has begun."""
    while psutil.Process(pid).environ().get(SCRATCH) is None:
        time.sleep(0.01)


def ended(pid: int) -> bool:
    """Say whether a process is gone within some seconds."""
    for _ in range(100):
        path = Path(f"/proc/{pid}/stat")
        if not path.exists() or path.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_orphans_of_a_dead_driver_are_ended_and_those_of_a_living_one_are_not(home: Path, tmp_path: Path) -> None:
    """Only what has lost its driver is touched."""
    dead, alive = aged(tmp_path / "tmp" / "ks-dead"), aged(tmp_path / "tmp" / "ks-alive")
    pid = orphan(dead)
    child = subprocess.Popen(["sleep", "60"], env={**os.environ, SCRATCH: str(alive)})  # this process is its driver
    await_mark(child.pid)
    try:
        said = {one.said for one in leftovers(home, tmp_path / "tmp") if str(tmp_path) in one.said}
        assert said == {f"1 process of a sweep whose driver is gone ({dead})"}
        for one in leftovers(home, tmp_path / "tmp"):
            if one.fix is not None and str(tmp_path) in one.said:
                one.fix()
        assert ended(pid)
        assert child.poll() is None
        assert (dead.exists(), alive.exists()) == (False, True)
    finally:
        child.kill()
        child.wait()


def test_sweeps_that_nobody_drives_or_delivers_are_named_with_the_command(home: Path) -> None:
    """One that lost its driver, one that MLflow lacks, those that cannot be read; not one that runs."""
    made(home, "lost")
    made(home, "undelivered", SweepEnded(why="budget", exit_code=0))
    for name, about in (("damaged", "{}"), ("copied", '{"name": "copied", "storage": "/mnt/x"}')):
        damaged = made(home, name) / "journal.db"
        damaged.write_bytes(damaged.read_bytes()[:100] + b"\0" * 5000)
        damaged.with_name("sweep.json").write_text(about)
    with closing(sqlite3.connect(made(home, "newer") / "journal.db")) as newer:
        newer.execute("PRAGMA user_version = 99")
    running = Lock(made(home, "running") / "journal.lock")
    running.acquire()
    try:
        code, found = examined()
    finally:
        running.release()
    mends = {one["mend"]: one["state"] for one in found["sweep"]}
    assert mends == {
        "kerasweep resume lost": "note",
        "kerasweep sync undelivered": "note",
        "no copy of it is known, since the sweep has no `storage`": "note",
        "its last copy is in /mnt/x/copied: `kerasweep resume /mnt/x/copied`": "note",
        "upgrade Kerasweep": "note",
    }
    assert code == 0
    assert "has journal format 99" in next(one["said"] for one in found["sweep"] if "upgrade" in one["mend"])


def test_drafts_logs_and_clusters_of_the_dead_are_swept_up_and_those_of_the_living_stay(
    home: Path, tmp_path: Path
) -> None:
    """By the process's number in the name; a cluster by a process that names its folder, and by its age."""
    temporary = tmp_path / "tmp"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = [f"{prefix}{pid}-x1y2" for prefix in (FILES, LOGS) for pid in (dead.pid, os.getpid())]
    for name in (*names, "ksc-gone", "ksc-living"):
        (aged(temporary / name) / "inside").mkdir()
        aged(temporary / name)
    (temporary / "ksc-young").mkdir()
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()", f"--temp_dir={temporary / 'ksc-living'}"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, env={**os.environ, SCRATCH: str(tmp_path)}) as raylet:
        said = [one["said"].partition(" in ")[0] for one in examined("--fix")[1]["leftovers"]]
        assert raylet.poll() is None
        assert raylet.stdin is not None
        raylet.stdin.close()
    assert said == ["2 folders with drafts or logs of dead processes", "1 folder of dead clusters"]
    left = sorted(path.name for path in temporary.iterdir())
    assert left == sorted([*names[1::2], "ksc-living", "ksc-young"])


def test_a_cluster_that_was_not_written_down_is_ended(home: Path, tmp_path: Path) -> None:
    """One that lives and that no `cluster.json` names, so that `cluster down` does not know of it; not a known one."""
    folders = [tmp_path / "tmp" / name for name in ("ksc-known", "ksc-lost")]
    raylet = tmp_path / "raylet"
    raylet.write_text("#!/bin/sh\nread line\n")
    raylet.chmod(0o755)
    began: list[subprocess.Popen[bytes]] = []
    for folder in folders:
        folder.mkdir()
        (folder / HOME).write_text(str(home))
        os.utime(folder, (1, 1))
        command = [str(raylet), f"--temp_dir={folder}"]
        began.append(subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, SCRATCH: str(tmp_path)}))
    LocalCluster(address="127.0.0.1:1", folder=str(folders[0])).write(home)
    try:
        (found,) = examined("--fix")[1]["leftovers"]
        assert found["said"] == (
            f"a Ray cluster that `cluster up` started and did not write down ({folders[1]}): mended"
        )
        assert [one.poll() is None for one in began] == [True, False]
        assert [one.exists() for one in folders] == [True, False]
    finally:
        for one in began:
            one.kill()
            one.communicate()


def test_folders_that_were_never_begun_are_swept_up(home: Path) -> None:
    """Those of a `run` and of an `rm` that were killed."""
    (home / "sweeps" / "kept").mkdir(parents=True)
    (home / "sweeps" / ".gone-x-1234").mkdir()
    old = home / "sweeps" / ".new-y-1234"
    old.mkdir()
    os.utime(old, (1, 1))
    examined("--fix")
    assert [path.name for path in (home / "sweeps").iterdir()] == ["kept"]


# What is tried in processes of its own ------------------------------------------------------------------------------------


def test_a_probe_that_crashes_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that takes its process down is named with how it ended, and its last words."""
    crash = [
        sys.executable,
        "-c",
        "import os, sys; print('Illegal instruction', file=sys.stderr); sys.stderr.flush(); os.abort()",
    ]
    real = cast(Any, subprocess.run)

    def run(_: Any, **named: Any) -> Any:
        return real(crash, **named)

    monkeypatch.setattr(subprocess, "run", run)
    one = doctor.probed("tensorflow")
    assert (one.state, one.said) == (State.BAD, "it ended with code -6: Illegal instruction")
    assert "pip install" in one.mend


@pytest.mark.usefixtures("home")
def test_all_is_well_only_if_every_probe_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """One bad answer makes the exit code 1; the others are shown all the same."""
    answers = {"tensorflow": State.OK, "ray": State.BAD, "mlflow": State.OK}

    def probed(name: str, *_: str) -> Check:
        return Check(name=name, state=answers[name], said="so", mend="")

    monkeypatch.setattr(doctor, "probed", probed)
    said = command("doctor")
    assert said.code == 1
    assert "1 to mend before a sweep can run" in said.out
    assert all(f" {name} " in said.out for name in answers)


@pytest.mark.real
def test_the_real_libraries_pass(home: Path) -> None:
    """TensorFlow computes, Ray starts and ends, MLflow opens a store; none leaves anything behind."""
    said = command("doctor", "--json")
    data = json.loads(said.out)
    assert (said.code, data["ok"]) == (0, True), data
    shown = {one["name"]: one["said"] for one in data["checks"]}
    assert "no GPU" in shown["tensorflow"] or "GPU" in shown["tensorflow"]
    assert "starts, works and ends" in shown["ray"]
    assert "will be made" in shown["mlflow"]
    assert list(home.iterdir()) == []
