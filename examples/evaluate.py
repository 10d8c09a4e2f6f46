# pyright: basic
"""Compare what a sweep found with the defaults, on data that the sweep never saw.

    kerasweep run examples/digits/sweep.yaml
    python examples/evaluate.py digits

Both sets of hyperparameters are trained with the same three fresh seeds, as a trial is: for the sweep's epochs, on the
training data, the best epoch on the validation data taken. Then both are measured on `held_out()` of model.py. Nothing
of Kerasweep is needed for that: what it found are plain values for KerasTuner's `hp`.
"""

import importlib
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import keras_tuner
import numpy as np
from ruamel.yaml import YAML

import kerasweep

SEEDS = 101, 102, 103


def main(example):
    folder = Path(__file__).parent / example
    sweep = YAML(typ="safe").load(folder / "sweep.yaml")
    found = kerasweep.Result(Path(os.environ.get("KERASWEEP_DIR", ".")) / "sweeps" / sweep["name"]).best
    sys.path.insert(0, str(folder))
    code = importlib.import_module("model")

    table = {"defaults": [], f"trial {found.number}": []}
    for (_, rows), params in zip(table.items(), ({}, found.params), strict=True):
        for seed in SEEDS:
            keras.utils.set_random_seed(seed)
            model = train(code, sweep, dict(params))
            rows.append(measure(code, model))
            keras.backend.clear_session()

    print(f"{example}: held-out data, mean and range of {len(SEEDS)} seeds")
    for metric in table["defaults"][0]:
        for name, rows in table.items():
            values = [row[metric] for row in rows]
            print(f"  {metric:26} {name:9} {np.mean(values):.4f}  ({min(values):.4f} to {max(values):.4f})")


def train(code, sweep, params):
    """Return a model trained with `params`; what they lack takes its default."""
    hp = keras_tuner.HyperParameters()
    hp.values = params
    fit = {name: params.get(f"fit/{name}", first(value)) for name, value in sweep["fit"].items() if name != "folds"}
    data = code.load()
    objective = sweep["objective"]
    direction, metric = objective.split() if isinstance(objective, str) else ("last", "")
    if "train" in sweep:
        report = Report(fit, metric, direction)
        getattr(code, sweep["train"].partition(":")[2])(hp, report, data)
        return report.best_model()
    (x, y), validation = data if "folds" not in sweep["fit"] else (data, None)
    callbacks = []
    if validation is not None:
        keep_best = {"patience": fit["epochs"], "restore_best_weights": True}
        callbacks = [keras.callbacks.EarlyStopping(monitor=metric, mode=direction, **keep_best)]
    named = getattr(code, sweep["model"].partition(":")[2])
    hypermodel = named() if isinstance(named, type) else None
    model = hypermodel.build(hp) if hypermodel else named(hp)
    arguments = {"validation_data": validation, "callbacks": callbacks, "verbose": 0, **fit}
    if hypermodel:
        hypermodel.fit(hp, model, x, y, **arguments)
    else:
        model.fit(x, y, **arguments)
    return model


class Report:
    """What a training loop reports to, outside of a sweep."""

    def __init__(self, fit, metric, direction):
        self.fit = fit
        self.epochs = fit["epochs"]
        self.metric = metric
        self.sign = 1 if direction == "max" else -1
        self.best = -np.inf
        self.best_weights = []

    def __call__(self, *, epoch, model, **metrics):
        value = self.sign * metrics[self.metric]
        self.model = model
        if value > self.best:
            self.best, self.best_weights = value, model.get_weights()

    def best_model(self):
        self.model.set_weights(self.best_weights)
        return self.model


def measure(code, model):
    """Return metrics by name: those that the model was compiled with, unless model.py measures by itself."""
    x, y = code.held_out()
    if hasattr(code, "measure"):
        return code.measure(model, x, y)
    return model.evaluate(x, y, return_dict=True, verbose=0)


def first(value):
    return value[0] if isinstance(value, list) else value


if __name__ == "__main__":
    main(sys.argv[1])
