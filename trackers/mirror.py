"""The sweep and its trials as MLflow shall show them, decided purely from the records."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, final

from ..spaces.errors import one_line
from ..spaces.trial import OutcomeKind
from .history import History, TrialRecord
from .redaction import MASK, names_secret, redact
from .runs import PARENT, RESTORED, SWEEP_ID, TRIAL_KEY, UPTO, Found, Param, Point, Status

OBJECTIVE = "objective"
"""The metric whose last point is the trial's value."""

_NAME_LIMIT = 250
_PARAM_LIMIT = 6000
_TAG_LIMIT = 8000
_REASON_LIMIT = 300

_STATUS = {
    OutcomeKind.COMPLETED: "FINISHED",
    OutcomeKind.STOPPED: "FINISHED",
    OutcomeKind.INFEASIBLE: "FINISHED",
    OutcomeKind.FAILED: "FAILED",
    OutcomeKind.LOST: "FAILED",
    OutcomeKind.INTERRUPTED: "KILLED",
}
_INTERRUPTED = (130, 143)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the sweep looks for; `last`: a trial's value is that of its last epoch, not of its best."""

    metric: str
    maximize: bool
    last: bool = False

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Self:
        """Return the goal of a journaled specification."""
        goal = spec["objective"]
        last = goal["at"] == "last" or several_fits(spec)  # the mean over all of them
        return cls(metric=goal["metric"], maximize=goal["direction"] == "max", last=last)

    def better(self, value: float, than: float | None) -> bool:
        """Say whether `value` is a number, and better than `than` (None: than nothing)."""
        if not math.isfinite(value):
            return False
        return than is None or (value > than if self.maximize else value < than)

    def __str__(self) -> str:
        return f"{'max' if self.maximize else 'min'} {self.metric}"


def several_fits(spec: Mapping[str, Any]) -> bool:
    """Say whether a trial of a journaled specification is the mean over folds or repeats."""
    return "folds" in spec.get("fit", {}) or spec.get("repeats", {}).get("seeds", 1) > 1


def milliseconds(seconds: float) -> int:
    """Return a journal's time as MLflow counts."""
    return int(seconds * 1000)


def sweep_id(history: History) -> str:
    """Return what marks the sweep's runs; the same at every reading of its journal."""
    given = history.origin.get(SWEEP_ID) or f"{history.spec['name']}-{milliseconds(history.started_at)}"
    return re.sub(r"[^\w.\-/ :]", "_", given)[:_NAME_LIMIT]


# One trial ------------------------------------------------------------------------------------------------------------


def run_name(number: int) -> str:
    """Return the name of a trial's run."""
    return f"t{number:04d}"


def begun(record: TrialRecord) -> bool:
    """Say whether there is anything to show of a trial."""
    return record.started_at is not None or record.outcome is not None


def trial_identity(history: History, number: int, parent: str) -> dict[str, str]:
    """Return the tags by which a trial's run is found again."""
    identity = sweep_id(history)
    restored = {} if number in history.settled or not history.restored else {RESTORED: str(history.restored)}
    return {SWEEP_ID: identity, TRIAL_KEY: f"{identity}/{number}", PARENT: parent, **restored}


def is_stale(history: History, run: Found) -> bool:
    """Say whether a run shows a trial, not ended then, as it was before the journal came back from a copy."""
    return run.trial is not None and run.trial not in history.settled and run.restored < history.restored


