"""A functional model's graph, followed from an input to the first weights, and from an output back to its activation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .facts import Use

PASSING = frozenset(
    [
        "InputLayer",
        "Reshape",
        "Flatten",
        "Permute",
        "Identity",
        "RepeatVector",
        "Masking",
        "Resizing",
        "CenterCrop",
        "Concatenate",
        "Cast",
        "GetItem",
        "Dropout",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
        "AlphaDropout",
        "GaussianDropout",
        "GaussianNoise",
        "ZeroPadding1D",
        "ZeroPadding2D",
        "ZeroPadding3D",
        "Cropping1D",
        "Cropping2D",
        "Cropping3D",
        "UpSampling1D",
        "UpSampling2D",
        "UpSampling3D",
        "MaxPooling1D",
        "MaxPooling2D",
        "MaxPooling3D",
        "AveragePooling1D",
        "AveragePooling2D",
        "AveragePooling3D",
        "GlobalAveragePooling1D",
        "GlobalAveragePooling2D",
        "GlobalMaxPooling1D",
        "GlobalMaxPooling2D",
        "ExpandDims",
        "Squeeze",
        "Transpose",
        "RandomFlip",
        "RandomRotation",
        "RandomZoom",
        "RandomTranslation",
        "RandomCrop",
        "RandomContrast",
        "RandomBrightness",
        "RandomHeight",
        "RandomWidth",
        "RandomShear",
        "RandomPerspective",
        "RandomHue",
        "RandomSaturation",
        "RandomColorJitter",
        "RandomGrayscale",
        "RandomInvert",
        "RandomPosterization",
        "RandomSharpness",
        "RandomGaussianBlur",
        "RandomElasticTransform",
        "RandomErasing",
        "RandomColorDegeneration",
        "RandAugment",
        "AugMix",
        "AutoContrast",
        "Equalization",
        "Solarization",
        "MixUp",
        "CutMix",
        "Pipeline",
    ]
)
"""They leave the scale of values as it is."""
SCALING = frozenset(
    [
        "Rescaling",
        "Normalization",
        "BatchNormalization",
        "LayerNormalization",
        "GroupNormalization",
        "UnitNormalization",
        "RMSNormalization",
        "Discretization",
        "CategoryEncoding",
        "MelSpectrogram",
        "STFTSpectrogram",
    ]
)
LOOKUP = frozenset(["TextVectorization", "StringLookup", "IntegerLookup", "Hashing", "HashedCrossing"])
WEIGHTS = frozenset(
    [
        "Dense",
        "EinsumDense",
        "Conv1D",
        "Conv2D",
        "Conv3D",
        "Conv1DTranspose",
        "Conv2DTranspose",
        "Conv3DTranspose",
        "SeparableConv1D",
        "SeparableConv2D",
        "DepthwiseConv1D",
        "DepthwiseConv2D",
        "LSTM",
        "GRU",
        "SimpleRNN",
        "RNN",
        "ConvLSTM1D",
        "ConvLSTM2D",
        "ConvLSTM3D",
        "MultiHeadAttention",
        "GroupQueryAttention",
    ]
)
SHAPING = frozenset(
    ["Reshape", "Flatten", "Permute", "Identity", "Cast", "Squeeze", "ExpandDims", "Dropout", "Transpose"]
)
"""They leave an activation as it is."""
ACTIVATIONS = {
    "Softmax": "softmax",
    "Sigmoid": "sigmoid",
    "ReLU": "relu",
    "Relu": "relu",
    "Tanh": "tanh",
    "LogSoftmax": "log_softmax",
    "Softplus": "softplus",
}
RANKS = (Use.RAW, Use.TOKENS, Use.UNKNOWN, Use.SCALED, Use.LOOKUP)
"""Where an input goes several ways, the first of these is what counts."""


def input_use(graph: Any, tensor: Any) -> tuple[Use, Any, int | None]:
    """Return what a graph does with one of its inputs first, the layer that does, and an Embedding's vocabulary."""
    found = list(_uses(graph, tensor, set()))
    if not found:
        return Use.UNKNOWN, None, None
    use, layer = min(found, key=lambda one: RANKS.index(one[0]))
    sizes = [int(one.input_dim) for kind, one in found if kind is Use.TOKENS and hasattr(one, "input_dim")]
    return use, layer, min(sizes, default=None)


