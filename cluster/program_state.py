"""What the globals of the user's program hold, to see whether calling a function has changed them."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, cast, final

_UNKNOWN = object()
_PLAIN = (type(None), bool, int, float, complex, str, bytes, range, PurePath, re.Pattern, type(...))
_CALLABLES = (FunctionType, BuiltinFunctionType, ModuleType, functools.partial, property, classmethod, staticmethod)


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
    if isinstance(value, _PLAIN):
        return (type(value).__name__, value)
    if isinstance(value, type) or isinstance(value, _CALLABLES):
        own = isinstance(value, FunctionType | type) and depth > 0
        module = sys.modules.get(getattr(value, "__module__", "") or "")
        if not own or (module is not None and not _is_users(module) and not isinstance(value, FunctionType)):
            return id(value)
        held = {name: one for name, one in vars(value).items() if not name.startswith("__") and name != "_abc_impl"}
        return _all(id(value), held.values(), depth)
    if isinstance(value, list | tuple | set | frozenset) and depth > 0:
        return _all(id(value), cast(Any, value), depth)
    if isinstance(value, dict) and depth > 0:
        items = cast(Mapping[Any, Any], value)
        return _all(id(items), [*items, *items.values()], depth)
    kind = type(value)
    if kind.__module__ in ("typing", "logging", "types", "__future__", "random", "functools", "_thread"):
        return id(value)  # a random generator is seeded anew for each trial; a cached function loads again if it must
    return _UNKNOWN


def _all(own: int, values: Any, depth: int) -> object:
    prints = [_print_of(one, depth - 1) for one in values]
    return _UNKNOWN if _UNKNOWN in prints else (own, tuple(map(repr, prints)))
