"""Spaces whose parameters depend on one another, as functions of an Optuna trial, each with its least value.

The samplers were developed on `DEVELOPMENT` and are measured on `HELD_OUT`; the `FLAT_` sets have no conditions. They
are made up, so that a benchmark of hundreds of thousands of trials takes minutes: every term is at least 0, and
reaches 0 in the best branch alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from optuna import Trial


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A function to minimize; its least value is `least`."""

    name: str
    value: Callable[[Trial], float]
    least: float = 0.0


def log10(trial: Trial, name: str, low: float, high: float) -> float:
    """Suggest on a logarithmic scale; return the decimal logarithm."""
    return math.log10(trial.suggest_float(name, low, high, log=True))


def log2(trial: Trial, name: str, low: int, high: int) -> float:
    """Suggest an integer on a logarithmic scale; return the binary logarithm."""
    return math.log2(trial.suggest_int(name, low, high, log=True))


# Development ----------------------------------------------------------------------------------------------------------


def two_choices(trial: Trial) -> float:
    """Three architectures by three optimizers, each with its own parameters and learning rate."""
    arch = trial.suggest_categorical("arch", ["mlp", "cnn", "rnn"])
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd", "rms"])
    rate, drop = log10(trial, "rate", 1e-5, 1), trial.suggest_float("drop", 0, 0.9)
    if arch == "mlp":
        body = 0.10 + 0.02 * (log2(trial, "mlp/units", 8, 512) - 7) ** 2
        body += 0.02 * abs(trial.suggest_int("mlp/depth", 1, 6) - 3)
    elif arch == "cnn":
        body = 0.03 * (log2(trial, "cnn/filters", 8, 256) - 6) ** 2
        body += 0.005 * (trial.suggest_int("cnn/kernel", 1, 9) - 3) ** 2
        body += 0.03 * (trial.suggest_int("cnn/blocks", 1, 5) - 4) ** 2
    else:
        body = 0.12 + 0.02 * (log2(trial, "rnn/units", 8, 512) - 8) ** 2
        body += 0.03 * (trial.suggest_int("rnn/layers", 1, 4) - 2) ** 2
    if optimizer == "adam":
        step = 0.1 * (rate + 3) ** 2 + 0.5 * (trial.suggest_float("adam/b1", 0.5, 0.999) - 0.9) ** 2
        step += 0.005 * (log10(trial, "adam/eps", 1e-9, 1e-1) + 7) ** 2
    elif optimizer == "sgd":
        step = 0.01 + 0.1 * (rate + 1.5) ** 2 + 0.5 * (trial.suggest_float("sgd/mom", 0, 0.999) - 0.9) ** 2
        step += 0 if trial.suggest_categorical("sgd/nesterov", [False, True]) else 0.01
    else:
        step = 0.03 + 0.1 * (rate + 3.5) ** 2 + 0.5 * (trial.suggest_float("rms/rho", 0.5, 0.999) - 0.95) ** 2
    return body + step + 0.1 * (drop - 0.3) ** 2


def two_levels(trial: Trial) -> float:
    """A choice below each value of a choice, parameters at every level."""
    a, x = trial.suggest_categorical("a", [0, 1, 2]), trial.suggest_float("x", -1, 1)
    b, y = trial.suggest_categorical(f"a{a}/b", [0, 1]), trial.suggest_float(f"a{a}/y", -1, 1)
    z, w = trial.suggest_float(f"a{a}/b{b}/z", -1, 1), trial.suggest_float(f"a{a}/b{b}/w", -1, 1)
    best = 0.0 if (a, b) == (2, 1) else 0.15 + 0.05 * a
    return best + 0.2 * (x - 0.3) ** 2 + 0.5 * (y + 0.4 * a - 0.2) ** 2 + (z - 0.5 + 0.2 * b) ** 2 + (w + 0.6) ** 2


def layers(trial: Trial) -> float:
    """As many layers as an integer says, each with its own parameters."""
    count, rate = trial.suggest_int("layers", 1, 5), log10(trial, "rate", 1e-5, 1)
    value = 0.1 * (rate + 3) ** 2 + 0.05 * (count - 4) ** 2
    for i in range(count):
        value += 0.04 * (log2(trial, f"l{i}/units", 8, 512) - 8 + i * 0.5) ** 2
        value += 0.2 * (trial.suggest_float(f"l{i}/drop", 0, 0.9) - 0.1 * i) ** 2
    return value


