# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
"""Two inputs seen by one network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .errors import BadInput
from .spans import Span, choose, doubling

if TYPE_CHECKING:
    import keras
    import keras_tuner

    Block = Callable[[keras_tuner.HyperParameters, keras.KerasTensor], keras.KerasTensor]

DISTANCES = ("l1", "l2", "cosine")


def siamese(
    hp: keras_tuner.HyperParameters,
    left: keras.KerasTensor,
    right: keras.KerasTensor,
    tower: Block,
    *,
    name: str = "siamese",
    width: Span = (32, 256),
    distances: Sequence[str] = DISTANCES,
) -> keras.KerasTensor:
    """Compare two inputs by the distance of what one shared network makes of them.

    The distance is normalized over the batch, so that a dense layer with a sigmoid behind it (`heads` with
    `labels={"same": 1}`) learns at its usual rate.

    Sources:
        Bromley et al., Signature Verification using a "Siamese" Time Delay Neural Network, NeurIPS 1993 (cosine); `l1`,
        component by component: Koch et al., Siamese Neural Networks for One-shot Image Recognition, 2015; `l2`: Hadsell
        et al., Dimensionality Reduction by Learning an Invariant Mapping, CVPR 2006; the normalized distance: Keras's
        example Image similarity estimation using a Siamese Network with a contrastive loss.

    Args:
        hp: The hyperparameters.
        left: `(batch, …)`.
        right: Of the same shape.
        tower: The shared block, e.g. `cnn`.
        name: The scope of the parameters; those of the tower are under `<name>/<name of its block>`.
        width: Features of each input that are compared.
        distances: `l1`, `l2`, `cosine`.

    Returns:
        `(batch, features)` for `l1`, which a dense layer weighs; `(batch, 1)` for `l2` and `cosine`.

    Raises:
        BadInput: the shapes differ, or a distance is unknown.
    """
    import keras
    from keras import layers, ops

    if tuple(left.shape) != tuple(right.shape):
        raise BadInput(f"siamese inputs share one network and so one shape, got {left.shape[1:]} and {right.shape[1:]}")
    with hp.name_scope(name):
        one: Any = keras.Input(left.shape[1:], dtype=left.dtype)
        features = layers.Dense(doubling(hp, "width", width, default=128))(tower(hp, one))
        shared = keras.Model(one, features)
        # Sums of squares overflow and small distances vanish in half precision.
        a, b = ops.cast(shared(left), "float32"), ops.cast(shared(right), "float32")
        distance = choose(hp, "distance", distances, DISTANCES)
        if distance == "cosine":
            apart = layers.Dot(axes=-1, normalize=True, dtype="float32")([a, b])
        elif distance == "l1":
            apart = ops.absolute(ops.subtract(a, b))
        else:
            squares = ops.sum(ops.square(ops.subtract(a, b)), axis=-1, keepdims=True)
            apart = ops.sqrt(ops.maximum(squares, 1e-12))  # the root has no gradient at 0
        return layers.BatchNormalization(dtype="float32")(apart)
