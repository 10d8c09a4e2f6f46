"""What `plan` sees of a sweep: models built all over the space, one of them trained for a batch, and what was found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, final

from ..cluster.facts import ModelFacts
from ..cluster.finding import Finding, Severity, error, in_order, note, warning
from ..cluster.fit_checks import check_optimizer
from ..spaces.parameter import Parameter, parameter_from_json
from ..spaces.trial import Json, Scalar
from .points import Point, Points
from .spec import SweepSpec
from .summary import parameters as in_words

REHEARSAL_FACTOR = 10
"""The one point where data is read and a batch is trained may take so many times the limit of a point."""
POINT_SHARE = 0.5
"""One point that takes so much of the limit for all counts as hanging."""


class Asks(Protocol):
    """What answers questions about points: a `Prober`, or a test's stand-in."""

    def ask(self, question: str, params: Mapping[str, Json], timeout_s: float) -> dict[str, Any]:
        """Return the answer to `rehearse` or `probe`."""
        ...


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A point that was built, or failed to; `params` by name."""

    label: str
    params: Mapping[str, Scalar]
    failed: str = ""
    infeasible: bool = False
    parameters: int | None = None
    bytes: int | None = None
    batch_size: int = 0
    learning_rate: float | None = None
    optimizer: str = ""

    def to_json(self) -> dict[str, Json]:
        """Return the plain form."""
        return {
            "point": self.label,
            "params": dict(self.params),
            "failed": self.failed,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "batch_size": self.batch_size,
        }


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All that was seen; `cut` says that the time was up before all points were.

    `epoch_s` is what an epoch takes at the defaults (None: not measured), `trial_s` what a trial takes besides.
    """

    parameters: Sequence[Parameter] = ()
    seen: Sequence[Seen] = ()
    findings: Sequence[Finding] = ()
    logged: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    own_fit: bool = False
    epoch_s: float | None = None
    trial_s: float = 0.0
    unsaved: Sequence[str] = ()
    """What callbacks hold, and no checkpoint would, as `Class.attribute`."""
    cut: bool = False
    limit_s: float = 0.0
    seconds: float = 0.0

    @property
    def partly_read(self) -> bool:
        """Whether a model left a parameter unread that no condition explains: a plain `if` or loop in the code does."""
        return any(
            one.active(point.params) and one.name not in point.params
            for point in self.seen
            if not point.failed
            for one in self.parameters
        )

    @property
    def built(self) -> list[Seen]:
        """The points whose model was built and has a known size, smallest first."""
        return sorted((one for one in self.seen if one.bytes is not None), key=lambda one: one.bytes or 0)


def survey(
    asks: Asks, spec: SweepSpec, limit_s: float, memory_bytes: float, progress: Callable[[str], None] = lambda _: None
) -> Survey:
    """Look at a sweep.

    Args:
        asks: What builds the models.
        spec: The sweep.
        limit_s: The building of points ends after so many seconds.
        memory_bytes: What one trial may take on this machine.
        progress: Told what is being done.
    """
    points = Points(spec.declared, spec.search.seed, spec.constraints)
    rehearsal_s = REHEARSAL_FACTOR * limit_s
    seen: list[Seen] = []
    first: Mapping[str, Any] | None = None
    cut = False
    spent_s = 0.0
    for point in points:
        progress(f"building {point.label} ({len(seen)} points seen)" if seen else "training one batch at the defaults")
        began = time.monotonic()
        if not seen:
            answer = asks.ask("rehearse", point.params, rehearsal_s)
            first = None if answer["failed"] else answer
        elif spec.train or spent_s >= limit_s:
            cut = not spec.train
            break
        else:
            answer = asks.ask("probe", point.params, max(1.0, min(POINT_SHARE * limit_s, limit_s - spent_s)))
            spent_s += time.monotonic() - began
        points.learn([parameter_from_json(one) for one in answer["specs"]], point)
        seen.append(_seen(point, answer))
        if first is None and not answer["failed"]:  # the defaults did not build
            again = asks.ask("rehearse", point.params, rehearsal_s)
            first = None if again["failed"] else again
    told: Sequence[Mapping[str, Any]] = [] if first is None else first["findings"]
    findings = [Finding.from_json(one) for one in told]
    findings += [*_failures(seen), *_rates(seen, findings), *_memory(seen, memory_bytes), *_unread(spec, seen)]
    return Survey(
        parameters=list(points.space.parameters.values()),
        seen=seen,
        findings=in_order(findings),
        logged=[] if first is None else first["logged"],
        data={} if first is None else first["data"],
        own_fit=first is not None and bool(first.get("own_fit")),
        epoch_s=None if first is None else first.get("epoch_s"),
        trial_s=0.0 if first is None else first.get("build_s", 0.0) + first.get("batch_s", 0.0),
        unsaved=[] if first is None else first.get("unsaved", []),
        cut=cut,
        limit_s=limit_s,
        seconds=spent_s,
    )


