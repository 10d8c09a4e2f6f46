"""The stop rules by their names, and how each is made of what a sweep file says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from ..spaces.bad_form import shown
from .curve_rules import Divergence, Median, Patience, Threshold
from .each_rule import ByEach
from .halving import Hyperband, SuccessiveHalving
from .objective import Objective
from .pruner_rule import PrunerRule
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
    numbers = " ".join(f"{name} {_word(value)}" for name, value in form.items() if name != "rule")
    return f"{form['rule']} ({numbers})" if numbers else str(form["rule"])


def _word(value: Any) -> str:
    if isinstance(value, Mapping):  # an object of a class
        return str(cast(Mapping[str, Any], value).get("name"))
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else shown(value)


def _one(form: Mapping[str, Any], objectives: Sequence[Objective]) -> StopRule:
    given = {name: value for name, value in form.items() if name != "rule"}
    match form["rule"]:
        case "asha":
            return SuccessiveHalving(**given)
        case "hyperband":
            return Hyperband(**given)
        case "median":
            return _by_each("median", objectives, lambda _: Median(**given), compares=True)
        case "patience":
            return _by_each("patience", objectives, lambda _: Patience(**given), compares=False)
        case "threshold":
            metric = given.get("metric") or objectives[0].metric
            objective = next(one for one in objectives if one.metric == metric)
            named = {"metric": metric} if len(objectives) > 1 else {}
            return Threshold(epoch=given["epoch"], value=given["value"], score=objective.score(given["value"]), **named)
        case "divergence":
            return Divergence(**given)
        case str(name) if ":" in name:
            return _by_each(
                name, objectives, lambda one: PrunerRule(name=name, arguments=given, objective=one), compares=True
            )
        case name:
            raise ValueError(f"no stop rule is named {name!r}")


def _by_each(
    name: str, objectives: Sequence[Objective], make: Callable[[Objective], StopRule], *, compares: bool
) -> StopRule:
    return ByEach(rules={one.metric: make(one) for one in objectives}, name=name, compares=compares)
