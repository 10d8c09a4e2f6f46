#!/usr/bin/env python3
"""Set up this checkout and use it, with nothing but Python 3.11 or newer: `python3 dev.py example|test|check|setup`.

The first call makes `.venv` from `requirements.lock` (versions and hashes pinned) and links this checkout into it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "kerasweep-setup"
MEMORY = Path("/dev/shm")  # noqa: S108
ROOM_BYTES = 2 * 1024**3
SOURCES = ("search", "search/_root", "spaces", "trackers", "cluster")


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> None:
    """Run one command and end this script with its exit code if that is not 0."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=os.environ | environment, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(done.returncode)


def fingerprint() -> str:
    """Return a hash of all that the environment depends on: the lock, the project file, the list of modules."""
    digest = hashlib.sha256()
    for path in (ROOT / "requirements.lock", ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    modules = sorted(str(path) for folder in SOURCES for path in (ROOT / folder).glob("*.py"))
    digest.update("\n".join(modules).encode())
    return digest.hexdigest()


def setup() -> None:
    """Create or refresh `.venv`; do nothing where it is up to date."""
    wanted = fingerprint()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    print("Setting up .venv (the first time takes some minutes: TensorFlow, Ray and MLflow are large).", flush=True)
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "-qq")
    run(*pip, "--require-hashes", "-r", "requirements.lock")
    run(*pip, "--no-deps", "--no-build-isolation", "-C", "editable_mode=strict", "-e", ".")
    STAMP.write_text(wanted)


def example() -> None:
    """Run the digits sweep: a real search, best trial printed at the end."""
    run(VENV / "bin" / "kerasweep", "run", "examples/digits/sweep.yaml", *sys.argv[2:])


def check() -> None:
    """Run the linter, the formatter's check, the type checker and the import contract."""
    run(VENV / "bin" / "ruff", "check", ".")
    run(VENV / "bin" / "ruff", "format", "--check", ".")
    run(VENV / "bin" / "lint-imports")
    run(VENV / "bin" / "pyright")


def test() -> None:
    """Run the checks and every test; further arguments go to pytest (`-m 'not real'` is the fast layer).

    With KERASWEEP_CHAOS=1 in the environment `tests/chaos` tries every crash point and thousands of random sweeps, for
    the night; else a share of them.

    The fast tests take three processes. The real ones come alone after them: they start processes of their own.
    """
    pytest = (PYTHON, "-m", "pytest")
    given = sys.argv[2:]
    if given and "not real" not in given:
        run(*pytest, "-n", "3", "--dist", "loadgroup", *given)  # keeps real ones in one process
        return
    if not given:
        check()
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        run(*pytest, "-n", "3", "--dist", "worksteal", *(given or ("-m", "not real")), TMPDIR=folder)
    if not given:
        run(*pytest, "-m", "real")


def memory_folder() -> Path | None:
    """Return a folder in memory with room for the fast tests' files, whose thousands of databases wait for a disk."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES else None


COMMANDS = {"setup": setup, "example": example, "check": check, "test": test}


def main() -> None:
    """Set the environment up, then do what was asked."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"usage: python3 dev.py {'|'.join(COMMANDS)} [arguments]")
    if sys.version_info < (3, 11):
        sys.exit(f"kerasweep needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    setup()
    COMMANDS[sys.argv[1]]()


if __name__ == "__main__":
    main()
