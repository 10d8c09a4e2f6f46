"""Row 9 with a real Keras: a model file that carries code does not get to run it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kerasweep.cluster.weights import load_models, sha256
from kerasweep.spaces.errors import BadInput, Infrastructure

pytestmark = pytest.mark.real


def lambda_layer(path: Path, mark: Path) -> None:
    """Save a model with a Python function in it, as Keras itself does."""
    import keras

    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    model: Any = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(eval(f"lambda x: ({code}, x)[1]"))])  # noqa: S307
    mark.unlink(missing_ok=True)  # the model was called once, here
    model.save(path)


def other_module(path: Path, mark: Path) -> None:
    """Name a function of the standard library as a layer's class, as in CVE-2025-1550."""
    import keras

    model: Any = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][1] = {
        "module": "subprocess",
        "class_name": "Popen",
        "config": {"args": ["touch", str(mark)]},
        "registered_name": None,
    }
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def legacy_format(path: Path, mark: Path) -> None:
    """Save the model in HDF5, whose reader once looked at no safe mode, under the new ending."""
    lambda_layer(path.with_suffix(".h5"), mark)
    path.with_suffix(".h5").rename(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("forge", [lambda_layer, other_module, legacy_format])
def test_a_model_that_carries_code_is_not_loaded(forge: Callable[[Path, Path], None], tmp_path: Path) -> None:
    """Though its hash is right: Keras is asked for its safe mode."""
    folder, mark = tmp_path / "0", tmp_path / "owned"
    folder.mkdir()
    forge(folder / "model.keras", mark)
    about = {"epoch": 1, "models": {"model": {"file": "model.keras", "sha256": sha256(folder / "model.keras")}}}
    (folder / "weights.json").write_text(json.dumps(about))
    with pytest.raises((BadInput, Infrastructure)) as caught:
        load_models(tmp_path, 0)
    assert not mark.exists()
    assert "\n" not in str(caught.value)
