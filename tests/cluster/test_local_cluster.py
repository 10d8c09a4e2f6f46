"""Tests of `kerasweep.cluster.local_cluster` with nodes that are sleeping processes; real ones in `tests/real/test_cluster.py`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from kerasweep.cluster import local_cluster
from kerasweep.cluster.local_cluster import FILE, LocalCluster, Process, down, forgotten, remove, up
from kerasweep.spaces.errors import BadInput, Infrastructure


@pytest.fixture
def sleepers() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start processes that do nothing; they are ended and waited for after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(words or ("sleep", "600")))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def orders(
    monkeypatch: pytest.MonkeyPatch, sleepers: Callable[..., subprocess.Popen[bytes]]
) -> list[Mapping[str, Any]]:
    """Have sleepers in the place of nodes, two a head and one any other; return what was ordered."""
    ordered: list[Mapping[str, Any]] = []

    def start(order: Mapping[str, Any]) -> dict[str, Any]:
        ordered.append(order)
        pids = [sleepers().pid for _ in range(1 if order["address"] else 2)]
        return {"address": order["address"] or "127.0.0.1:1", "node_id": f"n{len(ordered)}", "pids": pids}

    monkeypatch.setattr(local_cluster, "_start", start)
    return ordered


def kill(process: Process) -> None:
    """Kill it, and wait until it is dead."""
    os.kill(process.pid, 9)
    while process.living():
        pass


def test_nodes_are_started_until_there_are_enough(tmp_path: Path, orders: list[Mapping[str, Any]]) -> None:
    """The first is a head, the others join it; what lives already is left alone, what died is replaced."""
    cluster = up(tmp_path, nodes=2, cpus=2, gpus=1)
    assert [(one["address"], one["cpus"], one["gpus"]) for one in orders] == [("", 2, 1), ("127.0.0.1:1", 2, 1)]
    assert [node.id for node in up(tmp_path, nodes=3, cpus=4, gpus=0).nodes] == ["n1", "n2", "n3"]
    kill(cluster.nodes[1].processes[0])
    again = up(tmp_path, nodes=3, cpus=2, gpus=1)
    assert [node.id for node in again.nodes] == ["n1", "n3", "n4"]
    assert LocalCluster.read(tmp_path) == again
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    down(tmp_path)


def test_without_its_head_a_cluster_is_begun_anew(tmp_path: Path, orders: list[Mapping[str, Any]]) -> None:
    """What is left of the one before is ended."""
    before = up(tmp_path, nodes=2, cpus=1, gpus=0)
    kill(before.nodes[0].processes[1])
    after = up(tmp_path, nodes=1, cpus=1, gpus=0)
    assert [one["address"] for one in orders] == ["", "127.0.0.1:1", ""]
    assert not any(process.living() for node in before.nodes for process in node.processes)
    assert after.folder != before.folder
    assert not Path(before.folder).exists()
    down(tmp_path)


def test_down_ends_what_was_started_and_nothing_else(
    tmp_path: Path, orders: list[Mapping[str, Any]], sleepers: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """Also what runs below its processes; a process that has got the number of one that ended is left alone."""
    del orders
    stranger, parent = sleepers(), sleepers("sh", "-c", "sleep 600 & wait")
    cluster = up(tmp_path, nodes=1, cpus=1, gpus=0)
    (head,) = cluster.nodes
    reused = Process(pid=stranger.pid, began=Process.of(stranger.pid).began - 100)
    deadline = psutil.Process(parent.pid)
    while not deadline.children():
        pass
    (child,) = deadline.children()
    processes = (*head.processes, reused, Process.of(parent.pid))
    changed = local_cluster.LocalNode(id=head.id, cpus=1, gpus=0, processes=processes)
    LocalCluster(address=cluster.address, folder=cluster.folder, nodes=(changed,)).write(tmp_path)
    ended = down(tmp_path)
    assert sorted(ended) == sorted([*(one.pid for one in head.processes), parent.pid, child.pid])
    assert stranger.poll() is None
    assert not (tmp_path / FILE).exists()
    assert not Path(cluster.folder).exists()


@pytest.fixture
def raylet(tmp_path: Path, sleepers: Callable[..., subprocess.Popen[bytes]]) -> Callable[[str], psutil.Process]:
    """Start processes of the name `raylet` that name a folder on their command line."""
    script = tmp_path / "raylet"
    script.write_text("#!/bin/sh\nwhile :; do sleep 0.05; done\n")
    script.chmod(0o755)

    def start(folder: str) -> psutil.Process:
        process = psutil.Process(sleepers(str(script), f"--temp_dir={folder}/session").pid)
        while process.name() != "raylet" or not any(folder in word for word in process.cmdline()):
            pass  # it has its new name a moment before its new arguments
        return process

    return start


@pytest.mark.parametrize("error", [KeyboardInterrupt, Infrastructure])
def test_what_a_start_left_that_did_not_come_about_is_ended(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    orders: list[Mapping[str, Any]],
    raylet: Callable[[str], psutil.Process],
    sleepers: Callable[..., subprocess.Popen[bytes]],
    error: type[BaseException],
) -> None:
    """A node that was starting at a Ctrl-C or took too long goes; those before it stay, as do readers of its logs."""
    cluster = up(tmp_path, nodes=1, cpus=1, gpus=0)
    assert orders
    earlier, reader = raylet(cluster.folder), sleepers("sh", "-c", "sleep 600; :", f"{cluster.folder}/logs/raylet.out")
    begun: list[psutil.Process] = []

    def start(order: Mapping[str, Any]) -> dict[str, Any]:
        begun.append(raylet(order["folder"]))
        raise error("no")

    monkeypatch.setattr(local_cluster, "_start", start)
    with pytest.raises(error):
        up(tmp_path, nodes=2, cpus=1, gpus=0)
    assert [one.is_running() for one in (*begun, earlier)] == [False, True]
    assert LocalCluster.read(tmp_path) == cluster
    assert earlier.pid in down(tmp_path)
    assert reader.poll() is None


def test_nodes_that_end_at_once_are_not_started_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sleepers: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """After twice as many starts as nodes it says so; one that is gone before it is written down is said at once."""
    starts: list[Mapping[str, Any]] = []

    def start(order: Mapping[str, Any]) -> dict[str, Any]:
        starts.append(order)
        pids = [sleepers().pid]
        if order["address"]:
            dead = sleepers("true")
            while psutil.Process(dead.pid).status() != psutil.STATUS_ZOMBIE:
                pass
            pids = [dead.pid]
        return {"address": "127.0.0.1:1", "node_id": f"n{len(starts)}", "pids": pids}

    monkeypatch.setattr(local_cluster, "_start", start)
    with pytest.raises(Infrastructure, match="4 Ray nodes were started and only 1 live, 2 were to"):
        up(tmp_path, nodes=2, cpus=1, gpus=0)
    assert len(starts) == 4
    monkeypatch.setattr(Process, "of", gone)
    with pytest.raises(Infrastructure, match="ended as soon as it had started"):
        up(tmp_path, nodes=2, cpus=1, gpus=0)
    monkeypatch.undo()
    down(tmp_path)


def gone(pid: int) -> Process:
    """Find no such process.

    Raises:
        NoSuchProcess: always.
    """
    raise psutil.NoSuchProcess(pid)


def test_a_cluster_that_was_not_written_down_is_known_as_such(
    tmp_path: Path, orders: list[Mapping[str, Any]], raylet: Callable[[str], psutil.Process]
) -> None:
    """By its folder, which names the one whose file should have it; it can be ended by it too."""
    cluster = up(tmp_path, nodes=1, cpus=1, gpus=0)
    assert orders
    assert not forgotten(Path(cluster.folder))
    (tmp_path / FILE).unlink()
    assert forgotten(Path(cluster.folder))
    process = raylet(cluster.folder)
    assert process.pid in remove(cluster.folder)
    assert not Path(cluster.folder).exists()
    assert not forgotten(Path(cluster.folder))


def test_there_is_nothing_to_end_where_nothing_was_started(tmp_path: Path) -> None:
    """The mend is in the line."""
    with pytest.raises(BadInput, match="kerasweep cluster up"):
        down(tmp_path)


def test_a_node_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line that it wrote, and where its logs are; nothing is written down."""

    def fails(*arguments: object, **named: object) -> subprocess.CompletedProcess[str]:
        del arguments, named
        return subprocess.CompletedProcess([], 1, "", "Traceback\nRuntimeError: the port is in use\n")

    monkeypatch.setattr(subprocess, "run", fails)
    with pytest.raises(Infrastructure, match="RuntimeError: the port is in use; its logs are in "):
        up(tmp_path, nodes=1, cpus=1, gpus=0)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"address": 1}', '{"nodes": [{"processes": [{"pid": 1}]}]}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str, orders: list[Mapping[str, Any]]) -> None:
    """Nothing is started or ended by it."""
    (tmp_path / FILE).write_text(text)
    for act in (lambda: up(tmp_path, nodes=1, cpus=1, gpus=0), lambda: down(tmp_path)):
        with pytest.raises(BadInput, match=r"cluster.json is damaged \(.*then remove the file"):
            act()
    assert orders == []
    assert (tmp_path / FILE).read_text() == text


def test_a_folder_that_cannot_be_written_is_refused_before_a_node_starts(orders: list[Mapping[str, Any]]) -> None:
    """Nobody could end what is not written down."""
    for place in ("/proc", "/proc/nope"):
        with pytest.raises(BadInput, match=f"cannot write in {place}: .*; choose another folder with --dir"):
            up(Path(place), nodes=1, cpus=1, gpus=0)
    assert orders == []
