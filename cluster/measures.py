"""What is measured of a model itself: its operations, its size as a file, how long it infers.

One sample goes through the model as in inference, compiled as Keras's `predict` would. Of its shape what the model
leaves open is as in the first sample of the data. All is on the trainer's device, with its threads.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, cast

from .data_facts import first_rows, kind_of
from .facts import Kind

WARMING, FEWEST, MOST, ENOUGH_S = 3, 5, 51, 0.5
"""Inferences before those that are timed; of these so many at least, at most, and no more after so many seconds."""


def measured(name: str, model: Any, x: Any = None) -> float:
    """Return one measure of a built model.

    Args:
        name: `flops`, `model_mb` or `latency_ms`, as `spaces.bounds.MEASURES` explains them.
        model: It has weights already.
        x: Inputs to take a sample's shape from where the model leaves it open.

    Raises:
        Exception: it cannot be measured; whatever the model, its backend or its data raise.
    """
    if name == "model_mb":
        return _megabytes(model)
    sample = sample_of(model, x)
    backend = importlib.import_module("keras").backend.backend()
    if name == "flops":
        with _unrolled(model):
            return float(_OPERATIONS[backend](model, sample)) / _batch(sample)
    return _median_ms(_INFERENCE[backend](model, sample))


def sample_of(model: Any, x: Any = None) -> Any:
    """Return one sample in the structure that the model takes: zeros, or the data's first where shape or values matter.

    A batch that the model fixes stays as long as that.

    Raises:
        ValueError: the shape is open, and the data do not tell it.
    """
    import keras
    import numpy as np

    tree: Any = cast(Any, keras).tree
    inputs = _inputs(model)
    if inputs is None:
        return _first(x)
    open_axes = any(None in one.shape[1:] or str(one.dtype) == "string" for one in tree.flatten(inputs))
    if open_axes:
        return tree.pack_sequence_as(inputs, [np.asarray(one) for one in tree.flatten(_first(x))])

    def zeros(one: Any) -> Any:
        return np.zeros((one.shape[0] or 1, *one.shape[1:]), str(one.dtype))

    return tree.map_structure(zeros, inputs)


def _inputs(model: Any) -> Any:
    """Return the model's symbolic inputs in the structure that it takes; None for a model of a class of its own."""
    try:
        return model.input
    except (AttributeError, ValueError):
        pass
    try:
        (only,) = model.inputs  # of a Sequential that was never called
    except (AttributeError, TypeError, ValueError):
        return None
    return only


def _first(x: Any) -> Any:
    """Return the first sample of inputs as arrays; of a dataset it takes one batch."""
    import keras
    import numpy as np

    tree: Any = cast(Any, keras).tree
    kind = Kind.NONE if x is None else kind_of(x)
    if kind is Kind.ARRAYS:
        return first_rows(x, 1)
    if kind in (Kind.DATASET, Kind.SEQUENCE):
        batch: Any = cast(Any, x)[0] if kind is Kind.SEQUENCE else next(iter(cast(Any, x)))
        inputs: Any = cast(Any, batch[0] if isinstance(batch, tuple) else batch)

        def first(one: Any) -> Any:
            return np.asarray(one)[:1]

        return tree.map_structure(first, inputs)
    raise ValueError("the model leaves the shape of a sample open, and the data are neither arrays nor a dataset")


def _batch(sample: Any) -> int:
    import keras

    tree: Any = cast(Any, keras).tree
    return int(tree.flatten(sample)[0].shape[0])


# Operations -----------------------------------------------------------------------------------------------------------


@contextmanager
def _unrolled(model: Any) -> Generator[None]:
    """Have recurrent layers written out step by step: what counts operations counts a loop's body once."""
    layers = [one for one in _layers(model) if getattr(one, "unroll", None) is False]
    for layer in layers:
        layer.unroll = True
    try:
        yield
    finally:
        for layer in layers:
            layer.unroll = False


def _layers(model: Any) -> Iterator[Any]:
    yield from model._flatten_layers()


