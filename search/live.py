"""The live view of a sweep in a terminal, and its plain form where there is none."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol, final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..trackers.history import History
from .summary import Summary, duration, number, parameters, sparkline, trial_line, values_in_words

SHOWN = 16
"""So many running trials have a line of their own."""


class View(Protocol):
    """Shows a sweep while it runs."""

    def show(self, history: History, trouble: str = "") -> None:
        """Take in how the sweep stands; `trouble`: since when and why MLflow takes nothing, empty where it does."""
        ...

    def say(self, text: str) -> None:
        """Show one line that stays."""
        ...


@contextmanager
def view(console: Console, *, waiting_for: str) -> Generator[View]:
    """Give the view that fits the console: live in a terminal, else plain lines."""
    if not console.is_terminal:
        yield PlainView(console)
        return
    start = Text(f"{waiting_for} …", style="dim")
    with Live(start, console=console, refresh_per_second=4, transient=True) as live:
        yield LiveView(live)


@final
class PlainView:
    """One line per finished trial."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[int, float | None] = {}
        self._noticed = 0
        self._trouble = ""

    def show(self, history: History, trouble: str = "") -> None:
        """Print the trials that ended since, and when MLflow stops or begins to take them."""
        if not history.spec:
            return
        summary = Summary.of(history)
        for trial in history.trials.values():
            if trial.outcome is not None and self._said.get(trial.number, 0.0) != trial.ended_at:  # one may end again
                self._said[trial.number] = trial.ended_at
                self.say(trial_line(trial, summary.objective, summary.spec.budget.trials, summary.spec.further))
        for text in history.notices[self._noticed :]:
            self.say(text)
        self._noticed = len(history.notices)
        if bool(trouble) != bool(self._trouble):
            self.say(_behind(trouble) if trouble else "MLflow takes it again")
        self._trouble = trouble

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(Text(text), soft_wrap=True)


@final
class LiveView:
    """Progress against the budget, the best so far, and a line per running trial."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, history: History, trouble: str = "") -> None:
        """Draw how the sweep stands."""
        if history.spec:
            self._live.update(picture(history, time.time(), trouble))

    def say(self, text: str) -> None:
        """Print a line above the view."""
        self._live.console.print(Text(text))


def picture(history: History, now: float, trouble: str = "") -> RenderableType:
    """Return the view of a sweep at the time `now`, with MLflow's `trouble`, if any."""
    summary = Summary.of(history)
    parts: list[RenderableType] = [_progress(summary, now), _best(summary), _running(summary)]
    if history.closing is not None:
        parts.append(Text(f"closing: {history.closing.why}", style="yellow"))
    if trouble:
        parts.append(Text(_behind(trouble), style="yellow"))
    return Group(*parts)


def _behind(trouble: str) -> str:
    return f"MLflow is behind {trouble}; training goes on, and it gets all of it later"


def _progress(summary: Summary, now: float) -> RenderableType:
    elapsed = summary.seconds(now)
    nearest = next(iter(summary.used(now)), None)
    trials = f"{summary.counted()} trials"
    if nearest is None:
        share, of = 0.0, f"{trials}, {summary.spec.budget}"
    else:
        share, of = nearest.share, str(nearest) if nearest.name == "trials" else f"{trials}, {nearest}"
    slots = summary.spec.parallel or max(1, len(summary.running()))
    busy = summary.busy_share(now, slots)
    line = Table.grid(padding=(0, 2))
    line.add_row(
        Text(summary.spec.name, style="bold cyan"),
        ProgressBar(total=1.0, completed=min(1.0, share), width=30),
        Text(of),
        Text(duration(elapsed), style="dim"),
        Text(f"left {duration(summary.seconds_left(now))}", style="dim"),
        Text("" if busy is None else f"busy {busy:.0%}", style="dim"),
        Text(summary.confirming()),
    )
    return line


def _best(summary: Summary) -> RenderableType:
    best = summary.best()
    if best is None or best.outcome is None:
        return Text("no value yet", style="dim")
    text = Text("best ", style="green")
    text.append(values_in_words(best, summary.metrics), style="bold green")
    text.append(f"  trial {best.number}, epoch {best.outcome.epoch}  ", style="green")
    text.append(parameters(best.params), style="dim")
    text.append(f"   {_front(summary)}{summary.counts()}", style="dim")
    return text


def _front(summary: Summary) -> str:
    return f"{len(summary.front())} on the front, " if summary.spec.further else ""


def _running(summary: Summary) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    running = summary.running()
    epochs = summary.spec.max_epochs if summary.spec.several_fits else summary.spec.fit.get("epochs", "?")
    for trial in running[:SHOWN]:
        curve = [value for _, value in trial.curve(summary.objective.metric)]
        table.add_row(
            Text(f"trial {trial.number}" + ("" if trial.confirms is None else f" confirms {trial.confirms}")),
            Text(f"epoch {max(trial.metrics, default=0)}/{epochs}", style="dim"),
            Text(number(curve[-1]) if curve else "-"),
            Text(sparkline(curve), style="cyan"),
            Text(parameters(trial.params), style="dim", overflow="ellipsis", no_wrap=True),
        )
    if len(running) > SHOWN:
        table.add_row(Text(f"and {len(running) - SHOWN} more", style="dim"))
    return table


def last_words(history: History) -> RenderableType:
    """Return what stays on the screen when a sweep is over: the best trial, and what became of the others."""
    summary = Summary.of(history)
    best = summary.best()
    lines: list[Text] = [Text(f"{summary.spec.name}: {_front(summary)}{summary.counts()}")]
    if history.ended is not None and not history.ended.exit_code:
        lines[0].append(f"; {history.ended.why}")
    if best is not None and best.outcome is not None:
        head = Text("best ", style="green")
        head.append(values_in_words(best, summary.metrics), style="bold green")
        head.append(f" (trial {best.number}, epoch {best.outcome.epoch})")
        lines.append(head)
        lines.extend(Text(f"  {one.in_words}") for one in summary.confirmed()[:1])
        width = max((len(name) for name in best.params), default=0)
        lines.extend(Text(f"  {name:<{width}}  {value}") for name, value in best.params.items())
    return Group(*lines)
