"""Tests of `kerasweep.cluster.array_cache`: loaded once, mapped by all, never wrongly shared."""

from __future__ import annotations

import multiprocessing
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kerasweep.cluster import array_cache
from kerasweep.cluster.array_cache import load_once
from kerasweep.cluster.data import UserData

from .loaders import calls, load, load_and_die, load_object, load_slowly, load_texts


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(array_cache, "MAPPED_BYTES", 1_000_000)


def in_process(function: Callable[[], Any], results: Any) -> None:
    """Load in a process of its own, and say how many bytes came."""
    results.put(np.asarray(load_once(function, Path("cache"))).nbytes)


def start(function: Callable[[], Any], results: Any) -> Any:
    """Start a process that loads."""
    process = multiprocessing.get_context("fork").Process(target=in_process, args=(function, results))
    process.start()
    return process


def test_the_second_gets_the_same_without_loading() -> None:
    """The nesting, types and values are the loader's; large arrays are mapped and read-only, small ones plain."""
    first, second = load_once(load, Path("cache")), load_once(load, Path("cache"))
    assert calls() == 1
    for (inputs, names), (empty, three) in (first, second):
        assert isinstance(inputs["a"], np.memmap)
        assert not inputs["a"].flags.writeable
        np.testing.assert_array_equal(inputs["a"], np.arange(300_000).reshape(-1, 3))
        assert (inputs["b"][0].dtype, inputs["b"][1]) == ("uint8", None)
        assert not isinstance(inputs["b"][0], np.memmap)
        assert (names.tolist(), empty.shape, three) == ([["é", "b"]], (0, 3), 3)


def test_the_files_are_the_users_alone() -> None:
    """Nobody else may enter the folder, and no draft is left."""
    load_once(load, Path("cache"))
    assert stat.S_IMODE(Path("cache").stat().st_mode) == stat.S_IMODE(Path("cache/data").stat().st_mode) == 0o700
    assert sorted(path.name for path in Path("cache").iterdir()) == ["data", "data.lock"]


@pytest.mark.parametrize("function", [load_object, load_texts])
def test_what_is_no_plain_array_is_loaded_by_each(function: Callable[[], Any]) -> None:
    """Nothing is pickled: a dataset, or text of varying length as objects, is each trainer's own."""
    load_once(function, Path("cache"))
    load_once(function, Path("cache"))
    assert calls() == 2
    assert not Path("cache/data").exists()


def test_two_at_once_load_once() -> None:
    """The second waits for the first."""
    results: Any = multiprocessing.get_context("fork").SimpleQueue()
    both = [start(load_slowly, results) for _ in range(2)]
    for process in both:
        process.join(20)
    assert [results.get(), results.get()] == [24, 24]
    assert calls() == 1


def test_one_that_dies_while_it_loads_holds_nobody_up() -> None:
    """The kernel frees its lock, and the next one loads."""
    results: Any = multiprocessing.get_context("fork").SimpleQueue()
    dying = start(load_and_die, results)
    dying.join(20)
    assert dying.exitcode == -signal.SIGKILL
    assert load_once(load_slowly, Path("cache")).nbytes == 24
    assert load_once(load_slowly, Path("cache")).nbytes == 24
    assert calls() == 2


def test_a_disk_without_room_costs_the_sharing_not_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arrays are handed on as they were loaded, and nothing half-written is left."""

    def full(*rest: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    assert load_once(load_slowly, Path("cache")).nbytes == 24
    assert sorted(path.name for path in Path("cache").iterdir()) == ["data.lock", "private"]


def test_data_that_came_with_the_program_are_shared_too() -> None:
    """Arrays handed to `kerasweep.sweep` travel to each trainer, which lets go of them for the mapped ones."""
    given = UserData((np.zeros((1000, 1000)), np.zeros(1000)), Path("cache"))
    assert isinstance(given.arguments(None)["x"], np.memmap)
    assert given.arguments(None)["x"].filename == UserData((), Path("cache")).of(None)[0].filename
