"""Tests of `kerasweep.search.pruner_rule`: Optuna's pruners decide as they do in a study of Optuna's own."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from kerasweep.search.core import step
from kerasweep.search.decisions import End
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.outcomes import completed
from kerasweep.search.pruner_rule import PrunerRule
from kerasweep.search.state import Rules, State
from kerasweep.search.stop import AnyOf, Rungs, StopRule
from kerasweep.search.stop_form import stop_forms
from kerasweep.search.stop_rules import in_words, rule_of
from kerasweep.spaces.trial import Report
from kerasweep.spaces.yaml_form import BadForm
from kerasweep.trackers.events import AttemptStarted, Reported, TrialAsked, TrialEnded

from ..contracts.stop_rules import StopRuleContract, standing

EPOCHS = 9
MEDIAN = "optuna.pruners:MedianPruner"
FORMS: Mapping[str, Mapping[str, Any]] = {
    "Median": {"n_startup_trials": 2},
    "Percentile": {"percentile": 40.0, "n_startup_trials": 1, "n_warmup_steps": 2},
    "SuccessiveHalving": {"reduction_factor": 2},
    "Hyperband": {"reduction_factor": 2},
    "Threshold": {"lower": -1e7},
    "Patient": {"patience": 1, "wrapped_pruner": {"name": MEDIAN, "n_startup_trials": 1}},
    "Wilcoxon": {"p_threshold": 0.3},
}


@cache
def rule_named(name: str, direction: Direction = Direction.MAX) -> StopRule:
    """Return the rule of a pruner, made as a sweep file has it made."""
    form = {"rule": f"optuna.pruners:{name}Pruner", **FORMS[name]}
    return rule_of(stop_forms(form, max_epochs=EPOCHS, trials=30), Objective(metric="acc", direction=direction))


class PrunerContract(StopRuleContract):
    """Of one pruner; the rule is kept, so that its study is told most things once."""

    name: str

    def rule(self) -> StopRule:
        """Return the rule under test."""
        return rule_named(self.name)


class TestMedian(PrunerContract):
    """Against completed trials."""

    name = "Median"


class TestPercentile(PrunerContract):
    """Against completed trials, with a warm-up."""

    name = "Percentile"


class TestSuccessiveHalving(PrunerContract):
    """Which writes to the study's trials."""

    name = "SuccessiveHalving"


class TestHyperband(PrunerContract):
    """Which makes studies of its own."""

    name = "Hyperband"


class TestThreshold(PrunerContract):
    """On a trial alone."""

    name = "Threshold"


class TestPatient(PrunerContract):
    """Around another one."""

    name = "Patient"


