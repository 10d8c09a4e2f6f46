"""Which Ray clusters this machine is a node of, and whether a sweep may join one of them."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from ..spaces.errors import BadInput

AUTO = "auto"
LOCAL = "local"
FLAG = "--gcs-address="
SCRATCH = "KERASWEEP_SCRATCH"
"""Stands in the environment of a Ray that belongs to one sweep."""
TOKEN_FILE = Path("~/.ray/auth_token")


def joined_here() -> list[str]:
    """Return the addresses of the clusters that this machine is a node of; a sweep's own Ray is none."""
    return sorted(set(_raylets()))


def _raylets() -> Iterator[str]:
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != "raylet":
            continue
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            flags = [word.removeprefix(FLAG) for word in process.cmdline() if word.startswith(FLAG)]
            try:
                private = SCRATCH in process.environ()
            except psutil.AccessDenied:  # another user's: a sweep's own listens here only, and none of his asks us in
                private = all(map(_loopback, flags))
            if flags and not private:
                yield flags[0]


def resolve(address: str, *, insecure: bool) -> str:
    """Return the HOST:PORT of the cluster that a sweep is to join.

    Raises:
        BadInput: this machine is none of its nodes, or the cluster would take orders from anyone.
    """
    here = joined_here()
    found = _only_one(here) if address == AUTO else _normal(address)
    if found not in here:
        host, _, port = found.rpartition(":")
        have = f"; it is one of {', '.join(here)}" if here else ""
        raise BadInput(
            f"this machine is no node of the cluster at {address}{have}; make it one: `ray start --address={host}:{port}`, "
            f"or type it on one of its nodes: `ssh {host} kerasweep run SWEEP.yaml --address auto`; "
            f"`--address {LOCAL}` is this machine alone"
        )
    if not (insecure or _loopback(found) or has_token(os.environ)):
        raise BadInput(
            f"the cluster at {found} is reached over the network and there is no token for it, so anyone could run code "
            f"there; expected one in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or {TOKEN_FILE}, the cluster's own "
            "(`ray get-auth-token` prints it); in a closed network --insecure-cluster joins without"
        )
    return found


def has_token(environment: Mapping[str, str]) -> bool:
    """Say whether this user has a token for Ray."""
    if environment.get("RAY_AUTH_TOKEN"):
        return True
    return Path(environment.get("RAY_AUTH_TOKEN_PATH") or TOKEN_FILE).expanduser().is_file()


def _only_one(here: list[str]) -> str:
    if not here:
        raise BadInput(
            "this machine is no node of a Ray cluster; start one: `kerasweep cluster up`, or join one: "
            f"`ray start --address=HOST:PORT`; `--address {LOCAL}` is this machine alone"
        )
    if len(here) > 1:
        raise BadInput(f"this machine is a node of several clusters; expected one of {', '.join(here)} as --address")
    return here[0]


def _normal(address: str) -> str:
    """Return the address as Ray's processes have it on their command line: by number.

    Raises:
        BadInput: it is no address.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or "//" in address:
        mend = "a Ray client's `ray://` address is none" if "//" in address else "that of the cluster's head"
        raise BadInput(f"--address {address!r} is no address; expected HOST:PORT, {mend}, or auto")
    try:
        return f"{socket.gethostbyname(host.strip('[]'))}:{port}"
    except OSError as error:
        raise BadInput(f"--address {address!r}: {host} is not known here ({error})") from error


def _loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
