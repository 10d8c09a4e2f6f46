"""The Keras callback that saves a fit between two epochs, and has a later one begin there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from ..spaces.errors import one_line
from ..spaces.trial import Json
from .checkpointing import Checkpoints, Trial
from .fit_state import CannotResume, FitState, held_by, learning_rates, put_back, set_learning_rates
from .unsaved import marks_of, unsaved

if TYPE_CHECKING:
    import keras


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
        told = len(args) <= _BEFORE_CALLBACKS and not isinstance(callbacks, cast(Any, keras.callbacks).CallbackList)
        first = trial.epoch == (0 if checkpoints.resumed is None else checkpoints.resumed.epoch)
        if not (told and first):  # what stands before, or around, would be done again, or left out
            if checkpoints.resumed is not None:
                raise CannotResume("its fit is called otherwise")
            return fit(*args, **kwargs)
        given = list(cast("Sequence[Any]", callbacks)) if isinstance(callbacks, list | tuple) else [callbacks]
        own = [one for one in given if one is not None]
        kwargs["callbacks"] = [*own, checkpointer_class()(trial, checkpoints, own)]
        if checkpoints.resumed is not None:
            kwargs["initial_epoch"] = checkpoints.resumed.fit_epoch
            _build(model, args[0] if args else kwargs.get("x"))
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
            self._rates: dict[str, float] = {}
            self._marks: list[dict[str, object]] = []
            self._size = 0
            self._awaited = checkpoints.resumed

        def __deepcopy__(self, memo: dict[int, Any]) -> Checkpointer:
            """Stay the same object in a copied list of callbacks: the trial is one."""
            return self

        @property
        def _fitted(self) -> Any:
            return cast(Any, self).model

        def on_train_begin(self, logs: Any = None) -> None:
            model, resumed = self._fitted, self._checkpoints.resumed
            self._before = [held_by(one) for one in self._others]
            self._rates = learning_rates(model)
            self._marks = [marks_of(one) for one in self._others]
            if resumed is not None and resumed.weights is not None:
                state = FitState(plain=resumed.plain, arrays=resumed.arrays)
                put_back(model, self._others, state, resumed.weights)
                if self._checkpoints.inherited:  # a rate that is the heir's own is not the one that was saved
                    had = resumed.plain["rates"]
                    set_learning_rates(model, {name: one for name, one in self._rates.items() if one != had.get(name)})
                if resumed.plain["history"] is not None and _history(model) is not None:
                    _history(model).history = resumed.plain["history"]["history"]
                lost: list[str] = resumed.plain.get("unsaved", [])
                if lost:
                    self._trial.notice(f"goes on without what checkpoints cannot hold: {', '.join(lost)}")
            self._checkpoints.active = True

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            resumed, self._awaited = self._awaited, None
            if resumed is None:
                return
            if epoch != resumed.fit_epoch:
                raise CannotResume(f"its fit begins with epoch {epoch}, whatever it is told")
            if resumed.plain["history"] is not None and _history(self._fitted) is not None:
                _history(self._fitted).epoch[:0] = resumed.plain["history"]["epoch"]

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            saving, self._size = self._trial.saving, self._size or _bytes_of(self._fitted)
            over: bool = self._fitted.stop_training or epoch + 1 >= int(cast(Any, self.params)["epochs"])
            last = over and self._checkpoints.keeps_last
            if saving or last or (not over and self._checkpoints.due(self._size)):
                following = int(cast(Any, self.params)["epochs"]) if over else epoch + 1

                def then() -> dict[str, Json]:
                    lost: list[Json] = [*unsaved(self._others, self._marks)]
                    past = self._past(epoch, logs)
                    return {"fit_epoch": following, "history": past, "unsaved": lost, "rates": self._rates}

                self._checkpoints.take_fit(self._fitted, self._others, self._before, then)
            self._checkpoints.active = not saving  # nothing more to wait for
            self._trial.check_stop()

        def _past(self, epoch: int, logs: Any) -> Json:
            """Return Keras's History with this epoch, which it takes in after all other callbacks."""
            past = _history(self._fitted)
            if past is None or past in self._others:
                return None
            history: dict[str, list[Any]] = {name: list(values) for name, values in past.history.items()}
            for name, value in cast("dict[str, Any]", logs or {}).items():
                history.setdefault(name, []).append(value)
            plain: dict[str, Json] = {name: plain_numbers(values) for name, values in history.items()}
            return {"epoch": [*past.epoch, epoch], "history": plain}

    return Checkpointer


def _build(model: Any, x: Any) -> None:
    """Build a model that leaves it to its first batch, by a batch that is read once more; a generator has none to spare.

    Args:
        model: Of the user's `build`.
        x: What is fitted: arrays, a dataset, batches by index.
    """
    if model.built:
        return
    try:
        model(_first_inputs(x))
    except Exception as error:  # whatever the user's layers raise
        raise CannotResume(f"the model cannot be built before its first batch: {one_line(str(error))}") from error


def _first_inputs(x: Any) -> Any:
    """Return the inputs of a batch; None where there is none to spare."""
    import keras

    if hasattr(x, "element_spec"):  # of tf.data
        return cast(Any, keras.utils).unpack_x_y_sample_weight(next(iter(x.take(1))))[0]
    if isinstance(x, cast("type[Any]", keras.utils.PyDataset)):
        return cast(Any, keras.utils).unpack_x_y_sample_weight(x[0])[0]
    return None if hasattr(x, "__next__") else cast(Any, keras.tree).map_structure(_first, x)


def plain_numbers(values: Sequence[Any]) -> list[Json]:
    """Return a metric's values as JSON takes them; NumPy's own numbers as Python's."""
    return [float(one) if hasattr(one, "dtype") else one for one in values]


def _first(array: Any) -> Any:
    return array[:1]


def _history(model: Any) -> Any:
    return cast(object, getattr(model, "history", None))


def _bytes_of(model: Any) -> int:
    optimizer: Any = getattr(model, "optimizer", None)
    variables = [*model.variables, *(() if optimizer is None else optimizer.variables)]
    return 4 * sum(math.prod(one.shape) for one in variables)
