"""A model and its data, looked at as `plan` does, in this process."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerasweep.cluster.call_sites import CallSites
from kerasweep.cluster.finding import Finding
from kerasweep.cluster.look import look_at
from kerasweep.cluster.settings import Settings
from kerasweep.cluster.user_code import UserCode

HERE = str(Path(__file__).parent)


def look(
    build: Callable[[Any], Any], data: Any, objective: str = "max val_accuracy", **fit: Any
) -> tuple[list[Finding], Any]:
    """Return what is found, and the model; `data` is what a loader returns, `fit` the sweep file's."""
    code = UserCode.of(build, lambda: data)
    direction, metric = objective.split()
    settings = Settings(metric=metric, maximize=direction == "max", at_last=False, fit=fit, root=HERE)
    sites = CallSites(HERE)
    with sites.noting():
        model = code.build(None)
    arguments = {"verbose": 0, **fit, **code.data.arguments(None)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        findings, _ = look_at(code, model, arguments, sites, settings)
    return findings, model
