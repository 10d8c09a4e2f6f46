"""Which configurations have been tried, by what the models used of them.

A trial's configuration is what its model read, parameters that can take one value only left out. A proposal repeats a
trial that read nothing but what the proposal has too, with the same values: the model would read the same again. So a
branch taken by a plain `if` in the code needs no declared condition. Until a trial has reported an epoch, it counts
with all that was proposed for it, since its `fit` may read more than its `build` has; so does one that failed before,
or was lost, since another one with the same beginning may do better. Once other models have shown more of the space, a
proposal says more than that: then it repeats none that has failed, while one that runs may still be about to read the
same, and is passed by as long as there is something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from ..spaces.parameter import Parameter, identity, parameter_from_json
from ..spaces.prior import members
from ..spaces.trial import OutcomeKind, Scalar
from ..trackers.events import Entry, ParametersUsed, Reported, RoundEnded, TrialAsked, TrialEnded, TrialRetried

Point = tuple[frozenset[str], tuple[tuple[str, str, Scalar], ...]]


@final
class Tried:
    """The configurations of trials that ran or run."""

    def __init__(self) -> None:
        self.version = 0
        """Changes whenever an answer may."""
        self.released = 0
        """Counts what may have become free: trials that were interrupted, failed, or turned out to read more."""
        self._parameters: dict[str, Parameter] = {}
        self._is_searched: dict[str, bool] = {}
        self._holders: dict[frozenset[str], dict[Point, set[int]]] = {}
        self._points: dict[int, Point] = {}
        self._used: dict[int, Mapping[str, Scalar]] = {}
        self._reported: set[int] = set()
        self._read: set[int] = set()
        self._running: set[int] = set()
        self.has_seen_models = False
        """Whether any model has been built; until then nobody knows what there is beside the declared parameters."""

    def learn(self, parameters: Mapping[str, Parameter]) -> None:
        """Take in what parameters there are, by identity."""
        for key, parameter in parameters.items():
            if key not in self._parameters:
                self._parameters[key] = parameter
                self._is_searched[key] = is_searched(parameter)

    def apply(self, entry: Entry) -> None:
        """Take in one journaled event."""
        self.has_seen_models |= isinstance(entry.event, RoundEnded | ParametersUsed)
        match entry.event:
            case (
                TrialAsked(trial=number, params=params)
                | RoundEnded(trial=number, params=params)
                | TrialRetried(trial=number, params=params)
            ):
                self._hold(number, params)
                self._running.add(number)
            case ParametersUsed(trial=number) as event:
                specs = {identity(one): one for one in map(parameter_from_json, event.specs)}
                self.learn(specs)
                self._used[number] = {key: event.params[one.name] for key, one in specs.items()}
                if number in self._reported:
                    self._hold(number, self._used[number], read=True)
            case Reported(trial=number):
                if number not in self._reported and number in self._used:
                    self._hold(number, self._used[number], read=True)
                self._reported.add(number)
            case TrialEnded(trial=number, outcome=outcome):
                self._end(number, outcome.kind)
            case _:
                pass

    def holder(self, params: Mapping[str, Scalar], besides: int | None = None, *, surely: bool = False) -> int | None:
        """Return the first trial that these parameters, by identity, would repeat; None where they are new.

        `surely`: one that may still come to read something else is none.
        """
        found: set[int] = set()
        whole = frozenset(key for key in params if self._is_searched.get(key))
        for keys, points in self._holders.items():
            if keys <= whole:
                holders = points.get(_point(keys, params), set())
                found |= holders if keys == whole else holders & self._read
                if not surely:
                    found |= holders & self._running
        return min(found - {besides}, default=None)

    def _end(self, number: int, kind: OutcomeKind) -> None:
        """Keep what the trial used; what was interrupted may be tried again."""
        used = self._used.pop(number, None)
        self._running.discard(number)
        self._reported.discard(number)
        if kind is OutcomeKind.INTERRUPTED:
            self.released += 1
            self._release(number)
        elif used is not None and kind not in (OutcomeKind.FAILED, OutcomeKind.LOST):
            self._hold(number, used, read=True)
        elif number not in self._read:
            self.released += 1

    def _hold(self, number: int, params: Mapping[str, Scalar], *, read: bool = False) -> None:
        searched = {key: value for key, value in params.items() if self._is_searched.get(key)}
        before = self._points.get(number)
        self.released += before is not None and not searched.keys() <= before[0]
        self._release(number)
        if read:
            self._read.add(number)
        if not searched:
            return
        keys = frozenset(searched)
        self._points[number] = point = _point(keys, searched)
        self._holders.setdefault(keys, {}).setdefault(point, set()).add(number)

    def _release(self, number: int) -> None:
        self.version += 1
        self._read.discard(number)
        point = self._points.pop(number, None)
        if point is not None:
            holders = self._holders[point[0]]
            holders[point].discard(number)
            if not holders[point]:
                del holders[point]


def is_searched(parameter: Parameter) -> bool:
    """Say whether the parameter has more values than one."""
    values = members(parameter, 2)
    return values is None or len(values) > 1


def _point(keys: frozenset[str], params: Mapping[str, Scalar]) -> Point:
    """Return what compares equal for the same values of the same types: 1, 1.0 and true are three."""
    return keys, tuple((key, type(params[key]).__name__, params[key]) for key in sorted(keys))
