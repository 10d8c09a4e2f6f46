"""YAML text as a tree that knows where each of its pieces stands.

Built from the parser's events, with a stack of our own: no tag is ever acted on, no type is guessed beyond YAML 1.2's
core schema (`1e-3` is a number, `no` is text), and what could be huge is bounded before it is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, final

from .bad_form import shown
from .errors import did_you_mean, one_line
from .trial import Scalar
from .yaml_tree import Node, Place

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_NODES = 10_000
MAX_DIGITS = 18

NULLS = ("", "~", "null", "Null", "NULL")
SWITCHES = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
WHOLE = re.compile(r"[-+]?[0-9]+", re.ASCII)
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def read(path: Path, source: str) -> Node:
    """Return the tree of a file, whose places name it `source`.

    Raises:
        BadInput: there is no such file, or it is not YAML.
    """
    place = Place(0, 0, source)
    try:
        data = _bytes(path, place)
    except (OSError, ValueError) as error:
        raise place.fault(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_BYTES:
        raise Place(1, 1, source).fault(f"too large; expected at most {MAX_BYTES // 1_000_000} MB")
    return parse(_decoded(data, source), source)


def parse(text: str, source: str) -> Node:
    """Return the tree of a text.

    Raises:
        BadInput: it is not YAML, or holds what is not allowed.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.reader import ReaderError

    text = text.removeprefix("\ufeff")
    try:
        events = cast(Iterator[Any], YAML(typ="safe", pure=True).parse(text))
        return _Reader(events, source).document()
    except MarkedYAMLError as error:
        mark = cast(Any, error.problem_mark or error.context_mark)
        problem = one_line(str(cast(Any, error.problem or error.context))).replace(r"'\x00'", "the end")
        hint = "; a tab cannot indent YAML, use spaces" if r"'\t'" in problem else ""
        raise Place(mark.line + 1, mark.column + 1, source).fault(f"this is not YAML: {problem}{hint}") from error
    except ReaderError as error:
        place = _counted(text[: cast(int, error.position)], source)
        raise place.fault(f"the character U+{ord(text[error.position]):04X} is not allowed; expected text") from error
    except (ValueError, OverflowError) as error:  # the scanner's own, as over "\\UFFFFFFFF"
        raise Place(1, 1, source).fault(f"this is not YAML: {error}") from error


