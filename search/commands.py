"""The commands that start and steer sweeps."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from ..cluster import replicas
from ..cluster.backend import missing
from ..cluster.program import Program, read_source, snapshot
from ..spaces.errors import BadInput, Infrastructure, did_you_mean
from ..trackers.journal import Lock
from ..trackers.status import delivery_status
from . import sweeps
from .amend import amended
from .clusters import address_of
from .inbox import post
from .job import Job
from .lasting import lasting_terminal
from .launcher import launch
from .mentions import mentions
from .origin import origin_of
from .relocation import relocated
from .restore import is_place, restore
from .settings import code_of
from .spec import SweepSpec
from .terminal import Terminal
from .tracking_uri import check_uri, check_version

DRIVER = "kerasweep.search.driver"
STOP_S = 15.0
"""A driver that a request to stop has not ended after so long is killed: what it journaled is safe."""
GPU_DEVICES = ("nvidia[0-9]*", "kfd", "dxg")
"""What the kernel shows below /dev of graphics processors: NVIDIA's, AMD's, those of WSL."""
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "file", "databricks", "databricks-uc", "uc")


def run_command(file: Path, settings: Sequence[str], home: Path | None, *, detach: bool, force: bool = False) -> int:
    """Run a new sweep from a file."""
    from .sweepfile import load

    place = sweeps.home_folder(home)
    spec = load(file, settings, home=place)
    spec = placed(spec, place)
    check_machine(spec)
    if away := check_tracker(spec.track.uri, place):
        Terminal(stderr=True).print(away, soft_wrap=True)
    program = program_of(spec)
    os.umask(0o077)
    staging, folder = sweeps.stage(place, spec.name)
    started = False
    try:
        (staging / "sweep.yaml").write_bytes(file.read_bytes())
        origin = origin_of(str(file), Path(spec.folder))
        job = Job(
            spec=spec.to_json(),
            program=program.to_json(),
            folder=str(folder),
            staging=str(staging),
            origin=origin,
            force=force,
        )
        code = launch(job, lasting_terminal(), detach=detach)
        started = folder.exists()
        return code
    finally:
        if not started:
            sweeps.unstage(staging)


def resume_command(name: str, settings: Sequence[str], home: Path | None, *, detach: bool) -> int:
    """Go on with a sweep; `name` may also be the place of a copy, which is brought back first."""
    place = sweeps.home_folder(home)
    if is_place(name):
        folder = restore(name, place)
        name = folder.name
        Terminal(stderr=True).print(f"{name} is brought back from its copy into {folder}", soft_wrap=True)
    else:
        folder = sweeps.find(place, name)
        sweeps.check_own(folder)
    if Lock.holder(folder / "journal.lock") is not None:
        raise sweeps.taken(folder)
    history = sweeps.read(folder)
    spec = amended(relocated(SweepSpec.from_json(history.spec), folder, place), settings)
    if not (spec.model or spec.train):
        raise BadInput(f"{name} was started from Python; go on with kerasweep.sweep(…, name={name!r}, resume=True)")
    if history.ended is not None and not history.ended.exit_code and not settings and not history.reopened:
        why = f": {history.ended.why}" if history.closing is not None else ""
        Terminal().print(
            f"{name} is done{why}; `kerasweep resume {name} --set budget.trials=…` gives it more", soft_wrap=True
        )
        return 0
    spec = placed(spec, sweeps.home_folder(home))
    check_machine(spec)
    stored = snapshot(folder / "code")
    edited = [*_edited(spec, stored), *_edited_file(folder, history.origin)]
    if edited:
        Terminal(stderr=True).print(
            f"{', '.join(edited[:5])} changed since {name} began; it goes on as it began ({folder})",
            soft_wrap=True,
        )
    program = code_of(spec, stored)
    return launch(
        Job(spec=spec.to_json(), program=program.to_json(), folder=str(folder)), lasting_terminal(), detach=detach
    )


def attach_command(name: str, home: Path | None) -> int:
    """Show a sweep that runs until it ends."""
    from .attach import attach

    return attach(sweeps.find(sweeps.home_folder(home), name), lasting_terminal())


def stop_command(name: str, home: Path | None) -> int:
    """Ask a sweep's driver to stop, and see to it that it has."""
    folder = sweeps.find(sweeps.home_folder(home), name)
    sweeps.check_own(folder)
    lock, said = folder / "journal.lock", f"{name} is stopped"
    if Lock.holder(lock) is None:
        raise BadInput(f"{name} is not running; `kerasweep list` shows what is")
    asked = post(folder, {"type": "stop"})
    deadline = time.monotonic() + STOP_S
    while (holder := Lock.holder(lock)) is not None and time.monotonic() < deadline:
        time.sleep(0.1)
    if holder is not None:
        driver = _driver(holder)
        if driver is None:
            raise Infrastructure(
                f"{name} has not stopped in {STOP_S:g} s; its driver is {holder}, and is to stop once it goes on; what it "
                f"journaled is safe: end that process, then `kerasweep resume {name}`"
            )
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            driver.kill()
            driver.wait(5.0)
        asked.unlink(missing_ok=True)
        said = f"{name} had not stopped in {STOP_S:g} s and its driver was killed; what it journaled is safe"
    Terminal().print(f"{said}; `kerasweep resume {name}` goes on", soft_wrap=True)
    return 0


