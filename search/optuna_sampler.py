"""Optuna's samplers behind our protocol: a fresh one for each ask.

`tpe` asks the study itself, `random` nobody. Any other is shown a study of its own, made for this one ask: it holds what
finished and what runs, and what the sampler wrote to trials, but nothing that it writes to the study stays, so that
what is proposed is a function of the journal. There a trial that was stopped, or failed, is a completed one that ranks
where it belongs (`fidelity`), since most samplers learn from completed trials alone; and what was refused at this ask
runs, so that a sampler that goes where nothing runs proposes something else, and not its optimum again.
"""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, cast, final

from ..spaces.prior import configuration
from ..spaces.trial import Json
from .cma_es import refolding
from .fidelity import as_completed
from .named_class import constructed, made
from .sampler import Ask, Proposal
from .sampler_choice import CLASSES
from .study import Study
from .tpe_history import History
from .tree_tpe import CANDIDATES, tree_tpe

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, TrialState

FIRST_NUMBER = 10**9
"""Optuna's numbers of asked trials begin here, beyond those of all that are shown."""


@final
class Random:
    """Draws independently of what has happened."""

    tries = 1

    def propose(self, ask: Ask, study: Study) -> Proposal:
        """Return random parameters; Optuna is not asked, which would look at its study for each of them."""
        return Proposal(params=configuration(study.space, random.Random(ask.derived), dict(ask.pinned)))


@final
class Tpe:
    """Tree-structured Parzen estimators.

    Asked again, it chooses from ever fewer candidates: the most promising one of many is the same refused one each
    time, while one alone is a sample of the model.
    """

    tries = 20

    def __init__(self) -> None:
        self._history = History()
        self._of: optuna.Study | None = None

    def propose(self, ask: Ask, study: Study) -> Proposal:
        """Return promising parameters; `study` is the same each time, but for one that was made anew."""
        if study.told is not self._of:
            self._history, self._of = History(), study.told
        sampler = tree_tpe(ask.derived, candidates=max(1, CANDIDATES >> ask.attempt), history=self._history)
        params, attrs = study.ask(ask.number, ask.round, sampler, ask.pinned)
        return Proposal(params=params, attrs=attrs)


@final
class FromOptuna:
    """Any sampler of Optuna's, or of others for Optuna, by `module:Class`."""

    tries = 5

    def __init__(self, name: str, arguments: Mapping[str, Json]) -> None:
        self._name = name
        self._arguments = arguments

    def propose(self, ask: Ask, study: Study) -> Proposal:
        """Return what a fresh sampler proposes, shown the history."""
        import optuna

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sampler = self._made(ask.derived)
            storage = optuna.storages.InMemoryStorage()
            refused = [study.as_running(params) for params in ask.refused]
            shown = _shown(storage, study.told, study.fixed(sampler, ask.pinned), refused)
            trial_id = storage.create_new_trial(storage.get_study_id_from_name(shown.study_name))
            storage.get_trial(trial_id).number = FIRST_NUMBER + ask.number
            params = study.suggested(optuna.Trial(shown, trial_id), ask.pinned)
        return Proposal(params=params, attrs=dict(storage.get_trial(trial_id).system_attrs))

    def _made(self, seed: int) -> optuna.samplers.BaseSampler:
        cma_es = self._name == CLASSES["cmaes"]
        fresh = constructed(refolding(), self._arguments, seed=seed) if cma_es else None
        return cast("optuna.samplers.BaseSampler", fresh or made(self._name, self._arguments, seed=seed))


def _shown(
    storage: optuna.storages.BaseStorage,
    study: optuna.Study,
    sampler: optuna.samplers.BaseSampler,
    further: Sequence[FrozenTrial],
) -> optuna.Study:
    """Return a study that holds the finished and running trials of `study`, further ones, and those of its own storage."""
    import optuna

    history = [*as_completed(study.get_trials(deepcopy=False), study.directions), *further]

    class Shown(optuna.Study):
        def _get_trials(
            self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
        ) -> list[FrozenTrial]:
            asked = super()._get_trials(False, states, use_cache)
            found = [*(one for one in history if states is None or one.state in states), *asked]
            return copy.deepcopy(found) if deepcopy else found

    storage.create_new_study(study.directions, study.study_name)
    return Shown(study.study_name, storage, sampler)
