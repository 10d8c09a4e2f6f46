"""Looking before spending: models built without data, and one of them looked at and fitted for one batch."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..spaces.errors import BadInput, did_you_mean
from ..spaces.hp import hyperparameters_class
from ..spaces.trace import Trace
from ..spaces.trial import Json, Scalar
from .call_sites import CallSites
from .data import fit_arguments
from .facts import DataFacts, PartFacts
from .failure import describe
from .finding import Finding, error, errors, in_order, note
from .fit_checks import check_logged
from .folds import check_foldable, fold_arguments, fold_of_each
from .hypermodel import UserModel, callbacks_for, fit_result, plain_metrics
from .link import Message
from .look import fit_facts, look_at
from .loop import Report, UserLoop
from .memory import training_size
from .model_facts import learning_rate
from .pace import measured
from .settings import Settings, sweep_arguments, trace_of
from .training import StopTraining, clean_up
from .unsaved import marks_of, unsaved
from .user_code import UserCode, fit_arguments_of

KERAS_BATCH = 32
"""Keras's batch size where none is given."""


def probe(code: UserCode, settings: Settings, params: Mapping[str, Scalar]) -> Message:
    """Build at a point of the space, without any data; never raises."""
    trace = trace_of(settings, params)
    code.start_session(0)
    began = time.monotonic()
    try:
        model = code.build(hyperparameters_class()(trace))
        batch = sweep_arguments(trace, settings).get("batch_size")
    except BaseException as failure:
        return {**_failed(failure, settings), **_read(trace)}
    answer = {
        "type": "probed",
        "failed": "",
        **_read(trace),
        **_size(model, batch),
        "build_s": time.monotonic() - began,
    }
    del model
    clean_up()
    return answer


def rehearse(code: UserCode, settings: Settings, params: Mapping[str, Scalar]) -> Message:
    """Build at a point of the space, look at the model and the data, fit one batch and validate; never raises.

    A training loop is run up to its first report instead.
    """
    with _one_batch():
        return _rehearsed(code, settings, params)


@contextmanager
def _one_batch() -> Generator[None]:
    """Have every fit end after one batch."""
    import keras

    config: Any = keras.config
    config.set_max_epochs(1)
    config.set_max_steps_per_epoch(1)
    try:
        yield
    finally:
        config.set_max_epochs(None)
        config.set_max_steps_per_epoch(None)


def _rehearsed(code: UserCode, settings: Settings, params: Mapping[str, Scalar]) -> Message:
    trace = trace_of(settings, params)
    code.start_session(0)
    seen, sites = _Seen(), CallSites(settings.root or os.getcwd())
    hp = hyperparameters_class()(trace)
    began = time.monotonic()
    arguments: dict[str, Any] = {}
    try:
        if isinstance(code.model, UserLoop):
            arguments = _arguments_of_loop(code, hp)
        else:
            with sites.noting():
                seen.model = code.build(hp)
            arguments = fit_arguments_of(code, hp, trace, settings)
    except BaseException as failure:
        return {**_failed(failure, settings), **_read(trace)}
    built_s = time.monotonic() - began
    findings, data = look_at(code, seen.model, arguments, sites, settings)
    began = time.monotonic()
    try:
        if isinstance(code.model, UserLoop):
            result = _run_loop(code.model, code, hp, trace, settings, seen)
        else:
            result = _fit(code.model, hp, arguments, settings, seen)
        seen.logs |= _returned(result, settings)
        findings += _after(seen.logs, settings, arguments, findings)
    except BaseException as failure:
        told = describe(failure, settings.root)
        findings.append(error("fit-fails", "", f"training one batch fails: {told.reason}"))
    batch_s = time.monotonic() - began
    return {
        "type": "probed",
        "failed": "",
        **_read(trace),
        **_size(seen.model, sweep_arguments(trace, settings).get("batch_size")),
        "unread": [name for name in trace.declared if name not in trace.params],
        "logged": sorted(seen.logs),
        "findings": [one.to_json() for one in in_order(findings)],
        "data": {"training": _rows(data.train), "validation": _rows(data.validation)},
        "unsaved": seen.unsaved,
        "own_fit": isinstance(code.model, UserModel) and code.model.has_own_fit,
        "build_s": built_s,
        "batch_s": batch_s,
        "epoch_s": None if errors(findings) else _epoch_s(code.model, hp, arguments, settings, seen, data),
    }


def check(code: UserCode, settings: Settings) -> list[Finding]:
    """Return the errors that show without training: the model at its defaults, and the data that is in memory.

    A model that does not build at its defaults, or a training loop, says so in its trials.
    """
    if isinstance(code.model, UserLoop) or code.data.by_trial:
        return []
    trace = trace_of(settings, {})
    sites = CallSites(settings.root or os.getcwd())
    hp = hyperparameters_class()(trace)
    try:
        with code.policy(), sites.noting():
            model = code.build(hp)
        arguments = fit_arguments_of(code, hp, trace, settings)
    except Exception:
        return []
    findings, _ = look_at(code, model, arguments, sites, settings, read=False)
    return errors(findings)


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


