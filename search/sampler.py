"""Proposals by Optuna, from the journal's history alone.

The study lives in memory and holds what the journal says: replaying the same entries builds the same study. Optuna
numbers its trials by itself, so a map keeps ours. A trial that runs is a RUNNING one with all that was proposed; when
it ends that one is withdrawn and a finished one with only what the model used takes its place. One that failed is a
PRUNED one without a value, which Optuna ranks below all that have one: a region that keeps failing is left. So is one
whose model broke a constraint before it was trained; it says by how much, as all do where there are constraints.

With several objectives Optuna learns nothing from PRUNED trials, whose values it does not look at. There a stopped trial
is told as COMPLETE, with its values where it was stopped: what stopped it is a trial that was better in every respect at
the same epoch and stays so, so that among complete ones it stands where it stood.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any, final

from ..spaces.constraints import Constraints
from ..spaces.known import Known
from ..spaces.parameter import Fixed, Parameter, identity, parameter_from_json
from ..spaces.trial import Outcome, OutcomeKind, Scalar
from ..trackers.events import Entry, ParametersUsed, Reported, RoundEnded, TrialAsked, TrialEnded
from .codec import decode, distribution, encode
from .objective import Objective

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("tpe", "random")
MODEL_TRIES = 20
"""So often a sampler that learns is asked for a proposal that keeps to the constraints."""
MENDING_TRIES = 500
RANDOM_TRIES = 2_000
FAILURES = 9
"""So many failed trials per trial with a value are told to TPE, which takes the best tenth of all for good."""
CANDIDATES = 24
"""So many candidates TPE draws from its model of good trials, to take the most promising one."""


def derived_seed(*parts: int | str) -> int:
    """Return a seed of 32 bits that is a function of the parts."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Parameters by identity, and what the sampler wrote about them; `refusal`: why they must not be trained with."""

    params: Mapping[str, Scalar]
    attrs: Mapping[str, Any]
    refusal: str = ""


