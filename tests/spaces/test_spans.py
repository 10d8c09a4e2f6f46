"""Tests of `kerasweep.spaces.spans`: what a building block's argument makes it ask."""

from __future__ import annotations

from typing import Any

import pytest

from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.language import vocabulary
from kerasweep.spaces.pretrained import weights_file
from kerasweep.spaces.spans import choose, count, doubling, level


class Asked:
    """An `hp` that notes what is asked, and answers with the default."""

    def __init__(self, answer: object = None) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answer = answer

    def Int(self, name: str, low: int, high: int, **how: Any) -> Any:  # noqa: N802
        self.asked.append((name, low, high, how))
        return how["default"]

    def Choice(self, name: str, values: list[Any], **how: Any) -> Any:  # noqa: N802
        self.asked.append((name, *values))
        return how["default"] if self.answer is None else self.answer


def asked(function: Any, *arguments: Any, **named: Any) -> tuple[Any, list[tuple[Any, ...]]]:
    """Return what a function answers and what it asked."""
    hp = Asked()
    return function(hp, "n", *arguments, **named), hp.asked


def test_one_value_is_not_asked() -> None:
    """A number, a range of one number or a list of one name is settled."""
    for function, given in ((count, 3), (count, (3, 3)), (doubling, 3), (doubling, (3, 5)), (level, 3), (level, [3])):
        arguments = (given,) if function is level else (given, 1)
        assert asked(function, *arguments) == (3, [])
    assert asked(choose, ["relu"]) == ("relu", [])


@pytest.mark.parametrize(
    ("span", "default", "expected"),
    [((32, 512), 128, 128), ((32, 512), 100, 64), ((32, 64), 128, 64), ((200, 900), 128, 200), ((3, 12), 13, 12)],
)
def test_the_default_of_a_width_is_on_its_grid(span: tuple[int, int], default: int, expected: int) -> None:
    """It is the greatest of min, 2 min, 4 min … that is neither above the wish nor above the range."""
    value, questions = asked(doubling, span, default)
    assert value == expected
    assert questions == [("n", *span, {"step": 2, "sampling": "log", "default": expected})]


def test_the_default_of_a_count_stays_in_a_narrowed_range() -> None:
    """The nearest end takes its place."""
    assert asked(count, (1, 4), default=2)[0] == 2
    assert asked(count, (3, 4), default=2)[0] == 3
    assert asked(count, (1, 2), default=9)[0] == 2


@pytest.mark.parametrize("span", [0, (4, 2), (0, 3)])
def test_a_range_that_is_none_is_told(span: Any) -> None:
    """With what it should be."""
    for function in (count, doubling):
        with pytest.raises(BadInput, match="min"):
            asked(function, span, 1)


def test_a_name_that_only_the_sweep_file_gives_is_checked() -> None:
    """A range under `space:` may name what the block does not know."""
    with pytest.raises(BadInput, match="did you mean 'lstm'"):
        choose(Asked("lstn"), "cell", ["gru", "lstm"], ["gru", "lstm"])  # pyright: ignore[reportArgumentType]
    assert choose(Asked("tanh"), "activation", ["relu", "gelu"]) == "tanh"  # pyright: ignore[reportArgumentType]


def test_a_vocabulary_has_the_most_frequent_words_first() -> None:
    """Equally frequent ones by the alphabet, so that it is the same each time."""
    assert vocabulary(["The cat, the dog.", "the CAT"]) == ("the", "cat", "dog")
    assert vocabulary(["b a"], size=1) == ("a",)


def test_weights_are_looked_for_under_keras_own_names() -> None:
    """A sample of the three ways in which they are named."""
    assert weights_file("EfficientNetV2B0", "efficientnetv2-b0") == "efficientnetv2-b0_notop.h5"
    assert weights_file("ResNet50V2", "resnet50v2") == "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert weights_file("NASNetMobile", "nasnet_mobile") == "nasnet_mobile_no_top.h5"
