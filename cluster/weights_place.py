"""The best weights at a place that all nodes reach: written and read as in a folder, carried there and back."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..spaces.trial import Assignment
from .checkpoint_files import files_at, join
from .weights import BestWeights

ABOUT = "weights.json"


def write_weights(best: BestWeights, place: str, assignment: Assignment) -> None:
    """Write the weights to a folder or a URL, if their value ranks above what the assignment asks for.

    Survives: the description comes last, wherever it is; without it there are no weights.

    Raises:
        OSError: they could not be written.
    """
    if "://" not in place:
        best.write(place, assignment)
        return
    with tempfile.TemporaryDirectory(prefix="kerasweep-") as scratch:
        best.write(scratch, assignment)
        files = files_at(join(place, str(assignment.number)))
        written = sorted((Path(scratch) / str(assignment.number)).glob("*"), key=lambda path: path.name == ABOUT)
        for path in written:
            files.put(path.name, path)


def fetch_weights(place: str, number: int, folder: Path) -> Path:
    """Return the folder of this machine that has the weights of a trial, below its number.

    Args:
        place: Where trainers wrote them: a folder or a URL.
        number: The trial's.
        folder: Gets a copy of what is at a URL.

    Raises:
        OSError: they could not be copied.
    """
    if "://" not in place:
        return Path(place)
    files = files_at(join(place, str(number)))
    target = folder / str(number)
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in files.names():
        if "." in name and name == Path(name).name:
            files.local(name).replace(target / name)
    files.close()
    return folder
