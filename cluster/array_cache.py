"""Arrays of the user's data, loaded by one trainer of a machine and mapped read-only by all.

<folder>/<key>/index.json    how the arrays were nested
<folder>/<key>/<n>.npy       an array each, in NumPy's own format, never pickled

The folder is of one sweep's run and goes with it. The first trainer loads under a lock of the kernel's, which a dead
process cannot keep; a folder gets its name when all in it is written. Nothing is flushed to disk: after a crash of the
machine nobody looks there again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, final

from .program_state import ProgramState

MAPPED_BYTES = 10_000_000
"""A smaller array is read whole: a mapping would save less than it costs."""
ALIGNED_BYTES = 64
"""TensorFlow takes memory as aligned so; the data of an .npy file that is mapped are."""
KEY = "data"
PRIVATE = "private"


class NotShareable(Exception):
    """The data hold something that is no plain array."""


def load_once(load: Callable[[], Any], folder: Path, around: Sequence[Any] | None = ()) -> Any:
    """Return what `load` returns, its arrays shared with the other trainers where they are plain arrays.

    `load` is called once per machine, unless it returns something else (a `tf.data` pipeline), or leaves something
    behind in the program that the other trainers would lack (a global that it sets, a layer that it adapts): then each
    trainer calls it.

    Args:
        load: A function without arguments.
        folder: Where trainers of one program on one machine share.
        around: Functions and objects of the program besides `load`; None where `load` is none of the user's.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder / f"{KEY}.lock"):
        if (folder / KEY).exists():
            return _read(folder / KEY)
        if not (folder / PRIVATE).exists():
            return _load_first(load, folder, around)
    return load()


@final
class MappedTensors:
    """Mapped arrays as tensors of TensorFlow's on the same memory: of an array, Keras makes a copy for each fit."""

    def __init__(self) -> None:
        self._by_file: dict[str, Any] = {}

    def of(self, value: Any) -> Any:
        """Return a nesting with its mapped arrays as tensors."""
        if isinstance(value, Mapping):
            return {name: self.of(one) for name, one in cast(Mapping[str, Any], value).items()}
        if isinstance(value, list | tuple):
            parts = [self.of(one) for one in cast(Sequence[Any], value)]
            return tuple(parts) if isinstance(value, tuple) else parts
        return self._tensor(value) if _is_mapped(value) else value

    def _tensor(self, array: Any) -> Any:
        import numpy as np
        import tensorflow

        name = str(array.filename)
        if name not in self._by_file:
            mapped = np.load(name, mmap_mode="c", allow_pickle=False)  # DLPack hands out nothing that is read-only
            if mapped.ctypes.data % ALIGNED_BYTES:
                return array
            try:
                self._by_file[name] = cast(Any, tensorflow).experimental.dlpack.from_dlpack(mapped.__dlpack__())
            except Exception:  # of a type that DLPack or TensorFlow has no name for
                return array
        return self._by_file[name]


def _is_mapped(value: Any) -> bool:
    """Say whether it is the whole of a file that `load_once` mapped."""
    import mmap

    import numpy as np

    return isinstance(value, np.memmap) and isinstance(value.base, mmap.mmap)


def _load_first(load: Callable[[], Any], folder: Path, around: Sequence[Any] | None) -> Any:
    state = None if around is None else ProgramState.of(load, *around)
    data = load()
    try:
        if state is not None and not state.is_unchanged():
            raise NotShareable
        _write(data, folder)
    except (NotShareable, OSError):  # an OSError: no room for it
        (folder / PRIVATE).touch()
        return data
    return _read(folder / KEY)


def _write(data: Any, folder: Path) -> None:
    draft = folder / f"draft-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    arrays: list[Any] = []
    form = _form(data, arrays)
    draft.mkdir(mode=0o700)
    try:
        import numpy as np

        for index, array in enumerate(arrays):
            np.save(draft / f"{index}.npy", array, allow_pickle=False)
        (draft / "index.json").write_text(json.dumps(form))
        draft.rename(folder / KEY)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _read(folder: Path) -> Any:
    import numpy as np

    def array(index: int) -> Any:
        path = folder / f"{index}.npy"
        mode = "r" if path.stat().st_size >= MAPPED_BYTES else None
        return np.load(path, mmap_mode=mode, allow_pickle=False)

    return _data(json.loads((folder / "index.json").read_text()), array)


def _form(data: Any, arrays: list[Any]) -> Any:
    """Return the nesting of the data as JSON, and collect the arrays; `["array", n]` stands for the n-th.

    Raises:
        NotShareable: there is something else in it.
    """
    import numpy as np

    if type(data) is np.ndarray and not data.dtype.hasobject and data.dtype.kind != "V":
        arrays.append(data)
        return ["array", len(arrays) - 1]
    if data is None or isinstance(data, bool | int | float | str):
        return ["plain", data]
    if type(data) in (tuple, list):
        return [type(data).__name__, [_form(one, arrays) for one in cast(Sequence[Any], data)]]
    if type(data) is dict and all(isinstance(key, str) for key in cast(Mapping[Any, Any], data)):
        return ["dict", {key: _form(one, arrays) for key, one in cast(Mapping[str, Any], data).items()}]
    raise NotShareable


def _data(form: Any, array: Callable[[int], Any]) -> Any:
    kind, inner = form
    if kind == "array":
        return array(inner)
    if kind == "dict":
        return {key: _data(one, array) for key, one in inner.items()}
    if kind in ("tuple", "list"):
        parts = [_data(one, array) for one in inner]
        return tuple(parts) if kind == "tuple" else parts
    return inner


@contextmanager
def _locked(path: Path) -> Generator[None]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
