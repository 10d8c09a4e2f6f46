"""The terminal: whatever is printed there comes out as text.

Names of metrics, values of parameters and messages of exceptions are the user's, or those of whoever wrote the model:
none of it is taken for markup, and no control character in it reaches the terminal.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from typing import Any, final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

KEPT = "\n\t"
ESCAPED = re.compile(r"[^\n\x20-\x7e]")


@final
class Terminal(Console):
    """A console on which only its own styles are styles.

    Cleaned is what a renderable has come to, after the styles were told from the text and before they are written, so
    that no way of printing can be forgotten.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does, with the texts cleaned; its own control codes are segments of another kind."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def printable(text: str) -> str:
    """Return the text without control characters, marks of direction and the like; ends of lines and tabs stay."""
    if text.isprintable():
        return text
    return "".join(char for char in text if char.isprintable() or char in KEPT)


def escaped_json(text: str) -> str:
    r"""Return JSON in which every character that could act on a terminal is written as `\u202e` is."""
    return ESCAPED.sub(lambda found: _escape(found[0]), text)


def _escape(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + ((code - 0x10000) >> 10):04x}\\u{0xDC00 + ((code - 0x10000) & 0x3FF):04x}"


def echo(text: str) -> None:
    """Print plain text."""
    sys.stdout.write(printable(text) + "\n")


def echo_json(data: Any) -> None:
    """Print JSON."""
    sys.stdout.write(escaped_json(json.dumps(data, indent=1, ensure_ascii=False, default=str)) + "\n")
