"""One trial in a trainer: build the model, fit it, report every epoch, say how it ended.

Runs on a thread of its own. In order: dtype policy and seed, `build(hp)`, `fit`; the session is cleared when the trial
is over, while the driver prepares the next one.
"""

from __future__ import annotations

import copy
import gc
import inspect
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, TypeGuard, cast, final

from ..spaces.errors import Infeasible, one_line
from ..spaces.hp import NeedsParameters, Trace, hyperparameters_class
from ..spaces.space import Declared
from ..spaces.trial import Assignment, Json
from .failure import describe
from .link import Message
from .weights import BestWeights

Say = Callable[[Message], None]


class StopTraining(BaseException):
    """Ends a fit at the end of a batch; not an `Exception`, so that user code cannot swallow it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for all trials of a sweep: the objective, the plain `fit` arguments, the declared parameters."""

    metric: str
    maximize: bool
    at_last: bool
    fit: Mapping[str, Json] = field(default_factory=dict[str, Json])
    declared: tuple[Mapping[str, Any], ...] = ()
    weights: str = ""
    root: str = ""

    def to_json(self) -> dict[str, Json]:
        """Return the form in which it travels."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        """Return what `to_json` wrote."""
        return cls(**data)


@final
class UserCode:
    """The user's model and data, loaded once per trainer."""

    def __init__(self, hypermodel: Any, fit_arguments: dict[str, Any]) -> None:
        self.hypermodel = hypermodel
        self.fit_arguments = fit_arguments
        self.dtype_policy: str = _dtype_policy()

    @classmethod
    def of(cls, model: Any, data: Any) -> UserCode:
        """Return the code ready to use; calls the data function.

        Args:
            model: `build(hp)`, or a `keras_tuner.HyperModel` class or instance.
            data: A function without arguments, or what it would return: `((x, y), (x_val, y_val))`, `(x, y)`,
                `(train, val)` datasets, one dataset, or a dict of `fit` arguments.
        """
        hypermodel = cast(Any, model() if inspect.isclass(model) else model)
        if not (callable(hypermodel) or hasattr(hypermodel, "build")):
            raise TypeError(f"the model must be a function build(hp) or a HyperModel, got {type(hypermodel).__name__}")
        return cls(hypermodel, fit_arguments(data() if callable(data) else data))

    def build(self, hp: Any) -> Any:
        """Return the compiled model for `hp`."""
        build = getattr(self.hypermodel, "build", None)
        model = build(hp) if build is not None else self.hypermodel(hp)
        if not hasattr(model, "fit"):
            raise TypeError(f"build(hp) must return a compiled Keras model, it returned {type(model).__name__}")
        return model

    def fit(self, hp: Any, model: Any, arguments: dict[str, Any]) -> Any:
        """Train the model, by the hypermodel's own `fit` where it has one."""
        fit = getattr(self.hypermodel, "fit", None)
        if fit is None:
            return model.fit(**arguments)
        positional = [arguments.pop(name) for name in ("x", "y") if name in arguments]
        return fit(hp, model, *positional, **arguments)


def _dtype_policy() -> str:
    import keras

    return str(cast(Any, keras.config.dtype_policy()).name)


def fit_arguments(data: Any) -> dict[str, Any]:
    """Return the data as arguments of `fit`."""
    if data is None:
        return {}
    if isinstance(data, Mapping):
        return dict(cast(Mapping[str, Any], data))
    parts = _pair(data)
    if parts is None:
        return {"x": data}
    first, second = parts
    if _is_sequence(first) and _is_sequence(second):
        train = dict(zip(("x", "y", "sample_weight"), first, strict=False))
        return {**train, "validation_data": tuple(second)}
    if hasattr(first, "shape"):
        return {"x": first, "y": second}
    return {"x": first, "validation_data": second}


def _pair(data: Any) -> tuple[Any, Any] | None:
    return (data[0], data[1]) if _is_sequence(data) and len(data) == 2 else None


def _is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, tuple | list)


