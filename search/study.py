"""What Optuna knows of a sweep: a study in memory that holds what the journal says, and nothing else.

Replaying the same entries builds the same study. Optuna numbers its trials by itself, so a map keeps ours. A trial
that runs is a RUNNING one with all that was proposed; when it ends that one is withdrawn and a finished one with only
what the model used takes its place. One that failed is a PRUNED one without a value, which ranks below all that have
one: a region that keeps failing is left. So is one whose model broke a constraint before it was trained; it says by how
much, as all do where there are constraints.

With several objectives Optuna learns nothing from PRUNED trials, whose values it does not look at. There a stopped trial
is told as COMPLETE, with its values where it was stopped: what stopped it is a trial that was better in every respect at
the same epoch and stays so, so that among complete ones it stands where it stood.
"""

from __future__ import annotations

import math
import warnings
from bisect import insort
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

from ..spaces.known import Known
from ..spaces.parameter import Fixed, Parameter, identity, parameter_from_json
from ..spaces.trial import Outcome, OutcomeKind, Scalar
from ..trackers.events import (
    Entry,
    ParametersUsed,
    Reported,
    RoundEnded,
    StartingPoints,
    TrialAsked,
    TrialEnded,
    TrialRetried,
)
from .codec import decode, distribution, encode
from .objective import Objective
from .start import Starting

if TYPE_CHECKING:
    import optuna

FAILURES = 9
"""So many failed trials per trial with a value are told to Optuna, whose TPE takes the best tenth of all for good."""

FAILED, PRIOR = "kerasweep:failed", "kerasweep:prior"
"""Mark in the study a trial that failed, with its number, and one that an earlier sweep has found."""

Asked = tuple[Mapping[str, Scalar], Mapping[str, Any]]
"""Parameters by identity, and what the sampler wrote about them."""


