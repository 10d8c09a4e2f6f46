"""The user's code as it travels to a trainer: sources taken at the start of the sweep, or pickled Python objects.

Sources are imported from memory with `__file__` as in the original, so that an edit in mid-sweep changes nothing and
data beside the code is found. Pickled objects come from a Python process over the socket; nothing is unpickled from
disk.
"""

from __future__ import annotations

import base64
import importlib
import importlib.machinery
import importlib.util
import linecache
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.abc import InspectLoader, MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, cast, final

from ..spaces.errors import BadInput, did_you_mean
from ..spaces.trial import Json
from .backend import KerasSettings

MAX_FILES = 2_000
MAX_BYTES = 20_000_000
_SKIPPED = {"__pycache__", "sweeps", "mlruns", "mlartifacts", "node_modules", "build", "dist", "site-packages"}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What trainers run: `model` and `data` by name in `sources` (relative path to text), or both in `pickled`.

    `loop`: `model` is a training loop. `keras`: on which backend, and how.
    """

    root: str
    model: str = ""
    data: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    pickled: bytes | None = field(default=None, repr=False)
    sys_path: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()
    """Declared parameters that no source mentions: refused unless the model reads them by its default path."""
    loop: bool = False
    keras: KerasSettings = field(default_factory=KerasSettings)

    def to_json(self) -> dict[str, Json]:
        """Return the form in which it travels."""
        pickled = None if self.pickled is None else base64.b64encode(self.pickled).decode()
        return {
            "root": self.root,
            "model": self.model,
            "data": self.data,
            "sources": dict(self.sources),
            "pickled": pickled,
            "sys_path": list(self.sys_path),
            "suspects": list(self.suspects),
            "loop": self.loop,
            "keras": self.keras.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Program:
        """Return the program that `to_json` wrote."""
        pickled = None if data["pickled"] is None else base64.b64decode(data["pickled"])
        lists = {name: tuple(data[name]) for name in ("sys_path", "suspects")}
        keras = KerasSettings.from_json(data["keras"])
        fields: dict[str, Any] = {**data, **lists, "pickled": pickled, "keras": keras}
        return cls(**fields)

    def load(self, elsewhere: Path | None = None) -> tuple[Any, Any]:
        """Import the code and return the model and the data, as the user named them.

        Args:
            elsewhere: A folder to be made of the sources on a machine that does not have theirs.

        Raises:
            BadInput: a module or a name in it does not exist.
            Exception: whatever the user's module raises when imported.
        """
        root = self.root
        if elsewhere is not None and not os.path.isdir(root):
            root = self._unpacked(elsewhere)
        os.chdir(root)
        sys.path[:0] = [entry for entry in (root, *self.sys_path) if entry not in sys.path]
        if self.pickled is not None:
            import cloudpickle

            return cloudpickle.loads(self.pickled)
        sys.meta_path.insert(0, SnapshotFinder(root, self.sources))
        return resolve(self.model), None if self.data is None else resolve(self.data)

    def _unpacked(self, folder: Path) -> str:
        """Return the folder with the sources written out, which another trainer may have done.

        Survives: a part of them beside it; the folder appears in one step.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            new = Path(tempfile.mkdtemp(dir=folder.parent))
            write_sources(self.sources, new)
            with suppress(OSError):  # another was faster
                new.rename(folder)
        return str(folder)


def snapshot(root: Path) -> dict[str, str]:
    """Return the Python sources under `root` by relative path; environments, hidden and built folders left out.

    Raises:
        BadInput: there are too many for a folder of a sweep.
    """
    sources: dict[str, str] = {}
    size = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if _searched(Path(folder, name)))
        for name in sorted(files):
            if not name.endswith(".py"):
                continue
            path = Path(folder, name)
            try:
                text = read_source(path)
            except OSError:  # an editor's lock, which links to nowhere
                continue
            sources[str(path.relative_to(root))] = text
            size += len(text)
            if len(sources) > MAX_FILES or size > MAX_BYTES:
                raise BadInput(
                    f"{root} holds more than {MAX_FILES} Python files or {MAX_BYTES // 1_000_000} MB of them; "
                    "give the sweep file and its code a folder of their own"
                )
    return sources


