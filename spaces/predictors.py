# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
"""One call for a complete, compiled model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .attention import transformer
from .combination import CLASSES, ONE_HOT, VALUES, Task
from .convolution import cnn
from .dense import mlp
from .errors import BadInput, did_you_mean
from .optimizers import optimizer as any_optimizer
from .recurrence import convolutional_recurrent, recurrent
from .residual import resnet
from .spans import choose
from .tables import standardized

if TYPE_CHECKING:
    import keras
    import keras_tuner
    from numpy.typing import ArrayLike

    Block = Callable[[keras_tuner.HyperParameters, keras.KerasTensor], keras.KerasTensor]
    MakeOptimizer = Callable[[keras_tuner.HyperParameters], keras.optimizers.Optimizer]

BY_RANK: dict[int, dict[str, Block]] = {
    1: {"mlp": mlp},
    2: {"recurrent": recurrent, "cnn": cnn, "transformer": transformer},
    3: {"cnn": cnn, "resnet": resnet},
    4: {"convolutional_recurrent": convolutional_recurrent, "cnn": cnn},
}
"""What goes with an input of 1 to 4 dimensions; the first is the default."""


def classifier(
    hp: keras_tuner.HyperParameters,
    input_shape: Sequence[int | None],
    classes: int,
    *,
    blocks: Sequence[str] | Mapping[str, Block] | None = None,
    optimizer: MakeOptimizer | None = None,
    data: ArrayLike | None = None,
    one_hot: bool = False,
) -> keras.Model:
    """Return a compiled model that tells `classes` classes apart.

    The shape says what the input is: `(features,)` a vector, `(steps, features)` a sequence, `(height, width, channels)`
    an image, `(frames, height, width, channels)` a sequence of images. Where several architectures go with it, which
    one is searched as `architecture`, and of each only its own parameters.

    Args:
        hp: The hyperparameters.
        input_shape: Shape of one sample, without the batch.
        classes: How many; labels are 0 to `classes - 1`.
        blocks: Names of the architectures to choose from, or functions of `hp` and a tensor by name.
        optimizer: A function of `hp`; `spaces.optimizer` if none is given.
        data: Training inputs; given, inputs are standardized by their mean and variance along the last axis.
        one_hot: Labels are one-hot rows.

    Returns:
        A model with the metric `accuracy`.

    Raises:
        BadInput: no architecture goes with the shape, or a name is unknown.
    """
    if classes < 2:
        raise BadInput(f"a classifier needs at least 2 classes, got {classes}; for yes or no that is 2")
    kind = ONE_HOT if one_hot else CLASSES
    return _predictor(hp, input_shape, classes, kind, blocks, optimizer, data)


def regressor(
    hp: keras_tuner.HyperParameters,
    input_shape: Sequence[int | None],
    outputs: int = 1,
    *,
    blocks: Sequence[str] | Mapping[str, Block] | None = None,
    optimizer: MakeOptimizer | None = None,
    data: ArrayLike | None = None,
) -> keras.Model:
    """Return a compiled model that predicts `outputs` numbers; targets are best brought to about -1 to 1.

    Args:
        hp: The hyperparameters.
        input_shape: Shape of one sample, as for `classifier`.
        outputs: How many numbers; targets are `(batch, outputs)`, or `(batch,)` for one.
        blocks: As for `classifier`.
        optimizer: As for `classifier`.
        data: As for `classifier`.

    Returns:
        A model with the loss `mean_squared_error` and the metric `mean_absolute_error`.

    Raises:
        BadInput: no architecture goes with the shape, or a name is unknown.
    """
    if outputs < 1:
        raise BadInput(f"a regressor needs at least 1 output, got {outputs}")
    return _predictor(hp, input_shape, outputs, VALUES, blocks, optimizer, data)


def _predictor(
    hp: keras_tuner.HyperParameters,
    input_shape: Sequence[int | None],
    units: int,
    kind: Task,
    blocks: Sequence[str] | Mapping[str, Block] | None,
    optimizer: MakeOptimizer | None,
    data: ArrayLike | None,
) -> keras.Model:
    import keras

    known = _architectures(input_shape, blocks)
    inputs: Any = keras.Input(tuple(input_shape))
    x = inputs if data is None else standardized(inputs, data)
    name = choose(hp, "architecture", list(known), known)
    x = known[name](hp, x)
    model = keras.Model(inputs, kind.output(x, units))
    model.compile(optimizer=(optimizer or any_optimizer)(hp), loss=kind.loss, metrics=[kind.metric])
    return model


def _architectures(
    input_shape: Sequence[int | None], blocks: Sequence[str] | Mapping[str, Block] | None
) -> Mapping[str, Block]:
    """Return the blocks to choose from, by name."""
    if isinstance(blocks, Mapping):
        return blocks
    fitting = BY_RANK.get(len(input_shape))
    if fitting is None:
        raise BadInput(
            f"no architecture goes with the input shape {tuple(input_shape)}; it is (features,), (steps, features), "
            "(height, width, channels) or (frames, height, width, channels)"
        )
    names = (blocks,) if isinstance(blocks, str) else blocks
    for name in names or ():
        if name not in fitting:
            hint = did_you_mean(name, fitting)
            raise BadInput(f"{name!r} does not go with {tuple(input_shape)}; one of {list(fitting)} does{hint}")
    return {name: fitting[name] for name in names} if names else fitting
