"""Tests that `docs/optimizers-and-schedules.md` says what the building blocks ask."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kerasweep import spaces
from kerasweep.spaces import optimizers, schedules
from tests.branches import Block, asked, describe, walk

pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras's variables, NumPy 2
]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "optimizers-and-schedules.md"


def of_optimizer(name: str) -> Block:
    """Return the block that asks for this optimizer only."""
    return lambda hp: optimizers.optimizer(hp, [name], steps=100, clipping=False)


def of_schedule(name: str) -> Block:
    """Return the block that asks for this schedule only."""
    return lambda hp: schedules.schedule(hp, 0.1, [name], steps=100, warmup=False)


def of_augmentation(kind: str) -> Block:
    """Return the block that asks for this augmentation only."""
    return lambda hp: spaces.image_augmentation(hp, [kind], flip="horizontal")


Row = tuple[Block, str, Callable[..., Any]]
"""A block, what its parameters' names begin with, and the function whose docstring has its sources."""


@cache
def blocks() -> dict[str, Row]:
    """Return the blocks of the page by the name in the first column."""
    pytest.importorskip("keras_tuner")
    rows: dict[str, Row] = {
        name: (of_optimizer(name), f"optimizer/{name}/", one.ask) for name, one in optimizers.RECIPES.items()
    }
    rows["*clipping*"] = (lambda hp: spaces.optimizer(hp, ["adagrad"]), "optimizer/", spaces.optimizer)
    rows["*ema*"] = (
        lambda hp: spaces.optimizer(hp, ["adagrad"], clipping=False, ema=True),
        "optimizer/",
        spaces.optimizer,
    )
    rows |= {name: (of_schedule(name), f"schedule/{name}/", one) for name, one in schedules.SCHEDULES.items()}
    rows["*warm-up*"] = (lambda hp: spaces.schedule(hp, 0.1, ["constant"], steps=9), "schedule/", spaces.schedule)
    rows["plateau"] = (spaces.plateau, "", spaces.plateau)
    rows["dropout"] = (
        lambda hp: spaces.dropout(hp, ["dropout", "gaussian", "spatial"], rank=1),
        "",
        spaces.dropout,
    )
    plain = (spaces.regularizer, spaces.normalization, spaces.label_smoothing, spaces.early_stopping)
    rows |= {one.__name__: (one, "", one) for one in (*plain, spaces.noise, spaces.mixing)}
    augmentation = spaces.image_augmentation
    rows |= {kind: (of_augmentation(kind), "augmentation/", augmentation) for kind in ("basic", "rand_augment")}
    return rows


def ranges(block: Block, prefix: str) -> str:
    """Return what the second column says of a block."""
    found = {name: one for name, (one, _) in walk(block).items() if name.startswith(prefix) and _own(name, prefix)}
    return "; ".join(f"`{name.removeprefix(prefix)}` {describe(one)}" for name, one in found.items()) or "none"


def _own(name: str, prefix: str) -> bool:
    return prefix in ("", "augmentation/") or "/" not in name.removeprefix(prefix)


def page() -> dict[str, tuple[str, str]]:
    """Return the second and third column of the page's tables by the first."""
    lines = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    return {name.strip("`"): (asked, source) for name, asked, source in cells if name not in ("Block", "---")}


def test_every_block_is_on_the_page() -> None:
    """And nothing that is none."""
    assert set(page()) == set(blocks())


def test_the_page_has_every_parameter_with_its_range_and_default() -> None:
    """As KerasTuner's `hp` is asked for them, on all branches."""
    said = {name: asked for name, (asked, _) in page().items()}
    assert said == {name: ranges(block, prefix) for name, (block, prefix, _) in blocks().items()}


def test_the_papers_on_the_page_are_those_of_the_docstrings() -> None:
    """By their numbers on arXiv; every row names a source."""
    for name, (_, source) in page().items():
        assert source, name
        documented = set(re.findall(r"\d{4}\.\d{5}", blocks()[name][2].__doc__ or ""))
        assert set(re.findall(r"\d{4}\.\d{5}", source)) <= documented, name


def test_the_example_of_the_page_runs() -> None:
    """It builds and compiles a model, and its `fit` trains it with callbacks."""
    import keras_tuner
    import numpy as np

    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found: dict[str, Any] = {"keras_tuner": keras_tuner}
    for block in code:
        exec(block, found)  # noqa: S102
    model = found["Model"]()
    hp = asked(lambda hp: model.build(hp), {"schedule": "cosine"})
    assert hp.values["optimizer/adamw/weight_decay"] > 0
    x, y = np.zeros((4, 28, 28, 1), "float32"), np.eye(10, dtype="float32")[:4]

    def build(hp: Any) -> Any:
        one = found["build"](hp)
        one.compile(spaces.optimizer(hp, ["sgd"], ema=True), "categorical_crossentropy")
        return one

    fitted: list[Any] = []
    values = {"optimizer/use_ema": True}
    asked(lambda hp: fitted.append(model.fit(hp, build(hp), x, y, validation_data=(x, y), verbose=0)), values)
    assert {"loss", "val_loss", "learning_rate"} <= set(fitted[0].history)
