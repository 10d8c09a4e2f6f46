"""Rows 2, 10, 12, 16 and 18: Ray's token, HDF5 files that reach out or blow up, YAML's limits, modes, absurd numbers."""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from kerasweep.cluster.hdf5_guard import check_hdf5
from kerasweep.cluster.node import NodeOrder, start
from kerasweep.cluster.ray_session import RaySession
from kerasweep.cluster.ray_token import ensure_token
from kerasweep.search.amend import amended
from kerasweep.search.sweepfile import load
from kerasweep.spaces.errors import BadInput, Infrastructure
from kerasweep.trackers.events import SweepStarted
from kerasweep.trackers.journal import Journal

from ..search.specs import spec

LEAST = "model: model.py:build\nobjective: min val_loss\nfit: {epochs: 3}\nbudget: {trials: 5}\n"


def mode(path: Path) -> int:
    """Return a file's mode."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_umask() -> Any:
    """Have everything that is made be open to all, unless it is made otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


# Ray's token ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("open_umask")
def test_the_token_is_private_before_ray_looks_for_it(tmp_path: Path) -> None:
    """Made with mode 0600 in a folder of mode 0700, and kept."""
    ensure_token({"HOME": str(tmp_path)})
    token = tmp_path / ".ray" / "auth_token"
    assert (mode(token), mode(token.parent)) == (0o600, 0o700)
    text = token.read_text()
    assert len(text) == 64
    ensure_token({"HOME": str(tmp_path)})
    assert token.read_text() == text
    assert [path.name for path in token.parent.iterdir()] == ["auth_token"]


