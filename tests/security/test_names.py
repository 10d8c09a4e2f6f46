"""Row 11: names are never paths, and what stands in a sweep's folder is not followed out of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.cluster.weights import FILE, load_models, load_weights, sha256
from kerasweep.search import sweeps
from kerasweep.search.sweepfile import load
from kerasweep.spaces.errors import BadInput, Infrastructure, KerasweepError
from kerasweep.trackers.events import SweepStarted
from kerasweep.trackers.journal import Journal

from ..search.specs import spec
from .command import command

NAMES = st.one_of(
    st.sampled_from(
        [
            *(
                "../x",
                "..",
                ".",
                "",
                "/",
                "/etc",
                "a/../b",
                "a//b",
                "~",
                "~root",
                "con",
                "nul",
                "a\0b",
                "x" * 300,
                "\u202egpj",
            ),
            *(
                "-rf",
                "--help",
                "$(id)",
                "`id`",
                ";id",
                "a b",
                "a\nb",
                ".hidden",
                "café",
                "a:b",
                "%2e%2e",
                "..%2f",
                "\\..\\x",
                "*",
            ),
        ]
    ),
    st.text(max_size=300),
)


ACTS = (
    *(["resume", "mine"], ["rm", "mine", "--yes"], ["sync", "mine"], ["stop", "mine"], ["gc", "mine"]),
    *(["set", "mine", "budget.trials=9"], ["retry", "mine", "0"], ["replay", "mine", "0"]),
    *(["best", "mine", "--export", "out"], ["ui", "mine"]),
)
"""The commands that run, write, remove or send what is in a sweep."""


def made(home: Path, name: str = "mine") -> Path:
    """Make a sweep."""
    folder = home / "sweeps" / name
    for part in ("logs", "code", "checkpoints"):
        (folder / part).mkdir(parents=True)
    with Journal(folder) as journal:
        journal.append(SweepStarted(spec=spec(name=name).to_json()))
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home folder with one sweep, and a journal outside of `sweeps/`."""
    home = tmp_path_factory.mktemp("home")
    made(home)
    made(home / "sweeps", "..")
    return home


@given(NAMES)
def test_a_name_finds_only_what_stands_in_sweeps(home: Path, name: str) -> None:
    """Any other is answered by our own error, whatever the file system would make of it."""
    try:
        found = sweeps.find(home, name)
    except BadInput:
        return
    assert found == home / "sweeps" / "mine"


@given(NAMES)
def test_the_name_of_a_sweep_is_a_plain_word_or_refused(home: Path, name: str) -> None:
    """In the file; the folder that it becomes is directly in `sweeps/`."""
    (home / "model.py").write_text("def build(hp): ...\n")
    text = "model: model.py:build\nobjective: min val_loss\nfit: {epochs: 3}\nbudget: {trials: 5}\n"
    file = home / "sweep.yaml"
    file.write_bytes(f"{text}name: {json.dumps(name, ensure_ascii=True)}\n".encode())
    try:
        chosen = load(file).name
    except BadInput:
        return
    staging, folder = sweeps.stage(home, chosen) if chosen != "mine" else (None, home / "sweeps" / "mine")
    assert folder.parent == home / "sweeps"
    assert folder.name == chosen
    if staging is not None:
        assert staging.parent == home / "sweeps"
        sweeps.unstage(staging)


