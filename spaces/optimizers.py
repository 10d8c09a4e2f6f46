"""Every optimizer that Keras ships, each with the parameters that matter, as one function of `hp`.

Left out are `LossScaleOptimizer` and `MultiOptimizer`, which wrap others. Decay rates near 1 are asked on levels that
are about even in the logarithm of their distance from 1, in which Choi et al. (2019, arXiv:1910.05446) search them.
The Deep Learning Tuning Playbook (Godbole et al., 2023) on few trials: below 10 search the learning rate only, to 25
also `beta_1`, above that `epsilon`, with many more `beta_2`; fix the others in the sweep file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, final

from .errors import BadInput
from .ranges import Flag, Levels, Linear, Log, choose
from .schedules import check_steps, schedule

if TYPE_CHECKING:
    import keras
    import keras_tuner

    HyperParameters = keras_tuner.HyperParameters

COMMON = ("adam", "adamw", "nadam", "sgd", "rmsprop", "lion")
"""What `optimizer` chooses from unless told otherwise."""

UNDECAYED = r"(^|/)(bias|gamma|beta|scale)(:\d+)?$"
"""Names of the variables that Keras's layers add to or scale activations with: decaying them regularizes nothing."""

HEADS = ("output", "logits", "predictions")
"""What a model's last layer is usually called, which Muon must leave to AdamW."""

BETA_1 = Levels((0.8, 0.85, 0.9, 0.95, 0.98), 0.9)
BETA_2 = Levels((0.9, 0.95, 0.98, 0.99, 0.999, 0.9999), 0.999)
EPSILON = Log(1e-8, 1e-3, 1e-7)
MOMENTUM = Levels((0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99), 0.9)
ADAM_RATE = Log(1e-5, 1e-2, 1e-3)
ADAM_DECAY = Log(1e-4, 0.3, 4e-3)

CLIPPING = {
    "none": None,
    "norm": ("clipnorm", Log(0.1, 10.0, 1.0)),
    "global_norm": ("global_clipnorm", Log(0.1, 10.0, 1.0)),
    "value": ("clipvalue", Log(0.01, 1.0, 0.5)),
}
EMA_MOMENTUM = Levels((0.9, 0.99, 0.999, 0.9999), 0.99)
WARMUP_FRACTION = Linear(0.0, 0.1, 0.05)


def sgd(hp: HyperParameters) -> dict[str, Any]:
    """Ask for momentum, and for Nesterov's where there is any (Sutskever et al., ICML 2013)."""
    momentum = MOMENTUM.ask(hp, "momentum")
    return {"momentum": momentum, "nesterov": momentum > 0 and Flag(True).ask(hp, "nesterov")}


def rmsprop(hp: HyperParameters) -> dict[str, Any]:
    """Ask for what RMSprop has (Tieleman and Hinton, Coursera lecture 6.5, 2012)."""
    return {
        "rho": Levels((0.8, 0.9, 0.95, 0.99, 0.999), 0.9).ask(hp, "rho"),
        "momentum": Levels(MOMENTUM.values, 0.0).ask(hp, "momentum"),
        "centered": Flag(False).ask(hp, "centered"),
        "epsilon": EPSILON.ask(hp, "epsilon"),
    }


def adam(hp: HyperParameters) -> dict[str, Any]:
    """Ask for the three of Adam (Kingma and Ba, 2014, arXiv:1412.6980): all can matter (Choi et al., 2019)."""
    return {**_betas(hp), "epsilon": EPSILON.ask(hp, "epsilon")}


def adamw(hp: HyperParameters) -> dict[str, Any]:
    """Ask as for Adam, here with decoupled weight decay (Loshchilov and Hutter, 2017, arXiv:1711.05101)."""
    return adam(hp)


def nadam(hp: HyperParameters) -> dict[str, Any]:
    """Ask as for Adam, here with Nesterov momentum (Dozat, ICLR workshop 2016)."""
    return adam(hp)


def adamax(hp: HyperParameters) -> dict[str, Any]:
    """Ask for both betas (Kingma and Ba, 2014, arXiv:1412.6980, section 7.1, with a learning rate of 0.002)."""
    return _betas(hp)


def adadelta(hp: HyperParameters) -> dict[str, Any]:
    """Ask for rho, and epsilon, which sets the first steps (Zeiler, 2012, arXiv:1212.5701; learning rate 1 there)."""
    return {
        "rho": Levels((0.9, 0.95, 0.99), 0.95).ask(hp, "rho"),
        "epsilon": Log(1e-8, 1e-2, 1e-6).ask(hp, "epsilon"),
    }


def adagrad(hp: HyperParameters) -> dict[str, Any]:
    """Ask for what the sum of squares starts from (Duchi et al., JMLR 2011; Keras's page: higher learning rates)."""
    return {"initial_accumulator_value": Log(1e-3, 1.0, 0.1).ask(hp, "initial_accumulator_value")}


