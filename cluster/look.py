"""A look at a model and its data: facts drawn from both, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..spaces.known import Declared
from ..spaces.parameter import Boolean
from .call_sites import CallSites, site_of_function
from .data_facts import Part, data_facts, first_rows
from .facts import DataFacts, FitFacts, ModelFacts
from .failure import describe
from .finding import Finding, note
from .hypermodel import UserModel
from .inspection import inspect, inspect_data
from .model_facts import model_facts
from .settings import Settings, declared_by_name
from .user_code import UserCode

FIRST = 32
"""So many samples are predicted where a model does not say what its outputs are like."""


def look_at(
    code: UserCode, model: Any, arguments: dict[str, Any], sites: CallSites, settings: Settings, *, read: bool = True
) -> tuple[list[Finding], DataFacts]:
    """Return what is wrong with a model and the arguments of its `fit`, and what was seen of the data; never raises.

    Args:
        code: The user's program.
        model: What it built, not trained; None for a training loop, which makes its own.
        arguments: Of `fit`; a generator is put together again.
        sites: Where the layers were made.
        settings: The sweep's.
        read: Whether to read from datasets and to predict; otherwise only what is in memory is looked at.
    """
    root = settings.root or os.getcwd()
    data = DataFacts()
    try:
        where = "" if code.data.function is None else site_of_function(code.data.function, root)
        data, train = data_facts(arguments, where, read=read)
        fit = fit_facts(settings, arguments)
        if model is None:
            return inspect_data(data, fit), data
        facts = _model_facts(code, model, sites, root)
        if read and not facts.own_step and any(not one.activation or one.shape is None for one in facts.outputs):
            facts = _model_facts(code, model, sites, root, _predictions(model, train))
        return inspect(facts, data, fit), data
    except Exception as failure:  # a look must not be what fails
        told = describe(failure, root)
        return [note("not-inspected", "", f"the model and the data could not be inspected: {told.reason}")], data


def fit_facts(settings: Settings, arguments: Mapping[str, Any]) -> FitFacts:
    """Return what the checks go by of the arguments of `fit` and the objective."""
    batch = declared_by_name(settings.declared).get("fit/batch_size")
    return FitFacts(
        metric=settings.metric,
        goals=tuple(settings.goals),
        names=tuple(settings.names),
        maximize=settings.maximize,
        epochs=_whole(arguments.get("epochs")) or 1,
        batch_size=_whole(arguments.get("batch_size")),
        largest_batch=None if batch is None else _largest(batch),
        searched_batch=batch is not None,
        steps=_whole(arguments.get("steps_per_epoch")),
        validation_steps=_whole(arguments.get("validation_steps")),
        validation_split=float(arguments.get("validation_split") or 0.0),
        folds=settings.folds,
        class_weight=arguments.get("class_weight"),
    )


def _largest(declared: Declared) -> int | None:
    parameter = declared.parameter
    values = (
        [] if isinstance(parameter, Boolean) else [getattr(parameter, "max", None), getattr(parameter, "value", None)]
    )
    values += list(getattr(parameter, "values", ()))
    return max((int(one) for one in values if isinstance(one, int | float)), default=None)


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _model_facts(code: UserCode, model: Any, sites: CallSites, root: str, predictions: Any = None) -> ModelFacts:
    own = isinstance(code.model, UserModel) and code.model.own_fit
    source = code.model.source if isinstance(code.model, UserModel) else None
    return model_facts(model, sites, site_of_function(source, root), own_fit=own, predictions=predictions)


def _predictions(model: Any, train: Part) -> Any:
    """Return what the model predicts for the first samples; None where it cannot."""
    try:
        return model(first_rows(train.x, FIRST), training=False)
    except Exception:  # the fit of one batch will say what is wrong
        return None
