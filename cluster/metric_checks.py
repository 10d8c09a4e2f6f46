"""Whether the metrics of an output fit its loss and its labels: pure functions over facts."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import ArrayFacts, LossKind, OutputFacts
from .finding import Finding, warning
from .label_checks import looks_like_classes, size

SPARSE = ("sparsecategoricalaccuracy", "sparsetopkcategoricalaccuracy", "sparsecategoricalcrossentropy")
ONE_HOT = ("categoricalaccuracy", "topkcategoricalaccuracy", "categoricalcrossentropy")
THRESHOLDED = ("precision", "recall", "auc")
ACCURACIES = ("accuracy", "acc", "categoricalaccuracy", "sparsecategoricalaccuracy", "binaryaccuracy")
ERRORS = ("meansquarederror", "meanabsoluteerror", "mse", "mae", "rootmeansquarederror", "r2score")


def check_metrics(output: OutputFacts, labels: ArrayFacts | None) -> Iterator[Finding]:
    """Yield the metrics that would show a number that means nothing.

    The names are those of Keras's classes or functions, in lower case and without underscores; `accuracy` in quotes is
    resolved by Keras from the shapes, the class `Accuracy` (here `Accuracy`, as it is spelled) is not. One with a
    threshold of the user's own has it behind an `@`, and is left alone.
    """
    for metric in output.metrics:
        name = metric.lower().replace("_", "")
        text = _complaint(output, labels, metric, name)
        if text:
            yield warning("metric-mismatch", output.metrics_where, text)


def _complaint(output: OutputFacts, labels: ArrayFacts | None, metric: str, name: str) -> str:
    units = size(output) or 0
    loss = output.loss
    if metric == "Accuracy":
        return (
            "keras.metrics.Accuracy() counts predictions that equal the label exactly, which probabilities never do; "
            'use metrics=["accuracy"]'
        )
    if loss is not None and loss.kind in (LossKind.REGRESSION, LossKind.POISSON) and name in ACCURACIES:
        if output.activation in ("softmax", "sigmoid") or (labels is not None and looks_like_classes(labels)):
            return ""  # the loss is the mistake
        return f'{metric} counts equal classes and means nothing under {loss.name}; use metrics=["mae"]'
    if labels is not None and units > 1 and output.shape is not None:
        numbers = len(labels.label_shape) == len(output.shape) - 1
        if numbers and name in ONE_HOT:
            return f'{metric} takes one-hot labels, but {labels.name} holds class numbers; use metrics=["accuracy"]'
        if numbers and labels.whole and units > 2 and (name in THRESHOLDED or name == "binaryaccuracy"):
            return (
                f"{metric} compares units with labels one by one, but {labels.name} holds class numbers for {units} "
                'units; use metrics=["accuracy"], or one-hot labels'
            )
        if not numbers and labels.one_hot and name in SPARSE:
            return f'{metric} takes class numbers, but the labels {labels.name} are one-hot; use metrics=["accuracy"]'
        if not numbers and labels.one_hot and output.activation == "softmax" and name == "binaryaccuracy":
            return (
                f"{metric} judges each of {units} units by itself, and most are rightly 0 whatever the model says; "
                'use metrics=["accuracy"]'
            )
    if loss is not None and loss.from_logits and loss.kind is LossKind.BINARY and output.activation in ("linear", ""):
        if name in ("accuracy", "acc", "binaryaccuracy"):
            return (
                f"{metric} takes 0.5 as its threshold, but the model gives logits, whose middle is 0; "
                "use keras.metrics.BinaryAccuracy(threshold=0.0)"
            )
        if name in THRESHOLDED:
            return f"{metric} takes probabilities, but the model gives logits; end in sigmoid and drop from_logits=True"
    return ""
