"""A Keras model, looked at: its inputs, outputs, losses and metrics as facts for the checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from .call_sites import CallSites
from .facts import InputFacts, ModelFacts, OutputFacts, Shape
from .layers import input_use, output_activation
from .losses import loss_facts, metric_name


def model_facts(
    model: Any, sites: CallSites, where: str, *, own_fit: bool = False, predictions: Any = None
) -> ModelFacts:
    """Return what is known of a model.

    Args:
        model: What `build(hp)` returned.
        sites: Where its layers were made.
        where: The function that builds it, as `model.py:12`.
        own_fit: Whether the hypermodel trains it in a way of its own.
        predictions: What it predicts for the first samples, where that was tried.
    """
    import keras

    own_step = any(
        getattr(cast(Any, type(model)), name, None) is not getattr(keras.Model, name, None)
        for name in ("train_step", "compute_loss", "_compute_loss", "fit")
    )
    graph = graph_of(model)
    outputs = _outputs(graph, sites) if graph is not None else ()
    compiled = bool(getattr(model, "compiled", False))
    compile_where = sites.of_compile(model) or where
    facts = ModelFacts(
        inputs=None if graph is None else _inputs(graph, sites),
        outputs=_seen(outputs or _declared_outputs(model, sites, where), predictions, known=bool(outputs)),
        compiled=compiled or own_fit or own_step,
        has_loss=not compiled or getattr(model, "loss", None) is not None or bool(_added_losses(model)),
        own_step=own_step,
        own_fit=own_fit,
        trainable=_trainable(model),
        optimizer=type(getattr(model, "optimizer", None)).__name__,
        learning_rate=learning_rate(model),
        where=where,
        compile_where=compile_where,
    )
    return _with_losses(facts, model, sites) if compiled else facts


def graph_of(model: Any) -> Any:
    """Return the functional form of a model; None for a subclassed one and for a Sequential that is not built."""
    import keras

    functional = getattr(model, "_functional", None)  # a Sequential's
    if functional is not None:
        return functional
    return model if hasattr(model, "_nodes_by_depth") and not isinstance(model, keras.Sequential) else None


def learning_rate(model: Any) -> float | None:
    """Return the optimizer's learning rate at the first step, where there is one to be had."""
    rate = getattr(getattr(model, "optimizer", None), "learning_rate", None)
    try:
        return None if rate is None else float(np.asarray(rate))
    except (TypeError, ValueError):
        return None


def _trainable(model: Any) -> int | None:
    try:
        return len(model.trainable_variables) if model.built else None
    except (AttributeError, ValueError):
        return None


def _added_losses(model: Any) -> Sequence[Any]:
    layers = cast(Iterable[Any], model._flatten_layers()) if hasattr(model, "_flatten_layers") else ()
    custom = [layer for layer in layers if not type(layer).__module__.startswith("keras.")]
    return custom or list(getattr(model, "losses", ()))


def _inputs(graph: Any, sites: CallSites) -> tuple[InputFacts, ...]:
    facts: list[InputFacts] = []
    struct: Any = getattr(graph, "_inputs_struct", None)
    # Keras flattens a dict of inputs by its sorted keys, not in its order
    by_name: Mapping[str, Any] = cast(Any, struct) if isinstance(struct, dict) else {}
    keys = {id(one): str(key) for key, one in by_name.items()}
    for tensor in graph.inputs:
        use, layer, vocabulary = input_use(graph, tensor)
        facts.append(
            InputFacts(
                name=keys.get(id(tensor), str(tensor.name)),
                shape=_inner(tensor.shape),
                dtype=str(tensor.dtype),
                use=use,
                vocabulary=vocabulary,
                where="" if layer is None else sites.of_layer(layer),
            )
        )
    return tuple(facts)


def _outputs(graph: Any, sites: CallSites) -> tuple[OutputFacts, ...]:
    names = list(getattr(graph, "output_names", ()) or ())
    facts: list[OutputFacts] = []
    for index, tensor in enumerate(graph.outputs):
        activation, layer, twice = output_activation(tensor)
        facts.append(
            OutputFacts(
                name=names[index] if index < len(names) else str(tensor.name),
                shape=_inner(tensor.shape),
                activation=activation,
                where="" if layer is None else sites.of_layer(layer),
                twice=twice,
                dtype=str(tensor.dtype),
            )
        )
    return tuple(facts)


