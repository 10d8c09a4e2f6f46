"""The contract for `cmaes`, where its library is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from kerasweep.spaces.parameter import Number
from kerasweep.spaces.trial import Json, OutcomeKind
from kerasweep.trackers.events import TrialAsked

from ..contracts.samplers import LiveSweep, SamplerContract

pytest.importorskip("cmaes")


class TestCmaes(SamplerContract):
    """Covariance matrix adaptation, with generations of five."""

    kind = "cmaes"
    arguments: ClassVar[Mapping[str, Json]] = {"popsize": 5}

    def differs_with_history(self) -> bool:
        """It moves where values are better."""
        return True

    def test_it_goes_where_the_values_are_though_most_trials_are_stopped(self) -> None:
        """A stopped trial's value, of fewer epochs, flatters it; it counts by its rank alone."""
        names = "xyz"
        live = LiveSweep(self.make([Number(name=name, min=0.0, max=1.0, integer=False) for name in names], seed=3))
        for number in range(60):
            used = live.use(number, live.ask(number))
            value = -sum((float(used[name]) - 0.3) ** 2 for name in names)
            stopped = number % 3 > 0
            live.report(number, [value + 0.5 * stopped])
            kind = OutcomeKind.STOPPED if stopped else OutcomeKind.COMPLETED
            live.end(number, kind, value + 0.5 * stopped)
        late = [[float(one) for one in live.sampler.propose(number).params.values()] for number in range(60, 80)]
        assert sum(abs(one - 0.3) for point in late for one in point) / 60 < 0.2  # at random, 0.29

    def test_generations_go_on_without_a_pickle_in_the_journal(self) -> None:
        """What stands there of a trial is its generation; the state follows from the trials, as Optuna's own would."""
        live = LiveSweep(self.make([Number(name=name, min=0.0, max=1.0, integer=False) for name in "xy"]))
        for number in range(23):
            used = live.use(number, live.ask(number))
            value = -abs(float(used["x"]) - 0.3) - abs(float(used["y"]) - 0.6)
            live.report(number, [value])
            live.end(number, OutcomeKind.COMPLETED, value)
        asked = [one.event.attrs for one in live.entries if isinstance(one.event, TrialAsked)]
        assert all(set(one) <= {"cma:generation"} for one in asked)
        generations = [one["cma:generation"] for one in asked if one]
        assert generations == [number // 5 for number in range(22)]
