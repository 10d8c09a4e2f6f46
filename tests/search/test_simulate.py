"""Tests of `kerasweep.search.simulate`: a sweep that ran, as it would have been."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kerasweep.search.budget import Budget
from kerasweep.search.recording import Recording
from kerasweep.search.simulate import altered, compared, simulate_command
from kerasweep.search.simulator import Curve, Simulator, simulated
from kerasweep.search.spec import Search
from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.parameter import Number
from kerasweep.spaces.trial import Outcome, OutcomeKind, Report, Scalar
from kerasweep.trackers.events import AttemptStarted, Entry, Reported, SweepStarted, TrialAsked, TrialEnded
from kerasweep.trackers.history import History
from kerasweep.trackers.journal import Journal

from .specs import spec
from .test_recording import ASHA, CUT, FULL, LAST, journal


def written(home: Path, entries: list[Entry]) -> None:
    """Write a sweep `small` with these events."""
    folder = home / "sweeps" / "small"
    folder.mkdir(parents=True)
    times = iter([entry.at for entry in entries])
    with Journal(folder, clock=lambda: next(times)) as book:
        for entry in entries:
            book.append(entry.event)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with a recorded sweep of three trials."""
    written(tmp_path, journal(FULL, CUT, LAST))
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed."""
    return capsys.readouterr().out


def test_it_says_how_well_it_simulates(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without settings: what was, beside its simulation."""
    simulate_command("small", [], home, as_json=False)
    text = said(capsys)
    assert "simulated again" in text
    assert "would have been" not in text
    assert "trials were stopped otherwise" in text


def test_what_confirms_is_no_part_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sweep that was confirmed is simulated as its search alone; a population is not simulated."""
    entries = journal(FULL, CUT, LAST)
    began = entries[0].event
    assert isinstance(began, SweepStarted)
    plan = {"top": 1, "seeds": 2}
    entries[0] = replace(entries[0], event=SweepStarted(spec={**began.spec, "confirm": plan}))
    at = entries[-1].at
    for number in (3, 4):
        asked = TrialAsked(trial=number, seed=number, params={}, history_seq=0, confirms=0)
        report = Report(epoch=1, metrics={"val_acc": 9.0, "acc": 9.0})
        more = [
            asked,
            AttemptStarted(trial=number, attempt=1),
            Reported(trial=number, attempt=1, report=report),
            TrialEnded(trial=number, attempt=1, outcome=Outcome(kind=OutcomeKind.COMPLETED, value=9.0, epoch=1)),
        ]
        entries += [Entry(seq=len(entries) + 1 + place, at=at + 9, event=one) for place, one in enumerate(more)]
    written(tmp_path, entries)
    simulate_command("small", [], tmp_path, as_json=True)
    found = json.loads(said(capsys))
    written(tmp_path / "plain", journal(FULL, CUT, LAST))
    simulate_command("small", [], tmp_path / "plain", as_json=True)
    assert found == json.loads(said(capsys))
    population = {"population": 2, "interval": 1, "mutate": ["x"]}
    entries[0] = replace(entries[0], event=SweepStarted(spec={**began.spec, "pbt": population}))
    written(tmp_path / "other", entries)
    with pytest.raises(BadInput, match=r"small is a population, .* it cannot be simulated"):
        simulate_command("small", [], tmp_path / "other", as_json=True)


def test_another_stop_rule_is_shown_side_by_side(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its trials are the recorded ones; what no trial has trained is counted and said."""
    simulate_command("small", ["search.stop=none"], home, as_json=True)
    found = json.loads(said(capsys))
    assert found["replayed"] is True
    assert found["was"]["rungs"] == {"3": 3, "9": 2}
    assert found["would_have_been"]["rungs"] == {"3": 3, "9": 3}
    assert (found["epochs_recorded"], found["epochs_guessed"]) == (21, 6)
    assert found["would_have_been"]["search"] == "random, none"
    assert found["would_have_been"]["seconds"] > found["was"]["seconds"]
    simulate_command("small", ["search.stop=none"], home, as_json=False)
    text = said(capsys)
    assert "would have been" in text
    assert "6 of 27 epochs were never trained" in text


