"""Values of a parameter before anything is known of them: one at random, or all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
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
    if not domain.log:
        low, high = domain.low, domain.high
        return random.randint(int(low), int(high)) if domain.integer else random.uniform(low, high)
    half = 0.5 if domain.integer else 0.0  # as Optuna has it: each integer owns the numbers that round to it
    value = math.exp(random.uniform(math.log(domain.low - half), math.log(domain.high + half)))
    value = min(max(round(value) if domain.integer else value, domain.low), domain.high)
    value = domain.low + domain.high - value if domain.mirrored else value
    return int(value) if domain.integer else min(max(float(value), domain.low), domain.high)


def configuration(known: Known, random: Random, pinned: dict[str, Scalar] | None = None) -> dict[str, Scalar]:
    """Return a random value for each active parameter, by identity; `pinned` ones are as they are."""
    return known.walk(lambda _, parameter: draw(parameter, random), pinned)


def configurations(known: Known, limit: int) -> list[dict[str, Scalar]] | None:
    """Return all configurations, by identity; None where there are more than `limit`, or too many values in all."""
    most = min(limit, MANY_VALUES // (len(known.parameters) or 1))
    found = list(islice(_all(known, most), most + 1))
    return None if len(found) > most or None in found else [one for one in found if one is not None]


def _all(known: Known, limit: int) -> Iterator[dict[str, Scalar] | None]:
    """Yield each configuration, the last parameter's values changing first; None for one of more values than `limit`."""
    parameters = list(known.parameters.items())
    params: dict[str, Scalar] = {}
    by_name: dict[str, Scalar] = {}
    chosen: list[tuple[int, Iterator[Scalar], dict[str, Scalar]]] = []
    index = 0
    while True:
        for place, (key, parameter) in enumerate(parameters[index:], index):
            if parameter.active(by_name):
                values = members(parameter, limit)
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
