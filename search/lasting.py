"""A terminal that may go away: whoever wrote to it goes on, and writes to nobody."""

from __future__ import annotations

import os
import sys
from typing import IO, Any, cast, final

from .terminal import Terminal


@final
class Lasting:
    """A text file whose reader may leave: from then on its descriptor leads nowhere."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Write, if anybody reads."""
        try:
            return self._file.write(text)
        except OSError:
            self._lead_nowhere()
            return len(text)

    def flush(self) -> None:
        """Flush, if anybody reads."""
        try:
            self._file.flush()
        except OSError:
            self._lead_nowhere()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def _lead_nowhere(self) -> None:
        """What Python still holds is written there, too, also when it flushes at its end."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._file.fileno())
        os.close(nowhere)


def lasting_terminal(*, stderr: bool = False) -> Terminal:
    """Return the terminal of a command that outlives its readers."""
    return Terminal(file=cast(IO[str], Lasting(sys.stderr if stderr else sys.stdout)), stderr=stderr)
