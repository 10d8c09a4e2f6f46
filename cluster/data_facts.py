"""The data of a sweep, looked at: the arguments of `fit` as facts for the checks."""

from __future__ import annotations

import math
import time
import types
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, cast

import numpy as np

from ..spaces.errors import one_line
from .array_facts import array_facts, as_array, equal_feature, row_hashes
from .facts import ArrayFacts, DataFacts, Kind, PartFacts

LOOK_S = 1.0
"""A dataset is read for at most so long, and a first batch for as long as it takes."""
LOOK_BYTES = 64_000_000
COMPARED = 10_000
"""So many validation rows are looked for in the training data."""


@dataclass(slots=True, kw_only=True)
class Part:
    """Training or validation data as it was read: its facts, and the arrays that they are about."""

    facts: PartFacts = field(default_factory=PartFacts)
    x: Any = None
    y: Any = None


def data_facts(arguments: dict[str, Any], where: str, *, read: bool = True) -> tuple[DataFacts, Part]:
    """Return what is known of the data, and the first of the training data itself.

    A generator in `arguments` is put together again, so that `fit` gets its first batch too.

    Args:
        arguments: Of `fit`.
        where: The function that loads them, as `model.py:30`.
        read: Whether to read from datasets; otherwise only arrays in memory are looked at, and only for errors.
    """
    x, y, weights = arguments.get("x"), arguments.get("y"), arguments.get("sample_weight")
    split = float(arguments.get("validation_split") or 0.0)
    given = arguments.get("validation_data")
    if kind_of(x) is Kind.GENERATOR and read:
        first, arguments["x"] = _peeked(cast(Generator[Any], x))
        train = _from_batches([first], Kind.GENERATOR, "", None) if first is not None else Part()
        train.facts = replace(train.facts, kind=Kind.GENERATOR)
    else:
        train = _part(x, y, weights, "", read=read)
    validation = Part()
    if given is not None:
        parts = _elements(given)
        second, third = (parts[index] if len(parts) > index else None for index in (1, 2))
        validation = _part(parts[0], second, third, "_val", read=read)
    elif split and train.facts.kind is Kind.ARRAYS and not train.facts.unequal and train.facts.length:
        at = math.floor(train.facts.length * (1.0 - split))
        first_part, last_part = slice(None, at), slice(at, None)
        train = _part(_cut(x, first_part), _cut(y, first_part), _cut(weights, first_part), "", read=read)
        validation = _part(_cut(x, last_part), _cut(y, last_part), _cut(weights, last_part), "_val", read=read)
    facts = DataFacts(train=train.facts, validation=validation.facts, split=split, where=where)
    return (_compared(facts, train, validation) if read else facts), train


def kind_of(x: Any) -> Kind:
    """Return how the data comes."""
    if x is None:
        return Kind.NONE
    if isinstance(x, types.GeneratorType):
        return Kind.GENERATOR
    names = {f"{one.__module__}.{one.__name__}" for one in type(x).__mro__}
    if any(name.endswith(".DatasetV2") or name.endswith(".DistributedDataset") for name in names):
        return Kind.DATASET
    if any(name.endswith(".PyDataset") for name in names):
        return Kind.SEQUENCE
    parts = _parts_of(x)
    return Kind.ARRAYS if all(hasattr(one, "shape") or isinstance(one, list) for one in parts) else Kind.OTHER


