"""Compare Kerasweep's `tpe` and `gp` with Optuna's TPE on conditional spaces at equal numbers of trials.

    python benchmarks/conditional.py                           # held-out spaces, 20 seeds, 100 trials: 15 minutes
    python benchmarks/conditional.py --spaces flat --seeds 5   # spaces without conditions, a quick look

Every cell (space, sampler, seed) is kept in `--cache`, one line each, so that a run goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, final

import numpy as np
import optuna
from conditional_spaces import DEVELOPMENT, FLAT_DEVELOPMENT, FLAT_HELD_OUT, HELD_OUT, Space
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from kerasweep.search.gp import Gp
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.sampler import Ask, derived_seed
from kerasweep.search.study import Study
from kerasweep.search.tree_tpe import tree_tpe
from kerasweep.spaces.known import Declared, Known
from kerasweep.spaces.parameter import Choice, Number, Sampling
from kerasweep.spaces.prior import draw

SPACES: Mapping[str, Sequence[Space]] = {
    "held-out": HELD_OUT,
    "flat": FLAT_HELD_OUT,
    "development": DEVELOPMENT,
    "flat-development": FLAT_DEVELOPMENT,
}
OURS = ("tpe", "gp")
SAMPLERS = (*OURS, "default", "multivariate", "group", "univariate", "random")
CHECKPOINTS = (50, 100, 200)
SMALLEST = 1e-6
"""A regret below this counts as this, so that its logarithm means something."""


def sampler(kind: str, seed: int) -> BaseSampler:
    """Return a fresh sampler; Optuna 5's default is `multivariate=True` where there is one objective."""
    match kind:
        case "tpe":
            return tree_tpe(seed)
        case "gp":
            return AsOptuna(seed)
        case "default":
            return TPESampler(seed=seed)
        case "multivariate":
            return TPESampler(seed=seed, multivariate=True)
        case "group":
            return TPESampler(seed=seed, multivariate=True, group=True)
        case "univariate":
            return TPESampler(seed=seed, multivariate=False)
        case "random":
            return RandomSampler(seed=seed)
        case other:
            raise ValueError(f"unknown sampler {other!r}; expected one of {', '.join(SAMPLERS)}")


class AsOptuna(BaseSampler):
    """Our `gp`, for Optuna; as in a sweep, a parameter is known once a trial has asked for it, and its conditions are not."""

    def __init__(self, seed: int) -> None:
        self._gp, self._seed = Gp(), seed
        self._study = Study(Objective(metric="loss", direction=Direction.MIN), Known())
        self._proposed: dict[str, Any] = {}

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Propose all that is known."""
        ask = Ask(number=trial.number, round=0, seed=self._seed, pinned={}, refusal=lambda _: "")
        params = self._gp.propose(ask, self._study).params
        self._proposed = {self._study.name_of(key): value for key, value in params.items()}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return nothing: all is proposed one by one."""
        return {}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return what was proposed; what is asked for the first time is drawn at random, and known from now on."""
        if param_name not in self._proposed:
            parameter = declared(param_name, param_distribution).parameter
            self._study.learn([parameter])
            self._proposed[param_name] = draw(parameter, Random(derived_seed(self._seed, trial.number, param_name)))
        return self._proposed[param_name]

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Tell what was used."""
        self._study.withdraw(trial.number)
        known = {self._study.name_of(key): key for key in self._study.space.parameters}
        run = self._study.as_running({known[name]: value for name, value in trial.params.items()})
        self._study.told.add_trial(
            optuna.trial.create_trial(params=run.params, distributions=run.distributions, values=values)
        )


def declared(name: str, form: BaseDistribution) -> Declared:
    """Return a parameter of Optuna's in our form."""
    if isinstance(form, CategoricalDistribution):
        return Declared(parameter=Choice(name=name, values=tuple(one for one in form.choices if one is not None)))
    if not isinstance(form, FloatDistribution | IntDistribution):
        raise TypeError(str(form))
    whole, sampling = isinstance(form, IntDistribution), Sampling.LOG if form.log else Sampling.LINEAR
    return Declared(parameter=Number(name=name, min=form.low, max=form.high, integer=whole, sampling=sampling))


def regrets(space: Space, kind: str, seed: int, trials: int) -> list[float]:
    """Run one search; return the regret of the best so far at each checkpoint within `trials`."""
    study = optuna.create_study(sampler=sampler(kind, seed))
    study.optimize(space.value, n_trials=trials)
    best = np.minimum.accumulate([one.values[0] for one in study.get_trials(deepcopy=False)])
    return [float(best[at - 1]) - space.least for at in CHECKPOINTS if at <= trials]


# Cells ----------------------------------------------------------------------------------------------------------------


