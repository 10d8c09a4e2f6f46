"""What keeps a model from learning its training data by heart, as functions of `hp`.

A block that makes a layer makes a new one at each call, of the same parameters: put it into an `hp.name_scope` of its
own to search each place of a model by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from .errors import BadInput
from .ranges import Count, Levels, Linear, Log, choose

if TYPE_CHECKING:
    import keras
    import keras_tuner

    HyperParameters = keras_tuner.HyperParameters

DROPOUTS = ("dropout", "gaussian", "spatial")
REGULARIZERS = ("none", "l1", "l2", "l1_l2")
NORMALIZATIONS = ("none", "batch", "layer", "rms")
STRENGTH = Log(1e-6, 1e-2, 1e-4)


def dropout(
    hp: HyperParameters, kinds: Sequence[str] = ("dropout",), *, rank: int = 0, max_rate: float = 0.5
) -> keras.layers.Layer:
    """Return a new dropout layer: `dropout` chooses among `kinds`, `dropout/rate` is 0 to `max_rate` in five steps.

    `dropout` and `gaussian` (multiplied by noise of the same variance) are Srivastava et al.'s (JMLR 2014), 0.5 for
    hidden units and less for inputs; `spatial` drops whole feature maps (Tompson et al., 2014, arXiv:1411.4280).

    Args:
        hp: KerasTuner's, or ours.
        kinds: Of `dropout`, `gaussian`, `spatial`; a single one is not asked.
        rank: Spatial dimensions of the inputs, for `spatial`: 1 for (batch, steps, features), 2 for images, 3.
        max_rate: The highest rate.

    Raises:
        BadInput: an unknown kind, `spatial` without a rank, or a rate that is not between 0 and 1.
    """
    import keras

    if not 0 < max_rate < 1:
        raise BadInput(f"dropout: max_rate must lie between 0 and 1, got {max_rate}")
    if "spatial" in kinds and rank not in (1, 2, 3):
        raise BadInput(f"dropout: 'spatial' needs the rank of what it drops, rank=1, 2 or 3, got {rank}")
    kind = choose(hp, "dropout", kinds, DROPOUTS)
    names = {"dropout": "Dropout", "gaussian": "GaussianDropout", "spatial": f"SpatialDropout{rank}D"}
    step = round(max_rate / 5, 6)
    with cast(Any, hp).name_scope("dropout"):
        rate = Linear(0.0, max_rate, round(2 * step, 6), step).ask(hp, "rate")
    return getattr(keras.layers, names[kind])(rate)


def regularizer(hp: HyperParameters, kinds: Sequence[str] = REGULARIZERS) -> keras.regularizers.Regularizer | None:
    """Return a kernel regularizer, or None: `regularizer` chooses, `regularizer/l1` and `/l2` are 1e-6 to 1e-2.

    Both together are the elastic net (Zou and Hastie, 2005). With an adaptive optimizer prefer weight decay to L2:
    the two are not the same there (Loshchilov and Hutter, 2017, arXiv:1711.05101).

    Raises:
        BadInput: an unknown kind.
    """
    import keras

    kind = choose(hp, "regularizer", kinds, REGULARIZERS)
    if kind == "none":
        return None
    with cast(Any, hp).name_scope("regularizer"):
        strengths = {name: STRENGTH.ask(hp, name) for name in kind.split("_")}
    return keras.regularizers.L1L2(**strengths) if len(strengths) == 2 else _one_norm(**strengths)


def _one_norm(**strength: float) -> keras.regularizers.Regularizer:
    import keras

    return keras.regularizers.L1(**strength) if "l1" in strength else keras.regularizers.L2(**strength)


def normalization(hp: HyperParameters, kinds: Sequence[str] = ("none", "batch", "layer")) -> keras.layers.Layer:
    """Return a new normalization layer, `keras.layers.Identity` for none: `normalization` chooses among `kinds`.

    Batch (Ioffe and Szegedy, 2015, arXiv:1502.03167), layer (Ba et al., 2016, arXiv:1607.06450), rms (Zhang and
    Sennrich, 2019, arXiv:1910.07467). `normalization/momentum`, of batch only: Keras's 0.99 averages over hundreds of
    steps, more than a short training has, and is then validated with statistics that lag behind.

    Raises:
        BadInput: an unknown kind.
    """
    import keras

    match choose(hp, "normalization", kinds, NORMALIZATIONS):
        case "batch":
            with cast(Any, hp).name_scope("normalization"):
                momentum = Levels((0.9, 0.95, 0.99), 0.99).ask(hp, "momentum")
            return keras.layers.BatchNormalization(momentum=momentum)
        case "layer":
            return keras.layers.LayerNormalization()
        case "rms":
            return keras.layers.RMSNormalization()
        case _:
            return keras.layers.Identity()


def label_smoothing(hp: HyperParameters) -> float:
    """Return the smoothing of labels, `label_smoothing` from 0 to 0.2 (Szegedy et al., 2015, arXiv:1512.00567: 0.1).

    For `keras.losses.CategoricalCrossentropy(label_smoothing=…)` or `BinaryCrossentropy`; the sparse loss has none, so
    labels must be one-hot.
    """
    return Linear(0.0, 0.2, 0.0, 0.05).ask(hp, "label_smoothing")


def early_stopping(hp: HyperParameters, monitor: str = "val_loss") -> keras.callbacks.EarlyStopping:
    """Return the callback that ends a training when `monitor` stops improving, and restores its best weights.

    Patience is 3 to 20 epochs (Prechelt, "Early stopping - but when?", 1998, compares criteria: patient ones cost
    training time for a little accuracy). Reaches `fit` as `plateau` does; with both, have this one wait longer. A
    sweep's own stop rule ends bad trials earlier than this.
    """
    import keras

    with cast(Any, hp).name_scope("early_stopping"):
        patience = Count(3, 20, 10).ask(hp, "patience")
    return keras.callbacks.EarlyStopping(monitor=monitor, patience=patience, restore_best_weights=True)
