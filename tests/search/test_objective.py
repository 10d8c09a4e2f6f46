"""Tests of `kerasweep.search.objective`: how an objective may be given, and which value is the better one."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kerasweep.search.objective import Direction, Objective, inferred_direction
from kerasweep.spaces.errors import BadInput


@pytest.mark.parametrize(
    ("given", "metric", "direction"),
    [
        ("max val_accuracy", "val_accuracy", "max"),
        (" min  val_loss ", "val_loss", "min"),
        ("max my metric", "my metric", "max"),
        ("val_accuracy", "val_accuracy", "max"),
        ("val_loss", "val_loss", "min"),
        ("weighted_acc", "weighted_acc", "max"),
        ("val_weighted_mean_absolute_error", "val_weighted_mean_absolute_error", "min"),
        (SimpleNamespace(name="val_f1_score", direction="max"), "val_f1_score", "max"),
        (None, "default_objective", "min"),
    ],
)
def test_an_objective_may_be_given_in_several_ways(given: Any, metric: str, direction: str) -> None:
    """In words, by a name whose direction Keras's own tells, as KerasTuner's object, or not at all."""
    assert Objective.of(given) == Objective(metric=metric, direction=Direction(direction))


def test_a_direction_without_a_metric_is_no_slip_of_the_pen() -> None:
    """`max` is not told to be `max`; `mxa` is."""
    with pytest.raises(BadInput, match=r"^objective 'max' was not understood; write"):
        Objective.parse("max")
    with pytest.raises(BadInput, match=r"\(did you mean 'max'\?\)"):
        Objective.parse("mxa loss")


@pytest.mark.parametrize("given", ["val_f1_score", "speed", "upward val_loss", "max", "", "r2_score"])
def test_a_direction_is_not_guessed(given: str) -> None:
    """A metric that could go either way needs its direction said."""
    with pytest.raises(BadInput, match=re.escape("write `max val_accuracy` or `min val_loss`")):
        Objective.of(given)


@pytest.mark.parametrize("given", [["val_loss"], SimpleNamespace(objectives=[], name="multi", direction="min"), 3])
def test_several_objectives_are_refused(given: Any) -> None:
    """A sum of objectives, which KerasTuner makes of a list, is not made here."""
    with pytest.raises(BadInput, match="not one objective"):
        Objective.of(given)


@pytest.mark.real
def test_what_is_inferred_is_what_keras_tuner_infers() -> None:
    """For every metric and loss of Keras's whose direction is inferred here."""
    keras_tuner: Any = pytest.importorskip("keras_tuner")
    from keras.src import losses, metrics

    known: set[str] = {*cast(Any, losses).ALL_OBJECTS_DICT, *cast(Any, metrics).ALL_OBJECTS_DICT, "loss", "acc", "ce"}
    inferred = {name: inferred_direction(name) for name in known}
    names = [name for name, direction in inferred.items() if direction is not None]
    assert len(names) > 40
    for name in names:
        theirs = keras_tuner.engine.metrics_tracking.infer_metric_direction(f"val_{name}")
        assert inferred[name] == theirs, name