@final
@dataclass(slots=True)
class Cache:
    """Cells by space, sampler, seed and trials; one line of JSON each."""

    path: Path
    cells: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def load(self) -> None:
        """Read what earlier runs measured."""
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                self.cells.update(json.loads(line))

    def cell(self, space: Space, kind: str, seed: int, trials: int) -> list[float]:
        """Return a cell, measured now if it is new."""
        key = f"{space.name} {kind} {seed} {trials}"
        if key not in self.cells:
            self.cells[key] = regrets(space, kind, seed, trials)
            with self.path.open("a") as file:
                file.write(json.dumps({key: self.cells[key]}) + "\n")
        return self.cells[key]


# Tables ---------------------------------------------------------------------------------------------------------------

Regrets = NDArray[np.float64]


def mean_and_interval(values: Regrets) -> tuple[float, float]:
    """Return the mean and half of its 95 % interval, by Student's t."""
    from scipy import stats

    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else 0
    return float(values.mean()), float(half)


def factor(ours: Regrets, theirs: Regrets) -> tuple[float, float, float]:
    """Return how many times smaller our regret is (geometric mean), and its 95 % interval, by 10,000 resamplings.

    Both are (spaces, seeds); seeds are drawn again within each space, ours and theirs apart.
    """
    random = np.random.default_rng(0)
    logs = [np.log(np.maximum(one, SMALLEST)) for one in (theirs, ours)]
    size = (10_000, *ours.shape)
    picks = [random.integers(0, ours.shape[1], size=size) for _ in logs]
    rows = np.arange(len(ours), dtype=np.intp).reshape(1, -1, 1)
    spread = logs[0][rows, picks[0]].mean(axis=(1, 2)) - logs[1][rows, picks[1]].mean(axis=(1, 2))
    low, high = np.quantile(spread, [0.025, 0.975])
    return float(np.exp(logs[0].mean() - logs[1].mean())), float(np.exp(low)), float(np.exp(high))


def wins(ours: Regrets, theirs: Regrets) -> float:
    """Return the probability that a run of ours ends with less regret than one of theirs; ties count half."""
    ours, theirs = np.maximum(ours, SMALLEST)[:, :, None], np.maximum(theirs, SMALLEST)[:, None, :]
    return float(((ours < theirs) + 0.5 * (ours == theirs)).mean())


def report(spaces: Sequence[Space], found: Mapping[str, Regrets], checkpoints: Sequence[int]) -> str:
    """Return the tables; `found`: (spaces, seeds, checkpoints) for each sampler."""
    kinds, lines = list(found), list[str]()
    for place, at in enumerate(checkpoints):
        lines += [f"\nRegret after {at} trials, mean ± 95 %\n", f"| space | {' | '.join(kinds)} |"]
        lines += ["| --- |" + " --- |" * len(kinds)]
        for row, space in enumerate(spaces):
            cells = [mean_and_interval(found[kind][row, :, place]) for kind in kinds]
            lines.append(f"| {space.name} | " + " | ".join(f"{mean:.4f} ± {half:.4f}" for mean, half in cells) + " |")
    pairs = [(ours, rival) for ours in OURS if ours in kinds for rival in kinds if rival not in OURS]
    for ours, rival in pairs:
        lines += [
            f"\nHow many times smaller the regret of `{ours}` is than that of `{rival}` (95 %); share of runs won\n"
        ]
        lines += [f"| space | {' | '.join(f'{at} trials' for at in checkpoints)} |"]
        lines += ["| --- |" + " --- |" * len(checkpoints)]
        names = [*(one.name for one in spaces), "all"]
        rows = [*([row] for row in range(len(spaces))), list(range(len(spaces)))]
        for name, chosen in zip(names, rows, strict=True):
            cells = list[str]()
            for place in range(len(checkpoints)):
                mine, theirs = (found[kind][chosen, :, place] for kind in (ours, rival))
                middle, low, high = factor(mine, theirs)
                cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f}); {wins(mine, theirs):.0%}")
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", choices=[*SPACES], default="held-out")
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=[*OURS, "default", "group", "random"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--cache", type=Path, default=Path("conditional.jsonl"))
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    cache = Cache(args.cache)
    cache.load()
    spaces = SPACES[args.spaces]
    found = {kind: list[list[list[float]]]() for kind in args.samplers}
    for kind in args.samplers:
        for space in spaces:
            found[kind].append([cache.cell(space, kind, seed, args.trials) for seed in range(args.seeds)])
    print(
        report(
            spaces,
            {kind: np.array(cells) for kind, cells in found.items()},
            [at for at in CHECKPOINTS if at <= args.trials],
        )
    )


if __name__ == "__main__":
    main()
