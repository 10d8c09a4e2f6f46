"""File systems of fsspec's as tests want them: one that waits when it is told to, one that fails."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

PATIENCE_S = 20.0


class Store(MemoryFileSystem):
    """An object store in memory, `teststore://`: each request waits for `open`, and raises `fault` if there is one."""

    protocol = "teststore"
    cachable = False
    store: ClassVar[dict[str, Any]] = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    pseudo_dirs: ClassVar[list[str]] = [""]
    open_again: ClassVar[threading.Event] = threading.Event()
    entered: ClassVar[threading.Event] = threading.Event()
    fault: ClassVar[Exception | None] = None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        plain: Any = cast(Any, super())._strip_protocol(str(path).replace("teststore://", "memory://"))
        return str(plain)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        """List, after the wait."""
        self._wait()
        found: Any = cast(Any, super()).ls(path, detail=detail, **kwargs)
        return found

    def rm(self, path: str, *args: Any, **kwargs: Any) -> Any:
        """Remove, after the wait."""
        self._wait()
        return super().rm(path, *args, **kwargs)

    def _wait(self) -> None:
        self.entered.set()
        self.open_again.wait(PATIENCE_S)
        if Store.fault is not None:
            raise Store.fault


@contextmanager
def store() -> Generator[type[Store]]:
    """Register the store, empty and open, and forget it again."""
    fsspec.register_implementation("teststore", Store, clobber=True)
    Store.store.clear()
    Store.fault = None
    Store.entered.clear()
    Store.open_again.set()
    try:
        yield Store
    finally:
        Store.open_again.set()
        for thread in threading.enumerate():
            if thread.name in ("cleaning", "copy"):
                thread.join(PATIENCE_S)
        Store.store.clear()


def write(place: str, *names: str) -> None:
    """Put small files there, past the wait."""
    for name in names:
        path = Store._strip_protocol(f"{place}/{name}")  # pyright: ignore[reportPrivateUsage]
        MemoryFileSystem.pipe_file(Store(), path, b"12345")


def numbers(place: str) -> set[int]:
    """Return the trials that have files there."""
    root = Store._strip_protocol(place)  # pyright: ignore[reportPrivateUsage]
    return {int(one.removeprefix(root).strip("/").partition("/")[0]) for one in Store.store if one.startswith(root)}
