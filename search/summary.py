"""A sweep in words and numbers: what the terminal shows while it runs and when it is over."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

from ..spaces.errors import one_line
from ..spaces.trial import Scalar
from ..trackers.confirmed import Confirmed, confirmed, runs_of
from ..trackers.history import History, TrialRecord
from .objective import Direction, Objective
from .spec import SweepSpec

BLOCKS = "▁▂▃▄▅▆▇█"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What there is to say about a sweep, from its history."""

    spec: SweepSpec
    history: History

    @classmethod
    def of(cls, history: History) -> Summary:
        """Return the summary of a history."""
        return cls(spec=SweepSpec.from_json(history.spec), history=history)

    @property
    def objective(self) -> Objective:
        """The objective."""
        return self.spec.objective

    def ranked(self) -> list[TrialRecord]:
        """Return the trials that have a value, best first: those that were confirmed, then the others as searched."""
        champions = [one.number for one in self.confirmed()]
        others = [one for one in self.searched() if one.number not in champions]
        return [*(self.history.trials[number] for number in champions), *others]

    def confirmed(self) -> list[Confirmed]:
        """Return how the best trials did on fresh seeds, the champion first; none before all of them are through."""
        plan = self.spec.confirm
        if not plan.top:
            return []
        top = [one.number for one in self.searched()[: plan.top]]
        maximize = self.objective.direction is Direction.MAX
        return confirmed(self.history, top, seeds=plan.seeds, maximize=maximize)

    def confirming(self) -> str:
        """Return how far the confirmation is, in words; empty where there is none, or nothing of it has begun."""
        done = sum(one.outcome is not None for runs in runs_of(self.history).values() for one in runs)
        plan = self.spec.confirm
        wanted = min(plan.top, len(self.searched())) * plan.seeds
        return f"confirming {done}/{wanted}" if runs_of(self.history) and not self.confirmed() else ""

    def searched(self) -> list[TrialRecord]:
        """Return the trials of the search that have a value, best first by that."""
        rules = self.spec.rules()
        with_value = [
            (rules.rank(one.outcome.value, one.outcome.epoch or 0, one.number), one)
            for one in self.history.trials.values()
            if one.confirms is None
            and one.outcome is not None
            and one.outcome.value is not None
            and math.isfinite(one.outcome.value)
        ]
        return [one for _, one in sorted(with_value, key=lambda pair: pair[0])]

    def best(self) -> TrialRecord | None:
        """Return the best trial."""
        ranked = self.ranked()
        return ranked[0] if ranked else None

    def running(self) -> list[TrialRecord]:
        """Return the trials on slots."""
        return [one for one in self.history.trials.values() if one.running]

    def counted(self) -> int:
        """Return how many trials have counted against the budget."""
        trials = self.history.trials.values()
        return sum(1 for one in trials if one.confirms is None and one.outcome is not None and one.outcome.counts)

    def counts(self) -> str:
        """Return `12 completed, 3 stopped, 1 failed`."""
        kinds = Counter(one.state for one in self.history.trials.values() if one.confirms is None)
        order = ("completed", "stopped", "failed", "infeasible", "lost", "interrupted", "running", "waiting")
        return ", ".join(f"{kinds[kind]} {kind}" for kind in order if kinds[kind]) or "no trial yet"

    def busy_share(self, now: float, slots: int) -> float | None:
        """Return the share of slot time since the first trial of this session that went into `fit`."""
        spans = [one for trial in self.history.trials.values() for one in trial.timings if "fit_start" in one]
        spans = [one for one in spans if one["start"] >= self.history.session_at]
        if not spans:
            return None
        start, end = min(one["start"] for one in spans), max(one["end"] for one in spans)
        fit = sum(one["fit_end"] - one["fit_start"] for one in spans)
        open_fits = [_open_since(trial, start) for trial in self.running()]
        if open_fits:
            end = max(end, now)
            fit += sum(now - since for since in open_fits)
        return max(0.0, min(1.0, fit / max(1e-9, slots * (end - start))))

    def seconds_left(self, now: float) -> float | None:
        """Return an estimate of the time to the end of the budget."""
        budget, done = self.spec.budget, self.counted()
        estimates: list[float] = []
        if budget.trials is not None and done:
            elapsed = max(1e-9, now - self.history.session_at)
            estimates.append(elapsed / done * max(0, budget.trials - done))
        if budget.hours is not None:
            estimates.append(max(0.0, self.history.session_at + budget.hours * 3600 - now))
        return min(estimates) if estimates else None


