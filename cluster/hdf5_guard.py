"""A look at an HDF5 file before anything reads weights from it: whether all of it is in it, and how large it gets.

HDF5 can name another file where a group or the bytes of an array are to be found, and an array of a few bytes on disk
can be terabytes in memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from ..spaces.errors import Infrastructure

MOST_OBJECTS = 20_000


def check_hdf5(path: Path, most_bytes: int) -> None:
    """Refuse an HDF5 file that reaches beyond itself, or whose arrays would take more than `most_bytes` of memory.

    Raises:
        Infrastructure: it does, or it is no HDF5 file.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            problem = _problem(file, most_bytes)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise Infrastructure(f"{path} is damaged, or no HDF5 file: {error}; it is not read") from error
    if problem:
        raise Infrastructure(f"{path} {problem}; it is not what Kerasweep wrote and is not read")


def _problem(file: Any, most_bytes: int) -> str:
    import h5py

    groups: list[Any] = [file]
    objects, size = 0, 0
    seen: set[int] = set()
    while groups:
        group = groups.pop()
        place: int = cast(Any, h5py).h5o.get_info(group.id).addr
        if place in seen:
            return f"has the group {group.name!s:.60} at two places"
        seen.add(place)
        for name in group:
            objects += 1
            if objects > MOST_OBJECTS:
                return f"has over {MOST_OBJECTS} groups and arrays"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                return f"links to something else at {group.name.rstrip('/')}/{name!s:.60}"
            one = group[name]
            if isinstance(one, h5py.Group):
                groups.append(one)
            elif isinstance(one, h5py.Dataset):
                if one.external or one.is_virtual:
                    return f"keeps the values of {one.name!s:.60} in another file"
                size += int(cast(Any, one).size or 0) * int(cast(Any, one).dtype.itemsize)
                if size > most_bytes:
                    return f"is over {most_bytes / 1e6:.0f} MB unpacked"
    return ""