def adafactor(hp: HyperParameters) -> dict[str, Any]:
    """Ask for the exponent of the decay, 0.8 in the paper (Shazeer and Stern, 2018, arXiv:1804.04235)."""
    return {"beta_2_decay": Linear(-1.0, -0.5, -0.8).ask(hp, "beta_2_decay")}


def ftrl(hp: HyperParameters) -> dict[str, Any]:
    """Ask for FTRL's penalties (McMahan et al., KDD 2013; Keras's page: for shallow models, large sparse features)."""
    return {
        "initial_accumulator_value": Log(1e-3, 1.0, 0.1).ask(hp, "initial_accumulator_value"),
        "l1_regularization_strength": Log(1e-8, 1e-2, 1e-6).ask(hp, "l1_regularization_strength"),
        "l2_regularization_strength": Log(1e-8, 1e-2, 1e-6).ask(hp, "l2_regularization_strength"),
    }


def lion(hp: HyperParameters) -> dict[str, Any]:
    """Ask for both betas (Chen et al., 2023, arXiv:2302.06675: learning rate 3-10 times below AdamW's, decay above)."""
    return {
        "beta_1": Levels((0.8, 0.9, 0.95), 0.9).ask(hp, "beta_1"),
        "beta_2": Levels((0.95, 0.98, 0.99, 0.999), 0.99).ask(hp, "beta_2"),
    }


def lamb(hp: HyperParameters) -> dict[str, Any]:
    """Ask as for Adam, here with a trust ratio per variable, for large batches (You et al., 2019, arXiv:1904.00962)."""
    return {**_betas(hp), "epsilon": Log(1e-8, 1e-3, 1e-6).ask(hp, "epsilon")}


def muon(hp: HyperParameters) -> dict[str, Any]:
    """Ask for Muon's momentum (Jordan, 2024; scaled to Adam's learning rate by Liu et al., 2025, arXiv:2502.16982).

    Only matrices take its step; embeddings, and layers with one of `HEADS` in their name, take AdamW's: name the last
    layer so.
    """
    return {
        "momentum": Levels((0.9, 0.95, 0.98), 0.95).ask(hp, "momentum"),
        "adam_beta_2": Levels((0.95, 0.98, 0.99, 0.999), 0.999).ask(hp, "adam_beta_2"),
        "exclude_layers": list(HEADS),
    }


def schedule_free_adamw(hp: HyperParameters) -> dict[str, Any]:
    """Ask for the betas of schedule-free AdamW (Defazio et al., 2024, arXiv:2405.15682).

    Their repository advises a learning rate 1-10 times AdamW's, beta_1 of 0.9 to 0.98, and a warm-up, asked where
    the number of steps is known. Keras validates it at the point of the gradients, not at the averaged one.
    """
    return {
        "beta_1": Levels((0.9, 0.95, 0.98), 0.9).ask(hp, "beta_1"),
        "beta_2": BETA_2.ask(hp, "beta_2"),
    }


