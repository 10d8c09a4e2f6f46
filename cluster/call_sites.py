"""Where in the user's code a layer was made and a model compiled: noted while `build(hp)` runs.

Exact also where the calls are in helper functions or loops. A line is narrowed to the keyword that matters by the
syntax tree of the source.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, cast, final
from weakref import WeakKeyDictionary


@dataclass(frozen=True, slots=True)
class Site:
    """A line of the user's code."""

    file: str
    line: int

    def named(self, root: str) -> str:
        """Return `model.py:7`, relative to `root`."""
        return f"{os.path.relpath(self.file, root)}:{self.line}"


@final
@dataclass(slots=True)
class CallSites:
    """The places that were noted: of layers and models by object, of `compile` by model."""

    root: str
    made: WeakKeyDictionary[Any, Site] = field(default_factory=lambda: WeakKeyDictionary[Any, Site]())
    compiled: WeakKeyDictionary[Any, Site] = field(default_factory=lambda: WeakKeyDictionary[Any, Site]())

    @contextmanager
    def noting(self) -> Generator[None]:
        """Note what is made and compiled inside; Keras is as it was afterwards."""
        import keras

        operation = cast(Any, keras.Operation)
        kinds: tuple[type[Any], ...] = cast(Any, keras.Model).__mro__
        trainer = next(one for one in kinds if "compile" in vars(one))
        make = cast(Any, vars(operation)["__new__"])
        compile_: Any = vars(trainer)["compile"]

        def noted_make(cls: type[Any], *args: Any, **kwargs: Any) -> Any:
            made = make.__func__(cls, *args, **kwargs)
            self._note(self.made, made, inspect.currentframe())
            return made

        def noted_compile(model: Any, *args: Any, **kwargs: Any) -> Any:
            self._note(self.compiled, model, inspect.currentframe())
            return compile_(model, *args, **kwargs)

        operation.__new__ = staticmethod(noted_make)
        cast(Any, trainer).compile = noted_compile
        try:
            yield
        finally:
            operation.__new__ = make
            cast(Any, trainer).compile = compile_

    def of_layer(self, layer: Any, keyword: str = "") -> str:
        """Return `model.py:7`, where the layer was made, or an empty string."""
        return self._named(self.made, layer, keyword)

    def of_compile(self, model: Any, keyword: str = "") -> str:
        """Return the line of `compile`, or of one of its keywords, or an empty string."""
        return self._named(self.compiled, model, keyword)

    def _named(self, sites: WeakKeyDictionary[Any, Site], subject: Any, keyword: str) -> str:
        try:
            site = sites.get(subject)
        except TypeError:
            return ""
        if site is None:
            return ""
        return keyword_site(site, keyword).named(self.root)

    def _note(self, sites: WeakKeyDictionary[Any, Site], subject: Any, frame: FrameType | None) -> None:
        while frame is not None and not self._own(frame.f_code.co_filename):
            frame = frame.f_back
        if frame is not None:
            sites[subject] = Site(frame.f_code.co_filename, frame.f_lineno)

    def _own(self, file: str) -> bool:
        return file.startswith(self.root + os.sep) and "site-packages" not in file


def keyword_site(site: Site, keyword: str) -> Site:
    """Return the line of the value of `keyword` in the call at `site`; the call's own line where it has none."""
    if not keyword:
        return site
    try:
        tree = ast.parse("".join(linecache.getlines(site.file)))
    except (SyntaxError, ValueError):
        return site
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.lineno <= site.line <= (node.end_lineno or node.lineno)
    ]
    for call in sorted(calls, key=lambda one: (one.end_lineno or one.lineno) - one.lineno):
        for one in call.keywords:
            if one.arg == keyword:
                return Site(site.file, one.value.lineno)
    return site


def site_of_function(function: Any, root: str) -> str:
    """Return `model.py:12`, where a function or class begins, or its name where that is not under `root`."""
    kind = (
        function if isinstance(function, type) else type(function)
    )  # an instance's `build` may be KerasTuner's wrapper
    code = getattr(function, "__code__", None) or getattr(getattr(kind, "build", None), "__code__", None)
    file = "" if code is None else str(code.co_filename)
    if code is None or not file.startswith(root + os.sep):
        return str(getattr(function, "__name__", "") or kind.__name__)
    return Site(file, int(code.co_firstlineno)).named(root)
