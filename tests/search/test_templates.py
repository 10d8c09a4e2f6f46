"""Tests of `kerasweep.search.templates`."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

from kerasweep.search.sweepfile import load
from kerasweep.search.templates import write_start
from kerasweep.spaces.errors import BadInput

MODEL = '''
import keras

def build(hp):
    """A class of its own for each kind of parameter."""
    hp.Int("units", 32, 512, step=32)
    hp.Float(name="rate", min_value=1e-4, max_value=MAX, sampling="log")
    hp.Choice("activation", ["relu", "1", "true"])
    hp.Boolean("bias", default=True)
    for index in range(3):
        hp.Int(f"filters_{index}", min_value=8, max_value=64)
    hp.Fixed("not searched", 3)
    other.Thing("nothing", 1, 2)
'''


def space_lines(path: Path) -> list[str]:
    """Return the commented lines of `space:`."""
    lines = path.read_text(encoding="utf-8").split("space:\n")[1].split("\n\n")[0]
    return [line.removeprefix("  # ") for line in lines.splitlines()]


def test_a_start_is_a_valid_sweep(tmp_path: Path) -> None:
    """What is written loads as it stands, and is named for its folder."""
    written = write_start(tmp_path / "my first sweep")
    assert [path.name for path in written] == ["sweep.yaml", "model.py"]
    spec = load(written[0])
    assert (spec.name, spec.model, spec.data) == ("my-first-sweep", "model.py:build", "model.py:load")
    assert spec.budget.trials == 20


@pytest.mark.parametrize("installed", [True, False], ids=["with scikit-learn", "without"])
def test_the_start_needs_only_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    """Without scikit-learn the model makes its own data."""
    monkeypatch.setattr(importlib.util, "find_spec", {"sklearn": object() if installed else None}.get)
    model = write_start(tmp_path)[1]
    tree = ast.parse(model.read_text(encoding="utf-8"))
    imported = {node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert any(name.startswith("sklearn") for name in imported) is installed


def test_synthetic_data_has_the_shape_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The synthetic start's load() fits its build(), and gives the same data each time."""
    monkeypatch.setattr(importlib.util, "find_spec", {"sklearn": None}.get)
    source = write_start(tmp_path)[1].read_text(encoding="utf-8")
    names: dict[str, object] = {}
    exec(source[source.index("def load") :], {"np": pytest.importorskip("numpy")}, names)  # noqa: S102
    (x, y), (x_val, y_val) = names["load"]()  # pyright: ignore[reportCallIssue, reportUnknownVariableType]
    assert (x.shape, y.shape, x_val.shape, y_val.shape) == ((1500, 16), (1500,), (500, 16), (500,))
    assert "keras.Input((16,))" in source


def test_a_sweep_around_a_model_lists_its_parameters(tmp_path: Path) -> None:
    """Parameters that the code names become commented lines, with their ranges where those are literals."""
    (tmp_path / "net.py").write_text(MODEL + "\ndef load_data(): ...\n", encoding="utf-8")
    (sweep,) = write_start(tmp_path, "net.py:build")
    assert space_lines(sweep) == [
        "units: {min: 32, max: 512, step: 32}",
        "rate: {min: 0.0001, max: …, sampling: log}",
        'activation: [relu, "1", "true"]',
        "bias: [true, false]",
        "filters_0: {min: 8, max: 64}",
    ]
    spec = load(sweep)
    assert (spec.model, spec.data, spec.objective.metric) == ("net.py:build", "net.py:load_data", "val_loss")


def test_a_commented_line_can_be_used(tmp_path: Path) -> None:
    """Each line, its comment sign taken away, declares a parameter."""
    sweep = write_start(tmp_path)[0]
    text = sweep.read_text(encoding="utf-8")
    for line in space_lines(sweep):
        text = text.replace(f"  # {line}", f"  {line}")
    sweep.write_text(text, encoding="utf-8")
    names = [one.parameter.name for one in load(sweep).declared]
    assert names == ["fit/batch_size", "layers", "units_0", "activation", "dropout", "learning_rate"]


def test_a_model_without_data_leaves_the_line_to_the_user(tmp_path: Path) -> None:
    """Where the file defines no loader, `data:` is a comment, and the sweep loads without it."""
    (tmp_path / "net.py").write_text(MODEL, encoding="utf-8")
    (sweep,) = write_start(tmp_path, "net.py:build")
    assert "\n# data: net.py:load" in sweep.read_text(encoding="utf-8")
    assert load(sweep).data is None


def test_an_odd_file_name_is_quoted(tmp_path: Path) -> None:
    """A name that YAML would read otherwise is put in quotes."""
    (tmp_path / "my # net.py").write_text(MODEL, encoding="utf-8")
    (sweep,) = write_start(tmp_path, "my # net.py:build")
    assert load(sweep).model == "my # net.py:build"


def test_an_installed_model_is_taken_by_its_module(tmp_path: Path) -> None:
    """A module that is installed is not read; its sweep file shows an example line."""
    (sweep,) = write_start(tmp_path, "json:loads")
    assert space_lines(sweep) == ["learning_rate: {min: 1e-4, max: 1e-1, sampling: log}"]
    assert load(sweep).model == "json:loads"


def test_a_missing_model_writes_nothing(tmp_path: Path) -> None:
    """A name that the file lacks is refused with the nearest one."""
    (tmp_path / "net.py").write_text(MODEL, encoding="utf-8")
    with pytest.raises(BadInput, match=r"--model net.py:bild: .* \(did you mean 'build'\?\)"):
        write_start(tmp_path, "net.py:bild")
    assert [path.name for path in tmp_path.iterdir()] == ["net.py"]


@pytest.mark.parametrize("name", ["sweep.yaml", "model.py"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    """A file that is there stays as it is, and none is put beside it."""
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(BadInput, match="is there already; nothing was written"):
        write_start(tmp_path)
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path: Path) -> None:
    """A file where the folder should be is the user's to sort out."""
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match="cannot be written to"):
        write_start(tmp_path / "taken")
