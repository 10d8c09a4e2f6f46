"""The nodes of a cluster that a sweep has joined: each is looked at before a slot is put there, and how many fit is known.

A node is admitted when a task on it has answered: it has this Kerasweep and sees the sweep's folder. Others are refused
with one line; a node that gives no answer is asked again when it is back.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast, final

from ..spaces.errors import one_line
from .placement import NODE_LABEL, Node, Shape
from .ray_session import RaySession

LOOK_S = 0.5
"""The cluster is looked at so often."""
ANSWER_S = 60.0
"""A node that has not answered after so long is told of."""
SHARE = (
    "it does not see the sweep's folder, where checkpoints are kept; put that on a disk that all nodes share (--dir), "
    "or give the sweep a `storage:` that all reach"
)
PACKAGES = ("kerasweep", "keras", "tensorflow")
"""Those whose versions must be the driver's: Ray itself refuses nodes with another Ray or Python."""


def versions() -> dict[str, str]:
    """Return the versions of this process that every node must have."""
    return {name: version(name) for name in PACKAGES}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What every node must have: the versions, and the file that shows that it sees the sweep's folder."""

    versions: Mapping[str, str]
    file: str = ""
    text: str = ""

    def refusal(self, answer: Mapping[str, Any]) -> str:
        """Return what keeps a node that answered so from the sweep, or an empty string."""
        return self._lacks(answer) or (SHARE if self.blind(answer) else "")

    def blind(self, answer: Mapping[str, Any]) -> bool:
        """Say whether it does not see the sweep's folder."""
        return bool(self.file) and answer["text"] != self.text

    def _lacks(self, answer: Mapping[str, Any]) -> str:
        here = answer["versions"]
        wrong = [name for name, wanted in self.versions.items() if here.get(name) != wanted]
        if wrong:
            lacks = [f"{name} {here.get(name) or 'missing'} (the sweep has {self.versions[name]})" for name in wrong]
            return f"it has {', '.join(lacks)}; install the same there"
        return ""


def look(names: tuple[str, ...], file: str) -> dict[str, Any]:
    """Return what a node has. Travels by value: the node may have no Kerasweep."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    try:
        with open(file) as content:
            text = content.read()
    except OSError:
        text = ""
    return {"versions": found, "text": text}


@final
@dataclass(slots=True)
class _Asked:
    answer: Any
    told: bool = False
    since: float = field(default_factory=time.monotonic)


@final
class Members:
    """The cluster's nodes, as they come and go. `room` costs nothing most of the time."""

    def __init__(self, shape: Shape, check: Check, name: str, tell: Callable[[str], None] = lambda _: None) -> None:
        """Get ready; nothing is asked yet.

        Args:
            shape: What a slot takes.
            check: What a node must have.
            name: Begins the names of the sweep's placement groups.
            tell: Hears about each node that is refused, in one line.
        """
        self._shape = shape
        self._check = check
        self._name = name
        self.tell = tell
        self._asked: dict[str, _Asked] = {}
        self._refused: dict[str, str] = {}
        self._avoided: set[str] = set()
        self._blind: list[str] = []
        self._admitted: set[str] = set()
        self._nodes: list[Node] = []
        self._looked_at = -LOOK_S
        self._groups = 0

    # What the engine asks ---------------------------------------------------------------------------------------------

    def room(self) -> int:
        """Return how many trials may be live now: slots that the sweep has, and those that are free."""
        if time.monotonic() - self._looked_at > LOOK_S:
            self.look()
            self._looked_at = time.monotonic()
        return sum(node.fits(self._shape) for node in self.nodes)

    def avoid(self, node: str) -> None:
        """Put no further slot on a node; the last one that is left is used all the same."""
        self._avoided.add(node)

    @property
    def nodes(self) -> list[Node]:
        """The nodes that slots may be put on, as they were when last looked at."""
        admitted = [node for node in self._nodes if node.id in self._admitted]
        return [node for node in admitted if node.id not in self._avoided] or admitted

    @property
    def capacity(self) -> int:
        """How many slots the nodes would have room for if nobody else used them."""
        return sum(replace(node, others={}).fits(self._shape) for node in self.nodes)

    @property
    def blind(self) -> list[str]:
        """The nodes that do not see the sweep's folder."""
        return self._blind

    @property
    def refused(self) -> Mapping[str, str]:
        """Why nodes were refused, by node."""
        return self._refused

    @property
    def settled(self) -> bool:
        """Whether every node that lives has been admitted or refused."""
        return bool(self._nodes) and all(node.id in self._admitted or node.id in self._refused for node in self._nodes)

    # Looking ----------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """See which nodes live and what they use; ask those that are new, hear those that have answered."""
        self._nodes = self.alive()
        for node in self._nodes:
            if node.id not in self._admitted and node.id not in self._refused:
                self._hear(node)
        gone = self._asked.keys() - {node.id for node in self._nodes}
        for name in gone:
            del self._asked[name]

    def alive(self) -> list[Node]:
        """Return the nodes that live, and what others than this sweep use of each."""
        import ray
        from ray._private.state import available_resources_per_node

        alive = [one for one in cast(list[dict[str, Any]], ray.nodes()) if one["Alive"]]
        used = _used(cast(Any, ray).util.placement_group_table(), self._name)
        free = cast(dict[str, dict[str, float]], available_resources_per_node())
        return [_node(one, free, used) for one in alive if one["NodeID"] in free]

    def _hear(self, node: Node) -> None:
        import ray
        from ray.exceptions import RayError, RayTaskError

        if node.id not in self._asked:
            self._asked[node.id] = _Asked(self._ask(node.id))
        asked = self._asked[node.id]
        if not cast(Any, ray).wait([asked.answer], timeout=0)[0]:
            if not asked.told and time.monotonic() - asked.since > ANSWER_S:
                asked.told = True
                self.tell(f"node {node} is not used yet: it has given no answer for {ANSWER_S:g} s")
            return
        del self._asked[node.id]
        try:
            answer = cast(dict[str, Any], ray.get(asked.answer))
        except RayTaskError as error:
            self._refuse(node, f"it cannot run a task: {one_line(str(cast(object, error)), 200)}")
        except RayError:  # it died; if it has not, it is asked again
            return
        else:
            refusal = self._check.refusal(answer)
            if refusal:
                self._blind += [node.id] if self._check.blind(answer) else []
                self._refuse(node, refusal)
            else:
                self._admitted.add(node.id)

    def _refuse(self, node: Node, why: str) -> None:
        self._refused[node.id] = f"node {node} is not used: {why}"
        self.tell(self._refused[node.id])

    def _ask(self, node: str) -> Any:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node, soft=False)
        task = cast(Any, ray).remote(_by_value(look)).options(num_cpus=0, scheduling_strategy=there, max_retries=0)
        return task.remote(tuple(self._check.versions), self._check.file)

    # Placing ----------------------------------------------------------------------------------------------------------

    def request(self) -> Any:
        """Return what Tune makes each slot's placement group from; it goes to nodes that are admitted by then."""
        from ray import tune
        from ray.util.placement_group import placement_group

        bundles, make = [self._shape.bundle], self._group

        class SlotRequest(tune.PlacementGroupFactory):
            """A slot's placement group, with a name by which the sweep knows its own."""

            def to_placement_group(self) -> Any:
                return placement_group(**make())

            def __deepcopy__(self, memo: object) -> Any:
                return self

            def __reduce__(self) -> Any:
                """Travel as the plain request."""
                return tune.PlacementGroupFactory, (bundles,)

        return SlotRequest(bundles)

    def _group(self) -> dict[str, Any]:
        self._groups += 1
        labels = {**self._shape.labels, NODE_LABEL: f"in({','.join(node.id for node in self.nodes)})"}
        return {
            "bundles": [self._shape.bundle],
            "strategy": "STRICT_PACK",
            "name": f"{self._name}-{self._groups}",
            "bundle_label_selector": [labels],
        }


