"""Tests of `kerasweep.cluster.program`: the user's code as it was when the sweep began."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from kerasweep.cluster import program
from kerasweep.cluster.program import (
    Program,
    SnapshotFinder,
    pickled_program,
    read_source,
    resolve,
    snapshot,
    write_sources,
)
from kerasweep.spaces.errors import BadInput

Write = Callable[[Mapping[str, str]], None]
FACTOR = 3


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes files under the temporary folder."""

    def into_folder(files: Mapping[str, str]) -> None:
        write_sources({name: textwrap.dedent(text) for name, text in files.items()}, tmp_path)

    return into_folder


@pytest.fixture
def clean_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a test does to Python's imports and to the working folder."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(Path.cwd())
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def taken(tmp_path: Path, clean_imports: None) -> Callable[[], Mapping[str, str]]:
    """Return a function that takes a snapshot of the temporary folder and has it imported from."""

    def take() -> Mapping[str, str]:
        sources = snapshot(tmp_path)
        sys.path.insert(0, str(tmp_path))
        sys.meta_path.insert(0, SnapshotFinder(str(tmp_path), sources))
        importlib.invalidate_caches()
        return sources

    return take


Taken = Callable[[], Mapping[str, str]]

# Snapshot -------------------------------------------------------------------------------------------------------------


def test_a_snapshot_has_the_python_sources_by_relative_path(tmp_path: Path, write: Write) -> None:
    """Modules and packages are taken with their text; other files are not."""
    write({"model.py": "A = 1\n", "lib/parts.py": "B = 2\n", "data.csv": "1,2\n"})
    assert snapshot(tmp_path) == {"model.py": "A = 1\n", os.path.join("lib", "parts.py"): "B = 2\n"}


@pytest.mark.parametrize(
    "folder",
    [".git", ".venv", "__pycache__", "sweeps", "mlruns", "node_modules", "site-packages", "thing.egg-info", "lib/.h"],
)
def test_a_snapshot_leaves_out_what_is_not_the_users(tmp_path: Path, write: Write, folder: str) -> None:
    """Hidden folders, earlier sweeps, caches and installed packages are not searched."""
    write({"model.py": "", f"{folder}/other.py": ""})
    assert set(snapshot(tmp_path)) == {"model.py"}


def test_a_snapshot_leaves_out_environments_and_links(tmp_path: Path, write: Write) -> None:
    """A virtual environment of any name is known by its `pyvenv.cfg`; a linked folder is not followed."""
    write({"model.py": "", "env/lib/x.py": "", "env/pyvenv.cfg": ""})
    (tmp_path / "round").symlink_to(tmp_path)
    assert set(snapshot(tmp_path)) == {"model.py"}


def test_a_snapshot_passes_over_files_that_cannot_be_read(tmp_path: Path, write: Write) -> None:
    """An editor's lock is a link to nothing whose name ends in `.py`; it is not code."""
    write({"model.py": ""})
    (tmp_path / ".#model.py").symlink_to("ada@host.1234")
    assert set(snapshot(tmp_path)) == {"model.py"}


def test_a_snapshot_has_limits(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that holds far more than a sweep's code is refused with the mend."""
    write({"a.py": "x", "b.py": "y"})
    monkeypatch.setattr(program, "MAX_FILES", 1)
    with pytest.raises(BadInput, match="a folder of their own"):
        snapshot(tmp_path)
    monkeypatch.setattr(program, "MAX_FILES", 10)
    monkeypatch.setattr(program, "MAX_BYTES", 1)
    with pytest.raises(BadInput, match="a folder of their own"):
        snapshot(tmp_path)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfA = 1\r\n", "A = 1\n"),
        ("A = 'é'\n".encode(), "A = 'é'\n"),
        ("# coding: latin-1\nA = 'é'\n".encode("latin-1"), "# coding: latin-1\nA = 'é'\n"),
        (b"A = '\xff'\n", "A = '\udcff'\n"),
    ],
)
def test_a_source_is_read_as_python_reads_it(tmp_path: Path, data: bytes, text: str) -> None:
    """Byte order marks, line ends and declared encodings are taken in; what is in none of them stays as it is."""
    (tmp_path / "one.py").write_bytes(data)
    assert read_source(tmp_path / "one.py") == text
    write_sources({"two.py": text}, tmp_path)
    assert read_source(tmp_path / "two.py") == text


