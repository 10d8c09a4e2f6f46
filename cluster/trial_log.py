"""Whose lines are whose in a trainer's log, which all of its trials write to."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator

MARK = re.compile(r"=== trial (\d+), attempt \d+, .* ===")


def mark(number: int, attempt: int) -> None:
    """Write to the standard output, in one piece, that the lines of a trial begin here."""
    os.write(1, f"=== trial {number}, attempt {attempt}, {time.strftime('%F %T')} ===\n".encode())


def of_trial(lines: Iterable[str], number: int) -> Iterator[str]:
    """Yield the lines of a trial, its marks among them; there is one for each time that this trainer began it."""
    inside = False
    for line in lines:
        found = MARK.fullmatch(line.rstrip("\n"))
        inside = int(found[1]) == number if found else inside
        if inside:
            yield line
