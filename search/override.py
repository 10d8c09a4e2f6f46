"""One value of a sweep file set from outside, as `--set key.sub=value` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..spaces.errors import BadInput, one_line
from ..spaces.yaml_form import shown
from ..spaces.yaml_text import parse
from ..spaces.yaml_tree import Node, Place

LONG = 100
"""Of a longer setting the message shows the beginning."""


def override(root: Node, setting: str) -> Node:
    """Return the tree with one `key.sub=value` set, its value read as YAML.

    Raises:
        BadInput: it does not read so.
    """
    place = Place(0, 0, f"--set {one_line(setting, LONG)}")
    path, equals, text = setting.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise place.fault("not understood; expected `key=value`, as in `--set fit.epochs=3`")
    if text.strip():
        try:
            value = parse(text, "")
        except BadInput as error:
            raise place.fault(str(error).partition(": ")[2]) from error
    else:
        value = Node(content=None, place=place, key=place)
    return _set(root, keys, _moved(value, place), place)


def _moved(node: Node, place: Place) -> Node:
    """Return the node as standing, with all below, at `place`."""
    content = node.content
    if isinstance(content, tuple):
        content = tuple(_moved(child, place) for child in content)
    elif isinstance(content, Mapping):
        content = {key: _moved(child, place) for key, child in content.items()}
    return replace(node, content=content, place=place, key=place)


def _set(node: Node, keys: list[str], value: Node, place: Place) -> Node:
    if not keys:
        return value
    entries: Mapping[Any, Node] = {}
    if isinstance(node.content, Mapping):
        entries = node.content
    elif node.content is not None:
        raise place.fault(f"there is no {keys[0]!r} in {shown(node.plain())}; expected a mapping, so set it whole")
    name = keys[0]
    below = entries.get(name, Node(content=None, place=place, key=place))
    return replace(node, content={**entries, name: _set(below, keys[1:], value, place)})
