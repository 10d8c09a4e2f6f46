"""What may be changed when a sweep is resumed: budgets and places, never what its trials mean."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, is_dataclass, replace
from typing import Any

from ..cluster.addresses import LOCAL
from ..spaces.bad_form import BadForm
from ..spaces.errors import BadInput, did_you_mean, one_line
from ..spaces.known import Declared
from .budget_form import check_budget
from .confirm_form import ConfirmForm
from .pbt_form import check_pbt
from .spec import SweepSpec
from .sweepform import (
    BudgetForm,
    CheckpointForm,
    ClusterForm,
    KeepForm,
    LimitsForm,
    ParallelForm,
    RetryForm,
    read_form,
)


def _number(text: str) -> float | None:
    return None if text == "null" else _finite(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _whole(text: str) -> int | None:
    return None if text == "null" else int(text)


def _address(text: str) -> str | None:
    return None if text in ("null", LOCAL) else text


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


AMENDABLE: Mapping[str, Callable[[str], Any]] = {
    "budget.trials": _whole,
    "budget.hours": _number,
    "budget.slot_hours": _number,
    "budget.gpu_hours": _number,
    "budget.epochs": _whole,
    "budget.no_improvement": _whole,
    "budget.goal": _number,
    "parallel": _whole,
    "cluster.address": _address,
    "cluster.insecure": _truth,
    "limits.trial_s": _number,
    "limits.silence_s": _finite,
    "limits.memory_gb": _number,
    "retry.lost": int,
    "retry.crash": int,
    "retry.oom": int,
    "retry.hang": int,
    "retry.error": int,
    "checkpoint.every_s": _finite,
    "keep.best": int,
    "confirm.top": int,
    "confirm.seeds": int,
}
SECTIONS = {
    "budget": BudgetForm,
    "limits": LimitsForm,
    "retry": RetryForm,
    "checkpoint": CheckpointForm,
    "keep": KeepForm,
    "confirm": ConfirmForm,
    "cluster": ClusterForm,
    "": ParallelForm,
}


KEPT = (
    "objective",
    "further",
    "bounds",
    "model",
    "train",
    "data",
    "keras",
    "fit",
    "repeats",
    "pbt",
    "undeclared",
    "where",
)
"""What a resumed sweep keeps besides its space and its search, or its trials could not be compared."""


def check_kept(before: SweepSpec, after: SweepSpec) -> None:
    """Refuse to go on with a specification under which other things would be searched for.

    Raises:
        BadInput: it differs; the line has each difference.
    """
    before, after = (SweepSpec.from_json(json.loads(json.dumps(one.to_json()))) for one in (before, after))
    words = {"further": "further objectives", "bounds": "constraints"}
    found = [_changed(words.get(name, name), getattr(before, name), getattr(after, name)) for name in KEPT]
    was, now = ({one.parameter.name: one for one in spec.declared} for spec in (before, after))
    found += [_changed(f"space.{name}", was.get(name), now.get(name)) for name in {**was, **now}]
    as_began = {name: getattr(before.search, name) for name in ("seed", "taken", "reason")}
    if before.search.window and after.search.window:
        as_began["window"] = before.search.window
    found += [_changed("search", before.search, replace(after.search, **as_began))]
    differences = [one for one in found if one]
    if differences:
        raise BadInput(
            f"{after.name} began otherwise, and its trials could not be compared: {one_line('; '.join(differences), 400)}; "
            "give the new sweep another name"
        )


def _changed(name: str, before: object, after: object) -> str:
    if before == after:
        return ""
    return f"{name} was {_plain(before)}, is {_plain(after)}"


def _plain(value: object) -> str:
    """Return a value in the words of a sweep file, as far as it has them."""
    if value is None:
        return "not there"
    if isinstance(value, Declared):
        form = value.parameter.to_json().items()
        return repr({key: one for key, one in form if key != "name" and one not in (None, [], ())})
    if isinstance(value, str):
        return repr(str(value))
    return repr(asdict(value)) if is_dataclass(value) and not isinstance(value, type) else repr(value)


def amended(spec: SweepSpec, settings: Iterable[str], word: str = "--set") -> SweepSpec:
    """Return the specification with `key=value` settings applied; `word` is what messages call that by.

    Raises:
        BadInput: the key may not change once trials have run, or the value does not fit it.
    """
    for setting in settings:
        key, _, text = setting.partition("=")
        if key not in AMENDABLE:
            raise BadInput(
                f"{word} {key}: a resumed sweep keeps it, or its trials could not be compared{did_you_mean(key, AMENDABLE)}; "
                f"these may change: {', '.join(AMENDABLE)}"
            )
        try:
            value = AMENDABLE[key](text.strip())
        except ValueError:
            expected = "true or false" if AMENDABLE[key] is _truth else "a number"
            raise BadInput(f"{word} {key}: {text.strip()!r} is not {expected}") from None
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and key != "budget.goal"
            and (value < 0 or (value == 0 and not key.startswith("retry.")))
        ):
            raise BadInput(f"{word} {key}: must be above 0, got {text}")
        _check_bounds(key, value, word)
        spec = _with(spec, key, value)
    try:
        check_pbt(spec)
    except BadForm as fault:
        raise BadInput(f"{word}: {fault}") from None
    try:
        check_budget(spec.budget, spec.objective, spec.resources.gpus, endless=spec.search.sampler != "grid")
    except BadForm as fault:
        raise BadInput(f"{word} budget: {fault}") from None
    return spec


def _check_bounds(key: str, value: Any, word: str) -> None:
    section, _, name = key.rpartition(".")
    try:
        read_form(SECTIONS[section], {name: value}, (section,) if section else ())
    except BadForm as fault:
        raise BadInput(f"{word} {key}: {fault}") from None


def _with(spec: SweepSpec, key: str, value: Any) -> SweepSpec:
    section, _, name = key.rpartition(".")
    if not section:
        return replace(spec, **{name: value})
    return replace(spec, **{section: replace(getattr(spec, section), **{name: value})})
