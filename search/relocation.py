"""A sweep whose folders are elsewhere now: moved, or brought back on another machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .spec import SweepSpec, Track


def relocated(spec: SweepSpec, folder: Path, home: Path) -> SweepSpec:
    """Return the specification with folders that are gone replaced by those that took their place.

    Code and the data beside it are looked for where `sweeps/` stands, then in the sweep's own copy of the code. A
    database of MLflow that was left behind is replaced by the one in `home`, which then gets the whole sweep.

    Args:
        spec: As it ran last.
        folder: The sweep's folder.
        home: The folder that holds `sweeps/`.
    """
    if not Path(spec.folder).is_dir():
        stored = [path.relative_to(folder / "code") for path in (folder / "code").rglob("*.py")]
        moved_along = bool(stored) and all((home / path).exists() for path in stored)
        spec = replace(spec, folder=str(home if moved_along else folder / "code"))
    scheme, slashes, path = spec.track.uri.partition(":///")
    if scheme == "sqlite" and slashes and not Path(path).parent.is_dir():
        uri = f"sqlite:///{home / 'mlflow.db'}"
        spec = replace(spec, track=Track(uri=uri, experiment=spec.track.experiment))
    return spec
