"""Learning rates over a training, as functions of `hp`.

A schedule needs to know how long the training is: `steps`, the number of updates, epochs x steps per epoch. Where it
decays over a training it reaches its end at `steps` and stays there. The Deep Learning Tuning Playbook (Godbole et
al., 2023) prefers linear (`polynomial` of power 1) or cosine decay, and recommends warm-up against early instability.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from .errors import BadInput
from .ranges import Count, Levels, Linear, Log, check_names, choose

if TYPE_CHECKING:
    import keras
    import keras_tuner

    HyperParameters = keras_tuner.HyperParameters
    LearningRate = float | keras.optimizers.schedules.LearningRateSchedule

COMMON = ("constant", "cosine", "exponential", "polynomial", "one_cycle")
"""What `schedule` chooses from unless told otherwise."""

FINAL_FRACTION = Levels((0.0, 0.01, 0.1), 0.0)
WARMUP_FRACTION = Log(0.01, 0.1, 0.05)
WARMUPS = ("none", "linear", "cosine")


def constant(hp: HyperParameters, peak: float, steps: int) -> LearningRate:
    """Keep the learning rate."""
    del hp, steps
    return peak


def cosine(hp: HyperParameters, peak: float, steps: int) -> LearningRate:
    """Fall along half a cosine to a fraction of the peak (Loshchilov and Hutter, 2016, arXiv:1608.03983)."""
    import keras

    return keras.optimizers.schedules.CosineDecay(peak, steps, alpha=FINAL_FRACTION.ask(hp, "final_fraction"))


def cosine_restarts(hp: HyperParameters, peak: float, steps: int) -> LearningRate:
    """Restart the cosine several times: SGDR (Loshchilov and Hutter, 2016, arXiv:1608.03983).

    The cycles together take the whole training; beyond it another begins.
    """
    import keras

    cycles = Count(2, 4, 2).ask(hp, "cycles")
    growth = Levels((1.0, 2.0), 2.0).ask(hp, "t_mul")
    first = math.ceil(steps / sum(growth**cycle for cycle in range(cycles)))
    return keras.optimizers.schedules.CosineDecayRestarts(
        peak,
        first,
        t_mul=growth,
        m_mul=Levels((0.5, 0.75, 1.0), 1.0).ask(hp, "m_mul"),
        alpha=FINAL_FRACTION.ask(hp, "final_fraction"),
    )


def exponential(hp: HyperParameters, peak: float, steps: int) -> LearningRate:
    """Fall by the same factor at every step (`keras.optimizers.schedules.ExponentialDecay`).

    Keras does not end it: beyond the training it goes on to fall.
    """
    import keras

    fraction = Log(1e-3, 0.5, 0.05).ask(hp, "final_fraction")
    return keras.optimizers.schedules.ExponentialDecay(peak, steps, fraction)


def polynomial(hp: HyperParameters, peak: float, steps: int) -> LearningRate:
    """Fall with a power of what is left of the training; 1 is linear decay (Li et al., 2019, arXiv:1905.04753)."""
    import keras

    power = Levels((0.5, 1.0, 2.0, 3.0), 1.0).ask(hp, "power")
    end = peak * FINAL_FRACTION.ask(hp, "final_fraction")
    return keras.optimizers.schedules.PolynomialDecay(peak, steps, end_learning_rate=end, power=power)


def piecewise(hp: HyperParameters, peak: float, steps: int) -> LearningRate:
    """Drop by a factor after 1/2, 3/4, 7/8 of the training (twice by 0.1: He et al., 2015, arXiv:1512.03385, on CIFAR)."""
    import keras

    drops = Count(1, 3, 2).ask(hp, "drops")
    factor = Levels((0.1, 0.2, 0.5), 0.1).ask(hp, "factor")
    firsts = sorted({max(round(steps * (1 - 0.5**drop)), 1) for drop in range(1, drops + 1)})
    values = [peak * factor**drop for drop in range(len(firsts) + 1)]
    # Keras's boundaries are the last steps of the old value
    return keras.optimizers.schedules.PiecewiseConstantDecay([first - 1 for first in firsts], values)


def one_cycle(hp: HyperParameters, peak: float, steps: int) -> LearningRate:
    """Rise and fall in one cycle (Smith and Topin, 2017, arXiv:1708.07120), with the cosine slopes of PyTorch.

    As in PyTorch's `OneCycleLR`, it ends at 1/10,000 of where it starts. Momentum, which Smith lowers as the learning
    rate rises, stays: Keras's optimizers have no schedule for it.
    """
    rise = Linear(0.1, 0.5, 0.3).ask(hp, "rise_fraction")
    start = peak / Levels((10.0, 25.0, 100.0), 25.0).ask(hp, "division")
    return _classes()["OneCycle"](peak=peak, steps=steps, rise_fraction=rise, start=start, end=start / 1e4)


SCHEDULES: Mapping[str, Callable[[HyperParameters, float, int], LearningRate]] = {
    "constant": constant,
    "cosine": cosine,
    "cosine_restarts": cosine_restarts,
    "exponential": exponential,
    "polynomial": polynomial,
    "piecewise": piecewise,
    "one_cycle": one_cycle,
}
"""All of them, by the name that a sweep shows."""


def schedule(
    hp: HyperParameters,
    learning_rate: float,
    names: Sequence[str] = COMMON,
    *,
    steps: int | None = None,
    warmup: bool = True,
) -> LearningRate:
    """Choose one of `names` as `schedule`, and ask its parameters as `schedule/<name>/…`.

    Args:
        hp: KerasTuner's, or ours.
        learning_rate: The peak.
        names: Keys of `SCHEDULES`; a single one is not asked.
        steps: Total number of training steps, epochs x steps per epoch.
        warmup: Whether to ask for a warm-up from 0, linear (Goyal et al., 2017, arXiv:1706.02677) or along half a
            cosine, for 1 to 10 % of the training (the playbook's bound); the schedule has the rest. One-cycle has its
            own.

    Returns:
        A schedule for the `learning_rate` of any Keras optimizer; a number where it is constant.

    Raises:
        BadInput: an unknown name, or no `steps` where one of `names` needs it.
    """
    check_names("schedule", names, SCHEDULES)
    if steps is None and (warmup or set(names) - {"constant"}):
        asking = next((one for one in names if one != "constant"), "warm-up")
        raise BadInput(f"schedule: {asking!r} needs the length of the training: steps=epochs * steps_per_epoch")
    total = 1 if steps is None else check_steps(steps)
    name = choose(hp, "schedule", names, SCHEDULES)
    space = cast(Any, hp)
    with space.name_scope("schedule"):
        shape = choose(hp, "warmup", WARMUPS, WARMUPS) if warmup and name != "one_cycle" else "none"
        rising = 0 if shape == "none" else max(round(WARMUP_FRACTION.ask(hp, "warmup_fraction") * total), 1)
        with space.name_scope(name):
            after = SCHEDULES[name](hp, learning_rate, max(total - rising, 1))
    if not rising:
        return after
    return _classes()["WarmUp"](peak=learning_rate, steps=rising, after=after, shape=shape)


def plateau(hp: HyperParameters, monitor: str = "val_loss") -> keras.callbacks.ReduceLROnPlateau:
    """Return the callback that lowers the learning rate when `monitor` stops improving.

    A callback reaches a training through `fit`, so call this in the `fit` of a `keras_tuner.HyperModel`:

        def fit(self, hp, model, *args, callbacks=(), **kwargs):
            return model.fit(*args, callbacks=[plateau(hp), *callbacks], **kwargs)

    The optimizer's learning rate must be a number: Keras cannot set one that follows a schedule. Factor 0.1 is He et
    al.'s (2015, arXiv:1512.03385), who divided by 10 "when the error plateaus"; patience is counted in epochs.
    """
    import keras

    space = cast(Any, hp)
    with space.name_scope("plateau"):
        factor = Levels((0.1, 0.2, 0.5), 0.1).ask(hp, "factor")
        patience = Count(2, 10, 5).ask(hp, "patience")
    return keras.callbacks.ReduceLROnPlateau(monitor=monitor, factor=factor, patience=patience)


def check_steps(steps: int) -> int:
    """Return the number of training steps.

    Raises:
        BadInput: it is no whole number above 0.
    """
    if isinstance(steps, bool) or not hasattr(steps, "__index__") or steps < 1:
        raise BadInput(f"steps must be a whole number above 0, epochs * steps_per_epoch, got {steps!r}")
    return int(steps)


def custom_objects() -> dict[str, type[keras.optimizers.schedules.LearningRateSchedule]]:
    """Return the schedules that are ours, for `keras.models.load_model(path, custom_objects=custom_objects())`."""
    return {f"kerasweep>{name}": made for name, made in _classes().items()}


@cache
def _classes() -> dict[str, type[Any]]:
    """Return the schedules that Keras lacks; made when first needed, since their base class imports Keras."""
    import keras

    ops, saving = cast(Any, keras.ops), cast(Any, keras.saving)
    base: type[Any] = keras.optimizers.schedules.LearningRateSchedule

    def half_cosine(fraction: Any) -> Any:
        """Rise from 0 to 1 along half a cosine, and stay on either side."""
        return (1.0 - ops.cos(math.pi * ops.clip(fraction, 0.0, 1.0))) / 2.0

    @saving.register_keras_serializable("kerasweep")
    class WarmUp(base):
        """Rise from 0 at step 0 to `peak` at step `steps`, then go on as `after` does from its step 0."""

        def __init__(self, peak: float, steps: int, after: Any, shape: str = "linear") -> None:
            super().__init__()
            self.peak, self.steps, self.after, self.shape = peak, steps, after, shape

        def __call__(self, step: Any) -> Any:
            step = ops.cast(step, "float32")
            fraction = step / self.steps
            rising = self.peak * (half_cosine(fraction) if self.shape == "cosine" else fraction)
            after = self.after(ops.maximum(step - self.steps, 0.0)) if callable(self.after) else self.after
            return ops.where(step < self.steps, rising, after)

        def get_config(self) -> dict[str, Any]:
            after = saving.serialize_keras_object(self.after) if callable(self.after) else self.after
            return {"peak": self.peak, "steps": self.steps, "after": after, "shape": self.shape}

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            after = config["after"]
            after = saving.deserialize_keras_object(after) if isinstance(after, dict) else after
            return cls(**{**config, "after": after})

    @saving.register_keras_serializable("kerasweep")
    class OneCycle(base):
        """Rise from `start` to `peak` for `rise_fraction` of `steps`, fall to `end` at `steps`, and stay."""

        def __init__(self, peak: float, steps: int, rise_fraction: float, start: float, end: float) -> None:
            super().__init__()
            self.peak, self.steps, self.rise_fraction, self.start, self.end = peak, steps, rise_fraction, start, end

        def __call__(self, step: Any) -> Any:
            fraction = ops.cast(step, "float32") / self.steps
            rising = self.start + (self.peak - self.start) * half_cosine(fraction / self.rise_fraction)
            gone = (fraction - self.rise_fraction) / (1.0 - self.rise_fraction)
            falling = self.end + (self.peak - self.end) * (1.0 - half_cosine(gone))
            return ops.where(fraction < self.rise_fraction, rising, falling)

        def get_config(self) -> dict[str, Any]:
            names = ("peak", "steps", "rise_fraction", "start", "end")
            return {name: getattr(self, name) for name in names}

    return {"WarmUp": WarmUp, "OneCycle": OneCycle}
