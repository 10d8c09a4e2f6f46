"""What the core is asked beside the journaled events, and the commands that it answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from ..spaces.trial import Outcome
from ..trackers.events import Donor, SlotsPacked, SweepClosing
from .state import State

# Questions that are not journaled ------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class SlotFree:
    """A slot has nothing to do."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed."""

    at: float


# Commands --------------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Ask:
    """Propose parameters for a new trial of this number; or train `confirms` again, or go on as an `heir` does."""

    number: int
    confirms: int | None = None
    heir: Donor | None = None


@final
@dataclass(frozen=True, slots=True)
class Start:
    """Give this waiting trial to the slot."""

    number: int


@final
@dataclass(frozen=True, slots=True)
class Wait:
    """There is nothing for the slot now, but there may be; `last`: only if one of those that run is to run again."""

    last: bool = False


@final
@dataclass(frozen=True, slots=True)
class Finish:
    """The sweep is over."""

    why: str
    exit_code: int


@final
@dataclass(frozen=True, slots=True)
class End:
    """The trial is over: journal this outcome, and stop it where it still trains."""

    number: int
    outcome: Outcome


@final
@dataclass(frozen=True, slots=True)
class Close:
    """Ask for no further trial: journal this."""

    event: SweepClosing


@final
@dataclass(frozen=True, slots=True)
class Pack:
    """Let slots take another share of a graphics processor: journal this."""

    event: SlotsPacked


Command = Ask | Start | Wait | Finish | End | Close | Pack
Step = tuple[State, tuple[Command, ...]]
