"""Values of a parameter before anything is known of them: one at random, or all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from random import Random

from .known import Known
from .parameter import Fixed, Interval, Parameter
from .trial import Scalar

MANY_VALUES = 1_000_000
"""So many values are held at a time, over all configurations."""


def draw(parameter: Parameter, random: Random) -> Scalar:
    """Return a value drawn uniformly on the parameter's scale; under log sampling, in the logarithm."""
    domain = parameter.domain
    if not isinstance(domain, Interval):
        return domain.values[random.randrange(len(domain.values))]
    if domain.integer and not domain.log:
        return random.randint(int(domain.low), int(domain.high))
    return at_quantile(parameter, random.random())


def at_quantile(parameter: Parameter, share: float) -> Scalar:
    """Return the value below which so much of the parameter's scale lies; `share` is from 0 to below 1."""
    domain = parameter.domain
    if not isinstance(domain, Interval):
        return domain.values[int(share * len(domain.values))]
    low, high = domain.low, domain.high
    if not domain.log:
        return int(low) + int(share * (int(high) - int(low) + 1)) if domain.integer else low + (high - low) * share
    half = 0.5 if domain.integer else 0.0  # as Optuna has it: each integer owns the numbers that round to it
    first, last = math.log(low - half), math.log(high + half)
    value = math.exp(first + (last - first) * share)
    value = min(max(round(value) if domain.integer else value, low), high)
    value = low + high - value if domain.mirrored else value
    return int(value) if domain.integer else min(max(float(value), low), high)


def configuration(known: Known, random: Random, pinned: dict[str, Scalar] | None = None) -> dict[str, Scalar]:
    """Return a random value for each active parameter, by identity; `pinned` ones are as they are."""
    return known.walk(lambda _, parameter: draw(parameter, random), pinned)


def configurations(
    known: Known, limit: int, pinned: Mapping[str, Scalar] | None = None
) -> list[dict[str, Scalar]] | None:
    """Return all configurations, by identity; None where there are more than `limit`, or too many values in all.

    Parameters that are `pinned` have that value alone.
    """
    most = min(limit, MANY_VALUES // (len(known.parameters) or 1))
    found = list(islice(in_order(known, most, pinned), most + 1))
    return None if len(found) > most or None in found else [one for one in found if one is not None]


def in_order(
    known: Known, limit: int, pinned: Mapping[str, Scalar] | None = None
) -> Iterator[dict[str, Scalar] | None]:
    """Yield each configuration, the last parameter's values changing first; None for one of more values than `limit`."""
    parameters, given = list(known.parameters.items()), pinned or {}
    params: dict[str, Scalar] = {}
    by_name: dict[str, Scalar] = {}
    chosen: list[tuple[int, Iterator[Scalar], dict[str, Scalar]]] = []
    index = 0
    while True:
        for place, (key, parameter) in enumerate(parameters[index:], index):
            if parameter.active(by_name):
                values = (given[key],) if key in given else members(parameter, limit)
                if values is None:
                    yield None
                    return
                rest = iter(values)
                before = {parameter.name: by_name[parameter.name]} if parameter.name in by_name else {}
                params[key] = by_name[parameter.name] = next(rest)
                chosen.append((place, rest, before))
        yield dict(params)
        while chosen:
            place, rest, before = chosen[-1]
            key, parameter = parameters[place]
            value = next(rest, None)
            if value is not None:
                params[key] = by_name[parameter.name] = value
                index = place + 1
                break
            chosen.pop()
            del params[key], by_name[parameter.name]
            by_name |= before
        if not chosen:
            return


def members(parameter: Parameter, limit: int) -> tuple[Scalar, ...] | None:
    """Return all values of the parameter; None where there are more than `limit`."""
    if isinstance(parameter, Fixed):
        return (parameter.value,)
    domain = parameter.domain
    if not isinstance(domain, Interval):
        return domain.values
    if domain.low == domain.high:
        return (parameter.initial,)
    if not domain.integer or domain.high - domain.low >= limit:
        return None
    return tuple(range(int(domain.low), int(domain.high) + 1))
