"""Tests of `kerasweep.cluster.addresses`, with the machine's processes as the test says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from kerasweep.cluster import addresses
from kerasweep.cluster.addresses import SCRATCH, joined_here, resolve
from kerasweep.spaces.errors import BadInput

LAN: Final = "10.1.2.3:6379"
LOOPBACK: Final = "127.0.0.1:6379"


class Process:
    """A process as psutil shows it."""

    def __init__(self, address: str, name: str = "raylet", **environment: str) -> None:
        self.info = {"name": name}
        self._address = address
        self._environment = environment

    def cmdline(self) -> list[str]:
        """Return its command line."""
        return ["/ray/raylet", "--node_id=1", f"--gcs-address={self._address}"]

    def environ(self) -> dict[str, str]:
        """Return its environment."""
        if "FOREIGN" in self._environment:
            raise psutil.AccessDenied
        return self._environment


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Say which processes run; there is no token."""

    def runs(*processes: Process) -> None:
        def iterate(attributes: Any = None) -> list[Process]:
            return list(processes)

        monkeypatch.setattr(psutil, "process_iter", iterate)

    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(addresses, "TOKEN_FILE", tmp_path / "token")
    return runs


def test_the_clusters_of_this_machine_are_those_of_its_raylets(machine: Callable[..., None]) -> None:
    """Two nodes of one cluster are one address, a sweep's own Ray is none; another user's counts on the network only."""
    machine(
        Process(LOOPBACK),
        Process(LOOPBACK),
        Process("127.0.0.1:1", **{SCRATCH: "/here/ks-1"}),
        Process("127.0.0.1:2", name="gcs_server"),
        Process(LAN, FOREIGN="1"),
        Process("127.0.0.1:3", FOREIGN="1"),
    )
    assert joined_here() == [LAN, LOOPBACK]


@pytest.mark.parametrize("address", ["auto", LOOPBACK, "localhost:6379"])
def test_a_cluster_on_loopback_is_joined(machine: Callable[..., None], address: str) -> None:
    """By its address, by name, or because it is the only one."""
    machine(Process(LOOPBACK))
    assert resolve(address, insecure=False) == LOOPBACK


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.9.9.9:6379", "ray start --address=10.9.9.9:6379"),
        ("10.9.9.9:6379", "ssh 10.9.9.9 kerasweep run SWEEP.yaml --address auto"),
        ("10.9.9.9:6379", f"it is one of {LOOPBACK}"),
        ("127.0.0.1", "expected HOST:PORT"),
        ("127.0.0.1:99999", "expected HOST:PORT"),
        ("ray://127.0.0.1:10001", "a Ray client's"),
        ("no-such-host.invalid:6379", "is not known here"),
    ],
)
def test_from_elsewhere_the_command_to_type_is_named(machine: Callable[..., None], address: str, words: str) -> None:
    """A machine that is no node of the cluster cannot drive a sweep there."""
    machine(Process(LOOPBACK))
    with pytest.raises(BadInput) as caught:
        resolve(address, insecure=False)
    assert words in str(caught.value)


def test_auto_needs_one_cluster(machine: Callable[..., None]) -> None:
    """None is answered with how to get one, several with their addresses."""
    machine()
    with pytest.raises(BadInput, match="kerasweep cluster up"):
        resolve("auto", insecure=False)
    machine(Process(LAN), Process(LOOPBACK))
    with pytest.raises(BadInput, match=f"one of {LAN}, {LOOPBACK}"):
        resolve("auto", insecure=False)


def test_a_cluster_on_the_network_is_joined_with_a_token(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From the environment, from a file that it names, from Ray's own file; or without, where that is wanted."""
    machine(Process(LAN))
    with pytest.raises(BadInput, match="--insecure-cluster"):
        resolve(LAN, insecure=False)
    assert resolve(LAN, insecure=True) == LAN
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "mine"))
    with pytest.raises(BadInput, match="RAY_AUTH_TOKEN_PATH"):
        resolve(LAN, insecure=False)
    (tmp_path / "mine").write_text("t")
    assert resolve(LAN, insecure=False) == LAN
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH")
    (tmp_path / "token").write_text("t")
    assert resolve("auto", insecure=False) == LAN
    (tmp_path / "token").unlink()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "t")
    assert resolve(LAN, insecure=False) == LAN
