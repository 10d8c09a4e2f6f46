"""What may stand under `pbt`, and what a population cannot stand beside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ..cluster.program import snapshot
from ..spaces.errors import did_you_mean
from ..spaces.yaml_form import BadForm
from .mentions import mentions
from .population import Pbt
from .spec import SweepSpec
from .sweepform import MANY, MOST_AT_ONCE, Form, OneOrMore, read_form


class PbtForm(Form):
    """A population, its turns, and what is perturbed."""

    expected: ClassVar[str] = "a mapping, such as {population: 8, interval: 2, mutate: [learning_rate]}"
    population: Annotated[int, Field(ge=2, le=MOST_AT_ONCE)] = Field(
        description=f"a whole number from 2 to {MOST_AT_ONCE}"
    )
    interval: OneOrMore = Field(description=f"a whole number of epochs from 1 to {MANY}")
    mutate: Annotated[list[str], Field(min_length=1)] = Field(
        description="a list, not empty, of parameters whose change leaves the weights' shapes, such as [learning_rate, dropout]"
    )
    quantile: Annotated[float, Field(gt=0, le=0.5)] = Field(default=0.25, description="a number above 0, up to 0.5")
    resample: Annotated[float, Field(ge=0, le=1)] = Field(default=0.25, description="a number from 0 to 1")


def pbt_of(value: object) -> Pbt | None:
    """Return what stands under `pbt`, if anything.

    Raises:
        BadForm: it is no such mapping.
    """
    if value is None:
        return None
    given: dict[str, Any] = read_form(PbtForm, value, ("pbt",)).model_dump()
    given["mutate"] = tuple(dict.fromkeys(given["mutate"]))
    return Pbt(**given)


def check_pbt(spec: SweepSpec, *, code: bool = False) -> None:
    """Refuse a population beside what ends, repeats or compares trials in another way, and names that cannot be perturbed.

    Args:
        spec: The sweep.
        code: Whether its code stands in its folder: what neither declares nor names a parameter makes it a mistake.

    Raises:
        BadForm: there is such.
    """
    if spec.pbt is None:
        return
    for there, beside, mend in _beside(spec):
        if there:
            raise BadForm(f"'pbt' cannot stand beside {beside}; {mend}", ("pbt",), at_key=True)
    if "epochs" not in spec.fit:
        raise BadForm("'pbt' needs 'fit.epochs': the epochs that a member trains in all", ("pbt",), at_key=True)
    declared = {one.parameter.name: one.parameter for one in spec.declared}
    parents = {one.parent for parameter in declared.values() for one in parameter.conditions}
    for index, name in enumerate(spec.pbt.mutate):
        path = ("pbt", "mutate", index)
        if name in parents:
            raise BadForm(f"'pbt.mutate': {name!r} decides which parameters there are; it cannot be perturbed", path)
        if name in declared or not code:
            continue
        if name.startswith("fit/") or mentions(snapshot(Path(spec.folder)), [name]):
            hint = did_you_mean(name, declared)
            raise BadForm(f"'pbt.mutate': {name!r} is no parameter of the space, and no code names it{hint}", path)


def _beside(spec: SweepSpec) -> tuple[tuple[bool, str, str], ...]:
    loop = "what a training loop holds is known to the loop alone, so none can go on from another"
    fits = "a trial would be several fits, and none can go on from another"
    searched: Mapping[str, object] = {one.parameter.name: one for one in spec.declared}
    return (
        (bool(spec.train), "'train'", loop),
        ("folds" in spec.fit, "'fit.folds'", fits),
        (spec.repeats.seeds > 1, "'repeats'", fits),
        ("fit/epochs" in searched, "searched 'fit.epochs'", "give the epochs that a member trains in all"),
        (not spec.checkpoint.enabled, "'checkpoint: false'", "trials begin with checkpoints of others"),
        (spec.search.window is not None, "'search.deterministic'", "who goes on from whom depends on who is faster"),
        (bool(spec.search.stop), "'search.stop'", "the population ends its worst members by itself"),
        (
            spec.confirm.top > 0,
            "'confirm'",
            "the parameters of a member change while it trains, so it cannot be trained again with those of its end",
        ),
    )