def _driver(holder: str) -> psutil.Process | None:
    """Return the driver that holds a sweep in these words; None where it is another machine's or runs in a program."""
    match holder.split():
        case ["pid", pid, "on", host, *_] if host == socket.gethostname() and pid.isdecimal():
            with suppress(psutil.Error):
                process = psutil.Process(int(pid))
                return process if DRIVER in process.cmdline() else None
        case _:
            pass
    return None


def sync_command(name: str, home: Path | None) -> int:
    """Deliver what MLflow lacks."""
    from .launcher import wait_for_delivery

    place = sweeps.home_folder(home)
    folder = sweeps.find(place, name)
    sweeps.check_own(folder)
    uri = SweepSpec.from_json(sweeps.read(folder).spec).track.uri
    if away := check_tracker(uri, place):
        raise Infrastructure(f"{away.partition(';')[0]}; nothing is lost: start it, then `kerasweep sync {name}`")
    command = [sys.executable, "-P", "-m", "kerasweep.trackers.process", str(folder), "--once"]
    with (folder / "logs" / "tracker.log").open("ab") as log:
        done = subprocess.run(command, stdout=log, stderr=log, check=False)  # noqa: S603
    behind = wait_for_delivery(folder, 0.0)
    if done.returncode or behind:
        raise Infrastructure(
            behind or f"the delivery of {name} ended with an error; see {folder / 'logs' / 'tracker.log'}"
        )
    refused = delivery_status(folder).refused
    but = f", but for {refused} items that it refuses; see {folder / 'logs' / 'tracker.log'}" if refused else ""
    Terminal().print(f"MLflow has all of {name}{but}")
    return 0


def plan_command(
    file: Path, settings: Sequence[str], home: Path | None, *, limit_s: float | None, code: bool = True, as_json: bool
) -> int:
    """Check a sweep file and its code; without `code` nothing that the file names is imported, so that it may be anybody's."""
    from .plan import LIMIT_S, show_file, show_plan
    from .sweepfile import load

    spec = load(file, settings, home=sweeps.home_folder(home))
    if not code:
        return show_file(spec, Terminal(), file, as_json=as_json)
    check_machine(spec)
    limit_s = LIMIT_S if limit_s is None else limit_s
    return show_plan(spec, program_of(spec), Terminal(), file, limit_s=limit_s, as_json=as_json)


def program_of(spec: SweepSpec) -> Program:
    """Return the code of a sweep file; declared parameters that no code mentions are looked at more closely."""
    sources = snapshot(Path(spec.folder))
    for key, name in (("model", spec.model), ("train", spec.train), ("data", spec.data or "")):
        file = name.partition(":")[0]
        if file.endswith(".py") and os.path.normpath(file) not in sources:
            raise BadInput(f"{key}: {file} is not in {spec.folder} or its folders; move it beside the sweep file")
    declared = [one.parameter.name for one in spec.declared if not one.parameter.name.startswith("fit/")]
    return code_of(spec, sources, tuple(mentions(sources, declared)))


