"""The Tune trainable: a thin shell that lets Ray Tune drive a slot.

`reset_config` only stores the assignment and returns True, `step` never raises: Tune would throw the warm process away
for either, or hang.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..spaces.trial import Assignment
from .slot import Slot, SlotSetup

if TYPE_CHECKING:
    from ray import tune

ASSIGNMENT = "assignment"
MESSAGES = "messages"


def trainable(setup: SlotSetup) -> type[tune.Trainable]:
    """Return the class that Tune makes an actor of for each slot.

    The program goes by Ray's object store: it may hold the data, and Ray refuses a class of more than 95 MiB.
    """
    import ray
    from ray import tune

    program = ray.put(dict(setup.program))
    without = replace(setup, program={})

    class SlotActor(tune.Trainable):
        """One slot, for the whole sweep."""

        def setup(self, config: dict[str, Any]) -> None:
            self.slot = Slot(replace(without, program=ray.get(program)))
            self.slot.assign(_assignment(config))
            self.slot.warm()

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.slot.assign(_assignment(new_config))
            return True

        def step(self) -> dict[str, Any]:
            messages, done = self.slot.step()
            return {MESSAGES: json.dumps(messages), "done": done}

        def cleanup(self) -> None:
            self.slot.close()

    return SlotActor


def _assignment(config: dict[str, Any]) -> Assignment:
    return Assignment.from_json(json.loads(config[ASSIGNMENT]))
