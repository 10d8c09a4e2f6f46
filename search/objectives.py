"""The objectives as a sweep file or a caller gives them: one, or a list of several, the first one first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from ..spaces.errors import BadInput
from ..spaces.yaml_form import BadForm, Path
from .objective import At, Direction, Objective
from .sweepform import ObjectiveForm, read_form

if TYPE_CHECKING:
    import keras_tuner

PATH = ("objective",)


def read_objectives(value: object) -> tuple[Objective, ...]:
    """Return the objectives of a sweep file.

    Raises:
        BadForm: one of them cannot be understood, or they do not go together.
    """
    if not isinstance(value, list):
        return (_read(value, PATH),)
    given = cast(list[object], value)
    if not given:
        raise BadForm("'objective' is an empty list; expected some, as `[max val_accuracy, min params]`", PATH)
    return _together([_read(one, (*PATH, index)) for index, one in enumerate(given)], in_list=True)


def objectives_of(given: object) -> tuple[Objective, ...]:
    """Return the objectives that a caller from Python means: what `Objective.of` takes, or a sequence of these.

    Raises:
        BadInput: one of them cannot be understood, or they do not go together.
    """
    inner = getattr(given, "objectives", None)  # keras_tuner's MultiObjective adds these up to one number
    if inner is not None:
        names = ", ".join(f"'{one.direction} {one.name}'" for one in inner)
        raise BadInput(f"a keras_tuner.MultiObjective is a sum; for a Pareto front give a list: objective=[{names}]")
    if isinstance(given, str) or not isinstance(given, Sequence):
        return (Objective.of(cast("str | keras_tuner.Objective | None", given)),)
    several = cast(Sequence["str | keras_tuner.Objective"], given)
    if not several:
        raise BadInput("objective is an empty list; expected some, as ['max val_accuracy', 'min params']")
    try:
        return _together([Objective.of(one) for one in several], in_list=False)
    except BadForm as fault:
        raise BadInput(str(fault)) from None


def in_words(objectives: Iterable[Objective]) -> str:
    """Return `max val_accuracy, min params`."""
    return ", ".join(map(str, objectives))


def _together(objectives: Sequence[Objective], *, in_list: bool) -> tuple[Objective, ...]:
    """Return them all with the first one's epoch, as a trial stands for one epoch."""
    first, names = objectives[0], list[str]()
    for index, one in enumerate(objectives):
        path = (*PATH, index) if in_list else PATH
        if one.metric in names:
            raise BadForm(f"the objective {one.metric!r} is there twice; expected each metric once", path)
        if one.at is not first.at and one.at is At.LAST:
            mend = f"say it of the first one, {first.metric}, whose epoch counts for all"
            raise BadForm(f"the objective {one.metric!r} has `at: last`; {mend}", path)
        names.append(one.metric)
    return tuple(replace(one, at=first.at) for one in objectives)


def _read(value: object, path: Path) -> Objective:
    if isinstance(value, str):
        try:
            return Objective.parse(value)
        except BadInput as error:
            raise BadForm(str(error), path) from error
    form = read_form(ObjectiveForm, value, path)
    given = [(Direction.MAX, form.maximize), (Direction.MIN, form.minimize)]
    named = [(direction, metric) for direction, metric in given if metric is not None]
    if len(named) != 1:
        raise BadForm("the objective needs one of 'maximize' and 'minimize'; expected `{maximize: val_accuracy}`", path)
    return Objective(direction=named[0][0], metric=named[0][1], at=At(form.at))
