"""A reference to the user's code, `file.py:name` or `package.module:name`, checked without importing anything."""

from __future__ import annotations

import ast
import importlib.util
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..spaces.errors import BadInput, did_you_mean, one_line

SHAPE = "`file.py:name` or `package.module:name`"
FILE = re.compile(r"(?P<file>[^:]*\.py):(?P<name>[^:]*)")
MODULE = re.compile(r"(?P<module>[^:/\\]+):(?P<name>[^:]*)")
MANY_FILES = 1_000


def locate(reference: str, folder: Path) -> Path | None:
    """Return the file of the code that `reference` means; None if it is installed elsewhere.

    Args:
        reference: `file.py:name`, relative to `folder`, or `package.module:name`.
        folder: where the sweep file stands; a module may stand there too.

    Raises:
        BadInput: it reads otherwise, or there is no such file, module or name.
    """
    try:
        return _locate(reference, folder)
    except OSError as error:
        raise BadInput(f"{one_line(reference)!r} cannot be read: {error.strerror}; expected {SHAPE}") from error


def definitions(tree: ast.Module) -> frozenset[str] | None:
    """Return the names that a module defines at its top level; None where it may define others when it runs."""
    names = set[str]()
    for statement in _top_level(tree.body):
        for node in _shallow(statement):
            names |= _bound(node)
            if _is_dynamic(node):
                return None
    return None if names & {"*", "__getattr__"} else frozenset(names)


def parsed(source: str | bytes) -> ast.Module:
    """Return the syntax tree of Python source.

    Raises:
        BadInput: it is not Python.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as error:
        raise BadInput(f"line {error.lineno}: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadInput(str(error) or type(error).__name__) from error


def _locate(reference: str, folder: Path) -> Path | None:
    if match := FILE.fullmatch(reference):
        where, path = match["file"], _file(match["file"], folder)
    elif (match := MODULE.fullmatch(reference)) and all(part.isidentifier() for part in match["module"].split(".")):
        where, path = match["module"], _module(match["module"], folder)
    else:
        near = f" (did you mean '{reference}:build'?)" if re.fullmatch(r"[\w./-]+\.py", reference) else ""
        raise BadInput(f"{one_line(reference)!r} names no code; expected {SHAPE}{near}")
    _check_name(match["name"], path, where)
    return path


def _file(name: str, folder: Path) -> Path:
    path = folder / name
    if not path.is_file():
        files = [str(one.relative_to(folder)) for one in _python_files(folder)]
        raise BadInput(
            f"there is no {name!r}; expected it relative to the sweep file's folder{did_you_mean(name, files)}"
        )
    return path


def _python_files(folder: Path) -> Iterator[Path]:
    """Yield the Python files in the folder and one level below, a bounded number of them."""
    for _, path in zip(range(MANY_FILES), [*folder.glob("*.py"), *folder.glob("*/*.py")], strict=False):
        yield path


def _module(name: str, folder: Path) -> Path | None:
    """Return the module's file if it stands in the folder; None if it is installed."""
    base = folder.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    top = name.partition(".")[0]
    here = (folder / top).is_dir()
    if here or not _is_installed(top):
        names = [str(one.relative_to(folder).with_suffix("")).replace("/", ".") for one in _python_files(folder)]
        where = "in the sweep file's folder" + ("" if here else " or installed")
        raise BadInput(f"there is no module {name!r}; expected it {where}{did_you_mean(name, names)}")
    return None


def _is_installed(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def _check_name(name: str, path: Path | None, where: str) -> None:
    if not name.isidentifier():
        raise BadInput(f"{one_line(name)!r} after the colon is not a name; expected {SHAPE}")
    if path is None:
        return
    try:
        defined = definitions(parsed(path.read_bytes()))
    except BadInput as error:
        raise BadInput(f"{where} cannot be read as Python: {error}; expected a module that defines {name!r}") from error
    if defined is not None and name not in defined:
        public = sorted(one for one in defined if not one.startswith("_"))
        raise BadInput(f"{where} does not define {name!r} at its top level; {_has(public)}{did_you_mean(name, public)}")


def _has(names: list[str]) -> str:
    if not names:
        return "it defines nothing"
    return f"it has {', '.join(names[:8])}{', …' if len(names) > 8 else ''}"


# Syntax trees -------------------------------------------------------------------------------------------------------------


def _top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run at import, those under `if`, `try`, `with` and loops too."""
    for statement in body:
        yield statement
        for block in ("body", "orelse", "finalbody"):
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _top_level(getattr(statement, block, ()))
        for clause in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from _top_level(clause.body)


def _shallow(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the statement and its expressions, but no statement inside it."""
    yield statement
    for child in ast.iter_child_nodes(statement):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return
        if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from ast.walk(child)


def _bound(node: ast.AST) -> set[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Name(id=name, ctx=ast.Store()):
            return {name}
        case ast.alias(name=name, asname=asname):
            return {asname or name.partition(".")[0]}
        case _:
            return set()


def _is_dynamic(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="globals" | "exec" | "setattr" | "vars" | "locals")):
            return True
        case _:
            return False
