"""What the sweep's run says of its best trials: which they are, the front, and how they did on fresh seeds."""

from __future__ import annotations

from collections.abc import Sequence

from .confirmed import confirmation, confirmed_front, runs_of
from .history import History
from .mirror import cleaned_tags, run_name, value_of
from .trade_offs import Goals, best_of, front_of

FRONT = "front"
"""The tag of the sweep that has the trials of the front with their values."""


def standing_tags(history: History) -> dict[str, str]:
    """Return the tags of the sweep's run that name the best trial, the front, and what became of a confirmation."""
    goals, champions, tags = Goals.of(history.spec), confirmation(history), dict[str, str]()
    best = history.trials[champions[0].number] if champions else best_of(history)
    if best is not None:
        tags["best_trial"] = str(best.number)
        tags["best_value"] = f"{value_of(best):.6g}"
    for one in champions[:1]:
        tags["confirmed"] = one.in_words
    if not champions and runs_of(history):
        tags["confirmed"] = "under way"
    if best is not None and len(goals.each) > 1:
        found = [(one.number, one.means) for one in confirmed_front(champions)] if champions else []
        found = found or [(one.number, goals.values(one)) for one in front_of(history)]
        tags[FRONT] = "; ".join(f"{run_name(number)} {_values(goals, values)}" for number, values in found)
    return cleaned_tags(tags)


def _values(goals: Goals, values: Sequence[float]) -> str:
    return ", ".join(f"{goal.metric} {value:.6g}" for goal, value in zip(goals.each, values, strict=False))
