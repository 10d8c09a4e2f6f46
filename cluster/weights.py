"""The weights of a trial's best epoch: kept in memory while it trains, written once at its end if it ranks.

<folder>/<trial number>/weights.npz         the weights
<folder>/<trial number>/weights.json        epoch, value, SHA-256 of the file, how to build an unbuilt model
<folder>/<trial number>/<name>.keras        a model of a training loop's own, instead of the first
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from ..spaces.errors import BadInput, Infrastructure, one_line
from ..spaces.trial import Assignment

FILE = "weights.npz"
ROOM, SPARE_BYTES = 2, 10_000_000
"""What is unpacked may be so many times the model's own weights (a type of two bytes is kept in four), and as much more."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best weights so far: the epoch and the value that they are from, how to build an unbuilt model.

    `order` is what the epoch is compared by, where that is more than the value.
    """

    epoch: int
    value: float
    weights: Sequence[Any]
    build: Any = None
    order: tuple[float, ...] = ()

    def about(self) -> dict[str, Any]:
        """Return what is not weights, as plain JSON."""
        about = {"epoch": self.epoch, "value": self.value, "build": self.build, "weights": len(self.weights)}
        return {**about, "order": list(self.order)}

    def arrays(self) -> dict[str, Any]:
        """Return the weights by name."""
        return {f"arr_{index}": one for index, one in enumerate(_plain(self.weights))}

    @classmethod
    def of(cls, about: Mapping[str, Any], arrays: Mapping[str, Any]) -> Best:
        """Return what `about` and `arrays` told."""
        weights = [arrays[f"arr_{index}"] for index in range(about["weights"])]
        order = tuple(about.get("order", ()))
        return cls(epoch=about["epoch"], value=about["value"], weights=weights, build=about["build"], order=order)


@final
class BestWeights:
    """Sees every epoch's value and holds on to the best one's weights.

    `model` is one that `build(hp)` makes again; `models` are a training loop's own, which nobody else can make: they
    are written whole.
    """

    def __init__(self, *, maximize: bool, at_last: bool) -> None:
        self.model: Any = None
        self.models: Mapping[str, Any] = {}
        self.value: float | None = None
        self.epoch = 0
        self.order: tuple[float, ...] = ()
        self._sign = 1.0 if maximize else -1.0
        self._at_last = at_last
        self._weights: dict[str, list[Any]] = {}
        self._build: Any = None

    def see(self, epoch: int, value: float, order: tuple[float, ...] = ()) -> None:
        """Take the weights if the epoch is the best so far, or if the last epoch is what counts.

        Args:
            epoch: The epoch.
            value: Of the objective, the first one.
            order: What epochs are compared by, the greater the better; the objective alone if empty.
        """
        if value != value or not (self.models or self.model is not None):
            return
        order = order or (0.0, self._sign * value)
        if self._at_last or self.value is None or order > self.order:
            self.value, self.epoch, self.order = value, epoch, order
            models = self.models or {"": self.model}
            self._weights = {name: model.get_weights() for name, model in models.items()}

    def adopt(self, epoch: int, value: float, fold: BestWeights | None) -> None:
        """Stand for `value` from now on, with the weights of a fold, or still with those of an earlier one if None."""
        self.value, self.epoch = value, epoch
        if fold is not None and fold.model is not None:
            self._weights, self._build = fold._weights, fold.model.get_build_config()

    def best(self) -> Best | None:
        """Return what is held of a model that `build(hp)` makes again, if anything."""
        if self.value is None or set(self._weights) != {""}:
            return None
        build = self._build if self.model is None else self.model.get_build_config()
        return Best(epoch=self.epoch, value=self.value, weights=self._weights[""], build=build, order=self.order)

    def take_up(self, best: Best) -> None:
        """Hold what an earlier attempt held."""
        self.value, self.epoch, self.order = best.value, best.epoch, best.order or (0.0, self._sign * best.value)
        self._weights, self._build = {"": list(best.weights)}, best.build

    def write(self, folder: str, assignment: Assignment) -> None:
        """Write the weights if the value ranks above what the assignment asks for.

        Survives: the description is written last and names the file's hash; without it there are no weights.
        """
        threshold = assignment.keep_above
        if self.value is None or not self._weights:
            return
        if threshold is not None and self._sign * self.value <= self._sign * threshold:
            return
        target = Path(folder) / str(assignment.number)
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        about: dict[str, Any] = {"epoch": self.epoch, "value": self.value}
        if self.models:
            about["models"] = {name: self._write_whole(name, model, target) for name, model in self.models.items()}
        else:
            _save(target / FILE, self._weights[""])
            build = self._build if self.model is None else self.model.get_build_config()
            about |= {"sha256": sha256(target / FILE), "build": build}
        write_atomically(target / "weights.json", json.dumps(about))

    def _write_whole(self, name: str, model: Any, target: Path) -> dict[str, str]:
        """Write one model of a training loop as of the best epoch: as `.keras`, or its weights if it has no config."""
        model.set_weights(self._weights[name])
        path = target / f"{name}.keras"
        try:
            model.save(path)
        except Exception:  # Keras raises whatever the class's `get_config` does
            path.unlink(missing_ok=True)
            path = target / f"{name}.weights.h5"
            model.save_weights(path)
        return {"file": path.name, "sha256": sha256(path)}

    def forget(self) -> None:
        """Let go of models and weights."""
        self.model = None
        self.models, self._weights = {}, {}


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
    check_place(path)
    if sha256(path) != about["sha256"]:
        raise Infrastructure(f"{path} is damaged: its hash is not the one that was written; the weights are lost")
    if not model.built and about["build"]:
        model.build_from_config(about["build"])
    try:
        model.set_weights(_load(path, ROOM * _bytes_of(model) + SPARE_BYTES))
    except (ValueError, zipfile.BadZipFile) as error:
        raise Infrastructure(f"the model built anew does not fit the weights of trial {number}: {error}") from error
    return int(about["epoch"])


def load_models(folder: Path, number: int) -> dict[str, Any]:
    """Return the models that the training loop of trial `number` handed over, by name, as of its best epoch.

    Raises:
        Infrastructure: none are kept, or a file is not the one that was written.
        BadInput: one could only be kept as weights.
    """
    about_path = folder / str(number) / "weights.json"
    about: dict[str, Any] = json.loads(about_path.read_text()) if about_path.exists() else {}
    if "models" not in about:
        raise Infrastructure(
            f"no models of trial {number} are kept in {folder}; only the best three trials' are, of those that the "
            "training loop handed over: report(epoch=…, model=model, …)"
        )
    models: dict[str, Any] = {}
    for name, file in about["models"].items():
        path = folder / str(number) / file["file"]
        check_place(path)
        if path.parent != folder / str(number):
            raise Infrastructure(f"{about_path} names a file outside its folder; it is not what Kerasweep wrote")
        if not path.is_file() or sha256(path) != file["sha256"]:
            raise Infrastructure(f"{path} is damaged or gone; the weights are lost")
        if path.suffix != ".keras":
            raise BadInput(
                f"{name!r} is a model that Keras cannot save whole; make it as your loop does, then "
                f"model.load_weights({str(path)!r})"
            )
        import keras

        try:
            models[name] = keras.saving.load_model(path, safe_mode=True)
        except (ValueError, TypeError, OSError) as error:
            raise BadInput(
                f"Keras does not load {name!r} safely: {one_line(str(error), 200)}; "
                f"make it as your loop does, the weights are in {path}"
            ) from error
    return models


def _save(path: Path, weights: Sequence[Any]) -> None:
    """Write arrays in NumPy's own format, whole or not at all; what that has no type for (bfloat16) as float32."""
    import numpy as np

    draft = path.with_name(f"draft-{path.name}")
    np.savez(draft, *_plain(weights))
    draft.replace(path)


def _plain(weights: Sequence[Any]) -> list[Any]:
    import numpy as np

    return [np.asarray(one, dtype="float32") if one.dtype.kind == "V" else one for one in weights]


def _load(path: Path, most_bytes: int) -> list[Any]:
    """Return the arrays of a file, unless they would take more memory than the model's can.

    Raises:
        ValueError: they would, or it is no such file.
    """
    import numpy as np

    with zipfile.ZipFile(path) as archive:
        size = sum(one.file_size for one in archive.infolist())
    if size > most_bytes:
        raise ValueError(f"they are {size / 1e9:.1f} GB unpacked, the model's are at most {most_bytes / 1e9:.1f} GB")
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[f"arr_{index}"] for index in range(len(arrays.files))]


def _bytes_of(model: Any) -> int:
    return sum(int(one.nbytes) for one in model.get_weights())


def check_place(path: Path) -> None:
    """Refuse a file that is not itself in the folder of its sweep.

    Raises:
        Infrastructure: it, or the folder that it stands in, is a symbolic link.
    """
    for one in (path, path.parent, path.parent.parent):
        if one.is_symlink():
            raise Infrastructure(f"{one} is a symbolic link, which Kerasweep never makes; put the file itself there")


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
