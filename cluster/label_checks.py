"""Whether labels are usable, and what an output and its loss expect: pure functions over facts."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import ArrayFacts, LossFacts, LossKind, OutputFacts, Shape
from .finding import Finding, error, note, warning

RANGES = {
    "softmax": (0.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, float("inf")),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, float("inf")),
    "exponential": (0.0, float("inf")),
    "softsign": (-1.0, 1.0),
    "log_softmax": (float("-inf"), 0.0),
}
"""What an activation can reach."""
MANY = 8


def check_labels(output: OutputFacts, loss: LossFacts, labels: ArrayFacts) -> Iterator[Finding]:
    """Yield what is wrong with the labels of an output with a loss of Keras's own."""
    unusable = list(_values(labels))
    yield from unusable
    if unusable:
        return
    match loss.kind:
        case LossKind.SPARSE:
            yield from _sparse(output, loss, labels)
        case LossKind.CATEGORICAL:
            yield from _categorical(output, loss, labels)
        case LossKind.BINARY:
            yield from _binary(output, loss, labels)
        case LossKind.REGRESSION | LossKind.POISSON:
            yield from _regression(output, loss, labels)
        case LossKind.OTHER:
            pass


def size(output: OutputFacts) -> int | None:
    """Return the length of the output's last axis."""
    return output.shape[-1] if output.shape else None


def shown(shape: Shape | None) -> str:
    """Return `(n, 28, 28)`."""
    if shape is None:
        return "(unknown)"
    inner = ", ".join("?" if one is None else str(one) for one in shape)
    return f"(n, {inner})" if inner else "(n,)"


def listed(values: ArrayFacts) -> str:
    """Return some of the labels' values in words."""
    if values.counts is None:
        return f"{_number(values.low)} to {_number(values.high)}"
    some = sorted(values.counts, key=str if values.text else None)
    if len(some) > MANY:
        return f"{some[0]!r} to {some[-1]!r} ({len(some)} values)"
    return ", ".join(map(repr, some))


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.6g}"


# Labels by themselves -------------------------------------------------------------------------------------------------


def _values(labels: ArrayFacts) -> Iterator[Finding]:
    if labels.text:
        yield error(
            "labels-text",
            "",
            f"the labels {labels.name} are strings ({listed(labels)}); expected numbers: number the classes from 0 in "
            "the loader, e.g. numpy.unique(y, return_inverse=True)[1]",
        )
    elif labels.dtype == "object":
        yield error(
            "labels-object",
            "",
            f"the labels {labels.name} are an array of objects, which Keras cannot take; give one dtype, e.g. int32",
        )
    elif labels.nan or labels.infinite:
        what = " and ".join(
            f"{count:,} {kind}" for count, kind in ((labels.nan, "NaN"), (labels.infinite, "infinite")) if count
        )
        yield error(
            "labels-not-finite",
            "",
            f"the labels {labels.name} hold {what} values among {labels.rows:,} rows, and one makes every weight NaN; "
            "drop or fill those rows in the loader",
        )


# Labels under a loss --------------------------------------------------------------------------------------------------


def _sparse(output: OutputFacts, loss: LossFacts, labels: ArrayFacts) -> Iterator[Finding]:
    classes = size(output)
    if classes is None or classes == 1 or output.shape is None:
        return
    if labels.shape == output.shape and labels.one_hot:
        yield error(
            "one-hot-under-sparse",
            loss.where,
            f"the labels {labels.name} are one-hot, {shown(labels.shape)}, but {loss.name} takes class numbers; "
            'use "categorical_crossentropy"',
        )
        return
    if not _fits(labels.label_shape, output.shape[:-1]) and not _fits(labels.shape, output.shape[:-1]):
        yield _shapes(output, loss, labels, f"one class number each, {shown(output.shape[:-1])}")
        return
    if not labels.whole:
        yield error(
            "labels-not-whole",
            loss.where,
            f"{loss.name} takes class numbers, but the labels {labels.name} have fractions ({listed(labels)}); "
            'number the classes, or use "mse" with one linear unit for a quantity',
        )
        return
    yield from _range(output, loss, labels, classes)


