"""Tests of `kerasweep.search.tpe_history`: ranked as Optuna ranks, read once, grouped by what goes together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasweep.search.tpe_history import History, contenders, foremost

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from kerasweep.search.parzen import Array


def study_of(trials: Sequence[FrozenTrial], direction: Literal["minimize", "maximize"] = "minimize") -> optuna.Study:
    """Return a study that holds these."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction=direction)
    study.add_trials(trials)
    return study


def trial_of(
    value: float | None = None, *, state: str = "COMPLETE", names: Sequence[str] = ("x",), **more: Any
) -> FrozenTrial:
    """Return a trial with some parameters."""
    import optuna

    one = optuna.distributions.FloatDistribution(0, 1)
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState[state],
        value=value,
        params=dict.fromkeys(names, (value or 0.5) % 1),
        distributions=dict.fromkeys(names, one),
        **more,
    )


def random_trial(draw: random.Random) -> FrozenTrial:
    """Return a trial that may have ended in any way but before it said anything; few values, so that some are alike."""
    state = draw.choice(["COMPLETE", "COMPLETE", "PRUNED", "FAIL"])
    value = draw.randrange(5) / 4 if state == "COMPLETE" else None
    curve = {step: draw.choice([0.1, 0.5, float("nan")]) for step in range(draw.randrange(4))}
    known = draw.random() < 0.5 or (state == "PRUNED" and not curve)
    constraints = {"c": draw.choice([-1.0, 0.0, 0.0, 0.0, 1.0, 2.0])} if known else None
    return trial_of(value, state=state, intermediate_values=curve, constraints=constraints)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("seed", range(4))
def test_the_good_trials_are_those_of_optuna(direction: Literal["minimize", "maximize"], seed: int) -> None:
    """Whatever there is of completed, stopped, failed and infeasible ones, and however many are wanted."""
    from optuna.samplers._tpe.sampler import _split_trials  # pyright: ignore[reportPrivateUsage]

    draw = random.Random(seed)
    study = study_of([random_trial(draw) for _ in range(60)], direction)
    history = History()
    history.read(study)
    told = [one for one in study.trials if one.state.name in ("COMPLETE", "PRUNED")]
    for count in (1, 5, 20, 40, len(told)):
        good, bad = history.split(history.ranked, count)
        below, above = _split_trials(study, told, count)
        for rows, theirs in ((good, below), (bad, above)):
            assert [told[row].number for row in history.by_number(rows)] == [one.number for one in theirs]


def test_one_that_failed_is_worse_than_one_that_broke_a_constraint() -> None:
    """Else the search would go where trials fail as long as none is feasible; Optuna's is not shown failures."""
    trials = [
        trial_of(state="PRUNED"),
        trial_of(0.3, constraints={"c": 5.0}),
        trial_of(state="PRUNED", constraints={"c": 0.0}),
        trial_of(0.2, constraints={"c": 1.0}),
        trial_of(0.9, constraints={"c": 0.0}),
    ]
    history = History()
    history.read(study_of(trials))
    assert history.ranked.tolist() == [4, 2, 3, 1, 0]


def test_a_trial_is_read_once() -> None:
    """What a proposal costs does not grow with the trials that have finished."""

    class Counting(list["FrozenTrial"]):
        reads = 0

        def __getitem__(self, index: Any) -> Any:
            Counting.reads += 1
            return cast(Any, super()).__getitem__(index)

    class Fake:
        directions = study_of([]).directions
        trials: list[FrozenTrial] = Counting(trial_of(number / 100) for number in range(100))

        def get_trials(self, deepcopy: bool) -> list[FrozenTrial]:
            return self.trials

    study, history = cast(Any, Fake()), History()
    history.read(study)
    Counting.reads = 0
    history.read(study)
    assert Counting.reads == 0
    study.trials.append(trial_of(0.3))
    history.read(study)
    assert 0 < Counting.reads <= 4
    assert len(history.ranked) == 101


def test_a_trial_that_runs_is_taken_in_when_it_ends() -> None:
    """Not before, and as one that runs meanwhile."""
    study, history = study_of([trial_of(0.5)]), History()
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    history.read(study)
    assert ([one.number for one in history.running], len(history.ranked)) == ([1], 1)
    study.tell(trial, 0.1)
    history.read(study)
    assert (history.running, history.ranked.tolist()) == ([], [1, 0])


def test_companions_are_active_in_the_very_same_trials() -> None:
    """The root, each branch and each layer; a trial that failed need not have said what it used."""
    trials = [
        trial_of(0.1, names=["arch", "rate", "cnn/filters", "cnn/kernel"]),
        trial_of(0.2, names=["arch", "rate", "mlp/units"]),
        trial_of(0.3, names=["rate", "arch", "cnn/kernel", "cnn/filters"]),
        trial_of(state="PRUNED", names=["arch", "rate", "cnn/kernel", "mlp/units"]),
    ]
    history = History()
    history.read(study_of(trials))
    assert history.companions("arch") == ["rate"]
    assert history.companions("cnn/kernel") == ["cnn/filters"]
    assert history.companions("mlp/units") == []
    assert history.companions("new") == []


def test_what_a_trial_lacks_is_no_number() -> None:
    """Over more trials and parameters than there was room for at first."""
    names = [f"p{number}" for number in range(20)]
    trials = [trial_of((number + 1) / 256, names=names[: 1 + number % 20]) for number in range(200)]
    history = History()
    history.read(study_of(trials))
    assert history.ranked.tolist() == list(range(200))
    last = history.column("p19", history.ranked)
    assert np.isfinite(last).sum() == 10
    assert last[19] == 20 / 256
    assert np.isnan(history.column("new", history.ranked)).all()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=25), st.data())
def test_the_foremost_points_are_dominated_by_none_that_is_left(points: list[tuple[int, int, int]], data: Any) -> None:
    """As many as were asked for, each once."""
    losses: Array = np.array(points, dtype=np.float64)
    count = data.draw(st.integers(0, len(points)))
    chosen = foremost(losses, count)
    assert len(set(chosen.tolist())) == len(chosen) == count
    left = np.delete(losses, chosen, axis=0)
    for one in losses[chosen]:
        assert not ((left <= one).all(axis=1) & (left < one).any(axis=1)).any()


@pytest.mark.parametrize("spread", [3, 1000])
def test_few_points_are_sorted_into_fronts_and_none_that_would_be_chosen_is_left_out(spread: int) -> None:
    """Of many points, with ties and without; as if all had been sorted."""
    random = np.random.default_rng(spread)
    losses: Array = random.integers(0, spread, (400, 2)).astype(np.float64)
    few = contenders(losses, 20)
    assert len(few) < 300
    best = foremost(losses, 20)
    assert set(best.tolist()) <= set(few.tolist())
    beaten = ((losses[:, None] <= losses).all(axis=2) & (losses[:, None] < losses).any(axis=2)).sum(axis=0)
    assert set(np.flatnonzero(beaten == 0).tolist()) <= set(few.tolist())
    assert beaten[best].max() < 20


def test_of_the_last_front_those_with_room_are_taken() -> None:
    """Its ends first, then what is far from its neighbours."""
    losses = np.array([[0.0, 1.0], [0.1, 0.9], [0.12, 0.88], [0.6, 0.4], [1.0, 0.0], [2.0, 2.0]])
    assert sorted(foremost(losses, 3).tolist()) == [0, 3, 4]
