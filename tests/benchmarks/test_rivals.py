"""The rivals of the benchmark that import Ray and Keras: they do what their own tuners have them do."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contest.clock import Trace, drive
from contest.rivals import RIVALS
from contest.task import Params
from contest.worth import worth
from threadpoolctl import threadpool_limits

from .bowls import Bowl, Pair, Watched

THEIR_WARNINGS = pytest.mark.filterwarnings(
    "ignore:(currentThread|getName)\\(\\) is deprecated:DeprecationWarning",
    "ignore::sklearn.exceptions.ConvergenceWarning",
)
pytestmark = [pytest.mark.real, THEIR_WARNINGS]
Proposal = tuple[Params, int, int]
"""Parameters, the epochs that are done, the epochs to come to."""
DIMENSIONS = 5


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A Gaussian process of twenty points gains nothing from more."""
    with threadpool_limits(1):
        yield


def as_its_tuner_has_it(kind: str, folder: Path, trials: int) -> list[Proposal]:
    """Return what KerasTuner's own tuner proposes in its own `search`, on the bowl, written down in its own words."""
    import keras
    import keras_tuner

    task, found = Bowl(), list[Proposal]()
    hps: Any = keras_tuner.HyperParameters()
    hps.Float("x", 0.0, 1.0)
    hps.Choice("kind", ["wide", "deep"])
    with hps.conditional_scope("kind", ["wide"]):
        hps.Int("kind/wide/width", 8, 64, sampling="log")
    with hps.conditional_scope("kind", ["deep"]):
        hps.Int("kind/deep/layers", 1, 4)
        hps.Boolean("kind/deep/skip")

    def run_trial(self: Any, trial: Any, *args: Any, **kwargs: Any) -> Any:
        own = trial.hyperparameters
        params = {one.name: own.get(one.name) for one in own.space if own.is_active(one)}
        params["x"] = float(params["x"])  # it may be NumPy's
        since, until = own.values.get("tuner/initial_epoch", 0), own.values.get("tuner/epochs", task.epochs)
        found.append((params, since, until))
        losses = [loss for (loss,), _ in task.run(params, 0)]
        losses += [math.nan] * (task.epochs - len(losses))
        history = keras.callbacks.History()
        history.history = {"loss": losses[since:until]}
        return history

    base: Any = keras_tuner.BayesianOptimization if kind == "bayesian" else keras_tuner.Hyperband
    limits = {"max_trials": trials} if kind == "bayesian" else {"max_epochs": task.epochs, "factor": 3}
    tuner = type("Own", (base,), {"run_trial": run_trial})(
        objective=keras_tuner.Objective("loss", "min"),
        hyperparameters=hps,
        seed=1,
        directory=str(folder),
        project_name="own",
        max_consecutive_failed_trials=100,
        **limits,
    )
    tuner.search(verbose=0)
    return found


def driven(kind: str, task: Bowl, *, workers: int, limit_s: float) -> tuple[list[Proposal], Trace]:
    """Return what the same oracle proposes when the clock asks and tells it."""
    search = Watched(RIVALS[f"kerastuner-{kind}"](task, 0))
    trace = drive(search, task, workers=workers, limit_s=limit_s, seed=0)
    return [(one.params, one.since, one.until) for one in search.given], trace


def test_the_bayesian_oracle_proposes_what_it_proposes_to_its_tuner(tmp_path: Path) -> None:
    """Random points first, three a dimension that did not fail; then the Gaussian process's, over a conditional space."""
    own = as_its_tuner_has_it("bayesian", tmp_path, 3 * DIMENSIONS + 6)
    found, _ = driven("bayesian", Bowl(), workers=1, limit_s=9.0 * len(own))
    assert found[: len(own)] == own
    assert {params["kind"] for params, _, _ in own} == {"wide", "deep"}


def test_the_hyperband_oracle_proposes_what_it_proposes_to_its_tuner(tmp_path: Path) -> None:
    """The same trials in the same order, of which those that are promoted go on from where they were."""
    own = as_its_tuner_has_it("hyperband", tmp_path, 0)
    found, _ = driven("hyperband", Bowl(), workers=1, limit_s=200.0)
    assert len(own) >= 20
    assert found[: len(own)] == own


def test_hyperband_promotes_along_its_brackets_and_pays_new_epochs_alone() -> None:
    """Nine of one epoch, the best three go on to three, the best of them to nine; then five and two; then three whole."""
    task = Bowl(calm=True)
    found, trace = driven("hyperband", task, workers=1, limit_s=83.0)
    bracket = found[:23]
    assert Counter((since, until) for _, since, until in bracket) == {
        (0, 1): 9,
        (1, 3): 3,
        (3, 9): 3,
        (0, 3): 5,
        (0, 9): 3,
    }
    paid = sum(until - since for _, since, until in bracket)
    assert paid == 75
    assert [one.at_s for one in trace.seen] == list(range(1, 84))
    first = sorted(task.truth(params, 1) for params, _, _ in bracket[:9])
    assert sorted(task.truth(params, 1) for params, since, _ in bracket if since == 1) == first[:3]
    assert Counter(one.epoch for one in trace.seen[:paid]) == {1: 17, 2: 11, 3: 11, **dict.fromkeys(range(4, 10), 6)}


@pytest.mark.parametrize("kind", ["bayesian", "hyperband"])
def test_no_worker_waits_for_an_oracle_of_keras_tuner(kind: str) -> None:
    """Two workers train all the time, while what the other runs is not known yet."""
    found, trace = driven(kind, Bowl(calm=True), workers=2, limit_s=73.0)
    assert len(trace.seen) == 2 * 73
    assert len(found) > 3 * DIMENSIONS


def test_ray_s_searcher_learns_from_two_objectives_without_a_scheduler() -> None:
    """It finds more of the front than random search, and every trial comes to its end."""
    task = Pair()
    found = drive(RIVALS["glue"](task, 1), task, workers=1, limit_s=80.0, seed=1)
    drawn = drive(RIVALS["random"](task, 1), task, workers=1, limit_s=80.0, seed=1)
    assert len(found.seen) == 80
    assert worth(task, found.seen) - task.best < 0.7 * (worth(task, drawn.seen) - task.best)


def test_ray_s_scheduler_stops_at_its_rungs() -> None:
    """With one objective ASHA's first rung is the first epoch, and its next ones are three times as far."""
    trace = drive(RIVALS["glue-3"](Bowl(calm=True), 1), Bowl(calm=True), workers=2, limit_s=90.0, seed=1)
    last: dict[tuple[Any, ...], int] = {}
    for one in trace.seen:
        last[tuple(one.params.values())] = one.epoch
    ends = Counter(last.values())
    assert ends[1] > ends[3] > 0
    assert ends[9] > 0
    assert {1, 3, 9} <= ends.keys()
    assert sum(count for epoch, count in ends.items() if epoch not in (1, 3, 9)) <= 2