def _open_since(trial: TrialRecord, start: float) -> float:
    return max(start, max((one["end"] for one in trial.timings), default=trial.started_at or start))


def value_of(trial: TrialRecord) -> float | None:
    """Return the trial's value where it has a finite one."""
    if trial.outcome is None or trial.outcome.value is None or not math.isfinite(trial.outcome.value):
        return None
    return trial.outcome.value


def number(value: float | None) -> str:
    """Return a number as a person reads it."""
    return "-" if value is None else f"{value:.5g}"


def scalar(value: Scalar) -> str:
    """Return a parameter's value as a person reads it."""
    return f"{value:.4g}" if isinstance(value, float) else one_line(str(value), 40)


def parameters(params: Mapping[str, Scalar]) -> str:
    """Return `units=64 lr=0.001`."""
    return " ".join(f"{one_line(name, 60)}={scalar(value)}" for name, value in params.items())


def duration(seconds: float | None) -> str:
    """Return `3 s`, `2 min 05 s`, `1 h 20 min`."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def sparkline(values: Sequence[float], width: int = 12) -> str:
    """Return the curve in block characters, the last `width` values."""
    finite = [value for value in values[-width:] if math.isfinite(value)]
    if not finite:
        return ""
    low, high = min(finite) / 2, max(finite) / 2  # halved, so that the span of any two floats is finite
    span = (high - low) or 1.0
    return "".join(BLOCKS[round((value / 2 - low) / span * (len(BLOCKS) - 1))] for value in finite)


def trial_line(trial: TrialRecord, objective: Objective, total: int | None) -> str:
    """Return the one line that a finished trial is worth where there is no terminal."""
    outcome = trial.outcome
    of = f"/{total}" if total is not None else ""
    head = f"trial {trial.number}{of} {trial.state}"
    if trial.confirms is not None:
        head = f"trial {trial.number} confirms trial {trial.confirms}: {trial.state}"
    if outcome is None:
        return head
    value = "" if outcome.value is None else f" {objective.metric}={number(outcome.value)} (epoch {outcome.epoch})"
    why = f" [{one_line(outcome.reason, 200)}]" if outcome.reason else ""
    return f"{head}{value} {parameters(trial.params)}{why}"


def trial_json(trial: TrialRecord) -> dict[str, Any]:
    """Return a trial as `--json` shows it."""
    outcome = trial.outcome
    return {
        "number": trial.number,
        "state": trial.state,
        "value": None if outcome is None else outcome.value,
        "epoch": None if outcome is None else outcome.epoch,
        "reason": "" if outcome is None else outcome.reason,
        "params": dict(trial.params),
        "attempts": trial.attempt,
        "epochs": len(trial.metrics),
        "started_at": trial.started_at,
        "ended_at": trial.ended_at,
        "reproduced": trial.reproduced,
        "confirms": trial.confirms,
        "donor": None if trial.donor is None else asdict(trial.donor),
    }


def confirmed_json(one: Confirmed) -> dict[str, Any]:
    """Return how a trial was confirmed as `--json` shows it; `interval` is the 95 % t interval of the mean."""
    about = {"trial": one.number, "searched": one.searched, "mean": one.mean, "interval": one.interval}
    return {**about, "flattered": one.flattered, "values": one.values, "runs": one.runs, "best_run": one.best_run}


def failures(trials: Iterable[TrialRecord]) -> list[tuple[str, int]]:
    """Return the reasons of failed trials, most frequent first."""
    reasons = Counter(one.outcome.reason for one in trials if one.outcome is not None and one.state == "failed")
    return reasons.most_common()
