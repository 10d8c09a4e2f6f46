"""`plan`: look before spending. Models are built all over the space and one batch is run; nothing is left behind."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from ..cluster.finding import Finding, errors
from ..cluster.program import Program
from ..spaces.trial import Json
from .forecast import Forecast, forecast
from .objectives import in_words
from .plan_view import promise_of, show
from .points import combinations
from .prober import Prober
from .settings import settings_of
from .spec import SweepSpec
from .survey import Survey, survey
from .terminal import echo_json

LIMIT_S = 30.0
"""The building of points ends after so many seconds, unless `--limit` says otherwise."""


def show_plan(
    spec: SweepSpec, program: Program, console: Console, file: Path, *, limit_s: float = LIMIT_S, as_json: bool = False
) -> int:
    """Show what a sweep would do, and what is wrong with it; return 2 where `run` would refuse it.

    Raises:
        BadInput: the code cannot be used.
    """
    quiet = as_json or not console.is_terminal
    prober = Prober(program, cpu=spec.resources.cpu, settings=settings_of(spec, "").to_json())
    with nullcontext() if quiet else console.status("importing TensorFlow and your code") as status, prober:
        prober.wait()
        seen = survey(prober, spec, limit_s, _memory_of_a_trial(spec), _ignore if status is None else status.update)
    seen = replace(seen, findings=[placed(one, file) for one in seen.findings])
    if as_json:
        echo_json(as_data(spec, seen))
    else:
        show(spec, seen, console, file, expected=expected(spec, seen))
    return 2 if errors(seen.findings) else 0


def show_file(spec: SweepSpec, console: Console, file: Path, *, as_json: bool = False) -> int:
    """Show what a sweep file says by itself; its code is not imported."""
    declared = Survey(parameters=[one.parameter for one in spec.declared])
    if as_json:
        echo_json({**as_data(spec, declared), "code": f"{spec.train or spec.model}, not imported"})
    else:
        show(spec, declared, console, file, code=False)
    return 0


def as_data(spec: SweepSpec, seen: Survey) -> dict[str, Any]:
    """Return the plan as `--json` shows it."""
    built, hours = seen.built, expected(spec, seen)
    sizes: dict[str, Json] = {}
    if built:
        default = next((one for one in built if one.label == "the defaults"), None)
        sizes = {"smallest": built[0].to_json(), "largest": built[-1].to_json()}
        sizes["default"] = None if default is None else default.to_json()
    return {
        "name": spec.name,
        "objective": in_words(spec.objectives),
        "parameters": [one.to_json() for one in seen.parameters],
        "combinations": combinations(seen.parameters),
        "points": len(seen.seen),
        "failed": [one.to_json() for one in seen.seen if one.failed],
        "stopped_at_limit": seen.cut,
        "limit_s": seen.limit_s,
        "sizes": sizes,
        "logged": list(seen.logged),
        "data": dict(seen.data),
        "resume": promise_of(spec, seen),
        "forecast": None if hours is None else hours.to_json(),
        "findings": [one.to_json() for one in seen.findings],
    }


def expected(spec: SweepSpec, seen: Survey) -> Forecast | None:
    """Return what the sweep is expected to come to on this machine; None where no epoch was measured."""
    if seen.epoch_s is None:
        return None
    every = combinations(seen.parameters) if spec.search.sampler == "grid" else None
    if every is not None:
        trials = every if spec.budget.trials is None else min(every, spec.budget.trials)
        spec = replace(spec, budget=replace(spec.budget, trials=trials))
    return forecast(spec, slots=_slots(spec), epoch_s=seen.epoch_s, trial_s=seen.trial_s)


def _slots(spec: SweepSpec) -> int:
    return spec.parallel or max(1, (os.cpu_count() or 1) // spec.resources.cpu)


def placed(finding: Finding, file: Path) -> Finding:
    """Return the finding with the line of the sweep file that it is about, where it is about one."""
    if finding.where not in ("fit", "objective", "space"):
        return finding
    try:
        lines: Sequence[str] = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = ()
    pattern = re.compile(rf"""["']?{finding.where}["']?\s*:""")
    line = next((number for number, text in enumerate(lines, 1) if pattern.match(text)), None)
    return replace(finding, where=f"{file.name}:{line}" if line else f"{file.name}, {finding.where}")


def _ignore(text: str) -> None:
    del text


def _memory_of_a_trial(spec: SweepSpec) -> float:
    """Return the bytes that one of the trials that run at a time may take, on this machine."""
    return psutil.virtual_memory().total / _slots(spec) if not spec.resources.gpus else float("inf")
