"""The Tune trainable: a thin shell that lets Ray Tune drive a slot.

A trial of Tune's is one stay on a slot, in which Kerasweep's trials follow each other: the driver calls `assign` and
lets Tune go on, since a trial of its own for each would cost Tune 10 ms between two of them and memory for ever.

`reset_config` only stores the assignment and returns True, `step` never raises: Tune would throw the warm process away
for either, or hang. The one exception is a slot that is to be given up.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from ..spaces.trial import Assignment
from .placement import NODE_LETTERS
from .slot import Slot, SlotSetup
from .versions import difference, versions

if TYPE_CHECKING:
    from ray import tune

ASSIGNMENT = "assignment"
GIVE_UP = ""
"""In the place of an assignment: the slot ends, and what it held is another sweep's."""
MESSAGES = "messages"


class SlotGivenUp(Exception):
    """Has Tune let the actor go, and with it what it holds of its node."""


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
            lacks = difference(without.versions, versions()) if without.versions else ""
            if lacks:  # a node that came while the slot waited for one; it is refused as soon as it is looked at
                raise ImportError(f"this node has {lacks}")
            node = cast(Any, ray).get_runtime_context().get_node_id()
            self.slot = Slot(replace(without, program=ray.get(program)), node=node[:NODE_LETTERS])
            self.given_up = not config[ASSIGNMENT]
            if not self.given_up:
                self.slot.assign(_assignment(config))
                self.slot.warm()

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.given_up = not new_config[ASSIGNMENT]
            if not self.given_up:
                self.assign(new_config)
            return True

        def assign(self, config: dict[str, Any]) -> None:
            """Take the next assignment, in the same trial of Tune's, or none: the slot waits, and what it ran is stopped."""
            if config:
                self.slot.assign(_assignment(config))
            else:
                self.slot.rest()

        def step(self) -> dict[str, Any]:
            if self.given_up:
                raise SlotGivenUp
            messages, _ = self.slot.step()
            return {MESSAGES: json.dumps(messages)}

        def cleanup(self) -> None:
            self.slot.close()

    return SlotActor


def _assignment(config: dict[str, Any]) -> Assignment:
    return Assignment.from_json(json.loads(config[ASSIGNMENT]))
