"""The checkpoints of one attempt: when one is due, how it is written beside training, what a later attempt begins with."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, final

from ..spaces.errors import one_line
from ..spaces.trial import Assignment, Json, Legacy
from .checkpoint import identity_of
from .checkpoint_files import Files, files_at, join
from .checkpoint_store import CheckpointStore
from .fit_state import CannotResume, FitState, take
from .weights import Best

BYTES_A_SECOND = 100e6
"""What the first checkpoint is expected to cost, before one was measured: less than any disk's cache takes."""
WRITE_S = 8.0
"""A trial that ends waits so long for the last write."""
LAST_WRITE_S = 600.0
"""So long where other trials are to begin with it."""


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

    def took_also(self, cost_s: float) -> None:
        """Take in what writing it has cost since."""
        self._cost_s = (self._cost_s or 0.0) + cost_s


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
        self._fresh = True
        self._anew = False
        self.inherited = False
        """Whether it goes on from the checkpoint of another trial."""

    @property
    def keeps_last(self) -> bool:
        """Whether there is to be a checkpoint of the end, with which other trials may begin."""
        return self._assignment.until > 0

    # Reading ----------------------------------------------------------------------------------------------------------

    def resume(self) -> Resumed | None:
        """Return what there is to go on from, if anything: of earlier attempts, else of the trial that this one is heir to.

        What is damaged of the former is passed over, and told.

        Raises:
            CannotResume: it is an heir, and there is nothing of its donor.
        """
        own = self._own()
        if own is None and self._assignment.legacy is not None:
            self.resumed, self.inherited = _inherited(self._assignment.legacy, self._fail), True
            return self.resumed
        return own

    def _fail(self, why: str) -> CannotResume:
        self.inherited = True
        return CannotResume(why)

    def _own(self) -> Resumed | None:
        if not self._assignment.resume_from or self._anew:
            return None
        try:
            found = self._opened().newest()
        except Exception as error:  # whatever a file system of fsspec's raises
            self._complain(f"it begins anew: its checkpoints cannot be read: {one_line(str(error))}")
            return None
        for text in found.passed_over:
            self._trial.notice(text)
        if found.checkpoint is None:
            if found.passed_over:
                self._trial.notice("it begins anew: none of its checkpoints can be used")
            return None
        self.resumed, self._fresh = _read(found.checkpoint.epoch, found.paths), False
        return self.resumed

    def begin_anew(self, why: str) -> None:
        """Forget what was resumed from: it does not fit."""
        self._trial.notice(f"it begins anew: its checkpoint cannot be used: {why}")
        self.resumed, self._fresh = None, True
        self._anew, self.active = True, False

    # Writing ----------------------------------------------------------------------------------------------------------

    def due(self, size: int) -> bool:
        """Say whether a checkpoint of so many bytes is to be made now."""
        return not self._busy and self._cadence.due(self._clock(), size)

    def take_fit(
        self,
        model: Any,
        callbacks: Sequence[Any],
        before: Sequence[Mapping[str, Any]],
        then: Callable[[], Mapping[str, Json]],
    ) -> None:
        """Make a checkpoint of a Keras fit that is between two epochs; what goes wrong costs the checkpoint only.

        Args:
            model: In fit.
            callbacks: Of the fit.
            before: What they held when it began.
            then: Returns how the fit goes on: its next epoch, its history.
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
            self._take(lambda _: (FitState(plain={}, arrays={}), {}), lambda: {"folds": folds})

    def _take(
        self,
        state: Callable[[Path], tuple[FitState, Mapping[str, tuple[str, Path]]]],
        then: Callable[[], Mapping[str, Json]],
    ) -> None:
        self._wait(LAST_WRITE_S if self.keeps_last else WRITE_S)
        if self._busy:
            return
        began = self._clock()
        try:
            files = self._opened().files
            taken, drafts = state(files.draft("model.weights.h5"))
            trial, best = self._trial, self._trial.best()
            plain: dict[str, Json] = {**taken.plain, **then(), "reports": list(trial.reports)}
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
        """Write what was taken; on a thread of its own, whose work counts as cost, too."""
        store, before_s = self._opened(), time.thread_time()
        try:
            made = dict(drafts)
            made["fit"] = ("fit.json", _draft(store.files, "fit.json", json.dumps(plain).encode()))
            made["arrays"] = ("arrays.npz", _draft(store.files, "arrays.npz", _packed(arrays)))
            if best is not None:
                made["best"] = ("best.npz", _draft(store.files, "best.npz", _packed(best.arrays())))
            if self._fresh:  # what lies there is not what this attempt went on from
                store.discard()
            store.commit(epoch, made)
            self._fresh = False
        except Exception as error:  # a full disk, damage, whatever a file system of fsspec's raises
            self._complain(f"no checkpoint was written: {one_line(str(error))}; training goes on")
        self._cadence.took_also(time.thread_time() - before_s)

    def close(self) -> None:
        """Wait for a write that is under way, and remove what is not needed."""
        self._wait(LAST_WRITE_S if self.keeps_last else WRITE_S)
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


def _inherited(legacy: Legacy, fail: Callable[[str], CannotResume]) -> Resumed:
    """Return what another trial has left at the end of its turn; nothing of what it reported, nor its best weights.

    Raises:
        CannotResume: it is gone or damaged, by `fail`.
    """
    files = files_at(legacy.place)
    try:
        found = CheckpointStore(files, legacy.identity, 0).newest()
        if found.checkpoint is None or found.checkpoint.epoch != legacy.epoch:
            raise fail("; ".join(found.passed_over) or "it is not there")
        resumed = _read(legacy.epoch, found.paths)
    except Exception as error:  # whatever a file system of fsspec's raises
        raise fail(one_line(str(error))) from error
    plain = {**resumed.plain, "fit_epoch": legacy.epoch}
    return replace(resumed, reports=(), best=None, plain=plain)


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
    np.savez(packed, **dict(arrays))
    return packed.getvalue()


def _draft(files: Files, name: str, data: bytes) -> Path:
    path = files.draft(name)
    path.write_bytes(data)
    return path
