"""Whether the arguments of `fit`, the data and the objective go together: pure functions over facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..spaces.bounds import MEASURES
from ..spaces.errors import did_you_mean
from .facts import ArrayFacts, DataFacts, FitFacts, Kind, ModelFacts, PartFacts
from .finding import Finding, error, note, warning

OVERLAP = 0.01
"""So large a share of validation rows may have a copy in the training data without a word."""
MILD = 5.0
"""The largest class may be so many times the smallest one without a word."""
SEVERE = 0.9
"""Above this share of one class, accuracy says little."""
STEADY = ("adam", "adamw", "nadam", "adamax", "lion", "rmsprop", "lamb")
"""Optimizers whose step is about the learning rate, whatever the gradient."""
FALLING = ("loss", "error", "mse", "mae", "rmse", "mape")
RISING = ("accuracy", "acc", "auc", "precision", "recall", "f1", "iou", "r2_score")


def check_fit(model: ModelFacts, data: DataFacts, fit: FitFacts) -> Iterator[Finding]:
    """Yield what is wrong with the arguments of `fit`, the parts of the data, and the objective."""
    yield from _parts(data)
    yield from _batches(data, fit)
    yield from _steps(data, fit)
    yield from _validation(data, fit, own=model.own_fit)
    yield from _classes(model, data, fit)
    yield from _direction(fit)
    yield from check_optimizer(model)


def check_logged(fit: FitFacts, logged: Sequence[str]) -> Iterator[Finding]:
    """Yield each objective, and each name in a constraint, that a fit of one batch did not log and nobody measures."""
    names = [name for name in logged if name != "learning_rate"]
    for name in dict.fromkeys((fit.metric, *fit.names)) if names else ():
        if name in names or name in MEASURES:
            continue
        measures = MEASURES if len(fit.names) > 1 else ()
        yield error(
            "objective-not-logged",
            fit.objective_where,
            f"objective {name!r} is not logged by the model{did_you_mean(name, [*names, *measures])}: it logs "
            f"{', '.join(names)}; name one of these, or add the metric to compile",
        )


# The parts of the data ------------------------------------------------------------------------------------------------


def _parts(data: DataFacts) -> Iterator[Finding]:
    for part, word in ((data.train, "training"), (data.validation, "validation")):
        if part.broken:
            yield error("data-fails", data.where, f"reading the first batch of the {word} data fails: {part.broken}")
        if part.unequal:
            some = ", ".join(f"{name} {length:,}" for name, length in part.unequal)
            yield error(
                "lengths-differ",
                data.where,
                f"the arrays of the {word} data differ in their number of samples: {some}; expected the same for all",
            )
        if part.length == 0:
            yield error("data-empty", data.where, f"the {word} data has no samples; check the loader")
        weights = part.weights
        if weights is not None and (weights.nan or weights.infinite or (weights.low is not None and weights.low < 0)):
            yield error(
                "weights-unusable",
                data.where,
                f"the sample weights of the {word} data hold NaN, infinite or negative values; expected 0 or more",
            )
        elif weights is not None and weights.high == 0:
            yield error(
                "weights-unusable",
                data.where,
                f"the sample weights of the {word} data are all 0, so that nothing is learned; check the loader",
            )
    if data.leak:
        yield warning(
            "labels-in-inputs",
            data.where,
            f"{data.leak} equals the labels in every row, so that the model need only copy it; take it out of x",
        )


def _batches(data: DataFacts, fit: FitFacts) -> Iterator[Finding]:
    train = data.train
    if train.kind in (Kind.DATASET, Kind.SEQUENCE, Kind.GENERATOR):
        given = "searched" if fit.searched_batch else None if fit.batch_size is None else f"{fit.batch_size}"
        if given is not None:
            yield warning(
                "batch-size-ignored",
                fit.where,
                f"fit has batch_size ({given}), but the data comes in batches of its own and Keras ignores it; take it "
                "out, or search the batch size in the loader",
            )
        return
    largest = max(fit.batch_size or 0, fit.largest_batch or 0)
    if train.kind is Kind.ARRAYS and train.length and largest > train.length:
        yield warning(
            "batch-larger-than-data",
            fit.where,
            f"a batch of {largest:,} is larger than the training data ({train.length:,} samples), so that an epoch is "
            f"one step; expected far less, e.g. {_sensible(train.length)}",
        )


def _sensible(length: int) -> int:
    return max(1, min(32, 1 << max(0, (length // 10).bit_length() - 1)))


def _steps(data: DataFacts, fit: FitFacts) -> Iterator[Finding]:
    for part, steps, key in (
        (data.train, fit.steps, "steps_per_epoch"),
        (data.validation, fit.validation_steps, "validation_steps"),
    ):
        if part.kind is Kind.DATASET and part.batches == -1 and steps is None:
            yield error(
                "dataset-endless",
                data.where,
                f"the {'training' if key[0] == 's' else 'validation'} dataset never ends and fit has no {key}, so that "
                f"the first epoch would never end; give {key}, or take .repeat() out",
            )
        elif part.kind is Kind.GENERATOR and steps is None:
            yield error(
                "generator-without-steps",
                data.where,
                f"a Python generator does not say how long an epoch is, and can be read only once; give {key} with a "
                "generator that never ends, or use a keras.utils.PyDataset or tf.data",
            )
        elif steps is not None:
            have = _steps_there_are(part, fit, key)
            if have is not None and steps > have:
                yield warning(
                    "steps-exceed-data",
                    fit.where,
                    f"{key} is {steps:,}, but the data has {have:,} batches and ends before; take {key} out, "
                    "or repeat the dataset",
                )


def _steps_there_are(part: PartFacts, fit: FitFacts, key: str) -> int | None:
    if part.kind is Kind.DATASET or part.kind is Kind.SEQUENCE:
        return part.batches if part.batches is not None and part.batches >= 0 else None
    if part.kind is Kind.ARRAYS and part.length:
        size = fit.batch_size if key == "steps_per_epoch" else fit.batch_size or 32
        return -(-part.length // (size or 32))
    return None


def _validation(data: DataFacts, fit: FitFacts, *, own: bool) -> Iterator[Finding]:
    there = data.validation.kind is not Kind.NONE
    if fit.validation_split and data.train.kind not in (Kind.ARRAYS, Kind.NONE):
        yield error(
            "split-without-arrays",
            fit.where,
            "validation_split works on arrays only, and the data is a "
            f"{data.train.kind}; let the loader return (train, validation)",
        )
    validated = next((name for name in (fit.metric, *fit.names) if name.startswith("val_")), "")
    if validated and not (there or own or fit.validation_split or fit.folds):
        what = (
            "the objective is" if validated in (fit.metric, *(name for name, _ in fit.goals)) else "a constraint is on"
        )
        yield error(
            "no-validation-data",
            data.where or fit.objective_where,
            f"{what} {validated}, but there is no validation data; let the loader return "
            "((x, y), (x_val, y_val)), or set fit: {validation_split: 0.2}",
        )
    if data.compared and data.copied:
        share = data.copied / data.compared
        if share > max(OVERLAP, 1.5 * data.repeated):
            yield warning(
                "validation-overlaps",
                data.where,
                f"{data.copied:,} of {data.compared:,} validation rows ({share:.0%}) are exact copies of training "
                "rows, so that validation flatters; split before copying or augmenting, each row on one side",
            )


# Classes --------------------------------------------------------------------------------------------------------------


def _classes(model: ModelFacts, data: DataFacts, fit: FitFacts) -> Iterator[Finding]:
    train, validation = _labels(model, data.train), _labels(model, data.validation)
    for name, labels in train.items():
        if labels is None or labels.counts is None:
            continue
        counts = labels.counts
        if len(counts) == 1 and labels.rows > 1:
            yield warning(
                "one-class",
                data.where,
                f"all {labels.rows:,} labels {labels.name} are {next(iter(counts))!r}, so that there is nothing to "
                "tell apart; check the loader",
            )
            continue
        yield from _sides(labels, validation.get(name), data, fit)
        yield from _balance(labels, data, fit)
        yield from _class_weight(labels, fit)


def _labels(model: ModelFacts, part: PartFacts) -> dict[str, ArrayFacts | None]:
    """Return the labels that are class numbers, by the name of their output."""
    outputs = model.outputs
    found: dict[str, ArrayFacts | None] = {}
    for output, labels in zip(outputs, part.y, strict=False):
        loss = output.loss
        numbers = labels.label_shape == () and labels.whole
        kinds = ("sparse", "binary")
        found[output.name] = labels if numbers and loss is not None and loss.kind in kinds else None
    return found


def _sides(labels: ArrayFacts, other: ArrayFacts | None, data: DataFacts, fit: FitFacts) -> Iterator[Finding]:
    if other is None or other.counts is None or not labels.counts:
        return
    part = data.train.kind is not Kind.ARRAYS and data.train.looked_at != (data.train.length or -1)
    missing = [one for one in labels.counts if one not in other.counts]
    unseen = [one for one in other.counts if one not in labels.counts]
    if unseen and not part:
        yield warning(
            "classes-only-in-validation",
            data.where,
            f"the classes {_some(unseen)} are in the validation data only, and cannot be learned; {_mend(data, fit)}",
        )
    if missing:
        rows = sum(labels.counts[one] for one in missing)
        expected = rows / max(1, labels.rows) * other.rows
        grave = expected >= 3
        yield (warning if grave else note)(
            "classes-missing-in-validation",
            data.where,
            f"the classes {_some(missing)} ({rows:,} of {labels.rows:,} training rows) do not occur among "
            f"{other.rows:,} validation rows, so that validation does not see them; {_mend(data, fit)}",
        )


def _mend(data: DataFacts, fit: FitFacts) -> str:
    if data.split:
        return (
            f"validation_split takes the last {fit.validation_split:.0%} of the rows as they stand: shuffle them in "
            "the loader"
        )
    return "shuffle before splitting, or stratify by class"


def _some(values: Sequence[Any]) -> str:
    try:
        ordered = sorted(values)
    except TypeError:
        ordered = list(values)
    return ", ".join(map(str, ordered[:5])) + (f", … ({len(ordered)})" if len(ordered) > 5 else "")


def _balance(labels: ArrayFacts, data: DataFacts, fit: FitFacts) -> Iterator[Finding]:
    counts = labels.counts or {}
    if fit.class_weight or data.train.weights is not None or labels.rows < 20 or len(counts) < 2:
        return
    most, least = max(counts, key=lambda one: counts[one]), min(counts, key=lambda one: counts[one])
    share = counts[most] / labels.rows
    if share > SEVERE and "acc" in fit.metric:
        yield warning(
            "classes-unbalanced",
            data.where,
            f"{share:.1%} of the labels {labels.name} are {most!r}, so that always answering it reaches an accuracy of "
            f"{share:.3f}; use class_weight, or an objective such as val_auc",
        )
    elif counts[most] > MILD * counts[least] and len(counts) <= 100:
        yield note(
            "classes-unbalanced",
            data.where,
            f"class {most!r} has {counts[most]:,} rows of {labels.name}, class {least!r} {counts[least]:,}; "
            "consider class_weight, and a metric that sees small classes",
        )


def _class_weight(labels: ArrayFacts, fit: FitFacts) -> Iterator[Finding]:
    if not fit.class_weight or not labels.counts:
        return
    classes = {str(one) for one in labels.counts}
    unknown = [one for one in fit.class_weight if str(one) not in classes]
    missing = [one for one in labels.counts if str(one) not in {str(key) for key in fit.class_weight}]
    if unknown or missing:
        what = f"has no weight for {_some(missing)}" if missing else f"names {_some(unknown)}, which no label is"
        yield warning(
            "class-weight",
            fit.where,
            f"class_weight {what}; the classes are {_some(list(labels.counts))}, and one without a weight counts as 1",
        )


# The objective and the optimizer --------------------------------------------------------------------------------------


def _direction(fit: FitFacts) -> Iterator[Finding]:
    for metric, maximize in fit.goals or ((fit.metric, fit.maximize),):
        words = metric.removeprefix("val_").lower()
        parts = words.split("_")
        falling = words in FALLING or parts[-1] in ("loss", "error") or metric in MEASURES
        rising = not falling and (words in RISING or parts[-1] in ("accuracy", "acc", "auc", "precision", "recall"))
        if (falling and maximize) or (rising and not maximize):
            now, better = ("max", "min") if maximize else ("min", "max")
            kind = "smaller" if falling else "larger"
            yield warning(
                "objective-direction",
                fit.objective_where,
                f"the objective is {now} {metric}, but {kind} is better there, so that the worst model would win; "
                f"write {better} {metric}",
            )


def check_optimizer(model: ModelFacts) -> Iterator[Finding]:
    """Yield a learning rate that cannot be meant, and a model of which nothing is trained."""
    rate = model.learning_rate
    if rate is not None and rate <= 0:
        yield error(
            "learning-rate",
            model.compile_where,
            f"the learning rate is {rate:g}, so that nothing is learned; expected above 0, e.g. 1e-3",
        )
    elif rate is not None and rate >= 1 and model.optimizer.lower() in STEADY:
        yield warning(
            "learning-rate",
            model.compile_where,
            f"the learning rate is {rate:g}, and {model.optimizer} moves every weight by about that much each step; "
            "expected 1e-5 to 1e-1",
        )
    if model.trainable == 0 and not model.own_step:
        yield error(
            "nothing-trainable",
            model.where,
            "the model has no trainable weights, so that nothing is learned; expected at least a trainable head "
            "(layer.trainable = True before compile)",
        )
