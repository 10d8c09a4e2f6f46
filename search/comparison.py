"""Two records of one trial's metrics, compared epoch by epoch: equal, or where they part and by how much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

Metrics = Mapping[int, Mapping[str, float]]
"""By epoch, then by name."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A metric of an epoch that one record has otherwise than the other; None: that record does not have it."""

    epoch: int
    metric: str
    journaled: float | None
    replayed: float | None

    @property
    def relative(self) -> float:
        """The difference by the larger of the two; infinite where one of them is missing or not finite."""
        one, other = self.journaled, self.replayed
        if one is None or other is None or not (math.isfinite(one) and math.isfinite(other)):
            return math.inf
        half = abs(one / 2 - other / 2)  # of the difference, which may be more than the largest float
        return half / max(abs(one), abs(other)) * 2


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was found: over `epochs` epochs, where they part first, and the largest difference of all."""

    epochs: int
    first: Difference | None = None
    largest: Difference | None = None

    @classmethod
    def of(cls, journaled: Metrics, replayed: Metrics) -> Comparison:
        """Compare all that is journaled; equal are only the very same numbers, and one that is not a number with another."""
        found = list(_differences(journaled, replayed))
        largest = max(found, key=lambda one: (one.relative, -one.epoch), default=None)
        return cls(epochs=len(journaled), first=found[0] if found else None, largest=largest)

    @property
    def equal(self) -> bool:
        """Whether they do not part."""
        return self.first is None


def _differences(journaled: Metrics, replayed: Metrics) -> Iterator[Difference]:
    """Yield what differs, by epoch; an epoch that was not trained again counts once, and is the last."""
    for epoch, row in sorted(journaled.items()):
        again = replayed.get(epoch)
        if again is None:
            name = next(iter(row), "")
            yield Difference(epoch=epoch, metric=name, journaled=row.get(name), replayed=None)
            return
        for name in (*row, *(other for other in again if other not in row)):
            if not _same(row.get(name), again.get(name)):
                yield Difference(epoch=epoch, metric=name, journaled=row.get(name), replayed=again.get(name))


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == other or (math.isnan(one) and math.isnan(other))
