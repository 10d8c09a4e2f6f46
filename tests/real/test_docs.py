"""What docs/training.md shows is run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from kerasweep.search.sweepfile import load

from .rig import KERASWEEP

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def blocks(language: str) -> list[str]:
    """Return the page's code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


def test_the_settings_are_valid(tmp_path: Path) -> None:
    """The folds and the settings of Keras, each in a sweep file."""
    (tmp_path / "code.py").write_text("def build(hp): ...\n")
    folds, _, settings = blocks("yaml")
    rest = "model: code.py:build\nobjective: min val_loss\nbudget: {trials: 1}\n"
    for text in (folds, settings + "fit: {epochs: 1}\n"):
        (tmp_path / "sweep.yaml").write_text(rest + text)
        spec = load(tmp_path / "sweep.yaml")
        assert spec.fit.get("folds") == 5 or spec.keras.dtype_policy == "mixed_float16"


@pytest.mark.real
def test_the_training_loop_runs(tmp_path: Path) -> None:
    """The page's loop with the page's data, by the page's sweep file."""
    (tmp_path / "loop.py").write_text("\n\n".join(blocks("python")))
    (tmp_path / "sweep.yaml").write_text(blocks("yaml")[1])
    done = subprocess.run([KERASWEEP, "run", "sweep.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "units" in done.stdout
    assert "batch" in done.stdout