def late_bloomer(trial: Trial) -> float:
    """The best branch has the most parameters and looks bad at first."""
    model = trial.suggest_categorical("model", ["svm", "forest", "net"])
    if model == "svm":
        cost = 0.01 * (log10(trial, "svm/C", 1e-3, 1e3) - 1) ** 2
        return 0.08 + cost + 0.02 * (log10(trial, "svm/gamma", 1e-4, 10) + 1.5) ** 2
    if model == "forest":
        depth = 0.0002 * (trial.suggest_int("forest/depth", 1, 32) - 15) ** 2
        return 0.10 + depth + 0.01 * (math.log10(trial.suggest_int("forest/trees", 10, 500, log=True)) - 2.5) ** 2
    value = 0.05 * (log10(trial, "net/rate", 1e-6, 1) + 3) ** 2 + 0.01 * (log2(trial, "net/units", 4, 1024) - 8) ** 2
    value += 0.1 * (trial.suggest_float("net/drop", 0, 0.9) - 0.2) ** 2
    return 0.02 + value + 0.004 * (log10(trial, "net/decay", 1e-7, 1e-1) + 4) ** 2


def eight_branches(trial: Trial) -> float:
    """Many branches with correlated parameters."""
    k, s = trial.suggest_categorical("k", list(range(8))), trial.suggest_float("s", 0, 1)
    p, q = trial.suggest_float(f"k{k}/p", 0, 1), trial.suggest_float(f"k{k}/q", 0, 1)
    own = [0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0.0, 0.35][k]
    return own + (p - 0.1 - 0.1 * k) ** 2 + (q - 0.8 + 0.1 * k) ** 2 + 0.3 * (s - 0.5) ** 2 + 0.5 * (p - q - 0.5) ** 2


# Held out -------------------------------------------------------------------------------------------------------------


def architecture_by_optimizer(trial: Trial) -> float:
    """An error rate: capacity under and over what the data bear, a rate that diverges, momentum that shifts it."""
    arch = trial.suggest_categorical("arch", ["mlp", "cnn", "rnn"])
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd", "rmsprop"])
    rate = log10(trial, "rate", 1e-5, 1)
    batch = log2(trial, "batch", 16, 512)
    drop = trial.suggest_float("dropout", 0.0, 0.7)
    if arch == "mlp":
        size = log2(trial, "mlp/units", 16, 1024) + math.log2(trial.suggest_int("mlp/layers", 1, 5))
        activation = trial.suggest_categorical("mlp/activation", ["relu", "tanh", "gelu"])
        floor, ideal = 0.05 + (0.01 if activation == "tanh" else 0.0), 9.5
    elif arch == "cnn":
        depth = trial.suggest_int("cnn/blocks", 1, 5)
        size = log2(trial, "cnn/filters", 8, 256) + math.log2(depth)
        floor, ideal = (
            0.008 * abs(trial.suggest_categorical("cnn/kernel", [1, 3, 5, 7]) - 3) + 0.006 * abs(depth - 3),
            7.5,
        )
        floor += 0.0 if trial.suggest_categorical("cnn/norm", [False, True]) else 0.02
    else:
        cell = trial.suggest_categorical("rnn/cell", ["simple", "gru", "lstm"])
        size, ideal = log2(trial, "rnn/units", 8, 512), 7.0
        floor = (
            0.08
            + {"simple": 0.05, "gru": 0.0, "lstm": 0.01}[cell]
            + 0.05 * trial.suggest_float("rnn/recurrent", 0, 0.5)
        )
    fit = 0.012 * (size - ideal) ** 2 + 0.12 * (drop - min(0.6, max(0.0, 0.2 + 0.08 * (size - ideal)))) ** 2
    if optimizer == "adam":
        best = -3.0 + 0.15 * (batch - 6)
        tuned = 0.3 * (trial.suggest_float("adam/beta_1", 0.8, 0.999) - 0.9) ** 2
        tuned += 0.4 * max(0.0, -math.log10(1 - trial.suggest_float("adam/beta_2", 0.9, 0.9999)) - 3) ** 2 * 0.02
    elif optimizer == "sgd":
        momentum = trial.suggest_float("sgd/momentum", 0.0, 0.99)
        best, tuned = -0.7 + math.log10(1 - momentum) + 0.3 * (batch - 6), 0.02 + 0.02 * (1 - momentum)
        tuned += 0.0 if trial.suggest_categorical("sgd/nesterov", [False, True]) else 0.003
    else:
        best = -3.3 + 0.15 * (batch - 6)
        tuned = 0.015 + 0.2 * (trial.suggest_float("rmsprop/rho", 0.5, 0.999) - 0.9) ** 2
    away = rate - best
    training = 0.03 * away**2 if away < 0.8 else min(0.02 + 0.4 * (away - 0.8), 0.6)
    return floor + fit + training + tuned


