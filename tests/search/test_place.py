"""Tests of `kerasweep.search.place`."""

from __future__ import annotations

from pathlib import Path

import pytest

from kerasweep.search.place import absolute_place, join
from kerasweep.spaces.errors import BadInput


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("", ""),
        ("/mnt/sweeps", "/mnt/sweeps"),
        ("file:///mnt/sweeps", "/mnt/sweeps"),
        ("memory://sweeps/", "memory://sweeps"),
        ("out", f"{Path.cwd()}/out"),
        ("~/out", f"{Path.home()}/out"),
    ],
)
def test_a_place_is_made_absolute(given: str, place: str) -> None:
    """Folders from the current one, URLs as they are."""
    assert absolute_place(given) == place


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("memry://x", "did you mean 'memory'"),
        ("nosuchthing://x", "is no file system that fsspec knows"),
        ("dropbox://x", "needs a package that is not installed"),
        ("memory://user:pass@host/x", "holds a user or a secret"),
        ("memory://host/x?token=abc", "holds a user or a secret"),
    ],
)
def test_a_place_that_cannot_be_is_refused(given: str, message: str) -> None:
    """A misspelled scheme, a missing package by name, a secret that would be journaled."""
    with pytest.raises(BadInput, match=message) as caught:
        absolute_place(given)
    assert "\n" not in str(caught.value)
    assert "pass@" not in str(caught.value)


def test_places_join() -> None:
    """With one slash."""
    assert [join("a/", "b"), join("s3://x", "b")] == ["a/b", "s3://x/b"]