def _tensorflow_operations(model: Any, sample: Any) -> float:
    """Count with TensorFlow's profiler, in the graph of a concrete function; a multiply-add is two operations."""
    tf = importlib.import_module("tensorflow")
    profiler = tf.compat.v1.profiler

    def forward(x: Any) -> Any:
        return model(x, training=False)

    specs = [tf.TensorSpec(one.shape, one.dtype) for one in tf.nest.flatten(sample)]
    graph = tf.function(forward).get_concrete_function(tf.nest.pack_sequence_as(sample, specs)).graph
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation()).with_empty_output().build()
    return profiler.profile(graph, options=options).total_float_ops


def _jax_operations(model: Any, sample: Any) -> float:
    """Count with XLA's cost analysis; a multiply-add is two operations."""
    jax = importlib.import_module("jax")
    function, arguments = _jax_forward(model, sample)
    return jax.jit(function).lower(*arguments).cost_analysis()["flops"]


def _torch_operations(model: Any, sample: Any) -> float:
    """Count with PyTorch's counter: of matrix products, convolutions and attention; a multiply-add is two operations."""
    counter = importlib.import_module("torch.utils.flop_counter").FlopCounterMode(display=False)
    infer = _torch_inference(model, sample)
    with counter:
        infer()
    return counter.get_total_flops()


# Inference ------------------------------------------------------------------------------------------------------------


def _tensorflow_inference(model: Any, sample: Any) -> Callable[[], object]:
    tf = importlib.import_module("tensorflow")

    def forward(x: Any) -> Any:
        return model(x, training=False)

    function = tf.function(forward, jit_compile=bool(getattr(model, "jit_compile", False)))
    inputs = tf.nest.map_structure(tf.constant, sample)
    return lambda: [one.numpy() for one in tf.nest.flatten(function(inputs))]


def _jax_inference(model: Any, sample: Any) -> Callable[[], object]:
    jax = importlib.import_module("jax")
    function, arguments = _jax_forward(model, sample)
    compiled = jax.jit(function)
    return lambda: jax.block_until_ready(compiled(*arguments))


def _jax_forward(model: Any, sample: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    trained = [one.value for one in model.trainable_variables]
    others = [one.value for one in model.non_trainable_variables]

    def forward(trained: Any, others: Any, x: Any) -> Any:
        return model.stateless_call(trained, others, x, training=False)[0]

    return forward, (trained, others, sample)


def _torch_inference(model: Any, sample: Any) -> Callable[[], object]:
    import keras

    torch, api = importlib.import_module("torch"), cast(Any, keras)
    inputs = api.tree.map_structure(api.ops.convert_to_tensor, sample)

    def infer() -> object:
        with torch.no_grad():
            outputs = api.tree.flatten(model(inputs, training=False))
            return [api.ops.convert_to_numpy(one) for one in outputs]

    return infer


def _median_ms(infer: Callable[[], object]) -> float:
    for _ in range(WARMING):
        infer()
    times: list[float] = []
    while len(times) < FEWEST or (len(times) < MOST and sum(times) < ENOUGH_S):
        began = time.perf_counter()
        infer()
        times.append(time.perf_counter() - began)
    return median(times) * 1000


# The file -------------------------------------------------------------------------------------------------------------


def _megabytes(model: Any) -> float:
    """Save the model without its optimizer's state, as `best --export` does, and look at the file."""
    optimizer = getattr(model, "optimizer", None)
    with tempfile.TemporaryDirectory(prefix="kerasweep-") as folder:
        path = Path(folder) / "model.keras"
        try:
            if optimizer is not None:
                model.optimizer = None
            model.save(path)
        finally:
            if optimizer is not None:
                model.optimizer = optimizer
        return path.stat().st_size / 1e6


_OPERATIONS: Mapping[str, Callable[[Any, Any], float]] = {
    "tensorflow": _tensorflow_operations,
    "jax": _jax_operations,
    "torch": _torch_operations,
}
_INFERENCE: Mapping[str, Callable[[Any, Any], Callable[[], object]]] = {
    "tensorflow": _tensorflow_inference,
    "jax": _jax_inference,
    "torch": _torch_inference,
}