# Training -------------------------------------------------------------------------------------------------------------


def _fit(model: UserModel, hp: Any, arguments: dict[str, Any], settings: Settings, seen: _Seen) -> Any:
    if settings.folds:
        samples = check_foldable(arguments, settings.folds)
        fold = fold_of_each(arguments.get("y"), samples, settings.folds, settings.seed)
        arguments = fold_arguments(arguments, fold, 0)
    own = callbacks_for(arguments.get("callbacks"), hp)
    callbacks = [*own, seen.callback(own)]
    return model.fit(hp, seen.model, {**arguments, "callbacks": callbacks})


def _epoch_s(
    model: Any, hp: Any, arguments: dict[str, Any], settings: Settings, seen: _Seen, data: DataFacts
) -> float | None:
    """Return the seconds of what counts as one epoch; None where it cannot be measured."""
    import keras

    if not isinstance(model, UserModel):
        return None
    config: Any = keras.config
    config.set_max_epochs(None)
    config.set_max_steps_per_epoch(None)
    epoch_s = measured(lambda given: _fit(model, hp, given, settings, seen), arguments, data)
    if epoch_s is None or not settings.several_fits:
        return epoch_s
    return epoch_s * int(arguments.get("epochs", 1))


def _arguments_of_loop(code: UserCode, hp: Any) -> dict[str, Any]:
    """Return a training loop's data as arguments of `fit`; empty where they are of a form that only the loop knows."""
    try:
        return fit_arguments(code.data.of(hp))
    except TypeError:
        return {}


def _run_loop(loop: UserLoop, code: UserCode, hp: Any, trace: Trace, settings: Settings, seen: _Seen) -> Any:
    """Run a training loop up to its first report; return what it returned."""
    data = code.data.of(hp)
    arguments = {**sweep_arguments(trace, settings), "epochs": 1}
    try:
        return loop.run(hp, Report(seen, arguments), data)
    except StopTraining:
        return None


def _returned(result: Any, settings: Settings) -> dict[str, float]:
    returned = fit_result(result, settings.metric, settings.better)
    return {name: value for epoch in (*returned.epochs, returned.final) for name, value in epoch.items()}


def _after(
    logged: Mapping[str, float], settings: Settings, arguments: Mapping[str, Any], before: list[Finding]
) -> list[Finding]:
    """Return what the fit of one batch has shown."""
    found: list[Finding] = []
    if settings.fit.get("validation_freq", 1) == 1 and not any(one.code == "no-validation-data" for one in before):
        found += check_logged(fit_facts(settings, arguments), sorted(logged))
    endless = [name for name, value in logged.items() if not math.isfinite(value)]
    if endless and not errors(before):
        found.append(
            note(
                "loss-not-finite",
                "",
                f"after one batch at these values {endless[0]} is {logged[endless[0]]}; expected a finite number: look "
                "at the range of the inputs and at the learning rate",
            )
        )
    return found


# Answers --------------------------------------------------------------------------------------------------------------


def _size(model: Any, batch_size: Any) -> dict[str, Json]:
    batch = int(batch_size) if isinstance(batch_size, int | float) else KERAS_BATCH
    size = None if model is None else training_size(model, batch)
    return {
        "parameters": None if size is None else size.parameters,
        "trainable": None if size is None else size.trainable,
        "bytes": None if size is None else size.bytes,
        "batch_size": batch,
        "learning_rate": learning_rate(model),
        "optimizer": type(getattr(model, "optimizer", None)).__name__,
    }


def _read(trace: Trace) -> dict[str, Json]:
    return {"specs": [parameter.to_json() for parameter, _ in trace.used.values()], "params": dict(trace.params)}


def _failed(failure: BaseException, settings: Settings) -> dict[str, Any]:
    told = describe(failure, settings.root or os.getcwd())
    infeasible = type(failure).__name__ == "Infeasible"
    return {"type": "probed", "failed": told.reason, "infeasible": infeasible, "traceback": told.traceback}


def _rows(part: PartFacts) -> dict[str, Json]:
    return {"kind": str(part.kind), "looked_at": part.looked_at, "length": part.length}


class _Seen:
    """Notes what is logged, and which model."""

    def __init__(self) -> None:
        self.logs: dict[str, float] = {}
        self.model: Any = None
        self.epoch = 0
        self.number = 0
        self.unsaved: list[str] = []
        """What callbacks hold, and no checkpoint would."""

    def callback(self, others: Sequence[Any]) -> Any:
        """Return a Keras callback, the last one, that fills `logs` and sees what the others hold."""
        import keras

        before: list[dict[str, object]] = []

        def begin(logs: Any) -> None:
            before[:] = [marks_of(one) for one in others]

        def see(epoch: int, logs: Any) -> None:
            self._see(epoch, logs)
            self.unsaved = unsaved(others, before)

        return keras.callbacks.LambdaCallback(on_train_begin=begin, on_epoch_end=see)

    def report(self, metrics: Mapping[str, float], seconds: float | None = None, *, epoch: int | None = None) -> None:
        """Note the metrics."""
        del seconds
        self.logs |= dict(metrics)
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
