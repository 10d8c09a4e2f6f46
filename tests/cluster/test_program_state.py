"""Tests of `kerasweep.cluster.program_state`: a function that leaves something behind in its program is seen."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from kerasweep.cluster.program_state import ProgramState

PLAIN = """
import functools, logging, re, sys
from pathlib import Path
import numpy as np

LOG = logging.getLogger(__name__)
NAMES, SIZE, HERE, WORD = ["a", "b"], {"width": 3}, Path("."), re.compile("x")

class Config:
    rate = 0.1

    def __init__(self):
        self.words = []

CONFIG, TABLE = Config(), np.zeros(3)

@functools.cache
def read():
    return 3

def build(hp):
    return Config, NAMES

def load():
    local = [1]
    local.append(read())
    {CHANGE}
    return local
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a maker of a user's module whose `load` does `change`, after other source has run."""

    def make(change: str = "pass", more: str = "") -> Any:
        name = "users_module"
        (tmp_path / f"{name}.py").write_text(PLAIN.replace("{CHANGE}", change) + more)
        monkeypatch.syspath_prepend(tmp_path)  # type: ignore[reportUnknownMemberType]
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        return __import__(name)

    return make


def unchanged(module: Any) -> bool:
    """Call `load` between two looks."""
    state = ProgramState.of(module.load, module.build)
    module.load()
    return state.is_unchanged()


def test_a_function_that_only_returns_leaves_nothing(module: Callable[..., Any]) -> None:
    """Constants, classes, loggers and cached functions in the module do not hinder."""
    assert unchanged(module())


@pytest.mark.parametrize(
    "change",
    [
        "global NAMES; NAMES = ['c']",
        "global NEW; NEW = 1",
        "NAMES.append('c')",
        "SIZE['width'] = 4",
        "SIZE['height'] = 4",
        "Config.rate = 0.2",
        "Config.words = ['a']",
        "build.words = ['a']",
        "CONFIG.words.append('a')",
        "CONFIG.size = 3",
        "TABLE[:] = 1",
    ],
)
def test_what_it_leaves_behind_is_seen(module: Callable[..., Any], change: str) -> None:
    """A global set or filled, an attribute of a class or function."""
    assert not unchanged(module(change))


def test_an_object_that_does_not_tell_its_state_counts_as_changed(module: Callable[..., Any]) -> None:
    """It could hold anything, as a generator does."""
    assert not unchanged(module(more="\nstream = (one for one in [1])\n"))


def test_methods_and_closures_count_as_changed(module: Callable[..., Any]) -> None:
    """They may keep what they load where nobody looks."""
    kept: list[int] = []

    def load() -> None:
        kept.append(1)

    assert isinstance(load, FunctionType)
    assert not ProgramState.of(load).is_unchanged()
    assert not ProgramState.of(kept.append).is_unchanged()
    assert not ProgramState.of(module().load, object()).is_unchanged()