def _range(output: OutputFacts, loss: LossFacts, labels: ArrayFacts, classes: int) -> Iterator[Finding]:
    low, high = int(labels.low or 0), int(labels.high or 0)
    known = [one for one in labels.counts or () if one != loss.ignore_class]
    if known:
        low, high = min(known), max(known)
    elif loss.ignore_class in (low, high):
        return
    if low >= 0 and high < classes:
        return
    if low == 1 and high == classes:
        mend = "they start at 1: subtract 1 in the loader"
    elif low < 0:
        mend = "number them from 0, or name the value to leave out: loss=SparseCategoricalCrossentropy(ignore_class=…)"
    else:
        mend = f"give {output.name} {high + 1} units, or number the classes without gaps"
    yield error(
        "labels-out-of-range",
        output.where,
        f"the labels {labels.name} go from {low} to {high}, but {output.name} has {classes} units for the classes 0 to "
        f"{classes - 1}; {mend}",
    )


def _categorical(output: OutputFacts, loss: LossFacts, labels: ArrayFacts) -> Iterator[Finding]:
    classes = size(output)
    if output.shape is None or classes is None or classes == 1:
        return
    numbers = _fits(labels.label_shape, output.shape[:-1]) or _fits(labels.shape, output.shape[:-1])
    if numbers and labels.whole:
        yield error(
            "numbers-under-categorical",
            loss.where,
            f"the labels {labels.name} are class numbers ({listed(labels)}), but {loss.name} takes one-hot rows, "
            f'{shown(output.shape)}; use "sparse_categorical_crossentropy"',
        )
    elif not _fits(labels.shape, output.shape):
        yield _shapes(output, loss, labels, f"rows of {classes}, {shown(output.shape)}")
    elif not labels.ones:
        several = labels.whole and labels.low == 0 and labels.high == 1
        mend = (
            "where a sample may have several labels use sigmoid and binary_crossentropy"
            if several
            else "expected rows that sum to 1"
        )
        yield warning(
            "rows-not-distributions",
            loss.where,
            f"{loss.name} takes distributions, but the rows of the labels {labels.name} do not sum to 1; {mend}",
        )


def _binary(output: OutputFacts, loss: LossFacts, labels: ArrayFacts) -> Iterator[Finding]:
    if output.shape is not None and not _same(labels, output):
        yield _shapes(output, loss, labels, shown(output.shape))
        return
    if labels.low is not None and labels.high is not None and (labels.low < 0 or labels.high > 1):
        if {*(labels.counts or ())} == {-1, 1}:
            mend = "map -1 to 0 in the loader, or use a hinge loss"
        elif labels.whole and size(output) == 1 and labels.counts is not None and len(labels.counts) > 2:
            mend = f"for {len(labels.counts)} classes use as many units, softmax and sparse_categorical_crossentropy"
        elif labels.whole and labels.counts is not None and len(labels.counts) == 2:
            mend = f"number the two classes 0 and 1 (they are {listed(labels)})"
        else:
            mend = "scale them, or use a regression loss"
        yield error(
            "labels-not-binary",
            loss.where,
            f"{loss.name} takes labels from 0 to 1, but {labels.name} has {listed(labels)}; {mend}",
        )
    elif output.activation == "softmax" and labels.one_hot:
        yield warning(
            "binary-on-softmax",
            loss.where,
            f"{output.name} is a softmax over {size(output)} classes and the labels are one-hot, but {loss.name} "
            'judges each unit by itself; use "categorical_crossentropy"',
        )
    elif output.activation == "softmax" and (size(output) or 0) > 1:
        yield warning(
            "softmax-several-labels",
            output.where,
            f"{output.name} is a softmax, whose units sum to 1, but the rows of {labels.name} have none or several "
            "labels; use 'sigmoid'",
        )


