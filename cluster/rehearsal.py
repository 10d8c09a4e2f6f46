"""Looking before spending: models built without data, and one of them inspected and fitted for one batch."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from typing import Any

from ..spaces.errors import BadInput, did_you_mean
from ..spaces.hp import hyperparameters_class
from ..spaces.parameter import Boolean
from ..spaces.space import Declared
from ..spaces.trace import Trace
from ..spaces.trial import Json, Scalar
from .call_sites import CallSites, site_of_function
from .data_facts import Part, data_facts, first_rows
from .facts import DataFacts, FitFacts, ModelFacts
from .failure import describe
from .finding import Finding, error, errors, in_order, note
from .fit_checks import check_logged
from .hypermodel import callbacks_for, plain_metrics
from .inspection import inspect
from .link import Message
from .memory import training_size
from .model_facts import learning_rate, model_facts
from .training import Settings, UserCode, clean_up, declared_by_name, fit_arguments_of

FIRST = 32
"""So many samples are predicted where a model does not say what its outputs are like."""
KERAS_BATCH = 32
"""Keras's batch size where none is given."""


def probe(code: UserCode, settings: Settings, params: Mapping[str, Scalar]) -> Message:
    """Build at a point of the space, without any data; never raises."""
    trace = _trace(settings, params)
    began = time.monotonic()
    try:
        model = _built(code, trace)
        batch = _batch_size(fit_arguments_of(code, trace, settings))
    except BaseException as failure:
        return {**_failed(failure, settings), **_read(trace)}
    answer = {"type": "probed", "failed": "", **_read(trace), **_size(model, batch), "build_s": time.monotonic() - began}
    del model
    clean_up()
    return answer


def rehearse(code: UserCode, settings: Settings, params: Mapping[str, Scalar]) -> Message:
    """Build at a point of the space, inspect the model and the data, fit one batch and validate; never raises."""
    import keras

    trace = _trace(settings, params)
    root = settings.root or os.getcwd()
    sites = CallSites(root)
    began = time.monotonic()
    try:
        with sites.noting():
            model = _built(code, trace)
        built_s = time.monotonic() - began
        arguments = fit_arguments_of(code, trace, settings)
    except BaseException as failure:
        return {**_failed(failure, settings), **_read(trace)}
    findings, data = inspected(code, model, arguments, sites, settings)
    keras.config.set_max_epochs(1)
    keras.config.set_max_steps_per_epoch(1)
    seen = _SeenLogs()
    began = time.monotonic()
    try:
        hp = hyperparameters_class()(trace)
        callbacks = [*callbacks_for(arguments.get("callbacks"), hp), seen.callback()]
        result = code.model.fit(hp, model, {**arguments, "callbacks": callbacks})
        logged = seen.logs or plain_metrics(_last(getattr(result, "history", None)))
        findings += _after(findings, logged, fit_facts(settings, arguments), settings)
    except BaseException as failure:
        logged = {}
        told = describe(failure, root)
        findings.append(error("fit-fails", "", f"training one batch fails: {told.reason}"))
    return {
        "type": "probed",
        "failed": "",
        **_read(trace),
        **_size(model, _batch_size(arguments)),
        "unread": [name for name in trace.declared if name not in trace.params],
        "logged": sorted(logged),
        "findings": [one.to_json() for one in in_order(findings)],
        "rows": {"training": _rows(data.train), "validation": _rows(data.validation)},
        "build_s": built_s,
        "batch_s": time.monotonic() - began,
    }


def inspected(
    code: UserCode, model: Any, arguments: dict[str, Any], sites: CallSites, settings: Settings
) -> tuple[list[Finding], DataFacts]:
    """Return what is wrong with a model and the arguments of its `fit`, and what was seen of the data; never raises."""
    root = settings.root or os.getcwd()
    data = DataFacts()
    try:
        data, train = data_facts(arguments, code.data_where)
        facts = _facts(code, model, sites, root)
        if not facts.own_step and any(not one.activation or one.shape is None for one in facts.outputs):
            facts = _facts(code, model, sites, root, _predictions(model, train))
        return inspect(facts, data, fit_facts(settings, arguments)), data
    except Exception as failure:  # a look must not be what fails
        told = describe(failure, root)
        return [note("not-inspected", "", f"the model and the data could not be inspected: {told.reason}")], data


def check(code: UserCode, settings: Settings) -> list[Finding]:
    """Return the errors that show without training: the model at its defaults, and the data that is in memory.

    A model that does not build at its defaults says so in its trials.
    """
    trace = _trace(settings, {})
    root = settings.root or os.getcwd()
    sites = CallSites(root)
    try:
        with sites.noting():
            model = _built(code, trace)
        arguments = fit_arguments_of(code, trace, settings)
        data, _ = data_facts(arguments, code.data_where, read=False)
        return errors(inspect(_facts(code, model, sites, root), data, fit_facts(settings, arguments)))
    except Exception:
        return []


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


