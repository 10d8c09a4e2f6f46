"""What a launcher hands to a driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

SCRATCH = "KERASWEEP_SCRATCH"
"""Marks, in the environment, the processes that end with their driver."""
ALIVE = "driver.lock"
"""In the scratch folder: held by the driver for as long as it lives."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a driver is to do. `staging` is the folder that becomes `folder`; empty when the sweep is resumed.

    `scratch` is a short-lived folder for sockets and Ray's files. `force` runs it whatever a look at it finds.
    """

    spec: Mapping[str, Any]
    program: Mapping[str, Any]
    folder: str
    staging: str = ""
    scratch: str = ""
    track: bool = True
    force: bool = False
    origin: Mapping[str, str] | None = None
