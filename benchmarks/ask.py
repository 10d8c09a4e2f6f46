"""Measure what a proposal costs as a sweep grows, and whether a bounded model searches as well as an unbounded one.

    python benchmarks/ask.py                     # CPU time of an ask after 100 to 10,000 trials, beside Optuna's: 2 minutes
    python benchmarks/ask.py --regret            # regret after 2,000 trials, bounded and not: 15 minutes

One ask is a proposal of all ten parameters of a mixed space (4 floats, 3 integers, 3 choices): by our tpe and gp, and by
Optuna's default, its univariate TPE and its random sampler. Leave the machine alone.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import optuna
from conditional import declared, mean_and_interval, sampler
from conditional_spaces import FLAT_HELD_OUT, HELD_OUT
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from kerasweep.search.gp import Gp
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.sampler import Ask
from kerasweep.search.study import Study
from kerasweep.search.tree_tpe import KERNELS, tree_tpe
from kerasweep.spaces.known import Known

MIXED: dict[str, BaseDistribution] = {
    **{f"float_{i}": FloatDistribution(1e-5, 1.0, log=i % 2 == 0) for i in range(4)},
    **{f"int_{i}": IntDistribution(1, 512, log=i == 0) for i in range(3)},
    **{f"choice_{i}": CategoricalDistribution(["a", "b", "c", "d"]) for i in range(3)},
}
SIZES = (100, 500, 1_000, 2_000, 5_000, 10_000)
REGRET_TRIALS = 2_000
REGRET_SPACES = (HELD_OUT[0], HELD_OUT[3], *FLAT_HELD_OUT)


def finished(count: int, seed: int) -> list[optuna.trial.FrozenTrial]:
    """Return trials with random parameters and values."""
    draw = random.Random(seed)

    def value(one: BaseDistribution) -> Any:
        match one:
            case FloatDistribution(low=low, high=high):
                return low * (high / low) ** draw.random() if one.log else draw.uniform(low, high)
            case IntDistribution(low=low, high=high):
                return draw.randint(low, high)
            case CategoricalDistribution(choices=choices):
                return draw.choice(choices)
            case _:
                raise TypeError(str(one))

    return [
        optuna.trial.create_trial(
            params={name: value(one) for name, one in MIXED.items()}, distributions=MIXED, value=draw.random()
        )
        for _ in range(count)
    ]


def median_ask_ms(make: Callable[[int], optuna.samplers.BaseSampler], count: int, asks: int = 25) -> float:
    """Return the median CPU time of an ask, each answered before the next, as a sweep does with one slot."""
    study = optuna.create_study(sampler=make(0))
    study.add_trials(finished(count, seed=count))
    times: list[float] = []
    for number in range(asks + 3):
        start = time.process_time()
        trial = study.ask(MIXED)
        times.append((time.process_time() - start) * 1000)
        study.tell(trial, number / asks)
    return statistics.median(times[3:])  # the first takes in the whole history, once


def median_gp_ms(count: int, asks: int = 25) -> float:
    """Return the same of our `gp`, which is asked with our form of the space."""
    study = Study(
        Objective(metric="loss", direction=Direction.MIN),
        Known.of(declared(name, form) for name, form in MIXED.items()),
    )
    study.told.add_trials(finished(count, seed=count))
    sampler = Gp()
    times: list[float] = []
    for number in range(asks + 3):
        start = time.process_time()
        proposal = sampler.propose(Ask(number=number, round=0, seed=0, pinned={}, refusal=lambda _: ""), study)
        times.append((time.process_time() - start) * 1000)
        run = study.as_running(proposal.params)
        study.told.add_trial(
            optuna.trial.create_trial(params=run.params, distributions=run.distributions, value=number / asks)
        )
    return statistics.median(times[3:])


def costs() -> None:
    """Print the cost of an ask by the number of finished trials."""
    kinds = ("tpe", "default", "univariate", "random")
    heads = ("gp", *kinds)
    print("CPU time of an ask, ms, median of 25\n")
    print(f"| finished trials | {' | '.join(heads)} |\n| --- |{' --- |' * len(heads)}")
    for count in SIZES:
        cells = [median_gp_ms(count)]
        cells += [median_ask_ms(lambda seed, kind=kind: sampler(kind, seed), count) for kind in kinds]
        print(f"| {count:,} | {' | '.join(f'{one:.1f}' for one in cells)} |", flush=True)


def regret(place: int, kernels: int, seed: int) -> float:
    """Return the regret on one of `REGRET_SPACES` after so many trials, with a model of so many kernels."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    space, study = REGRET_SPACES[place], optuna.create_study(sampler=tree_tpe(seed, kernels=kernels))
    study.optimize(space.value, n_trials=REGRET_TRIALS)
    return study.best_value - space.least


def regrets(seeds: int) -> None:
    """Print the regret after 2,000 trials with the model bounded as it is and without a bound."""
    print(f"Regret after {REGRET_TRIALS:,} trials, mean ± 95 % over {seeds} seeds\n")
    print("| space | bounded | unbounded |\n| --- | --- | --- |")
    with ProcessPoolExecutor() as pool:
        for place, space in enumerate(REGRET_SPACES):
            cells = list[str]()
            for kernels in (KERNELS, 10**9):
                found = pool.map(regret, *zip(*((place, kernels, seed) for seed in range(seeds)), strict=True))
                cells.append("{:.3g} ± {:.2g}".format(*mean_and_interval(np.array(list(found)))))
            print(f"| {space.name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regret", action="store_true")
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    regrets(args.seeds) if args.regret else costs()


if __name__ == "__main__":
    main()
