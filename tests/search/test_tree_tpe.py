"""Tests of `kerasweep.search.tree_tpe`: what makes a branch's model, what goes together, what is left."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from kerasweep.search.tpe_history import History
from kerasweep.search.tree_tpe import TreeModel, thinned, tree_tpe

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

Objective = Callable[["optuna.Trial"], float]


def study_of(*, directions: Sequence[Literal["minimize", "maximize"]] = ("minimize",)) -> optuna.Study:
    """Return an empty study that says nothing."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(directions=list(directions), sampler=optuna.samplers.RandomSampler(seed=0))


def after(objective: Objective, trials: int) -> optuna.Study:
    """Return a study after random trials."""
    study = study_of()
    study.optimize(objective, n_trials=trials)
    return study


def ask(
    study: optuna.Study, objective: Objective, seed: int, fixed: Mapping[str, Any] | None = None, candidates: int = 24
) -> dict[str, Any]:
    """Return what a fresh sampler proposes, some values given; the study stays as it was."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.sampler = optuna.samplers.PartialFixedSampler(dict(fixed or {}), tree_tpe(seed, candidates=candidates))
    trial = study.ask()
    objective(trial)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return trial.params


def two_branches(trial: optuna.Trial) -> float:
    """The one branch is better than the other wherever in it; each has its own best place."""
    arch = trial.suggest_categorical("arch", ["good", "bad"])
    x = trial.suggest_float(f"{arch}/x", 0, 1)
    return abs(x - 0.2) if arch == "good" else 10 + abs(x - 0.8)


def test_a_branch_is_modelled_by_its_own_best_trials() -> None:
    """Also where none of them is among the best of all, so that what is known of a branch is never forgotten."""
    study = after(two_branches, 60)
    bad = [ask(study, two_branches, seed, {"arch": "bad"})["bad/x"] for seed in range(20)]
    good = [ask(study, two_branches, seed, {"arch": "good"})["good/x"] for seed in range(20)]
    assert sum(abs(x - 0.8) < 0.2 for x in bad) >= 17
    assert sum(abs(x - 0.2) < 0.2 for x in good) >= 17


def test_what_happens_in_one_branch_changes_nothing_in_another() -> None:
    """Trials that lack a branch have no part in its model: the proposals are the same to the last bit."""
    short, long = after(two_branches, 40), after(two_branches, 40)
    for trial in short.trials:
        if trial.params["arch"] == "good":
            long.add_trial(trial)
    assert len(long.trials) > 50
    for seed in range(5):
        assert ask(short, two_branches, seed, {"arch": "bad"}) == ask(long, two_branches, seed, {"arch": "bad"})


def test_what_goes_together_over_root_and_branch_is_kept() -> None:
    """A branch's parameter that has to follow one at the root is proposed where that one is."""

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("rate", 0, 1)
        optimizer = trial.suggest_categorical("optimizer", ["sgd", "adam"])
        return abs(trial.suggest_float(f"{optimizer}/momentum", 0, 1) - rate)

    study = after(objective, 150)
    for rate in (0.1, 0.9):
        proposals = [ask(study, objective, seed, {"rate": rate, "optimizer": "sgd"}) for seed in range(20)]
        assert sum(abs(one["sgd/momentum"] - rate) < 0.35 for one in proposals) >= 15  # of 20; at random, 9 would be


def test_the_branch_is_drawn_together_with_the_root() -> None:
    """Where either branch is good only for its own half of a root parameter, the two are proposed together."""

    def objective(trial: optuna.Trial) -> float:
        rate, arch = trial.suggest_float("rate", 0, 1), trial.suggest_categorical("arch", ["low", "high"])
        return abs(rate - (0.2 if arch == "low" else 0.8))

    study = after(objective, 80)
    proposals = [ask(study, objective, seed, candidates=1) for seed in range(30)]  # draws from the model, not its best
    assert {one["arch"] for one in proposals} == {"low", "high"}
    assert sum((one["rate"] < 0.5) == (one["arch"] == "low") for one in proposals) >= 23  # of 30; apart, 15 would be


def test_nested_branches_and_layers_are_proposed_from() -> None:
    """As deep as it goes, with integers, steps and logarithms, Optuna takes every value."""

    def objective(trial: optuna.Trial) -> float:
        value = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
        for layer in range(trial.suggest_int("layers", 1, 4)):
            value += trial.suggest_int(f"{layer}/units", 8, 512, log=True) / 512
            if trial.suggest_categorical(f"{layer}/kind", ["dense", "conv"]) == "conv":
                value += trial.suggest_float(f"{layer}/drop", 0.1, 0.7, step=0.2) + trial.suggest_int(
                    f"{layer}/k", 1, 7, step=2
                )
        return value

    study = study_of()
    study.sampler = tree_tpe(0)
    study.optimize(objective, n_trials=60)
    values = [one.value for one in study.trials if one.value is not None]
    assert min(values) < 0.3
    assert np.median(values[40:]) < np.median(values[:10])