@pytest.mark.parametrize("where", ["default", "given"])
def test_a_token_that_others_can_read_is_closed(where: str, tmp_path: Path) -> None:
    """One that Ray made itself has mode 0644."""
    token = tmp_path / (".ray/auth_token" if where == "default" else "token")
    token.parent.mkdir(exist_ok=True)
    token.write_text("x")
    token.chmod(0o644)
    ensure_token({"HOME": str(tmp_path), **({"RAY_AUTH_TOKEN_PATH": str(token)} if where == "given" else {})})
    assert (mode(token), token.read_text()) == (0o600, "x")


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a Ray in the place of the real one that does nothing."""
    setup = SimpleNamespace(ensure_token_if_auth_enabled=nothing, maybe_enable_token_auth_if_token_available=nothing)
    node = SimpleNamespace(live_processes=list, gcs_address="127.0.0.1:1", node_id="n")

    def made(*arguments: object, **named: object) -> SimpleNamespace:
        del arguments, named
        return node

    modules: dict[str, Any] = {
        "ray": SimpleNamespace(is_initialized=bool, init=nothing),
        "ray._private": SimpleNamespace(node=SimpleNamespace(Node=SimpleNamespace()), services=SimpleNamespace()),
        "ray._private.authentication": SimpleNamespace(authentication_token_setup=setup),
        "ray._private.authentication.authentication_token_setup": setup,
        "ray._private.node": SimpleNamespace(Node=made),
        "ray._private.parameter": SimpleNamespace(RayParams=dict),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


def nothing(*arguments: object, **named: object) -> None:
    """Do nothing."""
    del arguments, named


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize("what", ["a session that joins", "a head", "a node that joins"])
def test_a_cluster_is_started_and_joined_with_a_token_that_is_closed(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where Ray itself has made it; who joins makes none, and leaves one alone that is another user's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)

    def begin() -> None:
        if what == "a session that joins":
            session = RaySession(tmp_path / "ray", slots=1, address="127.0.0.1:1")
            assert session._up.wait(10.0)  # pyright: ignore[reportPrivateUsage]
            assert session._error is None  # pyright: ignore[reportPrivateUsage]
            session.close()
        else:
            start(NodeOrder(folder=str(tmp_path), cpus=1, gpus=0, address="" if what == "a head" else "127.0.0.1:1"))

    token = tmp_path / ".ray" / "auth_token"
    begin()
    assert token.exists() is (what == "a head")
    token.parent.mkdir(exist_ok=True)
    token.write_text("x")
    token.chmod(0o644)
    begin()
    assert (mode(token), token.read_text()) == (0o600, "x")
    token.chmod(0o644)
    monkeypatch.setattr(os, "geteuid", lambda: -1)
    begin()
    assert mode(token) == (0o600 if what == "a head" else 0o644)


def test_a_token_in_the_environment_is_enough(tmp_path: Path) -> None:
    """No file is made beside it."""
    ensure_token({"HOME": str(tmp_path), "RAY_AUTH_TOKEN": "x"})
    assert list(tmp_path.iterdir()) == []


def test_many_at_once_agree_on_one_token(tmp_path: Path) -> None:
    """Whoever is late takes the one that is there."""
    seen: list[str] = []

    def once() -> None:
        ensure_token({"HOME": str(tmp_path)})
        seen.append((tmp_path / ".ray" / "auth_token").read_text())

    threads = [threading.Thread(target=once) for _ in range(16)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(seen) == 16
    assert len(set(seen)) == 1


# HDF5 -----------------------------------------------------------------------------------------------------------------


def sound(file: Any) -> None:
    """As Keras writes it."""
    file["layers/dense/vars/0"] = np.zeros((8, 8), "float32")
    file["layers/dense/vars/1"] = np.zeros(8, "float32")


def external_link(file: Any) -> None:
    """Name a group of another file."""
    file["layers"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft_link(file: Any) -> None:
    """Name something else of the same file, which a sweep never does."""
    sound(file)
    file["again"] = h5py.SoftLink("/layers")


def external_values(file: Any) -> None:
    """Have the bytes of another file as values."""
    file.create_dataset("a", (100,), dtype="u1", external=[("/etc/passwd", 0, 100)])


def virtual_values(file: Any) -> None:
    """Have the values of another HDF5 file."""
    layout = h5py.VirtualLayout((8,), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(8,))
    file.create_virtual_dataset("a", layout)


def bomb(file: Any) -> None:
    """Be 4 GB in a kilobyte."""
    file.create_dataset("a", (10**9,), dtype="f4", chunks=(10**6,), compression="gzip")


def endless(file: Any) -> None:
    """Stand in oneself."""
    file.create_group("a")["b"] = file["/"]


FORGED = [
    *((external_link, "links to something else"), (soft_link, "links to something else")),
    *(
        (external_values, "in another file"),
        (virtual_values, "in another file"),
        (bomb, "unpacked"),
        (endless, "at two places"),
    ),
]


def test_a_file_as_keras_writes_it_passes(tmp_path: Path) -> None:
    """Groups and arrays, all of it inside."""
    with h5py.File(tmp_path / "one.weights.h5", "w") as file:
        sound(file)
    check_hdf5(tmp_path / "one.weights.h5", 1_000_000)


@pytest.mark.parametrize(("forge", "why"), FORGED, ids=lambda one: getattr(one, "__name__", ""))
def test_a_forged_file_is_refused_before_it_is_read(forge: Callable[[Any], None], why: str, tmp_path: Path) -> None:
    """Nothing that it reaches for is opened, nothing is unpacked."""
    with h5py.File(tmp_path / "one.weights.h5", "w") as file:
        forge(file)
    with pytest.raises(Infrastructure, match=why):
        check_hdf5(tmp_path / "one.weights.h5", 1_000_000)


def test_what_is_no_hdf5_is_refused(tmp_path: Path) -> None:
    """By our own error."""
    (tmp_path / "one.weights.h5").write_bytes(b"PK\x03\x04" * 100)
    with pytest.raises(Infrastructure, match="no HDF5 file"):
        check_hdf5(tmp_path / "one.weights.h5", 1_000_000)


# Modes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("open_umask")
def test_a_journal_is_private_under_any_umask(tmp_path: Path) -> None:
    """Its file, its lock, and what SQLite puts beside it."""
    with Journal(tmp_path) as journal:
        journal.append(SweepStarted(spec=spec().to_json()))
        assert {path.name: oct(mode(path)) for path in tmp_path.iterdir() if mode(path) != 0o600} == {}
        assert len(list(tmp_path.iterdir())) >= 3


# Absurd numbers -------------------------------------------------------------------------------------------------------

ABSURD = (
    *(
        "fit.epochs=1000000000",
        "budget.trials=2000000",
        "budget.hours=1e300",
        "parallel=100000",
        "resources.cpu=99999999",
    ),
    *(
        "resources.gpu=1e9",
        "retry.lost=1000000000",
        "limits.trial_s=1e300",
        "limits.silence_s=1e18",
        "fit.batch_size=1000000000",
    ),
    *(
        "fit.folds=100000",
        "fit.steps_per_epoch=10000000",
        "space.x={min: 0, max: 100000000, step: 1}",
        "fit.epochs=[1, 2000000000]",
    ),
    *("search.stop={rule: asha, factor: 1000000000000}", "space.n={min: 1, max: 1000, repeat: {x: [1, 2]}}"),
    "space.n={min: 1, max: 99, repeat: {m: {min: 1, max: 99, repeat: {x: [1, 2]}}}}",
)


@pytest.mark.parametrize("setting", ABSURD)
def test_an_absurd_number_is_refused_at_once(setting: str, tmp_path: Path) -> None:
    """What would fill the memory or never end is a mistake in the file, with what is expected."""
    (tmp_path / "model.py").write_text("def build(hp): ...\n")
    (tmp_path / "sweep.yaml").write_text(LEAST)
    with pytest.raises(BadInput, match=r"expected|over|too large|needs a count"):
        load(tmp_path / "sweep.yaml", [setting])


@pytest.mark.parametrize(
    "setting", ["budget.trials=2000000", "parallel=1000000", "retry.crash=1000000", "limits.trial_s=1e300"]
)
def test_an_absurd_number_is_refused_when_a_sweep_is_resumed(setting: str) -> None:
    """`resume --set` has the same bounds."""
    with pytest.raises(BadInput, match=r"--set .*expected"):
        amended(spec(), [setting])
