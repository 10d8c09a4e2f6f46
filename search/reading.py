"""The commands that only read: `list`, `show`, `best`, `ui`."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from ..spaces.errors import BadInput, Infrastructure, KerasweepError, NoTrialSucceeded, one_line
from ..trackers.history import History, TrialRecord
from . import sweeps
from .lineage import in_words, lineage
from .summary import (
    Summary,
    confirmed_json,
    duration,
    failures,
    number,
    parameters,
    scalar,
    sparkline,
    trial_json,
    value_of,
    values_in_words,
)
from .terminal import Terminal, echo, echo_json

ROWS = 30


def list_command(home: Path | None, *, as_json: bool) -> None:
    """List the sweeps of the home folder."""
    place = sweeps.home_folder(home)
    rows = [row for name in sweeps.names(place) if (row := _listed(place / "sweeps" / name)) is not None]
    if as_json:
        echo_json(rows)
        return
    console = Terminal()
    if not rows:
        console.print(f"no sweeps in {place / 'sweeps'}; `kerasweep init` writes one to start from", soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("sweep", "state", "trials", "objective", "best", "age"):
        table.add_column(column, justify="right" if column in ("trials", "best", "age") else "left")
    for row in rows:
        cells = (
            row["name"],
            row["state"],
            row["trials"],
            row["objective"],
            number(row["best"]),
            duration(row["age_s"]),
        )
        table.add_row(*(Text(str(cell)) for cell in cells))
    console.print(table)
    for row in rows:
        if row["why"]:
            console.print(Text(f"{row['name']}: {row['why']}", style="yellow"), soft_wrap=True)


def _listed(folder: Path) -> dict[str, Any] | None:
    """Return what is to be said of a sweep, whatever is the matter with it; None where it was removed meanwhile."""
    row: dict[str, Any] = {"name": folder.name, "state": "unreadable", "why": ""}
    row |= {"trials": 0, "objective": "", "best": None, "age_s": 0.0}
    try:
        return row | _sound(folder)
    except (KerasweepError, OSError, sqlite3.Error) as error:
        if not (folder / "journal.db").exists():
            return None
        return row | {"why": one_line(str(error))}


def _sound(folder: Path) -> dict[str, Any]:
    history = sweeps.read(folder)
    if not history.spec:
        return {"state": "empty"}
    summary = Summary.of(history)
    best = summary.best()
    return {
        "state": sweeps.state(folder, history),
        "trials": summary.counted(),
        "objective": summary.goal,
        "best": None if best is None else value_of(best),
        "age_s": round(max(0.0, time.time() - history.started_at), 1),
    }


def show_command(name: str, trial: int | None, home: Path | None, *, as_json: bool) -> None:
    """Show a sweep, or one trial of it."""
    folder = sweeps.find(sweeps.home_folder(home), name)
    history = sweeps.read(folder)
    if trial is None:
        _show_sweep(folder, history, as_json=as_json)
        return
    if trial not in history.trials:
        raise BadInput(f"{name} has no trial {trial}; it has {len(history.trials)}, numbered from 0")
    _show_trial(Summary.of(history), history.trials[trial], as_json=as_json)


def _show_sweep(folder: Path, history: History, *, as_json: bool) -> None:
    summary = Summary.of(history)
    ranked = summary.ranked()
    rest = [one for one in history.trials.values() if value_of(one) is None and one.confirms is None]
    if as_json:
        state = sweeps.state(folder, history)
        trials = [trial_json(one) for one in history.trials.values()]
        now = time.time() if state == "running" else history.last_at
        spent = {one.name: {"used": one.used, "limit": one.limit} for one in summary.used(now)}
        about = {"name": folder.name, "state": state, "objective": summary.goal, "notices": history.notices}
        why = None if history.ended is None else history.ended.why
        confirmed = [confirmed_json(one) for one in summary.confirmed()]
        about |= {"used": spent, "ended": why, "spec": dict(history.spec)}
        echo_json({**about, "trials": trials, "confirmed": confirmed})
        return
    console = Terminal()
    budget = summary.spec.budget.trials
    of = f" of {budget}" if budget is not None else ""
    state = sweeps.state(folder, history)
    console.print(Text(f"{folder.name}: {state}, {summary.counted()}{of} trials ({summary.counts()}), {summary.goal}"))
    now = time.time() if state == "running" else history.last_at
    goal = [] if summary.spec.budget.goal is None else [f"goal {summary.spec.budget.goal:g}"]
    why = f"; {history.ended.why}" if history.ended is not None else ""
    console.print(Text(f"budget: {', '.join([*map(str, summary.used(now)), *goal])}{why}"), soft_wrap=True)
    for one in summary.confirmed():
        console.print(Text(f"trial {one.number}: {one.in_words}"), soft_wrap=True)
    if summary.confirming():
        console.print(summary.confirming())
    inherits = [] if summary.spec.pbt is None else ["from"]
    table = Table(box=None, pad_edge=False)
    for column in ("trial", "state", *summary.metrics, "epoch", "curve", *inherits, "parameters"):
        table.add_column(column, justify="right" if column in ("trial", "epoch") else "left")
    for one in [*ranked, *rest][:ROWS]:
        table.add_row(*_row(one, summary.metrics, inherits=bool(inherits)))
    console.print(table)
    if len(ranked) + len(rest) > ROWS:
        console.print(f"and {len(ranked) + len(rest) - ROWS} more; --json has all")
    for reason, count in failures(history.trials.values())[:5]:
        console.print(Text(f"failed {count} x: {reason}", style="red"), soft_wrap=True)
    for text in history.notices:
        console.print(Text(text, style="yellow"), soft_wrap=True)


def _row(trial: TrialRecord, metrics: Sequence[str], *, inherits: bool = False) -> list[Text]:
    outcome = trial.outcome
    curve = [value for _, value in trial.curve(metrics[0])]
    epoch = max(trial.metrics, default=0) if outcome is None or outcome.epoch is None else outcome.epoch
    donor = [trial.donor.trial if trial.donor is not None else ""] if inherits else []
    values = _values(trial, len(metrics))
    state = trial.state if outcome is None or outcome.feasible or value_of(trial) is None else f"{trial.state}, broken"
    head = (trial.number, state, *map(number, values), epoch, sparkline(curve))
    cells = (*head, *donor, parameters(trial.params))
    return [Text(str(cell)) for cell in cells]


def _values(trial: TrialRecord, count: int) -> list[float | None]:
    """Return the value of each of so many objectives."""
    if trial.outcome is None or value_of(trial) is None:
        return [None] * count
    return [*(trial.outcome.values or (trial.outcome.value,))]


def _show_trial(summary: Summary, trial: TrialRecord, *, as_json: bool) -> None:
    if as_json:
        epochs = [{"epoch": epoch, **row} for epoch, row in sorted(trial.metrics.items())]
        traceback = trial.outcome.traceback if trial.outcome is not None else ""
        echo_json(
            {
                **trial_json(trial, summary.metrics),
                "metrics": epochs,
                "traceback": traceback,
                "timings": [dict(one) for one in trial.timings],
            }
        )
        return
    console = Terminal()
    outcome = trial.outcome
    start = f", starting point of {trial.start}" if trial.start else ""
    console.print(Text(f"trial {trial.number}: {trial.state}, attempt {trial.attempt}, seed {trial.seed}{start}"))
    if trial.confirms is not None:
        console.print(f"confirms trial {trial.confirms}")
    if trial.donor is not None:
        console.print(Text(in_words(lineage(summary.history, trial.number))), soft_wrap=True)
    if outcome is not None and outcome.value is not None:
        console.print(f"{values_in_words(trial, summary.metrics)} at epoch {outcome.epoch}")
    if outcome is not None and outcome.reason:
        console.print(Text(outcome.reason, style="yellow"), soft_wrap=True)
    for name, value in trial.params.items():
        console.print(Text(f"  {name} = {scalar(value)}"))
    for name, value in trial.measured.items():
        console.print(Text(f"{name} {number(value)}"))
    names = sorted({name for row in trial.metrics.values() for name in row})
    table = Table(box=None, pad_edge=False)
    for name in ("epoch", *names):
        table.add_column(name, justify="right")
    for epoch, row in sorted(trial.metrics.items()):
        table.add_row(str(epoch), *(number(row.get(name)) for name in names))
    if names:
        console.print(table)
    if outcome is not None and outcome.traceback:
        console.print(outcome.traceback, style="dim", soft_wrap=True)


def best_command(name: str, export: Path | None, trial: int | None, home: Path | None, *, as_json: bool) -> None:
    """Print the best trial, the Pareto front where there are several objectives, or the given trial; and export it."""
    folder = sweeps.find(sweeps.home_folder(home), name)
    if export is not None:
        sweeps.check_own(folder)
    history = sweeps.read(folder)
    summary = Summary.of(history)
    best = summary.best() if trial is None else history.trials.get(trial)
    if trial is not None and best is None:
        raise BadInput(f"{name} has no trial {trial}; it has {len(history.trials)}, numbered from 0")
    if best is None or value_of(best) is None:
        raise NoTrialSucceeded(
            f"no trial of {name} has a value ({summary.counts()}); `kerasweep show {name}` says why"
            if trial is None
            else f"trial {trial} of {name} has no value; `kerasweep show {name} {trial}` says why"
        )
    if export is not None:
        _export(folder, export, trial)
    elif summary.spec.further and trial is None:
        _show_front(summary, best, as_json=as_json)
    elif as_json:
        told = next((confirmed_json(one) for one in summary.confirmed() if one.number == best.number), None)
        stretches = [asdict(one) for one in lineage(history, best.number)] if best.donor is not None else []
        echo_json({**trial_json(best, summary.metrics), "confirmed": told, "lineage": stretches})
    else:
        echo(as_yaml(summary, best))


def _export(folder: Path, target: Path, trial: int | None) -> None:
    from .results import export

    with _without_native_noise():
        written, lacking = export(folder, target, trial)
    for path in written:
        echo(f"wrote {path}")
    for text in lacking:
        echo(text)


def _show_front(summary: Summary, best: TrialRecord, *, as_json: bool) -> None:
    """Show the Pareto front, a trial a row; once the best were confirmed, with their means."""
    front, confirmed = summary.front(), {one.number: one for one in summary.confirmed()}
    if as_json:
        means = {at: {"confirmed": confirmed_json(one)} for at, one in confirmed.items()}
        trials = [{**trial_json(one, summary.metrics), **means.get(one.number, {})} for one in front]
        echo_json({"objectives": [str(one) for one in summary.spec.objectives], "best": best.number, "front": trials})
        return
    console = Terminal()
    name, trials = summary.spec.name, f"{len(front)} trial{'s' * (len(front) != 1)}"
    means = ", by means on fresh seeds" if confirmed else ""
    console.print(Text(f"{name}: {summary.goal}: {trials} on the front, best by {summary.metrics[0]} first{means}"))
    table = Table(box=None, pad_edge=False)
    for column in ("trial", "state", *summary.metrics, "epoch", "parameters"):
        table.add_column(column, justify="right" if column in ("trial", "epoch", *summary.metrics) else "left")
    for one in front:
        trial, state, *values, epoch, _, params = _row(one, summary.metrics)
        if one.number in confirmed:
            values = [Text(number(mean)) for mean in confirmed[one.number].means]
        table.add_row(trial, state, *values, epoch, params)
    console.print(table)
    for told in confirmed.values():
        console.print(Text(f"trial {told.number}: {told.in_words}"), soft_wrap=True)
    if best.outcome is not None and not best.outcome.feasible:
        console.print("no trial keeps to all constraints; these break them least", style="yellow")


@contextmanager
def _without_native_noise() -> Generator[None]:
    """Keep what TensorFlow's libraries write about themselves, and no setting silences, off the terminal."""
    sys.stderr.flush()
    before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def as_yaml(summary: Summary, trial: TrialRecord) -> str:
    """Return a trial's parameters as YAML, its value in a comment."""
    import io

    from ruamel.yaml import YAML

    yaml, text = YAML(), io.StringIO()
    params = dict(trial.params)
    yaml.allow_unicode = all(str(one).isprintable() for one in (*params, *params.values()))
    yaml.dump(params, text)
    epoch = "" if trial.outcome is None else f", epoch {trial.outcome.epoch}"
    value = one_line(values_in_words(trial, summary.metrics))
    more = [one.in_words for one in summary.confirmed() if one.number == trial.number]
    if trial.donor is not None:
        more.append(in_words(lineage(summary.history, trial.number)))
    head = f"# {summary.spec.name}, trial {trial.number}{epoch}: {value}\n"
    return head + "".join(f"# {one_line(one, 2000)}\n" for one in more) + text.getvalue().rstrip("\n")


def ui_command(name: str | None, home: Path | None) -> None:
    """Open a sweep's page, or the server's."""
    from ..cluster.mlflow_server import ensure_server
    from ..trackers.leaderboard import leaderboard_url
    from ..trackers.status import delivery_status
    from .spec import SweepSpec

    place = sweeps.home_folder(home)
    known = sweeps.names(place)
    if name is None and not known:
        raise BadInput(f"no sweeps in {place / 'sweeps'} to show; `kerasweep init` writes one to start from")
    folder = sweeps.find(place, name or known[-1])
    sweeps.check_own(folder)
    spec = SweepSpec.from_json(sweeps.read(folder).spec)
    status = delivery_status(folder)
    if status.experiment_id is None or status.view_id is None:
        raise Infrastructure(f"MLflow has nothing of {folder.name} yet; `kerasweep sync {folder.name}` delivers it")
    state = place / "sweeps" / ".ui"
    state.mkdir(mode=0o700, exist_ok=True)
    link = leaderboard_url(ensure_server(spec.track.uri, state), status.experiment_id, status.view_id)
    echo(link)
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        import webbrowser

        webbrowser.open(link)
