"""Plain data as YAML text that `yaml_text` reads back to the letter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import StringIO
from typing import Any, cast

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*", re.ASCII)
"""Text that needs no quotes, but for the words that mean something else."""
WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
SHORT = 100
"""Characters of what stands on one line."""


def written(data: Mapping[str, Any]) -> str:
    """Return the data as YAML: what is short on one line, what is long with a line for each of its pieces."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 100_000
    yaml.allow_unicode = True
    text = StringIO()
    yaml.dump(_laid_out(data, top=True), text)
    return text.getvalue()


def _laid_out(value: Any, *, top: bool = False) -> Any:
    """Return what ruamel.yaml writes as it stands: quotes where needed, small pieces on one line."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, Mapping):
        entries = cast(Mapping[Any, Any], value)
        laid = CommentedMap({_laid_out(key): _laid_out(below) for key, below in entries.items()})
        if not top and len(repr(entries)) < SHORT:
            laid.fa.set_flow_style()
        return laid
    if isinstance(value, list | tuple):
        listed = list(cast(list[Any], value))
        items = CommentedSeq([_laid_out(one) for one in listed])
        if len(repr(listed)) < SHORT:
            items.fa.set_flow_style()
        return items
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    return DoubleQuotedScalarString(value)
