"""The stop rules by their names, and how each is made of what a sweep file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .curve_rules import Divergence, Median, Patience, Threshold
from .each_rule import ByEach
from .halving import Hyperband, SuccessiveHalving
from .objective import Objective
from .stop import AnyOf, NeverStop, StopRule

NAMES = ("asha", "hyperband", "median", "patience", "threshold", "divergence")


def rule_of(forms: Sequence[Mapping[str, Any]], *objectives: Objective) -> StopRule:
    """Return the rule that `{rule: name, …}` stand for, none, one or several of them; the first objective comes first.

    Raises:
        BadInput: a number of one of them makes no sense.
    """
    rules = tuple(_one(form, objectives) for form in forms)
    return rules[0] if len(rules) == 1 else AnyOf(rules) if rules else NeverStop()


def in_words(forms: Sequence[Mapping[str, Any]]) -> str:
    """Return the rules as a sweep file would have them, in one line."""
    return ", ".join(_words(form) for form in forms) or "none"


def _words(form: Mapping[str, Any]) -> str:
    given = {name: value for name, value in form.items() if name != "rule" and value is not None}
    numbers = " ".join(f"{name} {value if isinstance(value, str) else f'{value:g}'}" for name, value in given.items())
    return f"{form['rule']} ({numbers})" if numbers else str(form["rule"])


def _one(form: Mapping[str, Any], objectives: Sequence[Objective]) -> StopRule:
    given = {name: value for name, value in form.items() if name != "rule"}
    match form["rule"]:
        case "asha":
            return SuccessiveHalving(**given)
        case "hyperband":
            return Hyperband(**given)
        case "median":
            return ByEach(rule=Median(**given), name="median", compares=True)
        case "patience":
            return ByEach(rule=Patience(**given), name="patience", compares=False)
        case "threshold":
            metric = given.get("metric") or objectives[0].metric
            objective = next(one for one in objectives if one.metric == metric)
            named = {"metric": metric} if len(objectives) > 1 else {}
            return Threshold(epoch=given["epoch"], value=given["value"], score=objective.score(given["value"]), **named)
        case "divergence":
            return Divergence(**given)
        case name:
            raise ValueError(f"no stop rule is named {name!r}")
