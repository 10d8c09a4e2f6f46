"""Whether a model's inputs and the data's fit, and whether their values can be learned from: functions over facts."""

from __future__ import annotations

from collections.abc import Iterator

from ..spaces.errors import did_you_mean
from .facts import ArrayFacts, InputFacts, Kind, ModelFacts, PartFacts, Shape, Use
from .finding import Finding, error, note, warning
from .label_checks import shown

PIXELS = 16.0
"""Images whose values reach further than this, and are nowhere negative, count as not scaled."""
WIDE = 30.0
"""A feature with a larger standard deviation than this counts as not scaled."""
SHOWN = 5


def check_inputs(model: ModelFacts, data: PartFacts, where: str) -> Iterator[Finding]:
    """Yield what is wrong with the inputs, by themselves and for the model; `where` is the loader."""
    for array in data.x:
        yield from _values(array, where, _taker(model, data, array))
    if model.inputs is None:
        return
    wrong = list(_pairing(model.inputs, data, model.where))
    yield from wrong
    if wrong:
        return
    for one, array in pairs(model.inputs, data):
        yield from _pair(one, array, data, where)


def pairs(inputs: tuple[InputFacts, ...], data: PartFacts) -> list[tuple[InputFacts, ArrayFacts]]:
    """Return each input with its array: by key where the data is a dict with those keys, else in order."""
    by_key = {array.key: array for array in data.x if array.key is not None}
    if by_key and all(one.name in by_key for one in inputs):
        return [(one, by_key[one.name]) for one in inputs]
    return list(zip(inputs, data.x, strict=False))


def _taker(model: ModelFacts, data: PartFacts, array: ArrayFacts) -> InputFacts | None:
    return next((one for one, other in pairs(model.inputs or (), data) if other is array), None)


def _pairing(inputs: tuple[InputFacts, ...], data: PartFacts, where: str) -> Iterator[Finding]:
    names = [one.name for one in inputs]
    if data.structure == "dict":
        keys = [array.key or "" for array in data.x]
        missing = [name for name in names if name not in keys]
        if missing and (len(inputs) > 1 or len(keys) > 1):
            hint = did_you_mean(missing[0], [key for key in keys if key not in names])
            yield error(
                "input-names",
                where,
                f"the model's input {missing[0]!r} is not in the data{hint}: it has {', '.join(map(repr, keys))}; "
                "give the inputs and the data the same names",
            )
    elif len(data.x) != len(inputs) and data.x:
        yield error(
            "input-count",
            where,
            f"the model has {_several(len(inputs), 'input')} ({', '.join(names)}), but the data has {len(data.x)}; "
            "give one array per input, in their order or as a dict by name",
        )


