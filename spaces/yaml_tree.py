"""A tree of YAML that knows where each of its pieces stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from .errors import BadInput, one_line
from .trial import Scalar

PASSWORD = re.compile(
    r"(?<=//)\S+(?=@)"  # user:password@
    r"|(?<=[?&;])[^=&;\s]*(?i:passw|pwd|secret|token|key)[^=&;\s]*=[^&;\s'\"]*"  # a key of the query and its value
)


@final
@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a piece stands: `sweep.yaml:7:3`, or an override, which is one place."""

    line: int
    column: int
    source: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source

    def fault(self, message: str) -> BadInput:
        """Return the error whose one line names this place; no password gets into it."""
        return BadInput(one_line(PASSWORD.sub("***", f"{self}: {message}")))


Content = Scalar | None | tuple["Node", ...] | Mapping[Any, "Node"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A piece of the text; `key` is where its key stands, `size` and `height` measure all that is below."""

    content: Content
    place: Place
    key: Place
    size: int = 1
    height: int = 0

    def plain(self) -> Any:
        """Return it as plain data."""
        if isinstance(self.content, tuple):
            return [node.plain() for node in self.content]
        if isinstance(self.content, Mapping):
            return {key: node.plain() for key, node in self.content.items()}
        return self.content

    def child(self, key: object) -> Node | None:
        """Return the piece at a key or an index, if there is one."""
        if isinstance(self.content, tuple):
            return self.content[key] if isinstance(key, int) and 0 <= key < len(self.content) else None
        return self.content.get(key) if isinstance(self.content, Mapping) else None

    def at(self, path: tuple[object, ...]) -> Node:
        """Return the piece at `path`, or the last one on the way to it."""
        node = self
        for key in path:
            child = node.child(key)
            if child is None:
                return node
            node = child
        return node
