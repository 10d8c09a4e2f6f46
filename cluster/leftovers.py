"""What trials leave on the disk once they have ended: all that is neither needed to go on nor one of the best goes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

from .checkpointing import place_of_trial


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What went: the trials that lost something, the bytes that it took."""

    trials: int = 0
    bytes: int = 0


def remove_leftovers(
    root: str, *, over: Callable[[int], bool], best: Collection[int], go_on: Callable[[], bool] = lambda: True
) -> Removed:
    """Remove the checkpoints of trials that have ended, and the weights of those that are not among the best.

    Survives: whatever a kill leaves is found the next time; nothing of a live trial is touched.

    Args:
        root: The sweep's place for checkpoints and weights, a folder or a URL.
        over: Says of a trial, by its number, whether it has ended.
        best: Those whose weights stay.
        go_on: Asked before each trial; whether to go on.

    Raises:
        OSError: the place cannot be read.
    """
    place = _Remote(root) if "://" in root else _Local()
    trials = size = 0
    for number in sorted(filter(over, place.numbers(root))):
        if not go_on():
            break
        target = place_of_trial(root, number) if number in best else f"{root}/{number}"
        freed = place.remove(target)
        trials += freed is not None
        size += freed or 0
    return Removed(trials=trials, bytes=size)


def remove_drafts(root: str) -> int:
    """Remove what killed trainers had begun to write in a folder, once none can run any more; return its bytes."""
    if "://" in root:  # there they were written in temporary folders of the machines
        return 0
    size = 0
    for pattern in ("[0-9]*/epochs/.[0-9]*-*", "[0-9]*/draft-*", "[0-9]*/*.draft"):
        for draft in Path(root).glob(pattern):
            size += draft.lstat().st_size
            draft.unlink(missing_ok=True)
    return size


@final
class _Local:
    def numbers(self, root: str) -> set[int]:
        """Return the trials that have a folder."""
        return {int(path.name) for path in Path(root).glob("[0-9]*") if path.name.isdigit() and path.is_dir()}

    def remove(self, target: str) -> int | None:
        """Remove a folder; return its bytes, None where there is none."""
        folder = Path(target)
        if not folder.is_dir() or folder.is_symlink():
            return None
        size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
        shutil.rmtree(folder, ignore_errors=True)
        return size


@final
class _Remote:
    def __init__(self, root: str) -> None:
        import fsspec

        self._system, _ = cast("tuple[Any, str]", cast(Any, fsspec).core.url_to_fs(root))

    def numbers(self, root: str) -> set[int]:
        """Return the trials that have a folder."""
        self._system.invalidate_cache()
        try:
            names = cast("list[str]", self._system.ls(root, detail=False))
        except FileNotFoundError:
            return set()
        return {int(name) for path in names if (name := path.rstrip("/").rpartition("/")[2]).isdigit()}

    def remove(self, target: str) -> int | None:
        """Remove all below a prefix; return its bytes, None where there is nothing."""
        try:
            size = sum(cast("dict[str, int]", self._system.du(target, total=False)).values())
            self._system.rm(target, recursive=True)
        except FileNotFoundError:
            return None
        return size