# Imports --------------------------------------------------------------------------------------------------------------


def test_modules_come_from_the_snapshot_whatever_the_disk_says(tmp_path: Path, write: Write, taken: Taken) -> None:
    """An edit or a removal after the snapshot changes nothing, in a module or in what it imports."""
    write({"swept_model.py": "import swept_helper\nA = 1\n", "swept_helper.py": "B = 2\n"})
    taken()
    (tmp_path / "swept_model.py").write_text("A = 100\n")
    (tmp_path / "swept_helper.py").unlink()
    module = importlib.import_module("swept_model")
    assert (module.A, module.swept_helper.B) == (1, 2)


def test_packages_namespaces_and_relative_imports_work(write: Write, taken: Taken) -> None:
    """A package with `__init__`, one without, and imports from neighbours and parents."""
    write(
        {
            "swept_pack/__init__.py": "from .inner import C\n",
            "swept_pack/inner/__init__.py": "from ..other import C\n",
            "swept_pack/other.py": "from swept_space.deep.leaf import C\n",
            "swept_space/deep/leaf.py": "from . import twig\nC = twig.C\n",
            "swept_space/deep/twig.py": "C = 5\n",
        }
    )
    taken()
    assert importlib.import_module("swept_pack").C == 5


def test_a_folder_of_scripts_does_not_hide_an_installed_package(write: Write, taken: Taken) -> None:
    """A folder without `__init__` comes after installed packages of its name, as in Python itself."""
    write({"wheel_like/script.py": "", "hypothesis/script.py": ""})
    taken()
    finder = sys.meta_path[0]
    assert finder.find_spec("hypothesis", None) is None
    assert finder.find_spec("wheel_like", None) is not None


def test_a_module_looks_as_if_it_came_from_its_file(tmp_path: Path, write: Write, taken: Taken) -> None:
    """`__file__` is the original path, so that data beside the code is found."""
    write({"swept_where.py": "from pathlib import Path\nHERE = Path(__file__).parent\n", "swept_p/__init__.py": ""})
    taken()
    here = importlib.import_module("swept_where").HERE
    assert here == tmp_path
    package = importlib.import_module("swept_p")
    assert package.__file__ == str(tmp_path / "swept_p" / "__init__.py")
    assert list(package.__path__) == [str(tmp_path / "swept_p")]


def test_tracebacks_show_the_lines_of_the_snapshot(tmp_path: Path, write: Write, taken: Taken) -> None:
    """After an edit a traceback shows the line that ran, not the one that stands there now."""
    write({"swept_fails.py": "def fail():\n    raise ValueError('as it was')\n"})
    taken()
    module = importlib.import_module("swept_fails")
    (tmp_path / "swept_fails.py").write_text("# edited\n# edited\n# edited\n")
    with pytest.raises(ValueError, match="as it was") as caught:
        module.fail()
    text = "".join(traceback.format_exception(caught.value))
    assert "raise ValueError('as it was')" in text
    assert f'"{tmp_path / "swept_fails.py"}", line 2' in text


def test_what_the_snapshot_lacks_is_left_to_python(tmp_path: Path, clean_imports: None) -> None:
    """Installed modules, and names that are nowhere, are not the snapshot's."""
    finder = SnapshotFinder(str(tmp_path), {"model.py": ""})
    assert finder.find_spec("json") is None
    assert finder.find_spec("nowhere") is None
    assert finder.find_spec("model.inner", ["/elsewhere"]) is None


# Names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["swept_named.py:build", "swept_named:build", "swept_named:Holder.build"])
def test_a_name_is_resolved(write: Write, taken: Taken, name: str) -> None:
    """`file.py:name`, `module:name`, and an attribute of what is named."""
    write({"swept_named.py": "def build(): return 7\nclass Holder:\n    build = staticmethod(build)\n"})
    taken()
    assert resolve(name)() == 7


def test_a_module_in_a_folder_is_resolved(write: Write, taken: Taken) -> None:
    """A path with slashes names a module of a package."""
    write({"swept_dir/model.py": "A = 1\n"})
    taken()
    assert resolve("swept_dir/model.py:A") == 1


