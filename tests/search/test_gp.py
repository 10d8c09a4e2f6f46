"""The contract for `gp`, where its library is installed."""

from __future__ import annotations

import pytest

from kerasweep.search.sampler import OptunaSampler
from kerasweep.spaces.parameter import Number, Sampling
from kerasweep.spaces.trial import Outcome, OutcomeKind
from kerasweep.trackers.events import StartingPoints, TrialAsked, TrialEnded

from ..contracts.samplers import ACCURACY, LiveSweep, SamplerContract, space_of

pytest.importorskip("torch")

RATE = Number(name="rate", min=1e-5, max=1e-1, integer=False, sampling=Sampling.LOG)
UNITS = Number(name="units", min=1, max=80, integer=True)


class TestGp(SamplerContract):
    """A Gaussian process."""

    kind = "gp"

    def differs_with_history(self) -> bool:
        """It models the values."""
        return True

    def test_running_trials_may_stand_close_together(self) -> None:
        """As many as there are slots, on few values."""
        live = LiveSweep(self.constrained(parameters=[RATE, UNITS], duplicates=True))
        for number in range(12):
            used = live.use(number, live.ask(number))
            live.end(number, OutcomeKind.COMPLETED, -abs(float(used["units"]) - 40))
        asked = [live.ask(number) for number in range(12, 20)]
        for number in range(20, 28):
            live.journal(TrialAsked(trial=number, seed=number, params=asked[0].params, history_seq=0))
        assert live.sampler.propose(28).params

    def test_constraints_are_modelled_beside_what_has_none(self) -> None:
        """Failures, and what an earlier sweep has found, say nothing of constraints."""
        sampler = OptunaSampler(sampler="gp", seed=3, objective=ACCURACY, space=space_of([RATE]), bounds=["params < 5"])
        live = LiveSweep(sampler)
        prior = tuple({"values": {"rate": 10**-one}, "of": "earlier", "worse": 0.1 * one} for one in range(2, 5))
        live.journal(StartingPoints(points=(), prior=prior))
        for number in range(16):
            used = live.use(number, live.ask(number))
            if number % 5 == 4:
                live.end(number, OutcomeKind.FAILED)
                continue
            broken = (max(0.0, float(used["rate"]) - 1e-3),)
            outcome = Outcome(kind=OutcomeKind.COMPLETED, value=float(used["rate"]), epoch=1, violations=broken)
            live.journal(TrialEnded(trial=number, attempt=1, outcome=outcome))
        assert live.sampler.propose(16).params