def read_source(path: Path) -> str:
    """Return a source as Python reads it: without a byte order mark, in UTF-8 or the encoding that it declares."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = importlib.util.decode_source(data)
        except (SyntaxError, UnicodeDecodeError):  # left to the import to complain of
            text = data.decode("utf-8", "surrogateescape")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _searched(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name in _SKIPPED or folder.name.endswith(".egg-info")
    return not (hidden or folder.is_symlink() or (folder / "pyvenv.cfg").exists())


def write_sources(sources: Mapping[str, str], folder: Path) -> None:
    """Write the sources out under `folder`."""
    for name, text in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")


def resolve(name: str) -> Any:
    """Return what `file.py:name` or `package.module:name` names.

    Raises:
        BadInput: it does not exist.
    """
    where, _, attribute = name.partition(":")
    module = importlib.import_module(where.removesuffix(".py").replace("/", ".") if where.endswith(".py") else where)
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            hint = did_you_mean(part, [one for one in dir(value) if not one.startswith("_")])
            raise BadInput(f"{where} defines no {attribute!r}{hint}")
        value = getattr(value, part)
    return value


@final
class SnapshotFinder(MetaPathFinder):
    """Imports modules under `root` from the sources in memory; they look as if they came from their files."""

    def __init__(self, root: str, sources: Mapping[str, str]) -> None:
        self._root = root
        self._sources = sources

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a module that the snapshot has."""
        del target
        for folder in [self._root] if path is None else path:
            inside = os.path.relpath(folder, self._root)
            stem = os.path.normpath(os.path.join(inside, fullname.rpartition(".")[2]))
            for name, is_package in ((os.path.join(stem, "__init__.py"), True), (f"{stem}.py", False)):
                if name in self._sources:
                    return self._spec(fullname, name, is_package)
            if any(name.startswith(stem + os.sep) for name in self._sources):  # a namespace package, which comes last
                found = importlib.machinery.PathFinder.find_spec(fullname, path)
                if found is not None and found.loader is not None:
                    return None
                spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
                spec.submodule_search_locations = [os.path.join(self._root, stem)]
                return spec
        return None

    def _spec(self, fullname: str, name: str, is_package: bool) -> importlib.machinery.ModuleSpec:
        path = os.path.join(self._root, name)
        loader = SnapshotLoader(path, self._sources[name])
        locations = [os.path.dirname(path)] if is_package else None
        return importlib.util.spec_from_file_location(  # type: ignore[return-value]
            fullname, path, loader=loader, submodule_search_locations=locations
        )


@final
class SnapshotLoader(InspectLoader):
    """Loads one module from its text, and shows tracebacks that text even when the file was edited since."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text

    def get_source(self, fullname: str) -> str:
        """Return the text."""
        del fullname
        return self._text

    def get_filename(self, fullname: str) -> str:
        """Return the original path."""
        del fullname
        return self._path

    def get_code(self, fullname: str) -> Any:
        """Return the compiled text."""
        del fullname
        linecache.cache[self._path] = (len(self._text), None, self._text.splitlines(keepends=True), self._path)
        return compile(self._text, self._path, "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        """Say whether it is a package."""
        del fullname
        return os.path.basename(self._path) == "__init__.py"


def pickled_program(model: Any, data: Any, *, loop: bool = False, keras: KerasSettings | None = None) -> Program:
    """Return the program for objects of this process; their modules travel by value unless they are installed."""
    import cloudpickle

    modules = {module.__name__: module for module in map(_module_of, (model, data)) if module is not None}
    registered = [modules[name] for name in modules.keys() - cloudpickle.list_registry_pickle_by_value()]
    for module in registered:
        cloudpickle.register_pickle_by_value(module)
    try:
        payload = cloudpickle.dumps((model, data))
    except Exception as error:
        raise BadInput(f"the model or the data cannot travel to another process: {error}") from error
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)
    return Program(
        root=str(Path.cwd()),
        pickled=payload,
        sys_path=tuple(entry for entry in sys.path if entry),
        loop=loop,
        keras=keras or KerasSettings(),
    )


def _module_of(value: Any) -> ModuleType | None:
    owner: Any = value if callable(value) else cast(Any, type(value))
    module = sys.modules.get(getattr(owner, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    if module is None or file is None or module.__name__ == "__main__":
        return None
    installed = file.startswith((sys.prefix, sys.base_prefix)) or "site-packages" in file
    return None if installed else module
