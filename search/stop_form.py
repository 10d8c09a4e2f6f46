"""What may stand under `search.stop`: the name of a rule, a mapping with its numbers, or a list of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from ..spaces.errors import BadInput, did_you_mean
from ..spaces.yaml_form import BadForm, Path, shown
from .halving import automatic
from .named_class import check_arguments
from .rehearsal import rehearse_pruner
from .stop_rules import NAMES
from .sweepform import MANY, Form, OneOrMore, read_form

PATH = ("search", "stop")
_WHOLE = f"a whole number from 1 to {MANY}"
_FACTOR = Annotated[int, Field(ge=2, le=MANY)]


class Halving(Form):
    """Rungs at min_epochs, min_epochs * factor, …"""

    rule: Literal["asha", "hyperband"]
    min_epochs: OneOrMore = Field(default=1, description=_WHOLE)
    factor: _FACTOR = Field(default=3, description=f"a whole number from 2 to {MANY}")


class MedianForm(Form):
    """Against the median."""

    rule: Literal["median"]
    min_epochs: OneOrMore = Field(default=1, description=_WHOLE)
    min_trials: OneOrMore = Field(default=5, description=_WHOLE)


class PatienceForm(Form):
    """Epochs without a better value."""

    rule: Literal["patience"]
    epochs: OneOrMore = Field(default=10, description=_WHOLE)


class ThresholdForm(Form):
    """A value to have reached by an epoch."""

    rule: Literal["threshold"]
    epoch: OneOrMore = Field(description=_WHOLE)
    value: float = Field(description="a number, in the objective's units")
    metric: str | None = Field(default=None, description="the one of several objectives that is meant")


class DivergenceForm(Form):
    """A loss that explodes."""

    rule: Literal["divergence"]
    factor: Annotated[float, Field(gt=1)] = Field(default=10.0, description="a number above 1")


FORMS: Mapping[str, type[Form]] = {
    "asha": Halving,
    "hyperband": Halving,
    "median": MedianForm,
    "patience": PatienceForm,
    "threshold": ThresholdForm,
    "divergence": DivergenceForm,
}
CHOICES = ("none", "auto", *NAMES)
MAX_EPOCHS = object()
LENGTHS: Mapping[str, Mapping[str, Any]] = {
    "optuna.pruners:HyperbandPruner": {"max_resource": MAX_EPOCHS},
    "optuna.pruners:SuccessiveHalvingPruner": {"min_resource": 1},
}
"""What a pruner would take from the first trial that ends."""


def stop_forms(
    value: object, *, max_epochs: int, trials: int | None, metrics: Sequence[str] = ()
) -> tuple[Mapping[str, Any], ...]:
    """Return the rules as mappings with all their numbers; `auto` is made of the budget.

    Args:
        value: What stands under `search.stop`.
        max_epochs: The epochs of a full trial.
        trials: The budget of trials; None where there is none.
        metrics: The objectives' names; the first is meant where a rule names none.

    Raises:
        BadForm: it is no rule, or has numbers that are not its own.
    """
    several = isinstance(value, list)
    given = cast(list[object], value) if several else [value]
    found: list[Mapping[str, Any]] = []
    for index, one in enumerate(given):
        path: Path = (*PATH, index) if several else PATH
        form = _form(one, path, several=several, max_epochs=max_epochs)
        if form.get("rule") == "threshold":
            _check_metric(form.get("metric"), metrics, path)
        if form.get("rule") == "auto":
            rule = automatic(max_epochs, trials)
            form = {} if rule is None else {"rule": "asha", "min_epochs": rule.min_epochs, "factor": rule.factor}
        if any(other["rule"] == form.get("rule") for other in found):
            raise BadForm(f"the stop rule {form['rule']!r} is there twice; expected each once", path)
        if form:
            found.append(form)
    return tuple(found)


def _check_metric(metric: str | None, metrics: Sequence[str], path: Path) -> None:
    """Refuse a threshold of what is no objective."""
    if metric is not None and metric not in metrics:
        hint = did_you_mean(metric, metrics)
        raise BadForm(
            f"{_subject((*path, 'metric'))} is {shown(metric)}; expected an objective{hint}", (*path, "metric")
        )


def _form(value: object, path: Path, *, several: bool, max_epochs: int) -> Mapping[str, Any]:
    """Return one rule's mapping; an empty one for `none`."""
    form = {"rule": value} if isinstance(value, str) else value
    if not isinstance(form, Mapping):
        raise BadForm(f"{_subject(path)} is {shown(value)}; expected {_expected(several)}", path)
    named = cast(Mapping[Any, Any], form)
    if "rule" not in named:
        raise BadForm(f"'rule' is missing in {_subject(path)}; expected {_expected(several=True)}", path)
    name = named["rule"]
    if name in ("none", "auto") and not several and len(named) == 1:
        return {} if name == "none" else {"rule": "auto"}
    if isinstance(name, str) and ":" in name:
        return _pruner(name, named, path, max_epochs)
    if name not in FORMS:
        at = path if isinstance(value, str) else (*path, "rule")
        hint = did_you_mean(name, CHOICES) if isinstance(name, str) else ""
        raise BadForm(f"{_subject(at)} is {shown(name)}; expected {_expected(several)}{hint}", at)
    form = read_form(FORMS[name], named, path).model_dump()
    return {key: one for key, one in form.items() if one is not None}


def _pruner(name: str, form: Mapping[Any, Any], path: Path, max_epochs: int) -> Mapping[str, Any]:
    """Return the mapping of a pruner for Optuna; where it would wait for a trial to end to learn of the epochs, say them."""
    arguments = {**LENGTHS.get(name, {}), **{str(key): one for key, one in form.items() if key != "rule"}}
    arguments = {key: max_epochs if one is MAX_EPOCHS else one for key, one in arguments.items()}
    try:
        check_arguments(name, "optuna.pruners:BasePruner", arguments)
        if len(form) > 1:
            rehearse_pruner(name, arguments, max_epochs)
    except BadInput as error:
        first = next((key for key in form if str(error).startswith(repr(key))), None)
        at = path if first is None else (*path, first)
        raise BadForm(f"{_subject(path)}: {error}", at, at_key=first is not None) from None
    return {"rule": name, **arguments}


def _subject(path: Path) -> str:
    return repr(".".join(map(str, path)))


def _expected(several: bool) -> str:
    names = ", ".join(NAMES if several else CHOICES)
    other = "a pruner for Optuna as module:Class"
    return f"one of {names}, {other}, or a mapping such as {{rule: asha, min_epochs: 1, factor: 3}}"
