"""What may stand under `confirm` and `repeats`: how many seeds the best trials, or all of them, are trained on."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from ..spaces.yaml_form import BadForm
from .confirm import Confirm
from .repeats import Repeats
from .spec import SweepSpec
from .sweepform import MANY, MOST_TIMES, Form, OneOrMore, read_form

_SEEDS = Annotated[int, Field(ge=2, le=MOST_TIMES)]
_SEVERAL = f"a whole number from 2 to {MOST_TIMES}"


class ConfirmForm(Form):
    """How many of the best trials are trained again, and on how many fresh seeds each."""

    expected: ClassVar[str] = "a mapping, such as {top: 5, seeds: 5}"
    top: OneOrMore = Field(default=5, description=f"a whole number from 1 to {MANY}")
    seeds: _SEEDS = Field(default=5, description=_SEVERAL)


class RepeatsForm(Form):
    """On how many seeds a trial is trained, and the level of the test that stops it between them."""

    expected: ClassVar[str] = "a number of seeds, or a mapping such as {seeds: 3, level: 0.05}"
    seeds: Annotated[int, Field(ge=1, le=MOST_TIMES)] = Field(description=f"a whole number from 1 to {MOST_TIMES}")
    level: Annotated[float, Field(gt=0, lt=0.5)] = Field(default=0.05, description="a number above 0, below 0.5")


def confirm_of(value: object) -> Confirm:
    """Return what stands under `confirm`; nothing is confirmed where that is None.

    Raises:
        BadForm: it is no such mapping.
    """
    return Confirm() if value is None else Confirm(**read_form(ConfirmForm, value, ("confirm",)).model_dump())


def repeats_of(value: object) -> Repeats:
    """Return what stands under `repeats`: a number of seeds, or a mapping; None: each trial is trained once.

    Raises:
        BadForm: it is neither.
    """
    if value is None:
        return Repeats()
    path: tuple[Any, ...] = ("repeats",)
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            value = {"seeds": read_form(RepeatsForm, {"seeds": value}).seeds}
        except BadForm as fault:
            raise BadForm(str(fault).replace("'seeds'", "'repeats'"), path) from None
    return Repeats(**read_form(RepeatsForm, value, path).model_dump())


def check_repeats(spec: SweepSpec) -> None:
    """Refuse repeats where a trial is already several fits, or not ours to repeat.

    Raises:
        BadForm: it is.
    """
    if spec.repeats.seeds == 1:
        return
    why = ""
    if spec.train:
        why = "'train'; repeat in the loop, with seeds of your own"
    elif "folds" in spec.fit:
        why = "'fit.folds': a trial over folds is a mean over several fits already; take one of the two"
    if why:
        raise BadForm(f"'repeats' cannot stand beside {why}", ("repeats",), at_key=True)
