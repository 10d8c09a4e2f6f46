"""What every trial of a sweep is told, from its specification."""

from __future__ import annotations

from ..cluster.training import Settings
from .objective import At, Direction
from .spec import SweepSpec


def settings_of(spec: SweepSpec, weights: str) -> Settings:
    """Return the settings of the sweep's trials; `weights` is the folder for the best ones' weights."""
    return Settings(
        metric=spec.objective.metric,
        maximize=spec.objective.direction is Direction.MAX,
        at_last=spec.objective.at is At.LAST,
        fit=spec.fit,
        declared=tuple(one.to_json() for one in spec.declared),
        weights=weights,
        root=spec.folder,
    )
