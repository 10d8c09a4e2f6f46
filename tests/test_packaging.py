"""Guards of the packaging: what is shipped, what is imported, what is locked."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]
HEAVY = ("keras", "keras_tuner", "mlflow", "numpy", "optuna", "pandas", "ray", "tensorflow")
NOT_AT_MODULE_LEVEL = {*HEAVY} - {"numpy"}
SOURCES = sorted(path for folder in FOLDERS.values() for path in (ROOT / folder).glob("*.py"))


def locked() -> dict[str, list[Version]]:
    """Return the versions of the lock by name; there may be several, for different Pythons."""
    versions: dict[str, list[Version]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if found := re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", line):
            versions.setdefault(canonicalize_name(found[1]), []).append(Version(found[2]))
    return versions


def wanted() -> Iterator[str]:
    """Yield all that the project file depends on."""
    yield from PROJECT["project"]["dependencies"]
    yield from PROJECT["project"]["optional-dependencies"]["examples"]
    yield from PROJECT["dependency-groups"]["dev"]
    yield from PROJECT["build-system"]["requires"]


def python(program: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python of its own."""
    return subprocess.run([sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True, check=False)


# What is shipped ------------------------------------------------------------------------------------------------------


def test_every_folder_of_code_is_a_package_and_every_package_a_folder() -> None:
    """A new folder is packed, or this fails; a folder that is gone is not listed."""
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(FOLDERS)
    found = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("*/__init__.py")}
    found |= {
        path.parent.relative_to(ROOT).as_posix()
        for path in ROOT.glob("[!.]*/*/__init__.py")
        if "build" not in path.parts
    }
    assert found == set(FOLDERS.values())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Build the wheel from a clean copy of the sources and return the names in it."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for folder in {path.split("/", 1)[0] for path in FOLDERS.values()}:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    command += ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(out), "."]
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


@pytest.mark.real
def test_the_wheel_has_all_sources_and_nothing_else(wheel: list[str]) -> None:
    """Each module under its import name, the mark of a typed package, and the wheel's own records."""
    expected = {"kerasweep/py.typed"}
    for package, folder in FOLDERS.items():
        expected |= {f"{package.replace('.', '/')}/{path.name}" for path in (ROOT / folder).glob("*.py")}
    assert {name for name in wheel if ".dist-info/" not in name} == expected
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


# What is imported -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["search.core", "trackers.journal"])
def test_a_folder_is_no_package_of_its_own_from_the_root(module: str) -> None:
    """Imported under its folder's name, a module that needs another folder fails loudly instead of existing twice."""
    done = python(f"import {module}", ROOT)
    assert done.returncode == 1
    assert "attempted relative import beyond top-level package" in done.stderr


def test_importing_kerasweep_imports_nothing_heavy(tmp_path: Path) -> None:
    """The command line starts in the time that Python needs: no Keras, Ray, MLflow or Optuna, and none of ours."""
    done = python("import sys, kerasweep; print(*sys.modules)", tmp_path)
    assert done.returncode == 0, done.stderr
    assert not {name.split(".")[0] for name in done.stdout.split()} & set(HEAVY)


def at_module_level(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the top names of all that a module imports when it is imported itself."""
    for node in body:
        match node:
            case ast.Import(names=names):
                yield from (alias.name.split(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.split(".")[0]
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=orelse):
                yield from at_module_level(orelse)
            case ast.If(body=inner, orelse=orelse):
                yield from at_module_level([*inner, *orelse])
            case ast.Try(body=inner, orelse=orelse, finalbody=final, handlers=handlers):
                yield from at_module_level([*inner, *orelse, *final, *(one for each in handlers for one in each.body)])
            case ast.ClassDef(body=inner) | ast.With(body=inner):
                yield from at_module_level(inner)
            case _:
                pass


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_imports_a_heavy_one_at_its_top(path: Path) -> None:
    """TensorFlow, Ray, MLflow and the like are imported where they are used, by who uses them."""
    assert not set(at_module_level(ast.parse(path.read_text()).body)) & NOT_AT_MODULE_LEVEL


# What is locked -------------------------------------------------------------------------------------------------------


def test_the_lock_names_no_place() -> None:
    """A lock holds versions and hashes; where they are fetched from is for the user to say."""
    lines = [
        line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.lstrip().startswith("#")
    ]
    assert not [
        line for line in lines if "://" in line or line.lstrip().startswith(("-i ", "--index", "--extra", "-f "))
    ]


def test_everything_in_the_lock_has_a_hash() -> None:
    """pip checks what it is given."""
    text = (ROOT / "requirements.lock").read_text()
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == sum(map(len, locked().values()))
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("text", sorted(set(wanted())))
def test_the_lock_has_a_version_that_the_project_wants(text: str) -> None:
    """Each dependency of the project file is locked, at a version that it allows."""
    one = Requirement(text)
    assert any(one.specifier.contains(version) for version in locked()[canonicalize_name(one.name)])
