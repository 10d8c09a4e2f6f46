"""How near configurations are to each other in a space, conditions heeded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

from ..spaces.parameter import Categories, Interval, Parameter, Steps
from ..spaces.trial import Scalar

if TYPE_CHECKING:
    from numpy.typing import NDArray


@final
class Neighbours:
    """Configurations to be found by their distance: the mean over parameters, each from 0 to 1, as Gower has it.

    A number counts by its place in its range, on the scale that it is sampled on; a choice by whether it is the same; a
    parameter that only one of the two has, 1 (J. C. Gower, A general coefficient of similarity, Biometrics 1971).
    """

    def __init__(self, parameters: Iterable[Parameter], points: Sequence[Mapping[str, Scalar]]) -> None:
        """Take in `points`, parameters by name."""
        import numpy as np

        self._columns: dict[str, list[Parameter]] = {}
        for parameter in parameters:
            self._columns.setdefault(parameter.name, []).append(parameter)
        self._ordered = np.array(
            [not isinstance(one[0].domain, Categories) for one in self._columns.values()], dtype=bool
        )
        rows = [self._row(point) for point in points]
        self._points: NDArray[Any] = np.array(rows, dtype=float).reshape(len(points), len(self._columns))
        self._active: NDArray[Any] = ~np.isnan(self._points)

    def distances(self, point: Mapping[str, Scalar]) -> NDArray[Any]:
        """Return the distance of each configuration to `point`, (configurations,)."""
        import numpy as np

        row = np.array(self._row(point), dtype=float)
        active = ~np.isnan(row)
        gap = np.abs(self._points - row)
        gap = np.where(self._ordered, gap, gap > 0)
        gap = np.where(self._active & active, gap, 1.0)
        either = self._active | active
        return np.where(either, gap, 0.0).sum(axis=1) / np.maximum(either.sum(axis=1), 1)

    def nearest(self, point: Mapping[str, Scalar], count: int = 1) -> list[int]:
        """Return the places of the nearest configurations, nearest first; the first of equals."""
        import numpy as np

        return [int(place) for place in np.argsort(self.distances(point), kind="stable")[:count]]

    def _row(self, point: Mapping[str, Scalar]) -> list[float]:
        return [_place(forms, point[name]) if name in point else math.nan for name, forms in self._columns.items()]


def _place(forms: Sequence[Parameter], value: Scalar) -> float:
    """Return where a value stands in its parameter's range, from 0 to 1; of categories, its index."""
    for parameter in forms:
        match parameter.domain:
            case Interval(low=low, high=high, log=log, mirrored=mirrored) if not isinstance(value, str):
                if not low <= value <= high:
                    continue
                number = low + high - value if mirrored else value
                ends = (math.log(low), math.log(high), math.log(number)) if log else (low, high, number)
                return (ends[2] - ends[0]) / (ends[1] - ends[0]) if high > low else 0.0
            case Steps(values=values) | Categories(values=values) if value in values:
                index = float(values.index(value))
                return index / max(1, len(values) - 1) if isinstance(parameter.domain, Steps) else index
            case _:
                continue
    return math.nan