@pytest.mark.parametrize("name", ["x" * 5_000, "con", "../mine", "$(touch pwned)", "a\nb", "\x1b[31m"])
@pytest.mark.parametrize(
    "words", [["show"], ["best"], ["logs"], ["stop"], ["sync"], ["resume"], ["rm", "--yes"], ["ui"]]
)
def test_a_strange_name_is_one_line(
    words: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every command that takes one; nothing is made or removed."""
    made(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    said = command(words[0], name, *words[1:])
    assert said.code == 2, said
    assert said.error.count("\n") == 1
    assert said.error.rstrip("\n").isprintable()
    assert sorted(tmp_path.rglob("*")) == before


# Links ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "part"), [*((ACTS[0], part) for part in sweeps.PARTS), *((words, "logs") for words in ACTS[1:])]
)
def test_a_part_that_was_swapped_for_a_link_is_not_followed(
    words: list[str], part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No command that runs, writes or removes goes through it; what it leads to stays as it was."""
    folder, outside = made(tmp_path), tmp_path / "outside"
    (folder / part).rename(outside) if (folder / part).exists() else outside.write_text("mine")
    (folder / part).symlink_to(outside)
    before = outside.stat().st_mtime_ns
    monkeypatch.chdir(tmp_path)
    said = command(*words)
    assert said.code == 2, said
    assert f"{part} is a symbolic link" in said.error
    assert outside.exists()
    assert outside.stat().st_mtime_ns == before


def test_links_inside_a_sweep_are_removed_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rm` takes the link away, never what it leads to."""
    folder, outside = made(tmp_path), tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    (folder / "logs" / "elsewhere").symlink_to(outside)
    (folder / "checkpoints" / "0").symlink_to(outside)
    monkeypatch.chdir(tmp_path)
    said = command("rm", "mine", "--yes")
    assert (said.code, said.out) == (0, "mine is removed\n"), said
    assert (outside / "precious").exists()
    assert not folder.exists()


def test_a_sweep_of_another_user_is_not_acted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be looked at; its code is not run, its files stay as they are, its tracker gets no credentials of ours."""
    made(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    for words in ACTS:
        said = command(*words)
        assert (said.code, "belongs to another user" in said.error) == (2, True), said
    assert command("show", "mine").code == 0


# Weights --------------------------------------------------------------------------------------------------------------


class Model:
    """As much of a model as weights are loaded into."""

    built = True

    def __init__(self) -> None:
        self.weights = [np.zeros((4, 4), "float32")]

    def get_weights(self) -> list[Any]:
        """Return the weights."""
        return self.weights

    def set_weights(self, weights: list[Any]) -> None:
        """Take weights."""
        self.weights = weights


def kept(folder: Path, arrays: list[Any], **about: Any) -> Path:
    """Write weights of trial 0 as a sweep does, and return their file."""
    target = folder / "0"
    target.mkdir(parents=True)
    np.savez_compressed(target / FILE, *arrays)
    text = {"epoch": 1, "value": 0.5, "sha256": sha256(target / FILE), "build": None, **about}
    (target / "weights.json").write_text(json.dumps(text))
    return target / FILE


def test_sound_weights_are_loaded(tmp_path: Path) -> None:
    """The guard lets through what a sweep writes."""
    kept(tmp_path, [np.ones((4, 4), "float32")])
    model = Model()
    assert load_weights(model, tmp_path, 0) == 1
    assert model.weights[0].sum() == 16


def test_weights_that_unpack_to_more_than_the_model_has_are_refused(tmp_path: Path) -> None:
    """Row 10: 200 MB of zeros in a file of 200 kB are not unpacked."""
    file = kept(tmp_path, [np.zeros(50_000_000, "float32")])
    assert file.stat().st_size < 400_000
    with pytest.raises(Infrastructure, match=r"they are 0\.2 GB unpacked"):
        load_weights(Model(), tmp_path, 0)


def test_weights_that_are_pickled_are_refused(tmp_path: Path) -> None:
    """Row 8: an array of objects is a pickle."""
    kept(tmp_path, [np.array([{"a": 1}], dtype=object)])
    with pytest.raises(Infrastructure, match="allow_pickle"):
        load_weights(Model(), tmp_path, 0)


def link_file(folder: Path) -> None:
    """Put the file elsewhere."""
    (folder / "0" / FILE).rename(folder.parent / "elsewhere.npz")
    (folder / "0" / FILE).symlink_to(folder.parent / "elsewhere.npz")


def link_trial(folder: Path) -> None:
    """Put the trial's folder elsewhere."""
    (folder / "0").rename(folder.parent / "elsewhere")
    (folder / "0").symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize("swap", [link_file, link_trial])
def test_weights_behind_a_link_are_refused(swap: Callable[[Path], None], tmp_path: Path) -> None:
    """Even where the hash is right."""
    kept(tmp_path / "checkpoints", [np.ones((4, 4), "float32")])
    swap(tmp_path / "checkpoints")
    with pytest.raises(Infrastructure, match="symbolic link"):
        load_weights(Model(), tmp_path / "checkpoints", 0)


@pytest.mark.parametrize("name", ["../../evil.keras", "/etc/evil.keras", "sub/evil.keras", ".."])
def test_a_description_cannot_name_a_model_elsewhere(name: str, tmp_path: Path) -> None:
    """The file that `weights.json` names is beside it."""
    folder = tmp_path / "checkpoints"
    kept(folder, [np.ones(1)], models={"model": {"file": name, "sha256": "0" * 64}})
    with pytest.raises(KerasweepError, match=r"outside its folder|damaged or gone|symbolic link"):
        load_models(folder, 0)
