"""What a person opens in MLflow: a saved view with the trials best first, and a note with the top ten."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from .confirmed import confirmation
from .history import History, TrialRecord
from .mirror import cleaned_names, counts, milliseconds, run_name
from .redaction import redact
from .runs import PARENT
from .trade_offs import FEASIBLE, Goals, ranking

VIEW = "mlflow.sharedViewState."
"""Experiment tags of this prefix are the saved views of the runs page."""

_TAG_LIMIT = 20_000
_TOP = 10
_WIDTHS = {"attributes.`Run Name`": 120, "duration": 90, "runDateAndNestInfo": 140}
"""Columns that are always there, by the ids that MLflow's table gives them, with their widths in pixels."""
_NOTE_LIMIT = 7_500
_NOTE_PARAMS = 8
_MARKDOWN = re.compile(r"[\[\]|`!\\]")
"""What could make a link, a picture, a column or code of a value."""


def view_id(identity: str) -> str:
    """Return the id of the view of the sweep that `identity` marks."""
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def leaderboard_url(base_url: str, experiment_id: str, view: str) -> str:
    """Return the address of the saved view; without its `workflowType` the page would open for another kind of work."""
    query = f"workflowType=machine_learning&viewStateShareKey={quote(view)}"
    return f"{base_url.rstrip('/')}/#/experiments/{quote(experiment_id)}/runs?{query}"


def saved_view(history: History, parent: str, params: Sequence[str]) -> str:
    """Return the value of the experiment's tag that is the view; as many of `params` are columns as find room."""
    shown = len(params)
    while len(text := _packed(history, parent, params[:shown])) >= _TAG_LIMIT:
        shown = shown * 3 // 4
    return text


def _packed(history: History, parent: str, params: Sequence[str]) -> str:
    state = json.dumps(_state(history, parent, params), separators=(",", ":"))
    at = milliseconds(history.started_at)
    view = {
        "name": f"Leaderboard {history.spec['name']}",
        "createdAt": at,
        "updatedAt": at,
        "state": "deflate;" + base64.b64encode(zlib.compress(state.encode(), 9)).decode(),
    }
    return json.dumps(view, separators=(",", ":"))


def _state(history: History, parent: str, params: Sequence[str]) -> dict[str, Any]:
    goals = Goals.of(history.spec)
    values = [f"metrics.`{name}`" for name in goals.columns]
    bounded = [name for name in goals.measures if name not in [goal.metric for goal in goals.each]]
    values += [f"metrics.`{name}`" for name in bounded]
    told = [
        *([FEASIBLE] if goals.bounds.clauses else []),
        "outcome",
        *(["confirms"] if history.spec.get("confirm", {}).get("top") else []),
        *(["donor"] if history.spec.get("pbt") else []),
    ]
    columns = [*values, *(f"params.`{name}`" for name in params), *(f"tags.`{name}`" for name in told)]
    name, *rest = _WIDTHS
    order = [name, *columns, *rest]
    return {
        "searchFilter": f"tags.`{PARENT}` = '{parent}'",
        "orderByKey": values[0],
        "orderByAsc": not goals.each[0].maximize,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": columns,
        "columnOrder": order,
        "columnWidths": {**{column: _width(column) for column in columns}, **_WIDTHS},
        "runsHiddenMode": "SHOW_ALL",
        "groupBy": None,
        "hideEmptyCharts": True,
    }


def _width(column: str) -> int:
    """Return a width in pixels in which the column's name can be read."""
    return min(max(8 * len(column.split("`")[1]) + 35, 90), 220)


def note(history: History, experiment_id: str, view: str, runs: dict[int, str]) -> str:
    """Return the sweep's note in markdown: where it stands, and its best trials with a link each."""
    best = ranking(history)[:_TOP]
    names = _telling(best)
    for shown in range(min(len(names), _NOTE_PARAMS), -1, -1):
        text = _note(history, experiment_id, view, runs, best, names[:shown])
        if len(text) <= _NOTE_LIMIT:
            return text
    return ""


def _telling(best: Sequence[TrialRecord]) -> list[str]:
    """Return the names of the parameters, those in which the best trials differ first."""
    names = dict.fromkeys(name for record in best for name in record.params)
    return sorted(names, key=lambda name: len({str(record.params.get(name)) for record in best}) == 1)


def _note(
    history: History,
    experiment_id: str,
    view: str,
    runs: dict[int, str],
    best: Sequence[TrialRecord],
    names: Sequence[str],
) -> str:
    goals = Goals.of(history.spec)
    lines = [
        f"**{_cell(str(goals))}** · {counts(history)} · "
        f"[all trials, best first]({leaderboard_url('', experiment_id, view).removeprefix('/')})"
    ]
    if best:
        lines += ["", _row(["", "trial", *map(_cell, goals.columns), "epoch", *cleaned_names(names).values()])]
        lines.append(_row(["--:", ":--", *("--:" for _ in goals.columns), "--:", *("--:" for _ in names)]))
    for place, record in enumerate(best, start=1):
        name, epoch = run_name(record.number), record.outcome.epoch if record.outcome else None
        run = runs.get(record.number)
        link = f"[{name}](#/experiments/{experiment_id}/runs/{run})" if run else name
        values = [_shown(record.params[one]) if one in record.params else "" for one in names]
        reached = [f"{value:.6g}" for value in goals.values(record)]
        lines.append(_row([str(place), link, *reached, str(epoch or ""), *values]))
    champions = confirmation(history)
    if champions:
        lines += ["", "Trained again on fresh seeds, the champion first:", ""]
        lines += [f"- {run_name(one.number)}: {_escaped(one.in_words)}" for one in champions]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _cell(str(value))


def _cell(text: str) -> str:
    flat = " ".join(redact(text).split())
    shown = flat if len(flat) <= 40 else flat[:39] + "…"
    return _escaped(shown)


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\g<0>", text.replace("&", "&amp;").replace("<", "&lt;"))
