"""A Ray cluster of several nodes on this machine, for tests and for trying out: started, looked at, ended by its folder.

The nodes' processes stand in `cluster.json` of that folder with the times they were started at, so that what is ended
is what was started, also when a number has been given to another process since.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

import psutil

from ..spaces.errors import BadInput, Infrastructure, one_line
from .ray_session import DAEMONS

FOLDER = "ksc-"
"""Begins the name of a cluster's temporary folder."""
FILE = "cluster.json"
HOME = "home"
"""Stands in a cluster's folder, and names the folder that its `cluster.json` is in."""
START_S = 120.0
END_S = 5.0
"""A node has so long to end of itself, then it is killed."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process, told from a later one of the same number by when it began."""

    pid: int
    began: float

    @classmethod
    def of(cls, pid: int) -> Process:
        """Return the process that has this number now."""
        return cls(pid=pid, began=psutil.Process(pid).create_time())

    def living(self) -> psutil.Process | None:
        """Return it if it still lives."""
        try:
            process = psutil.Process(self.pid)
            same = process.create_time() == self.began and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if same else None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNode:
    """A node of this machine; its raylet is the last of its processes."""

    id: str
    cpus: int
    gpus: int
    processes: tuple[Process, ...]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LocalNode:
        """Return what stands in the file."""
        fields: dict[str, Any] = {**data, "processes": tuple(Process(**one) for one in data["processes"])}
        return cls(**fields)

    @property
    def alive(self) -> bool:
        """Whether all of its processes live."""
        return all(one.living() is not None for one in self.processes)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCluster:
    """What was started; the first node is the head, without which the others are nothing."""

    address: str
    folder: str
    nodes: tuple[LocalNode, ...] = field(default_factory=tuple)

    @property
    def alive(self) -> list[LocalNode]:
        """The nodes that live."""
        return [node for node in self.nodes if node.alive]

    @classmethod
    def read(cls, home: Path) -> LocalCluster | None:
        """Return the cluster that was started with this home folder; None where there is none.

        Raises:
            BadInput: the file is damaged.
        """
        try:
            data = json.loads((home / FILE).read_text())
            nodes = tuple(map(LocalNode.from_json, data["nodes"]))
            return cls(address=str(data["address"]), folder=str(data["folder"]), nodes=nodes)
        except FileNotFoundError:
            return None
        except (ValueError, LookupError, TypeError) as error:
            raise BadInput(
                f"{home / FILE} is damaged ({one_line(str(error), 80)}); end what is left of its nodes (their command "
                f"lines name a folder {FOLDER}…), then remove the file"
            ) from error

    def write(self, home: Path) -> None:
        """Write it down, in one step."""
        new = home / f"{FILE}.new"
        new.write_text(json.dumps(asdict(self), indent=1))
        new.chmod(0o600)
        new.replace(home / FILE)


def up(home: Path, *, nodes: int, cpus: int, gpus: int, labels: Mapping[str, str] | None = None) -> LocalCluster:
    """Have so many nodes live; those that do already are left alone.

    Raises:
        BadInput: what is started could not be written down in `home`.
        Infrastructure: one did not start, or they end at once; those before it stay, and are in the file.

    Survives: nodes that were started and written down; one that was just starting is found by its folder alone.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=home).close()
    except OSError as error:
        raise BadInput(f"cannot write in {home}: {error.strerror}; choose another folder with --dir") from error
    cluster = LocalCluster.read(home)
    if cluster is not None and not (cluster.nodes and cluster.nodes[0].alive):
        down(home)
        cluster = None
    starts = 0
    while cluster is None or len(cluster.alive) < nodes:
        starts += 1
        if cluster is not None and starts > 2 * nodes:
            raise Infrastructure(
                f"{starts - 1} Ray nodes were started and only {len(cluster.alive)} live, {nodes} were to; their logs "
                f"are in {cluster.folder}; `kerasweep cluster down` ends those that live"
            )
        cluster = _grown(home, cluster, {"cpus": cpus, "gpus": gpus, "labels": dict(labels or {})})
    return cluster


def _grown(home: Path, cluster: LocalCluster | None, order: Mapping[str, Any]) -> LocalCluster:
    """Return the cluster with one more node, once that is written down; without one, a new cluster."""
    if cluster is None:
        folder, address, earlier = tempfile.mkdtemp(prefix=FOLDER), "", ()  # short: sockets are below it
        (Path(folder) / HOME).write_text(str(home.absolute()))
    else:
        folder, address = cluster.folder, cluster.address
        earlier = (cluster.nodes[0], *(one for one in cluster.nodes[1:] if one.alive))
    before = _daemons(folder)
    try:
        started = _start({**order, "folder": folder, "address": address})
        processes = tuple(map(Process.of, started["pids"]))
        node = LocalNode(id=started["node_id"], cpus=order["cpus"], gpus=order["gpus"], processes=processes)
        grown = LocalCluster(address=started["address"], folder=folder, nodes=(*earlier, node))
        grown.write(home)
    except BaseException as error:  # also Ctrl-C: what was started so far is nobody's child, and not in the file
        _end_with_all_below([one for one in _daemons(folder) if one not in before])
        if isinstance(error, psutil.NoSuchProcess):
            raise Infrastructure(f"a Ray node ended as soon as it had started; its logs are in {folder}") from error
        raise
    return grown


def down(home: Path) -> list[int]:
    """End the cluster that was started with this home folder; return the processes that were ended.

    Raises:
        BadInput: none was.
    """
    cluster = LocalCluster.read(home)
    if cluster is None:
        raise BadInput(f"no cluster was started in {home}; `kerasweep cluster up` starts one there")
    own = [process for node in reversed(cluster.nodes) for one in node.processes if (process := one.living())]
    ended = _end_with_all_below(own)
    (home / FILE).unlink(missing_ok=True)
    return [*ended, *remove(cluster.folder)]


def remove(folder: str | Path) -> list[int]:
    """End whatever lives of the cluster with this folder, and remove that; return the processes that were ended."""
    ended = _end_with_all_below(_daemons(folder))
    shutil.rmtree(folder, ignore_errors=True)
    return ended


def _daemons(folder: str | Path) -> list[psutil.Process]:
    """Return the nodes' own processes of a cluster, which name its folder on their command line."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() in DAEMONS and any(str(folder) in word for word in process.cmdline()):
                found.append(process)
    return found


def forgotten(folder: Path) -> bool:
    """Say whether no `cluster.json` names the cluster of a folder, so that `down` does not know of it."""
    try:
        cluster = LocalCluster.read(Path((folder / HOME).read_text()))
    except (OSError, BadInput):
        return False
    return cluster is None or cluster.folder != str(folder)


def _start(order: Mapping[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "kerasweep.cluster.node"]
    try:
        done = subprocess.run(  # noqa: S603
            command, input=json.dumps(order), capture_output=True, text=True, timeout=START_S, start_new_session=True
        )
    except subprocess.TimeoutExpired as error:
        raise Infrastructure(f"a Ray node did not start within {START_S:g} s; see {order['folder']}") from error
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise Infrastructure(f"a Ray node did not start: {one_line(last[0])}; its logs are in {order['folder']}")
    return json.loads(done.stdout)


def _end_with_all_below(own: Sequence[psutil.Process]) -> list[int]:
    """End nodes' processes and what runs below them, by force those that do not heed; return those ended.

    psutil sees to it that none of them is another by then.
    """
    processes = list(own)
    for process in own:
        with suppress(psutil.NoSuchProcess):
            processes += process.children(recursive=True)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(processes, timeout=END_S)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=END_S)
    return [process.pid for process in processes]
