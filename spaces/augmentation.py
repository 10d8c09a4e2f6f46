"""Changes to the training data that keep its labels true, as functions of `hp`; inference sees none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from .errors import BadInput, did_you_mean
from .ranges import Count, Flag, Linear, Log, choose

if TYPE_CHECKING:
    import keras
    import keras_tuner

    HyperParameters = keras_tuner.HyperParameters

Flip = Literal["horizontal", "vertical", "horizontal_and_vertical"]
FLIPS: tuple[Flip, ...] = ("horizontal", "vertical", "horizontal_and_vertical")
KINDS = ("none", "basic", "rand_augment")
MIXINGS = ("none", "mixup", "cutmix")


def image_augmentation(
    hp: HyperParameters,
    kinds: Sequence[str] = KINDS,
    *,
    flip: Flip | None = None,
    value_range: tuple[float, float] = (0.0, 255.0),
) -> keras.layers.Layer:
    """Return a layer for images `(batch, height, width, channels)`: `augmentation` chooses among `kinds`.

    `basic` turns, shifts, zooms and changes contrast and brightness, each by a random amount up to its parameter,
    those at 0 left out (the ranges are around those of Keras's image classification examples: rotation 0.1, zoom 0.2).
    `rand_augment` is `keras.layers.RandAugment` (Cubuk et al., 2019, arXiv:1909.13719), which computes 11 operations
    per image and step, and turns by up to `factor` of a full turn: its factor ends at 0.3. It is slow on CPU.

    The layer belongs after the input, where it is active in training only; within `tf.data`, where a layer does not
    know which it is, map it over the training data only.

    Args:
        hp: KerasTuner's, or ours.
        kinds: Of `none`, `basic`, `rand_augment`; a single one is not asked.
        flip: Also ask whether to mirror: only where a mirrored image has the same label, so not digits or text. None
            never does.
        value_range: Lowest and highest value of a pixel, (0, 1) where images are scaled before this layer.

    Raises:
        BadInput: an unknown kind or flip, or an empty range of values.
    """
    import keras

    if flip is not None and flip not in FLIPS:
        raise BadInput(f"flip must be None or one of {', '.join(FLIPS)}, got {flip!r}{did_you_mean(flip, FLIPS)}")
    if value_range[0] >= value_range[1]:
        raise BadInput(f"value_range must be (lowest, highest), got {value_range}")
    kind = choose(hp, "augmentation", kinds, KINDS)
    if kind == "none":
        return keras.layers.Identity()
    with cast(Any, hp).name_scope("augmentation"):
        layers = [keras.layers.RandomFlip(flip)] if flip and Flag(True).ask(hp, "flip") else []
        layers += _basic(hp, value_range) if kind == "basic" else _rand_augment(hp, value_range)
    return keras.layers.Pipeline(layers) if layers else keras.layers.Identity()


def _basic(hp: HyperParameters, value_range: tuple[float, float]) -> list[keras.layers.Layer]:
    import keras

    make: dict[str, tuple[Linear, Callable[[float], keras.layers.Layer]]] = {
        "rotation": (Linear(0.0, 0.1, 0.05, 0.025), keras.layers.RandomRotation),
        "translation": (Linear(0.0, 0.2, 0.1, 0.05), lambda by: keras.layers.RandomTranslation(by, by)),
        "zoom": (Linear(0.0, 0.2, 0.1, 0.05), keras.layers.RandomZoom),
        "contrast": (Linear(0.0, 0.4, 0.0, 0.1), lambda by: keras.layers.RandomContrast(by, value_range=value_range)),
        "brightness": (
            Linear(0.0, 0.4, 0.0, 0.1),
            lambda by: keras.layers.RandomBrightness(by, value_range=value_range),
        ),
    }
    amounts = {name: amount.ask(hp, name) for name, (amount, _) in make.items()}
    return [make[name][1](amount) for name, amount in amounts.items() if amount > 0]


def _rand_augment(hp: HyperParameters, value_range: tuple[float, float]) -> list[keras.layers.Layer]:
    import keras

    number, factor = Count(1, 3, 2).ask(hp, "num_ops"), Linear(0.05, 0.3, 0.1, 0.05).ask(hp, "factor")
    return [keras.layers.RandAugment(value_range, num_ops=number, factor=factor)]


def noise(hp: HyperParameters, max_stddev: float = 0.3) -> keras.layers.Layer:
    """Return a `GaussianNoise` layer for standardized tables and sequences, `noise` from 0 to `max_stddev`.

    Training with noise on the inputs is a Tikhonov regularization (Bishop, Neural Computation 1995).

    Raises:
        BadInput: `max_stddev` is not above 0.
    """
    import keras

    if max_stddev <= 0:
        raise BadInput(f"noise: max_stddev must be above 0, got {max_stddev}")
    step = round(max_stddev / 6, 6)
    return keras.layers.GaussianNoise(Linear(0.0, max_stddev, round(2 * step, 6), step).ask(hp, "noise"))


def mixing(hp: HyperParameters, kinds: Sequence[str] = MIXINGS) -> Callable[[object, object], tuple[object, object]]:
    """Return a function that mixes the images of a batch with each other, and their labels alike.

    It changes labels, so it belongs to the data and not into the model: `train.batch(32).map(mixing(hp))`, on the
    training data only. Images are `(batch, height, width, channels)`, labels one-hot `(batch, classes)` floats, the
    loss `categorical_crossentropy`. `mixing` chooses: `mixup` (Zhang et al., 2017, arXiv:1710.09412; alpha 0.1 to 0.4
    on ImageNet, 1 on CIFAR) or `cutmix` (Yun et al., 2019, arXiv:1905.04899; alpha 1).

    Raises:
        BadInput: an unknown kind; when called, labels that are not one-hot.
    """
    import keras

    kind = choose(hp, "mixing", kinds, MIXINGS)
    if kind == "none":
        return lambda images, labels: (images, labels)
    with cast(Any, hp).name_scope("mixing"):
        if kind == "mixup":
            layer = cast(Any, keras.layers.MixUp(alpha=Log(0.1, 1.0, 0.2).ask(hp, "alpha")))
        else:
            layer = cast(Any, keras.layers.CutMix(factor=Linear(0.2, 1.0, 1.0, 0.2).ask(hp, "factor")))

    def mix(images: Any, labels: Any) -> tuple[object, object]:
        if len(labels.shape) != 2:
            raise BadInput(f"{kind} mixes one-hot labels (batch, classes), got shape {tuple(labels.shape)}")
        mixed = layer({"images": images, "labels": labels}, training=True)
        return mixed["images"], mixed["labels"]

    return mix
