"""Keras's losses and metrics by name, whichever way they were given: a string, a function, an instance."""

from __future__ import annotations

import functools
from typing import Any, cast

from .facts import LossFacts, LossKind

KINDS = {
    "sparsecategoricalcrossentropy": LossKind.SPARSE,
    "categoricalcrossentropy": LossKind.CATEGORICAL,
    "categoricalfocalcrossentropy": LossKind.CATEGORICAL,
    "categoricalgeneralizedcrossentropy": LossKind.SPARSE,
    "kldivergence": LossKind.CATEGORICAL,
    "binarycrossentropy": LossKind.BINARY,
    "binaryfocalcrossentropy": LossKind.BINARY,
    "meansquarederror": LossKind.REGRESSION,
    "meanabsoluteerror": LossKind.REGRESSION,
    "meanabsolutepercentageerror": LossKind.REGRESSION,
    "meansquaredlogarithmicerror": LossKind.REGRESSION,
    "huber": LossKind.REGRESSION,
    "logcosh": LossKind.REGRESSION,
    "poisson": LossKind.POISSON,
}
SHORT = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
}


def loss_facts(loss: Any, where: str) -> LossFacts | None:
    """Return what is known of a loss as given to `compile`; a loss of the user's own is of kind OTHER."""
    if loss is None:
        return None
    options: dict[str, Any] = {}
    if isinstance(loss, functools.partial):
        partial = cast(functools.partial[Any], loss)
        options, loss = dict(partial.keywords), partial.func
    name = _name(loss)
    plain = SHORT.get(name, name).lower().replace("_", "")
    if not isinstance(loss, str) and not _of_keras(loss):
        return LossFacts(name=name, kind=LossKind.OTHER, where=where)
    for key in ("from_logits", "ignore_class"):
        options.setdefault(key, getattr(cast(Any, loss), key, None))
    return LossFacts(
        name=name,
        kind=KINDS.get(plain, LossKind.OTHER),
        from_logits=bool(options["from_logits"]),
        ignore_class=options["ignore_class"],
        where=where,
    )


def metric_name(metric: Any) -> str:
    """Return a metric's name: as given, of the function, or of the class, with a threshold of its own behind an `@`."""
    if isinstance(metric, str):
        return SHORT.get(metric, metric)
    threshold = getattr(metric, "threshold", getattr(metric, "init_thresholds", None))
    own = threshold not in (None, 0.5) or bool(getattr(metric, "_from_logits", False))
    if not _of_keras(metric):
        return f"{_name(metric)}@own"
    return f"{_name(metric)}@{threshold}" if own else _name(metric)


def _name(value: Any) -> str:
    if isinstance(value, str):
        return value
    return getattr(value, "__name__", None) or type(value).__name__


def _of_keras(value: Any) -> bool:
    owner = value if hasattr(value, "__name__") else cast(Any, type(value))
    return str(getattr(owner, "__module__", "")).partition(".")[0] == "keras"
