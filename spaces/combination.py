# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
"""Several inputs and several outputs, through the functional API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import BadInput, did_you_mean
from .ranges import Flag, Log
from .regularization import dropout
from .spans import Span, choose, doubling

if TYPE_CHECKING:
    import keras
    import keras_tuner

    Block = Callable[[keras_tuner.HyperParameters, keras.KerasTensor], keras.KerasTensor]

MERGES = ("concatenate", "add", "multiply")


def branches(
    hp: keras_tuner.HyperParameters,
    blocks: Mapping[str, Block],
    inputs: Mapping[str, keras.KerasTensor],
    *,
    name: str = "branches",
    merges: Sequence[str] = MERGES,
    width: Span = (32, 256),
) -> keras.KerasTensor:
    """Pass each input through a block of its own, and merge what they give.

    Example:
        ```python
        inputs = {"image": keras.Input((28, 28, 1), name="image"), "size": keras.Input((3,), name="size")}
        x = spaces.branches(hp, {"image": spaces.cnn, "size": spaces.mlp}, inputs)
        ```

    Sources:
        Keras's guide The Functional API, models with several inputs (concatenated); `multiply`: Kim et al., Hadamard
        Product for Low-rank Bilinear Pooling, ICLR 2017.

    Args:
        hp: The hyperparameters.
        blocks: For each name a function of `hp` and a tensor; one with more arguments as a lambda.
        inputs: The tensors by the same names.
        name: The scope of the parameters; those of a block are under `<name>/<its key>`.
        merges: `concatenate`; `add`, `multiply`: after a dense layer for each that gives them one width.
        width: That width.

    Returns:
        `(batch, features)`.

    Raises:
        BadInput: the names differ, or a merge is unknown.
    """
    from keras import layers

    for key in sorted({*blocks} ^ {*inputs}):
        missing, there = ("an input", inputs) if key in blocks else ("a block", blocks)
        raise BadInput(f"branches has {key!r} without {missing}{did_you_mean(key, there)}; name both alike")
    with hp.name_scope(name):
        parts: list[keras.KerasTensor] = []
        for key, block in blocks.items():
            with hp.name_scope(key):
                part = block(hp, inputs[key])
            parts.append(layers.Flatten()(part) if len(part.shape) > 2 else part)
        if len(parts) == 1:
            return parts[0]
        merge = choose(hp, "merge", merges, MERGES)
        if merge == "concatenate":
            return layers.Concatenate()(parts)
        features = doubling(hp, "width", width, default=64)
        parts = [layers.Dense(features)(part) for part in parts]
        return layers.Add()(parts) if merge == "add" else layers.Multiply()(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """The outputs of a model by name, and what `compile` needs for them."""

    outputs: dict[str, keras.KerasTensor]
    loss: dict[str, str]
    metrics: dict[str, list[str]]
    loss_weights: dict[str, float]


def heads(
    hp: keras_tuner.HyperParameters,
    x: keras.KerasTensor,
    *,
    name: str = "heads",
    classes: Mapping[str, int] | None = None,
    labels: Mapping[str, int] | None = None,
    values: Mapping[str, int] | None = None,
    weights: bool = False,
) -> Heads:
    """Give a vector one output for each task, with its loss and its metrics; outputs are float32 under any policy.

    Example:
        ```python
        out = spaces.heads(hp, x, classes={"digit": 10}, values={"price": 1})
        model = keras.Model(inputs, out.outputs)
        model.compile("adam", loss=out.loss, metrics=out.metrics, loss_weights=out.loss_weights)
        ```

    Sources:
        Shared layers with a head for each task: Caruana, Multitask Learning, 1997; that the weights of the losses
        matter: Kendall et al., Multi-Task Learning Using Uncertainty to Weigh Losses, CVPR 2018.

    Args:
        hp: The hyperparameters.
        x: `(batch, features)`.
        name: The scope of the parameters; those of an output are under `<name>/<output>`.
        classes: Number of classes of each output that is one of them (labels 0, 1, 2 …).
        labels: Number of labels of each output that may have several of them (0 or 1 each).
        values: Number of values of each output that is to be numbers.
        weights: Search the weight of each loss but the first, too. `loss` then changes its scale from trial to trial:
            take the metric of an output as the objective.

    Returns:
        The outputs and their losses, metrics and weights, all by name.

    Raises:
        BadInput: there is no output, or two have one name.
    """
    from keras import layers

    tasks = [*_tasks(classes, CLASSES), *_tasks(labels, LABELS), *_tasks(values, VALUES)]
    names = [key for key, _, _ in tasks]
    if not names or len({*names}) < len(names):
        raise BadInput(f"heads needs outputs, each with a name of its own, got {names}")
    outputs: dict[str, keras.KerasTensor] = {}
    shares: dict[str, float] = {}
    with hp.name_scope(name):
        for key, units, kind in tasks:
            with hp.name_scope(key):
                y = x
                if Flag(False).ask(hp, "hidden"):
                    y = layers.Dense(doubling(hp, "units", (32, 256), default=64), activation="relu")(y)
                    y = dropout(hp)(y)
                outputs[key] = kind.output(y, units, name=key)
                searched = weights and key != names[0]
                shares[key] = Log(0.1, 10.0, 1.0).ask(hp, "weight") if searched else 1.0
    return Heads(
        outputs=outputs,
        loss={key: kind.loss for key, _, kind in tasks},
        metrics={key: [kind.metric] for key, _, kind in tasks},
        loss_weights=shares,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What an output is to be: the activation, loss and metric that go together."""

    activation: str
    loss: str
    metric: str

    def output(self, x: keras.KerasTensor, units: int, name: str | None = None) -> keras.KerasTensor:
        """Return `(batch, units)` in float32, which half precision would round too coarsely for a loss."""
        from keras import layers

        return layers.Dense(units, activation=self.activation, dtype="float32", name=name)(x)


CLASSES = Task(activation="softmax", loss="sparse_categorical_crossentropy", metric="accuracy")
ONE_HOT = Task(activation="softmax", loss="categorical_crossentropy", metric="accuracy")
LABELS = Task(activation="sigmoid", loss="binary_crossentropy", metric="binary_accuracy")
VALUES = Task(activation="linear", loss="mean_squared_error", metric="mean_absolute_error")


def _tasks(sizes: Mapping[str, int] | None, kind: Task) -> list[tuple[str, int, Task]]:
    return [(key, units, kind) for key, units in (sizes or {}).items()]
