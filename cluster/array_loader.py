"""Arrays as the batches of a fit, in an order that is a function of the trial's seed and the epoch.

Keras's own order follows from all random numbers that were drawn before, so that a fit resumed at epoch 3 would see
epoch 0's order; and Keras starts its pipelines, of training and validation, four times an epoch, which is a fifth of a
short trial. Here they are made once for all trials of a trainer, and training's is started once a fit.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, final

PARTS = ("x", "y", "sample_weight")
BATCH = 32
"""Keras's own default."""
KINDS = "biuf"
KEPT = 16
"""So many pipelines are kept: one for each batch size, of training and of validation."""
_REPLACED = (*PARTS, "batch_size", "validation_split", "shuffle")


@final
class ArrayLoader:
    """Makes datasets of arrays, and keeps them for the trials to come."""

    def __init__(self) -> None:
        self._pipelines: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        self._tensors: dict[int, tuple[Any, Any]] = {}
        self._start: Any = None

    def arguments(self, arguments: Mapping[str, Any], model: Any, *, seed: int, epoch: int = 0) -> dict[str, Any]:
        """Return arguments of `fit` with datasets in the place of arrays, or as they are where that cannot be.

        It can be for NumPy arrays and tensors of one length, single or nested. Left to Keras are data that it refuses
        or converts (text, objects, DataFrames, sparse arrays), `steps_per_epoch`, `shuffle="batch"`, several devices,
        weights of samples for several outputs, executions of several steps that do not divide the epoch, and a model
        whose own `fit` names the arrays.

        Args:
            arguments: Of `fit`, by Keras's names.
            model: To be fitted.
            seed: Of the order; any integer.
            epoch: The first, counted from 0: the order goes on as if those before it had been seen.
        """
        given = dict(arguments)
        arrays = [given.get(name) for name in PARTS]
        samples = _samples(arrays)
        if not samples or not _is_for(model) or not _is_ordinary(given):
            return given
        batch = given.get("batch_size") or BATCH
        train = samples if given.get("validation_data") is not None else _split_at(samples, given)
        steps = math.ceil(train / batch)
        validation = self._validation(given, model, train, batch)
        if validation is None or not train or steps % model.steps_per_execution:
            return given
        self._start_at(seed, epoch)
        shuffled = given.get("shuffle") is not False
        loaded = {name: one for name, one in given.items() if name not in _REPLACED}
        loaded |= {"x": self._dataset(arrays, range(train), batch, shuffled=shuffled), "steps_per_epoch": steps}
        return {**loaded, "shuffle": False, **validation}

    def _validation(self, given: Mapping[str, Any], model: Any, train: int, batch: int) -> dict[str, Any] | None:
        """Return the arguments that say on what is validated; None where the training arrays cannot be shared out."""
        size: int = given.get("validation_batch_size") or batch
        held = given.get("validation_data")
        arrays = _parts(held) if held is not None else [given.get(name) for name in PARTS]
        samples = _samples(arrays)
        part = range(0 if held is not None else train, samples)
        if held is None and not part:
            return {}
        steps = math.ceil(len(part) / size)
        if not part or steps % model.steps_per_execution or given.get("validation_steps") is not None:
            kept = {"validation_data": held, "validation_batch_size": size if _has_arrays(held) else None}
            return None if held is None else kept
        dataset = self._dataset(arrays, part, size, shuffled=False)
        return {"validation_data": dataset, "validation_steps": steps, "validation_batch_size": None}

    def _start_at(self, seed: int, epoch: int) -> None:
        self._start_variable().assign([seed % 2**63, epoch])

    def _start_variable(self) -> Any:
        if self._start is None:
            tf = _tensorflow()
            with tf.device("cpu:0"):
                self._start = tf.Variable([0, 0], dtype="int64", trainable=False)
        return self._start

    def _dataset(self, arrays: Sequence[Any], part: range, batch: int, *, shuffled: bool) -> Any:
        """Return the batches of epoch after epoch, without end, of a part of the samples."""
        import keras

        packed = cast(Any, keras.utils).pack_x_y_sample_weight(*arrays)
        key = (*map(id, _leaves(packed)), part, batch, shuffled)
        if key not in self._pipelines:
            while len(self._pipelines) >= KEPT:
                del self._pipelines[next(iter(self._pipelines))]
            tensors = _mapped(self._tensor, packed)
            start = self._start_variable() if shuffled else None
            self._pipelines[key] = (packed, _pipeline(tensors, part, batch, start))
        return self._pipelines[key][1]

    def _tensor(self, array: Any) -> Any:
        """Return an array as a tensor in the host's memory, of Keras's float type where it is one of floats."""
        import keras

        tf = _tensorflow()
        if id(array) not in self._tensors:
            with tf.device("cpu:0"):
                tensor = tf.convert_to_tensor(array)
                floats = tensor.dtype.is_floating and tensor.dtype.name != keras.config.floatx()
                self._tensors[id(array)] = (array, tf.cast(tensor, keras.config.floatx()) if floats else tensor)
        return self._tensors[id(array)][1]


