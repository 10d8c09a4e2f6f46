"""A sweep in words and numbers: what the terminal shows while it runs and when it is over."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

from ..spaces.errors import one_line
from ..spaces.pareto import Point, covers
from ..spaces.trial import Outcome, Scalar
from ..trackers.confirmed import Confirmed, confirmation, confirmed_front, runs_of
from ..trackers.history import History, TrialRecord
from ..trackers.trade_offs import best_of, front_of, ranking
from .budget import Used, used
from .forecast import confirming_left, seconds_left
from .goals import Goals
from .objective import Objective
from .objectives import in_words
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

    @property
    def goal(self) -> str:
        """Return what is searched for, `max val_accuracy, min params`."""
        return in_words(self.spec.objectives)

    @property
    def metrics(self) -> list[str]:
        """The objectives' names, the first one first."""
        return [one.metric for one in self.spec.objectives]

    def ranked(self) -> list[TrialRecord]:
        """Return the trials that have a value, best first: those that were confirmed, then the others as searched."""
        champions = [one.number for one in self.confirmed()]
        others = [one for one in self.searched() if one.number not in champions]
        return [*(self.history.trials[number] for number in champions), *others]

    def confirmed(self) -> list[Confirmed]:
        """Return how the best trials did on fresh seeds, the champion first; none before all of them are through."""
        return confirmation(self.history)

    def confirming(self) -> str:
        """Return how far the confirmation is, in words; empty where there is none, or nothing of it has begun."""
        done = sum(one.outcome is not None for runs in runs_of(self.history).values() for one in runs)
        plan = self.spec.confirm
        wanted = min(plan.top, len(self.searched())) * plan.seeds
        return f"confirming {done}/{wanted}" if runs_of(self.history) and not self.confirmed() else ""

    def searched(self) -> list[TrialRecord]:
        """Return the trials of the search that have a value, best first; of several objectives the first front first."""
        return ranking(self.history)

    def best(self) -> TrialRecord | None:
        """Return the best trial: the confirmed champion, else of those that keep to the constraints the one that is best
        by the first objective.
        """
        champion = next(iter(self.confirmed()), None)
        return best_of(self.history) if champion is None else self.history.trials[champion.number]

    def front(self) -> list[TrialRecord]:
        """Return the trials that no other is better than or equal to in every respect, best by the first objective first.

        Where none keeps to the constraints, it is those that break them least. Once the best were confirmed, it is
        those of them that are on the front by their means.
        """
        champions = confirmed_front(self.confirmed())
        if champions:
            return [self.history.trials[one.number] for one in champions]
        return front_of(self.history)

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

    def seconds(self, now: float) -> float:
        """Return for how long drivers have worked on it; the time between them is left out."""
        return self.history.worked_s + max(0.0, now - self.history.session_at)

    def used(self, now: float) -> tuple[Used, ...]:
        """Return what is used of each limit of the budget, that which is nearest to its end first."""
        trials = [one for one in self.history.trials.values() if one.confirms is None]
        limits = used(
            self.spec.budget,
            trials=self.counted(),
            seconds=self.seconds(now),
            slot_seconds=sum(one.slot_seconds(now) for one in trials),
            gpus=self.spec.resources.gpus,
            epochs=sum(one.epochs for one in trials),
            without_better=self._without_better() if self.spec.budget.no_improvement is not None else 0,
        )
        return tuple(sorted(limits, key=lambda one: -one.share))

    def _without_better(self) -> int:
        """Return how many trials counted since the last one that was better than all before it."""
        rules, best, row = self.spec.rules(), None, 0
        if not rules.goals.plain:
            return self._without_better_trade_off(rules.goals)
        for one, outcome in self._in_turn():
            value = value_of(one)
            mine = None if value is None else rules.rank(value, outcome.epoch or 0, 0)
            better = mine is not None and (best is None or mine < best)
            best, row = (mine, 0) if better else (best, row + 1)
        return row

    def _without_better_trade_off(self, goals: Goals) -> int:
        points, row = list[Point](), 0
        for one, outcome in self._in_turn():
            point = None if value_of(one) is None else goals.point(outcome)
            better = point is not None and not any(covers(before, point) for before in points)
            row = 0 if better else row + 1
            points.extend([] if point is None else [point])
        return row

    def _in_turn(self) -> list[tuple[TrialRecord, Outcome]]:
        """Return the trials of the search that counted, as they ended; where the search goes by number, by number."""
        counted = [
            (one, one.outcome)
            for one in self.history.trials.values()
            if one.outcome is not None and one.outcome.counts and one.confirms is None
        ]
        by_number = self.spec.search.window is not None
        return sorted(counted, key=lambda pair: pair[0].number if by_number else pair[0].ended_at or math.inf)

    def seconds_left(self, now: float) -> float | None:
        """Return an estimate of the time to the end of the budget, and of what is confirmed then; None before anything was
        reported.

        The trials that are left are forecast; any other limit goes on being used as it was until now.
        """
        seconds = self.seconds(now)
        others = [one.share for one in self.used(now) if one.used and one.name not in ("trials", "no_improvement")]
        left = [seconds * max(0.0, 1 / share - 1) for share in others]
        forecast = seconds_left(self.history, self.spec, now)
        left += [] if forecast is None else [forecast]
        return min(left) + confirming_left(self.history, self.spec) if left else None


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