def trial_tags(history: History, record: TrialRecord, parent: str) -> dict[str, str]:
    """Return a trial's tags; a tag that was given once may change, but does not go away."""
    tags = {**_origin(history), **trial_identity(history, record.number, parent), "attempt": str(record.attempt)}
    if record.outcome is not None:
        tags["outcome"] = str(record.outcome.kind)
        if record.outcome.reason or record.retries:
            tags["reason"] = one_line(redact(record.outcome.reason or "run again on request"), _REASON_LIMIT)
    elif record.retries:
        tags |= {"outcome": "none yet", "reason": "run again on request"}
    if record.retries:
        tags["retries"] = str(record.retries)
    if record.start:
        tags["start"] = record.start
    if record.upto:
        tags[UPTO] = record.upto
    if not record.reproduced:
        tags["reproduced"] = "false"
    if record.batch_divisor > 1:
        tags["batch_divisor"] = str(record.batch_divisor)
    if record.confirms is not None:
        tags["confirms"] = run_name(record.confirms)
    if record.donor is not None:
        tags["donor"] = f"{run_name(record.donor.trial)} after epoch {record.donor.epoch}"
        tags["member"] = run_name(record.donor.member)
        tags["explores"] = str(record.donor.explores).lower()
    return cleaned_tags(tags)


def trial_status(history: History, record: TrialRecord, *, over: bool) -> Status:
    """Return a trial's status; `over`: no driver works on the sweep any more, so what has not ended was killed."""
    if record.outcome is not None:
        ended_at = history.last_at if record.ended_at is None else record.ended_at
        return Status(name=_STATUS[record.outcome.kind], ended_ms=milliseconds(ended_at))
    return Status(name="KILLED", ended_ms=milliseconds(history.last_at)) if over else Status(name="RUNNING")


def params(record: TrialRecord) -> Iterator[Param]:
    """Yield the parameters that the trial's model read."""
    names = cleaned_names(record.params)
    for name, value in record.params.items():
        shown = MASK if isinstance(value, str) and names_secret(name) else redact(str(value))
        yield Param(names[name], _cut(shown, _PARAM_LIMIT))


def points(record: TrialRecord, epochs: Iterable[int], goal: Goal) -> Iterator[Point]:
    """Yield the metrics of `epochs`, and the objective at those of them where it is news."""
    wanted = sorted(epochs)
    yield from logged(record, wanted, taken=(OBJECTIVE,))
    news = dict(_objective(record, goal))
    for epoch in wanted:
        if epoch in news:
            yield Point(OBJECTIVE, news[epoch], epoch, milliseconds(record.reported_at[epoch]))
    if news and record.outcome is not None:
        value, ended_ms = record.outcome.value, milliseconds(record.ended_at or record.asked_at)
        if value is None:  # else the table would rank it
            yield Point(OBJECTIVE, math.nan, max(record.metrics), ended_ms)
        elif record.retries:  # that of its failure is not the last word
            yield Point(OBJECTIVE, rounded(value), max(record.metrics), ended_ms)


def logged(record: TrialRecord, epochs: Iterable[int], taken: Sequence[str]) -> Iterator[Point]:
    """Yield the metrics that the model logged at `epochs`, under other names than those `taken`."""
    for epoch in epochs:
        row, at_ms = record.metrics[epoch], milliseconds(record.reported_at[epoch])
        names = cleaned_names(row, taken=taken)
        for name, value in row.items():
            yield Point(names[name], value if math.isfinite(value) else math.nan, epoch, at_ms)


def _objective(record: TrialRecord, goal: Goal) -> Iterator[tuple[int, float]]:
    best: float | None = None
    for epoch, value in record.curve(goal.metric):
        if goal.last:
            yield epoch, rounded(value) if math.isfinite(value) else math.nan
        elif goal.better(value, best):
            best = value
            yield epoch, rounded(value)


def rounded(value: float) -> float:
    """Return `value` to six significant digits, which is what a table can show."""
    return float(f"{value:.6g}")


# The sweep ------------------------------------------------------------------------------------------------------------


def sweep_identity(history: History) -> dict[str, str]:
    """Return the tag by which the sweep's run is found again."""
    return {SWEEP_ID: sweep_id(history)}


def sweep_tags(history: History) -> dict[str, str]:
    """Return the tags of the sweep's run, but for its note and its best trials."""
    tags = {**_origin(history), **sweep_identity(history), "trials": counts(history)}
    if budget := _budget(history.spec):
        tags["budget"] = budget
    if history.ended is not None and history.ended.why:
        tags["ended"] = one_line(redact(history.ended.why), _REASON_LIMIT)
    return cleaned_tags(tags)


