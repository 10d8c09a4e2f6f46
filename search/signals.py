"""What the signals that end a program mean to the command line and to the driver."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, final

Handler = Callable[[int, FrameType | None], Any] | int | None
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@final
class Interrupt(BaseException):
    """A signal came while nothing was running that would have to be told of it."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def exit_code(number: int) -> int:
    """Return the exit code of a command that a signal has ended."""
    return 143 if number == signal.SIGTERM else 130


def handle(handler: Callable[[int, FrameType | None], None]) -> dict[int, Handler]:
    """Handle the ending signals from now on; a hang-up that is ignored, as under `nohup`, stays so.

    Returns:
        The handlers before, by signal.
    """
    before: dict[int, Handler] = {number: signal.getsignal(number) for number in ENDING}
    for number in ENDING:
        if number != signal.SIGHUP or before[number] is not signal.SIG_IGN:
            signal.signal(number, handler)
    return before


def restore(before: dict[int, Handler]) -> None:
    """Let the handlers that `handle` has returned be the ones again."""
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise `Interrupt`: the handler of a process that holds nothing which must be ended in an order.

    Raises:
        Interrupt: always.
    """
    del frame
    raise Interrupt(exit_code(number))