def _seen(point: Point, answer: Mapping[str, Any]) -> Seen:
    fields = ("parameters", "bytes", "batch_size", "learning_rate", "optimizer", "infeasible")
    known = {name: answer[name] for name in fields if name in answer}
    return Seen(label=point.label, params=answer["params"], failed=answer["failed"], **known)


def _failures(seen: Sequence[Seen]) -> Iterable[Finding]:
    """Yield a finding for each reason for which points were not built."""
    by_reason: dict[str, list[Seen]] = {}
    for one in seen:
        if one.failed:
            by_reason.setdefault(one.failed, []).append(one)
    for reason, failed in by_reason.items():
        if all(one.failed and not one.infeasible for one in seen):
            what = "the model fails at its defaults" if len(seen) == 1 else f"the model fails at all {len(seen)} points"
            yield error("model-fails", "", f"{what}: {reason}")
            continue
        some = ", ".join(one.label for one in failed[:3]) + (", …" if len(failed) > 3 else "")
        values = in_words(failed[0].params)
        at = f", e.g. {values}" if values and failed[0].label.startswith(("random", "all")) else ""
        how = f"{len(failed)} of {len(seen)} points ({some}{at})"
        if failed[0].infeasible:
            yield note("points-infeasible", "", f"{how} are infeasible: {reason}")
        else:
            yield warning(
                "points-fail",
                "",
                f"{how} cannot be built: {reason}; narrow the space, or raise kerasweep.Infeasible there",
            )


def _rates(seen: Sequence[Seen], before: Sequence[Finding]) -> Iterable[Finding]:
    """Yield the highest and the lowest learning rate where they cannot be meant."""
    if any(one.code == "learning-rate" for one in before):
        return
    known = sorted((one for one in seen if one.learning_rate is not None), key=lambda one: one.learning_rate or 0.0)
    for one in known[-1:] if len(known) < 2 else (known[0], known[-1]):
        facts = ModelFacts(learning_rate=one.learning_rate, optimizer=one.optimizer)
        for found in check_optimizer(facts):
            yield warning(found.code, found.where, f"at {one.label} {found.message}")


def _memory(seen: Sequence[Seen], memory_bytes: float) -> Iterable[Finding]:
    from ..cluster.memory import size_in_words

    large = [one for one in seen if one.bytes is not None and one.bytes > memory_bytes]
    if large:
        worst = max(large, key=lambda one: one.bytes or 0)
        yield warning(
            "memory",
            "",
            f"training {worst.label} is estimated to take {size_in_words(worst.bytes or 0)}, and a trial has "
            f"{size_in_words(int(memory_bytes))} here; narrow the space, or lower parallel or the batch size",
        )


def _unread(spec: SweepSpec, seen: Sequence[Seen]) -> Iterable[Finding]:
    """Yield the declared parameters that no point has read."""
    read = {name for one in seen for name in one.params}
    for one in spec.declared:
        name = one.parameter.name
        if seen and name not in read and not spec.train and any(not other.failed for other in seen):
            yield note(
                "parameter-unread",
                "space",
                f"{name!r} is declared, but the model has read it at none of {len(seen)} points",
            )


def worst(findings: Iterable[Finding]) -> Severity | None:
    """Return how bad the worst of them is."""
    ordered = in_order(findings)
    return ordered[0].severity if ordered else None