def _bytes(path: Path, place: Place) -> bytes:
    """Return the file's bytes, at most one more than are allowed."""
    if path.is_dir():
        inside = sorted(path.glob("*.y*ml"), key=lambda one: (one.stem != "sweep", one.name))
        hint = f" (did you mean {str(Path(place.source, inside[0].name))!r}?)" if inside else ""
        raise place.fault(f"this is a folder; expected a sweep file{hint}")
    if not path.exists():
        near = did_you_mean(path.name, [one.name for one in path.parent.glob("*.y*ml")])
        raise place.fault(f"there is no such file; `kerasweep init` writes one to start from{near}")
    if not path.is_file():
        raise place.fault("this is not a file; expected a sweep file")
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _decoded(data: bytes, source: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        raise _counted(before, source).fault(f"byte 0x{data[error.start]:02x} is not UTF-8; save it as UTF-8") from None


def _counted(before: str, source: str) -> Place:
    """Return the place after the text `before`."""
    lines = re.split(r"\r\n|\r|\n", before)
    return Place(len(lines), len(lines[-1]) + 1, source)


@final
class _Reader:
    """Builds nodes out of the parser's events; holds the events, the anchors and the count of nodes."""

    def __init__(self, events: Iterator[Any], source: str) -> None:
        self._events = events
        self._source = source
        self._anchors: dict[str, Node] = {}
        self._count = 0

    def document(self) -> Node:
        """Return the one document's root."""
        start = next(self._events)
        event = self._next()
        if event is None:
            raise self._place(start).fault("the file is empty; expected `model:`, `objective:`, `budget:` and so on")
        root = self._node(event, 0)
        if (more := self._next()) is not None:
            raise self._place(more).fault("a second document begins here; expected one")
        return root

    def _next(self) -> Any:
        """Return the next event that says something; None at the end of the text."""
        for event in self._events:
            if not type(event).__name__.startswith(("Document", "Stream")):
                return event
        return None

    def _place(self, event: Any) -> Place:
        return Place(event.start_mark.line + 1, event.start_mark.column + 1, self._source)

    def _node(self, event: Any, depth: int) -> Node:
        place = self._place(event)
        node = self._alias(event, place) if type(event).__name__ == "AliasEvent" else self._fresh(event, place, depth)
        if depth + node.height > MAX_DEPTH:
            raise place.fault(f"nested too deeply; expected at most {MAX_DEPTH} levels")
        if event.anchor and type(event).__name__ != "AliasEvent":
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any, place: Place) -> Node:
        if event.anchor not in self._anchors:
            raise place.fault(f"the alias {one_line(event.anchor)!r} has no anchor before it")
        node = self._anchors[event.anchor]
        self._grow(node.size, place)
        return replace(node, key=place)

    def _fresh(self, event: Any, place: Place, depth: int) -> Node:
        self._grow(1, place)
        if event.tag is not None:
            raise place.fault(f"the tag {one_line(str(event.tag))!r} is not allowed; expected plain values")
        kind = type(event).__name__
        if kind == "ScalarEvent":
            return Node(content=_resolved(event, place), place=place, key=place)
        if depth >= MAX_DEPTH:
            raise place.fault(f"nested too deeply; expected at most {MAX_DEPTH} levels")
        if kind == "SequenceStartEvent":
            return _container(tuple(self._items(depth)), place)
        return _container(self._entries(depth), place)

    def _grow(self, by: int, place: Place) -> None:
        self._count += by
        if self._count > MAX_NODES:
            raise place.fault(f"too long; expected at most {MAX_NODES} values, aliases counted")

    def _items(self, depth: int) -> Iterator[Node]:
        while type(event := self._next()).__name__ != "SequenceEndEvent":
            yield self._node(event, depth + 1)

    def _entries(self, depth: int) -> dict[Any, Node]:
        entries: dict[Any, Node] = {}
        while type(event := self._next()).__name__ != "MappingEndEvent":
            key = self._node(event, depth + 1)
            if key.content is None or isinstance(key.content, tuple | Mapping):
                raise key.place.fault(f"a key is {shown(key.plain())}; expected a name")
            if key.content in entries:
                first = entries[key.content].key.line
                raise key.place.fault(
                    f"duplicate key {shown(key.content)}; expected it once, it is on line {first} too"
                )
            value = self._node(self._next(), depth + 1)
            place = key.place if value.content is None else value.place  # an empty one stands nowhere
            entries[key.content] = replace(value, place=place, key=key.place)
        return entries


def _container(content: tuple[Node, ...] | Mapping[Any, Node], place: Place) -> Node:
    below = content if isinstance(content, tuple) else tuple(content.values())
    size = 1 + sum(node.size for node in below)
    return Node(
        content=content, place=place, key=place, size=size, height=1 + max((one.height for one in below), default=0)
    )


def _resolved(event: Any, place: Place) -> Scalar | None:
    """Return a scalar by YAML 1.2's core schema."""
    text = str(event.value)
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        raise place.fault("the text holds a character that cannot be stored; expected plain text")
    if event.style:
        return text
    if text in NULLS:
        return None
    if text in SWITCHES:
        return SWITCHES[text]
    if WHOLE.fullmatch(text) or OTHER_BASE.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise place.fault(f"{shown(text)} is too large; expected a number of at most {MAX_DIGITS} digits")
        return int(text, 0) if OTHER_BASE.fullmatch(text) else int(text)
    if NOT_FINITE.fullmatch(text):
        raise place.fault(f"{text} is not a number to search with; expected a finite one")
    if FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise place.fault(f"{shown(text)} is too large; expected a finite number")
        return number
    return text
