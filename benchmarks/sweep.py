"""Kerasweep as a user meets it: a sweep file, the command line, and the journal that is left.

All that the benchmarks know about Kerasweep is in this module.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from process import Failed

from kerasweep.trackers.history import History
from kerasweep.trackers.journal import Reader

NAME = "overhead"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """One trial's way through a process: the times (seconds since 1970) at which its parts began and ended."""

    pid: int
    start: float
    fit_start: float
    fit_end: float


def write(
    folder: Path,
    model: Path,
    *others: Path,
    trials: int,
    slots: int,
    fit: Mapping[str, int],
    seed: int,
    uri: str = "sqlite:///mlflow.db",
) -> list[str]:
    """Write the sweep file, with the model's file and others beside it; return the command that runs it in `folder`."""
    for path in (model, *others):
        shutil.copy(path, folder)
    arguments = ", ".join(f"{name}: {value}" for name, value in fit.items())
    text = f"""\
name: {NAME}
model: {model.name}:build
data: {model.name}:load
objective: max val_accuracy
fit: {{{arguments}}}
search: {{sampler: tpe, stop: none, seed: {seed}}}
budget: {{trials: {trials}}}
parallel: {slots}
resources: {{cpu: 1}}
track: {{uri: "{uri}", experiment: {NAME}}}
"""
    (folder / "sweep.yaml").write_text(text)
    return [str(Path(sys.executable).parent / "kerasweep"), "run", "sweep.yaml"]


def fits(folder: Path) -> list[Fit]:
    """Return the fits of the sweep that ran in `folder`, by trial, from its journal.

    Raises:
        Failed: not every trial was completed.
    """
    with Reader(folder / "sweeps" / NAME) as reader:
        trials = History.of(reader.after()).trials
    if others := [f"{number} {one.state}" for number, one in trials.items() if one.state != "completed"]:
        raise Failed(f"not completed in {folder}: {', '.join(others)}")
    timings: list[Mapping[str, Any]] = [timing for _, record in sorted(trials.items()) for timing in record.timings]
    return [
        Fit(pid=timing["pid"], start=timing["start"], fit_start=timing["fit_start"], fit_end=timing["fit_end"])
        for timing in timings
        if "fit_end" in timing  # a pass that only found out which parameters the model reads has none
    ]
