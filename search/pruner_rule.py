"""Any of Optuna's pruners as a stop rule.

A pruner judges by a study, and may keep things in it and in itself. All of that follows from what the study was told,
in order: the values of trials, epoch by epoch, and how they ended. So what the rule keeps in `Rungs` is that account,
and a study with a pruner is only its shadow: where none is at the account's end, a new one is told all of it, and comes
to the same answers. Several are kept, since in a deterministic search each trial is judged by an account of its own.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast, final

from ..spaces.trial import Json, OutcomeKind
from .named_class import made
from .objective import Direction, Objective
from .stop import Account, Ending, Rungs, Standing

if TYPE_CHECKING:
    import optuna

KEPT = 64
"""So many shadows at most: about two for each trial that runs."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PrunerRule:
    """Stop a trial that a pruner would have pruned. Optuna's steps are epochs completed, from 1."""

    name: str
    arguments: Mapping[str, Json] = field(default_factory=dict[str, Json])
    objective: Objective
    _shadows: list[Shadow] = field(default_factory=list["Shadow"], compare=False, repr=False)

    def rungs(self, max_epochs: int, number: int) -> tuple[int, ...]:
        """Return none: a pruner does not say at which epochs it judges, so that all are told, once a second."""
        return ()

    def decide(self, rungs: Rungs, trial: Standing) -> tuple[Rungs, str]:
        """Tell the pruner of the epoch, and ask it."""
        rungs, stops = self._tell(rungs, trial)
        if not stops:
            return rungs, ""
        value = self.objective.score(trial.score)  # its own inverse
        return rungs, f"{self.name.rpartition(':')[2]}: {self.objective.metric} was {value:.4g} at epoch {trial.epoch}"

    def ended(self, rungs: Rungs, ending: Ending) -> Rungs:
        """Tell the pruner that a trial is over: most compare with completed ones alone."""
        return self._tell(rungs, ending)[0]

    def _tell(self, rungs: Rungs, said: Standing | Ending) -> tuple[Rungs, bool]:
        before = rungs.accounts.get(self.name, ())
        shadow = self._told(before)
        if said.number in shadow.ended:  # it was taken up again, and a study's trial cannot be: it has not ended
            shadow = self._told(tuple(one for one in before if isinstance(one, Standing) or one.number != said.number))
        answer = shadow.tell(said)
        shadow.account = (*shadow.account, said)
        self._shadows[:] = [*self._shadows[-KEPT:], shadow]
        return rungs.with_account(self.name, shadow.account), answer

    def _told(self, account: Account) -> Shadow:
        """Return a shadow at the account's end, which is the caller's; one at a trial's end stays for others that go on there."""
        kept = next((one for one in self._shadows if one.account is account), None)
        if kept is not None and isinstance(account[-1], Ending):
            with suppress(Exception):  # a pruner that cannot be copied is told anew
                return kept.forked()
        elif kept is not None:
            self._shadows.remove(kept)
            return kept
        shadow = Shadow(self)
        for one in account:
            shadow.tell(one)
        shadow.account = account
        return shadow


@final
class Shadow:
    """A study and its pruner that have been told an account; `ended` are its trials that are over."""

    def __init__(self, rule: PrunerRule) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.account: Account = ()
        self.ended = set[int]()
        self._score = rule.objective.score
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pruner = cast("optuna.pruners.BasePruner", made(rule.name, rule.arguments, seed=0))
        direction = "maximize" if rule.objective.direction is Direction.MAX else "minimize"
        sampler = optuna.samplers.RandomSampler(seed=0)
        self._study = optuna.create_study(study_name="sweep", direction=direction, pruner=pruner, sampler=sampler)

    def forked(self) -> Shadow:
        """Return another one that was told the same; trials that are over never change, and are shared."""
        other = copy.copy(self)
        other.ended = set(self.ended)
        trials = self._study.get_trials(deepcopy=False)
        other._study = copy.deepcopy(self._study, {id(one): one for one in trials if one.state.is_finished()})
        return other

    def tell(self, said: Standing | Ending) -> bool:
        """Take in an entry of the account; say whether its trial is pruned."""
        import optuna

        running = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
        for _ in range(len(self._study.get_trials(deepcopy=False)), said.number + 1):
            self._study.add_trial(running)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = optuna.Trial(self._study, said.number)
            if isinstance(said, Standing):
                trial.report(self._score(said.score), said.epoch)
                return trial.should_prune()
            if said.epoch is not None and said.last is not None:  # its last epoch, which is not judged
                trial.report(self._score(said.last), said.epoch)
            self._end(said)
        return False

    def _end(self, said: Ending) -> None:
        from optuna.trial import TrialState

        self.ended.add(said.number)
        if said.kind is OutcomeKind.COMPLETED and said.score is not None:
            self._study.tell(said.number, self._score(said.score))
        else:
            stopped = said.kind is OutcomeKind.STOPPED
            self._study.tell(said.number, state=TrialState.PRUNED if stopped else TrialState.FAIL)
