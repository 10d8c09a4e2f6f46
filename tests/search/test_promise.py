"""Tests of `kerasweep.search.promise`: what `plan` says of a trial that loses its process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kerasweep.cluster.backend import KerasSettings
from kerasweep.search.promise import resume_promise
from kerasweep.search.spec import Checkpointing

from .specs import spec


@pytest.mark.parametrize(
    ("changes", "kind", "own_fit", "words"),
    [
        ({}, "arrays", False, "as if nothing had happened: bit by bit with keras: {deterministic: true}"),
        ({"keras": KerasSettings(deterministic=True)}, "arrays", False, "as if nothing had happened: bit by bit"),
        ({"keras": KerasSettings(backend="jax")}, "arrays", False, "without the promise"),
        ({}, "dataset", False, "without the promise of the same curve, unless the order of your dataset"),
        ({}, "generator", False, "without the promise"),
        ({}, "arrays", True, "the arrays in your own fit"),
        ({"train": "model.py:train", "model": ""}, "arrays", False, "begins anew: what a training loop holds"),
        ({"fit": {"epochs": 2, "folds": 5}}, "arrays", False, "after the last fold"),
        ({"checkpoint": Checkpointing(enabled=False)}, "arrays", False, "begins anew, since checkpoint is false"),
        ({"checkpoint": Checkpointing(every_s=2.5)}, "arrays", False, "2.5 s apart"),
    ],
)
def test_the_promise_follows_from_what_trains(changes: dict[str, Any], kind: str, own_fit: bool, words: str) -> None:
    """Nothing is promised that the tests of resuming do not show."""
    assert words in resume_promise(replace(spec(), **changes), kind, own_fit=own_fit)


@pytest.mark.parametrize(
    ("changes", "says"), [({}, True), ({"fit": {"epochs": 2, "folds": 5}}, False), ({"train": "model.py:train"}, False)]
)
def test_what_callbacks_lose_is_named(changes: dict[str, Any], says: bool) -> None:
    """Where a fit goes on between two epochs; elsewhere nothing of it would be saved anyway."""
    words = resume_promise(replace(spec(), **changes), "arrays", own_fit=False, unsaved=["Counter.seen", "Timer.clock"])
    assert (
        "but without Counter.seen, Timer.clock: of callbacks, what JSON or NumPy can hold is saved" in words
    ) == says
