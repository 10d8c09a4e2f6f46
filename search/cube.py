"""A space as a unit cube: what a model of the whole space works on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from ..spaces.parameter import Condition, Parameter
from ..spaces.trial import Scalar
from .codec import decode, distribution, encode
from .parzen import Array, Axis
from .study import Study
from .tpe_history import History, Rows

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

MIDDLE, NO_CATEGORY = 0.5, -1.0
"""Where an inactive parameter stands in a model."""


@final
class Cube:
    """A study's space as a unit cube, an axis for each parameter; NaN is what a configuration lacks."""

    def __init__(self, study: Study) -> None:
        self._space = study.space
        self._keys = {key: place for place, key in enumerate(study.space.parameters)}
        self._parameters = [*study.space.parameters.values()]
        self._axes = [Axis.of(distribution(one)) for one in self._parameters]
        self._names = [study.name_of(key) for key in self._keys]
        self._searched = [place for place, axis in enumerate(self._axes) if axis.low < axis.high]
        self.categorical = np.array([self._axes[place].categorical for place in self._searched], dtype=np.bool_)
        self._lacking = np.where(self.categorical, NO_CATEGORY, MIDDLE)

    @property
    def is_one_point(self) -> bool:
        """Whether there is nothing to search."""
        return not self._searched

    def has_branches(self, points: Array) -> bool:
        """Say whether some points lack a parameter that is searched."""
        return bool(np.isnan(points[:, self._searched]).any())

    def modelled(self, points: Array) -> Array:
        """Return points (points, parameters) with what can take several values alone, and without NaN."""
        searched = points[:, self._searched]
        return np.where(np.isnan(searched), self._lacking, searched)

    def seen(self, history: History, rows: Rows) -> Array:
        """Return the points of these rows of the history."""
        columns = zip(self._axes, self._names, strict=True)
        return np.column_stack([axis.unit(history.column(name, rows)) for axis, name in columns])

    def running(self, trials: Sequence[FrozenTrial]) -> Array:
        """Return the points of trials of the study."""
        points = np.full((len(trials), len(self._axes)), np.nan)
        for row, trial in enumerate(trials):
            for place, name in enumerate(self._names):
                if name in trial.params:
                    points[row, place] = trial.distributions[name].to_internal_repr(trial.params[name])
        return np.column_stack([axis.unit(points[:, place]) for place, axis in enumerate(self._axes)])

    def drawn(self, count: int, random: np.random.Generator) -> Array:
        """Return random points, which have all parameters."""
        points = random.random((count, len(self._axes)))
        for place in self._unordered():
            points[:, place] = np.floor(points[:, place] * self._axes[place].values)
        return points

    def varied(self, points: Array, scales: Sequence[float], random: np.random.Generator) -> Array:
        """Return the points with one or few parameters moved, numbers at least to the next value; all have all parameters."""
        count, width = points.shape
        others = self.drawn(count, random)
        share = random.geometric(0.5, (count, 1)) / max(1, len(self._searched))
        moved = random.random(points.shape) < share
        moved[np.arange(count), random.choice(self._searched, count)] = True
        steps = random.choice(scales, (count, 1)) * random.standard_normal((count, width))
        least = np.array([0.6 / axis.values if axis.values else 0.0 for axis in self._axes])
        steps = np.copysign(np.maximum(np.abs(steps), least), steps)
        near = np.abs(points + steps)
        near = np.clip(np.where(near > 1, 2 - near, near), 0, 1)  # mirrored at the ends
        unordered = [*self._unordered()]
        near[:, unordered] = others[:, unordered]
        found = np.where(moved, near, points)
        return np.where(np.isnan(found), others, found)

    def settled(self, points: Array, pinned: Mapping[str, Scalar]) -> Array:
        """Return the points on the grid, with the pinned values, and with nothing that their other values leave inactive."""
        result = points.copy()
        for place, (key, axis) in enumerate(zip(self._keys, self._axes, strict=True)):
            parameter = self._parameters[place]
            value = encode(parameter, pinned[key]) if key in pinned else None
            if value is not None:
                result[:, place] = axis.unit(np.array([float(value)]))[0]
            elif axis.step and not axis.categorical:
                result[:, place] = axis.unit(axis.value(result[:, place]))
            for condition in parameter.conditions:
                result[~self._holds(condition, result), place] = np.nan
        return result

    def params(self, point: Array, pinned: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Return the values, by identity, that stand for a point."""

        def value(key: str, parameter: Parameter) -> Scalar:
            place = self._keys[key]
            u = point[place : place + 1]
            return parameter.initial if np.isnan(u[0]) else decode(parameter, float(self._axes[place].value(u)[0]))

        return self._space.walk(value, pinned)

    def _unordered(self) -> Iterator[int]:
        return (place for place, axis in enumerate(self._axes) if axis.categorical)

    def _holds(self, condition: Condition, points: Array) -> NDArray[np.bool_]:
        found = np.zeros(len(points), dtype=np.bool_)
        for place, parent in enumerate(self._parameters):
            if parent.name == condition.parent:
                allowed = [encode(parent, value) for value in condition.values]
                values = self._axes[place].value(points[:, place])  # NaN is none of them
                found |= np.isin(values, [one for one in allowed if one is not None])
        return found
