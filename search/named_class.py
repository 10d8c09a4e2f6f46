"""An object of somebody's class, as a sweep file names it: `module:Class`, and its arguments beside the name.

What the class is, and that the arguments fit it, is checked at once; each use makes a fresh object. An argument that is
an object itself is a mapping with its `name`, as `{name: "optuna.pruners:MedianPruner", n_startup_trials: 3}`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from ..spaces.bad_form import shown
from ..spaces.errors import BadInput, did_you_mean, one_line
from ..spaces.trial import Json

REFERENCE = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)")
PLAIN: Mapping[str, type | None] = {"int": int, "float": float, "bool": bool, "str": str, "None": None}
CONTAINERS = re.compile(r"\b(Any|None|Sequence|Mapping|Iterable|Literal|Optional|Union|Dict|List|Tuple)\b")
SEED = "seed"


def class_named(reference: str, base: str) -> type[Any]:
    """Return the class that `module:Class` names.

    Args:
        reference: the module, as it is installed, and the class in it.
        base: `module:Class` of what it has to derive from.

    Raises:
        BadInput: it names none, or one of another kind.
    """
    match = REFERENCE.fullmatch(reference)
    expected = f"expected `module:Class` of an installed class derived from {base.replace(':', '.')}"
    if match is None:
        raise BadInput(f"{shown(reference)} names no class; {expected}")
    module = _module(match["module"], expected)
    kind = _attribute(base)
    near = [name for name, one in cast(dict[str, object], vars(module)).items() if _is_made_of(one, kind)]
    found = getattr(module, match["name"], None)
    if found is None:
        have = did_you_mean(match["name"], near)
        raise BadInput(f"{match['module']} has no {match['name']!r}{have}; {expected}")
    if not _is_made_of(found, kind):
        raise BadInput(f"{reference!r} is something else{did_you_mean(match['name'], near)}; {expected}")
    return found


def _is_made_of(found: object, kind: type[Any]) -> bool:
    return inspect.isclass(found) and issubclass(found, kind) and not inspect.isabstract(found)


def check_arguments(reference: str, base: str, given: Mapping[str, Json]) -> None:
    """Refuse arguments that the class does not have, or that do not fit it.

    Raises:
        BadInput: there is one; the message names it first, in quotes, where it is one alone.
    """
    kind = class_named(reference, base)
    parameters = _parameters(kind)
    names = [name for name in parameters if name != SEED]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in _signature(kind))
    for name, value in given.items():
        if name == SEED:
            raise BadInput(f"{SEED!r} is not {kind.__name__}'s to choose here; expected it as `search: {{seed: 7}}`")
        if name not in parameters and not takes_any:
            has = f"expected one of {', '.join(names)}" if names else "it takes none"
            raise BadInput(f"{name!r} is no argument of {kind.__name__}; {has}{did_you_mean(name, names)}")
        if name in parameters:
            _check_type(kind, name, value, parameters[name].annotation)
    lacking = [name for name in names if parameters[name].default is inspect.Parameter.empty and name not in given]
    if lacking:
        raise BadInput(f"{kind.__name__} needs {' and '.join(map(repr, lacking))}; expected it beside the name")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made(reference, given, seed=0)
    except BadInput:
        raise
    except ImportError as error:
        raise BadInput(needs(kind.__name__, [_missing(error)])) from error
    except Exception as error:  # whatever a class says to arguments
        raise BadInput(f"{kind.__name__} refuses its arguments: {one_line(str(error), 300)}") from error


def made(reference: str, given: Mapping[str, Json], *, seed: int) -> object:
    """Return a fresh object of the class, which has been checked; one that takes a seed gets this one."""
    match = REFERENCE.fullmatch(reference)
    if match is None:
        raise BadInput(f"{shown(reference)} names no class; expected `module:Class`")
    return constructed(_attribute(reference), given, seed=seed)


def constructed(kind: type[Any], given: Mapping[str, Json], *, seed: int) -> object:
    """Return a fresh object of a class with these arguments; one that takes a seed gets this one."""
    arguments = {name: _value(value, seed) for name, value in given.items()}
    if SEED in _parameters(kind):
        arguments[SEED] = seed
    return kind(**arguments)


def needs(name: str, libraries: list[str]) -> str:
    """Return what to do about libraries that are not installed."""
    one = len(libraries) == 1
    are = "is" if one else "are"
    return f"{name} needs {' and '.join(libraries)}, which {are} not installed: `pip install {' '.join(libraries)}`"


def is_installed(library: str) -> bool:
    """Say whether a library can be imported."""
    return library in sys.modules or importlib.util.find_spec(library) is not None


def _module(name: str, expected: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            near = did_you_mean(name, ("optuna.samplers", "optuna.pruners", "optuna.samplers.nsgaii"))
            raise BadInput(f"there is no module {name!r}{near}; {expected}") from None
        raise BadInput(f"the module {name!r} cannot be imported: {one_line(str(error), 200)}; {expected}") from error
    except Exception as error:  # a module's code runs
        raise BadInput(f"the module {name!r} cannot be imported: {one_line(str(error), 200)}; {expected}") from error


def _attribute(reference: str) -> type[Any]:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


@cache
def _parameters(kind: type[Any]) -> dict[str, inspect.Parameter]:
    """Return the arguments that the class has by name."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {one.name: one for one in _signature(kind) if one.kind in named}


