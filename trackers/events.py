"""What can happen in a sweep, one frozen class per kind; a sweep is the list of its events and nothing else.

A body is plain JSON. A kind is written by its class's name; a field may be added with a default, never renamed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Self, cast

from ..spaces.trial import Cause, Json, Outcome, Report, Scalar

Readers = Mapping[str, Callable[[Any], Any]]
"""How fields that are more than plain JSON are read back, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    nested: ClassVar[Readers] = {}

    def to_json(self) -> dict[str, Json]:
        """Return the body as it stands in the journal; the trial has a column of its own."""
        body: dict[str, Json] = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "trial"}
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return the event whose body this is; unknown fields of a later version are left out."""
        known = {one.name for one in fields(cls)} & body.keys()
        return cls(**{name: cls.nested[name](body[name]) if name in cls.nested else body[name] for name in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStarted(_Event):
    """The first event: the specification, resolved, with the versions, user and source that it ran with."""

    spec: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    origin: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResumed(_Event):
    """A driver took the sweep up again; `spec` is the one that holds from here on."""

    spec: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRestored(_Event):
    """What follows was once something else: the journal was cut here, or came back from a copy.

    Whatever MLflow has of trials that had not ended by now may never have happened.
    """

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepAmended(_Event):
    """Settings of the sweep were changed, by key, while it ran or after; `spec` is what holds from here on."""

    settings: Mapping[str, Json]
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartingPoints(_Event):
    """Where the search starts, resolved, so that nothing else is ever read for it.

    `points` are those of the first trials, in order: `values` by plain name, and where they are `of`. `prior` has what
    an earlier sweep found, `values` and the share of its trials that were `worse`, best first.
    """

    nested: ClassVar[Readers] = {"points": tuple, "prior": tuple}

    points: tuple[Mapping[str, Any], ...] = ()
    prior: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepClosing(_Event):
    """No further trial is asked for; `cancel`: the running ones are interrupted, else they stop at their next epoch."""

    why: str
    cancel: bool = False
    exit_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepEnded(_Event):
    """The last event of a driver's run; a sweep without it lost its driver."""

    why: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Donor:
    """Where a trial of a population begins: with what `trial` was after `epoch`, in the place that trial `member` founded.

    `explores`: its parameters are perturbed, else they are the donor's.
    """

    trial: int
    epoch: int
    member: int
    explores: bool = False

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Self | None:
        """Return the donor that the journal has, if any."""
        return None if data is None else cls(**data)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialAsked(_Event):
    """A new trial: its seed, its parameters by identity, what the proposal saw and what the sampler wrote about it.

    `confirms`: the trial of the search that is trained again here. `donor`: the trial that it inherits from.
    """

    nested: ClassVar[Readers] = {"donor": Donor.from_json}

    trial: int
    seed: int
    params: Mapping[str, Scalar]
    history_seq: int
    attrs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    confirms: int | None = None
    donor: Donor | None = None

    @property
    def apart(self) -> bool:
        """Whether no sampler has proposed it, nor learns from it."""
        return self.confirms is not None or self.donor is not None

    def to_json(self) -> dict[str, Json]:
        """Return the body."""
        body = _Event.to_json(self)
        donor: Json = None if self.donor is None else asdict(self.donor)
        return {name: value for name, value in {**body, "donor": donor}.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(_Event):
    """A slot was given the trial; a round above 0 is a further pass of late binding within one attempt.

    `batch_divisor`: the batch size is divided by so much, since an attempt before ran out of memory.
    """

    trial: int
    attempt: int
    round: int = 0
    batch_divisor: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundEnded(_Event):
    """The model read parameters that were unknown: their specs, and the trial's parameters with values for them."""

    nested: ClassVar[Readers] = {"specs": tuple}

    trial: int
    attempt: int
    round: int
    specs: tuple[Mapping[str, Any], ...]
    params: Mapping[str, Scalar]
    attrs: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class ParametersUsed(_Event):
    """What the model really read, by plain name; `specs` has the parameters' forms, `facts` what the build showed."""

    nested: ClassVar[Readers] = {"specs": tuple}

    trial: int
    attempt: int
    params: Mapping[str, Scalar]
    specs: tuple[Mapping[str, Any], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported(_Event):
    """One epoch's metrics; the first report of an epoch stands.

    `awaits_result`: a `fit` of the user's own trains, whose result may be the first to have the objective.
    """

    trial: int
    attempt: int
    report: Report
    awaits_result: bool = False

    def to_json(self) -> dict[str, Json]:
        """Return the body; the report's fields stand side by side with the attempt."""
        one = self.report
        body: dict[str, Json] = {
            "attempt": self.attempt,
            "epoch": one.epoch,
            "metrics": dict(one.metrics),
            "seconds": one.seconds,
        }
        return {**body, "awaits_result": True} if self.awaits_result else body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return the event whose body this is."""
        report = Report(epoch=body["epoch"], metrics=body["metrics"], seconds=body["seconds"])
        awaits = bool(body.get("awaits_result"))
        return cls(trial=body["trial"], attempt=body["attempt"], report=report, awaits_result=awaits)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded(_Event):
    """An attempt ended without deciding its trial; `slot`: where it was, `node-pid`, as far as it has said so."""

    nested: ClassVar[Readers] = {"cause": Cause}

    trial: int
    attempt: int
    cause: Cause
    why: str
    traceback: str = ""
    slot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differed(_Event):
    """A later attempt trained an epoch again and got other values: the first ones stand, the trial is marked."""

    trial: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnded(_Event):
    """The trial's outcome; it never runs again unless that is asked for."""

    nested: ClassVar[Readers] = {"outcome": Outcome.from_json}

    trial: int
    attempt: int
    outcome: Outcome

    def to_json(self) -> dict[str, Json]:
        """Return the body."""
        return {"attempt": self.attempt, "outcome": self.outcome.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRetried(_Event):
    """A trial that had failed, or was lost or interrupted, is to run again: as it is, in further attempts.

    `params` are its parameters by identity.
    """

    trial: int
    params: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed(_Event):
    """When a pass of an attempt was where, in seconds since 1970: `start`, `fit_start`, `fit_end`, `end`."""

    trial: int
    attempt: int
    slot: str
    pid: int
    times: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphicsMeasured(_Event):
    """What an attempt took at most of its graphics processor's memory, and what that has in all; 0: nobody knows."""

    trial: int
    attempt: int
    peak_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotsPacked(_Event):
    """From here on a slot takes this share of a graphics processor."""

    share: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed(_Event):
    """Something that the user should read once."""

    text: str


Event = (
    SweepStarted
    | SweepResumed
    | SweepRestored
    | SweepAmended
    | StartingPoints
    | SweepClosing
    | SweepEnded
    | TrialAsked
    | AttemptStarted
    | RoundEnded
    | ParametersUsed
    | Reported
    | AttemptEnded
    | Differed
    | TrialEnded
    | TrialRetried
    | Timed
    | GraphicsMeasured
    | SlotsPacked
    | Noticed
)

KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in cast(tuple[type[Event], ...], Event.__args__)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event with its place and time (seconds since 1970, fixed when journaled) in the journal."""

    seq: int
    at: float
    event: Event

    @property
    def trial(self) -> int | None:
        """The trial that it is about, if any."""
        return cast(int | None, getattr(self.event, "trial", None))


def encode(event: Event) -> tuple[str, int | None, str]:
    """Return the columns kind, trial and body; ASCII, so that half a surrogate pair in a message does no harm."""
    body = json.dumps(event.to_json(), separators=(",", ":"))
    return type(event).__name__, cast(int | None, getattr(event, "trial", None)), body


def decode(kind: str, trial: int | None, body: str) -> Event:
    """Return the event of a row.

    Raises:
        KeyError: the kind is unknown here.
    """
    data = json.loads(body)
    if trial is not None:
        data["trial"] = trial
    return KINDS[kind].from_json(data)
