"""Looking before spending: the model built once at its defaults and fitted for one batch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..spaces.errors import BadInput, did_you_mean
from ..spaces.hp import hyperparameters_class
from ..spaces.trace import Trace
from .failure import describe
from .folds import check_foldable, fold_arguments, fold_of_each
from .hypermodel import callbacks_for, fit_result, plain_metrics
from .link import Message
from .loop import Report, UserLoop
from .training import (
    Settings,
    StopTraining,
    UserCode,
    count_params,
    fit_arguments_of,
    sweep_arguments,
    trace_of,
)


def rehearse(code: UserCode, settings: Settings) -> Message:
    """Build at the defaults and run one batch of training and validation; never raises."""
    import keras

    trace = trace_of(settings, {})
    code.start_session(0)
    keras.config.set_max_epochs(1)
    keras.config.set_max_steps_per_epoch(1)
    started = time.monotonic()
    seen = _Seen()
    try:
        hp = hyperparameters_class()(trace)
        if isinstance(code.model, UserLoop):
            result, built = _rehearse_loop(code.model, code, hp, trace, settings, seen)
        else:
            seen.model = code.build(hp)
            built = time.monotonic()
            arguments = fit_arguments_of(code, hp, trace, settings)
            if settings.folds:
                samples = check_foldable(arguments, settings.folds)
                fold = fold_of_each(arguments.get("y"), samples, settings.folds, settings.seed)
                arguments = fold_arguments(arguments, fold, 0)
            callbacks = [*callbacks_for(arguments.get("callbacks"), hp), seen.callback()]
            result = code.model.fit(hp, seen.model, {**arguments, "callbacks": callbacks})
    except BaseException as error:
        failure = describe(error, settings.root)
        return {"type": "rehearsed", "failed": failure.reason, "traceback": failure.traceback}
    logged = seen.names | _returned(result, settings)
    return {
        "type": "rehearsed",
        "failed": "",
        "specs": [parameter.to_json() for parameter, _ in trace.used.values()],
        "unread": [name for name in trace.declared if name not in trace.params],
        "logged": sorted(logged),
        "parameters": None if seen.model is None else count_params(seen.model),
        "build_s": built - started,
        "batch_s": time.monotonic() - built,
    }


def refuse_unread(code: UserCode, suspects: tuple[str, ...]) -> None:
    """Refuse declared parameters that no source mentions and that the model, built at its defaults, does not read.

    Raises:
        BadInput: there is one; names it, with the near match among those that the model reads.
    """
    trace = Trace(assigned={})
    try:
        code.build(hyperparameters_class()(trace))
    except Exception:  # the trials will say what is wrong with the model
        return
    read = sorted(trace.params)
    for name in suspects:
        if name not in read:
            has = f"it reads {', '.join(read)}" if read else "it reads none"
            raise BadInput(
                f"space: {name!r} is declared, but the model never reads it{did_you_mean(name, read)}: {has}; "
                "rename it or take it out"
            )


def _rehearse_loop(
    loop: UserLoop, code: UserCode, hp: Any, trace: Trace, settings: Settings, seen: _Seen
) -> tuple[Any, float]:
    """Run a training loop up to its first report; return what it returned and when it began."""
    data = code.data.of(hp)
    arguments = {**sweep_arguments(trace, settings), "epochs": 1}
    began = time.monotonic()
    try:
        return loop.run(hp, Report(seen, arguments), data), began
    except StopTraining:
        return None, began


def _returned(result: Any, settings: Settings) -> set[str]:
    returned = fit_result(result, settings.metric, settings.better)
    return {name for epoch in (*returned.epochs, returned.final) for name in epoch}


class _Seen:
    """Notes which metrics are logged, and which model."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.model: Any = None
        self.epoch = 0

    def callback(self) -> Any:
        """Return a Keras callback that fills `names`."""
        import keras

        return keras.callbacks.LambdaCallback(on_epoch_end=self._see)

    def report(self, metrics: Mapping[str, float], seconds: float | None = None, *, epoch: int | None = None) -> None:
        """Note the names of the metrics."""
        self.names |= set(metrics)
        self.epoch = epoch or 0

    def keep(self, models: Mapping[str, Any]) -> None:
        """Note the model, where there is one only."""
        (self.model,) = models.values() if len(models) == 1 else (None,)

    def on_batch(self) -> None:
        """Go on."""

    def _see(self, epoch: int, logs: Any) -> None:
        del epoch
        self.report(plain_metrics(logs))

    def check_stop(self) -> None:
        """End a training loop once it has reported.

        Raises:
            StopTraining: it has.
        """
        if self.epoch:
            raise StopTraining
