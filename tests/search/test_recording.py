"""Tests of `kerasweep.search.recording`: what is taken from a journal, and what is made up beyond it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from kerasweep.search.budget import Budget
from kerasweep.search.recording import RecordedCurves, Recording, slots_of
from kerasweep.search.simulator import makespan_s, simulated
from kerasweep.search.spec import Search, SweepSpec
from kerasweep.spaces.parameter import identity
from kerasweep.spaces.trial import OutcomeKind, Report
from kerasweep.trackers.events import (
    AttemptStarted,
    Entry,
    Event,
    ParametersUsed,
    Reported,
    SweepStarted,
    Timed,
    TrialAsked,
    decode,
)
from kerasweep.trackers.history import History

from .specs import START_AT, X, ended, spec

ASHA = Search(sampler="random", stop=({"rule": "asha", "min_epochs": 3, "factor": 3},), seed=1)


def trial(number: int, x: float, *values: float, at: float, stopped: bool = False) -> list[tuple[float, Event]]:
    """Return the events of a trial that takes a second to begin, two an epoch, and one more where it is stopped."""
    start = START_AT + at
    fit, end = start + 1.0, start + 1.0 + 2.0 * len(values)
    kind = OutcomeKind.STOPPED if stopped else OutcomeKind.COMPLETED
    times = {"start": start, "fit_start": fit, "fit_end": end + stopped, "end": end + stopped}
    reports: list[tuple[float, Event]] = [
        (
            fit + 2.0 * epoch,
            Reported(trial=number, attempt=1, report=Report(epoch=epoch, metrics={"acc": value}, seconds=2.0)),
        )
        for epoch, value in enumerate(values, 1)
    ]
    return [
        (start, TrialAsked(trial=number, seed=number, params={identity(X): x}, history_seq=0)),
        (start, AttemptStarted(trial=number, attempt=1)),
        (fit, ParametersUsed(trial=number, attempt=1, params={"x": x}, specs=(X.to_json(),))),
        *reports,
        (end, ended(number, kind, max(values), values.index(max(values)) + 1)),
        (end + stopped, Timed(trial=number, attempt=1, slot="7", pid=9, times=times)),
    ]


def journal(*trials: Iterable[tuple[float, Event]], **changes: object) -> list[Entry]:
    """Return a journal of these trials."""
    what = spec(**{"search": ASHA, "budget": Budget(trials=len(trials)), **changes})
    events = [(START_AT, SweepStarted(spec=what.to_json())), *(event for one in trials for event in one)]
    return [Entry(seq=seq, at=at, event=event) for seq, (at, event) in enumerate(sorted_by_time(events), 1)]


def sorted_by_time(events: list[tuple[float, Event]]) -> list[tuple[float, Event]]:
    """Return the events in the order of their times, those of one time as they were."""
    return sorted(events, key=lambda pair: pair[0])


FULL = trial(0, 0.5, *[0.1 * epoch for epoch in range(1, 10)], at=0.0)
CUT = trial(1, 0.4, 0.05, 0.1, 0.15, at=19.5, stopped=True)
LAST = trial(2, 0.9, *[0.1] * 9, at=28.0)


def test_a_recorded_sweep_is_simulated_to_the_second() -> None:
    """The same trials stop, and the last one ends when it did: a stopped fit holds its slot, a gap is a gap."""
    recording = Recording.of(journal(FULL, CUT, LAST))
    curves = RecordedCurves(recording, max_epochs=9, replayed=recording.proposed)
    what = recording.spec
    assert what is not None
    history = simulated(what, curves, slots=slots_of(recording), proposed=recording.proposed)
    assert [one.state for one in history.trials.values()] == ["completed", "stopped", "stopped"]
    starts = [one.started_at for one in history.trials.values()]
    assert starts == pytest.approx([0.0, 19.0, 26.5], abs=0.6)
    assert recording.makespan_s == pytest.approx(28.0 + 19.0)
    assert slots_of(recording) == 1


def test_a_stopped_curve_goes_on_as_its_neighbours_did() -> None:
    """Their change since its last epoch is added; its epochs take its own mean time; what was recorded stays."""
    recording = Recording.of(journal(FULL, CUT))
    curve = RecordedCurves(recording, max_epochs=9, replayed=[0, 1]).of(1, {"x": 0.4})
    values = [metrics["acc"] for metrics, _ in curve.epochs]
    assert values[:3] == [0.05, 0.1, 0.15]
    assert values[3:] == pytest.approx([0.25, 0.35, 0.45, 0.55, 0.65, 0.75])
    assert all(seconds == pytest.approx(2.0) for _, seconds in curve.epochs)


def test_a_stopped_curve_stays_where_none_went_further() -> None:
    """Nothing says how it would go on."""
    recording = Recording.of(journal(CUT))
    curve = RecordedCurves(recording, max_epochs=9, replayed=[1]).of(1, {"x": 0.4})
    assert [metrics["acc"] for metrics, _ in curve.epochs[3:]] == [0.15] * 6


def test_parameters_never_tried_have_the_curve_of_the_nearest_trial() -> None:
    """How many epochs are real is kept: none of these."""
    recording = Recording.of(journal(FULL, CUT))
    curves = RecordedCurves(recording, max_epochs=9)
    assert curves.of(5, {"x": 0.47}).epochs == curves.of(6, {"x": 0.5}).epochs
    assert curves.real == {5: 0, 6: 9}


def test_a_rung_is_reached_when_it_was() -> None:
    """What passes between epochs is in no epoch's seconds: they are stretched to the rung, but not without bound."""
    late = [(at + 0.75 if isinstance(event, Reported) and event.report.epoch == 3 else at, event) for at, event in CUT]
    paced = Recording.of(journal(late)).paced(1)
    assert sum(seconds for _, seconds in paced) == pytest.approx(6.75)
    stuck = [(at + 60 if isinstance(event, Reported) and event.report.epoch == 3 else at, event) for at, event in CUT]
    assert sum(seconds for _, seconds in Recording.of(journal(stuck)).paced(1)) == pytest.approx(6.0)