class TestWilcoxon(PrunerContract):
    """Against the best trial."""

    name = "Wilcoxon"


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("name", FORMS)
def test_a_sweep_stops_the_trials_that_optuna_would(name: str, direction: Direction) -> None:
    """Three at a time in any order, 30 of them: at each epoch the answer of a study that was told the same."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    objective = Objective(metric="acc", direction=direction)
    state = State(rules=Rules(objective=objective, max_epochs=EPOCHS, stop=rule_named(name, direction)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pruner = _pruner(name)
    study = optuna.create_study(
        study_name="sweep",  # of which Hyperband makes its brackets
        direction="maximize" if direction is Direction.MAX else "minimize",
        pruner=pruner,
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    chance, running, stopped = random.Random(3), dict[int, tuple[optuna.Trial, int, float]](), 0
    asked = 0
    while asked < 30 or running:
        while asked < 30 and len(running) < 3:
            for event in (
                TrialAsked(trial=asked, seed=0, params={}, history_seq=0),
                AttemptStarted(trial=asked, attempt=1),
            ):
                state, _ = step(state, event)
            running[asked] = study.ask(), 0, chance.random()
            asked += 1
        number = chance.choice(sorted(running))
        trial, epoch, level = running[number]
        epoch += 1
        value = level + 0.1 * chance.random() + 0.02 * epoch - 2e7 * (name == "Threshold" and number == 4)
        report = Report(epoch=epoch, metrics={"acc": value})
        state, commands = step(state, Reported(trial=number, attempt=1, report=report))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial.report(value, epoch)
            pruned = epoch < EPOCHS and trial.should_prune()
        assert bool(commands) == pruned
        running[number] = trial, epoch, level
        if commands:
            (end,) = commands
            assert isinstance(end, End)
            assert end.outcome.reason == f"{name}Pruner: acc was {value:.4g} at epoch {epoch}"
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            stopped += 1
        elif epoch == EPOCHS:
            end = End(number, completed(state, number))
            study.tell(trial, end.outcome.value)
        else:
            continue
        state, _ = step(state, TrialEnded(trial=number, attempt=1, outcome=end.outcome))
        del running[number]
    assert stopped > 0


def _pruner(name: str) -> Any:
    import optuna

    arguments = dict(FORMS[name])
    if "wrapped_pruner" in arguments:
        arguments["wrapped_pruner"] = optuna.pruners.MedianPruner(n_startup_trials=1)
    arguments |= {"Hyperband": {"max_resource": EPOCHS}, "SuccessiveHalving": {"min_resource": 1}}.get(name, {})
    return getattr(optuna.pruners, f"{name}Pruner")(**arguments)


def test_a_rule_that_has_seen_nothing_answers_as_one_that_has_seen_it_all() -> None:
    """What it goes by is in the rungs: a fresh rule is told their account, and decides alike."""
    rungs, rule = Rungs(), rule_named("SuccessiveHalving")
    for number in range(12):
        for epoch in (1, 2, 3):
            curve = [float((7 * number + step) % 5) for step in range(epoch)]
            asked = standing(number, curve, EPOCHS)
            fresh = PrunerRule(
                name="optuna.pruners:SuccessiveHalvingPruner",
                arguments={"min_resource": 1, "reduction_factor": 2},
                objective=Objective(metric="acc", direction=Direction.MAX),
            )
            answers = [one.decide(rungs, asked) for one in (rule, fresh)]
            assert answers[0] == answers[1]
            rungs, why = answers[0]
            if why:
                break


def test_a_pruner_stands_beside_other_rules() -> None:
    """In a list; the plan says it in one line, and a length that it would wait for is given."""
    forms = stop_forms([{"rule": "optuna.pruners:HyperbandPruner"}, "patience"], max_epochs=27, trials=30)
    assert isinstance(rule_of(forms, Objective(metric="acc", direction=Direction.MAX)), AnyOf)
    assert in_words(forms) == "optuna.pruners:HyperbandPruner (max_resource 27), patience (epochs 10)"


@pytest.mark.parametrize(
    ("form", "path", "words"),
    [
        ("optuna.pruners:MedainPruner", (), "optuna.pruners has no 'MedainPruner' (did you mean 'MedianPruner'?)"),
        ("optuna.pruner:MedianPruner", (), "no module 'optuna.pruner' (did you mean 'optuna.pruners'?)"),
        (
            "optuna.samplers:TPESampler",
            (),
            "something else; expected `module:Class` of an installed class derived from",
        ),
        ("optuna.pruners:BasePruner", (), "'optuna.pruners:BasePruner' is something else"),
        ("optuna.pruners:PercentilePruner", (), "PercentilePruner needs 'percentile'"),
        (
            {"rule": MEDIAN, "n_start": 3},
            ("n_start",),
            "'n_start' is no argument of MedianPruner; expected one of n_st",
        ),
        ({"rule": MEDIAN, "n_startup_trial": 3}, ("n_startup_trial",), "(did you mean 'n_startup_trials'?)"),
        ({"rule": MEDIAN, "n_startup_trials": "3"}, ("n_startup_trials",), "is '3'; expected a whole number"),
        ({"rule": MEDIAN, "n_startup_trials": 2.5}, ("n_startup_trials",), "is 2.5; expected a whole number"),
        ({"rule": MEDIAN, "n_startup_trials": True}, ("n_startup_trials",), "is true; expected a whole number"),
        (
            {"rule": "optuna.pruners:HyperbandPruner", "reduction_factor": 1},
            (),
            "HyperbandPruner cannot work with its arguments: float division by zero",
        ),
        ({"rule": MEDIAN, "n_startup_trials": -1}, (), "MedianPruner refuses its arguments: Number of startup trials"),
        (
            {"rule": "optuna.pruners:PatientPruner", "patience": 2, "wrapped_pruner": "median"},
            ("wrapped_pruner",),
            'expected an object, as `{name: "module:Class", …}`',
        ),
        (
            {"rule": "optuna.pruners:PatientPruner", "patience": 2, "wrapped_pruner": {"name": MEDIAN, "n": 3}},
            ("wrapped_pruner",),
            "'wrapped_pruner' of PatientPruner: 'n' is no argument of MedianPruner",
        ),
        (
            {"rule": "optuna.pruners:PatientPruner", "patience": 2, "wrapped_pruner": {"name": "subprocess:Popen"}},
            ("wrapped_pruner",),
            "'wrapped_pruner' of PatientPruner is 'subprocess:Popen'; expected a class of optuna",
        ),
    ],
)
def test_a_pruner_that_does_not_fit_is_refused_at_once(form: Any, path: tuple[str, ...], words: str) -> None:
    """One line, which says what was expected, and where it stands."""
    with pytest.raises(BadForm) as caught:
        stop_forms(form, max_epochs=9, trials=10)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.path == ("search", "stop", *path)
