"""What can go wrong, as one tree; each class carries the exit code of the command that it ends.

    KerasweepError
    ├── BadInput          2   what the user wrote or asked for cannot be done as it stands
    ├── NoTrialSucceeded  1   the sweep ran, but has no trial to show
    ├── Infrastructure    3   a machine, a cluster or a tracker failed; the sweep can be resumed
    │   └── TrackerBehind 3   the sweep is done, MLflow does not have all of it yet
    ├── SweepHeld         4   another driver holds the sweep
    └── Infeasible        -   raised by a model: this configuration cannot be built, propose another

A message is one line: what happened, what was expected or is safe, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class KerasweepError(Exception):
    """The root of all errors that Kerasweep raises on purpose."""

    exit_code: ClassVar[int] = 3


class BadInput(KerasweepError):
    """What the user wrote or asked for cannot be done as it stands."""

    exit_code = 2


class NoTrialSucceeded(KerasweepError):
    """The sweep ran, but no trial has a value."""

    exit_code = 1


class Infrastructure(KerasweepError):
    """A machine, a cluster or a tracker failed under a sweep that is otherwise fine."""

    exit_code = 3


class TrackerBehind(Infrastructure):
    """The sweep is done and safe, but the tracker does not have all of it yet."""


class SweepHeld(KerasweepError):
    """Another driver holds the sweep."""

    exit_code = 4


class Infeasible(KerasweepError):
    """Raised by a model for a configuration that cannot be built: it costs no budget, another one is proposed."""


def lacking(error: ImportError) -> str:
    """Return what to do about a library that is not there, or not the one that was expected."""
    what = (error.name or "a library").partition(".")[0]
    lost = isinstance(error, ModuleNotFoundError)
    how = "is not installed" if lost else f"is not the version that kerasweep needs ({error})"
    return f"{what} {how}: `pip install --upgrade --force-reinstall kerasweep` mends the installation"


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the valid name nearest to `name`, or an empty string."""
    matches = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.6)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def one_line(text: str, limit: int = 500) -> str:
    """Return `text` on one line of at most `limit` characters, control characters removed."""
    flat = " ".join(text.split())
    clean = "".join(char for char in flat if char.isprintable())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