def three_levels(trial: Trial) -> float:
    """A family, its variant, the variant's head: two or three branches at each level, a correlated pair in each."""
    family = trial.suggest_categorical("family", ["a", "b", "c"])
    shared = trial.suggest_float("shared", 0, 1)
    variants = {"a": ["x", "y"], "b": ["x", "y", "z"], "c": ["x", "y"]}[family]
    variant = trial.suggest_categorical(f"{family}/variant", variants)
    width = trial.suggest_int(f"{family}/width", 1, 20)
    head = trial.suggest_categorical(f"{family}/{variant}/head", [0, 1])
    p = trial.suggest_float(f"{family}/{variant}/p", 0, 1)
    q = trial.suggest_float(f"{family}/{variant}/{head}/q", 0, 1)
    r = log10(trial, f"{family}/{variant}/{head}/r", 1e-4, 1)
    own = {"ax": 0.12, "ay": 0.2, "bx": 0.15, "by": 0.0, "bz": 0.1, "cx": 0.25, "cy": 0.08}[family + variant]
    own += 0.0 if head == (1 if family == "b" else 0) else 0.06
    centre = {"a": 0.2, "b": 0.7, "c": 0.5}[family]
    value = 0.8 * (p - centre) ** 2 + 0.6 * (q - p * shared) ** 2 + 0.3 * (shared - 0.6) ** 2
    return own + value + 0.03 * (r + 2 + centre) ** 2 + 0.001 * (width - 12) ** 2


def stacked_layers(trial: Trial) -> float:
    """One to six layers, each with units, an activation and dropout; neighbours should taper."""
    count, rate = trial.suggest_int("layers", 1, 6), log10(trial, "rate", 1e-5, 1e-1)
    value, before = 0.06 * (rate + 2 + 0.2 * count) ** 2 + 0.02 * abs(count - 3), 9.0
    for i in range(count):
        units = log2(trial, f"layer_{i}/units", 8, 1024)
        activation = trial.suggest_categorical(f"layer_{i}/activation", ["relu", "tanh", "elu", "gelu"])
        drop = trial.suggest_float(f"layer_{i}/dropout", 0.0, 0.6)
        value += 0.02 * (units - before + 1) ** 2 + (0.0 if activation in ("relu", "gelu") else 0.015)
        value += 0.15 * (drop - 0.1 * (i + 1)) ** 2
        before = units
    return value


def rate_decides(trial: Trial) -> float:
    """Which branch is best depends on the learning rate at the root; the parameters of each follow the rate."""
    rate, noise = log10(trial, "rate", 1e-6, 1), trial.suggest_float("smoothing", 0.0, 0.5)
    kind = trial.suggest_categorical("kind", ["wide", "deep", "residual", "mixer"])
    best = {"wide": -1.0, "deep": -4.5, "residual": -2.5, "mixer": -3.5}[kind]
    floor = {"wide": 0.06, "deep": 0.05, "residual": 0.0, "mixer": 0.03}[kind]
    away = rate - best
    one = trial.suggest_float(f"{kind}/one", 0, 1)
    two = trial.suggest_float(f"{kind}/two", 0, 1)
    value = 0.08 * away**2 + 0.8 * (one - 0.5 - 0.1 * away) ** 2 + 0.8 * (two - 0.5 + 0.15 * away) ** 2
    if kind in ("residual", "deep"):
        value += 0.004 * abs(trial.suggest_int(f"{kind}/depth", 2, 40) - 18)
    return floor + value + 0.2 * (noise - 0.1) ** 2


