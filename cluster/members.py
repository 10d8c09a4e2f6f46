"""The nodes of a cluster that a sweep has joined: each is looked at before a slot is put there, and room for slots is known.

A node is admitted when a task on it has answered: it has this Kerasweep and sees the sweep's folder. Others are refused
with one line; a node that gives no answer is asked again when it is back.

Sweeps share a cluster evenly. One that has less than its part waits in Ray's line with one trial; one that has more
gives a slot up at the end of a trial when a peer waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast, final

from ..spaces.errors import one_line
from .census import PREFIX, Census, share_of, take_census
from .placement import NODE_LABEL, Node, Shape
from .versions import difference

LOOK_S = 0.5
"""The cluster is looked at so often."""
WARM = 8
"""Not more processes than this are started on a node before there are trials for them."""
ANSWER_S = 60.0
"""A node that has not answered after so long is told of."""
SHARE = (
    "it does not see the sweep's folder, where checkpoints are kept; put that on a disk that all nodes share (--dir), "
    "or give the sweep a `storage:` that all reach"
)
REACH = (
    "it does not reach `storage: {storage}`, where checkpoints are kept{why}; expected a folder that all nodes share, or a "
    "URL that each of them can open"
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What every node must have: the versions, and the file that shows that it sees where checkpoints are kept.

    A `file` that is a URL need not be there, but be reached; `storage` is what the sweep has as such.
    """

    versions: Mapping[str, str]
    file: str = ""
    text: str = ""
    storage: str = ""

    def refusal(self, answer: Mapping[str, Any]) -> str:
        """Return what keeps a node that answered so from the sweep, or an empty string."""
        lacks = difference(self.versions, answer["versions"])
        if lacks:
            return f"it has {lacks}; install the same there"
        why = f" ({one_line(answer['why'], 200)})" if answer.get("why") else ""
        return (REACH.format(storage=self.storage, why=why) if self.storage else SHARE) if self.blind(answer) else ""

    def blind(self, answer: Mapping[str, Any]) -> bool:
        """Say whether it does not see where checkpoints are kept."""
        return bool(self.file) and (bool(answer.get("why")) or answer["text"] != self.text)


