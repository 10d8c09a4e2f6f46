"""Whether an output and its loss speak of the same thing: pure functions over facts."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import ArrayFacts, LossFacts, LossKind, OutputFacts
from .finding import Finding, error, warning
from .label_checks import check_labels, size

PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid", "sparsemax")
CLASSES = (LossKind.SPARSE, LossKind.CATEGORICAL, LossKind.BINARY)


def check_output(output: OutputFacts, labels: ArrayFacts | None) -> Iterator[Finding]:
    """Yield what is wrong between an output with a loss of Keras's own and its labels."""
    if output.loss is None:
        return
    yield from _activation(output, output.loss, labels)
    if labels is not None:
        yield from check_labels(output, output.loss, labels)


# The activation -------------------------------------------------------------------------------------------------------


def _activation(output: OutputFacts, loss: LossFacts, labels: ArrayFacts | None) -> Iterator[Finding]:
    units = size(output)
    if output.twice:
        yield warning(
            "softmax-twice",
            output.where,
            f"{output.name} applies softmax to what is a softmax already, which flattens the probabilities; "
            "take one of the two away",
        )
    if output.activation == "softmax" and units == 1:
        yield error(
            "softmax-one-unit",
            output.where,
            f"{output.name} is a softmax over one unit, which is always 1, so that nothing is learned; "
            'for two classes use one unit with "sigmoid" and binary_crossentropy',
        )
        return
    if loss.kind in (LossKind.SPARSE, LossKind.CATEGORICAL) and units == 1:
        yield error(
            "one-unit-classes",
            output.where,
            f"{output.name} has one unit, but {loss.name} compares one unit per class and is 0 for a single one; "
            'give it as many units as there are classes, or use "sigmoid" with binary_crossentropy for two',
        )
        return
    if loss.kind not in CLASSES:
        return
    if loss.from_logits:
        yield from _logits_wanted(output, loss)
    else:
        yield from _probabilities_wanted(output, loss)


def _logits_wanted(output: OutputFacts, loss: LossFacts) -> Iterator[Finding]:
    if output.activation in ("softmax", "sigmoid", "hard_sigmoid", "log_softmax"):
        yield warning(
            "from-logits-activated",
            loss.where,
            f"{loss.name} has from_logits=True, but {output.name} ends in {output.activation} and gives probabilities; "
            f"take from_logits=True out, or the {output.activation}",
        )
    elif output.activation == "relu":
        yield warning(
            "logits-relu",
            output.where,
            f"{output.name} ends in relu, so that no logit is negative; expected none: take activation='relu' out",
        )
    elif not output.activation and output.seen is not None and output.seen[2] and (size(output) or 0) > 1:
        yield warning(
            "from-logits-activated",
            loss.where,
            f"{loss.name} has from_logits=True, but the predictions of {output.name} on the first batch are "
            "probabilities that sum to 1; take from_logits=True out",
        )


def _probabilities_wanted(output: OutputFacts, loss: LossFacts) -> Iterator[Finding]:
    wanted = "sigmoid" if loss.kind is LossKind.BINARY else "softmax"
    if not output.activation:
        if output.seen is not None and (output.seen[0] < -1e-3 or output.seen[1] > 1 + 1e-3):
            yield error(
                "loss-wants-probabilities",
                output.where,
                f"{loss.name} takes probabilities, but {output.name} gave values from {output.seen[0]:.3g} to "
                f"{output.seen[1]:.3g} on the first batch; end in {wanted}, or give the loss from_logits=True",
            )
    elif output.activation not in PROBABILITIES:
        how = "has no activation" if output.activation == "linear" else f"ends in {output.activation}"
        yield error(
            "loss-wants-probabilities",
            output.where,
            f"{loss.name} takes probabilities, but {output.name} {how}; end in activation={wanted!r}, "
            "or take the activation out and give the loss from_logits=True",
        )
    elif output.activation == "sigmoid" and loss.kind is not LossKind.BINARY:
        yield warning(
            "sigmoid-several-classes",
            output.where,
            f"{output.name} has {size(output)} sigmoid units under {loss.name}, which expects one distribution over "
            "the classes; use 'softmax', or binary_crossentropy where a sample may have several labels",
        )
