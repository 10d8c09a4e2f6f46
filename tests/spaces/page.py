"""The tables of `docs/building-blocks.md`, as the code has them; `python -m tests.spaces.page` writes them anew."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from kerasweep import spaces
from tests.branches import describe

from .blocks import BLOCKS, Asked, explore

PAGE = Path(__file__).resolve().parents[2] / "docs" / "building-blocks.md"
NESTED = ("mlp", "cnn", "recurrent", "transformer", "resnet")
BEGIN, END = "<!-- written by python -m tests.spaces.page -->\n", "<!-- to here -->\n"


def tables() -> str:
    """Return a section for each block: what it does, its parameters, its sources."""
    return "\n".join(_section(name) for name in BLOCKS if name not in ("classifier", "regressor"))


def _section(name: str) -> str:
    function = getattr(spaces, name)
    text = inspect.getdoc(function) or ""
    found = re.search(r"Sources:\n(.*?)\n\n", text, re.DOTALL)
    sources = " ".join(found[1].split()) if found else ""
    rows = "\n".join(_rows(explore(name)[0]))
    return (
        f"### `{name}`\n\n{text.splitlines()[0]}\n\n| Parameter | Range (default) | Asked when |\n| --- | --- | --- |\n"
        f"{rows}\n\nSources: {sources}\n"
    )


def _rows(found: dict[str, Asked]) -> list[str]:
    """Return a row for each parameter of a block's own; `units_0`, `units_1` … are one."""
    rows: dict[str, str] = {}
    for name, one in found.items():
        scope, _, rest = name.partition("/")
        if any(part in NESTED for part in rest.split("/")) and scope not in NESTED:
            continue
        shown = re.sub(r"_\d+$", "_<i>", re.sub(r"^heads/\w+/", "heads/<output>/", name))
        when = ", ".join(f"`{parent.split('/')[-1]}` is {value}" for parent, value in one.when.items())
        rows.setdefault(shown, f"| `{shown}` | {describe(one.parameter)} | {when or 'at the defaults'} |")
    return list(rows.values())


def written() -> str:
    """Return the tables that the page has."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + tables() + END + rest.partition(END)[2])