def _regression(output: OutputFacts, loss: LossFacts, labels: ArrayFacts) -> Iterator[Finding]:
    classes = size(output)
    if output.shape is not None and not _same(labels, output):
        if output.activation == "softmax" and labels.whole and labels.label_shape == output.shape[:-1]:
            yield error(
                "regression-on-classes",
                loss.where,
                f"{loss.name} is a regression loss, but {output.name} is a softmax over {classes} classes and the "
                f'labels are class numbers ({listed(labels)}); use "sparse_categorical_crossentropy"',
            )
        else:
            yield _shapes(output, loss, labels, shown(output.shape))
        return
    if loss.kind is LossKind.POISSON and labels.low is not None and labels.low < 0:
        yield error(
            "poisson-negative",
            loss.where,
            f"poisson takes counts, but the labels {labels.name} reach {_number(labels.low)}; use 'mse'",
        )
    if labels.one_hot and (classes or 0) > 1:
        yield warning(
            "regression-on-classes",
            loss.where,
            f"{loss.name} is a regression loss, but the labels {labels.name} are one-hot rows of {classes} classes; "
            'use softmax with "categorical_crossentropy"',
        )
    elif loss.kind is LossKind.REGRESSION and {*(labels.counts or ())} == {0, 1} and labels.label_shape == ():
        yield warning(
            "regression-on-classes",
            loss.where,
            f"{loss.name} is a regression loss, but the labels {labels.name} are 0 and 1; for two classes use "
            '"sigmoid" with "binary_crossentropy"',
        )
    elif looks_like_classes(labels) and output.activation in ("linear", "relu", "") and labels.label_shape == ():
        if any("accuracy" in one for one in output.metrics):
            yield warning(
                "regression-on-classes",
                loss.where,
                f"{loss.name} is a regression loss, but accuracy is a metric of classes and the labels {labels.name} are "
                f"{listed(labels)}; for classes use one unit each, softmax and sparse_categorical_crossentropy",
            )
        else:
            yield note(
                "regression-on-classes",
                loss.where,
                f"the labels {labels.name} are whole numbers ({listed(labels)}) under {loss.name}: right for a "
                "quantity; for classes use sparse_categorical_crossentropy",
            )
    yield from _reach(output, labels)


def looks_like_classes(labels: ArrayFacts) -> bool:
    """Say whether labels are whole numbers without gaps from 0 or 1 on, few and often repeated."""
    counts = labels.counts or {}
    consecutive = labels.low in (0, 1) and len(counts) == int((labels.high or 0) - (labels.low or 0)) + 1
    return consecutive and 2 <= len(counts) <= 100 and "int" in labels.dtype and labels.rows >= 5 * len(counts)


def _reach(output: OutputFacts, labels: ArrayFacts) -> Iterator[Finding]:
    if output.activation not in RANGES or labels.low is None or labels.high is None:
        return
    low, high = RANGES[output.activation]
    tolerance = 1e-3
    if labels.low < low - tolerance or labels.high > high + tolerance:
        ends = " to ".join("any size" if abs(end) == float("inf") else f"{end:g}" for end in (low, high))
        yield warning(
            "labels-out-of-reach",
            output.where,
            f"{output.name} ends in {output.activation}, which gives {ends}, but the labels {labels.name} go from "
            f"{_number(labels.low)} to {_number(labels.high)}; end in 'linear', or scale the labels",
        )


# Shapes ---------------------------------------------------------------------------------------------------------------


def _fits(shape: Shape, wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        one == other or one is None or other is None for one, other in zip(shape, wanted, strict=True)
    )


def _same(labels: ArrayFacts, output: OutputFacts) -> bool:
    wanted = output.shape or ()
    squeezed = wanted[:-1] if wanted[-1:] == (1,) else wanted
    return _fits(labels.shape, wanted) or _fits(labels.label_shape, squeezed)


def _shapes(output: OutputFacts, loss: LossFacts, labels: ArrayFacts, expected: str) -> Finding:
    return error(
        "label-shape",
        output.where,
        f"{output.name} gives {shown(output.shape)}, but the labels {labels.name} are {shown(labels.shape)}; "
        f"{loss.name} expects {expected}: change the units of {output.name}, or the labels",
    )