def _pipeline(tensors: Any, part: range, batch: int, start: Any) -> Any:
    """Return a dataset of batches without end; in the order that follows from `start`, a variable (seed, epoch)."""
    tf = _tensorflow()
    full = len(part) // batch * batch

    def order(epoch: Any) -> Any:
        samples = tf.range(part.start, part.stop, dtype=tf.int64)
        if start is None:
            return samples
        return tf.random.experimental.stateless_shuffle(samples, seed=tf.stack([start[0], start[1] + epoch]))

    def batches(samples: Any) -> Any:
        found = tf.data.Dataset.from_tensor_slices(tf.reshape(samples[:full], [-1, batch]))
        rest = samples[full:]
        return found.concatenate(tf.data.Dataset.from_tensors(rest)) if full < len(part) else found

    def taken(samples: Any) -> Any:
        return _mapped(lambda tensor: tf.gather(tensor, samples), tensors)

    threads: int = tf.config.threading.get_intra_op_parallelism_threads()  # 0: as many as there are cores
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = (
        False  # they cost more than they give, on each start
    )
    options.autotune.enabled = False
    options.threading.private_threadpool_size = threads
    orders = tf.data.Dataset.counter().map(order).prefetch(1)
    return (
        orders.flat_map(batches)
        .map(taken, num_parallel_calls=None if threads == 1 else threads or tf.data.AUTOTUNE)
        .prefetch(2)
        .with_options(options)
    )


def _is_for(model: Any) -> bool:
    """Say whether a model is fitted by Keras's own loop on one device, and does not look at the arrays itself."""
    import keras

    if keras.backend.backend() != "tensorflow" or not isinstance(model, keras.Model):
        return False
    fit: Any = cast(Any, type(model)).fit
    own = not fit.__module__.startswith("keras.") and not {"x", "y"}.isdisjoint(inspect.signature(fit).parameters)
    steps: Any = cast(Any, model).steps_per_execution
    return not own and isinstance(steps, int) and cast(Any, model).distribute_strategy.num_replicas_in_sync == 1


def _is_ordinary(given: Mapping[str, Any]) -> bool:
    """Say whether the other arguments of `fit` leave the order of the samples to Keras."""
    batch = given.get("batch_size")
    return (
        given.get("steps_per_epoch") is None
        and given.get("shuffle") in (None, True, False)
        and (batch is None or (isinstance(batch, int) and batch > 0))
        and not (given.get("sample_weight") is not None and given.get("class_weight") is not None)
    )


def _split_at(samples: int, given: Mapping[str, Any]) -> int:
    """Return how many samples are trained on, as Keras counts them; 0 where it would refuse."""
    split = given.get("validation_split") or 0.0
    train = math.floor(samples * (1.0 - split))
    return train if not split or 0 < train < samples else 0


def _samples(arrays: Sequence[Any]) -> int:
    """Return the one length of all arrays; 0 where there is none, or something else than what is shared out here."""
    x, y, weights = arrays
    if x is None or (weights is not None and (y is None or isinstance(y, Mapping | list | tuple))):
        return 0
    leaves = [leaf for one in arrays if one is not None for leaf in _leaves(one)]
    lengths = {int(leaf.shape[0]) for leaf in leaves} if all(map(_is_array, leaves)) else set[int]()
    return lengths.pop() if len(lengths) == 1 else 0


def _parts(held: Any) -> list[Any]:
    """Return validation data as x, y and weights; all None where they are something else."""
    if not isinstance(held, tuple | list) or not 1 <= len(cast(Sequence[Any], held)) <= len(PARTS):
        return [None] * len(PARTS)
    given = list(cast(Sequence[Any], held))
    return given + [None] * (len(PARTS) - len(given))


def _has_arrays(held: Any) -> bool:
    return isinstance(held, tuple | list) or hasattr(held, "shape")


def _is_array(value: Any) -> bool:
    import numpy as np

    if type(value) in (np.ndarray, np.memmap):
        return value.ndim > 0 and value.dtype.kind in KINDS
    if not isinstance(value, _tensorflow().Tensor) or not hasattr(value, "numpy"):
        return False
    kind: Any = value.dtype
    return value.ndim > 0 and (kind.is_floating or kind.is_integer or kind.is_bool)


def _leaves(value: Any) -> list[Any]:
    found: list[Any] = []
    _mapped(found.append, value)
    return found


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Return a nesting with `function` applied to its leaves; lists become tuples, since a dataset would stack them."""
    if isinstance(value, Mapping):
        return {name: _mapped(function, one) for name, one in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return tuple(_mapped(function, one) for one in cast(Sequence[Any], value))
    return None if value is None else function(value)


def _tensorflow() -> Any:
    import tensorflow

    return tensorflow