def test_before_ten_trials_there_is_no_model() -> None:
    """Their values change nothing; after ten they do."""
    for trials, alike in ((9, True), (10, False)):
        up, down = (after(lambda trial, sign=sign: sign * trial.suggest_float("x", 0, 1), trials) for sign in (1, -1))
        mine, other = (
            [ask(study, lambda trial: trial.suggest_float("x", 0, 1), seed) for seed in range(3)]
            for study in (up, down)
        )
        assert (mine == other) == alike


def test_running_trials_are_kept_away_from() -> None:
    """Those that run where the values are best send the next elsewhere."""
    import optuna

    def objective(trial: optuna.Trial) -> float:
        return abs(trial.suggest_float("x", 0, 1) - 0.5)

    study = after(objective, 40)
    before = [ask(study, objective, seed)["x"] for seed in range(20)]
    x = optuna.distributions.FloatDistribution(0, 1)
    for at in np.linspace(0.45, 0.55, 10):
        running = optuna.trial.TrialState.RUNNING
        study.add_trial(optuna.trial.create_trial(state=running, params={"x": float(at)}, distributions={"x": x}))
    since = [ask(study, objective, seed)["x"] for seed in range(20)]
    assert np.mean(np.abs(np.array(since) - 0.5)) > 1.5 * np.mean(np.abs(np.array(before) - 0.5))


def test_infeasible_regions_are_left() -> None:
    """Where the better values break a constraint, it proposes what keeps to it."""
    import optuna

    x = optuna.distributions.FloatDistribution(0, 1)
    study, draw = study_of(), random.Random(0)
    for _ in range(60):
        at = draw.random()
        study.add_trial(
            optuna.trial.create_trial(params={"x": at}, distributions={"x": x}, value=-at, constraints={"c": at - 0.5})
        )
    proposals = [ask(study, lambda trial: trial.suggest_float("x", 0, 1), seed)["x"] for seed in range(20)]
    assert sum(0.25 < one < 0.55 for one in proposals) >= 16


def test_several_objectives_are_followed_to_their_front() -> None:
    """The front of x^2 and (x - 1)^2 lies between 0 and 1."""
    study = study_of(directions=["minimize", "minimize"])
    study.optimize(lambda trial: ((x := trial.suggest_float("x", -4, 5)) ** 2, (x - 1) ** 2), n_trials=60)
    proposals = [ask(study, lambda trial: trial.suggest_float("x", -4, 5), seed)["x"] for seed in range(20)]
    assert sum(-0.5 < one < 1.5 for one in proposals) >= 16  # of 20; at random, 4 would be


def test_a_range_that_was_changed_is_kept_to() -> None:
    """What lies outside of it is not learned from."""
    study = after(lambda trial: trial.suggest_float("x", 0, 1), 30)
    for seed in range(10):
        assert 0.5 <= ask(study, lambda trial: trial.suggest_float("x", 0.5, 2), seed)["x"] <= 2


def test_a_proposal_is_a_function_of_history_and_seed() -> None:
    """Whether the history was read at once or step by step, and whoever read it; another seed, another proposal."""
    study = after(two_branches, 30)
    history = History()
    shared = [ask(study, two_branches, seed) for seed in range(4)]
    step = study_of()
    found: list[dict[str, Any]] = []
    for number, trial in enumerate(study.trials[:30]):
        step.add_trial(trial)
        if number % 7 == 0:
            history.read(step)
    for seed in range(4):
        step.sampler = tree_tpe(seed, history=history)
        trial = step.ask()
        two_branches(trial)
        step.tell(trial, state=trial_state("FAIL"))
        found.append(trial.params)
    assert found == shared
    assert len({str(one) for one in found}) == 4


def trial_state(name: str) -> optuna.trial.TrialState:
    """Return a state by its name."""
    import optuna

    return optuna.trial.TrialState[name]


@pytest.mark.parametrize("count", [0, 1, 24, 25, 26, 60])
def test_weights_are_those_of_optuna(count: int) -> None:
    """The newest 25 weigh the same, older ones less."""
    from optuna.samplers._tpe.sampler import default_weights

    rows, weights = thinned(np.arange(count), 250)
    assert rows.tolist() == list(range(count))
    assert weights == pytest.approx(default_weights(count))


def test_a_bounded_model_keeps_most_of_what_is_new() -> None:
    """Of 10,000 trials 250 are left, each once, the older the sparser."""
    rows, weights = thinned(np.arange(10_000), 250)
    assert len(set(rows.tolist())) == len(rows) == len(weights) == 250
    assert (rows >= 5_000).sum() == pytest.approx(187, abs=3)  # three quarters of the weight
    assert weights.tolist() == [1.0] * 250


def test_the_candidates_differ_in_number() -> None:
    """A single candidate is a draw from the model of good trials; of many the most promising is taken."""
    study = after(lambda trial: abs(trial.suggest_float("x", 0, 1) - 0.5), 60)
    distribution = study.trials[0].distributions["x"]
    trial: FrozenTrial = study.ask()  # pyright: ignore[reportAssignmentType]
    spread: list[float] = []
    for candidates in (1, 100):
        draws: list[float] = []
        for seed in range(40):
            model = TreeModel(seed, candidates=candidates)
            model.history.read(study)
            draws.append(model.draw("x", distribution, study.get_trials()[trial.number])["x"])
        spread.append(float(np.std(draws)))
    assert spread[1] < 0.7 * spread[0]
