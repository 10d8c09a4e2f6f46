"""Tests of `kerasweep.search.optuna_sampler`: what a sampler of Optuna's is shown of a sweep."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from kerasweep.search.objective import Objective
from kerasweep.search.sampler import OptunaSampler
from kerasweep.spaces.parameter import Number, identity
from kerasweep.spaces.trial import OutcomeKind

from ..contracts.samplers import LiveSweep, space_of

N = Number(name="n", min=0, max=5_000, integer=True)


def test_what_was_refused_is_shown_as_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a sampler that goes where nothing runs finds the next best, instead of its optimum over and over."""
    import optuna

    class NextToWhatRuns(optuna.samplers.BaseSampler):
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return {}

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            return {}

        def sample_independent(self, study: optuna.Study, trial: Any, param_name: str, param_distribution: Any) -> int:
            running = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING])
            return max((one.params["n"] + 1 for one in running if "n" in one.params), default=7)

    module = ModuleType("a_sampler")
    vars(module)["Next"] = NextToWhatRuns
    monkeypatch.setitem(sys.modules, "a_sampler", module)
    sampler = OptunaSampler(sampler="a_sampler:Next", seed=0, objective=Objective.parse("max acc"), space=space_of([N]))
    live = LiveSweep(sampler)
    live.use(0, live.ask(0))
    live.end(0, OutcomeKind.COMPLETED, 0.5)
    assert sampler.propose(1).params == {identity(N): 8}
