"""What the documentation of Ray Tune, Optuna and MLflow adds up to: a function, OptunaSearch, MLflowLoggerCallback.

    python glue.py --trials 24 --slots 2 --seed 0 [--reuse]

Every setting that is not Tune's default is explained where it stands.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import space
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch


def train(config: Mapping[str, Any]) -> None:
    """Train one trial; the imports are inside, as in Ray's Keras example, so that the driver needs no TensorFlow."""
    started = time.time()
    import digits
    import keras

    class Report(keras.callbacks.Callback):
        """Report each epoch; Ray's own callback would also save the whole model each time."""

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            """Report."""
            tune.report(dict(logs))

    keras.backend.clear_session()  # matters where the process is used again
    data, validation = digits.load()
    digits.network(**config, started=started).fit(
        *data,
        validation_data=validation,
        epochs=space.EPOCHS,
        batch_size=space.BATCH_SIZE,
        callbacks=[Report()],
        verbose=0,
    )


def main() -> int:
    """Search."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reuse", action="store_true", help="keep the processes for further trials")
    options = parser.parse_args()

    import ray

    # A cluster of its own even where another one runs on this machine, with a processor per slot at least.
    ray.init(address="local", num_cpus=max(options.slots, 2))
    low, high, step = space.UNITS
    here = Path.cwd()
    tuner: Any = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={
            "units": tune.qrandint(low, high, step),
            "learning_rate": tune.loguniform(*space.LEARNING_RATE),
            "dropout": tune.uniform(*space.DROPOUT),
        },
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            search_alg=OptunaSearch(seed=options.seed),
            num_samples=options.trials,
            max_concurrent_trials=options.slots,
            reuse_actors=options.reuse,
        ),
        run_config=tune.RunConfig(
            name="overhead",
            storage_path=str(here / "ray_results"),
            callbacks=[
                # Without save_artifact, which uploads each trial's folder: what is compared is metrics and parameters.
                MLflowLoggerCallback(tracking_uri=f"sqlite:///{here / 'mlflow.db'}", experiment_name="overhead")
            ],
        ),
    )
    results: Any = tuner.fit()
    print("best:", results.get_best_result().config)
    return int(bool(results.errors))


if __name__ == "__main__":
    sys.exit(main())