@final
class Training:
    """One trial."""

    def __init__(self, code: UserCode, assignment: Assignment, settings: Settings, say: Say) -> None:
        self.batches = 0
        self.running = True
        self.stopping = False
        self.epoch = 0
        self.logged: set[str] = set()
        self._code = code
        self._assignment = assignment
        self._settings = settings
        self._say = say
        self._times: dict[str, float] = {"start": time.time()}
        self._trace = Trace(assigned=assignment.params, declared=declared_by_name(settings.declared))
        self._facts: dict[str, Any] = {}
        self._said_used: Message | None = None
        self.weights = BestWeights(maximize=settings.maximize, at_last=settings.at_last)

    def stop(self) -> None:
        """End at the end of the current batch."""
        self.stopping = True

    def run(self) -> None:
        """Train, and say how it ended; never raises."""
        ended: dict[str, Any]
        try:
            ended = self._train()
        except NeedsParameters:
            ended = self._needs()
        except StopTraining:
            ended = {"type": "ended", "kind": "stopped"}
        except Infeasible as reason:
            ended = {"type": "ended", "kind": "infeasible", "reason": one_line(str(reason))}
        except BaseException as error:
            ended = self._failed(error)
        if ended["type"] == "ended":
            self._say_used()
            self._keep_weights()
        self.running = False
        self._times["end"] = time.time()
        self.say({**ended, "timing": {**self._times, "pid": os.getpid()}})
        self.weights.forget()
        del self._trace
        clean_up()

    def say(self, message: Message) -> None:
        """Send a message about this trial."""
        self._say({**message, "trial": self._assignment.number, "attempt": self._assignment.attempt})

    def _train(self) -> dict[str, Any]:
        import keras

        from .reporter import reporter_class

        keras.config.set_dtype_policy(self._code.dtype_policy)
        keras.utils.set_random_seed(self._assignment.seed % 2**32)
        hp = cast(Any, hyperparameters_class()(self._trace))
        try:
            model = self._code.build(hp)
        except Exception:
            if self._trace.misses:
                return self._needs()
            raise
        arguments = fit_arguments_of(self._code, self._trace, self._settings)
        if self._trace.misses:
            return self._needs()
        self.weights.model = model
        self._facts = {"parameters": count_params(model)}
        arguments["callbacks"].append(reporter_class()(self))
        self._say_used()
        self._trace.fitting = True
        self._times["fit_start"] = time.time()
        try:
            result = self._code.fit(hp, model, arguments)
        finally:
            self._times["fit_end"] = time.time()
        self._report_result(result)
        return {"type": "ended", "kind": "completed", "logged": sorted(self.logged)}

    def _needs(self) -> dict[str, Any]:
        return {"type": "needs", "specs": [parameter.to_json() for parameter in self._trace.misses.values()]}

    def _say_used(self) -> None:
        if self._trace.misses or not self._trace.used:
            return
        specs = [parameter.to_json() for parameter, _ in self._trace.used.values()]
        used: Message = {"type": "used", "params": self._trace.params, "specs": specs, "facts": self._facts}
        if used != self._said_used:
            self._said_used = used
            self.say(used)

    def _report_result(self, result: Any) -> None:
        """Report what a `fit` of the user's own returned, where no epoch was reported: a number or a dict."""
        if self.epoch or result is None or hasattr(result, "history"):
            return
        several = cast(Mapping[str, Any] | None, result if isinstance(result, Mapping) else None)
        self.report(plain_metrics({self._settings.metric: result} if several is None else several), seconds=0.0)

    def report(self, metrics: Mapping[str, float], seconds: float) -> None:
        """Tell the metrics of one more epoch."""
        self.epoch += 1
        self.logged |= set(metrics)
        value = metrics.get(self._settings.metric)
        if value is not None:
            self.weights.see(self.epoch, value)
        self.say({"type": "report", "epoch": self.epoch, "metrics": dict(metrics), "seconds": seconds})

    def _failed(self, error: BaseException) -> dict[str, Any]:
        failure = describe(error, self._settings.root or os.getcwd())
        kind = "oom" if failure.out_of_memory else "error"
        return {"type": "ended", "kind": kind, "reason": failure.reason, "traceback": failure.traceback}

    def _keep_weights(self) -> None:
        if not self._settings.weights:
            return
        try:
            self.weights.write(self._settings.weights, self._assignment)
        except Exception as error:  # a full disk costs the weights, not the trial
            self.say({"type": "notice", "text": f"the weights were not kept: {one_line(str(error))}"})


def declared_by_name(forms: Iterable[Mapping[str, Any]]) -> dict[str, Declared]:
    """Return the parameters of the sweep file by name."""
    return {one.parameter.name: one for one in map(Declared.from_json, forms)}


def fit_arguments_of(code: UserCode, trace: Trace, settings: Settings) -> dict[str, Any]:
    """Return the arguments of one trial's `fit`: the sweep file's, searched ones read from the trace, and the data."""
    searched = {
        name.removeprefix("fit/"): trace.read(one.parameter)
        for name, one in trace.declared.items()
        if name.startswith("fit/")
    }
    callbacks: list[Any] = copy.deepcopy(list(code.fit_arguments.get("callbacks", ())))
    plain: dict[str, Any] = dict(settings.fit)
    if isinstance(plain.get("class_weight"), Mapping):  # JSON has made its classes text
        plain["class_weight"] = {int(name): weight for name, weight in plain["class_weight"].items()}
    return {"verbose": 0, **plain, **searched, **code.fit_arguments, "callbacks": callbacks}


def count_params(model: Any) -> int | None:
    """Return how many parameters the model has; None where it is not built before `fit`."""
    try:
        return int(model.count_params())
    except ValueError:
        return None


def clean_up() -> None:
    """Clear Keras's session, and keep what TensorFlow leaks per trial out of all later collections.

    The graphs of every fit stay reachable, some 10,000 objects each: unfrozen, a collection takes 8 ms after the first
    trial and 200 ms after the fortieth. Their memory comes back when the trainer is recycled.
    """
    import keras

    keras.backend.clear_session(free_memory=False)
    gc.collect()
    gc.freeze()


def plain_metrics(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """Return what Keras logged as plain floats; what is no number is left out."""
    metrics: dict[str, float] = {}
    for name, value in (logs or {}).items():
        with suppress(TypeError, ValueError):
            metrics[str(name)] = float(value)
    return metrics
