"""Where checkpoints are kept: a folder of this machine or a place that fsspec reaches, behind five functions."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol, cast, final

FILES = "kerasweep-files-"
"""Begins the name of a temporary folder for drafts and local copies; the number of its process follows."""
OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "r2")
"""They have no folders; to make one would make the bucket, of a name that was mistyped perhaps."""


class Files(Protocol):
    """A flat place for files."""

    def names(self) -> list[str]:
        """Return the names of the files that are there; none where the place does not exist."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """Open a file to read it.

        Raises:
            OSError: it is not there.
        """
        ...

    def local(self, name: str) -> Path:
        """Return a path of this machine from which a file can be read."""
        ...

    def put(self, name: str, draft: Path) -> None:
        """Move a local file here: it is there whole or not at all, and stays once this returns.

        Raises:
            OSError: it could not be written.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove a file that may be there."""
        ...

    def draft(self, name: str) -> Path:
        """Return a path of this machine at which a file can be made before it is `put`."""
        ...

    def close(self) -> None:
        """Remove what is left of drafts and local copies."""
        ...


def files_at(place: str) -> Files:
    """Return the files at a folder, or at a URL such as `s3://bucket/sweep`."""
    return RemoteFiles(place) if "://" in place else LocalFiles(Path(place))


def join(place: str, *names: str) -> str:
    """Return a place inside another."""
    return "/".join([place.rstrip("/"), *names])


@final
class LocalFiles:
    """A folder of this machine, or one that a network file system shows as such.

    Survives: a file that was put is on the disk, with its name; a draft is not looked at again, and goes when a later
    process of the machine that has written there closes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._drafts: set[Path] = set()
        self._made = False

    def names(self) -> list[str]:
        """Return the names of the files that are there."""
        try:
            return sorted(entry.name for entry in os.scandir(self._folder) if not entry.name.startswith("."))
        except FileNotFoundError:
            return []

    def open(self, name: str) -> IO[bytes]:
        """Open a file to read it."""
        return (self._folder / name).open("rb")

    def local(self, name: str) -> Path:
        """Return the file's own path."""
        return self._folder / name

    def put(self, name: str, draft: Path) -> None:
        """Sync the draft, give it its name, sync the folder."""
        _sync(draft, os.O_RDWR)
        os.replace(draft, self._folder / name)
        _sync(self._folder, os.O_RDONLY | os.O_DIRECTORY)

    def remove(self, name: str) -> None:
        """Remove a file that may be there."""
        with suppress(FileNotFoundError):
            os.unlink(self._folder / name)

    def draft(self, name: str) -> Path:
        """Return a hidden path in the same folder, so that `put` only renames; Keras wants the ending kept."""
        if not self._folder.exists():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._made = True
        draft = self._folder / f".{os.getpid()}-{socket.gethostname()}-{name}"
        self._drafts.add(draft)
        return draft

    def close(self) -> None:
        """Remove own drafts, and the folder if it was made for them and is empty; other hidden files are others'."""
        with suppress(OSError):
            for draft in {*self._drafts, *self._dead()}:
                draft.unlink(missing_ok=True)
            if self._made:
                self._folder.rmdir()

    def _dead(self) -> Iterator[Path]:
        """Yield drafts of this machine's processes that were killed, where drafts are made: not where one only reads."""
        for path in self._folder.glob(".[0-9]*-*") if self._drafts else ():
            pid, _, rest = path.name[1:].partition("-")
            if rest.startswith(f"{socket.gethostname()}-") and pid.isdecimal() and not Path("/proc", pid).exists():
                yield path


@final
class RemoteFiles:
    """A place that fsspec reaches: an object store, or any other of its file systems.

    Survives: an object is there once its upload ended; a store that shows half of one is found out by its hash.
    """

    def __init__(self, place: str) -> None:
        import fsspec

        self._system, self._root = cast("tuple[Any, str]", cast(Any, fsspec).core.url_to_fs(place))
        self._scratch: Path | None = None
        protocol: str | Sequence[str] = self._system.protocol
        protocols = {protocol} if isinstance(protocol, str) else {*protocol}
        self._has_folders = not protocols & {*OBJECT_STORES}

    def names(self) -> list[str]:
        """Return the names of the files that are there."""
        self._system.invalidate_cache()
        try:
            found = cast("list[str]", self._system.ls(self._root, detail=False))
        except FileNotFoundError:
            return []
        return sorted(name.rstrip("/").rpartition("/")[2] for name in found)

    def open(self, name: str) -> IO[bytes]:
        """Open a file to read it."""
        return self._system.open(f"{self._root}/{name}", "rb")

    def local(self, name: str) -> Path:
        """Return a copy on this machine."""
        copy = self.draft(name)
        self._system.get_file(f"{self._root}/{name}", str(copy))
        return copy

    def put(self, name: str, draft: Path) -> None:
        """Upload the draft, and remove it here."""
        if self._has_folders:
            self._system.makedirs(self._root, exist_ok=True)
        self._system.put_file(str(draft), f"{self._root}/{name}")
        draft.unlink()

    def remove(self, name: str) -> None:
        """Remove a file that may be there."""
        with suppress(FileNotFoundError):
            self._system.rm_file(f"{self._root}/{name}")

    def draft(self, name: str) -> Path:
        """Return a path in a temporary folder of this machine."""
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix=f"{FILES}{os.getpid()}-"))
        return self._scratch / name

    def close(self) -> None:
        """Remove the temporary folder."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
