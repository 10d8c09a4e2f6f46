"""What may be changed when a sweep is resumed: budgets and places, never what its trials mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..cluster.addresses import LOCAL
from ..spaces.errors import BadInput, did_you_mean
from .spec import SweepSpec


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
}


def amended(spec: SweepSpec, settings: Iterable[str]) -> SweepSpec:
    """Return the specification with `key=value` settings applied.

    Raises:
        BadInput: the key may not change once trials have run, or the value does not fit it.
    """
    for setting in settings:
        key, _, text = setting.partition("=")
        if key not in AMENDABLE:
            raise BadInput(
                f"--set {key}: a resumed sweep keeps it, or its trials could not be compared{did_you_mean(key, AMENDABLE)}; "
                f"these may change: {', '.join(AMENDABLE)}"
            )
        try:
            value = AMENDABLE[key](text.strip())
        except ValueError:
            expected = "true or false" if AMENDABLE[key] is _truth else "a number"
            raise BadInput(f"--set {key}: {text!r} is not {expected}") from None
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and (value < 0 or (value == 0 and not key.startswith("retry.")))
        ):
            raise BadInput(f"--set {key}: must be above 0, got {text}")
        spec = _with(spec, key, value)
    if spec.budget.trials is None and spec.budget.hours is None:
        raise BadInput("--set budget: a sweep needs trials or hours to end")
    return spec


def _with(spec: SweepSpec, key: str, value: Any) -> SweepSpec:
    section, _, name = key.rpartition(".")
    if not section:
        return replace(spec, **{name: value})
    return replace(spec, **{section: replace(getattr(spec, section), **{name: value})})
