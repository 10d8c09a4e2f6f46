"""Tests of `kerasweep.cluster.checkpoint`: the manifest, as bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.cluster.checkpoint import MANIFEST_BYTES, Checkpoint, Damaged, Part, identity_of, place_of
from kerasweep.spaces.trial import Assignment

PARTS = {
    "model": Part(file="000012-2-model.weights.h5", bytes=10, sha256="a" * 64),
    "fit": Part(file="000012-2-fit.json", bytes=0, sha256="b" * 64),
}
ONE = Checkpoint(trial="4:abc", epoch=12, attempt=2, parts=PARTS)
DATA = ONE.encode()


def assignment(**changes: Any) -> Assignment:
    """Return an attempt of trial 4."""
    told: dict[str, Any] = {"number": 4, "attempt": 1, "round": 0, "seed": 7, "params": {"x": 0.5, "y": True}}
    return Assignment(**{**told, **changes})


def resigned(**changes: Any) -> bytes:
    """Return a manifest with some things changed, and a hash that is right."""
    body = {**json.loads(DATA.partition(b" ")[2]), **changes}
    text = json.dumps(body).encode()
    return hashlib.sha256(text).hexdigest().encode() + b" " + text


def test_a_manifest_is_read_back() -> None:
    """What was written is what is read, and its name tells epoch and attempt."""
    assert Checkpoint.decode(DATA, "4:abc") == ONE
    assert place_of(ONE.manifest) == (12, 2)


@pytest.mark.parametrize("length", range(len(DATA)))
def test_a_truncated_manifest_is_none(length: int) -> None:
    """Cut at any byte."""
    with pytest.raises(Damaged, match="not what was written"):
        Checkpoint.decode(DATA[:length], "4:abc")


def test_a_flipped_bit_is_found_wherever_it_is() -> None:
    """Every single bit of it counts."""
    for place in range(8 * len(DATA)):
        flipped = bytearray(DATA)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(Damaged):
            Checkpoint.decode(bytes(flipped), "4:abc")


@given(st.binary(max_size=300))
def test_other_bytes_are_no_manifest(data: bytes) -> None:
    """Whatever they are, before anything in them is parsed."""
    with pytest.raises(Damaged):
        Checkpoint.decode(data, "4:abc")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (resigned(trial="5:abc"), "another trial's"),
        (resigned(format=2), "reads format 1"),
        (resigned(parts={"model": ["../../x", 1, "a"]}), "files that are not its own"),
        (resigned(parts={"model": ["/etc/passwd", 1, "a"]}), "files that are not its own"),
        (resigned(padding="x" * MANIFEST_BYTES), "not what was written"),
    ],
)
def test_a_manifest_that_belongs_elsewhere_is_refused(data: bytes, words: str) -> None:
    """Whole, but another trial's, another version's, or pointing out of its folder, or too long to be one."""
    with pytest.raises(Damaged, match=words):
        Checkpoint.decode(data, "4:abc")


def test_a_trial_is_the_same_through_its_attempts_only() -> None:
    """Attempt, round and what ranks differ between attempts; number, seed and values between trials."""
    one = identity_of(assignment())
    assert identity_of(assignment(attempt=3, round=1, keep_above=0.5, resume_from="x", reported=3)) == one
    for change in ({"number": 5}, {"seed": 8}, {"params": {"x": 0.5, "y": 1}}, {"params": {"x": 0.5}}):
        assert identity_of(assignment(**change)) != one


@pytest.mark.parametrize("name", ["weights.json", "000012-2-model.weights.h5", "12-2.json", ".7-000012-2.json", ""])
def test_other_names_are_no_manifests(name: str) -> None:
    """Only six digits or more, an attempt, and the ending."""
    assert place_of(name) is None
