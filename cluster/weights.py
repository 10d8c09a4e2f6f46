"""The weights of a trial's best epoch: kept in memory while it trains, written once at its end if it ranks.

<folder>/<trial number>/model.weights.h5    the weights
<folder>/<trial number>/weights.json        epoch, value, SHA-256 of the file, how to build an unbuilt model
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, final

from ..spaces.errors import Infrastructure
from ..spaces.trial import Assignment

FILE = "weights.npz"


@final
class BestWeights:
    """Sees every epoch's value and holds on to the best one's weights."""

    def __init__(self, *, maximize: bool, at_last: bool) -> None:
        self.model: Any = None
        self.value: float | None = None
        self.epoch = 0
        self._sign = 1.0 if maximize else -1.0
        self._at_last = at_last
        self._weights: list[Any] | None = None

    def see(self, epoch: int, value: float) -> None:
        """Take the model's weights if `value` is the best so far, or if the last epoch is what counts."""
        if self.model is None or value != value:
            return
        if self._at_last or self.value is None or self._sign * value > self._sign * self.value:
            self.value, self.epoch = value, epoch
            self._weights = None if self._at_last else self.model.get_weights()

    def write(self, folder: str, assignment: Assignment) -> None:
        """Write the weights if the value ranks above what the assignment asks for.

        Survives: the description is written last and names the file's hash; without it there are no weights.
        """
        threshold = assignment.keep_above
        if self.value is None or self.model is None:
            return
        if threshold is not None and self._sign * self.value <= self._sign * threshold:
            return
        weights = self.model.get_weights() if self._weights is None else self._weights
        target = Path(folder) / str(assignment.number)
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = target / FILE
        _save(path, weights)
        about = {
            "epoch": self.epoch,
            "value": self.value,
            "sha256": sha256(path),
            "build": self.model.get_build_config(),
        }
        write_atomically(target / "weights.json", json.dumps(about))

    def forget(self) -> None:
        """Let go of model and weights."""
        self.model = self._weights = None


def load_weights(model: Any, folder: Path, number: int) -> int:
    """Load the kept weights of trial `number` into a model built anew; return the epoch that they are from.

    Raises:
        Infrastructure: there are none, the file is not the one that was written, or the model has other weights.
    """
    about_path = folder / str(number) / "weights.json"
    path = folder / str(number) / FILE
    if not about_path.exists() or not path.exists():
        raise Infrastructure(f"no weights of trial {number} are kept in {folder}; only the best three trials' are")
    about = json.loads(about_path.read_text())
    if sha256(path) != about["sha256"]:
        raise Infrastructure(f"{path} is damaged: its hash is not the one that was written; the weights are lost")
    if not model.built and about["build"]:
        model.build_from_config(about["build"])
    try:
        model.set_weights(_load(path))
    except ValueError as error:
        raise Infrastructure(f"the model built anew does not fit the weights of trial {number}: {error}") from error
    return int(about["epoch"])


def _save(path: Path, weights: list[Any]) -> None:
    """Write arrays in NumPy's own format, whole or not at all; what that has no type for (bfloat16) as float32."""
    import numpy as np

    plain = [np.asarray(one, dtype="float32") if one.dtype.kind == "V" else one for one in weights]
    draft = path.with_name(f"draft-{path.name}")
    np.savez(draft, *plain)
    draft.replace(path)


def _load(path: Path) -> list[Any]:
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[f"arr_{index}"] for index in range(len(arrays.files))]


def sha256(path: Path) -> str:
    """Return the file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    draft = path.with_suffix(path.suffix + ".draft")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