def look(names: tuple[str, ...], file: str) -> dict[str, Any]:
    """Return what a node has. Travels by value: the node may have no Kerasweep."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    text = why = ""
    try:
        if "://" in file:
            import fsspec

            core: Any = fsspec.core
            system, path = core.url_to_fs(file)
            system.ls(path)
        elif file:
            with open(file) as content:
                text = content.read()
    except FileNotFoundError:  # of a URL: nobody has written there yet
        pass
    except Exception as error:  # a file system has its own
        why = str(error) if isinstance(error, ImportError) else type(error).__name__  # the rest may quote a secret
    return {"versions": found, "text": text, "why": why}


@final
@dataclass(slots=True)
class _Asked:
    answers: list[Any]
    told: bool = False
    since: float = field(default_factory=time.monotonic)


@final
class Members:
    """The cluster's nodes, as they come and go. What is asked often costs nothing most of the time."""

    def __init__(
        self,
        shape: Shape,
        check: Check,
        sweep: str,
        tell: Callable[[str], None] = lambda _: None,
        census: Callable[[str], Census] = take_census,
    ) -> None:
        """Get ready; nothing is asked yet.

        Args:
            shape: What a slot takes.
            check: What a node must have.
            sweep: The name under which the sweep's slots are known to its peers; no other has it.
            tell: Hears about each node that is refused, in one line.
            census: Looks at the cluster.
        """
        self._shape = shape
        self._check = check
        self._name = f"{PREFIX}{sweep}"
        self._take_census = census
        self.tell = tell
        self._asked: dict[str, _Asked] = {}
        self._refused: dict[str, str] = {}
        self._avoided: Collection[str] = ()
        self.avoided: Callable[[Collection[str]], Collection[str]] = lambda _: ()
        """Says which of the nodes, by name, get no further slot; where no other is left they are used all the same."""
        self._blind: list[str] = []
        self._admitted: set[str] = set()
        self._now = Census()
        self._looked_at = -LOOK_S
        self._idle_since: float | None = None
        self._groups = 0

    # What the engine asks ---------------------------------------------------------------------------------------------

    def room(self) -> int:
        """Return how many trials may be live now: the slots that the sweep has and those that are free.

        With peers it is the sweep's part where one of them waits, and one more than there is where the sweep has less.
        """
        self._look_again()
        fits = sum(node.fits(self._shape) for node in self.nodes)
        part = self._part()
        if fits < part:
            return fits + 1
        return part if self._now.wanting else fits

    def surplus(self, placed: int) -> bool:
        """Say whether a slot that has had nothing to do for a while is to be given up, since a peer waits for one."""
        self._look_again()
        idle = self._now.wanting and self._now.held > max(placed, self._part())
        if not idle:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > 2 * LOOK_S:
            self._idle_since = None
            return True
        return False

    @property
    def nodes(self) -> list[Node]:
        """The nodes that slots may be put on, as they were when last looked at."""
        admitted = [node for node in self._now.nodes if node.id in self._admitted]
        return [node for node in admitted if node.name not in self._avoided] or admitted

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
        return bool(self._now.nodes) and all(self._known(node) for node in self._now.nodes)

    def _part(self) -> int:
        return share_of(self.nodes, self._shape, 1 + len(self._now.peers)) if self._now.peers else 1

    def reshape(self, shape: Shape) -> None:
        """Let slots take something else from now on; those that are there are gone by then."""
        self._shape = shape

    # Looking ----------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """See which nodes live and what they use; ask those that are new, hear those that have answered."""
        self._looked_at = time.monotonic()
        self._now = self._take_census(self._name)
        for node in self._now.nodes:
            if not self._known(node):
                self._hear(node)
        for name in self._asked.keys() - {node.id for node in self._now.nodes}:
            del self._asked[name]
        self._avoided = self.avoided([node.name for node in self._now.nodes if node.id in self._admitted])

    def _look_again(self) -> None:
        if time.monotonic() - self._looked_at > LOOK_S:
            self.look()

    def _known(self, node: Node) -> bool:
        return node.id in self._admitted or node.id in self._refused

    def _hear(self, node: Node) -> None:
        import ray
        from ray.exceptions import RayError, RayTaskError

        if node.id not in self._asked:
            self._asked[node.id] = _Asked(self._ask(node))
        asked = self._asked[node.id]
        ready, _ = cast(Any, ray).wait(asked.answers, num_returns=1, timeout=0)
        if not ready:
            if not asked.told and time.monotonic() - asked.since > ANSWER_S:
                asked.told = True
                self.tell(f"node {node} is not used yet: it has given no answer for {ANSWER_S:g} s")
            return
        del self._asked[node.id]
        try:
            answer = cast(dict[str, Any], ray.get(ready[0]))
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

    def _ask(self, node: Node) -> list[Any]:
        """Ask once for each slot that the node has room for: the processes that answer become its first actors."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node.id, soft=False)
        task = cast(Any, ray).remote(_by_value(look)).options(num_cpus=0, scheduling_strategy=there, max_retries=0)
        packages, file = tuple(self._check.versions), self._check.file
        return [task.remote(packages, file) for _ in range(max(1, min(WARM, node.fits(self._shape))))]

    # Placing ----------------------------------------------------------------------------------------------------------

    def request(self) -> Any:
        """Return what Tune makes each slot's placement group from; it goes to no node that is refused by then."""
        from ray import tune
        from ray.util.placement_group import placement_group

        bundles, group = [self._shape.bundle], self.group

        class SlotRequest(tune.PlacementGroupFactory):
            """A slot's placement group, with a name by which the sweep knows its own."""

            def to_placement_group(self) -> Any:
                return placement_group(bundles, strategy="STRICT_PACK", **group())

            def __deepcopy__(self, memo: object) -> Any:
                return self

            def __reduce__(self) -> Any:
                """Travel as the plain request."""
                return tune.PlacementGroupFactory, (bundles,)

        return SlotRequest(bundles)

    def group(self) -> dict[str, Any]:
        """Return name and nodes of one more placement group.

        It names the nodes that it may not be on: a group that waits while nodes come can still go to those.
        """
        self._groups += 1
        usable = {node.id for node in self.nodes}
        closed = sorted(node.id for node in self._now.nodes if node.id not in usable)
        labels = {**self._shape.labels, **({NODE_LABEL: f"!in({','.join(closed)})"} if closed else {})}
        selector = {"bundle_label_selector": [labels]} if labels else {}
        return {"name": f"{self._name}:{self._groups}", **selector}


def _by_value(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function as one of no module, which is pickled whole."""
    from types import FunctionType

    source = cast(FunctionType, function)
    copy = FunctionType(source.__code__, {"__builtins__": __builtins__}, source.__name__, source.__defaults__)
    copy.__module__ = "__main__"
    return copy
