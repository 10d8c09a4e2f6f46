"""What `plan` makes of a trainer's answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from kerasweep.cluster.finding import Severity, warning
from kerasweep.search.budget import Budget
from kerasweep.search.plan import as_data, expected, placed
from kerasweep.search.plan_view import show
from kerasweep.search.spec import Search, SweepSpec
from kerasweep.search.survey import Survey, survey
from kerasweep.spaces.parameter import Number, identity
from kerasweep.spaces.trial import Json

from .specs import spec

UNITS = Number(name="units", min=8, max=64, integer=True, default=16)
KEY = identity(UNITS)


class Fake:
    """Answers as a trainer would whose model reads `units`."""

    def __init__(self, change: Callable[[int], Mapping[str, Any]] = lambda _: {}, findings: Any = ()) -> None:
        self.asked: list[str] = []
        self._change = change
        self._findings = [one.to_json() for one in findings]

    def ask(self, question: str, params: Mapping[str, Json], timeout_s: float) -> dict[str, Any]:
        """Return a model whose size grows with its units."""
        assert timeout_s > 0
        self.asked.append(question)
        units = int(params.get(KEY, 16))  # type: ignore[arg-type]
        answer: dict[str, Any] = {"failed": "", "specs": [UNITS.to_json()], "params": {"units": units}}
        answer |= {"parameters": units * 10, "bytes": units * 100, "batch_size": 32, "learning_rate": 1e-3}
        answer |= {"optimizer": "Adam", "findings": self._findings, "logged": ["loss"], "data": {}}
        return {**answer, **self._change(units)}


def seen(fake: Fake, limit_s: float = 30.0, memory: float = 1e12, **changes: Any) -> Survey:
    """Return the survey of a sweep."""
    return survey(fake, _spec(**changes), limit_s, memory)


def _spec(**changes: Any) -> SweepSpec:
    return replace(spec(), declared=(), **changes)


def codes(survey: Survey) -> dict[str, Severity]:
    """Return what was found, by code."""
    return {one.code: one.severity for one in survey.findings}


def test_one_point_is_rehearsed_and_all_others_are_built() -> None:
    """Data is read once; sizes go from the smallest model to the largest."""
    fake = Fake()
    result = seen(fake)
    assert fake.asked[0] == "rehearse"
    assert set(fake.asked[1:]) == {"probe"}
    assert [result.built[0].parameters, result.built[-1].parameters] == [80, 640]
    assert not result.findings


def test_points_that_fail_are_told_with_their_reason() -> None:
    """A warning where others can be built; its message names the point and says why."""
    result = seen(Fake(lambda units: {"failed": "ValueError: too wide"} if units == 64 else {}))
    assert codes(result) == {"points-fail": Severity.WARNING}
    assert "units=64" in result.findings[0].message
    assert "too wide" in result.findings[0].message


def test_infeasible_points_are_a_note() -> None:
    """The model said so itself."""
    infeasible = {"failed": "Infeasible: no", "infeasible": True}
    assert codes(seen(Fake(lambda units: infeasible if units == 64 else {}))) == {"points-infeasible": Severity.NOTE}


def test_a_model_that_never_builds_is_an_error() -> None:
    """It says at how many points."""
    result = seen(Fake(lambda _: {"failed": "NameError: x"}))
    assert codes(result) == {"model-fails": Severity.ERROR}


def test_the_first_point_that_builds_is_rehearsed_where_the_default_does_not() -> None:
    """So that data and model are looked at all the same."""
    found = warning("inputs-not-scaled", "model.py:3", "x")
    fake = Fake(lambda units: {"failed": "ValueError: odd"} if units == 16 else {}, [found])
    result = seen(fake)
    assert fake.asked[:3] == ["rehearse", "probe", "rehearse"] or fake.asked.count("rehearse") == 2
    assert "inputs-not-scaled" in codes(result)


def test_building_ends_at_the_limit() -> None:
    """No time at all: the default alone is seen, and the plan says so."""
    result = seen(Fake(), limit_s=1e-9)
    assert result.cut
    assert len(result.seen) == 1 or len(result.seen) == 2


def test_models_too_large_for_the_machine_are_warned_of() -> None:
    """By the estimate of the largest."""
    result = seen(Fake(), memory=5_000)
    assert codes(result) == {"memory": Severity.WARNING}
    assert "6.4 kB" in result.findings[0].message


def test_the_top_of_the_range_of_learning_rates_is_judged() -> None:
    """A rate that only some points have is found there."""
    result = seen(Fake(lambda units: {"learning_rate": 10.0} if units == 64 else {}))
    assert codes(result) == {"learning-rate": Severity.WARNING}
    assert "units=64" in result.findings[0].message


def test_findings_about_the_sweep_file_have_its_line(tmp_path: Path) -> None:
    """`fit` is the line of that key; one without a line is named."""
    file = tmp_path / "sweep.yaml"
    file.write_text("name: a\nfit: {epochs: 2}\n")
    assert placed(warning("x", "fit", "…"), file).where == "sweep.yaml:2"
    assert placed(warning("x", "objective", "…"), file).where == "sweep.yaml, objective"
    assert placed(warning("x", "model.py:3", "…"), file).where == "model.py:3"


def test_it_is_shown_in_words_and_as_data(tmp_path: Path) -> None:
    """A plain terminal gets one line per finding, and the next command last; JSON has the same."""
    result = seen(Fake(findings=[warning("inputs-not-scaled", "model.py:3", "x goes from 0 to 255")]))
    console = Console(record=True, width=80, force_terminal=False)
    show(_spec(), result, console, tmp_path / "sweep.yaml")
    lines = console.export_text().splitlines()
    assert "warning: model.py:3: x goes from 0 to 255" in lines
    assert lines[-1].startswith("look at the warning, then: kerasweep run ")
    assert any("smallest 80 parameters" in line for line in lines)
    data = as_data(_spec(), result)
    assert data["sizes"]["largest"]["parameters"] == 640
    assert data["findings"][0]["code"] == "inputs-not-scaled"
    assert data["combinations"] == 57


def test_an_epoch_that_was_measured_makes_a_forecast() -> None:
    """Hours and trials at each rung, in the terminal and in JSON; without a measure nothing is said."""
    stop = Search(sampler="random", stop=({"rule": "asha", "min_epochs": 1, "factor": 3},))
    what: dict[str, Any] = {"search": stop, "budget": Budget(trials=9), "fit": {"epochs": 9}, "parallel": 2}
    result = seen(Fake(lambda _: {"epoch_s": 2.0, "build_s": 0.5, "batch_s": 1.5}), **what)
    hours = as_data(_spec(**what), result)["forecast"]
    assert (hours["trials"], hours["slots"], hours["epoch_s"], hours["trial_s"]) == (9, 2, 2.0, 2.0)
    assert hours["rungs"]["1"] == 9
    assert hours["seconds"] >= 9 * (2.0 + 2.0) / 2
    console = Console(width=200)
    with console.capture() as capture:
        show(_spec(**what), result, console, Path("sweep.yaml"), expected=expected(_spec(**what), result))
    assert "for 9 trials on 2 slots, if an epoch takes 2 s as at the defaults" in capture.get()
    assert "9 at epoch 1, " in capture.get()
    assert as_data(_spec(), seen(Fake()))["forecast"] is None


def shown_time(result: Survey, **what: Any) -> str:
    """Return what a plan prints of the time, blanks left out."""
    console = Console(width=300)
    with console.capture() as capture:
        show(_spec(**what), result, console, Path("sweep.yaml"), expected=expected(_spec(**what), result))
    return next(" ".join(line.split()) for line in capture.get().splitlines() if line.startswith("time"))


def test_a_plan_says_when_nobody_knows_the_end() -> None:
    """Only values end the sweep: the time is that of so many trials. A grid has as many as there are of the space."""
    asks = Fake(lambda _: {"epoch_s": 2.0, "build_s": 0.5, "batch_s": 1.5})
    values: dict[str, Any] = {"budget": Budget(no_improvement=3), "parallel": 1}
    text = shown_time(seen(asks, **values), **values)
    assert text.startswith("time the budget does not say how many trials: about ")
    assert "for 300 trials on 1 slot" in text
    grid: dict[str, Any] = {"budget": Budget(), "search": Search(sampler="grid"), "parallel": 1}
    assert "for 57 trials on 1 slot" in shown_time(seen(asks, **grid), **grid)
    few: dict[str, Any] = {**grid, "budget": Budget(trials=9)}
    assert "for 9 trials on 1 slot" in shown_time(seen(asks, **few), **few)