def placed(spec: SweepSpec, home: Path) -> SweepSpec:
    """Return the specification with the address of the cluster that it joins as HOST:PORT.

    Raises:
        BadInput: this machine is no node of it, or there is no token for it.
    """
    if spec.cluster.address is None:
        return spec
    address = address_of(home, spec.cluster.address, insecure=spec.cluster.insecure)
    return replace(spec, cluster=replace(spec.cluster, address=address))


def check_machine(spec: SweepSpec) -> None:
    """Refuse more processors than this machine has, and a backend that it lacks, before anything starts.

    Raises:
        BadInput: a trial, or all that are to run at once, would not fit; or the backend is not installed.
    """
    have = os.cpu_count() or 1
    lack = missing(spec.keras.backend)
    if lack:
        raise BadInput(f"keras.backend: {lack}")
    if spec.resources.gpus > 1 and spec.keras.backend not in replicas.BACKENDS:
        raise BadInput(
            f"resources.gpu is {spec.resources.gpus:g}: Keras on {spec.keras.backend} trains on one gpu a process; "
            f"set it to 1, or keras.backend to {' or '.join(replicas.BACKENDS)}"
        )
    want = spec.resources.cpu * (spec.parallel or 1)
    if want > have and spec.cluster.address is None:
        asked = f"parallel {spec.parallel or 1} x resources.cpu {spec.resources.cpu}"
        raise BadInput(f"{asked} is {want} cpus, this machine has {have}; lower one of the two")
    if (
        spec.cluster.address is None
        and spec.resources.gpus
        and not any(any(Path("/dev").glob(one)) for one in GPU_DEVICES)
    ):
        asked = "auto" if spec.resources.packs else f"{spec.resources.gpus:g}"
        raise BadInput(f"resources.gpu is {asked}, this machine has no gpu; set it to 0")


def check_tracker(uri: str, home: Path) -> str:
    """Return what to say about a tracking server where nobody answers, found in under two seconds, empty where one does.

    Raises:
        Infrastructure: there is no such host.
        BadInput: it is no address, or a database that cannot be written; or a password would be given away.
    """
    check_uri(uri, os.environ)
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise BadInput(
            f"track.uri: {uri!r} is no address ({error}); expected one such as http://localhost:5000"
        ) from error
    _check_scheme(uri, parts.scheme)
    if parts.scheme in ("http", "https"):
        try:
            address = (parts.hostname or "", port or (443 if parts.scheme == "https" else 80))
            socket.create_connection(address, timeout=1.5).close()
        except (socket.gaierror, UnicodeError) as error:
            raise Infrastructure(
                f"nobody answers at the tracker {uri} ({error}); start it, or leave `track.uri` out for a local mlflow.db"
            ) from error
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            return f"nobody answers at the tracker {uri} ({why}); MLflow gets all of the sweep once it is there"
        check_version(uri)
    elif parts.scheme == "sqlite":
        path = Path(parts.path.removeprefix("/") if parts.path.startswith("//") else parts.path)
        folder = path if path.exists() else path.parent
        if folder != home and not os.access(folder, os.W_OK):
            raise BadInput(f"track.uri: cannot write {path}; choose another place")
    return ""


def _check_scheme(uri: str, scheme: str) -> None:
    """Refuse a kind of address that neither MLflow nor one of its installed plugins has."""
    name = scheme.partition("+")[0]
    known = [*SCHEMES, *(one.name for one in entry_points(group="mlflow.tracking_store"))]
    if name and name not in known:
        raise BadInput(
            f"track.uri: {uri!r} is no address that MLflow knows{did_you_mean(name, known)}; "
            "expected one such as http://localhost:5000 or sqlite:///mlflow.db"
        )


def _edited(spec: SweepSpec, stored: dict[str, str]) -> list[str]:
    folder = Path(spec.folder)
    return [name for name, text in stored.items() if not _same(folder / name, text)]


def _edited_file(folder: Path, origin: Mapping[str, str]) -> list[str]:
    """Return the name of the sweep file where it has changed."""
    file = Path(origin.get("mlflow.source.name", ""))
    try:
        return [] if file.read_bytes() == (folder / "sweep.yaml").read_bytes() else [file.name]
    except OSError:  # it is not where it was, or the sweep was started from Python
        return []


def _same(path: Path, text: str) -> bool:
    try:
        return read_source(path) == text
    except OSError:
        return False
