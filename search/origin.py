"""Where a sweep comes from: who started it, from which source, with which versions."""

from __future__ import annotations

import getpass
import importlib.metadata
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path


def installed_versions() -> dict[str, str]:
    """Return the versions that decide what a trial does."""
    names = ("kerasweep", "keras", "tensorflow", "jax", "torch", "keras-tuner", "optuna", "ray", "mlflow", "numpy")
    versions = {"python": sys.version.split()[0]}
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def origin_of(source: str, folder: Path) -> dict[str, str]:
    """Return who started the sweep and from what, as MLflow's tags have it."""
    origin = {
        "kerasweep.sweep_id": uuid.uuid4().hex,
        "mlflow.user": getpass.getuser(),
        "mlflow.source.name": source,
        "mlflow.source.type": "LOCAL",
    }
    for tag, arguments in (
        ("mlflow.source.git.commit", ["rev-parse", "HEAD"]),
        ("mlflow.source.git.branch", ["rev-parse", "--abbrev-ref", "HEAD"]),
    ):
        with suppress(OSError, subprocess.SubprocessError):
            command = ["git", "-C", str(folder), *arguments]
            done = subprocess.run(command, capture_output=True, text=True, timeout=2, check=True)  # noqa: S603
            origin[tag] = done.stdout.strip()
    return origin
