"""A sweep's specification: what was asked for, resolved, in plain frozen data that the journal keeps as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, final

from ..cluster.backend import KerasSettings
from ..cluster.placement import Shape
from ..spaces.bounds import Bounds
from ..spaces.constraints import Constraints
from ..spaces.errors import BadInput, one_line
from ..spaces.known import Declared
from ..spaces.trace import Undeclared
from ..spaces.trial import Cause, Json
from .budget import Budget
from .confirm import Confirm
from .notes import notes_on
from .objective import At, Direction, Objective
from .population import Pbt, Plan
from .repeats import Repeats
from .start import Start
from .state import Rules
from .stop import StopRule
from .stop_rules import rule_of

MANY_EPOCHS = 100_000


def max_epochs(fit: Mapping[str, Json], repeats: int = 1) -> int:
    """Return the epochs of a full trial, as far as is said; of several fits, folds or repeats, each counts as one."""
    epochs = fit.get("folds") or (repeats if repeats > 1 else fit.get("epochs", 1))
    return epochs if isinstance(epochs, int) else MANY_EPOCHS


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How parameters are proposed and trials stopped; `stop` has a mapping for each rule, with its name and numbers.

    `window`: trial n is proposed from trials 0 … n - window and judged against these, whoever is faster; None: from and
    against all that there is.
    `arguments` are the sampler's own. Where `sampler` is `auto`, `taken` is the one that it stands for, and `reason` why.
    `duplicates`: whether a configuration may be tried twice.
    """

    sampler: str = "tpe"
    arguments: Mapping[str, Json] = field(default_factory=dict[str, Json])
    taken: str = ""
    reason: str = ""
    duplicates: bool = False
    stop: tuple[Mapping[str, Json], ...] = ()
    seed: int = 0
    window: int | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one trial gets: processors and graphics processors, fractions of one allowed for the latter.

    `gpu` is `auto` where the share of one is found out by the memory that the first trials take. `memory_gb` and `custom` only count what nodes have; `labels` are those of the nodes that it may run on.
    """

    cpu: int = 1
    gpu: float | Literal["auto"] = 0
    memory_gb: float = 0
    custom: Mapping[str, float] = field(default_factory=dict[str, float])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def packs(self) -> bool:
        """Whether trials share graphics processors as their memory allows."""
        return self.gpu == "auto"

    @property
    def gpus(self) -> float:
        """The graphics processors of a trial; a whole one while its share is not found out."""
        return 1.0 if self.gpu == "auto" else self.gpu

    @property
    def shape(self) -> Shape:
        """What a slot takes at first."""
        return self.shape_at(1.0)

    def shape_at(self, share: float) -> Shape:
        """Return what a slot takes where `gpu: auto` has come out as this share."""
        gpu = share if self.packs else self.gpus
        return Shape(cpu=self.cpu, gpu=gpu, memory_bytes=self.memory_gb * 1e9, custom=self.custom, labels=self.labels)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where it runs: on this machine alone, or on the Ray cluster at `address` (HOST:PORT, or `auto`)."""

    address: str | None = None
    insecure: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often an attempt is repeated, by cause.

    One that ran out of memory is repeated with no other trial beside it, or, by `smaller_batch`, with half the batch size.
    """

    lost: int = 5
    crash: int = 2
    oom: int = 1
    hang: int = 0
    error: int = 0
    smaller_batch: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one trial: its whole time, the time without any batch done (seconds), its process's memory (GB)."""

    trial_s: float | None = None
    silence_s: float = 1800.0
    memory_gb: float | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpointing:
    """When running trials are saved: so many seconds apart, for at most that share of their time."""

    enabled: bool = True
    every_s: float = 10.0
    share: float = 0.02


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What stays on the disk of trials that have ended: the weights of so many best ones."""

    best: int = 3


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Where the sweep is recorded: an MLflow tracking URI and an experiment."""

    uri: str = "sqlite:///mlflow.db"
    experiment: str = "kerasweep"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """One sweep. `folder` is where `model` or `train`, and `data` (`file.py:name` or `package.module:name`) resolve from."""

    name: str
    folder: str
    model: str
    data: str | None
    objective: Objective
    budget: Budget
    train: str = ""
    keras: KerasSettings = field(default_factory=KerasSettings)
    fit: Mapping[str, Json] = field(default_factory=dict[str, Json])
    declared: tuple[Declared, ...] = ()
    undeclared: str = Undeclared.SEARCH
    where: tuple[str, ...] = ()
    further: tuple[Objective, ...] = ()
    """The objectives besides the first."""
    bounds: tuple[str, ...] = ()
    """What stands under `constraints`: clauses on outcomes."""
    search: Search = field(default_factory=Search)
    start: Start = field(default_factory=Start)
    parallel: int | None = None
    resources: Resources = field(default_factory=Resources)
    cluster: Cluster = field(default_factory=Cluster)
    retry: Retry = field(default_factory=Retry)
    limits: Limits = field(default_factory=Limits)
    checkpoint: Checkpointing = field(default_factory=Checkpointing)
    keep: Keep = field(default_factory=Keep)
    confirm: Confirm = field(default_factory=Confirm)
    repeats: Repeats = field(default_factory=Repeats)
    pbt: Pbt | None = None
    track: Track = field(default_factory=Track)
    storage: str = ""
    """A folder or an fsspec URL, off this machine, that gets copies of the journal and of checkpoints."""

    @property
    def max_epochs(self) -> int:
        """The epochs of a full trial, as far as the file says; of several fits each counts as one."""
        return max_epochs(self.fit, self.repeats.seeds)

    @property
    def several_fits(self) -> bool:
        """Whether a trial is the mean over folds or repeats."""
        return "folds" in self.fit or self.repeats.seeds > 1

    @property
    def stop(self) -> StopRule:
        """The stop rule."""
        return rule_of(self.search.stop, *self.objectives)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """All objectives, the first one first."""
        return (self.objective, *self.further)

    def rungs(self, number: int) -> tuple[int, ...]:
        """Return the epochs of a trial that are told at once."""
        return tuple(self.stop.rungs(self.max_epochs, number))

    @property
    def constraints(self) -> Constraints:
        """What every trial keeps to; plain arguments of `fit` have their values there, as `fit/batch_size`."""
        searched = {one.parameter.name for one in self.declared}
        plain = {f"fit/{key}": value for key, value in self.fit.items() if isinstance(value, bool | int | float | str)}
        return Constraints.of(self.where, {name: one for name, one in plain.items() if name not in searched})

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the specification, though nothing is wrong with it."""
        return tuple(notes_on(self))

    def rules(self) -> Rules:
        """Return what the core goes by."""
        folds = self.several_fits
        frequency = 1 if folds else self.fit.get("validation_freq", 1)
        return Rules(
            objective=replace(self.objective, at=At.LAST) if folds else self.objective,  # the mean over all of them
            budget=self.budget,
            gpus=self.resources.gpus,
            further=self.further,
            bounds=Bounds.of(self.bounds),
            max_epochs=self.max_epochs,
            first_value_epoch=frequency if isinstance(frequency, int) else 1,
            stop=self.stop,
            retry={Cause(cause): times for cause, times in asdict(self.retry).items() if cause != "smaller_batch"},
            smaller_batch=self.retry.smaller_batch,
            folds=folds,
            keep=self.keep.best,
            confirm=self.confirm,
            repeats=self.repeats,
            population=None if self.pbt is None else Plan(pbt=self.pbt, epochs=self.max_epochs, seed=self.search.seed),
            window=self.search.window,
            packs=self.resources.packs,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the plain form."""
        declared = [one.to_json() for one in self.declared]
        return {**asdict(self), "declared": declared, "start": self.start.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SweepSpec:
        """Return the specification that `to_json` wrote.

        Raises:
            BadInput: a newer Kerasweep wrote it.
        """
        try:
            return cls._from_json(data)
        except (LookupError, TypeError, ValueError) as error:
            why = one_line(str(error), 120)
            raise BadInput(f"the sweep's specification is not of this Kerasweep ({why}); upgrade Kerasweep") from error

    @classmethod
    def _from_json(cls, data: Mapping[str, Any]) -> SweepSpec:
        given: dict[str, Any] = {
            **data,
            "objective": _objective_from_json(data["objective"]),
            "further": tuple(map(_objective_from_json, data.get("further", ()))),
            "bounds": tuple(data.get("bounds", ())),
            "declared": tuple(Declared.from_json(one) for one in data["declared"]),
            "where": tuple(data.get("where", ())),
            "budget": Budget(**data["budget"]),
            "search": _search_from_json(data["search"]),
            "start": Start.from_json(data.get("start", {})),
            "resources": Resources(**data["resources"]),
            "cluster": Cluster(**data.get("cluster", {})),
            "retry": Retry(**data["retry"]),
            "limits": Limits(**data["limits"]),
            "checkpoint": Checkpointing(**data.get("checkpoint", {})),
            "keep": Keep(**data.get("keep", {})),
            "confirm": Confirm(**data.get("confirm", {})),
            "repeats": Repeats(**data.get("repeats", {})),
            "pbt": _pbt_from_json(data.get("pbt")),
            "track": Track(**data["track"]),
            "keras": KerasSettings.from_json(data.get("keras", {})),
        }
        return cls(**given)


def _pbt_from_json(data: Mapping[str, Any] | None) -> Pbt | None:
    if data is None:
        return None
    given: dict[str, Any] = {**data, "mutate": tuple(data["mutate"])}
    return Pbt(**given)


def _objective_from_json(goal: Mapping[str, Any]) -> Objective:
    return Objective(metric=goal["metric"], direction=Direction(goal["direction"]), at=At(goal["at"]))


def _search_from_json(data: Mapping[str, Any]) -> Search:
    """Return how it is searched; an older version's journal has one rule's name, and its numbers beside it."""
    stop: Any = data["stop"]
    if isinstance(stop, str):
        numbers = {name: data[name] for name in ("min_epochs", "factor")}
        stop = [] if stop == "none" else [{"rule": stop, **numbers}]
    known = {one.name for one in fields(Search)}
    return Search(**{name: value for name, value in data.items() if name in known and name != "stop"}, stop=tuple(stop))