# Parts ----------------------------------------------------------------------------------------------------------------


def fit_facts(settings: Settings, arguments: Mapping[str, Any]) -> FitFacts:
    """Return what the checks go by of the arguments of `fit` and the objective."""
    batch = declared_by_name(settings.declared).get("fit/batch_size")
    return FitFacts(
        metric=settings.metric,
        maximize=settings.maximize,
        epochs=_whole(arguments.get("epochs")) or 1,
        batch_size=_whole(arguments.get("batch_size")),
        largest_batch=None if batch is None else _largest(batch),
        searched_batch=batch is not None,
        steps=_whole(arguments.get("steps_per_epoch")),
        validation_steps=_whole(arguments.get("validation_steps")),
        validation_split=float(arguments.get("validation_split") or 0.0),
        class_weight=arguments.get("class_weight"),
    )


def _largest(declared: Declared) -> int | None:
    parameter = declared.parameter
    values = [] if isinstance(parameter, Boolean) else [getattr(parameter, "max", None), getattr(parameter, "value", None)]
    values += list(getattr(parameter, "values", ()))
    return max((int(one) for one in values if isinstance(one, int | float)), default=None)


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _batch_size(arguments: Mapping[str, Any]) -> int:
    return _whole(arguments.get("batch_size")) or KERAS_BATCH


def _trace(settings: Settings, params: Mapping[str, Scalar]) -> Trace:
    return Trace(assigned=params, declared=declared_by_name(settings.declared))


def _built(code: UserCode, trace: Trace) -> Any:
    import keras

    keras.config.set_dtype_policy(code.dtype_policy)
    keras.utils.set_random_seed(0)
    return code.model.build(hyperparameters_class()(trace))


def _facts(code: UserCode, model: Any, sites: CallSites, root: str, predictions: Any = None) -> ModelFacts:
    where = site_of_function(code.model.source, root)
    return model_facts(model, sites, where, own_fit=code.model.own_fit, predictions=predictions)


def _predictions(model: Any, train: Part) -> Any:
    """Return what the model predicts for the first samples; None where it cannot."""
    try:
        return model(first_rows(train.x, FIRST), training=False)
    except Exception:  # the fit of one batch will say what is wrong
        return None


def _size(model: Any, batch_size: int) -> dict[str, Json]:
    size = training_size(model, batch_size)
    return {
        "parameters": None if size is None else size.parameters,
        "trainable": None if size is None else size.trainable,
        "bytes": None if size is None else size.bytes,
        "batch_size": batch_size,
        "learning_rate": learning_rate(model),
        "optimizer": type(getattr(model, "optimizer", None)).__name__,
    }


def _read(trace: Trace) -> dict[str, Json]:
    return {"specs": [parameter.to_json() for parameter, _ in trace.used.values()], "params": dict(trace.params)}


def _failed(failure: BaseException, settings: Settings) -> dict[str, Any]:
    told = describe(failure, settings.root or os.getcwd())
    infeasible = type(failure).__name__ == "Infeasible"
    return {"type": "probed", "failed": told.reason, "infeasible": infeasible, "traceback": told.traceback}


def _rows(part: Any) -> dict[str, Json]:
    return {"kind": str(part.kind), "looked_at": part.looked_at, "length": part.length}


def _after(findings: list[Finding], logged: Mapping[str, float], fit: FitFacts, settings: Settings) -> list[Finding]:
    found: list[Finding] = []
    frequency = settings.fit.get("validation_freq", 1)
    if frequency == 1 and not any(one.code == "no-validation-data" for one in findings):
        found += check_logged(fit, sorted(logged))
    endless = [name for name, value in logged.items() if not math.isfinite(value)]
    if endless and not errors(findings):
        found.append(
            note(
                "loss-not-finite",
                "",
                f"after one batch at these values {endless[0]} is {logged[endless[0]]}; expected a finite number: look "
                "at the range of the inputs and at the learning rate",
            )
        )
    return found


def _last(history: Any) -> dict[str, Any]:
    return {name: values[-1] for name, values in (history or {}).items() if values}


class _SeenLogs:
    """Notes what a fit logs."""

    def __init__(self) -> None:
        self.logs: dict[str, float] = {}

    def callback(self) -> Any:
        """Return a Keras callback that fills `logs`."""
        import keras

        return keras.callbacks.LambdaCallback(on_epoch_end=self._see)

    def _see(self, epoch: int, logs: Any) -> None:
        del epoch
        self.logs |= plain_metrics(logs)