def _several(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")


# One array by itself --------------------------------------------------------------------------------------------------


def _values(array: ArrayFacts, where: str, taker: InputFacts | None) -> Iterator[Finding]:
    if array.dtype == "object":
        yield error(
            "inputs-object",
            where,
            f"{array.name} is an array of objects (rows of unequal lengths, or mixed types), which Keras cannot take; "
            "pad the rows, or give one dtype such as float32",
        )
    elif array.nan or array.infinite:
        kinds = ((array.nan, "NaN"), (array.infinite, "infinite"))
        what = " and ".join(f"{count:,} {kind}" for count, kind in kinds if count)
        message = (
            f"{array.name} holds {what} values among {array.rows:,} rows, and one makes every weight NaN; "
            "drop or fill them in the loader"
        )
        handled = taker is None or taker.use is Use.UNKNOWN
        yield (warning if handled else error)("inputs-not-finite", where, message)
    elif array.alike:
        yield warning(
            "inputs-alike",
            where,
            f"all {array.rows:,} rows of {array.name} are the same, so that nothing can be learned from them; "
            "check the loader",
        )
    elif array.constant:
        some = ", ".join(map(str, array.constant[:SHOWN])) + (", …" if len(array.constant) > SHOWN else "")
        yield note(
            "features-constant",
            where,
            f"{len(array.constant)} of {array.shape[0]} features of {array.name} never change (columns {some}); "
            "they can be left out",
        )
    if array.dtype == "float64":
        yield note(
            "inputs-float64",
            where,
            f"{array.name} is float64, which Keras casts to float32 for every batch; astype('float32') in the loader "
            "halves its memory",
        )


# An input and its array -----------------------------------------------------------------------------------------------


def _pair(one: InputFacts, array: ArrayFacts, data: PartFacts, where: str) -> Iterator[Finding]:
    wants_text = one.dtype == "string"
    if array.text and not wants_text:
        yield error(
            "inputs-text",
            where,
            f"{array.name} holds strings, but the input {one.name!r} takes {one.dtype}; put a TextVectorization or "
            "StringLookup layer first, or turn them into numbers in the loader",
        )
    elif wants_text and not array.text and array.dtype != "object":
        yield error(
            "inputs-not-text",
            where,
            f"the input {one.name!r} takes strings, but {array.name} is {array.dtype}; give the texts themselves",
        )
    elif not takes(one.shape, array.shape):
        yield _shape(one, array, data, where)
    elif one.use is Use.TOKENS:
        yield from _tokens(one, array)
    elif one.use is Use.RAW and array.dtype != "object":
        yield from _scale(one, array)


def takes(wanted: Shape, given: Shape) -> bool:
    """Say whether Keras takes an array of this shape: it adds or drops one last axis of length one."""
    if len(given) == len(wanted) + 1 and given[-1] == 1:
        given = given[:-1]
    elif len(given) == len(wanted) - 1 and wanted[-1] in (1, None):
        given = (*given, 1)
    return len(given) == len(wanted) and all(
        one is None or other is None or one == other for one, other in zip(wanted, given, strict=True)
    )


def _shape(one: InputFacts, array: ArrayFacts, data: PartFacts, where: str) -> Finding:
    wanted, given = one.shape, array.shape
    if data.kind is Kind.DATASET and data.batch is not None and takes(wanted, (data.batch, *given)):
        return error(
            "dataset-not-batched",
            where,
            f"the dataset gives single samples, not batches: its first element of {array.name} is of shape "
            f"{(data.batch, *given)}, and the input {one.name!r} takes {shown(wanted)}; end it in .batch(32)",
        )
    mend = "change the model's Input, or the data"
    if len(given) == 3 and len(wanted) == 3 and takes(wanted, (*given[1:], given[0])):
        mend = "the channels come first in the data, last in the model: move them with numpy.moveaxis(x, 1, -1)"
    elif len(given) == 3 and len(wanted) == 3 and takes(wanted, (given[2], *given[:2])):
        mend = "the channels come last in the data, first in the model: move them with numpy.moveaxis(x, -1, 1)"
    elif _length(given) is not None and _length(given) == _length(wanted):
        mend = f"the sizes agree: reshape the data to {shown(wanted)}, or change the model's Input"
    return error(
        "input-shape",
        one.where or where,
        f"the input {one.name!r} takes {shown(wanted)}, but {array.name} is {shown(given)}; {mend}",
    )


def _length(shape: Shape) -> int | None:
    result = 1
    for one in shape:
        if one is None:
            return None
        result *= one
    return result


def _tokens(one: InputFacts, array: ArrayFacts) -> Iterator[Finding]:
    if array.low is None or array.high is None:
        return
    if not array.whole:
        yield error(
            "tokens-not-whole",
            one.where,
            f"{array.name} goes into an Embedding, which takes whole numbers, but has fractions "
            f"({array.low:g} to {array.high:g}); give the numbers of tokens, unscaled",
        )
    elif array.low < 0 or (one.vocabulary is not None and array.high >= one.vocabulary):
        known = "" if one.vocabulary is None else f" knows the tokens 0 to {one.vocabulary - 1}, but"
        yield error(
            "tokens-out-of-range",
            one.where,
            f"the Embedding of {one.name!r}{known or ' meets'} {array.name} {'goes' if known else 'going'} from "
            f"{array.low:.0f} to {array.high:.0f}; expected input_dim of {array.high + 1:.0f} or more, none below 0",
        )


def _scale(one: InputFacts, array: ArrayFacts) -> Iterator[Finding]:
    low, high = array.low, array.high
    if low is None or high is None or array.nan or array.infinite:
        return
    image = len(array.shape) == 3 and (array.shape[-1] in (1, 3, 4) or array.shape[0] in (1, 3, 4))
    bytes_ = array.whole and high <= 255 and high >= 128
    if low >= 0 and ((image and high > PIXELS) or (bytes_ and (len(array.shape) >= 2 or array.dtype == "uint8"))):
        yield warning(
            "inputs-not-scaled",
            one.where,
            f"{array.name} goes from {low:g} to {high:g} ({array.dtype}) straight into the weights of {one.name!r}; "
            "expected about -1 to 1: put keras.layers.Rescaling(1 / 255) first, divide in the loader, or use the "
            "base model's preprocess_input",
        )
    elif array.widest is not None and array.widest[1] > WIDE:
        index, deviation, least, most = array.widest
        yield warning(
            "inputs-not-scaled",
            one.where,
            f"feature {index} of {array.name} goes from {least:g} to {most:g} (standard deviation {deviation:.3g}) "
            "straight into the weights; expected about 1: standardize the features in the loader, or with an adapted "
            "keras.layers.Normalization first",
        )
