"""What the user should know of a specification, though nothing is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import tracking_uri

if TYPE_CHECKING:
    from .spec import SweepSpec

MEASURED = ("latency_ms", "seconds_per_epoch")
"""The built-in measures that a clock takes."""


def notes_on(spec: SweepSpec) -> Iterator[str]:
    """Yield them, one line each."""
    yield from tracking_uri.notes(spec.track.uri)
    yield from _never_judging(spec)
    if spec.budget.only_goal:
        yield "budget: only its goal ends this sweep; where that is out of reach it goes on until it is stopped"
    yield from _on_population(spec)
    if spec.search.window is not None:
        yield from (f"search.deterministic: {one}" for one in _by_chance(spec))


def _never_judging(spec: SweepSpec) -> Iterator[str]:
    """Yield the stop rules whose first judgement would come when a trial has ended."""
    for form in spec.search.stop:
        if form["rule"] == "patience":
            first = int(str(form["epochs"])) + 1
        else:
            first = int(str(form.get("epoch", form.get("min_epochs", 0))))
        if first >= spec.max_epochs:
            yield f"stop: {form['rule']} never judges: it would at epoch {first} at the earliest, a trial has {spec.max_epochs}"


def _by_chance(spec: SweepSpec) -> Iterator[str]:
    """Yield what of a deterministic search is none all the same."""
    for name in ("hours", "slot_hours", "gpu_hours"):
        if getattr(spec.budget, name) is not None:
            yield f"budget.{name} ends the search by the clock: how many trials there are by then differs from run to run"
    if spec.budget.epochs is not None:
        yield "budget.epochs is spent by all trials together: how far each has come by then differs from run to run"
    if not spec.keras.deterministic:
        yield "keras.deterministic is false: metrics may differ from run to run, and with them the trials"
    if spec.limits.trial_s is not None:
        yield "limits.trial_s ends trials by the clock: which ones may differ from run to run"
    named = {*(one.metric for one in spec.objectives), *spec.rules().bounds.names}
    for name in MEASURED:
        if name in named:
            yield f"{name} is measured by the clock: it differs from run to run, and with it the trials"


def _on_population(spec: SweepSpec) -> Iterator[str]:
    """Yield what a population may not be meant to be."""
    if spec.pbt is None:
        return
    turns = spec.pbt.population * -(-spec.max_epochs // spec.pbt.interval)
    if spec.budget.trials is not None and spec.budget.trials < turns:
        have = f"the budget has {spec.budget.trials}"
        yield f"pbt: the population needs {turns} trials for its {spec.max_epochs} epochs, {have}"
    if spec.parallel is not None and spec.parallel > spec.pbt.population:
        yield f"pbt: a population of {spec.pbt.population} leaves some of {spec.parallel} slots without a trial"