def test_another_seed_proposes_anew(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Then no epoch is one that was trained with its parameters."""
    simulate_command("small", ["search.seed=9", "budget.trials=5", "parallel=3"], home, as_json=True)
    found = json.loads(said(capsys))
    assert found["replayed"] is False
    assert found["epochs_recorded"] == 0
    assert found["would_have_been"]["trials"] == 5
    assert found["slots"] == {"was": 1, "would_have_been": 3}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("search.stop=hyperbnd", "did you mean 'hyperband'?"),
        ("search.stop.factor=1", "expected a whole number from 2"),
        ("fit.epochs=3", "unknown key 'fit'; expected one of search, budget, parallel"),
        ("budget.trials=0", "expected a whole number from 1"),
        ("parallel=0", "expected a whole number from 1"),
        ("search", "not understood"),
        ("search.sampler=tpee", "did you mean 'tpe'?"),
    ],
)
def test_a_setting_that_does_not_fit_is_one_line(home: Path, setting: str, message: str) -> None:
    """It names the setting, what was expected, and a near name."""
    with pytest.raises(BadInput) as error:
        simulate_command("small", [setting], home, as_json=False)
    assert str(error.value).startswith(f"--set {setting}"[:12])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_sweep_without_an_epoch_cannot_be_simulated(tmp_path: Path) -> None:
    """There is no curve to simulate from; an unknown name is said to be one."""
    written(tmp_path, journal())
    with pytest.raises(BadInput, match="no trial with an epoch"):
        simulate_command("small", [], tmp_path, as_json=False)
    with pytest.raises(BadInput, match="no sweep 'smal'"):
        simulate_command("smal", [], tmp_path, as_json=False)


def test_settings_leave_the_rest_as_it_was() -> None:
    """A number of the stop rule is changed alone; several rules are replaced whole."""
    one = spec(search=ASHA, budget=Budget(trials=7))
    after, slots = altered(one, 2, ["search.stop.factor=4"])
    assert after.search == Search(sampler="random", stop=({"rule": "asha", "min_epochs": 3, "factor": 4},), seed=1)
    assert (after.budget, slots) == (Budget(trials=7), 2)
    assert altered(one, 2, [])[0].search == one.search
    both = altered(one, 2, ["search.stop=[asha, patience]"])[0]
    assert [rule["rule"] for rule in both.search.stop] == ["asha", "patience"]
    assert altered(both, 2, ["budget.hours=2"])[0].budget == Budget(trials=7, hours=2.0)


@pytest.mark.parametrize("limit", [{"epochs": 20}, {"hours": 0.004}, {"goal": 0.6, "trials": 20}])
def test_a_sweep_ends_again_by_what_ended_it(limit: dict[str, Any]) -> None:
    """Not by its number of trials alone: some were cut."""
    rising = [({"acc": (1 - 1 / (epoch + 1)) * 0.7}, 1.0 + epoch / 10) for epoch in range(9)]

    class Rising:
        def of(self, number: int, params: Mapping[str, Scalar]) -> Curve:
            return Curve(epochs=rising[: 9 - number % 2])

    ran = spec(budget=Budget(**limit), fit={"epochs": 9}, search=Search(sampler="random", seed=3), parallel=2)
    simulator = Simulator(ran, Rising(), slots=2)
    simulator.run()
    recording, past = Recording.of(simulator.journal.entries), History.of(simulator.journal.entries)
    found = compared(recording, past, ran, ran, 2, 2)
    assert found["makespan_error"] == pytest.approx(0.0)
    assert found["simulated_as_it_was"]["epochs"] == found["was"]["epochs"]


def test_in_a_window_all_that_was_recorded_is_searched() -> None:
    """Also parameters that only models named: the others would be soon exhausted."""
    late = Number(name="late", min=0.0, max=1.0, integer=False)

    class Flat:
        def of(self, number: int, params: Mapping[str, Scalar]) -> Curve:
            return Curve(epochs=[({"acc": float(params["late"])}, 1.0)])

    search = Search(sampler="random", seed=3, window=2)
    history = simulated(spec(budget=Budget(trials=6), fit={"epochs": 1}, search=search), Flat(), slots=2, known=[late])
    assert len({one.params["late"] for one in history.trials.values()}) == 6


def test_trials_of_another_automatic_sampler_are_proposed_anew() -> None:
    """With early stopping `auto` takes another one."""
    before = spec(search=Search(sampler="auto", taken="gp", seed=3))
    changed, _ = altered(before, 2, ["search.stop=asha"])
    assert (changed.search.sampler, changed.search.taken) == ("auto", "tpe")
    entries = journal(FULL, CUT, LAST)
    found = [compared(Recording.of(entries), History.of(entries), before, one, 2, 2) for one in (before, changed)]
    assert [one["replayed"] for one in found] == [True, False]
