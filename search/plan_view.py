"""The plan in the terminal: the space in a table, a line of sizes, what was found in words, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..cluster.finding import Finding, Severity, errors
from ..cluster.memory import FORMULA, size_in_words
from ..spaces.bad_form import shown
from ..spaces.parameter import Boolean, Choice, Fixed, Number, Parameter
from . import objectives, stop_rules
from .forecast import Forecast
from .points import combinations, size
from .promise import resume_promise
from .spec import SweepSpec
from .start import in_words as in_words_of
from .summary import duration, scalar
from .survey import Seen, Survey

STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def show(
    spec: SweepSpec,
    seen: Survey,
    console: Console,
    file: Path,
    *,
    code: bool = True,
    expected: Forecast | None = None,
) -> None:
    """Print the plan of a sweep; `code`: whether its code was looked at, `expected`: what it is to come to."""
    head = Text(spec.name, style="bold")
    head.append(
        f": {objectives.in_words(spec.objectives)}, {_budget(spec)}, sampler {_sampler(spec)}, "
        f"stop {stop_rules.in_words(spec.search.stop)}",
        style="not bold",
    )
    console.print(head)
    console.print()
    if seen.parameters:
        with console.capture() as table:
            console.print(_table(spec, seen.parameters))
        for line in table.get().splitlines():
            console.print(Text.from_ansi(line.rstrip()), soft_wrap=True)
        console.print()
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    where = (("where", clause) for clause in spec.where)
    space = ("space", _space(seen.parameters, most=seen.partly_read or bool(spec.where)))
    start = (("start", in_words_of(spec.start)),) if spec.start else ()
    looked = (
        (*_models(spec, seen), *_data(seen), *_time(expected), _resume(spec, seen))
        if code
        else (("code", _named(spec)),)
    )
    for name, text in (space, *where, *start, *looked):
        if console.is_terminal:
            facts.add_row(name, text)
        else:
            console.print(Text(f"{name:<8}{text}"), soft_wrap=True)
    if console.is_terminal:
        console.print(facts)
    console.print()
    for text in spec.notes:
        console.print(Text(f"note: {text}", style="yellow"))
    if code:
        _findings(seen.findings, console)
    console.print(_next(seen, file) if code else _with_code(file), soft_wrap=True)


def _named(spec: SweepSpec) -> str:
    """Return the code that a run imports, which a plan of the file alone does not."""
    names = (spec.train or spec.model, spec.data or "")
    return f"{' and '.join(name for name in names if name)}, not imported: what the model names itself is not known"


def _with_code(file: Path) -> Text:
    return Text.assemble("the file is sound; with its code: ", (f"kerasweep plan {file}", "bold"))


def _budget(spec: SweepSpec) -> str:
    text = str(spec.budget)
    if spec.pbt is not None:
        text += f", a population of {spec.pbt.population} in turns of {_several(spec.pbt.interval, 'epoch')}"
    if spec.repeats.seeds > 1:
        text += f", {spec.repeats.seeds} seeds each"
    return text + (
        f", then the best {spec.confirm.top} on {spec.confirm.seeds} fresh seeds" if spec.confirm.top else ""
    )


def _sampler(spec: SweepSpec) -> str:
    if spec.search.taken:
        return f"{spec.search.taken} (auto: {spec.search.reason})"
    arguments = " ".join(f"{name} {shown(value)}" for name, value in spec.search.arguments.items())
    return f"{spec.search.sampler} ({arguments})" if arguments else spec.search.sampler


def _table(spec: SweepSpec, parameters: Sequence[Parameter]) -> Table:
    declared = {one.parameter.name for one in spec.declared}
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("parameter", "values", "default", "from"):
        table.add_column(column, overflow="fold")
    for one in parameters:
        place = "sweep file" if one.name in declared else "model"
        under = "".join(f", if {when.parent} is {_either(when.values)}" for when in one.conditions)
        cells = (Text(one.name, style="bold"), in_words(one), scalar(one.initial), Text(place + under, style="dim"))
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
    return table


def _either(values: Sequence[Any]) -> str:
    return " or ".join(scalar(value) for value in values)


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


def _space(parameters: Sequence[Parameter], *, most: bool) -> str:
    if not parameters:
        return "nothing is searched"
    count, lead = combinations(parameters), "at most " if most else ""
    if count is not None:
        return f"{lead}{count:,} combinations of {_several(len(parameters), 'parameter')}"
    continuous = [one.name for one in parameters if size(one) is None]
    rest = combinations([one for one in parameters if size(one) is not None])
    others = len(parameters) - len(continuous)
    text = f"continuous ({', '.join(continuous[:4])}{', …' if len(continuous) > 4 else ''})"
    return f"{text}, with {lead}{rest:,} combinations of the other {_several(others, 'parameter')}" if others else text


def _several(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")


def _models(spec: SweepSpec, seen: Survey) -> list[tuple[str, str]]:
    if spec.train:
        return [("model", f"{spec.train} makes its own, so that only the data was looked at and one report awaited")]
    failed = sum(1 for one in seen.seen if one.failed)
    text = f"{_several(len(seen.seen), 'point')} built in {seen.seconds:.1f} s" + (
        f", {failed} failed" if failed else ""
    )
    if seen.cut:
        text += f"; the limit of {seen.limit_s:g} s was reached before the others (--limit SECONDS)"
    if not seen.built:
        unknown = any(not one.failed for one in seen.seen)
        return [("models", text + ("; their sizes are known only once they are fitted" if unknown else ""))]
    rows = [("models", text)]
    default = next((one for one in seen.built if one.label == "the defaults"), None)
    ends = [("smallest", seen.built[0]), ("default", default), ("largest", seen.built[-1])]
    rows.append(("sizes", " · ".join(_size(name, one) for name, one in ends if one is not None)))
    rows.append(("", f"memory estimated as {FORMULA}"))
    return rows


def _size(name: str, one: Seen) -> str:
    return f"{name} {one.parameters or 0:,} parameters, {size_in_words(one.bytes or 0)} (batch {one.batch_size})"


def _data(seen: Survey) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    parts = [_rows(name, part) for name, part in seen.data.items()]
    if any(parts):
        rows.append(("data", ", ".join(part for part in parts if part)))
    if seen.logged:
        rows.append(("logs", ", ".join(seen.logged)))
    return rows


def _time(expected: Forecast | None) -> list[tuple[str, str]]:
    """Return how long it will take, where an epoch was measured."""
    if expected is None:
        return []
    slots = _several(expected.slots, "slot")
    first = ("the budget does not say how many trials: " if expected.open else "") + (
        f"about {duration(expected.seconds)} for {_several(expected.trials, 'trial')} on {slots}, "
        f"if an epoch takes {expected.epoch_s:.2g} s as at the defaults"
    )
    rungs = ", ".join(f"{count:,} at epoch {epoch}" for epoch, count in expected.rungs.items())
    return [("time", first), ("", f"{expected.epochs:,} epochs; trials: {rungs}")]


def _resume(spec: SweepSpec, seen: Survey) -> tuple[str, str]:
    return ("resume", promise_of(spec, seen))


def promise_of(spec: SweepSpec, seen: Survey) -> str:
    """Return what a trial that loses its process goes on with."""
    kind = str(seen.data.get("training", {}).get("kind", ""))
    return resume_promise(spec, kind, own_fit=seen.own_fit, unsaved=seen.unsaved)


def _rows(name: str, part: Mapping[str, Any]) -> str:
    if part["kind"] == "none":
        return ""
    if part["length"] is not None:
        return f"{part['length']:,} {name} rows"
    return (
        f"{name} {part['kind']}, {part['looked_at']:,} rows looked at"
        if part["looked_at"]
        else f"{name} {part['kind']}"
    )


def _findings(findings: Sequence[Finding], console: Console) -> None:
    if not findings:
        console.print(Text("nothing found against the model and the data", style="green"))
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for one in findings:
        if not console.is_terminal:
            console.print(Text(f"{one.severity}: {one.line}"), soft_wrap=True)
            continue
        text = Text(f"{one.where}  " if one.where else "", style="bold")
        text.append(one.message, style="not bold")
        grid.add_row(Text(str(one.severity), style=STYLES[one.severity]), text)
    if console.is_terminal:
        console.print(grid)


def _next(seen: Survey, file: Path) -> Text:
    bad = len(errors(seen.findings))
    if bad:
        return Text.assemble(
            (f"{_several(bad, 'error')}: ", "bold red"),
            f"mend {'it' if bad == 1 else 'them'} and plan again, or run it all the same: ",
            (f"kerasweep run {file} --force", "bold"),
        )
    warned = sum(1 for one in seen.findings if one.severity is Severity.WARNING)
    lead = f"look at {'the warning' if warned == 1 else f'the {warned} warnings'}, then: " if warned else "next: "
    return Text.assemble(lead, (f"kerasweep run {file}", "bold"))
