"""`plan`: the space in a table, the model built once, one batch run; nothing is left behind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..cluster.forkserver import ForkServer, connect
from ..cluster.program import Program
from ..spaces.errors import BadInput, Infrastructure, did_you_mean
from ..spaces.parameter import Boolean, Choice, Fixed, Number, Parameter, parameter_from_json
from .settings import settings_of
from .spec import SweepSpec
from .summary import scalar


def show_plan(spec: SweepSpec, program: Program, console: Console) -> int:
    """Show what a sweep would do.

    Raises:
        BadInput: the code cannot be used, the model fails at its defaults, or does not log the objective.
    """
    console.print(
        Text(f"{spec.name}: {spec.objective}, {_budget(spec)}, sampler {spec.search.sampler}, stop {spec.search.stop}")
    )
    with console.status("importing TensorFlow and your code"):
        seen = _rehearse(spec, program)
    if seen["failed"]:
        raise BadInput(f"the model fails at its defaults: {seen['failed']}")
    if spec.objective.metric not in seen["logged"] and spec.rules().first_value_epoch == 1:
        names = [name for name in seen["logged"] if name != "learning_rate"]
        hint = did_you_mean(spec.objective.metric, names)
        raise BadInput(
            f"objective {spec.objective.metric!r} is not logged by the model{hint}: it logs {', '.join(names)}"
        )
    console.print(_table(spec, [parameter_from_json(one) for one in seen["specs"]]))
    for note in spec.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    for name in seen["unread"]:
        console.print(Text(f"note: {name!r} is declared, but not read at the defaults", style="yellow"))
    size = "unknown before fit" if seen["parameters"] is None else f"{seen['parameters']:,} parameters"
    console.print(
        Text(f"model at the defaults: {size}, built in {seen['build_s']:.2f} s, first batch in {seen['batch_s']:.2f} s")
    )
    console.print(Text(f"it logs {', '.join(seen['logged'])}"))
    return 0


def _rehearse(spec: SweepSpec, program: Program) -> Mapping[str, Any]:
    scratch = Path(tempfile.mkdtemp(prefix="ks-"))
    server = ForkServer(scratch, program, warm=1, cpu=spec.resources.cpu, log=scratch / "log")
    try:
        verdict = server.checked()
        if verdict["type"] == "refused":
            raise BadInput(f"the model's code cannot be used: {verdict['reason']}")
        link = connect(server.socket, {"type": "adopt", "spare": False, "environment": {}})
        link.receive(60.0)
        link.send({"type": "setup", "gpu": 0, "log": str(scratch / "log")})
        link.send({"type": "rehearse", "settings": settings_of(spec, "").to_json()})
        answer = link.receive(600.0)
        link.close()
        if answer is None:
            raise Infrastructure("building the model and running one batch took more than 10 minutes")
        return answer
    finally:
        server.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _budget(spec: SweepSpec) -> str:
    parts = [] if spec.budget.trials is None else [f"{spec.budget.trials} trials"]
    parts += [] if spec.budget.hours is None else [f"{spec.budget.hours:g} hours"]
    return " or ".join(parts)


def _table(spec: SweepSpec, parameters: list[Parameter]) -> Table:
    declared = {one.parameter.name for one in spec.declared}
    table = Table(box=None, pad_edge=False)
    for column in ("parameter", "values", "default", "from"):
        table.add_column(column)
    for one in parameters:
        place = "sweep file" if one.name in declared else "model"
        table.add_row(*(Text(cell) for cell in (one.name, in_words(one), scalar(one.initial), place)))
    return table


def in_words(parameter: Parameter) -> str:
    """Return `32 … 512 step 32`, `1e-05 … 0.1 log`, `relu | gelu`."""
    match parameter:
        case Number():
            step = "" if parameter.step in (None, 1) else f" step {parameter.step:g}"
            sampling = "" if parameter.sampling == "linear" else f" {parameter.sampling}"
            return f"{parameter.min:g} … {parameter.max:g}{step}{sampling}"
        case Choice(values=values):
            return " | ".join(scalar(value) for value in values)
        case Boolean():
            return "false | true"
        case Fixed(value=value):
            return f"{scalar(value)} (fixed)"