@final
class Study:
    """The study, the space that is known, and the trials that run."""

    def __init__(
        self, objective: Objective, space: Known, *, further: Sequence[Objective] = (), bounds: Sequence[str] = ()
    ) -> None:
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
        self._starting = Starting()
        self._scores: list[float] = []
        self._scale: tuple[float, ...] = ()
        self._stale = False
        self._retryable: dict[int, dict[int, float]] = {}
        self._behind: list[Entry] = []
        self._bounds = tuple(bounds)
        up, down = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE
        self._optuna: optuna.Study = optuna.create_study(
            directions=[up if one.direction == "max" else down for one in (objective, *further)],
            sampler=optuna.samplers.RandomSampler(seed=0),
        )

    def learn(self, specs: list[Parameter]) -> None:
        """Take in parameters that a model was found to read."""
        before, self.space = self.space, self.space.learn(specs)
        self._stale |= self.space != before

    def pins(self, number: int) -> dict[str, Scalar]:
        """Return the values, by identity, that a trial of this number starts from."""
        return self._starting.pins(number, self.space)

    def is_given(self, number: int) -> bool:
        """Say whether a trial starts from a point that the user or an earlier sweep gives."""
        return number < len(self._starting.points)

    def is_ahead(self, number: int) -> bool:
        """Say whether a trial starts from values of parameters that are not known yet."""
        return self._starting.is_ahead(number, self.space)

    def prepare(self) -> None:
        """Bring what earlier sweeps found up to date with the space and this one's values; to be called before an ask."""
        if self._stale and self._starting.prior:
            self._rebuild()

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """Return Optuna's trials, not to be changed."""
        return self.told.get_trials(deepcopy=False)

    def apply(self, entry: Entry) -> None:
        """Take in one journaled event, live or in a replay."""
        self._apply_to_space(entry)
        self._fold(entry)

    def apply_late(self, entry: Entry) -> None:
        """Take in one journaled event: of the space now, of the trials when somebody looks at them."""
        self._apply_to_space(entry)
        if isinstance(entry.event, Reported | StartingPoints):
            self._fold(entry)
        else:
            self._behind.append(entry)

    @property
    def told(self) -> optuna.Study:
        """Optuna's study, with all that was journaled."""
        behind, self._behind = self._behind, []
        for entry in behind:
            self._fold(entry)
        return self._optuna

    def _apply_to_space(self, entry: Entry) -> None:
        if isinstance(entry.event, RoundEnded | ParametersUsed):
            self.learn([parameter_from_json(spec) for spec in entry.event.specs])

    def _fold(self, entry: Entry) -> None:
        match entry.event:
            case TrialAsked() as event:
                self._ask(event, 0)
            case RoundEnded() as event:
                self._ask(event, event.round + 1)
            case ParametersUsed() as event:
                self._used[event.trial] = event
            case Reported(trial=trial, report=report):
                value = report.metrics.get(self._objective.metric)
                if value is not None and math.isfinite(value):
                    self._curves.setdefault(trial, {}).setdefault(report.epoch, value)
            case TrialEnded() as event:
                self._end(event)
            case TrialRetried() as event:
                self._retry(event)
            case StartingPoints() as event:
                self._starting, self._stale = Starting.of(event), True
            case _:
                pass

    def ask(self, number: int, round: int, sampler: optuna.samplers.BaseSampler, pinned: Mapping[str, Scalar]) -> Asked:
        """Ask Optuna once for a trial, which runs from now on; its sampler is told of pinned values, which are not its own."""
        self.withdraw(number)
        self.told.sampler = self.fixed(sampler, pinned)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self.told.ask()
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

    def name_of(self, key: str) -> str:
        """Return what Optuna calls a parameter of this identity."""
        return self._key(key, self.space.parameters[key])

    def withdraw(self, number: int) -> None:
        """Take a trial that runs out of the study."""
        import optuna

        study = self.told
        self._proposed = None
        asked = self._running.pop(number, None)
        if asked is not None:
            study.tell(asked, state=optuna.trial.TrialState.FAIL)

    def _suggest(self, trial: optuna.Trial, key: str, parameter: Parameter) -> Scalar:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        name = self._key(key, parameter)
        match distribution(parameter):
            case IntDistribution() as one:
                return decode(parameter, trial.suggest_int(name, one.low, one.high, log=one.log))
            case FloatDistribution() as one:
                return decode(parameter, trial.suggest_float(name, one.low, one.high, log=one.log))
            case CategoricalDistribution() as one:
                return decode(parameter, trial.suggest_categorical(name, range(len(one.choices))))
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
        self._attrs.setdefault(event.trial, {}).update(event.attrs)
        if self._proposed == (event.trial, round):
            self._asked[event.trial] = event.params
            return
        self.withdraw(event.trial)
        self._run(event.trial, event.params, event.attrs)

    def _run(self, number: int, params: Mapping[str, Scalar], attrs: Mapping[str, Any]) -> None:
        self._asked[number] = params
        self._running[number] = len(self.trials())
        self.told.add_trial(self.as_running(params, attrs))

    def as_running(
        self, params: Mapping[str, Scalar], attrs: Mapping[str, Any] | None = None
    ) -> optuna.trial.FrozenTrial:
        """Return a trial, none of the study's, that runs with these parameters by identity."""
        import optuna

        values, distributions = self._internal(params)
        state = optuna.trial.TrialState.RUNNING
        return optuna.trial.create_trial(
            state=state, params=values, distributions=distributions, system_attrs=dict(attrs or {})
        )

    def _end(self, event: TrialEnded) -> None:
        self.withdraw(event.trial)
        proposed = self._asked.pop(event.trial, {})
        attrs = self._attrs.pop(event.trial, {})
        used = self._used.pop(event.trial, None)
        curve = self._curves.pop(event.trial, {})
        outcome = event.outcome
        self._scale_by(outcome)
        if outcome.retryable:
            self._retryable[event.trial] = curve
        if used is not None:
            proposed = {identity(one): used.params[one.name] for one in map(parameter_from_json, used.specs)}
        if outcome.kind is OutcomeKind.FAILED:  # where it died before it could say what it used: all that was proposed
            failure = self._finished("PRUNED", proposed, attrs)
            failure.set_user_attr(FAILED, event.trial)
            self._failures.append(failure)
            self._tell_failures()
        elif used is not None and outcome.kind is OutcomeKind.INFEASIBLE and outcome.violations:
            self._failures.append(self._finished("PRUNED", proposed, attrs, outcome))
            self._tell_failures()
        elif used is not None and outcome.kind is OutcomeKind.COMPLETED:
            self._tell(self._finished("COMPLETE", proposed, attrs, outcome, curve))
        elif used is not None and outcome.kind is OutcomeKind.STOPPED and len(self._optuna.directions) > 1:
            self._tell(self._finished("COMPLETE", proposed, attrs, outcome))
        elif used is not None and outcome.kind is OutcomeKind.STOPPED and curve:
            self._tell(self._finished("PRUNED", proposed, attrs, outcome, curve))

    def _retry(self, event: TrialRetried) -> None:
        """Take a failure back, be it told already or not yet; the trial runs again."""
        self._curves[event.trial] = self._retryable.pop(event.trial)
        told = [one for one in self.trials() if one.user_attrs.get(FAILED) == event.trial]
        self._room += len(told)
        self._failures = [one for one in self._failures if one.user_attrs.get(FAILED) != event.trial]
        if told:
            self._rebuild(without=event.trial)
        self._proposed = None
        self._run(event.trial, event.params, {})
        self._tell_failures()

    def _scale_by(self, outcome: Outcome) -> None:
        """Let what earlier sweeps found stand for this one's values, anew each time that there are twice as many."""
        if outcome.value is None or not math.isfinite(outcome.value):
            return
        insort(self._scores, self._objective.score(outcome.value))
        if len(self._scores).bit_count() == 1:
            self._scale, self._stale = tuple(self._scores), True

    def _rebuild(self, without: int | None = None) -> None:
        """Make the study anew, since Optuna takes nothing back: first what earlier sweeps found, then this one's."""
        import optuna

        before = self.told
        self._optuna = optuna.create_study(directions=before.directions, sampler=before.sampler)
        several = len(before.directions) > 1  # ranks by one objective say nothing of the others
        past = [] if several else self._starting.history(self.space, self._scale)
        for params, score in past:
            found = Outcome(kind=OutcomeKind.COMPLETED, value=self._objective.score(score), epoch=1)
            prior = self._finished("COMPLETE", params, {}, found)
            prior.set_user_attr(PRIOR, True)
            self._optuna.add_trial(prior)
        places: dict[int, int] = {}
        for trial in before.get_trials(deepcopy=False):
            if PRIOR not in trial.user_attrs and (without is None or trial.user_attrs.get(FAILED) != without):
                places[trial.number] = len(past) + len(places)
                self._optuna.add_trial(trial)
        self._running = {number: places[place] for number, place in self._running.items()}
        self._stale = False

    def _finished(
        self,
        state: str,
        params: Mapping[str, Scalar],
        attrs: Mapping[str, Any],
        outcome: Outcome | None = None,
        curve: Mapping[int, float] | None = None,
    ) -> optuna.trial.FrozenTrial:
        import optuna

        values, distributions = self._internal(params)
        several = len(self._optuna.directions) > 1
        reached: list[float] = []
        if outcome is not None and outcome.value is not None:
            reached = list(outcome.values) if several else [outcome.value]
        broken = () if outcome is None else outcome.violations
        return optuna.trial.create_trial(
            state=optuna.trial.TrialState[state],
            values=reached if state == "COMPLETE" else None,
            params=values,
            distributions=distributions,
            system_attrs=dict(attrs),
            intermediate_values=dict(curve or {}),
            constraints=dict(zip(self._bounds, broken, strict=False)) or None,
        )

    def _tell(self, trial: optuna.trial.FrozenTrial) -> None:
        """Tell Optuna of a trial that has a value, and of failures, so few that none is among the best tenth."""
        self.told.add_trial(trial)
        self._room += FAILURES
        self._tell_failures()

    def _tell_failures(self) -> None:
        told, self._failures = self._failures[: self._room], self._failures[self._room :]
        self._room -= len(told)
        self.told.add_trials(told)
