"""What a checkpoint is: whose, of which epoch, which files with which hashes; and its written form, the manifest.

    <SHA-256 of what follows, in hexadecimal> {"format": 1, "trial": …, "epoch": …, "parts": {…}}

Nothing that a checkpoint consists of is parsed before its hash is known to be right, and nothing in it is code.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from ..spaces.trial import Assignment, Scalar

FORMAT = 1
MANIFEST_BYTES = 1_000_000
"""No manifest is longer; what is longer is none."""
_NAME = re.compile(r"(\d{6,})-(\d+)\.json")
_PART = re.compile(r"\d{6,}-\d+-[a-z][a-z.0-9]*")


class Damaged(Exception):
    """What was read is not what was written, or belongs elsewhere; the message says what is wrong with it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of a checkpoint."""

    file: str
    bytes: int
    sha256: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A trial after `epoch` epochs, as `attempt` left it."""

    trial: str
    epoch: int
    attempt: int
    parts: Mapping[str, Part]

    @property
    def manifest(self) -> str:
        """The manifest's name; those of a trial sort by epoch, then by attempt."""
        return f"{self.epoch:06d}-{self.attempt}.json"

    def encode(self) -> bytes:
        """Return the manifest."""
        body = {
            "format": FORMAT,
            "trial": self.trial,
            "epoch": self.epoch,
            "attempt": self.attempt,
            "parts": {name: [part.file, part.bytes, part.sha256] for name, part in self.parts.items()},
        }
        text = json.dumps(body, separators=(",", ":")).encode()
        return f"{hashlib.sha256(text).hexdigest()} ".encode() + text

    @classmethod
    def decode(cls, data: bytes, trial: str) -> Checkpoint:
        """Return the checkpoint whose manifest this is.

        Args:
            data: What was read.
            trial: Whose it must be, as `identity_of` says.

        Raises:
            Damaged: it is no whole manifest of that trial that this version can read.
        """
        told, _, text = data.partition(b" ")
        if len(data) > MANIFEST_BYTES or told != hashlib.sha256(text).hexdigest().encode():
            raise Damaged("its manifest is not what was written")
        body: dict[str, Any] = json.loads(text)
        if body["format"] != FORMAT:
            raise Damaged(f"it is of format {body['format']}, this version of kerasweep reads format {FORMAT}")
        if body["trial"] != trial:
            raise Damaged("it is another trial's, or of other parameters")
        parts = {name: Part(file=file, bytes=size, sha256=sha) for name, (file, size, sha) in body["parts"].items()}
        if not all(_PART.fullmatch(part.file) for part in parts.values()):
            raise Damaged("it names files that are not its own")
        return cls(trial=trial, epoch=body["epoch"], attempt=body["attempt"], parts=parts)


def identity_of(assignment: Assignment) -> str:
    """Return what is the same for all attempts of one trial, and differs between any two trials."""
    return identity_of_trial(assignment.number, assignment.seed, assignment.params)


def identity_of_trial(number: int, seed: int, params: Mapping[str, Scalar]) -> str:
    """Return the same of a trial's number, its seed and its parameters by identity."""
    told = json.dumps([number, seed, dict(params)], sort_keys=True)
    return f"{number}:{hashlib.sha256(told.encode()).hexdigest()}"


def place_of(name: str) -> tuple[int, int] | None:
    """Return the epoch and the attempt that a manifest's name tells; None for other names."""
    found = _NAME.fullmatch(name)
    return None if found is None else (int(found[1]), int(found[2]))


def part_name(epoch: int, attempt: int, suffix: str) -> str:
    """Return the file name of a part."""
    return f"{epoch:06d}-{attempt}-{suffix}"
