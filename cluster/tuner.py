"""A tuner of KerasTuner's as a training loop: its `run_trial` trains, and its hooks and its oracle report to the sweep.

The tuner proposes nothing and keeps nothing: its `search` is never called. Of its oracle only `update_trial` is.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

from .data import fit_arguments
from .hypermodel import call_as_search, callbacks_for, plain_metrics
from .loop import Report
from .reporter import reporter_class

if TYPE_CHECKING:
    import keras_tuner


def is_tuner(source: Any) -> bool:
    """Say whether it is an instance of `keras_tuner.Tuner`, without importing that."""
    kinds = () if inspect.isclass(source) else type(source).__mro__
    return any(one.__name__ == "BaseTuner" and one.__module__.startswith("keras_tuner.") for one in kinds)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a tuner was asked for when it was made, in the words of a sweep."""

    objective: keras_tuner.Objective | None
    trials: int | None
    hyperparameters: keras_tuner.HyperParameters
    undeclared: str
    retries: int


def asked_of(tuner: Any) -> Asked:
    """Return what a tuner was asked for.

    Its parameters are those that it was given and, where new ones may be tuned, those that its first look at the
    model has found.
    """
    oracle = tuner.oracle
    tuned = "search" if oracle.tune_new_entries else "default"
    return Asked(
        objective=oracle.objective,
        trials=oracle.max_trials,
        hyperparameters=oracle.hyperparameters,
        undeclared=tuned if oracle.allow_new_entries else "refuse",
        retries=oracle.max_retries_per_trial,
    )


def loop_of(tuner: Any) -> Callable[..., Any]:
    """Return the training loop that a tuner is.

    Args:
        tuner: As it was made for its `search`, with or without a `run_trial` of its own.
    """

    build = getattr(tuner.hypermodel, "build", None)

    def train(hp: Any, report: Report, data: Any = None) -> Any:
        """Run one trial with what `search` would be given."""
        with tempfile.TemporaryDirectory(prefix="kerasweep-") as folder:
            return TunerTrial(tuner, build, hp, report, Path(folder)).run(data)

    return train


@final
class TunerTrial:
    """One trial of a tuner: what the tuner would tell its oracle goes to `report`."""

    def __init__(self, tuner: Any, build: Callable[[Any], Any] | None, hp: Any, report: Report, scratch: Path) -> None:
        """Take the tuner over, until the next trial does.

        Args:
            tuner: Its methods that report and save are replaced, unless the user has overridden them.
            build: Its hypermodel's, if it has one.
            hp: The trial's.
            report: The sweep's.
            scratch: Where KerasTuner's own checkpoints go, which nobody reads.
        """
        import keras
        from keras_tuner.engine import trial

        self.epoch = 0
        self.model: Any = None
        self._tuner = tuner
        self._hp = hp
        self._report = report
        self._called_back = False
        self._policy = keras.config.dtype_policy()
        self._trial = trial.Trial(hyperparameters=hp, trial_id=f"{report.number:04d}", status="RUNNING")
        self._take_over(build, scratch)

    @property
    def weights(self) -> TunerTrial:
        """Take the model that a callback has seen."""
        return self

    def run(self, data: Any) -> Any:
        """Call `run_trial` with the data, and the sweep's arguments of `fit` as far as it takes them."""
        import keras

        keras.config.disable_interactive_logging()
        given = dict(cast(Mapping[str, Any], data)) if isinstance(data, Mapping) else fit_arguments(data)
        ours = reporter_class()(cast(Any, self))
        callbacks = [*callbacks_for(given.get("callbacks"), self._hp, self._report.number), ours]
        arguments = {**self._report.fit, **given, "callbacks": callbacks}
        run_trial = self._tuner.run_trial
        return call_as_search(lambda *places, **named: run_trial(self._trial, *places, **named), run_trial, arguments)

    # What Keras's callback tells --------------------------------------------------------------------------------------

    def report(self, metrics: Mapping[str, float], seconds: float | None = None) -> None:
        """Tell the metrics of one more epoch."""
        del seconds
        self._called_back = True
        self._tell(metrics)

    def on_batch(self) -> None:
        """Count a batch, and end where the trial was stopped."""
        self._report.batch()

    def check_stop(self) -> None:
        """Go on: to report is to be stopped."""

    # What the tuner calls ---------------------------------------------------------------------------------------------

    def on_batch_end(self, trial: Any, model: Any, batch: int, logs: Any = None) -> None:
        """Stand for the tuner's hook."""
        del trial, model, batch, logs
        self._report.batch()

    def on_epoch_end(self, trial: Any, model: Any, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Stand for the tuner's hook, which KerasTuner's own callback calls too, after ours."""
        del trial, epoch
        if self._called_back:
            self._called_back = False
            return
        self.model = model
        self._tell(logs or {})

    def update_trial(self, trial_id: str, metrics: Mapping[str, Any], step: int = 0) -> Any:
        """Stand for the oracle's."""
        del trial_id, step
        self._tell(metrics)
        return self._trial

    def save_model(self, trial_id: str, model: Any, step: int = 0) -> None:
        """Stand for the tuner's: the weights of the best epoch are kept as they are reported."""
        del trial_id, model, step

    # Parts --------------------------------------------------------------------------------------------------------------

    def _tell(self, metrics: Mapping[str, Any]) -> None:
        numbers = plain_metrics(metrics)
        if numbers:
            self.epoch += 1
            model = self.model if hasattr(self.model, "get_weights") else None
            self._report(epoch=self.epoch, model=model, **numbers)

    def _build(self, build: Callable[[Any], Any], hp: Any) -> Any:
        """Build under the sweep's dtype policy, which the tuner's clearing of the session takes away."""
        import keras

        keras.config.set_dtype_policy(self._policy)
        self.model = build(hp)
        return self.model

    def _take_over(self, build: Callable[[Any], Any] | None, scratch: Path) -> None:
        tuner, oracle = self._tuner, self._tuner.oracle

        def built(hp: Any) -> Any:
            return self._build(cast(Callable[[Any], Any], build), hp)

        def folder_of_trial(*callbacks: Any) -> None:
            """Leave TensorBoard's as it is: the trial's; and its HParams out: MLflow shows the parameters."""

        def checkpoint(trial_id: str) -> str:
            return str(scratch / "checkpoint.weights.h5")

        def build_config(trial_id: str) -> str:
            return str(scratch / "build_config.json")

        if build is not None:
            tuner.hypermodel.build = built
        for name in ("on_batch_end", "on_epoch_end", "save_model"):
            if _is_keras_tuners(getattr(cast(Any, type(tuner)), name)):
                setattr(tuner, name, getattr(self, name))
        tuner._configure_tensorboard_dir = folder_of_trial
        tuner._get_checkpoint_fname, tuner._get_build_config_fname = checkpoint, build_config
        oracle.trials = {self._trial.trial_id: self._trial}
        oracle.update_trial = self.update_trial


def _is_keras_tuners(method: Any) -> bool:
    return str(getattr(method, "__module__", "")).startswith("keras_tuner.")
