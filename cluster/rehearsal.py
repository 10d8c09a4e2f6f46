"""Looking before spending: the model built once at its defaults and fitted for one batch."""

from __future__ import annotations

import time
from typing import Any

from ..spaces.errors import BadInput, did_you_mean
from ..spaces.hp import hyperparameters_class
from ..spaces.trace import Trace
from .failure import describe
from .hypermodel import callbacks_for, plain_metrics
from .link import Message
from .training import Settings, UserCode, count_params, declared_by_name, fit_arguments_of


def rehearse(code: UserCode, settings: Settings) -> Message:
    """Build at the defaults and run one batch of training and validation; never raises."""
    import keras

    trace = Trace(assigned={}, declared=declared_by_name(settings.declared))
    keras.config.set_dtype_policy(code.dtype_policy)
    keras.utils.set_random_seed(0)
    keras.config.set_max_epochs(1)
    keras.config.set_max_steps_per_epoch(1)
    started = time.monotonic()
    try:
        hp = hyperparameters_class()(trace)
        model = code.model.build(hp)
        built = time.monotonic()
        arguments = fit_arguments_of(code, trace, settings)
        seen = _SeenLogs()
        callbacks = [*callbacks_for(arguments.get("callbacks"), hp), seen.callback()]
        result = code.model.fit(hp, model, {**arguments, "callbacks": callbacks})
    except BaseException as error:
        failure = describe(error, settings.root)
        return {"type": "rehearsed", "failed": failure.reason, "traceback": failure.traceback}
    logged = seen.names or set(plain_metrics(getattr(result, "history", None)))
    return {
        "type": "rehearsed",
        "failed": "",
        "specs": [parameter.to_json() for parameter, _ in trace.used.values()],
        "unread": [name for name in trace.declared if name not in trace.params],
        "logged": sorted(logged),
        "parameters": count_params(model),
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
        code.model.build(hyperparameters_class()(trace))
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


class _SeenLogs:
    """Notes which metrics a fit logs."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def callback(self) -> Any:
        """Return a Keras callback that fills `names`."""
        import keras

        return keras.callbacks.LambdaCallback(on_epoch_end=self._see)

    def _see(self, epoch: int, logs: Any) -> None:
        del epoch
        self.names |= set(plain_metrics(logs))
