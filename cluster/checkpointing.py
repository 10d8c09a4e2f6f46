"""The checkpoints of one attempt: when one is due, how it is taken between two epochs, what a resumed fit begins with."""

from __future__ import annotations

import io
import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, final

from ..spaces.errors import one_line
from ..spaces.trial import Assignment, Json
from .checkpoint import Damaged, identity_of
from .checkpoint_files import Files, files_at, join
from .checkpoint_store import CheckpointStore
from .fit_state import CannotResume, FitState, held_by, is_plain, put_back, take
from .weights import Best

if TYPE_CHECKING:
    import keras

BYTES_A_SECOND = 100e6
"""What the first checkpoint is expected to cost, before one was measured: less than any disk's cache takes."""
WRITE_S = 8.0
"""A trial that ends waits so long for the last write."""


@final
class Cadence:
    """When a checkpoint is due: after so many seconds, and not before its cost is the allowed share of them."""

    def __init__(self, every_s: float, share: float, now: float) -> None:
        self._every_s = every_s
        self._share = share
        self._since = now
        self._cost_s: float | None = None

    def due(self, now: float, size: int) -> bool:
        """Say whether there is to be one now; `size` is its bytes, by which the first one's cost is guessed."""
        cost_s = size / BYTES_A_SECOND if self._cost_s is None else self._cost_s
        return now - self._since >= max(self._every_s, cost_s / self._share)

    def took(self, cost_s: float, now: float) -> None:
        """Take in that one was made, and what it cost training."""
        self._cost_s, self._since = cost_s, now


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What an attempt begins with: so many epochs, their reports, the best weights; and how the fit goes on."""

    epoch: int
    reports: Sequence[Mapping[str, Any]]
    best: Best | None
    plain: Mapping[str, Any] = field(repr=False)
    arrays: Mapping[str, Any] = field(repr=False)
    weights: Path | None

    @property
    def fit_epoch(self) -> int:
        """The epoch, counted from 0, at which Keras begins."""
        return int(self.plain.get("fit_epoch", 0))


class Trial(Protocol):
    """The trial that is checkpointed."""

    epoch: int

    @property
    def reports(self) -> Sequence[Mapping[str, Any]]:
        """The reports of all its epochs."""
        ...

    @property
    def saving(self) -> bool:
        """Whether the trial is to end now, and to go on later."""
        ...

    def best(self) -> Best | None:
        """Return the best weights so far."""
        ...

    def check_stop(self) -> None:
        """Raise if the trial was stopped."""

    def notice(self, text: str) -> None:
        """Tell the user something."""


@final
class Checkpoints:
    """Takes and writes the checkpoints of one attempt, and reads what earlier ones left.

    Survives: the newest two checkpoints, whole; a kill costs the epochs since the last.
    """

    def __init__(
        self,
        trial: Trial,
        assignment: Assignment,
        *,
        place: str,
        every_s: float,
        share: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Get ready.

        Args:
            trial: What is checkpointed.
            assignment: The attempt.
            place: A folder or a URL for the trial's checkpoints.
            every_s: Seconds between two.
            share: The most of a training's time that they may cost.
            clock: Tells seconds.
        """
        self.active = False
        self.resumed: Resumed | None = None
        self._trial = trial
        self._assignment = assignment
        self._place = place
        self._clock = clock
        self._cadence = Cadence(every_s, share, clock())
        self._store: CheckpointStore | None = None
        self._writing: threading.Thread | None = None
        self._complained = False

    # Reading ----------------------------------------------------------------------------------------------------------

    def resume(self) -> Resumed | None:
        """Return what earlier attempts left to go on from, if anything; what is damaged is passed over, and told."""
        if not self._assignment.resume_from:
            return None
        try:
            found = self._opened().newest()
        except OSError as error:
            self._complain(f"its checkpoints cannot be read: {error}")
            return None
        for text in found.passed_over:
            self._trial.notice(text)
        if found.checkpoint is None:
            if found.passed_over:
                self._trial.notice("it begins anew: none of its checkpoints can be used")
            return None
        self.resumed = _read(found.checkpoint.epoch, found.paths)
        return self.resumed

    def begin_anew(self, why: str) -> None:
        """Forget what was resumed from: it does not fit."""
        self._trial.notice(f"it begins anew: its checkpoint cannot be used: {why}")
        self.resumed = None
        self.active = False
        self._opened().discard()

    # Writing ----------------------------------------------------------------------------------------------------------

    def due(self, size: int) -> bool:
        """Say whether a checkpoint of so many bytes is to be made now."""
        return not self._busy and self._cadence.due(self._clock(), size)

    def take_fit(
        self, model: Any, callbacks: Sequence[Any], before: Sequence[Mapping[str, Any]], then: Mapping[str, Json]
    ) -> None:
        """Make a checkpoint of a Keras fit that is between two epochs; what goes wrong costs the checkpoint only.

        Args:
            model: In fit.
            callbacks: Of the fit.
            before: What they held when it began.
            then: How the fit goes on: its next epoch, its history.
        """

        def state(weights: Path) -> tuple[FitState, Mapping[str, tuple[str, Path]]]:
            taken = take(model, callbacks, before, weights)
            return taken, {"model": ("model.weights.h5", weights)}

        self._take(state, then)

    def after_fold(self, done: Sequence[Mapping[str, float]]) -> None:
        """Make a checkpoint of a trial that is between two folds, where one is due; the next fold needs no more.

        Args:
            done: The metrics of the folds that are done.
        """
        self.active = True
        if self._trial.saving or self.due(0):
            folds: list[Json] = [dict(one) for one in done]
            self._take(lambda _: (FitState(plain={}, arrays={}), {}), {"folds": folds})

    def _take(
        self,
        state: Callable[[Path], tuple[FitState, Mapping[str, tuple[str, Path]]]],
        then: Mapping[str, Json],
    ) -> None:
        self._wait(WRITE_S)
        if self._busy:
            return
        began = self._clock()
        try:
            files = self._opened().files
            taken, drafts = state(files.draft("model.weights.h5"))
            trial, best = self._trial, self._trial.best()
            plain: dict[str, Json] = {**taken.plain, **then, "reports": list(trial.reports)}
            plain["best"] = None if best is None else best.about()
            write = threading.Thread(
                target=self._write, args=(trial.epoch, plain, taken.arrays, best, drafts), name="checkpoint"
            )
        except Exception as error:  # Keras raises whatever the user's layers do when they are saved
            self._complain(f"no checkpoint was made: {one_line(str(error))}")
        else:
            self._writing = write
            write.daemon = True
            write.start()
        self._cadence.took(self._clock() - began, self._clock())

    def _write(
        self,
        epoch: int,
        plain: Mapping[str, Json],
        arrays: Mapping[str, Any],
        best: Best | None,
        drafts: Mapping[str, tuple[str, Path]],
    ) -> None:
        """Write what was taken; on a thread of its own."""
        store = self._opened()
        try:
            made = dict(drafts)
            made["fit"] = ("fit.json", _draft(store.files, "fit.json", json.dumps(plain).encode()))
            made["arrays"] = ("arrays.npz", _draft(store.files, "arrays.npz", _packed(arrays)))
            if best is not None:
                made["best"] = ("best.npz", _draft(store.files, "best.npz", _packed(best.arrays())))
            store.commit(epoch, made)
        except (OSError, Damaged) as error:
            self._complain(f"no checkpoint was written: {one_line(str(error))}; training goes on")

    def close(self) -> None:
        """Wait for a write that is under way, and remove what is not needed."""
        self._wait(WRITE_S)
        if self._store is not None and not self._busy:
            self._store.files.close()

    @property
    def _busy(self) -> bool:
        return self._writing is not None and self._writing.is_alive()

    def _wait(self, timeout_s: float) -> None:
        if self._writing is not None:
            self._writing.join(timeout_s)

    def _opened(self) -> CheckpointStore:
        if self._store is None:
            store = CheckpointStore(files_at(self._place), identity_of(self._assignment), self._assignment.attempt)
            self._store = store
        return self._store

    def _complain(self, text: str) -> None:
        if not self._complained:
            self._complained = True
            self._trial.notice(text)


