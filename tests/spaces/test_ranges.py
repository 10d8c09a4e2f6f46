"""Tests of `kerasweep.spaces.ranges`, with an `hp` that writes down what it is asked."""

from __future__ import annotations

from typing import Any

import pytest

from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.ranges import Count, Flag, Levels, Linear, Log, choose


class Asked:
    """An `hp` that answers with defaults and remembers each question."""

    def __init__(self) -> None:
        self.questions: list[tuple[Any, ...]] = []

    def __getattr__(self, kind: str) -> Any:
        def answer(name: str, *arguments: Any, default: Any, **more: Any) -> Any:
            self.questions.append((kind, name, *arguments, more))
            return default

        return answer


RANGES: list[tuple[Any, Any, tuple[Any, ...]]] = [
    (Log(1e-3, 1.0, 0.1), 0.1, ("Float", "x", 1e-3, 1.0, {"sampling": "log"})),
    (Linear(0.0, 0.5, 0.2, 0.1), 0.2, ("Float", "x", 0.0, 0.5, {"step": 0.1})),
    (Linear(0.0, 0.5, 0.2), 0.2, ("Float", "x", 0.0, 0.5, {"step": None})),
    (Count(2, 4, 3), 3, ("Int", "x", 2, 4, {})),
    (Levels((0.9, 0.99), 0.99), 0.99, ("Choice", "x", [0.9, 0.99], {"ordered": True})),
    (Flag(True), True, ("Boolean", "x", {})),
]


@pytest.mark.parametrize(("one", "default", "question"), RANGES)
def test_a_range_is_asked_in_keras_tuners_words(one: Any, default: Any, question: tuple[Any, ...]) -> None:
    """With its default, and the answer is of its type."""
    hp: Any = Asked()
    value = one.ask(hp, "x")
    assert value == default
    assert type(value) is type(default)
    assert hp.questions == [question]


def test_one_of_several_is_asked_and_a_single_one_is_not() -> None:
    """The first is the default."""
    hp: Any = Asked()
    assert choose(hp, "kind", ["b", "a"], ["a", "b", "c"]) == "b"
    assert choose(hp, "kind", ["c"], ["a", "b", "c"]) == "c"
    assert hp.questions == [("Choice", "kind", ["b", "a"], {})]


@pytest.mark.parametrize("given", [[], "adam", ["adam", "sdg"]])
def test_a_wrong_choice_is_refused_before_anything_is_asked(given: Any) -> None:
    """Nothing, a bare word, an unknown name."""
    hp: Any = Asked()
    with pytest.raises(BadInput, match="adam"):
        choose(hp, "optimizer", given, ["adam", "sgd"])
    assert hp.questions == []
