"""Where a trial of a population comes from: the stretches of training, one trial each, that led to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from ..spaces.trial import Scalar
from ..trackers.history import History


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What one trial contributed: from after epoch `start` to `end`, with its parameters by plain name."""

    trial: int
    start: int
    end: int
    params: Mapping[str, Scalar]


def lineage(history: History, number: int) -> Sequence[Stretch]:
    """Return the stretches of a trial's lineage, the founder's first; of a trial without a donor its own alone."""
    found: list[Stretch] = []
    record = history.trials[number]
    end = max(record.metrics, default=0)
    while True:
        start = 0 if record.donor is None else record.donor.epoch
        found.append(Stretch(trial=record.number, start=start, end=end, params=record.params))
        if record.donor is None:
            return found[::-1]
        end, record = start, history.trials[record.donor.trial]


def in_words(stretches: Sequence[Stretch]) -> str:
    """Return `lineage: trial 0 to epoch 2, trial 5 to epoch 4 (learning_rate 0.01 -> 0.012)`."""
    parts: list[str] = []
    before: Mapping[str, Scalar] = stretches[0].params
    for one in stretches:
        changed = [
            f"{name} {_shown(before.get(name))} -> {_shown(value)}"
            for name, value in one.params.items()
            if before.get(name) != value
        ]
        parts.append(f"trial {one.trial} to epoch {one.end}" + (f" ({', '.join(changed)})" if changed else ""))
        before = one.params
    return f"lineage: {', '.join(parts)}"


def _shown(value: Scalar | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