def _betas(hp: HyperParameters) -> dict[str, Any]:
    return {"beta_1": BETA_1.ask(hp, "beta_1"), "beta_2": BETA_2.ask(hp, "beta_2")}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to make one optimizer: its class in `keras.optimizers`, its ranges, and what else it asks.

    `decay` is None where it is not customary, and for Adam, which with weight decay is AdamW in Keras.
    """

    keras: str
    rate: Log
    decay: Log | None
    ask: Callable[[HyperParameters], dict[str, Any]]


RECIPES: Mapping[str, Recipe] = {
    "sgd": Recipe(keras="SGD", rate=Log(1e-3, 1.0, 1e-2), decay=Log(1e-6, 1e-2, 5e-4), ask=sgd),
    "rmsprop": Recipe(keras="RMSprop", rate=ADAM_RATE, decay=Log(1e-6, 1e-2, 1e-5), ask=rmsprop),
    "adam": Recipe(keras="Adam", rate=ADAM_RATE, decay=None, ask=adam),
    "adamw": Recipe(keras="AdamW", rate=ADAM_RATE, decay=ADAM_DECAY, ask=adamw),
    "nadam": Recipe(keras="Nadam", rate=ADAM_RATE, decay=ADAM_DECAY, ask=nadam),
    "adamax": Recipe(keras="Adamax", rate=Log(1e-4, 5e-2, 2e-3), decay=None, ask=adamax),
    "adadelta": Recipe(keras="Adadelta", rate=Log(0.1, 10.0, 1.0), decay=None, ask=adadelta),
    "adagrad": Recipe(keras="Adagrad", rate=Log(1e-3, 1.0, 1e-2), decay=None, ask=adagrad),
    "adafactor": Recipe(keras="Adafactor", rate=Log(1e-4, 1e-1, 1e-2), decay=None, ask=adafactor),
    "ftrl": Recipe(keras="Ftrl", rate=Log(1e-3, 1.0, 1e-2), decay=None, ask=ftrl),
    "lion": Recipe(keras="Lion", rate=Log(1e-6, 1e-3, 1e-4), decay=Log(1e-3, 1.0, 4e-2), ask=lion),
    "lamb": Recipe(keras="Lamb", rate=Log(1e-4, 1e-1, 1e-3), decay=ADAM_DECAY, ask=lamb),
    "muon": Recipe(keras="Muon", rate=Log(1e-4, 1e-2, 1e-3), decay=ADAM_DECAY, ask=muon),
    "schedule_free_adamw": Recipe(
        keras="ScheduleFreeAdamW", rate=Log(1e-4, 3e-2, 2.5e-3), decay=ADAM_DECAY, ask=schedule_free_adamw
    ),
}
"""All of them, by the name that a sweep shows."""


def optimizer(
    hp: HyperParameters,
    names: Sequence[str] = COMMON,
    *,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule | None = None,
    schedules: Sequence[str] = (),
    steps: int | None = None,
    weight_decay: bool = True,
    clipping: bool = True,
    ema: bool = False,
) -> keras.optimizers.Optimizer:
    """Choose one of `names` as `optimizer`, and ask its parameters as `optimizer/<name>/…`.

    Only what the chosen one needs is asked. Gradients are clipped not at all, by the norm of each variable's, by the
    norm of all together or by value (`optimizer/clipping`; Pascanu et al., ICML 2013, by norm; 1.0 is what GPT-3 and
    BERT were trained with). Weight decay is Keras's, decoupled from the gradient and multiplied by the learning rate
    (Loshchilov and Hutter, 2017); biases and the scales of normalization are excluded. Keras does not save that
    exclusion in a `.keras` file: to train a saved model on, build it again and load its weights.

    Args:
        hp: KerasTuner's, or ours.
        names: Keys of `RECIPES`; a single one is not asked.
        learning_rate: A number or a Keras schedule, not searched; None asks it, in the range of each optimizer.
        schedules: Names for `schedule`, with the learning rate as the peak; none for a learning rate that stays.
        steps: Total number of training steps, epochs x steps per epoch; the schedules need it.
        weight_decay: Whether to decay weights, by those optimizers for which it is customary.
        clipping: Whether to ask for gradient clipping.
        ema: Whether to ask for an average of the weights (`use_ema`; Polyak and Juditsky, 1992). Keras validates with
            the plain weights unless `fit` gets `ema_callbacks(model)`.

    Raises:
        BadInput: an unknown name, schedules without `steps`, or schedules on top of a schedule.
    """
    import keras

    name = choose(hp, "optimizer", names, RECIPES)
    recipe = RECIPES[name]
    scheduled = isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule)
    if scheduled and schedules:
        raise BadInput("optimizer: learning_rate is a schedule already; give a number, or no schedules")
    if steps is not None:
        check_steps(steps)
    space = cast(Any, hp)
    with space.name_scope("optimizer"), space.name_scope(name):
        rate = recipe.rate.ask(hp, "learning_rate") if learning_rate is None else learning_rate
        arguments = recipe.ask(hp)
        if name == "adafactor" and not scheduled and not schedules:
            arguments["relative_step"] = Flag(True).ask(hp, "relative_step")
        if name == "schedule_free_adamw" and steps is not None:
            arguments["warmup_steps"] = round(WARMUP_FRACTION.ask(hp, "warmup_fraction") * steps)
        if recipe.decay is not None:
            arguments |= _decay(name, recipe.decay.ask(hp, "weight_decay") if weight_decay else 0.0)
    if schedules and name != "schedule_free_adamw":
        rate = schedule(hp, float(cast(float, rate)), schedules, steps=steps)
    with space.name_scope("optimizer"):
        arguments |= _clipping(hp) if clipping else {}
        arguments |= _averaging(hp) if ema else {}
    rate = rate if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) else float(rate)
    made = cast("keras.optimizers.Optimizer", getattr(keras.optimizers, recipe.keras)(learning_rate=rate, **arguments))
    made.exclude_from_weight_decay(var_names=[UNDECAYED])
    return made


def ema_callbacks(model: keras.Model) -> list[keras.callbacks.Callback]:
    """Return the callback with which a model whose optimizer averages is validated on the averages; else none.

    Give them to `fit` before all others, so that these see the averaged weights too:
    `model.fit(…, callbacks=[*ema_callbacks(model), *callbacks])`, in a `HyperModel.fit` of your own.
    """
    import keras

    made = cast(Any, model).optimizer
    averaging = bool(getattr(made, "inner_optimizer", made).use_ema)
    return [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if averaging else []


def _decay(name: str, decay: float) -> dict[str, float | None]:
    if name == "muon":
        return {"weight_decay": decay, "adam_weight_decay": decay}
    return {"weight_decay": decay if decay or name == "adamw" else None}  # AdamW refuses None


def _clipping(hp: HyperParameters) -> dict[str, float]:
    clip = CLIPPING[choose(hp, "clipping", list(CLIPPING), CLIPPING)]
    return {clip[0]: clip[1].ask(hp, clip[0])} if clip else {}


def _averaging(hp: HyperParameters) -> dict[str, bool | float]:
    use = Flag(False).ask(hp, "use_ema")
    return {"use_ema": True, "ema_momentum": EMA_MOMENTUM.ask(hp, "ema_momentum")} if use else {}
