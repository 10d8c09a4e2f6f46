"""Tests of `kerasweep.cluster.placement`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.cluster.placement import Node, Shape, room

HALVES = st.sampled_from([0.1, 0.2, 0.25, 0.3, 1 / 3, 0.4, 0.5, 0.6, 0.75, 1.0, 2.0, 3.0])


def node(cpu: float = 8, gpu: float = 0, **others: float) -> Node:
    """Return a node; `others` is what is in use of it."""
    total = {"CPU": cpu, "GPU": gpu, "memory": 8e9, "license": 2.0}
    return Node(id="n", total=total, others=others, labels={"zone": "a"})


@pytest.mark.parametrize(
    ("shape", "of", "slots"),
    [
        (Shape(cpu=1), node(), 8),
        (Shape(cpu=3), node(), 2),
        (Shape(cpu=1), node(CPU=3.0), 5),
        (Shape(cpu=1, gpu=1), node(gpu=2), 2),
        (Shape(cpu=1, gpu=0.5), node(gpu=2), 4),
        (Shape(cpu=1, gpu=0.4), node(gpu=2), 4),  # two on each, not five on both
        (Shape(cpu=1, gpu=0.75), node(gpu=3), 3),
        (Shape(cpu=1, gpu=2), node(gpu=3), 1),
        (Shape(cpu=1, gpu=0.5), node(gpu=2, GPU=0.5), 3),
        (Shape(cpu=1, gpu=0.1), node(cpu=99, gpu=1), 10),
        (Shape(cpu=1, gpu=1), node(), 0),
        (Shape(cpu=1, memory_bytes=3e9), node(), 2),
        (Shape(cpu=1, custom={"license": 1}), node(), 2),
        (Shape(cpu=1, custom={"other": 1}), node(), 0),
        (Shape(cpu=1, labels={"zone": "a"}), node(), 8),
        (Shape(cpu=1, labels={"zone": "!a"}), node(), 0),
        (Shape(cpu=1, labels={"zone": "in(a, b)"}), node(), 8),
        (Shape(cpu=1, labels={"zone": "!in(a,b)"}), node(), 0),
        (Shape(cpu=1, labels={"rack": "a"}), node(), 0),
        (Shape(cpu=1, labels={"rack": "!a"}), node(), 8),
    ],
)
def test_what_fits(shape: Shape, of: Node, slots: int) -> None:
    """Each resource bounds it; a fraction is one of a single graphics processor; labels are Ray's selectors."""
    assert of.fits(shape) == slots


@given(gpus=st.integers(0, 8), share=HALVES)
def test_fractions_are_packed_as_ray_packs_them(gpus: int, share: float) -> None:
    """One slot after the other on the first processor that has room for it, as many as were said to fit."""
    left, placed = [1.0] * gpus, 0
    while True:
        chosen = [index for index, one in enumerate(left) if one >= min(share, 1.0) - 1e-9][: max(1, int(share))]
        if len(chosen) < max(1, int(share)):
            break
        for index in chosen:
            left[index] -= min(share, 1.0)
        placed += 1
    assert node(cpu=99, gpu=gpus).fits(Shape(cpu=1, gpu=share)) == placed


def test_a_slot_is_on_one_node() -> None:
    """What is left over on several nodes makes no slot."""
    assert room([node(cpu=3), node(cpu=3)], Shape(cpu=2)) == 2


def test_a_slot_in_words() -> None:
    """All that was asked for, by the names of the sweep file."""
    shape = Shape(cpu=2, gpu=0.5, memory_bytes=4e9, custom={"license": 1}, labels={"zone": "a"})
    assert str(shape) == "cpu 2, gpu 0.5, memory 4 GB, license 1, zone=a"
    assert shape.bundle == {"CPU": 2, "GPU": 0.5, "license": 1, "memory": 4e9}