def _signature(kind: type[Any]) -> tuple[inspect.Parameter, ...]:
    try:
        return tuple(inspect.signature(kind).parameters.values())
    except ValueError:  # of a class that is not written in Python
        return ()


def _value(value: Json, seed: int) -> Any:
    """Return an argument; a mapping with a name is an object of a class."""
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        given = {name: one for name, one in value.items() if name != "name"}
        return made(cast(str, value["name"]), given, seed=seed)
    return value


def _check_type(kind: type[Any], name: str, value: Json, annotation: object) -> None:
    """Refuse a value of another kind than is written beside the argument; what cannot be read there takes any."""
    written = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    kinds = [one.strip(" ()\"'") for one in written.split("|")]
    plain = [one for one in kinds if one in PLAIN]
    objects = [one for one in kinds if one not in PLAIN and re.search("[A-Z]", CONTAINERS.sub("", one))]
    if objects and isinstance(value, Mapping):
        _check_object(kind, name, value)
        return
    takes_any = len(plain) + len(objects) < len(kinds) or annotation is inspect.Parameter.empty
    if takes_any or any(_fits(value, one) for one in plain):
        return
    what = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
    objects = ['an object, as `{name: "module:Class", …}`'] if objects else []
    expected = " or ".join([*(what[one] for one in plain if one in what), *objects])
    raise BadInput(f"{name!r} of {kind.__name__} is {shown(value)}; expected {expected}")


def _fits(value: Json, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "bool"
    if kind == "None":
        return value is None
    return isinstance(value, int | float) if kind == "float" else isinstance(value, cast(type, PLAIN[kind]))


def _check_object(of: type[Any], name: str, value: Mapping[str, Json]) -> None:
    """Refuse an object that does not fit; one of another package than Optuna or the class's own might do anything."""
    reference, where = value.get("name"), f"{name!r} of {of.__name__}"
    if not isinstance(reference, str) or REFERENCE.fullmatch(reference) is None:
        raise BadInput(f'{where} is a mapping without a class; expected `{{name: "module:Class", …}}`')
    packages = ("optuna", of.__module__.partition(".")[0])
    if reference.partition(":")[0].partition(".")[0] not in packages:
        raise BadInput(f"{where} is {shown(reference)}; expected a class of {' or '.join(dict.fromkeys(packages))}")
    try:
        check_arguments(reference, "builtins:object", {key: one for key, one in value.items() if key != "name"})
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None


def _missing(error: ImportError) -> str:
    """Return the library that an import has lacked; Optuna's lazy ones say it in their message alone."""
    named = re.search(r"pip install (\S+)", str(error)) or re.search(r"No module named '([\w]+)", str(error))
    return (error.name or "").partition(".")[0] or (named[1] if named else "a library")
