"""Tests of `kerasweep.search.cli`: what a command says when the machine fails it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from kerasweep.cluster.local_cluster import FILE

from ..security.command import command

SWEEP = """
name: small
model: model.py:build
objective: max acc
space: {units: {min: 1, max: 9}}
fit: {epochs: 1}
budget: {trials: 1}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with a sweep in it."""
    (tmp_path / "model.py").write_text("def build(hp):\n    return hp.Int('units', 1, 9)\n")
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERASWEEP_DIR", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("at", "error", "line"),
    [
        (
            (tempfile, "mkdtemp"),
            OSError(28, "No space left on device", "/var/full/ks-1"),
            "No space left on device: /var/full/ks-1; what was journaled is safe: mend this, then try again\n",
        ),
        (
            (Path, "write_bytes"),
            OSError("no room\nfor it"),
            "no room for it; what was journaled is safe: mend this, then try again\n",
        ),
    ],
)
def test_a_disk_that_is_full_is_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, at: tuple[Any, str], error: OSError, line: str
) -> None:
    """No traceback, exit code 3, and nothing is left of the sweep that did not begin."""

    def full(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(*at, full)
    said = command("run", "sweep.yaml")
    assert (said.code, said.error) == (3, line)
    assert not (home / "sweeps").exists()


@pytest.mark.parametrize("words", [("up",), ("status",), ("down",)])
def test_a_damaged_cluster_file_is_one_line(home: Path, words: tuple[str, ...]) -> None:
    """Whatever is asked of the cluster."""
    (home / FILE).write_text("{")
    said = command("cluster", *words)
    assert said.code == 2
    assert said.error.startswith(f"{home / FILE} is damaged (")
    assert said.error.count("\n") == 1
