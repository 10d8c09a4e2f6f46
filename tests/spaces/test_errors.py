"""Tests of `kerasweep.spaces.errors`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.spaces import errors
from kerasweep.spaces.errors import KerasweepError, did_you_mean, one_line


def tree(root: type[KerasweepError]) -> list[type[KerasweepError]]:
    """Return `root` and all classes below it that its module defines."""
    below = [leaf for child in root.__subclasses__() for leaf in tree(child)]
    return [one for one in (root, *below) if one.__module__ == errors.__name__]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("NoTrialSucceeded", 1),
        ("BadInput", 2),
        ("Infrastructure", 3),
        ("TrackerBehind", 3),
        ("SweepHeld", 4),
        ("KerasweepError", 3),
    ],
)
def test_each_error_carries_the_exit_code_of_its_command(name: str, code: int) -> None:
    """Scripts tell by the exit code what went wrong."""
    assert getattr(errors, name).exit_code == code


@pytest.mark.parametrize("kind", tree(KerasweepError))
def test_the_tree_in_the_docstring_is_the_tree(kind: type[KerasweepError]) -> None:
    """Every class stands in the drawing with its exit code."""
    assert errors.__doc__ is not None
    line = next(line for line in errors.__doc__.splitlines() if kind.__name__ in line.split())
    if kind not in (KerasweepError, errors.Infeasible):
        assert str(kind.exit_code) in line.split()


@pytest.mark.parametrize(
    ("name", "hint"),
    [("val_acuracy", " (did you mean 'val_accuracy'?)"), ("accuracy", " (did you mean 'val_accuracy'?)"), ("xyz", "")],
)
def test_the_nearest_valid_name_is_offered(name: str, hint: str) -> None:
    """A near miss is answered with what was probably meant, a far one with nothing."""
    assert did_you_mean(name, ["val_loss", "val_accuracy"]) == hint


@given(st.text(), st.integers(1, 50))
def test_one_line_is_one_printable_line(text: str, limit: int) -> None:
    """Whatever the text, the result is short, on one line and harmless to a terminal."""
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line.isprintable()


def test_one_line_keeps_the_words() -> None:
    """Line breaks become spaces, control characters go, a cut is shown."""
    assert one_line("two\n  lines\t\x1b[31mred") == "two lines [31mred"
    assert one_line("abcdef", 4) == "abc…"
