"""What holds for all trials of a sweep, as trainers are told it, and what follows from it for one pass of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, final

from ..spaces.bounds import Bounds
from ..spaces.known import Declared
from ..spaces.parameter import parameter_from_json
from ..spaces.trace import Trace, Undeclared
from ..spaces.trial import Json, Scalar


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for all trials of a sweep: the objective, the plain `fit` arguments, the declared parameters.

    `weights` is the folder of the best weights, `checkpoints` the place of the checkpoints; empty where none are kept.
    """

    metric: str
    maximize: bool
    at_last: bool
    fit: Mapping[str, Json] = field(default_factory=dict[str, Json])
    declared: tuple[Mapping[str, Any], ...] = ()
    undeclared: str = Undeclared.SEARCH
    weights: str = ""
    checkpoints: str = ""
    checkpoint_every_s: float = 10.0
    checkpoint_share: float = 0.02
    root: str = ""
    seed: int = 0
    repeats: int = 1
    further: tuple[tuple[str, bool], ...] = ()
    """The objectives besides the first: a metric, and whether more is better."""
    bounds: tuple[str, ...] = ()
    """The constraints on outcomes."""
    batch_divisor: int = 1
    """Of one trial: its batch size is divided by so much, since the memory did not suffice for all of it."""

    @property
    def folds(self) -> int:
        """How many folds a trial is the mean over; 0 where it is one fit."""
        folds = self.fit.get("folds")
        return folds if isinstance(folds, int) else 0

    @property
    def several_fits(self) -> bool:
        """Whether a trial is the mean over folds or repeats."""
        return bool(self.folds) or self.repeats > 1

    def better(self, one: float, other: float) -> bool:
        """Say whether `one` is a better objective than `other`."""
        return one > other if self.maximize else one < other

    @property
    def goals(self) -> list[tuple[str, bool]]:
        """All objectives, the first one first: a metric, and whether more is better."""
        return [(self.metric, self.maximize), *((name, maximize) for name, maximize in self.further)]

    @property
    def names(self) -> list[str]:
        """All that the objectives and constraints mention."""
        return list(dict.fromkeys([*(name for name, _ in self.goals), *Bounds.of(self.bounds).names]))

    def to_json(self) -> dict[str, Json]:
        """Return the form in which it travels."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        """Return what `to_json` wrote."""
        return cls(**data)


def trace_of(settings: Settings, assigned: Mapping[str, Scalar], specs: Iterable[Mapping[str, Json]] = ()) -> Trace:
    """Return the trace of a pass that begins.

    Args:
        settings: The sweep's.
        assigned: Values by identity.
        specs: The parameters that they are of, as far as they are known.
    """
    declared = declared_by_name(settings.declared)
    known = tuple(map(parameter_from_json, specs))
    return Trace(assigned=assigned, declared=declared, known=known, undeclared=settings.undeclared)


def declared_by_name(forms: Iterable[Mapping[str, Any]]) -> dict[str, Declared]:
    """Return the parameters of the sweep file by name."""
    return {one.parameter.name: one for one in map(Declared.from_json, forms)}


def sweep_arguments(trace: Trace, settings: Settings) -> dict[str, Any]:
    """Return the arguments of `fit` that the sweep file gives, searched ones read from the trace."""
    searched = {
        name.removeprefix("fit/"): trace.read(one.parameter)
        for name, one in trace.declared.items()
        if name.startswith("fit/")
    }
    plain: dict[str, Any] = {name: value for name, value in settings.fit.items() if name != "folds"}
    if isinstance(plain.get("class_weight"), Mapping):  # JSON has made its classes text
        plain["class_weight"] = {int(name): weight for name, weight in plain["class_weight"].items()}
    arguments: dict[str, Any] = {**plain, **searched}
    batch_size = arguments.get("batch_size")
    if isinstance(batch_size, int):
        arguments["batch_size"] = max(1, batch_size // settings.batch_divisor)
    return arguments