def _parts_of(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(cast(Mapping[str, Any], value).values())
    if isinstance(value, list | tuple):
        several = cast(Sequence[Any], value)
        return list(several) if several and all(hasattr(one, "shape") for one in several) else [value]
    return [value]


def named(value: Any, name: str) -> list[tuple[str, str | None, Any]]:
    """Return `(name for messages, key, array)` for each array of a structure."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [(f"{name}[{key!r}]", str(key), one) for key, one in cast(Mapping[str, Any], value).items()]
    parts = _parts_of(value)
    if isinstance(value, list | tuple) and parts and parts[0] is not value:
        return [(f"{name}[{index}]", None, one) for index, one in enumerate(parts)]
    return [(name, None, value)]


def structure_of(x: Any) -> str:
    """Return `dict`, `list` or `array`."""
    if isinstance(x, Mapping):
        return "dict"
    return "list" if len(named(x, "x")) != 1 or (named(x, "x") and named(x, "x")[0][0] != "x") else "array"


def first_rows(x: Any, count: int) -> Any:
    """Return the first samples of inputs, as a model takes them."""
    if isinstance(x, Mapping):
        return {key: as_array(one[:count]) for key, one in cast(Mapping[str, Any], x).items()}
    parts = _parts_of(x)
    if isinstance(x, list | tuple) and parts and parts[0] is not x:
        return [as_array(one)[:count] for one in parts]
    return as_array(x)[:count]


def _cut(value: Any, rows: slice) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {key: one[rows] for key, one in cast(Mapping[str, Any], value).items()}
    parts = _parts_of(value)
    if isinstance(value, list | tuple) and parts and parts[0] is not value:
        return [one[rows] for one in parts]
    return cast(Any, value)[rows]


def _part(x: Any, y: Any, weights: Any, suffix: str, *, read: bool) -> Part:
    kind = kind_of(x)
    if kind is Kind.ARRAYS:
        return _from_arrays(x, y, weights, suffix)
    if kind in (Kind.DATASET, Kind.SEQUENCE):
        batches = _length(x, kind)
        if read:
            return _read(x, kind, suffix, batches)
        specified = _specified(x, suffix) if kind is Kind.DATASET else PartFacts(kind=kind)
        return Part(facts=replace(specified, batches=batches))
    return Part(facts=PartFacts(kind=kind))


def _from_arrays(x: Any, y: Any, weights: Any, suffix: str) -> Part:
    lengths: list[tuple[str, int]] = []
    facts: dict[str, tuple[ArrayFacts, ...]] = {}
    for argument, value in (("x", x), ("y", y), ("sample_weight", weights)):
        arrays = named(value, argument + suffix)
        facts[argument] = tuple(array_facts(one, name, key=key, labels=argument != "x") for name, key, one in arrays)
        lengths += [(name, len(one)) for name, _, one in arrays if hasattr(one, "__len__")]
    length = lengths[0][1] if lengths else None
    unequal = tuple(lengths) if len({count for _, count in lengths}) > 1 else ()
    return Part(
        facts=PartFacts(
            kind=Kind.ARRAYS,
            x=facts["x"],
            y=facts["y"],
            structure=structure_of(x),
            length=length,
            looked_at=length or 0,
            weights=facts["sample_weight"][0] if facts["sample_weight"] else None,
            unequal=unequal,
        ),
        x=x,
        y=y,
    )


# Datasets -------------------------------------------------------------------------------------------------------------


def _length(x: Any, kind: Kind) -> int | None:
    """Return the number of batches: None where it is unknown, -1 where they never end."""
    try:
        count = int(x.cardinality()) if kind is Kind.DATASET else x.num_batches
    except Exception:  # a PyDataset of the user's own without a length
        return None
    return count if count is not None and count >= -1 else None


def _specified(dataset: Any, suffix: str) -> PartFacts:
    """Return the shapes of a dataset as it declares them; nothing is read."""
    spec: Any = dataset.element_spec
    parts = list(cast(Sequence[Any], spec)) if isinstance(spec, tuple) else [spec]
    facts: list[tuple[ArrayFacts, ...]] = []
    for argument, part in zip(("x", "y"), parts, strict=False):
        arrays = named(part, argument + suffix)
        if any(getattr(one, "shape", None) is None or one.shape.rank is None for _, _, one in arrays):
            return PartFacts(kind=Kind.DATASET)
        facts.append(
            tuple(
                ArrayFacts(name=name, key=key, shape=tuple(one.shape.as_list()[1:]), dtype=one.dtype.name, rows=0)
                for name, key, one in arrays
            )
        )
    return PartFacts(
        kind=Kind.DATASET, x=facts[0], y=facts[1] if len(facts) > 1 else (), structure=structure_of(parts[0])
    )


def _read(x: Any, kind: Kind, suffix: str, batches: int | None) -> Part:
    try:
        return _from_batches(_some(_batches(x, kind, batches)), kind, suffix, batches)
    except Exception as failure:  # whatever the user's loader raises
        reason = one_line(f"{type(failure).__name__}: {failure}")
        return Part(facts=PartFacts(kind=kind, batches=batches, broken=reason))


def _batches(x: Any, kind: Kind, batches: int | None) -> Iterator[Any]:
    if kind is Kind.DATASET:
        yield from x.as_numpy_iterator()
        return
    for index in range(batches or 1):
        yield x[index]


def _some(batches: Iterable[Any]) -> list[Any]:
    """Return the first batches, as many as can be read in a second."""
    read: list[Any] = []
    size, began = 0, time.monotonic()
    for batch in batches:
        read.append(batch)
        size += sum(getattr(one, "nbytes", 0) for part in _elements(batch) for _, _, one in named(part, ""))
        if time.monotonic() - began > LOOK_S or size > LOOK_BYTES:
            break
    return read


def _elements(batch: Any) -> tuple[Any, ...]:
    return tuple(cast(Sequence[Any], batch)) if isinstance(batch, tuple | list) else (batch,)


def _from_batches(batches: Sequence[Any], kind: Kind, suffix: str, count: int | None) -> Part:
    if not batches:
        return Part(facts=PartFacts(kind=kind, batches=count, length=0))
    leaves = [one for part in _elements(batches[0]) for _, _, one in named(part, "")]
    if any(getattr(one, "ndim", 1) == 0 for one in leaves):
        return Part(facts=PartFacts(kind=kind, batches=count, single=True))
    columns = [_joined(parts) for parts in zip(*(_elements(batch) for batch in batches), strict=False)]
    x, y, weights = (*columns, None, None)[:3]
    whole = count == len(batches)
    rows = _rows(x)
    part = _from_arrays(x, y, weights, suffix)
    first = _rows(_elements(batches[0])[0])
    return Part(
        facts=replace(
            part.facts,
            kind=kind,
            length=rows if whole else None,
            batch=first,
            batches=count,
            looked_at=rows,
            unequal=part.facts.unequal,
        ),
        x=x,
        y=y,
    )


def _rows(x: Any) -> int:
    arrays = named(x, "x")
    one = arrays[0][2] if arrays else None
    shape = getattr(one, "shape", ())
    return int(shape[0]) if shape else 0


def _joined(parts: Sequence[Any]) -> Any:
    """Return one structure of arrays for several of the same form."""
    first = parts[0]
    if isinstance(first, Mapping):
        return {key: _joined([part[key] for part in parts]) for key in cast(Mapping[str, Any], first)}
    if isinstance(first, tuple | list) and first and hasattr(cast(Sequence[Any], first)[0], "shape"):
        return [_joined(several) for several in zip(*parts, strict=False)]
    arrays = [as_array(part) for part in parts]
    like = [one for one in arrays if one.shape[1:] == arrays[0].shape[1:]]
    if arrays[0].ndim == 0:
        return np.stack(like)
    return np.concatenate(like) if len(like) == len(arrays) else arrays[0]


def _peeked(generator: Generator[Any]) -> tuple[Any, Generator[Any]]:
    """Return a generator's first batch, and a generator that gives all of them."""
    head = list(islice(generator, 1))

    def again() -> Generator[Any]:
        yield from head
        yield from generator

    return (head[0] if head else None), again()


# Both parts -----------------------------------------------------------------------------------------------------------


def _compared(facts: DataFacts, train: Part, validation: Part) -> DataFacts:
    """Return the facts with what shows only in training and validation rows together."""
    leak = ""
    arrays = named(train.x, "x")
    if len(arrays) == 1 and train.y is not None and len(named(train.y, "y")) == 1 and train.y is not train.x:
        index = equal_feature(arrays[0][2], named(train.y, "y")[0][2])
        leak = "" if index is None else f"feature {index} of x"
    try:
        mine = row_hashes(one for _, _, one in arrays)
        theirs = row_hashes(one[:COMPARED] for _, _, one in named(validation.x, "x"))
    except Exception:  # what has no rows to compare: ragged tensors, objects
        return replace(facts, leak=leak)
    if not mine or not theirs:
        return replace(facts, leak=leak)
    known = set(mine)
    copied = sum(one in known for one in theirs)
    return replace(facts, leak=leak, copied=copied, compared=len(theirs), repeated=1 - len(known) / len(mine))
