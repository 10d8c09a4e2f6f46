"""What Optuna knows of a sweep: a study in memory that holds what the journal says, and nothing else.

Replaying the same entries builds the same study. Optuna numbers its trials by itself, so a map keeps ours. A trial
that runs is a RUNNING one with all that was proposed; when it ends that one is withdrawn and a finished one with only
what the model used takes its place. One that failed is a PRUNED one without a value, which ranks below all that have
one: a region that keeps failing is left.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

from ..spaces.known import Known
from ..spaces.parameter import Fixed, Parameter, identity, parameter_from_json
from ..spaces.trial import OutcomeKind, Scalar
from ..trackers.events import Entry, ParametersUsed, Reported, RoundEnded, TrialAsked, TrialEnded
from .codec import decode, distribution, encode
from .objective import Objective

if TYPE_CHECKING:
    import optuna

FAILURES = 9
"""So many failed trials per trial with a value are told to Optuna, whose TPE takes the best tenth of all for good."""

Asked = tuple[Mapping[str, Scalar], Mapping[str, Any]]
"""Parameters by identity, and what the sampler wrote about them."""


@final
class Study:
    """The study, the space that is known, and the trials that run."""

    def __init__(self, objective: Objective, space: Known) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space = space
        self._objective = objective
        self._keys: dict[str, str] = {}
        self._running: dict[int, int] = {}
        self._asked: dict[int, Mapping[str, Scalar]] = {}
        self._attrs: dict[int, dict[str, Any]] = {}
        self._used: dict[int, ParametersUsed] = {}
        self._curves: dict[int, dict[int, float]] = {}
        self._proposed: tuple[int, int] | None = None
        self._failures: list[optuna.trial.FrozenTrial] = []
        self._room = 0
        direction = "maximize" if objective.direction == "max" else "minimize"
        self.optuna: optuna.Study = optuna.create_study(
            direction=direction, sampler=optuna.samplers.RandomSampler(seed=0)
        )

    def learn(self, specs: list[Parameter]) -> None:
        """Take in parameters that a model was found to read."""
        self.space = self.space.learn(specs)

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """Return Optuna's trials, not to be changed."""
        return self.optuna.get_trials(deepcopy=False)

    def apply(self, entry: Entry) -> None:
        """Take in one journaled event, live or in a replay."""
        match entry.event:
            case TrialAsked() as event:
                self._ask(event, 0)
            case RoundEnded() as event:
                self.learn([parameter_from_json(spec) for spec in event.specs])
                self._ask(event, event.round + 1)
            case ParametersUsed() as event:
                self._used[event.trial] = event
                self.learn([parameter_from_json(spec) for spec in event.specs])
            case Reported(trial=trial, report=report):
                value = report.metrics.get(self._objective.metric)
                if value is not None and math.isfinite(value):
                    self._curves.setdefault(trial, {}).setdefault(report.epoch, value)
            case TrialEnded() as event:
                self._end(event)
            case _:
                pass

    def ask(self, number: int, round: int, sampler: optuna.samplers.BaseSampler, pinned: Mapping[str, Scalar]) -> Asked:
        """Ask Optuna once for a trial, which runs from now on; its sampler is told of pinned values, which are not its own."""
        self.withdraw(number)
        self.optuna.sampler = self.fixed(sampler, pinned)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self.optuna.ask()
            params = self.suggested(trial, pinned)
        self._running[number], self._proposed = trial.number, (number, round)
        return params, dict(self.trials()[trial.number].system_attrs)

    def suggested(self, trial: optuna.Trial, pinned: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Return what Optuna suggests for each active parameter; pinned values stand."""

        def draw(key: str, parameter: Parameter) -> Scalar:
            suggested = self._suggest(trial, key, parameter)
            return pinned.get(key, suggested)

        return self.space.walk(draw)

    def fixed(self, sampler: optuna.samplers.BaseSampler, pinned: Mapping[str, Scalar]) -> optuna.samplers.BaseSampler:
        """Return the sampler with pinned values given."""
        import optuna

        fixed = {
            self._key(key, self.space.parameters[key]): encode(self.space.parameters[key], value)
            for key, value in pinned.items()
            if key in self.space.parameters and not isinstance(self.space.parameters[key], Fixed)
        }
        if not fixed:
            return sampler
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return optuna.samplers.PartialFixedSampler(fixed, sampler)

    def withdraw(self, number: int) -> None:
        """Take a trial that runs out of the study."""
        import optuna

        self._proposed = None
        asked = self._running.pop(number, None)
        if asked is not None:
            self.optuna.tell(asked, state=optuna.trial.TrialState.FAIL)

    def _suggest(self, trial: optuna.Trial, key: str, parameter: Parameter) -> Scalar:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        name = self._key(key, parameter)
        match distribution(parameter):
            case IntDistribution() as one:
                return decode(parameter, trial.suggest_int(name, one.low, one.high, log=one.log))
            case FloatDistribution() as one:
                return decode(parameter, trial.suggest_float(name, one.low, one.high, log=one.log))
            case CategoricalDistribution() as one:
                return decode(parameter, trial.suggest_categorical(name, [int(str(c)) for c in one.choices]))
            case other:
                raise TypeError(f"no suggestion for {other}")

    def _key(self, key: str, parameter: Parameter) -> str:
        """Return Optuna's name: the plain one for the first of its kind, one of its own for any other."""
        if key not in self._keys:
            taken = parameter.name in self._keys.values()
            self._keys[key] = f"{parameter.name}:{key[:6]}" if taken else parameter.name
        return self._keys[key]

    def _internal(self, params: Mapping[str, Scalar]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return Optuna's form of parameters by identity: values and distributions by its names."""
        values: dict[str, Any] = {}
        distributions: dict[str, Any] = {}
        for key, value in params.items():
            parameter = self.space.parameters.get(key)
            if parameter is None or isinstance(parameter, Fixed):
                continue
            internal = encode(parameter, value)
            if internal is not None:
                name = self._key(key, parameter)
                values[name], distributions[name] = internal, distribution(parameter)
        return values, distributions

    def _ask(self, event: TrialAsked | RoundEnded, round: int) -> None:
        """Have a trial run, as far as it does not yet: one that was asked for live is there."""
        import optuna

        self._asked[event.trial] = event.params
        self._attrs.setdefault(event.trial, {}).update(event.attrs)
        if self._proposed == (event.trial, round):
            return
        self.withdraw(event.trial)
        values, distributions = self._internal(event.params)
        state = optuna.trial.TrialState.RUNNING
        self._running[event.trial] = len(self.trials())
        self.optuna.add_trial(
            optuna.trial.create_trial(
                state=state, params=values, distributions=distributions, system_attrs=dict(event.attrs)
            )
        )

    def _end(self, event: TrialEnded) -> None:
        self.withdraw(event.trial)
        proposed = self._asked.pop(event.trial, {})
        attrs = self._attrs.pop(event.trial, {})
        used = self._used.pop(event.trial, None)
        curve = self._curves.pop(event.trial, {})
        outcome = event.outcome
        if used is not None:
            proposed = {identity(one): used.params[one.name] for one in map(parameter_from_json, used.specs)}
        if outcome.kind is OutcomeKind.FAILED:  # where it died before it could say what it used: all that was proposed
            self._failures.append(self._finished("PRUNED", proposed, attrs))
            self._tell_failures()
        elif used is not None and outcome.kind is OutcomeKind.COMPLETED:
            self._tell(self._finished("COMPLETE", proposed, attrs, outcome.value, curve))
        elif used is not None and outcome.kind is OutcomeKind.STOPPED and curve:
            self._tell(self._finished("PRUNED", proposed, attrs, None, curve))

    def _finished(
        self,
        state: str,
        params: Mapping[str, Scalar],
        attrs: Mapping[str, Any],
        value: float | None = None,
        curve: Mapping[int, float] | None = None,
    ) -> optuna.trial.FrozenTrial:
        import optuna

        values, distributions = self._internal(params)
        return optuna.trial.create_trial(
            state=optuna.trial.TrialState[state],
            value=value,
            params=values,
            distributions=distributions,
            system_attrs=dict(attrs),
            intermediate_values=dict(curve or {}),
        )

    def _tell(self, trial: optuna.trial.FrozenTrial) -> None:
        """Tell Optuna of a trial that has a value, and of failures, so few that none is among the best tenth."""
        self.optuna.add_trial(trial)
        self._room += FAILURES
        self._tell_failures()

    def _tell_failures(self) -> None:
        told, self._failures = self._failures[: self._room], self._failures[self._room :]
        self._room -= len(told)
        self.optuna.add_trials(told)