def _budget(spec: Mapping[str, Any]) -> str:
    """Return the limits that the sweep has, as a sweep file would."""
    limits = spec.get("budget", {})
    return ", ".join(f"{name}: {limit:g}" for name, limit in limits.items() if limit is not None)


def sweep_status(history: History, *, over: bool) -> Status:
    """Return the sweep's status: killed where it was interrupted or lost its driver."""
    if not over:
        return Status(name="RUNNING")
    code = None if history.ended is None else history.ended.exit_code
    name = "FINISHED" if code == 0 else "KILLED" if code is None or code in _INTERRUPTED else "FAILED"
    return Status(name=name, ended_ms=milliseconds(history.last_at))


def counts(history: History) -> str:
    """Return how many trials there are of each state, in words."""
    states = [record.state for record in history.trials.values()]
    order = [*(str(kind) for kind in OutcomeKind), "running", "waiting"]
    return ", ".join(f"{states.count(state)} {state}" for state in order if state in states) or "none yet"


def ranking(history: History) -> list[TrialRecord]:
    """Return the trials of the search that have a value, best first; of several fits, those that did more of them."""
    maximize, several = Goal.of(history.spec).maximize, several_fits(history.spec)
    valued = [
        record for record in history.trials.values() if math.isfinite(value_of(record)) and record.confirms is None
    ]

    def key(one: TrialRecord) -> tuple[float, float, int]:
        epoch = one.outcome.epoch if one.outcome is not None else None
        return (-(epoch or 0) if several else 0, -value_of(one) if maximize else value_of(one), one.number)

    return sorted(valued, key=key)


def value_of(record: TrialRecord) -> float:
    """Return the value of a trial, NaN where it has none."""
    return math.nan if record.outcome is None or record.outcome.value is None else record.outcome.value


def searched(history: History, specs: Iterable[Mapping[str, Any]] = ()) -> list[str]:
    """Return the names of the searched parameters as MLflow has them: the declared ones, then those of `specs`."""
    declared = [one["parameter"] for one in history.spec.get("declared", ())]
    names = dict.fromkeys(one["name"] for one in (*declared, *specs) if one["kind"] != "fixed")
    return list(cleaned_names(names).values())


def _origin(history: History) -> dict[str, str]:
    return {key: redact(value) for key, value in history.origin.items() if value}


# Names and texts that MLflow takes -----------------------------------------------------------------------------------


def cleaned_names(names: Iterable[str], taken: Sequence[str] = ()) -> dict[str, str]:
    """Return each name with one that MLflow takes, no two the same; a name that it takes stays what it is."""
    listed = list(names)
    used = {*taken, *(name for name in listed if _clean(name) == name)}
    result: dict[str, str] = {}
    for name in listed:
        clean = _clean(name)
        if clean != name or name in taken:
            base, count = clean, 1
            while clean in used:
                count += 1
                clean = f"{base[: _NAME_LIMIT - 8]}_{count}"
            used.add(clean)
        result[name] = clean
    return result


def _clean(name: str) -> str:
    """Return `name` as a normal relative path of the characters that MLflow allows in one."""
    allowed = re.sub(r"[^/\w.\- :]", "_", name)
    parts = [part if part.strip(".") else "_" for part in allowed.split("/") if part]
    return posixpath.normpath("/".join(parts))[:_NAME_LIMIT].rstrip("/") if parts else "_"


def cleaned_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags with names and lengths that MLflow takes."""
    names = cleaned_names(tags)
    return {names[name]: _cut(value, _TAG_LIMIT) for name, value in tags.items()}


def _cut(text: str, limit: int) -> str:
    whole = text.encode("utf-8", "replace").decode()
    return whole if len(whole) <= limit else whole[: limit - 1] + "…"