@final
class OptunaSampler:
    """Proposes with a fresh Optuna sampler each time, seeded by (sweep seed, trial number, round).

    A proposal that breaks a constraint is drawn again: first by the sampler's model, from ever fewer candidates, since
    the most promising one of many is the same forbidden one each time, while one alone is a sample of the model; then
    only in what the broken clauses mention; at last at random. Random search is drawn at random alone, so that it
    stays uniform over what is allowed.
    """

    def __init__(
        self,
        *,
        sampler: str,
        seed: int,
        objective: Objective,
        space: Known,
        constraints: Constraints | None = None,
        further: Sequence[Objective] = (),
        bounds: Sequence[str] = (),
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space = space
        self._kind = sampler
        self._seed = seed
        self._objective = objective
        self._constraints = constraints or Constraints()
        self._keys: dict[str, str] = {}
        self._running: dict[int, int] = {}
        self._asked: dict[int, Mapping[str, Scalar]] = {}
        self._used: dict[int, ParametersUsed] = {}
        self._curves: dict[int, dict[int, float]] = {}
        self._proposed: tuple[int, int] | None = None
        self._failures: list[optuna.trial.FrozenTrial] = []
        self._room = 0
        self._bounds = tuple(bounds)
        up, down = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE
        directions = [up if one.direction == "max" else down for one in (objective, *further)]
        self._study: optuna.Study = optuna.create_study(directions=directions)

    def propose(self, number: int) -> Proposal:
        """Return parameters for a new trial."""
        return self._ask(number, 0, {})

    def extend(self, number: int, round: int, pinned: Mapping[str, Scalar]) -> Proposal:
        """Return parameters for a trial whose model asked for more, earlier values as they were."""
        self._withdraw(number)
        return self._ask(number, round, pinned)

    def learn(self, specs: list[Parameter]) -> None:
        """Take in parameters that a model was found to read."""
        self.space = self.space.learn(specs)

    def apply(self, entry: Entry) -> None:
        """Take in one journaled event, live or in a replay."""
        match entry.event:
            case TrialAsked() as event:
                self._asked[event.trial] = event.params
                if self._proposed != (event.trial, 0):
                    self._add_running(event.trial, event.params, event.attrs)
            case RoundEnded() as event:
                self.learn([parameter_from_json(spec) for spec in event.specs])
                self._asked[event.trial] = event.params
                if self._proposed != (event.trial, event.round + 1):
                    self._withdraw(event.trial)
                    self._add_running(event.trial, event.params, event.attrs)
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

    def refusal(self, values: Mapping[str, Scalar]) -> str:
        """Return why a trial that uses these values, by name, must not run; empty if it may."""
        return self._constraints.refusal({name: (value,) for name, value in values.items()})

    def unknown(self) -> dict[str, str]:
        """Return the names in `where` that no parameter known so far has, each with a hint at what may be meant."""
        known = [*self._constraints.constants, *(one.name for one in self.space.parameters.values())]
        return {name: hint for one in self._constraints.clauses for name, hint in one.unknown(known).items()}

    def _ask(self, number: int, round: int, pinned: Mapping[str, Scalar]) -> Proposal:
        proposal = self._draw(number, derived_seed(self._seed, number, round), pinned, CANDIDATES)
        for attempt in range(1, self._tries()):
            if not self._refused(proposal):
                break
            self._withdraw(number)
            seed = derived_seed(self._seed, number, round, attempt)
            proposal = self._draw(number, seed, pinned, max(1, CANDIDATES >> attempt))
        if self._refused(proposal):
            proposal = self._search(number, round, pinned, proposal)
        self._proposed = (number, round)
        return replace(proposal, refusal=self._refused(proposal))

    def _tries(self) -> int:
        return 1 if self._kind == "random" else MODEL_TRIES

    def _refused(self, proposal: Proposal) -> str:
        return self._constraints.refusal(self.space.named(proposal.params)) if self._constraints.clauses else ""

    def _search(self, number: int, round: int, pinned: Mapping[str, Scalar], refused: Proposal) -> Proposal:
        """Return a proposal that keeps to the constraints, or the refused one if none is found."""
        seed = derived_seed(self._seed, number, round, "where")
        random, found = Random(seed), None
        if self._kind != "random":
            found = self._constraints.mend(self.space, refused.params, pinned, random, MENDING_TRIES)
        if found is None:
            found = self._constraints.find(self.space, pinned, random, RANDOM_TRIES)
        if found is None:
            return refused
        self._withdraw(number)
        return self._draw(number, seed, found, 1)

    def _draw(self, number: int, seed: int, pinned: Mapping[str, Scalar], candidates: int) -> Proposal:
        """Ask Optuna once; it is told of pinned values, which are not its own."""
        self._study.sampler = self._fresh(seed, pinned, candidates)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self._study.ask()

            def draw(key: str, parameter: Parameter) -> Scalar:
                suggested = self._suggest(trial, key, parameter)
                return pinned.get(key, suggested)

            params = self.space.walk(draw)
        self._running[number] = trial.number
        attrs = self._study.get_trials(deepcopy=False)[trial.number].system_attrs
        return Proposal(params=params, attrs=dict(attrs))

    def _fresh(self, seed: int, pinned: Mapping[str, Scalar], candidates: int) -> optuna.samplers.BaseSampler:
        import optuna

        base: optuna.samplers.BaseSampler
        base = (
            optuna.samplers.RandomSampler(seed=seed)
            if self._kind == "random"
            else optuna.samplers.TPESampler(seed=seed, n_ei_candidates=candidates)
        )
        fixed = {
            self._key(key, self.space.parameters[key]): encode(self.space.parameters[key], value)
            for key, value in pinned.items()
            if key in self.space.parameters and not isinstance(self.space.parameters[key], Fixed)
        }
        if not fixed:
            return base
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return optuna.samplers.PartialFixedSampler(fixed, base)

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

    def _add_running(self, number: int, params: Mapping[str, Scalar], attrs: Mapping[str, Any]) -> None:
        import optuna

        values, distributions = self._internal(params)
        state = optuna.trial.TrialState.RUNNING
        self._running[number] = len(self._study.get_trials(deepcopy=False))
        self._study.add_trial(
            optuna.trial.create_trial(state=state, params=values, distributions=distributions, system_attrs=dict(attrs))
        )

    def _withdraw(self, number: int) -> None:
        import optuna

        asked = self._running.pop(number, None)
        if asked is not None:
            self._study.tell(asked, state=optuna.trial.TrialState.FAIL)

    def _end(self, event: TrialEnded) -> None:
        self._withdraw(event.trial)
        proposed = self._asked.pop(event.trial, {})
        used = self._used.pop(event.trial, None)
        curve = self._curves.pop(event.trial, {})
        outcome = event.outcome
        if used is not None:
            proposed = {identity(one): used.params[one.name] for one in map(parameter_from_json, used.specs)}
        if outcome.kind is OutcomeKind.FAILED:  # where it died before it could say what it used: all that was proposed
            self._failures.append(self._finished("PRUNED", proposed))
            self._tell_failures()
        elif used is not None and outcome.kind is OutcomeKind.INFEASIBLE and outcome.violations:
            self._failures.append(self._finished("PRUNED", proposed, outcome))
            self._tell_failures()
        elif used is not None and outcome.kind is OutcomeKind.COMPLETED:
            self._tell(self._finished("COMPLETE", proposed, outcome, curve))
        elif used is not None and outcome.kind is OutcomeKind.STOPPED and len(self._study.directions) > 1:
            self._tell(self._finished("COMPLETE", proposed, outcome))
        elif used is not None and outcome.kind is OutcomeKind.STOPPED and curve:
            self._tell(self._finished("PRUNED", proposed, outcome, curve))

    def _finished(
        self,
        state: str,
        params: Mapping[str, Scalar],
        outcome: Outcome | None = None,
        curve: Mapping[int, float] | None = None,
    ) -> optuna.trial.FrozenTrial:
        import optuna

        values, distributions = self._internal(params)
        several = len(self._study.directions) > 1
        reached: list[float] = []
        if outcome is not None and outcome.value is not None:
            reached = list(outcome.values) if several else [outcome.value]
        broken = () if outcome is None else outcome.violations
        return optuna.trial.create_trial(
            state=optuna.trial.TrialState[state],
            values=reached if state == "COMPLETE" else None,
            params=values,
            distributions=distributions,
            intermediate_values={} if several else dict(curve or {}),
            constraints=dict(zip(self._bounds, broken, strict=False)) or None,
        )

    def _tell(self, trial: optuna.trial.FrozenTrial) -> None:
        """Tell Optuna of a trial that has a value, and of failures, so few that none is among the best tenth."""
        self._study.add_trial(trial)
        self._room += FAILURES
        self._tell_failures()

    def _tell_failures(self) -> None:
        told, self._failures = self._failures[: self._room], self._failures[self._room :]
        self._room -= len(told)
        self._study.add_trials(told)
