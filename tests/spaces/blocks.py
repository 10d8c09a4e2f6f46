# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false
"""A small model for each building block, and how to meet every parameter of one."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from kerasweep.spaces.hp import hyperparameters_class
from kerasweep.spaces.parameter import Interval, Parameter
from kerasweep.spaces.trace import Trace
from kerasweep.spaces.trial import Scalar

Build = Callable[[Any], Any]

TEXTS = ("a good film", "a bad film", "good, good!", "the worst of all films") * 4
VOCABULARY = ("good", "film", "a", "bad", "the", "worst", *(f"word{index}" for index in range(3994)))
TABLE: dict[str, Any] = {
    "age": [20.0, 30.0, 40.0, 50.0] * 4,
    "income": [1.0, 2.0, 3.0, 9.0] * 4,
    "city": ["Rome", "Oslo", "Rome", "Bern"] * 4,
    "rooms": [1, 2, 3, 1] * 4,
}


def over(block: str, shape: tuple[int | None, ...], **arguments: Any) -> Build:
    """Return how to build a block over one input, with a sigmoid behind it."""

    def build(hp: Any) -> Any:
        import keras

        from kerasweep import spaces

        inputs: Any = keras.Input(shape)
        return compiled(inputs, getattr(spaces, block)(hp, inputs, **arguments))

    return build


def compiled(inputs: Any, x: Any) -> Any:
    """Return a model that says yes or no of a vector."""
    import keras

    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", dtype="float32")(x))
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    return model


def text(hp: Any) -> Any:
    """Return a model of strings."""
    import keras

    from kerasweep import spaces

    inputs: Any = keras.Input((), dtype="string")
    return compiled(inputs, spaces.text(hp, inputs, VOCABULARY))


def tabular(hp: Any) -> Any:
    """Return a model of a table with columns of each kind."""
    from kerasweep import spaces

    inputs = spaces.table_inputs(TABLE)
    return compiled(inputs, spaces.tabular(hp, inputs, TABLE))


def siamese(hp: Any) -> Any:
    """Return a model that compares two vectors."""
    import keras

    from kerasweep import spaces

    left: Any = keras.Input((5,))
    right: Any = keras.Input((5,))
    x = spaces.siamese(hp, left, right, lambda hp, x: spaces.mlp(hp, x, layers=1, units=8))
    return compiled([left, right], x)


def branches(hp: Any) -> Any:
    """Return a model of an image and a vector."""
    import keras

    from kerasweep import spaces

    inputs: dict[str, Any] = {"image": keras.Input((6, 6, 1), name="image"), "size": keras.Input((3,), name="size")}
    blocks: dict[str, Any] = {
        "image": lambda hp, x: spaces.cnn(hp, x, blocks=1, filters=4),
        "size": lambda hp, x: spaces.mlp(hp, x, layers=1, units=8),
    }
    return compiled(inputs, spaces.branches(hp, blocks, inputs))


def heads(hp: Any) -> Any:
    """Return a model with an output of each kind."""
    import keras

    from kerasweep import spaces

    inputs: Any = keras.Input((5,))
    out = spaces.heads(hp, inputs, classes={"kind": 3}, labels={"tags": 2}, values={"price": 1}, weights=True)
    model = keras.Model(inputs, out.outputs)
    model.compile("adam", loss=out.loss, metrics=out.metrics, loss_weights=out.loss_weights)
    return model


def predictor(name: str, *arguments: Any, **named: Any) -> Build:
    """Return how to build a complete model."""

    def build(hp: Any) -> Any:
        from kerasweep import spaces

        return getattr(spaces, name)(hp, *arguments, **named)

    return build


BLOCKS: dict[str, Build] = {
    "mlp": over("mlp", (5,)),
    "cnn": over("cnn", (9, 9, 1)),
    "resnet": over("resnet", (9, 9, 2)),
    "recurrent": over("recurrent", (4, 3)),
    "convolutional_recurrent": over("convolutional_recurrent", (3, 6, 6, 1)),
    "transformer": over("transformer", (4, 3)),
    "text": text,
    "tabular": tabular,
    "transfer": over("transfer", (32, 32, 3), weights=None, bases=["MobileNet"]),
    "siamese": siamese,
    "branches": branches,
    "heads": heads,
    "classifier": predictor("classifier", (6, 6, 1), 3),
    "regressor": predictor("regressor", (4, 3), 2, blocks=["cnn", "recurrent"]),
}


@dataclass(slots=True)
class Asked:
    """A parameter of KerasTuner, and the values of others that made the block ask for it."""

    parameter: Any
    when: dict[str, Any] = field(default_factory=dict[str, Any])


def build_at(build: Build, values: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the model at `values` (defaults for the others) under KerasTuner's own `hp`, and what it asked for."""
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.values.update(values)
    model = build(hp)
    return model, {one.name: one for one in hp.space}