def nodes_of(address: str) -> list[Node]:
    """Return the living nodes of a cluster, and what is in use of each.

    Raises:
        Infrastructure: it cannot be joined.
    """
    with tempfile.TemporaryDirectory(prefix="ks-") as folder:
        session = RaySession(Path(folder), slots=1, address=address)
        try:
            session.wait()
            members = Members(Shape(), Check(versions={}), "")
            return members.alive()
        finally:
            session.close()


def _used(groups: Mapping[str, Mapping[str, Any]], own: str) -> dict[bool, dict[str, dict[str, float]]]:
    """Return what placement groups hold of each node, those of this sweep (True) apart from others."""
    used: dict[bool, dict[str, dict[str, float]]] = {True: {}, False: {}}
    for group in groups.values():
        if group["state"] != "CREATED":
            continue
        mine = str(group["name"]).startswith(f"{own}-")
        for index, node in group["bundles_to_node_id"].items():
            held = used[mine].setdefault(node, {})
            for resource, amount in group["bundles"][index].items():
                held[resource] = held.get(resource, 0.0) + amount
    return used


def _node(
    one: Mapping[str, Any],
    free: Mapping[str, Mapping[str, float]],
    used: Mapping[bool, Mapping[str, Mapping[str, float]]],
) -> Node:
    """Return a node with what others hold: by their placement groups, or by what is missing and not the sweep's own."""
    name, total = str(one["NodeID"]), cast(dict[str, float], one["Resources"])
    mine, theirs = used[True].get(name, {}), used[False].get(name, {})
    missing = {key: amount - free[name].get(key, 0.0) - mine.get(key, 0.0) for key, amount in total.items()}
    others = {key: max(theirs.get(key, 0.0), amount) for key, amount in missing.items()}
    node = Node(id=name, host=str(one["NodeManagerHostname"]), total=total, labels=one.get("Labels") or {})
    return replace(node, others=others)


def _by_value(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function as one of no module, which is pickled whole."""
    from types import FunctionType

    source = cast(FunctionType, function)
    copy = FunctionType(source.__code__, {"__builtins__": __builtins__}, source.__name__, source.__defaults__)
    copy.__module__ = "__main__"
    return copy
