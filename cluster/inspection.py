"""What every experienced Keras user checks before training, in words: pure functions over facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..spaces.errors import did_you_mean
from .facts import ArrayFacts, DataFacts, FitFacts, Kind, ModelFacts, OutputFacts, PartFacts
from .finding import Finding, error, in_order, warning
from .fit_checks import check_fit
from .input_checks import check_inputs
from .loss_checks import check_output
from .metric_checks import check_metrics


def inspect(model: ModelFacts, data: DataFacts, fit: FitFacts) -> list[Finding]:
    """Return what is wrong with a model, its data and the arguments of `fit`, worst first, each once."""
    found = [*_compiled(model), *_training(model, data), *check_fit(model, data, fit)]
    if data.validation.kind is not Kind.NONE:
        said = {(one.code, one.where) for one in found}
        found += [
            one
            for one in _part(model, data.validation, data.where)
            if one.severity == "error" and (one.code, one.where) not in said
        ]
    return in_order(found)


def inspect_data(data: DataFacts, fit: FitFacts) -> list[Finding]:
    """Return what is wrong with the data alone, for a training loop of the user's own."""
    model = ModelFacts(own_step=True, own_fit=True)  # it may hold back what it validates on
    return in_order([*check_inputs(model, data.train, data.where), *check_fit(model, data, fit)])


def _training(model: ModelFacts, data: DataFacts) -> Iterator[Finding]:
    if data.train.kind is not Kind.NONE:
        yield from _part(model, data.train, data.where)
    else:
        for output in model.outputs:
            yield from _output(output, None, data.where, own=model.own_step)


def _part(model: ModelFacts, part: PartFacts, where: str) -> Iterator[Finding]:
    if part.single:
        yield error(
            "dataset-not-batched",
            where,
            "the dataset gives single samples, but fit takes batches; end it in .batch(32)",
        )
    if part.broken or part.single:
        return
    yield from check_inputs(model, part, where)
    if model.own_step:
        return
    if not part.y:
        yield from _no_labels(model, part, where)
        for output in model.outputs:
            yield from _output(output, None, where, own=False)
        return
    wrong = list(_pairing(model, part, where))
    yield from wrong
    for output, labels in [] if wrong else by_output(model.outputs, part.y):
        yield from _output(output, labels, where, own=False)


def by_output(outputs: tuple[OutputFacts, ...], y: tuple[ArrayFacts, ...]) -> list[tuple[OutputFacts, ArrayFacts]]:
    """Return each output with its labels: by name where they are a dict, else in order."""
    by_key = {labels.key: labels for labels in y if labels.key is not None}
    if by_key:
        return [(output, by_key[output.name]) for output in outputs if output.name in by_key]
    return list(zip(outputs, y, strict=False))


def _output(output: OutputFacts, labels: ArrayFacts | None, where: str, *, own: bool) -> Iterator[Finding]:
    if own:
        return
    for one in check_output(output, labels):
        yield one if one.where else replace(one, where=where)
    yield from check_metrics(output, labels)


def _compiled(model: ModelFacts) -> Iterator[Finding]:
    if not model.compiled and not model.own_fit:
        yield error(
            "not-compiled",
            model.where,
            "build returns a model that is not compiled; end it in model.compile(optimizer=…, loss=…, metrics=[…])",
        )
    elif not model.has_loss and not model.own_step and not model.own_fit:
        yield error(
            "no-loss",
            model.compile_where,
            "compile has no loss, and the model adds none of its own, so that there is nothing to minimize; "
            "give loss=…",
        )
    names = [output.name for output in model.outputs]
    for argument, name in model.unknown_names:
        yield error(
            "output-names",
            model.compile_where,
            f"{argument} names {name!r}, which is no output of the model{did_you_mean(name, names)}: its outputs are "
            f"{', '.join(map(repr, names))}; use their names, as given by name= of the last layers",
        )
    for name in model.missing_losses:
        yield warning(
            "output-without-loss",
            model.compile_where,
            f"the output {name!r} has no loss and is not trained; give it one, or take the output out",
        )


def _no_labels(model: ModelFacts, part: PartFacts, where: str) -> Iterator[Finding]:
    wants = any(output.loss is not None for output in model.outputs)
    if wants and part.x and not model.own_fit:
        yield error(
            "no-labels",
            where,
            f"the data has no labels, but the loss {_losses(model)} compares with them; let the loader return (x, y), "
            "or a dataset of (x, y) pairs",
        )


def _losses(model: ModelFacts) -> str:
    return ", ".join(dict.fromkeys(output.loss.name for output in model.outputs if output.loss is not None))


def _pairing(model: ModelFacts, part: PartFacts, where: str) -> Iterator[Finding]:
    outputs = [output.name for output in model.outputs]
    keys = [labels.key for labels in part.y if labels.key is not None]
    if keys and len(outputs) > 1:
        wanted = [output.name for output in model.outputs if output.loss is not None]
        for name in wanted:
            if name not in keys:
                hint = did_you_mean(name, [key for key in keys if key not in outputs])
                yield error(
                    "label-names",
                    where,
                    f"the model's output {name!r} has no labels in the data{hint}: they are named "
                    f"{', '.join(map(repr, keys))}; give outputs and labels the same names",
                )
    elif not keys and outputs and len(part.y) != len(outputs):
        yield error(
            "label-count",
            where,
            f"the model has {len(outputs)} output{'s' * (len(outputs) != 1)} ({', '.join(outputs)}), but the data has "
            f"{len(part.y)} array{'s' * (len(part.y) != 1)} of labels; give one per output",
        )