def _declared_outputs(model: Any, sites: CallSites, where: str) -> tuple[OutputFacts, ...]:
    """Return what a subclassed or unbuilt model says of its outputs: a Sequential its last layer, others nothing."""
    import keras

    if isinstance(model, keras.Sequential) and model.layers:
        last: Any = model.layers[-1]
        units = getattr(last, "units", None)
        activation = getattr(getattr(last, "activation", None), "__name__", "") if units else ""
        site = sites.of_layer(last) or where
        return (
            OutputFacts(name=str(last.name), shape=(int(units),) if units else None, activation=activation, where=site),
        )
    return (OutputFacts(name="the output", shape=None, where=where),)


def _seen(outputs: tuple[OutputFacts, ...], predictions: Any, *, known: bool) -> tuple[OutputFacts, ...]:
    """Return the outputs with what was predicted: its range, and shapes and names where the model does not say."""
    arrays = _arrays(predictions)
    if not arrays:
        return outputs
    if not known and len(arrays) != len(outputs):
        outputs = tuple(replace(outputs[0], name=name) for name, _ in arrays)
    if len(arrays) != len(outputs):
        return outputs
    return tuple(
        replace(
            output,
            name=name if not known and len(arrays) > 1 else output.name,
            shape=output.shape if output.shape is not None and known else _inner(array.shape),
            seen=_range(array),
        )
        for output, (name, array) in zip(outputs, arrays, strict=True)
    )


def _arrays(predictions: Any) -> list[tuple[str, Any]]:
    if predictions is None:
        return []
    if isinstance(predictions, Mapping):
        named = cast(Mapping[str, Any], predictions)
        return [(str(name), np.asarray(one)) for name, one in named.items()]
    several = cast(Sequence[Any], predictions) if isinstance(predictions, list | tuple) else [predictions]
    return [(f"output {index}", np.asarray(one)) for index, one in enumerate(several)]


def _range(array: Any) -> tuple[float, float, bool] | None:
    if array.dtype.kind != "f" or not array.size or not np.isfinite(array).all():
        return None
    sums = array.sum(axis=-1, dtype="float64") if array.ndim > 1 else array
    low, high = float(array.min()), float(array.max())
    return low, high, bool(low >= 0 and np.allclose(sums, 1.0, atol=1e-3))


def _inner(shape: Iterable[int | None]) -> Shape:
    return tuple(None if one is None else int(one) for one in list(shape)[1:])


# Losses and metrics ---------------------------------------------------------------------------------------------------


def _with_losses(facts: ModelFacts, model: Any, sites: CallSites) -> ModelFacts:
    names = [output.name for output in facts.outputs]
    loss: Any = getattr(model, "loss", None)
    user_metrics: Any = getattr(getattr(model, "_compile_metrics", None), "_user_metrics", None)
    losses, unknown_losses = _by_output(loss, names)
    metrics, unknown_metrics = _by_output(user_metrics, names, lists=True)
    loss_where = sites.of_compile(model, "loss") or facts.compile_where
    metrics_where = sites.of_compile(model, "metrics") or facts.compile_where
    outputs = tuple(
        replace(
            output,
            loss=loss_facts(losses[output.name], loss_where),
            metrics=tuple(metric_name(one) for one in _flat(metrics[output.name])),
            metrics_where=metrics_where,
            where=output.where or facts.where,
        )
        for output in facts.outputs
    )
    several = len(names) > 1 and loss is not None
    return replace(
        facts,
        outputs=outputs,
        unknown_names=(*(("loss", one) for one in unknown_losses), *(("metrics", one) for one in unknown_metrics)),
        missing_losses=tuple(name for name in names if several and losses[name] is None),
    )


def _by_output(value: Any, names: list[str], *, lists: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Return what `compile` was given, by output, and the keys that are no output's."""
    if isinstance(value, Mapping):
        given = cast(Mapping[str, Any], value)
        return {name: given.get(name) for name in names}, [key for key in given if key not in names]
    if isinstance(value, list | tuple) and not (lists and len(names) == 1):
        several = cast(Sequence[Any], value)
        nested = not lists or any(isinstance(one, list | tuple) for one in several)
        if nested and len(several) == len(names):
            return dict(zip(names, several, strict=True)), []
        if lists and len(several) == len(names):
            return dict(zip(names, several, strict=True)), []
        return dict.fromkeys(names), []
    return dict.fromkeys(names, cast(Any, value)), []


def _flat(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(cast(Sequence[Any], value)) if isinstance(value, list | tuple) else [value]
