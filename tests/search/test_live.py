"""Tests of `kerasweep.search.live`: what a terminal shows, and what a file gets."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from kerasweep.search import live
from kerasweep.search.budget import Budget
from kerasweep.search.live import last_words, picture, view
from kerasweep.spaces.trial import OutcomeKind
from kerasweep.trackers.events import Event, Noticed, SweepClosing, SweepEnded
from kerasweep.trackers.history import History

from .specs import START_AT, begun, completed, ended, history, reported

MARKUP = "[red]x[/red] [link=http://h]y[/link] [/oops]"


def rendered(what: History, now: float = START_AT + 100, width: int = 160) -> list[str]:
    """Return the lines of the live view."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(picture(what, now))
    return [line.rstrip() for line in capture.get().splitlines()]


def printed(what: History, *more: History) -> list[str]:
    """Return what a console that is no terminal gets, shown these histories one after the other."""
    file = io.StringIO()
    console = Console(file=file, width=40)
    with view(console, waiting_for="starting") as shown:
        for one in (what, *more):
            shown.show(one)
    return file.getvalue().splitlines()


def test_the_view_has_progress_best_and_running_trials() -> None:
    """One line each: how far, the best so far, every trial on a slot with its curve."""
    lines = rendered(history(*completed(0, 0.2, 0.75), *begun(1, {"x": 0.25}), *reported(1, 0.1, 0.3)))
    assert lines[0].startswith("small")
    assert "1/4 trials" in lines[0]
    assert "1 min 40 s" in lines[0]
    assert "left 3 s" in lines[0]
    assert lines[1].startswith("best acc 0.75  trial 0, epoch 2  x=0.5")
    assert "1 completed, 1 running" in lines[1]
    assert lines[2] == "trial 1  epoch 2/9  0.3  ▁█  x=0.25"
    assert len(lines) == 3


def test_the_view_of_a_sweep_that_has_just_begun() -> None:
    """Nothing to show is shown as nothing."""
    lines = rendered(history(), START_AT + 1)
    assert "0/4 trials" in lines[0]
    assert "left -" in lines[0]
    assert lines[1] == "no value yet"


def test_a_budget_of_hours_has_no_number_of_trials() -> None:
    """The bar follows the time."""
    lines = rendered(history(*completed(0, 0.5), budget=Budget(hours=1.0)))
    assert "1 trials" in lines[0]
    assert "left 58 min 20 s" in lines[0]


def test_a_closing_sweep_says_why() -> None:
    """After Ctrl-C the view tells what it waits for."""
    assert rendered(history(*begun(0), SweepClosing(why="interrupted", cancel=True)))[-1] == "closing: interrupted"


def test_many_running_trials_are_cut() -> None:
    """A terminal has so many lines."""
    events = [event for trial in range(live.SHOWN + 3) for event in begun(trial)]
    lines = rendered(history(*events))
    assert len(lines) == 2 + live.SHOWN + 1
    assert lines[-1] == "and 3 more"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_is_not_overflowed(width: int) -> None:
    """No line is longer than the terminal is wide."""
    events: list[Event] = [*completed(0, 0.5), *begun(1, {f"parameter_{index}": 0.5 for index in range(30)})]
    assert max(map(len, rendered(history(*events), width=width))) <= width


def test_markup_in_names_and_reasons_is_shown_as_it_is() -> None:
    """What users name their parameters, and what their exceptions say, is text."""
    params = {MARKUP: MARKUP}
    what = history(
        *completed(0, 0.5, params=params),
        *begun(1, params),
        *begun(2),
        ended(2, OutcomeKind.FAILED, why=MARKUP),
        Noticed(text=MARKUP),
        SweepClosing(why=MARKUP),
    )
    shown = f"{MARKUP}={MARKUP[:39]}"
    lines = rendered(what, width=300)
    assert shown in lines[1]
    assert shown in lines[2]
    assert lines[-1] == f"closing: {MARKUP}"
    plain = printed(what)
    assert any(shown in line for line in plain)
    assert f"trial 2/4 failed x=0.5 [{MARKUP}]" in plain
    assert MARKUP in plain
    console = Console(file=io.StringIO(), width=300)
    console.print(last_words(what))
    assert isinstance(console.file, io.StringIO)
    assert f"  {MARKUP}  {MARKUP}" in console.file.getvalue()


def test_without_a_terminal_each_finished_trial_is_one_line_once() -> None:
    """Lines are not wrapped, not repeated, and in the order in which trials ended."""
    first = history(*completed(0, 0.5), *begun(1))
    second = history(*completed(0, 0.5), *completed(1, 0.6), Noticed(text="mind the disk"))
    lines = printed(History(), first, first, second, second)
    assert lines == [
        "trial 0/4 completed acc=0.5 (epoch 1) x=0.5",
        "trial 1/4 completed acc=0.6 (epoch 1) x=0.5",
        "mind the disk",
    ]


def test_in_a_terminal_the_view_is_drawn_and_gone_at_the_end() -> None:
    """What stays on the screen are the lines that were said."""
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    with view(console, waiting_for="starting") as shown:
        shown.show(History())
        shown.show(history(*completed(0, 0.5)))
        shown.say(MARKUP)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert MARKUP in text
    assert "1/4 trials" in text


def test_the_last_words_name_the_best_trial() -> None:
    """What became of the trials, the best value, a line per parameter."""
    console = Console(file=io.StringIO(), width=100)
    console.print(last_words(history(*completed(0, 0.2, 0.7, params={"x": 0.5, "layers": 3}))))
    assert isinstance(console.file, io.StringIO)
    assert [line.rstrip() for line in console.file.getvalue().splitlines()] == [
        "small: 1 completed",
        "best acc 0.7 (trial 0, epoch 2)",
        "  x       0.5",
        "  layers  3",
    ]


def test_the_last_words_say_why_a_sweep_ended_before_its_budget() -> None:
    """Such as that there is nothing left to try."""
    console = Console(file=io.StringIO(), width=100)
    over = (SweepClosing(why="the grid is exhausted"), SweepEnded(why="the grid is exhausted", exit_code=0))
    console.print(last_words(history(*completed(0, 0.5), *over)))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[0] == "small: 1 completed; the grid is exhausted"


def test_the_last_words_of_a_sweep_without_a_value() -> None:
    """Only what became of the trials."""
    console = Console(file=io.StringIO(), width=100)
    console.print(last_words(history(*begun(0), ended(0, OutcomeKind.FAILED, why="no"))))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().strip() == "small: 1 failed"


def test_mlflow_behind_is_one_line_until_it_is_not() -> None:
    """In a file a line when it begins and one when it ends, however its reason changes; in a terminal the last line."""
    file = io.StringIO()
    with view(Console(file=file, width=40), waiting_for="starting") as shown:
        for trouble in ("", "since 12:00:00: refused", "since 12:00:00: no answer in time", "", ""):
            shown.show(history(*begun(0)), trouble)
    assert file.getvalue().splitlines() == [
        "MLflow is behind since 12:00:00: refused; training goes on, and it gets all of it later",
        "MLflow takes it again",
    ]
    console = Console(file=io.StringIO(), width=160)
    with console.capture() as capture:
        console.print(picture(history(*begun(0)), START_AT, f"since 12:00:00: {MARKUP}"))
    assert capture.get().splitlines()[-1].startswith(f"MLflow is behind since 12:00:00: {MARKUP}; training goes on")
