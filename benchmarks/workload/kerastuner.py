"""KerasTuner in one process, as its guide shows it; it records nothing but its own folder.

    python kerastuner.py --trials 24 --seed 0 [--bayesian]

Without a chief and workers started by hand KerasTuner has no parallel trials: it runs them one after another, whatever
the slots. Random search proposes in no time; `--bayesian` is the counterpart of Optuna's TPE, a Gaussian process.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from types import ModuleType
from typing import Any

import space


def without_tensorboard() -> None:
    """Let `run_trial` import `tensorboard.plugins.hparams`, which it does even where no TensorBoard is asked for.

    Neither TensorFlow 2.21 nor KerasTuner 1.4.8 installs tensorboard, and every trial fails without. The stand-in is
    empty, lives in this process only, and nothing in the benchmark uses it.
    """
    if importlib.util.find_spec("tensorboard") is not None:
        return
    for name in ("tensorboard", "tensorboard.plugins", "tensorboard.plugins.hparams"):
        sys.modules[name] = ModuleType(name)
    api = ModuleType("tensorboard.plugins.hparams.api")
    sys.modules[api.__name__] = sys.modules["tensorboard.plugins.hparams"].__dict__["api"] = api


def main() -> int:
    """Search."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--slots", type=int, default=1, help="ignored: it is one process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bayesian", action="store_true")
    options = parser.parse_args()

    without_tensorboard()
    import digits
    import keras_tuner

    search = keras_tuner.BayesianOptimization if options.bayesian else keras_tuner.RandomSearch
    tuner = search(
        digits.build,
        objective="val_accuracy",
        max_trials=options.trials,
        seed=options.seed + 1,  # 0 would be no seed
        directory=".",
        project_name="overhead",
    )
    data, validation = digits.load()
    tuner.search(*data, validation_data=validation, epochs=space.EPOCHS, batch_size=space.BATCH_SIZE, verbose=0)
    oracle: Any = tuner.oracle
    return int(any(trial.status != "COMPLETED" for trial in oracle.trials.values()))  # a failed one ends nothing there


if __name__ == "__main__":
    sys.exit(main())
