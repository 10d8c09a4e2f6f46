"""Tests of `kerasweep.cluster.measures`, on TensorFlow; JAX in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]

JAX = """
import numpy as np
import keras
from kerasweep.cluster.measures import measured

model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])
print(measured("flops", model), measured("latency_ms", model) > 0, measured("model_mb", model) > 0.002)
steps = keras.Sequential([keras.Input((6, 3)), keras.layers.SimpleRNN(4)])
print(measured("flops", steps) > 6 * 2 * 4 * (3 + 4))
"""


def dense(width: int = 10) -> Any:
    """Return a model of one layer of 64 inputs."""
    import keras

    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(width)])


def test_operations_of_known_layers() -> None:
    """A multiply-add is two; a bias one; a convolution goes over its places; a recurrent layer over its steps."""
    import keras

    from kerasweep.cluster.measures import measured

    assert measured("flops", dense()) == 2 * 64 * 10 + 10
    convolution = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(5, 3, padding="same", use_bias=False)])
    assert measured("flops", convolution) == 2 * 8 * 8 * 5 * 3 * 3 * 3
    steps = keras.layers.SimpleRNN(4, activation="linear", use_bias=False)
    recurrent = keras.Sequential([keras.Input((6, 3)), steps])
    per_step = 2 * 4 * 3 + 2 * 4 * 4
    assert 6 * per_step <= measured("flops", recurrent) < 7 * per_step
    assert steps.unroll is False


def test_open_shapes_are_those_of_the_data() -> None:
    """Any structure of inputs; an axis of any length is as long as the first sample's, of arrays and of datasets."""
    import keras
    import numpy as np
    import tensorflow as tf

    from kerasweep.cluster.measures import measured, sample_of

    inputs: dict[str, Any] = {"steps": keras.Input((None, 3), name="steps"), "whole": keras.Input((4,), name="whole")}
    layers = cast(Any, keras.layers)
    pooled = layers.GlobalAveragePooling1D()(layers.Dense(2, use_bias=False)(inputs["steps"]))
    model = keras.Model(inputs, layers.Concatenate()([pooled, inputs["whole"]]))
    arrays: dict[str, Any] = {"steps": np.ones((9, 7, 3), "float32"), "whole": np.ones((9, 4), "float32")}
    assert {name: one.shape for name, one in sample_of(model, arrays).items()} == {"steps": (1, 7, 3), "whole": (1, 4)}
    dataset = tf.data.Dataset.from_tensor_slices(cast(Any, (arrays, np.zeros(9)))).batch(3)
    assert sample_of(model, dataset)["steps"].shape == (1, 7, 3)
    assert measured("flops", model, arrays) >= 2 * 7 * 3 * 2
    with pytest.raises(ValueError, match="neither arrays nor a dataset"):
        sample_of(model)


def test_a_batch_that_the_model_fixes_counts_per_sample() -> None:
    """Operations are of one sample."""
    import keras

    from kerasweep.cluster.measures import measured

    fixed = keras.Sequential([keras.Input(batch_shape=(4, 64)), keras.layers.Dense(10, use_bias=False)])
    assert measured("flops", fixed) == 2 * 64 * 10


def test_strings_are_taken_from_the_data() -> None:
    """A text is no zero."""
    import keras
    import numpy as np

    from kerasweep.cluster.measures import measured

    words = keras.layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=4)
    model = keras.Sequential([keras.Input((1,), dtype="string"), words, keras.layers.Embedding(4, 2)])
    assert measured("latency_ms", model, np.array([["a b"], ["b"]], dtype=object)) > 0


def test_the_file_is_what_export_writes() -> None:
    """To the byte, optimizer's state left out; the model keeps its optimizer."""
    import numpy as np

    from kerasweep.cluster.measures import measured

    model = dense(2000)
    model.compile("adam", "mse")
    before = measured("model_mb", model)
    optimizer = model.optimizer
    model.fit(np.zeros((2, 64)), np.zeros((2, 2000)), verbose=0)
    assert measured("model_mb", model) == pytest.approx(before, rel=0.01)
    assert 4 * 65 * 2000 / 1e6 < before < 4 * 65 * 2000 / 1e6 * 1.2
    assert model.optimizer is optimizer


def test_latency_is_of_inference() -> None:
    """Of the model as it infers: nothing is trained, no dropout; it takes some time, and the larger one more."""
    import keras

    from kerasweep.cluster.measures import measured

    small, large = dense(), keras.Sequential([keras.Input((64,)), *(keras.layers.Dense(3000) for _ in range(4))])
    before = [weights.copy() for weights in small.get_weights()]
    assert 0 < measured("latency_ms", small) < measured("latency_ms", large)
    assert all((one == other).all() for one, other in zip(before, small.get_weights(), strict=True))


def test_jax_counts_alike(tmp_path: Path) -> None:
    """By XLA's own analysis."""
    pytest.importorskip("jax")
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", JAX], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1290.0", "True", "True", "True"]