def algorithms(trial: Trial) -> float:
    """Six algorithms with one to five parameters of their own and nothing in common."""
    name = trial.suggest_categorical("algorithm", ["linear", "neighbours", "svm", "forest", "boosting", "network"])
    if name == "linear":
        return 0.16 + 0.01 * (log10(trial, "linear/C", 1e-4, 1e4) - 0.5) ** 2
    if name == "neighbours":
        weights = trial.suggest_categorical("neighbours/weights", ["uniform", "distance"])
        return 0.11 + 0.02 * (log2(trial, "neighbours/k", 1, 64) - 2) ** 2 + (0.01 if weights == "uniform" else 0)
    if name == "svm":
        kernel = trial.suggest_categorical("svm/kernel", ["rbf", "poly", "sigmoid"])
        cost, gamma = log10(trial, "svm/C", 1e-3, 1e3), log10(trial, "svm/gamma", 1e-5, 10)
        away = {"rbf": 0.0, "poly": 0.02, "sigmoid": 0.08}[kernel]
        return 0.03 + away + 0.01 * (cost - 1.2) ** 2 + 0.02 * (gamma + 2 + 0.3 * (cost - 1.2)) ** 2
    if name == "forest":
        depth, leaf = trial.suggest_int("forest/depth", 2, 32), trial.suggest_int("forest/leaf", 1, 20)
        features = trial.suggest_float("forest/features", 0.05, 1.0)
        return 0.06 + 0.0003 * (depth - 20) ** 2 + 0.002 * (leaf - 1) + 0.06 * (features - 0.3) ** 2
    if name == "boosting":
        rate, trees = log10(trial, "boosting/rate", 1e-3, 1), log2(trial, "boosting/trees", 16, 1024)
        depth = trial.suggest_int("boosting/depth", 1, 12)
        sample = trial.suggest_float("boosting/sample", 0.3, 1.0)
        product = 0.04 * (rate + 0.3 * (trees - 8) + 1.2) ** 2
        return product + 0.004 * (trees - 8.5) ** 2 + 0.003 * (depth - 5) ** 2 + 0.05 * (sample - 0.75) ** 2
    rate, units = log10(trial, "network/rate", 1e-5, 1), log2(trial, "network/units", 8, 1024)
    decay, drop = log10(trial, "network/decay", 1e-7, 1e-1), trial.suggest_float("network/dropout", 0, 0.8)
    count = trial.suggest_int("network/layers", 1, 4)
    value = 0.05 * (rate + 2.8) ** 2 + 0.008 * (units - 8) ** 2 + 0.003 * (decay + 4) ** 2
    return 0.01 + value + 0.1 * (drop - 0.2) ** 2 + 0.01 * abs(count - 2)


def schedule_and_regularizer(trial: Trial) -> float:
    """Two choices that each bring parameters of their own, beside a root of four."""
    rate, batch = log10(trial, "rate", 1e-5, 1e-1), log2(trial, "batch", 8, 512)
    units, depth = log2(trial, "units", 16, 1024), trial.suggest_int("depth", 1, 8)
    value = 0.008 * (units - 7.5) ** 2 + 0.004 * (depth - 4) ** 2 + 0.003 * (batch - 6) ** 2
    schedule = trial.suggest_categorical("schedule", ["constant", "cosine", "step", "warmup"])
    best = -2.5 + 0.2 * (batch - 6) - 0.1 * (depth - 4)
    if schedule == "constant":
        value, best = value + 0.05, best - 0.5
    elif schedule == "cosine":
        value += 0.01 + 0.05 * (log10(trial, "cosine/end", 1e-4, 1) + 2) ** 2 * 0.3
    elif schedule == "step":
        value += 0.02 + 0.1 * (trial.suggest_float("step/factor", 0.1, 0.9) - 0.3) ** 2
        value += 0.002 * abs(trial.suggest_int("step/every", 1, 30) - 10)
    else:
        share = trial.suggest_float("warmup/share", 0.0, 0.5)
        value += 0.4 * (share - 0.1) ** 2 + 0.2 * (trial.suggest_float("warmup/power", 0.5, 3.0) - 1) ** 2 * 0.1
        best += 2 * (share - 0.1)
    regularizer = trial.suggest_categorical("regularizer", ["none", "dropout", "decay", "both"])
    if regularizer in ("dropout", "both"):
        value += 0.15 * (trial.suggest_float(f"{regularizer}/rate", 0.0, 0.8) - 0.15 - 0.03 * (units - 7.5)) ** 2
    if regularizer in ("decay", "both"):
        value += 0.006 * (log10(trial, f"{regularizer}/decay", 1e-7, 1e-1) + 4) ** 2
    value += {"none": 0.05, "dropout": 0.02, "decay": 0.015, "both": 0.0}[regularizer]
    return value + 0.05 * (rate - best) ** 2


# Without conditions ---------------------------------------------------------------------------------------------------