def place_of_trial(root: str, number: int) -> str:
    """Return where the checkpoints of a trial are, below the sweep's own place for them."""
    return join(root, str(number), "epochs")


def _read(epoch: int, paths: Mapping[str, Path]) -> Resumed:
    import numpy as np

    plain: dict[str, Any] = json.loads(paths["fit"].read_bytes())
    with np.load(paths["arrays"], allow_pickle=False) as held:
        arrays = dict(held)
    best: Best | None = None
    if plain["best"] is not None:
        with np.load(paths["best"], allow_pickle=False) as held:
            best = Best.of(plain["best"], dict(held))
    return Resumed(
        epoch=epoch, reports=plain["reports"], best=best, plain=plain, arrays=arrays, weights=paths.get("model")
    )


def _packed(arrays: Mapping[str, Any]) -> bytes:
    import numpy as np

    packed = io.BytesIO()
    np.savez(packed, **cast("dict[str, Any]", dict(arrays)))
    return packed.getvalue()


def _draft(files: Files, name: str, data: bytes) -> Path:
    path = files.draft(name)
    path.write_bytes(data)
    return path


# In a fit ----------------------------------------------------------------------------------------------------------------


def checkpointed(model: Any, trial: Trial, checkpoints: Checkpoints) -> None:
    """Have the first `fit` of a model begin where the last attempt was, and take checkpoints between its epochs.

    Whoever calls `model.fit` next, the hypermodel's own `fit` perhaps, passes through here; our callback comes after
    all of theirs, since their counters are part of the state. A later `fit` of the same trial has no checkpoints: an
    attempt would not find its way there.
    """
    import keras

    fit: Callable[..., Any] = model.fit

    def first_fit(*args: Any, **kwargs: Any) -> Any:
        del model.fit
        callbacks: Any = kwargs.get("callbacks")
        if len(args) > _BEFORE_CALLBACKS or isinstance(callbacks, cast(Any, keras.callbacks).CallbackList):
            if checkpoints.resumed is not None:
                raise CannotResume("its callbacks cannot be told")
            return fit(*args, **kwargs)
        given = list(cast("Sequence[Any]", callbacks)) if isinstance(callbacks, list | tuple) else [callbacks]
        own = [one for one in given if one is not None]
        kwargs["callbacks"] = [*own, checkpointer_class()(trial, checkpoints, own)]
        if checkpoints.resumed is not None:
            kwargs["initial_epoch"] = checkpoints.resumed.fit_epoch
        try:
            return fit(*args, **kwargs)
        finally:
            checkpoints.active = False

    if isinstance(model, keras.Model):
        cast(Any, model).fit = first_fit