def values_in_words(trial: TrialRecord, metrics: Sequence[str]) -> str:
    """Return `val_accuracy 0.97, params 1290`; says where constraints are broken."""
    outcome = trial.outcome
    values = () if outcome is None else outcome.values or (outcome.value,)
    broken = "" if outcome is None or outcome.feasible else ", constraints broken"
    return ", ".join(f"{one} {number(value)}" for one, value in zip(metrics, values, strict=False)) + broken


def trial_line(trial: TrialRecord, objective: Objective, total: int | None, further: Sequence[Objective] = ()) -> str:
    """Return the one line that a finished trial is worth where there is no terminal."""
    outcome = trial.outcome
    of = f"/{total}" if total is not None and trial.number < total else ""  # infeasible ones do not count
    head = f"trial {trial.number}{of} {trial.state}"
    if trial.confirms is not None:
        head = f"trial {trial.number} confirms trial {trial.confirms}: {trial.state}"
    if outcome is None:
        return head
    metrics, values = [one.metric for one in (objective, *further)], outcome.values or (outcome.value,)
    pairs = " ".join(f"{name}={number(one)}" for name, one in zip(metrics, values, strict=False))
    value = "" if outcome.value is None else f" {pairs} (epoch {outcome.epoch})"
    why = f" [{one_line(outcome.reason, 200)}]" if outcome.reason else ""
    return f"{head}{value} {parameters(trial.params)}{why}"


def trial_json(trial: TrialRecord, metrics: Sequence[str] = ()) -> dict[str, Any]:
    """Return a trial as `--json` shows it; with the names of the objectives, all values where there are several."""
    outcome = trial.outcome
    values: dict[str, Any] = {}
    if outcome is not None and outcome.values:
        values["values"] = dict(zip(metrics, outcome.values, strict=False))
    if outcome is not None and outcome.violations:
        values["feasible"] = outcome.feasible
    if trial.measured:
        values["measured"] = trial.measured
    return {
        "number": trial.number,
        "state": trial.state,
        "value": None if outcome is None else outcome.value,
        **values,
        "epoch": None if outcome is None else outcome.epoch,
        "reason": "" if outcome is None else outcome.reason,
        "params": dict(trial.params),
        "attempts": trial.attempt,
        "epochs": len(trial.metrics),
        "started_at": trial.started_at,
        "ended_at": trial.ended_at,
        "reproduced": trial.reproduced,
        "retries": trial.retries,
        "start": trial.start,
        "confirms": trial.confirms,
        "donor": None if trial.donor is None else asdict(trial.donor),
    }


def confirmed_json(one: Confirmed) -> dict[str, Any]:
    """Return how a trial was confirmed as `--json` shows it; `interval` is the 95 % t interval of the mean."""
    told = [
        {
            "mean": by.mean,
            "interval": by.interval,
            "searched": by.searched,
            "flattered": by.flattered,
            "values": by.values,
        }
        for by in one.each
    ]
    several = {"objectives": {by.goal.metric: of for by, of in zip(one.each, told, strict=True)}} if told[1:] else {}
    bounded = {"violations": one.violations} if any(one.violations) else {}
    return {"trial": one.number, **told[0], "runs": one.runs, "best_run": one.best_run, **several, **bounded}


def failures(trials: Iterable[TrialRecord]) -> list[tuple[str, int]]:
    """Return the reasons of failed trials, most frequent first."""
    reasons = Counter(one.outcome.reason for one in trials if one.outcome is not None and one.state == "failed")
    return reasons.most_common()
