"""What may stand under `start`: points to try first, and earlier sweeps, by name or folder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, cast

from ..spaces.constraints import Constraints
from ..spaces.errors import BadInput, did_you_mean
from ..spaces.known import Known
from ..spaces.trace import Undeclared
from ..spaces.trial import Scalar
from ..spaces.yaml_form import BadForm, shown
from ..spaces.yaml_form import Path as Place
from . import sweeps
from .objective import Objective
from .start import TOP, Point, Source, Start, expected, fitted, pinned, read, with_parents
from .sweepform import MANY, unknown_key

PATH: Place = ("start",)
_POINT = "a mapping of values by parameter, such as {learning_rate: 1e-3}"
_SOURCE = "a sweep's name or folder, {sweep: NAME, top: 5}, or a list of these"
TRIES = 2_000


def start_of(
    value: object,
    *,
    objective: Objective,
    space: Known,
    constraints: Constraints,
    undeclared: str,
    home: Path,
    folder: Path,
    reading: bool = True,
) -> Start:
    """Return what `start` says.

    Args:
        value: As it was written.
        objective: The sweep's.
        space: Its declared parameters.
        constraints: What every trial keeps to.
        undeclared: What becomes of parameters that only the model names.
        home: The folder whose `sweeps/` has the sweeps that are given by name.
        folder: What others are relative to.
        reading: Whether earlier sweeps are looked at; one that is resumed has all of them that it needs.

    Raises:
        BadForm: it cannot be understood, or not be done.
    """
    if value is None:
        return Start()
    if not isinstance(value, Mapping):
        raise BadForm(
            f"'start' is {shown(value)}; expected a mapping, such as {{try: [{{units: 64}}], from: NAME}}", PATH
        )
    given = cast(Mapping[Any, Any], value)
    for key in given:
        if key not in ("try", "from"):
            raise unknown_key(key, PATH, ("try", "from"))
    points = _points(given.get("try"))
    for index, point in enumerate(points):
        _check_point(point, (*PATH, "try", index), space, constraints, undeclared)
    if not reading:
        return Start(points=points)
    sources = tuple(_sources(given.get("from"), home, folder))
    for source in sources:
        try:
            read(source, objective)
        except BadInput as error:
            raise BadForm(f"'start.from': {error}", (*PATH, "from")) from None
    return Start(points=points, sources=sources)


# Points -------------------------------------------------------------------------------------------------------------------


def _points(value: object) -> tuple[Point, ...]:
    path = (*PATH, "try")
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise BadForm(f"'start.try' is {shown(value)}; expected a list of points, each {_POINT}", path)
    points: list[Point] = []
    for index, one in enumerate(cast(Sequence[object], value)):
        given = _mapping(one)
        if not given:
            raise BadForm(f"'start.try.{index}' is {shown(one)}; expected {_POINT}", (*path, index))
        points.append({str(name): _scalar(item, (*path, index, name)) for name, item in _items(given)})
    return tuple(points)


def _mapping(value: object) -> Mapping[Any, Any]:
    return cast(Mapping[Any, Any], value) if isinstance(value, Mapping) else {}


def _items(one: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    return [(name, item.item() if hasattr(item, "item") else item) for name, item in one.items()]  # of NumPy


def _scalar(value: object, path: Place) -> Scalar:
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise BadForm(f"'{'.'.join(map(str, path))}' is {shown(value)}; expected one value", path)


def _check_point(point: Point, path: Place, space: Known, constraints: Constraints, undeclared: str) -> None:
    """Refuse a point that cannot be tried, as far as the sweep file tells."""
    names = list(dict.fromkeys(one.name for one in space.parameters.values()))
    whole = with_parents(point, space)
    for name, value in point.items():
        alike = [one for one in space.parameters.values() if one.name == name]
        if not alike and undeclared != Undeclared.SEARCH:
            message = f"there is no parameter {name!r}{did_you_mean(name, names)}; declared are {', '.join(names)}"
            raise BadForm(message, (*path, name), at_key=True)
        if alike and all(fitted(one, value) is None for one in alike):
            said = f"'{'.'.join(map(str, path))}.{name}' is {shown(value)}; expected {expected(alike[0])}"
            raise BadForm(said, (*path, name))
        conditions = [one for parameter in alike for one in parameter.conditions if one.parent in whole]
        if alike and not any(
            all(one.holds(whole) for one in parameter.conditions if one.parent in whole) for parameter in alike
        ):
            other = next(one for one in conditions if not one.holds(whole))
            message = (
                f"{name!r} is not read where {other.parent!r} is {shown(whole[other.parent])}; leave one of them out"
            )
            raise BadForm(message, (*path, name), at_key=True)
    if refusal := constraints.refusal({name: (value,) for name, value in whole.items()}):
        raise BadForm(f"'{'.'.join(map(str, path))}' cannot be tried: {refusal}", path)
    known = {*names, *constraints.constants}
    sure = Constraints(
        clauses=tuple(one for one in constraints.clauses if known.issuperset(one.names)),
        constants=constraints.constants,
    )
    if sure.clauses and sure.find(space, pinned(whole, space), Random(0), TRIES) is None:
        raise BadForm(f"'{'.'.join(map(str, path))}' cannot be tried: nothing found beside it keeps to 'where'", path)


# Earlier sweeps -----------------------------------------------------------------------------------------------------------


def _sources(value: object, home: Path, folder: Path) -> list[Source]:
    if value is None:
        return []
    listed = cast(Sequence[object], value) if isinstance(value, list | tuple) else [value]
    single = not isinstance(value, list | tuple)
    return [
        _source(one, (*PATH, "from", *(() if single else (index,))), home, folder) for index, one in enumerate(listed)
    ]


def _source(value: object, path: Place, home: Path, folder: Path) -> Source:
    top: object = TOP
    if isinstance(value, Mapping):
        given = cast(Mapping[Any, Any], value)
        for key in given:
            if key not in ("sweep", "top"):
                raise unknown_key(key, path, ("sweep", "top"))
        value, top = given.get("sweep"), given.get("top", TOP)
        if isinstance(top, bool) or not isinstance(top, int) or not 0 <= top <= MANY:
            raise BadForm(f"'start.from.top' is {shown(top)}; expected a whole number from 0 to {MANY}", (*path, "top"))
    if isinstance(value, Path):
        value = str(value.absolute())
    if not isinstance(value, str) or not value:
        raise BadForm(f"'start.from' is {shown(value)}; expected {_SOURCE}", path)
    return Source(folder=str(_folder(value, path, home, folder)), top=top)


def _folder(name: str, path: Place, home: Path, folder: Path) -> Path:
    if "/" not in name:
        try:
            return sweeps.find(home, name)
        except BadInput as error:
            raise BadForm(f"'start.from': {error}", path) from None
    place = (folder / Path(name).expanduser()).resolve()
    if not (place / "journal.db").is_file():
        raise BadForm(f"'start.from': there is no sweep in {place}; expected {_SOURCE}", path)
    return place
