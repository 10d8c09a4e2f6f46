"""Tests of `kerasweep.cluster.failure`: what a user is told of the own code's exceptions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kerasweep.cluster.failure import MAX_CHARACTERS, Failure, describe

Fail = Callable[[str], Failure]


@pytest.fixture
def fail(tmp_path: Path) -> Fail:
    """Return a function that runs source as the user's `model.py` and describes what it raises."""

    def run(source: str) -> Failure:
        path = tmp_path / "model.py"
        path.write_text(source)
        names: dict[str, Any] = {"__name__": "model", "library": library}
        with pytest.raises(BaseException) as caught:  # noqa: PT011, PT012
            exec(compile(source, str(path), "exec"), names)  # noqa: S102
            names["build"]()
        return describe(caught.value, str(tmp_path))

    return run


def library(call: Callable[[], object]) -> object:
    """Call back, as a library does."""
    return call()


def test_the_reason_names_the_users_innermost_line(fail: Fail) -> None:
    """One line: kind, message, and the place in the user's code, even where a library raised."""
    failure = fail("def layer():\n    int('many')\ndef build():\n    library(layer)\n")
    assert failure.reason == "ValueError: invalid literal for int() with base 10: 'many' (model.py:2 in layer)"
    assert failure.kind == "error"


def test_the_users_frames_come_first(fail: Fail) -> None:
    """The traceback begins with the user's own frames; all of it follows."""
    text = fail("def layer():\n    raise KeyError('x')\ndef build():\n    library(layer)\n").traceback
    own, whole = text.split("All of it:\n")
    assert own.startswith("Your code:\n")
    assert own.count("File ") == 2
    assert "return call()" not in own
    assert "return call()" in whole
    assert "raise KeyError('x')" in own


def test_an_exception_outside_the_users_code_has_no_place(tmp_path: Path) -> None:
    """Where no frame is the user's, nothing is claimed about the code."""
    with pytest.raises(ValueError, match="invalid") as caught:
        library(lambda: int("x"))
    failure = describe(caught.value, str(tmp_path))
    assert failure.reason == "ValueError: invalid literal for int() with base 10: 'x'"
    assert failure.traceback.startswith("All of it:\n")


def test_installed_code_below_the_root_is_not_the_users(tmp_path: Path) -> None:
    """An environment in the sweep's folder is a library like any other."""
    path = tmp_path / ".venv" / "lib" / "site-packages" / "thing.py"
    with pytest.raises(ValueError, match="no") as caught:
        exec(compile("raise ValueError('no')", str(path), "exec"))  # noqa: S102
    assert describe(caught.value, str(tmp_path)).reason == "ValueError: no"


def test_a_syntax_error_is_told_with_its_line(fail: Fail) -> None:
    """The place is the one that cannot be read, not the one that imports it."""
    assert fail("def build():\n    return (\n").reason.endswith(" (model.py:2)")


def test_a_reason_is_one_line(fail: Fail) -> None:
    """Line breaks and control characters of a message do not reach the terminal."""
    reason = fail("def build():\n    raise ValueError('two\\nlines \\x1b[31m' + 'x' * 1000)\n").reason
    assert len(reason.splitlines()) == 1
    assert "\x1b" not in reason
    assert len(reason) < 600


def test_an_exception_without_words_is_its_kind(fail: Fail) -> None:
    """`raise RuntimeError` says at least that."""
    assert fail("def build():\n    raise RuntimeError\n").reason == "RuntimeError (model.py:2 in build)"


def test_an_exception_that_cannot_be_printed_is_described_all_the_same(fail: Fail) -> None:
    """A `__str__` that fails does not take the trial's outcome with it."""
    source = "class Odd(Exception):\n    def __str__(self): return self.missing\ndef build():\n    raise Odd\n"
    failure = fail(source)
    assert failure.reason == "Odd (model.py:4 in build)"
    assert "Odd" in failure.traceback


def test_a_very_long_traceback_keeps_its_ends(fail: Fail) -> None:
    """An exception that quotes an array fits into a message and the journal."""
    text = fail("def build():\n    raise ValueError('x' * 1_000_000 + 'the end')\n").traceback
    assert len(text) <= MAX_CHARACTERS + 10
    assert text.startswith("Your code:\n")
    assert text.endswith("the end\n")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("MemoryError()", True),
        ("type('ResourceExhaustedError', (Exception,), {})('OOM when allocating tensor')", True),
        ("type('XlaRuntimeError', (Exception,), {})('RESOURCE_EXHAUSTED: Out of memory')", True),
        ("type('XlaRuntimeError', (Exception,), {})('INTERNAL: something else')", False),
        ("ValueError('units')", False),
    ],
)
def test_running_out_of_memory_is_recognised(fail: Fail, error: str, expected: bool) -> None:
    """Python's, TensorFlow's and XLA's ways to say it, and no other error."""
    assert fail(f"def build():\n    raise {error}\n").kind == ("oom" if expected else "error")


@pytest.mark.real
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("FailedTrialError('too large')", "failed"),
        ("FatalTypeError('no model')", "fatal"),
        ("FatalValueError('no such')", "fatal"),
        ("FatalRuntimeError('MemoryError')", "fatal"),
    ],
)
def test_keras_tuners_errors_say_what_follows(fail: Fail, error: str, kind: str) -> None:
    """`FailedTrialError` is not to be tried again; after a `FatalError` nothing is."""
    source = f"import keras_tuner\ndef build():\n    raise keras_tuner.errors.{error}\n"
    assert fail(source).kind == kind
