"""`simulate`: what a sweep that ran would have come to under another search, budget or number of slots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

from pydantic import Field
from rich.table import Table
from rich.text import Text

from ..spaces.bad_form import BadForm
from ..spaces.errors import BadInput
from ..spaces.trial import Json
from ..spaces.yaml_text import parse
from ..trackers.history import History
from ..trackers.journal import Reader
from . import objectives, sweeps
from .budget_form import budget_of
from .objective import At, Direction
from .override import override
from .recording import RecordedCurves, Recording, of_search, slots_of
from .sampler_form import is_endless
from .simulator import best_over_time, makespan_s, simulated, survivors
from .spec import SweepSpec
from .stop_rules import in_words
from .summary import Summary, duration, number
from .sweepfile import search_of
from .sweepform import MOST_AT_ONCE, BudgetForm, Form, OneOrMore, SearchForm, read_form
from .terminal import Terminal, echo_json

PROPOSES = ("sampler", "taken", "arguments", "duplicates", "seed")
"""What of a search decides the proposals, the history being the same."""
SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Of the real sweep's time: when the best value so far is compared."""


class SimulatedForm(Form):
    """What of a sweep may be otherwise in a simulation: what its curves do not depend on."""

    search: SearchForm = Field(default=SearchForm(), description="a mapping, such as {sampler: tpe, stop: asha}")
    budget: BudgetForm = Field(default=BudgetForm(), description="a mapping, such as {trials: 50} or {hours: 2}")
    parallel: OneOrMore = Field(default=1, le=MOST_AT_ONCE, description=f"a whole number from 1 to {MOST_AT_ONCE}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a sweep came to, simulated or not; `rungs` has how many trials came to an epoch."""

    search: str
    trials: int
    counts: str
    best: float | None
    best_trial: int | None
    seconds: float
    epochs: int
    stopped: tuple[int, ...]
    rungs: Mapping[int, int]
    best_after: Sequence[float | None]

    def to_json(self) -> dict[str, Json]:
        """Return the plain form."""
        return {**asdict(self), "stopped": list(self.stopped), "rungs": {str(k): v for k, v in self.rungs.items()}}


def simulate_command(name: str, settings: Sequence[str], home: Path | None, *, as_json: bool) -> None:
    """Simulate a sweep as it was and as it would have been; print both beside what really happened.

    Raises:
        BadInput: a setting does not fit, the sweep is none, or has nothing to simulate from.
    """
    folder = sweeps.find(sweeps.home_folder(home), name)
    with Reader(folder) as reader:
        entries = list(of_search(reader.after()))
    recording, history = Recording.of(entries), History.of(entries)
    if not any(one.length and one.used for one in recording.trials.values()):
        raise BadInput(f"{name} has no trial with an epoch, so there is no curve to simulate from; run it first")
    spec = SweepSpec.from_json(history.spec)
    if spec.pbt is not None:
        raise BadInput(f"{name} is a population, whose curves hang on who went on from whom; it cannot be simulated")
    slots = slots_of(recording)
    changed, wanted = altered(spec, slots, settings)
    result = compared(recording, history, spec, changed, slots, wanted)
    if as_json:
        echo_json(result)
    else:
        _show(name, spec, result, changed=bool(settings))


def altered(spec: SweepSpec, slots: int, settings: Iterable[str]) -> tuple[SweepSpec, int]:
    """Return the specification and the number of slots with `key=value` settings applied.

    Raises:
        BadInput: a key cannot be otherwise in a simulation, or its value does not fit.
    """
    now = spec.search
    sampler = {"name": now.sampler, **now.arguments} if now.arguments else now.sampler
    stop = [dict(one) for one in now.stop] or "none"
    stop = stop[0] if len(now.stop) == 1 else stop
    search = {"sampler": sampler, "duplicates": now.duplicates, "stop": stop, "seed": now.seed}
    search["deterministic"] = now.window is not None
    budget = {key: value for key, value in asdict(spec.budget).items() if value is not None}
    root = parse(json.dumps({"search": search, "budget": budget, "parallel": slots}), "")
    for setting in settings:
        root = override(root, setting)
    try:
        form = read_form(SimulatedForm, root.plain())
        after = replace(
            spec,
            search=search_of(
                form.search,
                spec.max_epochs,
                form.budget,
                spec.declared,
                form.parallel,
                [one.metric for one in spec.objectives],
            ),
            budget=budget_of(form.budget, spec.objective, spec.resources.gpus, endless=is_endless(form.search.sampler)),
            parallel=form.parallel,
        )
    except BadForm as fault:
        node = root.at(fault.path)
        raise (node.key if fault.at_key else node.place).fault(str(fault)) from fault
    return after, form.parallel


def compared(
    recording: Recording, history: History, spec: SweepSpec, changed: SweepSpec, slots: int, wanted: int
) -> dict[str, Any]:
    """Return the accounts of what was, of its simulation, and of what would have been, with how far these are real."""
    numbers = range(max(len(history.trials), changed.budget.trials or 0))
    rungs = sorted({epoch for one in (spec, changed) for trial in numbers for epoch in one.rungs(trial)})
    rungs = [*[epoch for epoch in rungs if epoch < spec.max_epochs], spec.max_epochs]
    infeasible = sum(one.state == "infeasible" for one in history.trials.values())
    as_recorded = replace(spec, budget=replace(spec.budget, trials=max(1, len(recording.trials) - infeasible)))
    again, _ = _simulate(recording, as_recorded, slots, replayed=True)
    same = all(getattr(spec.search, name) == getattr(changed.search, name) for name in PROPOSES)
    then, curves = _simulate(recording, changed, wanted, replayed=same)
    times = [share * recording.makespan_s for share in SHARES]
    past = [max(one.metrics, default=0) for one in then.trials.values()]
    real = sum(min(curves.real.get(trial, 0), came) for trial, came in zip(then.trials, past, strict=True))
    was = _account(spec, history, rungs, recording.makespan_s, times)
    anew = _account(spec, again, rungs, makespan_s(again), times)
    return {
        "name": spec.name,
        "objective": objectives.in_words(spec.objectives),
        "replayed": same,
        "at_s": times,
        "was": was.to_json(),
        "simulated_as_it_was": anew.to_json(),
        "would_have_been": _account(changed, then, rungs, makespan_s(then), times).to_json(),
        "slots": {"was": slots, "would_have_been": wanted},
        "makespan_error": anew.seconds / was.seconds - 1 if was.seconds else 0.0,
        "attempts_lost": sum(max(0, one.attempts - 1) for one in recording.trials.values()),
        "stopped_otherwise": sorted(set(was.stopped) ^ set(anew.stopped)),
        "epochs_recorded": real,
        "epochs_guessed": sum(past) - real,
    }


def _simulate(recording: Recording, spec: SweepSpec, slots: int, *, replayed: bool) -> tuple[History, RecordedCurves]:
    proposed = recording.proposed if replayed else {}
    curves = RecordedCurves(recording, max_epochs=spec.max_epochs, replayed=proposed)
    known = recording.known.values()
    start = recording.start
    return simulated(spec, curves, slots=slots, known=known, proposed=proposed, start=start), curves


def _account(
    spec: SweepSpec, history: History, rungs: Sequence[int], seconds: float, times: Sequence[float]
) -> Account:
    summary = Summary(spec=spec, history=history)
    best = summary.best()
    sign = 1.0 if spec.objective.direction is Direction.MAX else -1.0
    steps = best_over_time(history, spec.objective.metric, sign, last=spec.objective.at is At.LAST)
    return Account(
        search=f"{spec.search.taken or spec.search.sampler}, {in_words(spec.search.stop)}",
        trials=summary.counted(),
        counts=summary.counts(),
        best=None if best is None or best.outcome is None else best.outcome.value,
        best_trial=None if best is None else best.number,
        seconds=seconds,
        epochs=sum(len(one.metrics) for one in history.trials.values()),
        stopped=tuple(one.number for one in history.trials.values() if one.state == "stopped"),
        rungs=survivors(history, rungs),
        best_after=[next((value for at, value in reversed(steps) if at <= time), None) for time in times],
    )


def _show(name: str, spec: SweepSpec, result: Mapping[str, Any], *, changed: bool) -> None:
    console = Terminal()
    columns = [("was", result["was"]), ("simulated again", result["simulated_as_it_was"])]
    columns += [("would have been", result["would_have_been"])] if changed else []
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for head, _ in columns:
        table.add_column(head, justify="right")

    def row(head: str, cells: Iterable[object]) -> None:
        table.add_row(*(Text(str(cell)) for cell in (head, *cells)))

    accounts = [account for _, account in columns]
    slots = [result["slots"]["was"], result["slots"]["was"], result["slots"]["would_have_been"]]
    row("search", (one["search"] for one in accounts))
    row("slots", slots[: len(columns)])
    row("time", (duration(one["seconds"]) for one in accounts))
    row(f"best {spec.objective.metric}", (number(one["best"]) for one in accounts))
    row("of trial", ("-" if one["best_trial"] is None else one["best_trial"] for one in accounts))
    row("trials", (one["trials"] for one in accounts))
    row("stopped", (len(one["stopped"]) for one in accounts))
    row("epochs", (one["epochs"] for one in accounts))
    for epoch in result["was"]["rungs"]:
        row(f"trials at epoch {epoch}", (one["rungs"][epoch] for one in accounts))
    for place, at_s in enumerate(result["at_s"]):
        row(f"after {duration(at_s)}", (number(one["best_after"][place]) for one in accounts))
    console.print(Text(f"{name}: {result['objective']}"))
    console.print(table)
    for text in _notes(result, changed=changed):
        console.print(text, soft_wrap=True)


def _notes(result: Mapping[str, Any], *, changed: bool) -> Iterable[str]:
    otherwise = result["stopped_otherwise"]
    yield (
        f"simulated as it was, the time is off by {result['makespan_error']:+.1%}, "
        f"and {len(otherwise)} trials were stopped otherwise"
    )
    if result["attempts_lost"]:
        yield f"{result['attempts_lost']} attempts ended without deciding their trial; a simulation has none of these"
    if not changed:
        return
    yield (
        "its trials were proposed again in the same order, whatever the sampler would have made of other outcomes"
        if result["replayed"]
        else "its trials were proposed anew; parameters that were never tried have the curve of the nearest trial"
    )
    guessed, known = result["epochs_guessed"], result["epochs_recorded"]
    yield (
        f"{guessed} of {guessed + known} epochs were never trained with their parameters; past a trial's last epoch a "
        "curve follows the nearest trials that went further"
    )
