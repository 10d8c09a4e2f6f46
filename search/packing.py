"""How many trials share a graphics processor where the sweep file says `gpu: auto`; pure arithmetic on what was journaled.

The first trials have a whole one each. What they took at most decides the share of every slot from then on: one of so
many equal parts that Ray can add up. A trial that runs out of memory in its part raises the share of all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

from ..trackers.events import GraphicsMeasured, SlotsPacked

FIRST = 4
"""So many trials are measured."""
MOST = 8
"""So many trials share a graphics processor at most."""
MARGIN = 1.25
"""Later trials may have larger models than the first ones."""
CONTEXT_BYTES = 1e9
"""What a process takes besides its arrays: the context of CUDA and its libraries, 0.3 to 0.9 GB on the usual cards."""
_GRAINS = 10_000
"""Ray counts a share in so many parts of a whole, and rounds to the nearest."""
_UNKNOWN = "resources.gpu: auto: the memory that trials take cannot be measured here, so each keeps a whole gpu"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """The share of a graphics processor that a slot takes, whether it is decided, and what the first trials needed."""

    share: float = 1.0
    decided: bool = False
    needs: tuple[float, ...] = ()


def needed(event: GraphicsMeasured) -> float | None:
    """Return the share of its graphics processor that a trial needs; None where nobody knows."""
    if event.peak_bytes <= 0 or event.total_bytes <= 0:
        return None
    return (event.peak_bytes * MARGIN + CONTEXT_BYTES) / event.total_bytes


def share_of(parts: int) -> float:
    """Return one of so many equal parts, as Ray can add them up to a whole."""
    return 1.0 if parts == 1 else math.floor(_GRAINS / parts) / _GRAINS


def parts_of(share: float) -> int:
    """Return how many slots of this share a graphics processor has."""
    return math.floor(1 / share + 1e-9)


def measured(packing: Packing, event: GraphicsMeasured) -> tuple[Packing, SlotsPacked | None]:
    """Return the packing with one more trial measured, and the decision where that was the last one needed."""
    if packing.decided:
        return packing, None
    need = needed(event)
    if need is None:
        return packing, SlotsPacked(share=1.0, why=_UNKNOWN)
    packing = replace(packing, needs=(*packing.needs, need))
    if len(packing.needs) < FIRST:
        return packing, None
    largest = max(packing.needs)
    parts = max(1, min(MOST, math.floor(1 / largest)))
    took = f"resources.gpu: auto: the first {FIRST} trials need up to {largest:.0%} of a gpu"
    shared = "each trial keeps a whole one" if parts == 1 else f"{parts} trials share one from now on"
    return packing, SlotsPacked(share=share_of(parts), why=f"{took}; {shared}")


def ran_out(packing: Packing, share: float) -> SlotsPacked | None:
    """Return the next larger share where a trial ran out of memory in a slot of the present one."""
    if not packing.decided or share != packing.share or share >= 1:
        return None
    parts = parts_of(share) - 1
    how = "each trial has a whole one" if parts == 1 else f"{parts} share one"
    return SlotsPacked(
        share=share_of(parts), why=f"resources.gpu: auto: a trial ran out of its part of a gpu; {how} from now on"
    )