def valley(trial: Trial) -> float:
    """Rosenbrock's function of four parameters."""
    x = [trial.suggest_float(f"x{i}", -2, 2) for i in range(4)]
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in itertools.pairwise(x)) / 100


def mixed(trial: Trial) -> float:
    """Floats, integers and choices."""
    value = 0.05 * (log10(trial, "rate", 1e-5, 1) + 3) ** 2 + 0.02 * (log2(trial, "units", 8, 1024) - 7) ** 2
    value += 0.01 * abs(trial.suggest_int("depth", 1, 8) - 3) + 0.3 * (trial.suggest_float("drop", 0, 0.9) - 0.3) ** 2
    value += [0.0, 0.02, 0.05, 0.1][trial.suggest_categorical("activation", [0, 1, 2, 3])]
    return value + [0.03, 0.0, 0.06][trial.suggest_categorical("optimizer", [0, 1, 2])]


HARTMANN_A = [
    [10, 3, 17, 3.5, 1.7, 8],
    [0.05, 10, 17, 0.1, 8, 14],
    [3, 3.5, 1.7, 10, 17, 8],
    [17, 8, 0.05, 10, 0.1, 14],
]
HARTMANN_P = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
]


def hartmann(trial: Trial) -> float:
    """Hartmann's function of six parameters."""
    x = [trial.suggest_float(f"x{i}", 0, 1) for i in range(6)]
    inner = [sum(a * (one - p) ** 2 for a, p, one in zip(*row, x, strict=True)) for row in zip(HARTMANN_A, HARTMANN_P)]  # noqa: B905
    return -sum(c * math.exp(-one) for c, one in zip([1.0, 1.2, 3.0, 3.2], inner, strict=True))


def rippled(trial: Trial) -> float:
    """Ackley's function of five parameters, off the middle."""
    x = [trial.suggest_float(f"x{i}", -8, 12) for i in range(5)]
    waves = sum(math.cos(2 * math.pi * one) for one in x) / 5
    return 20 + math.e - 20 * math.exp(-0.2 * math.sqrt(sum(one * one for one in x) / 5)) - math.exp(waves)


def network(trial: Trial) -> float:
    """Ten parameters of a network: floats, integers, choices, and how they hang together."""
    rate, batch = log10(trial, "rate", 1e-5, 1), log2(trial, "batch", 8, 512)
    units, depth = log2(trial, "units", 8, 1024), trial.suggest_int("depth", 1, 8)
    value = 0.05 * (rate + 2.5 - 0.2 * (batch - 5)) ** 2 + 0.01 * (units + math.log2(depth) - 9) ** 2
    value += 0.005 * (depth - 3) ** 2 + 0.01 * (batch - 5) ** 2 + 0.004 * (log10(trial, "decay", 1e-7, 1e-1) + 4) ** 2
    value += (
        0.2 * (trial.suggest_float("dropout", 0, 0.8) - 0.25) ** 2
        + 0.3 * (trial.suggest_float("momentum", 0, 1) - 0.9) ** 2
    )
    value += [0.0, 0.01, 0.03, 0.05, 0.08][trial.suggest_categorical("activation", [0, 1, 2, 3, 4])]
    value += [0.02, 0.0, 0.05][trial.suggest_categorical("optimizer", [0, 1, 2])]
    return value + (0.0 if trial.suggest_categorical("norm", [False, True]) else 0.02)


DEVELOPMENT: Sequence[Space] = (
    Space(name="two_choices", value=two_choices),
    Space(name="two_levels", value=two_levels),
    Space(name="layers", value=layers),
    Space(name="late_bloomer", value=late_bloomer, least=0.02),
    Space(name="eight_branches", value=eight_branches),
)
FLAT_DEVELOPMENT: Sequence[Space] = (Space(name="valley", value=valley), Space(name="mixed", value=mixed))
HELD_OUT: Sequence[Space] = (
    Space(name="architecture_by_optimizer", value=architecture_by_optimizer),
    Space(name="three_levels", value=three_levels),
    Space(name="stacked_layers", value=stacked_layers),
    Space(name="rate_decides", value=rate_decides),
    Space(name="algorithms", value=algorithms),
    Space(name="schedule_and_regularizer", value=schedule_and_regularizer),
)
FLAT_HELD_OUT: Sequence[Space] = (
    Space(name="hartmann", value=hartmann, least=-3.32237),
    Space(name="rippled", value=rippled),
    Space(name="network", value=network),
)