def test_a_sweep_without_timings_is_simulated_from_its_epochs() -> None:
    """Then nothing is known of what passes besides."""
    bare = [(at, event) for at, event in FULL if not isinstance(event, Timed)]
    recording = Recording.of(journal(bare))
    curves = RecordedCurves(recording, max_epochs=9, replayed=recording.proposed)
    what: SweepSpec = spec(search=ASHA, budget=Budget(trials=1))
    assert makespan_s(simulated(what, curves, slots=1, proposed=recording.proposed)) == pytest.approx(18.0)


def test_a_real_sweep_of_fifty_trials_is_simulated_as_it_was() -> None:
    """Two slots under ASHA, recorded on digits: the very trials that stopped stop, and the last one ends when it did."""
    with gzip.open(Path(__file__).parent / "recorded" / "fifty.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    entries = [
        Entry(seq=seq, at=at, event=decode(kind, trial, json.dumps(body)))
        for seq, (at, kind, trial, body) in enumerate(rows, 1)
    ]
    recording, was = Recording.of(entries), History.of(entries)
    assert recording.spec is not None
    assert (len(recording.trials), slots_of(recording)) == (50, 2)
    curves = RecordedCurves(recording, max_epochs=recording.spec.max_epochs, replayed=recording.proposed)
    again = simulated(recording.spec, curves, slots=2, known=recording.known.values(), proposed=recording.proposed)
    stopped = {number for number, one in was.trials.items() if one.state == "stopped"}
    assert len(stopped) == 36
    assert {number for number, one in again.trials.items() if one.state == "stopped"} == stopped
    assert makespan_s(again) == pytest.approx(recording.makespan_s, rel=0.01)
    values = {number: one.outcome.value for number, one in was.trials.items() if one.outcome is not None}
    assert {number: one.outcome and one.outcome.value for number, one in again.trials.items()} == pytest.approx(
        values, abs=1e-6
    )
