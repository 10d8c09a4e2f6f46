"""What trainers are told, from a sweep's specification: the program to run, the settings of every trial."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..cluster.checkpoint_files import join
from ..cluster.program import Program
from ..cluster.settings import Settings
from .objective import At, Direction
from .spec import SweepSpec


def checkpoints_of(spec: SweepSpec, folder: Path) -> str:
    """Return the place of a sweep's checkpoints and best weights; `folder` is the sweep's."""
    return join(spec.storage, folder.name, "checkpoints") if spec.storage else str(folder / "checkpoints")


def settings_of(spec: SweepSpec, weights: str) -> Settings:
    """Return the settings of the sweep's trials; `weights` is the folder for best weights and checkpoints, if any."""
    return Settings(
        metric=spec.objective.metric,
        maximize=spec.objective.direction is Direction.MAX,
        at_last=spec.objective.at is At.LAST,
        fit=spec.fit,
        declared=tuple(one.to_json() for one in spec.declared),
        undeclared=spec.undeclared,
        weights=weights,
        checkpoints=weights if spec.checkpoint.enabled else "",
        checkpoint_every_s=spec.checkpoint.every_s,
        checkpoint_share=spec.checkpoint.share,
        root=spec.folder,
        seed=spec.search.seed,
        repeats=spec.repeats.seeds,
        further=tuple((one.metric, one.direction is Direction.MAX) for one in spec.further),
        bounds=spec.bounds,
    )


def code_of(spec: SweepSpec, sources: Mapping[str, str], suspects: tuple[str, ...] = ()) -> Program:
    """Return the program of a sweep file with these sources; `suspects`: declared parameters that none mentions."""
    return Program(
        root=spec.folder,
        model=spec.train or spec.model,
        loop=bool(spec.train),
        data=spec.data,
        sources=sources,
        suspects=suspects,
        keras=spec.keras,
    )
