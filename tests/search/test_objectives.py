"""Tests of `kerasweep.search.objectives`; `test_sweepfile` has the mistakes with their places."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kerasweep.search.objective import At, Direction, Objective
from kerasweep.search.objectives import in_words, objectives_of, read_objectives
from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.yaml_form import BadForm


def test_one_is_as_good_as_a_list_of_one() -> None:
    """In a file and from Python."""
    wanted = (Objective(metric="acc", direction=Direction.MAX),)
    assert read_objectives("max acc") == read_objectives(["max acc"]) == wanted
    assert objectives_of("max acc") == objectives_of(["max acc"]) == wanted


def test_several_in_any_form() -> None:
    """Short and long forms side by side; the first one's epoch counts for all."""
    first, second = read_objectives([{"maximize": "acc", "at": "last"}, "min params"])
    assert (first.at, second.at, second.metric) == (At.LAST, At.LAST, "params")
    assert in_words((first, second)) == "max acc, min params"


def test_from_python_a_name_of_keras_tells_its_direction() -> None:
    """As with one objective; KerasTuner's form too."""
    one = SimpleNamespace(name="f1", direction="max")
    found = objectives_of(["val_accuracy", "val_loss", one, "min params"])
    assert in_words(found) == "max val_accuracy, min val_loss, max f1, min params"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "is an empty list"),
        (["max acc", "params"], "objective 'params' was not understood; write `max val_accuracy`"),
        (["max acc", "max acc"], "the objective 'acc' is there twice"),
        (["max acc", "min acc"], "the objective 'acc' is there twice"),
        (["max acc", 3], "is not one objective"),
        (
            SimpleNamespace(objectives=[SimpleNamespace(name="a", direction="max")], direction="min", name="multi"),
            "give a list: objective=['max a']",
        ),
    ],
)
def test_what_is_no_objective_is_one_line(given: Any, words: str) -> None:
    """From Python."""
    with pytest.raises(BadInput) as caught:
        objectives_of(given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_last_of_another_than_the_first_is_refused() -> None:
    """A trial stands for one epoch."""
    with pytest.raises(BadForm, match="say it of the first one, acc"):
        read_objectives(["max acc", {"minimize": "loss", "at": "last"}])