_BEFORE_CALLBACKS = 5
"""`fit(x, y, batch_size, epochs, verbose, callbacks, …)`"""


@cache
def checkpointer_class() -> Callable[[Trial, Checkpoints, Sequence[Any]], keras.callbacks.Callback]:
    """Return the callback's class; importing Keras is left to the trainer."""
    import keras

    class Checkpointer(keras.callbacks.Callback):
        """The last callback of a fit: what it sees is what the next epoch begins with."""

        def __init__(self, trial: Trial, checkpoints: Checkpoints, others: Sequence[Any]) -> None:
            super().__init__()
            self._trial = trial
            self._checkpoints = checkpoints
            self._others = others
            self._before: list[dict[str, Any]] = []
            self._size = 0
            self._awaited = checkpoints.resumed

        def __deepcopy__(self, memo: dict[int, Any]) -> Checkpointer:
            """Stay the same object in a copied list of callbacks: the trial is one."""
            return self

        def on_train_begin(self, logs: Any = None) -> None:
            model, resumed = self.model, self._checkpoints.resumed
            self._before = [held_by(one) for one in self._others]
            if resumed is not None and resumed.weights is not None:
                state = FitState(plain=resumed.plain, arrays=resumed.arrays)
                put_back(model, self._others, state, resumed.weights)
                if resumed.plain["history"] is not None and _history(model) is not None:
                    _history(model).history = resumed.plain["history"]["history"]
            self._checkpoints.active = True

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            resumed, self._awaited = self._awaited, None
            if resumed is None:
                return
            if epoch != resumed.fit_epoch:
                raise CannotResume(f"its fit begins with epoch {epoch}, whatever it is told")
            if resumed.plain["history"] is not None and _history(self.model) is not None:
                _history(self.model).epoch[:0] = resumed.plain["history"]["epoch"]

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            saving, self._size = self._trial.saving, self._size or _bytes_of(self.model)
            over = self.model.stop_training or epoch + 1 >= int(cast(Any, self.params)["epochs"])
            if saving or (not over and self._checkpoints.due(self._size)):
                following = int(cast(Any, self.params)["epochs"]) if over else epoch + 1
                then: dict[str, Json] = {"fit_epoch": following, "history": self._past(epoch, logs)}
                self._checkpoints.take_fit(self.model, self._others, self._before, then)
            self._checkpoints.active = not saving  # nothing more to wait for
            self._trial.check_stop()

        def _past(self, epoch: int, logs: Any) -> Json:
            """Return Keras's History with this epoch, which it takes in after all other callbacks."""
            past = _history(self.model)
            if past is None or past in self._others:
                return None
            history = {name: [*past.history.get(name, ()), value] for name, value in (logs or {}).items()}
            history = {**past.history, **history}
            return {"epoch": [*past.epoch, epoch], "history": history} if is_plain(history) else None

    return Checkpointer


def _history(model: Any) -> Any:
    return getattr(model, "history", None)


def _bytes_of(model: Any) -> int:
    optimizer: Any = getattr(model, "optimizer", None)
    variables = [*model.variables, *(() if optimizer is None else optimizer.variables)]
    return 4 * sum(math.prod(one.shape) for one in variables)