def ends(parameter: Any) -> list[Any]:
    """Return both ends of a number, or all values of a choice."""
    kind = type(parameter).__name__
    if kind in ("Int", "Float"):
        return [parameter.min_value, parameter.max_value]
    return list(parameter.values) if kind in ("Choice", "Boolean") else []


@cache
def explore(name: str) -> tuple[dict[str, Asked], list[tuple[dict[str, Any], Any]]]:
    """Build a block at both ends of every parameter, also of those that only show there.

    Returns:
        Every parameter by name, and each point with the shape of the model's output there.
    """
    build = BLOCKS[name]
    model, asked = build_at(build, {})
    found = {key: Asked(parameter) for key, parameter in asked.items()}
    points: list[tuple[dict[str, Any], Any]] = [({}, model.output_shape)]
    waiting = list(found)
    while waiting:
        one = found[waiting.pop(0)]
        for value in ends(one.parameter):
            values = {**one.when, one.parameter.name: value}
            if value == one.parameter.default:
                continue
            model, asked = build_at(build, values)
            points.append((values, model.output_shape))
            for key, parameter in asked.items():
                if key not in found:
                    found[key] = Asked(parameter, values)
                    waiting.append(key)
    return found, points


def random_point(name: str, seed: int) -> tuple[Any, dict[str, Any]]:
    """Return the model of a block at a random point, and its parameters, found through the sweep's own `hp`."""
    rng = random.Random(seed)
    assigned: dict[str, Scalar] = {}
    for _ in range(8):
        trace = Trace(assigned=dict(assigned))
        model = BLOCKS[name](hyperparameters_class()(trace))
        if not trace.misses:
            return model, trace.params
        assigned |= {key: draw(rng, parameter) for key, parameter in trace.misses.items()}
    raise AssertionError(f"{name} asks for more parameters in every round")


def draw(rng: random.Random, parameter: Parameter) -> Scalar:
    """Return a random value of the parameter."""
    domain = parameter.domain
    if not isinstance(domain, Interval):
        return rng.choice(domain.values)
    return rng.randint(int(domain.low), int(domain.high)) if domain.integer else rng.uniform(domain.low, domain.high)


def sample(model: Any, size: int = 16) -> tuple[Any, Any]:
    """Return inputs and targets that fit the model, the same ones each time; targets are to be learned by heart."""
    import keras
    import numpy
    import tensorflow

    rng = numpy.random.default_rng(0)

    def one(tensor: Any) -> Any:
        shape = (size, *(side or 3 for side in tensor.shape[1:]))
        if tensor.dtype == "string":
            return tensorflow.constant(rng.choice([*TEXTS, "Rome"], shape))
        values = rng.integers(0, 4, shape) if "int" in tensor.dtype else rng.random(shape).astype("float32")
        return tensorflow.constant(values)  # strings are tensors, and Keras takes no mixture

    x = keras.tree.map_structure(one, model.input)
    if not isinstance(model.output, dict):
        return x, rng.integers(
            0, 2, (size, *model.output_shape[1:-1], 1 if model.output_shape[-1] == 3 else model.output_shape[-1])
        )
    return x, {
        key: rng.integers(0, 2, (size, 1 if key == "kind" else side.shape[-1])) for key, side in model.output.items()
    }
