"""Where slots fit: what one takes, what the nodes have, how many trials may be live now."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import final

_TINY = 1e-6
"""Ray counts in ten-thousandths; sums of fractions are off by less."""
NODE_LABEL = "ray.io/node-id"
NODE_LETTERS = 8
"""So many of a node's id tell it from the others."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What one slot takes, all of it on one node; `custom`: resources that nodes were given by name."""

    cpu: float = 1
    gpu: float = 0
    memory_bytes: float = 0
    custom: Mapping[str, float] = field(default_factory=dict[str, float])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def bundle(self) -> dict[str, float]:
        """The slot as a bundle of a Ray placement group."""
        bundle: dict[str, float] = {"CPU": self.cpu, "GPU": self.gpu, **self.custom}
        return {**bundle, "memory": self.memory_bytes} if self.memory_bytes else bundle

    def __str__(self) -> str:
        parts = [f"cpu {self.cpu:g}", f"gpu {self.gpu:g}"]
        parts += [f"memory {self.memory_bytes / 1e9:g} GB"] if self.memory_bytes else []
        parts += [f"{name} {amount:g}" for name, amount in self.custom.items()]
        parts += [f"{name}={value}" for name, value in self.labels.items()]
        return ", ".join(parts)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A living node: what it has, what of it others than the sweep use, and what of that its peers do."""

    id: str
    host: str = ""
    total: Mapping[str, float] = field(default_factory=dict[str, float])
    others: Mapping[str, float] = field(default_factory=dict[str, float])
    peers: Mapping[str, float] = field(default_factory=dict[str, float])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        """The name by which slots on it go."""
        return self.id[:NODE_LETTERS]

    def __str__(self) -> str:
        who = f"{self.host} ({self.name}): " if self.id else ""
        return f"{who}cpu {self.total.get('CPU', 0):g}, gpu {self.total.get('GPU', 0):g}"

    def fits(self, shape: Shape) -> int:
        """Return how many slots the node has room for, those counted that are there already."""
        if any(not _selects(wanted, self.labels.get(name)) for name, wanted in shape.labels.items()):
            return 0
        counts = [
            _devices(self._left(name), amount) if name == "GPU" else int((self._left(name) + _TINY) // amount)
            for name, amount in shape.bundle.items()
            if amount
        ]
        return min(counts, default=0)

    def without_peers(self) -> Node:
        """Return it as if no other sweep used it."""
        others = {name: amount - self.peers.get(name, 0.0) for name, amount in self.others.items()}
        return replace(self, others=others, peers={})

    def _left(self, name: str) -> float:
        return max(0.0, self.total.get(name, 0.0) - self.others.get(name, 0.0))


def _devices(left: float, wanted: float) -> int:
    """Return how many slots fit on graphics processors; a fraction is one of a single processor."""
    if wanted >= 1:
        return int((left + _TINY) // wanted)
    whole = math.floor(left + _TINY)
    return whole * int((1 + _TINY) // wanted) + int((left - whole + _TINY) // wanted)


def _selects(wanted: str, value: str | None) -> bool:
    """Say whether a node's label is what a selector wants: `a`, `!a`, `in(a,b)`, `!in(a,b)`, as in Ray."""
    negated, rest = wanted.startswith("!"), wanted.removeprefix("!")
    names = rest[3:-1].split(",") if rest.startswith("in(") and rest.endswith(")") else [rest]
    return (value in [name.strip() for name in names]) is not negated


def room(nodes: Iterable[Node], shape: Shape) -> int:
    """Return how many slots fit on the nodes, those counted that are there already."""
    return sum(node.fits(shape) for node in nodes)
