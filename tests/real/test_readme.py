"""What the README shows is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from kerasweep.spaces import Space

from .rig import KERASWEEP

pytestmark = pytest.mark.real
README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), flags=re.DOTALL)


def test_the_python_blocks_run_as_one_script(tmp_path: Path) -> None:
    """The model and the call from Python, pasted into a script, run to the end and print the best trial."""
    script = tmp_path / "script.py"
    script.write_text("\n\n".join(blocks("python")))
    environment = {**os.environ, "KERASWEEP_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "learning_rate" in done.stdout


def test_the_space_is_the_same_in_yaml_and_in_python() -> None:
    """The README's two forms of one space are equal."""
    (text,) = [one for one in blocks("yaml") if one.startswith("space:")]
    (code,) = [one for one in blocks("python") if "spaces.Space(" in one]
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102
    assert Space.from_yaml(text, "README.md") == names["space"]


def test_the_sweep_file_and_the_model_are_valid(tmp_path: Path) -> None:
    """`plan` accepts the README's sweep file with the README's model."""
    (tmp_path / "sweep.yaml").write_text(blocks("yaml")[0])
    load = "\n\ndef load():\n    import numpy as np\n\n    x = np.zeros((64, 64), 'float32')\n    y = np.zeros(64, 'int')\n"
    (tmp_path / "model.py").write_text(blocks("python")[0] + load + "    return (x, y), (x, y)\n")
    done = subprocess.run([KERASWEEP, "plan", "sweep.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "units_0" in done.stdout


def test_every_command_that_is_named_exists() -> None:
    """Each `kerasweep COMMAND` in the README is one that the command line has."""
    named = set(re.findall(r"`kerasweep ([a-z]+)", README.read_text()))
    assert len(named) >= 8
    text = subprocess.run([KERASWEEP, "--help"], capture_output=True, text=True, check=True).stdout
    for command in named:
        assert re.search(rf"^  {command}\b", text, flags=re.MULTILINE), command


@pytest.mark.parametrize("number", range(1, len(blocks("yaml"))))
def test_every_part_of_a_sweep_file_is_sound(tmp_path: Path, number: int) -> None:
    """Each further block of YAML is accepted in the place of what the first sweep file has under its keys."""
    yaml: Any = YAML(typ="safe")
    whole, part = yaml.load(blocks("yaml")[0]), yaml.load(blocks("yaml")[number])
    part.get("start", {}).pop("from", None)  # an earlier sweep, which is not there
    whole = {key: value for key, value in whole.items() if key != "space"} | part
    (tmp_path / "model.py").write_text(blocks("python")[0] + "\n\ndef load(): ...\n")
    with (tmp_path / "sweep.yaml").open("w") as file:
        yaml.dump(whole, file)
    done = subprocess.run(
        [KERASWEEP, "plan", "sweep.yaml", "--no-code"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
