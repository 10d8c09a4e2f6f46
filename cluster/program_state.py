"""What the globals of the user's program hold, to see whether calling a function has changed them."""

from __future__ import annotations

import hashlib
import inspect
import pickle
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, cast, final

_UNKNOWN = object()
_PLAIN = (type(None), bool, int, float, complex, str, bytes, range, PurePath, re.Pattern, type(...))
_CALLABLES = (type, BuiltinFunctionType, ModuleType, property, classmethod, staticmethod)
_HARMLESS = ("typing", "logging", "types", "__future__", "random", "functools", "_thread")
"""Of what these modules define, nothing lasts that matters: a cached function computes again, random ones are seeded."""


@final
@dataclass(frozen=True, slots=True)
class ProgramState:
    """A fingerprint of the namespaces that a function and what stands around it can reach."""

    namespaces: tuple[Mapping[str, Any], ...]
    before: object

    @classmethod
    def of(cls, *parts: Any) -> ProgramState:
        """Take the fingerprint of the modules that these functions, classes and objects come from."""
        namespaces = tuple(_namespaces(parts))
        return cls(namespaces, _fingerprint(namespaces, parts))

    def is_unchanged(self) -> bool:
        """Say whether nothing can have changed since; an object that could hold anything counts as changed."""
        return self.before is not _UNKNOWN and _fingerprint(self.namespaces, ()) == self.before


def _namespaces(parts: tuple[Any, ...]) -> Iterator[Mapping[str, Any]]:
    """Yield the globals of the functions, and those of the user's other modules that they import, each once."""
    seen: set[int] = set()
    waiting = [_globals_of(part) for part in parts]
    while waiting:
        names = waiting.pop()
        if names is None or id(names) in seen:
            continue
        seen.add(id(names))
        yield names
        for value in list(names.values()):
            module = value if isinstance(value, ModuleType) else sys.modules.get(getattr(value, "__module__", "") or "")
            if module is not None and _is_users(module):
                waiting.append(vars(module))


def _globals_of(part: Any) -> Mapping[str, Any] | None:
    function = inspect.unwrap(part) if callable(part) else part
    if isinstance(function, FunctionType):
        return function.__globals__
    owner = cast(Any, function if inspect.isclass(function) else type(function))
    module = sys.modules.get(owner.__module__)
    return vars(module) if module is not None and _is_users(module) else None


def _is_users(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if not file:
        return False
    installed = file.startswith((sys.prefix, sys.base_prefix)) or "site-packages" in file
    return not installed and not module.__name__.startswith("kerasweep.")


def _fingerprint(namespaces: tuple[Mapping[str, Any], ...], parts: tuple[Any, ...]) -> object:
    for part in parts:
        if not (isinstance(part, FunctionType) or inspect.isclass(part) or part is None) or _closure(part):
            return _UNKNOWN  # a bound method, an instance, a closure: it may keep what it loads
    prints: list[object] = []
    for names in namespaces:
        for name, value in sorted(names.items()):
            if name.startswith("__"):
                continue
            one = _print_of(value)
            if one is _UNKNOWN:
                return _UNKNOWN
            prints.append((name, one))
    return prints


def _closure(part: Any) -> bool:
    return bool(getattr(part, "__closure__", None))


def _print_of(value: Any, depth: int = 3) -> object:
    """Return something that is equal while the value is the same and holds the same; `_UNKNOWN` where nobody can say."""
    kind = cast(Any, type(value))
    if isinstance(value, _PLAIN):
        return (kind.__name__, cast(object, value))
    if isinstance(value, FunctionType) or (isinstance(value, type) and _is_users_class(value)):
        held = {name: one for name, one in vars(value).items() if not name.startswith("__") and name != "_abc_impl"}
        return _all(value, held.values(), depth)
    if isinstance(value, _CALLABLES):
        return id(cast(object, value))
    if isinstance(value, list | tuple | set | frozenset):
        return _all(cast(object, value), cast(Iterable[Any], value), depth)
    if isinstance(value, dict):
        items = cast(Mapping[Any, Any], value)
        return _all(items, [*items, *items.values()], depth)
    return id(value) if kind.__module__ in _HARMLESS else _pickled(value, kind)


def _pickled(value: Any, kind: type) -> object:
    """Return the hash of an object's state as pickle sees it; of a layer of Keras's that says nothing in time."""
    if kind.__module__.partition(".")[0] in ("keras", "tensorflow"):
        return _UNKNOWN
    try:
        return hashlib.sha256(pickle.dumps(value)).digest()
    except Exception:  # whatever its class raises
        return _UNKNOWN


def _is_users_class(value: type) -> bool:
    module = sys.modules.get(value.__module__)
    return module is None or _is_users(module)


def _all(owner: object, values: Iterable[Any], depth: int) -> object:
    prints = [_print_of(one, depth - 1) if depth else _UNKNOWN for one in values]
    return _UNKNOWN if any(one is _UNKNOWN for one in prints) else (id(owner), tuple(map(repr, prints)))