def test_a_name_that_is_missing_is_said_with_the_near_match(write: Write, taken: Taken) -> None:
    """A wrong name is one line with what may have been meant."""
    write({"swept_near.py": "def build_model(): ...\n_private = 1\n"})
    taken()
    with pytest.raises(BadInput, match=r"defines no 'biuld_model' \(did you mean 'build_model'\?\)"):
        resolve("swept_near.py:biuld_model")


# Programs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one",
    [
        Program(root="/x", model="m.py:build", sources={"m.py": "é"}, suspects=("units",)),
        Program(root="/x", model="m:b", data="m:d", sources={}, sys_path=("/lib",)),
        Program(root="/x", pickled=b"\0\xff"),
    ],
)
def test_a_program_travels_as_json(one: Program) -> None:
    """What is read is what was written, bytes and tuples included."""
    assert Program.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_a_program_loads_its_model_and_data(
    tmp_path: Path, write: Write, clean_imports: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are resolved from the sources, in the folder that they came from."""
    write({"swept_load.py": "import os\nHERE = os.getcwd()\ndef build(hp): ...\ndef load(): ...\n"})
    one = Program(
        root=str(tmp_path), model="swept_load.py:build", data="swept_load.py:load", sources=snapshot(tmp_path)
    )
    model, data = one.load()
    assert (model.__name__, data.__name__) == ("build", "load")
    assert model.__globals__["HERE"] == str(tmp_path.resolve())


def scaled(value: int) -> int:
    """Return a multiple by a number of this module."""
    return value * FACTOR


def twice() -> int:
    """Return twice the number of this module."""
    return 2 * FACTOR


def test_a_function_of_a_test_module_travels_by_value(clean_imports: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that the other process could not import goes along, with the globals that the function uses."""
    one = Program.from_json(pickled_program(scaled, twice).to_json())
    monkeypatch.delitem(sys.modules, __name__)
    model, data = one.load()
    assert (model(2), data()) == (6, 6)
    assert model is not scaled


def test_data_travel_as_they_are(clean_imports: None) -> None:
    """Not only functions: whatever pickle takes."""
    assert Program.from_json(pickled_program(scaled, {"x": [1, 2]}).to_json()).load()[1] == {"x": [1, 2]}


def test_an_installed_function_travels_by_name() -> None:
    """What is installed there too is not copied."""
    one = pickled_program(textwrap.dedent, None)
    assert one.pickled is not None
    assert b"textwrap" in one.pickled
    assert len(one.pickled) < 200


def test_what_cannot_travel_is_said_in_a_line() -> None:
    """A lock in the data is a mistake of the user's, not of ours."""
    with pytest.raises(BadInput, match="cannot travel to another process"):
        pickled_program(scaled, {"lock": threading.Lock()})


def test_by_value_is_over_when_the_program_is_made() -> None:
    """Making a program leaves cloudpickle's registry as it was."""
    import cloudpickle

    registry = cast(Any, cloudpickle).list_registry_pickle_by_value
    before = registry()
    for data in (None, twice, scaled):
        pickled_program(scaled, data)
        assert registry() == before


def test_on_a_machine_without_the_folder_the_sources_are_written_out(tmp_path: Path) -> None:
    """The code runs there with its files beside it; a second trainer finds them, and nothing else is left."""
    sources = {
        "model.py": "import pathlib\nfrom part.one import X\n\nHERE = pathlib.Path(__file__)\n",
        "part/one.py": "X = 3\n",
    }
    program = Program(root=str(tmp_path / "gone"), model="model.py:HERE", data="model.py:X", sources=sources)
    script = "\n".join(
        [
            "import json, pathlib, sys",
            "from kerasweep.cluster.program import Program",
            "here, x = Program.from_json(json.loads(sys.argv[1])).load(pathlib.Path(sys.argv[2]))",
            "print(here, x, pathlib.Path.cwd())",
        ]
    )
    folder = tmp_path / "scratch" / "code"
    for _ in range(2):
        command = [sys.executable, "-c", script, json.dumps(program.to_json()), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [str(folder / "model.py"), "3", str(folder)]
    assert [path.name for path in folder.parent.iterdir()] == ["code"]
