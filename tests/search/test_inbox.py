"""Tests of `kerasweep.search.inbox`."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from kerasweep.search.inbox import FOLDER, discard, post, take


def test_requests_are_taken_once_in_their_order(tmp_path: Path) -> None:
    """Oldest first, and gone."""
    for number in range(5):
        post(tmp_path, {"type": "stop", "number": number})
    assert [one["number"] for one in take(tmp_path)] == [0, 1, 2, 3, 4]
    assert take(tmp_path) == []
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_no_inbox_is_an_empty_one(tmp_path: Path) -> None:
    """Before the first request there is no folder."""
    assert take(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '"stop"', "\udcff"])
def test_what_is_no_request_is_dropped(tmp_path: Path, text: str) -> None:
    """A file that somebody put there does the driver no harm, and does not stay."""
    post(tmp_path, {"type": "stop"})
    (tmp_path / FOLDER / "0.json").write_text(text, errors="surrogateescape")
    assert take(tmp_path) == [{"type": "stop"}]
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_half_a_request_is_not_taken(tmp_path: Path) -> None:
    """A draft is left to its writer."""
    post(tmp_path, {"type": "stop"})
    (tmp_path / FOLDER / "9-9.draft").write_text("{")
    assert len(take(tmp_path)) == 1
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["9-9.draft"]


def test_the_inbox_is_its_owners(tmp_path: Path) -> None:
    """Nobody else may steer a sweep."""
    post(tmp_path, {"type": "stop"})
    assert stat.S_IMODE((tmp_path / FOLDER).stat().st_mode) == 0o700


def test_requests_to_a_driver_before_are_discarded(tmp_path: Path) -> None:
    """A stop that came too late must not stop the next driver; one that comes while it starts does."""
    post(tmp_path, {"type": "stop", "number": 0})
    began = time.time_ns()
    post(tmp_path, {"type": "stop", "number": 1})
    discard(tmp_path, began)
    assert [one["number"] for one in take(tmp_path)] == [1]
