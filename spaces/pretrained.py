# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
"""Networks of `keras.applications`, trained before or not."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .convolution import POOLINGS
from .errors import BadInput, did_you_mean
from .ranges import Flag, Levels
from .regularization import dropout
from .spans import choose

if TYPE_CHECKING:
    import keras
    import keras_tuner

BASES = ("MobileNetV2", "EfficientNetV2B0", "ResNet50V2")
UNFROZEN = Levels((0.25, 0.5, 1.0), 0.25)
"""Shares of the layers, from the end."""


def transfer(
    hp: keras_tuner.HyperParameters,
    x: keras.KerasTensor,
    *,
    name: str = "transfer",
    bases: Sequence[str] = BASES,
    weights: str | os.PathLike[str] | None = "imagenet",
    scale: float = 1.0,
    size: int | None = None,
) -> keras.KerasTensor:
    """Pass an image through a network of `keras.applications` without its top, frozen or fine-tuned.

    Nothing is ever downloaded. The base preprocesses pixels of 0 to 255 in its own way; grey images are repeated to
    three channels. While it is frozen or fine-tuned its normalization keeps the statistics it was trained with;
    fine-tuning wants a learning rate of some 1e-5. Without weights the base is trained from the start.

    Sources:
        Keras's guide Transfer learning & fine-tuning (keras.io/guides/transfer_learning); how much to unfreeze: Yosinski
        et al., How transferable are features in deep neural networks?, NeurIPS 2014; the bases: Sandler et al.,
        MobileNetV2, CVPR 2018; Tan & Le, EfficientNetV2, ICML 2021; He et al., Identity Mappings, ECCV 2016.

    Args:
        hp: The hyperparameters.
        x: `(batch, height, width, channels)` with 1 or 3 channels.
        name: The scope of the parameters.
        bases: Names in `keras.applications`.
        weights: `imagenet`, if they are in Keras's cache; a file of weights without the top (for one base); or None.
        scale: What to multiply pixels by so that they reach 255: 255 for images of 0 to 1.
        size: Resize the images to this height and width first; small images gain from it.

    Returns:
        `(batch, features)`.

    Raises:
        BadInput: a base is unknown, its weights are not at hand, or `x` is no batch of images.
    """
    from keras import layers

    if len(x.shape) != 4 or x.shape[-1] not in (1, 3):
        raise BadInput(f"transfer needs (height, width, 1 or 3 channels), got {tuple(x.shape)[1:]}")
    with hp.name_scope(name):
        paths = {base: _weights(base, weights) for base in bases}  # of all: fail at once, not now and then
        if weights not in (None, "imagenet") and len(paths) > 1:
            raise BadInput(f"a file of weights fits one base, got {list(paths)}; give bases=['…'], the one it is for")
        base = choose(hp, "base", list(bases), paths)
        application, path = _application(base), paths[base]
        if scale != 1.0:
            x = layers.Rescaling(scale)(x)
        if size is not None:
            x = layers.Resizing(size, size)(x)
        if x.shape[-1] == 1:
            x = layers.Concatenate()([x, x, x])
        x = _preprocess(application)(x)
        network = application(include_top=False, weights=path, input_shape=tuple(x.shape)[1:], name=f"{name}_{base}")
        if path is None:
            x = network(x)
        else:
            _freeze(network, _unfrozen(hp))
            x = network(x, training=False)
        pooling = choose(hp, "pooling", POOLINGS, POOLINGS)
        x = (layers.GlobalAveragePooling2D if pooling == "average" else layers.GlobalMaxPooling2D)()(x)
        return dropout(hp)(x)


def _unfrozen(hp: keras_tuner.HyperParameters) -> float:
    """Return the share of the base's layers that are trained."""
    return UNFROZEN.ask(hp, "unfrozen") if Flag(False).ask(hp, "fine_tune") else 0.0


def _freeze(network: keras.Model, unfrozen: float) -> None:
    """Leave only the last `unfrozen` share of the layers trainable, and no normalization."""
    from keras import layers

    first = len(network.layers) - round(len(network.layers) * unfrozen)
    for index, layer in enumerate(network.layers):
        layer.trainable = index >= first and not isinstance(layer, layers.BatchNormalization)


def _application(base: str) -> Callable[..., Any]:
    import keras

    known = [name for name, one in vars(keras.applications).items() if inspect.isfunction(one)]
    if base not in known:
        raise BadInput(f"keras.applications has no {base!r}{did_you_mean(base, known)}")
    return cast(Callable[..., Any], getattr(keras.applications, base))


def _preprocess(application: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return the function that stands beside the application, for pixels of 0 to 255."""
    return cast(Callable[[Any], Any], sys.modules[application.__module__].preprocess_input)


def _weights(base: str, weights: str | os.PathLike[str] | None) -> str | None:
    """Return the file of the weights, so that Keras never gets to look for one itself."""
    application = _application(base)
    if weights is None:
        return None
    if weights != "imagenet":
        if not Path(weights).is_file():
            raise BadInput(f"transfer has no file of weights {os.fspath(weights)!r}; give a .weights.h5, or None")
        return os.fspath(weights)
    cache = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    path = cache / weights_file(base, str(inspect.signature(application).parameters["name"].default))
    if not path.is_file():
        raise BadInput(
            f"the ImageNet weights of {base} are not in Keras's cache ({path}), and nothing is downloaded here; "
            f"put the file there (keras.applications.{base}(include_top=False) does), give a file, or weights=None"
        )
    return str(path)


def weights_file(base: str, model: str) -> str:
    """Return the name under which Keras caches the ImageNet weights without the top.

    Args:
        base: The function's name in `keras.applications`.
        model: The default name of its models.
    """
    other = {
        "MobileNet": "mobilenet_1_0_224_tf_no_top.h5",
        "MobileNetV2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        "MobileNetV3Small": "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
        "MobileNetV3Large": "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
        "NASNetMobile": "nasnet_mobile_no_top.h5",
        "NASNetLarge": "nasnet_large_no_top.h5",
    }
    if base in other:
        return other[base]
    short = base.startswith(("EfficientNet", "ConvNeXt"))
    return f"{model}_notop.h5" if short else f"{model}_weights_tf_dim_ordering_tf_kernels_notop.h5"
