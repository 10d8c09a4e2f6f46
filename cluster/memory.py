"""An estimate of the memory that training a model takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any, cast

from .layers import inner_graph, nodes

FORMULA = "weights + gradients + optimizer slots + batch x activations, each kept once for the backward pass"

SLOTS = {
    "adam": 2,
    "adamw": 2,
    "nadam": 2,
    "adamax": 2,
    "lamb": 2,
    "adadelta": 2,
    "ftrl": 2,
    "adagrad": 1,
    "lion": 1,
    "muon": 2,
    "rmsprop": 1,
    "sgd": 0,
    "adafactor": 0,
}
"""Variables of a weight's size that an optimizer keeps; two where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A model's numbers of weights, and the bytes that training it is estimated to take."""

    parameters: int
    trainable: int
    bytes: int


def training_size(model: Any, batch_size: int) -> Size | None:
    """Return a built model's size; None where it is not built before `fit`.

    Bytes = weights x width + trainable x width x (1 + slots) + batch_size x the outputs of all layers x width, with
    the width of the dtype policy (4 for float32). The backward pass needs the layers' outputs (Chen et al., Training
    Deep Nets with Sublinear Memory Cost, 2016); work space of kernels and fragmentation come on top.
    """
    try:
        weights = [*model.weights] if model.built else None
    except (AttributeError, ValueError):
        return None
    if not weights:
        return None
    trainable = list(cast(Iterable[Any], model.trainable_variables))
    weight_bytes = sum(_count(one) * _width(str(one.dtype)) for one in weights)
    trained_bytes = sum(_count(one) * _width(str(one.dtype)) for one in trainable)
    return Size(
        parameters=sum(map(_count, weights)),
        trainable=sum(map(_count, trainable)),
        bytes=weight_bytes + trained_bytes * (1 + slots_of(model)) + batch_size * activation_bytes(model),
    )


def slots_of(model: Any) -> int:
    """Return how many variables of a weight's size the optimizer keeps, its moving average included."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return 0
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    slots = SLOTS.get(type(inner).__name__.lower(), 2)
    slots += type(inner).__name__ == "SGD" and bool(getattr(inner, "momentum", 0))
    slots += bool(getattr(inner, "amsgrad", False))
    return slots + bool(getattr(inner, "use_ema", False))


def activation_bytes(model: Any) -> int:
    """Return the bytes of all layers' outputs for one sample; unknown axes count as one."""
    total = 0
    graph = getattr(model, "_functional", None) or model
    for node in nodes(graph):
        inner = inner_graph(node.operation)
        if inner is not None:
            total += activation_bytes(inner)
            continue
        for output in node.outputs:
            total += prod(one or 1 for one in output.shape[1:]) * _width(str(output.dtype))
    return total


def _count(variable: Any) -> int:
    return prod(int(one) for one in variable.shape)


def _width(dtype: str) -> int:
    digits = "".join(char for char in dtype if char.isdigit())
    return max(1, int(digits) // 8) if digits else 1


def size_in_words(size: int) -> str:
    """Return `12 MB`."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"
