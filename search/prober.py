"""A trainer of `plan`'s own, which builds models on demand; one that hangs or dies is replaced, and said to have."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, final

from ..cluster.forkserver import ForkServer, connect, exit_in_words
from ..cluster.link import Link, LinkClosed
from ..cluster.program import Program
from ..spaces.errors import BadInput, Infrastructure
from ..spaces.trial import Json

ADOPTION_S = 300.0
"""A new trainer loads the user's code and data in this time."""


@final
class Prober:
    """Asks a trainer; to be used with `with`. Nothing is left behind."""

    def __init__(self, program: Program, *, cpu: int, settings: Mapping[str, Json]) -> None:
        """Start the process that imports TensorFlow."""
        self._scratch = Path(tempfile.mkdtemp(prefix="ks-"))
        self._log = self._scratch / "log"
        self._server = ForkServer(self._scratch, program, warm=1, cpu=cpu, log=self._log)
        self._settings = settings
        self._link: Link | None = None
        self._pid = 0

    def __enter__(self) -> Prober:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes and remove their files."""
        self._server.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def wait(self) -> None:
        """Wait until TensorFlow and the user's code are imported and the data is loaded.

        Raises:
            BadInput: the code cannot be used.
            Infrastructure: the process died.
        """
        verdict = self._server.checked()
        if verdict["type"] == "refused":
            raise BadInput(f"the model's code cannot be used: {verdict['reason']}")

    def ask(self, question: str, params: Mapping[str, Json], timeout_s: float) -> dict[str, Any]:
        """Return the trainer's answer, or `{"failed": …}` where it hangs or dies; the next question has a new trainer.

        Args:
            question: `rehearse` or `probe`.
            params: The point, by identity.
            timeout_s: After so many seconds a trainer counts as hanging.
        """
        link = self._link or self._adopt()
        try:
            link.send({"type": question, "settings": self._settings, "params": params})
            answer = link.receive(timeout_s)
        except LinkClosed:
            return self._lost(self._end(kill=False))
        if answer is None:
            self._end(kill=True)
            return self._lost(f"took more than {timeout_s:.0f} s and was ended")
        return answer

    def _adopt(self) -> Link:
        link = connect(self._server.socket, {"type": "adopt", "spare": False, "environment": {}})
        verdict = None
        with suppress(LinkClosed):
            verdict = link.receive(ADOPTION_S)
        if verdict is None or verdict["type"] != "ready":
            link.close()
            raise Infrastructure("a trainer could not load the model's code and data a second time")
        self._pid = int(verdict["pid"])
        link.send({"type": "setup", "gpu": 0, "log": str(self._log)})
        self._link = link
        return link

    def _end(self, *, kill: bool) -> str:
        """Let go of the trainer; return how it ended."""
        if kill:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        if self._link is not None:
            self._link.close()
        self._link = None
        status = connect(self._server.socket, {"type": "status", "pid": self._pid})
        answer = status.receive(10.0)
        status.close()
        return f"the process {exit_in_words(None if answer is None else answer['exit'])}"

    def _lost(self, how: str) -> dict[str, Any]:
        return {"type": "probed", "failed": how, "lost": True, "specs": [], "params": {}, "findings": []}