def _uses(graph: Any, tensor: Any, seen: set[int]) -> Iterator[tuple[Use, Any]]:
    if id(tensor) in seen:
        return
    seen.add(id(tensor))
    for node in nodes(graph):
        if not any(one is tensor for one in node.arguments.keras_tensors):
            continue
        operation = node.operation
        inner = inner_graph(operation)
        if inner is not None:
            places = [index for index, one in enumerate(node.arguments.keras_tensors) if one is tensor]
            for index in places:
                if index < len(inner.inputs):
                    yield from _through(graph, node, inner, inner.inputs[index], seen)
            continue
        use = _use(operation)
        if use is not None:
            yield use, operation
        else:
            for output in node.outputs:
                yield from _uses(graph, output, seen)


def _through(graph: Any, node: Any, inner: Any, entry: Any, seen: set[int]) -> Iterator[tuple[Use, Any]]:
    """Follow an input into a model inside, and out of it where that only augments or reshapes."""
    inside = list(_uses(inner, entry, set()))
    yield from inside
    if not inside:
        for output in node.outputs:
            yield from _uses(graph, output, seen)


def inner_graph(operation: Any) -> Any:
    """Return the functional form of a model that is a layer of another, else None."""
    functional = getattr(operation, "_functional", None)
    if functional is not None:
        return functional
    return operation if hasattr(operation, "_nodes_by_depth") else None


def nodes(graph: Any) -> list[Any]:
    """Return the calls that a functional model consists of, from its inputs on."""
    by_depth: dict[int, list[Any]] = getattr(graph, "_nodes_by_depth", {})
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def _use(operation: Any) -> Use | None:
    """Return what an operation does with its input; None where it hands it on."""
    kind = type(operation).__name__
    if kind in ("TimeDistributed", "Bidirectional"):
        return _use(getattr(operation, "layer", getattr(operation, "forward_layer", None)))
    if not of_keras(operation):
        return Use.UNKNOWN
    if kind in PASSING:
        return None
    if kind == "Embedding":
        return Use.TOKENS
    if kind in SCALING:
        return Use.SCALED
    if kind in LOOKUP:
        return Use.LOOKUP
    return Use.RAW if kind in WEIGHTS else Use.UNKNOWN


def output_activation(tensor: Any) -> tuple[str, Any, bool]:
    """Return the activation that a tensor comes out of, its layer, and whether a softmax went before a softmax.

    The name is empty where it cannot be told: sums, products, layers of the user's own.
    """
    operation, source = _origin(tensor)
    name = activation_of(operation)
    twice = False
    if name == "softmax" and type(operation).__name__ in ("Softmax", "Activation") and source is not None:
        before, _ = _origin(source)
        twice = activation_of(before) == "softmax"
    return name, operation, twice


def _origin(tensor: Any) -> tuple[Any, Any]:
    """Return the operation that decides the values of a tensor, and what goes into it."""
    while True:
        history = tensor._keras_history
        operation = history.operation
        inner = inner_graph(operation)
        if inner is not None:
            tensor = inner.outputs[history.tensor_index]
            continue
        node = operation._inbound_nodes[history.node_index]
        sources = node.arguments.keras_tensors
        kind = type(operation).__name__
        passes = kind in SHAPING and of_keras(operation)
        linear = kind == "Activation" and activation_of(operation) == "linear"
        if (passes or linear) and len(sources) == 1:
            tensor = sources[0]
            continue
        return operation, sources[0] if len(sources) == 1 else None


def activation_of(operation: Any) -> str:
    """Return the name of the activation that a layer of Keras ends in; empty where it is unknown."""
    kind = type(operation).__name__
    if not of_keras(operation):
        return ""
    if kind == "TimeDistributed":
        return activation_of(operation.layer)
    if kind in ACTIVATIONS:
        return ACTIVATIONS[kind]
    activation = getattr(operation, "activation", None)
    if activation is None:
        return "linear" if kind in WEIGHTS and hasattr(operation, "activation") else ""
    if not (kind in WEIGHTS or kind == "Activation"):
        return ""
    if str(getattr(activation, "__module__", "")).partition(".")[0] != "keras":
        return ""
    return str(getattr(activation, "__name__", ""))


def of_keras(value: Any) -> bool:
    """Say whether the class is one of Keras's own."""
    return type(value).__module__.partition(".")[0] == "keras"
