"""A trial's checkpoints: committed by their manifest, verified, the newest two kept; damaged ones are passed over."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from .checkpoint import MANIFEST_BYTES, Checkpoint, Damaged, Part, part_name, place_of
from .checkpoint_files import Files

KEPT = 2
"""So many checkpoints of a running trial stay: the last, and the one before for where the last is damaged."""
CHUNK_BYTES = 1 << 20


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What there is to go on from: a checkpoint with local paths of its parts, or none; and what was passed over."""

    checkpoint: Checkpoint | None = None
    paths: Mapping[str, Path]
    passed_over: tuple[str, ...] = ()


@final
class CheckpointStore:
    """The checkpoints of one trial, as one attempt reads and writes them.

    Survives: a checkpoint is there from the moment at which its manifest is; whatever was written before that without
    one is removed by a later commit.
    """

    def __init__(self, files: Files, trial: str, attempt: int) -> None:
        self.files = files
        self._trial = trial
        self._attempt = attempt
        self._damaged: set[str] = set()

    def commit(self, epoch: int, drafts: Mapping[str, tuple[str, Path]]) -> Checkpoint:
        """Write a checkpoint, verify it, and remove those that it makes superfluous.

        Args:
            epoch: How many epochs it has behind it.
            drafts: A suffix of a file name and a local file, by part; the files are moved away.

        Raises:
            OSError: it could not be written.
            Damaged: it was, but reads otherwise; those before it are still there.
        """
        parts: dict[str, Part] = {}
        for name, (suffix, draft) in drafts.items():
            file = part_name(epoch, self._attempt, suffix)
            parts[name] = Part(file=file, bytes=draft.stat().st_size, sha256=_sha256_of(draft))
            self.files.put(file, draft)
        made = Checkpoint(trial=self._trial, epoch=epoch, attempt=self._attempt, parts=parts)
        draft = self.files.draft(made.manifest)
        draft.write_bytes(made.encode())
        self.files.put(made.manifest, draft)
        self._verify(self._read(made.manifest))
        self._prune()
        return made

    def newest(self) -> Found:
        """Return the newest sound checkpoint of the trial; damaged ones are named."""
        passed_over: list[str] = []
        manifests = [(place, name) for name in self.files.names() if (place := place_of(name)) is not None]
        for _, name in sorted(manifests, reverse=True):
            try:
                checkpoint = self._read(name)
                self._verify(checkpoint)
                paths = {part: self.files.local(one.file) for part, one in checkpoint.parts.items()}
            except (Damaged, OSError) as error:
                if isinstance(error, Damaged):
                    self._damaged.add(name)
                passed_over.append(f"the checkpoint {name} cannot be used: {error}")
                continue
            return Found(checkpoint=checkpoint, paths=paths, passed_over=tuple(passed_over))
        return Found(paths={}, passed_over=tuple(passed_over))

    def discard(self) -> None:
        """Remove what this attempt and earlier ones have written: the trial begins anew."""
        self._remove(set())

    def _read(self, manifest: str) -> Checkpoint:
        """Return the checkpoint of a manifest.

        Raises:
            Damaged: it is none.
            OSError: it cannot be read.
        """
        with self.files.open(manifest) as file:
            checkpoint = Checkpoint.decode(file.read(MANIFEST_BYTES + 1), self._trial)
        if checkpoint.manifest != manifest:
            raise Damaged(f"its manifest is that of {checkpoint.manifest}")
        return checkpoint

    def _verify(self, checkpoint: Checkpoint) -> None:
        """Read the parts and compare, never more than their manifest says.

        Raises:
            Damaged: one is not what was written.
            OSError: one cannot be read.
        """
        for part in checkpoint.parts.values():
            digest, left = hashlib.sha256(), part.bytes
            try:
                with self.files.open(part.file) as file:
                    while left and (chunk := file.read(min(left, CHUNK_BYTES))):
                        digest.update(chunk)
                        left -= len(chunk)
                    whole = not left and not file.read(1)
            except FileNotFoundError as error:
                raise Damaged(f"{part.file} is gone") from error
            if not whole or digest.hexdigest() != part.sha256:
                raise Damaged(f"{part.file} is not what was written")

    def _prune(self) -> None:
        """Remove what the newest checkpoints do not need."""
        names = self.files.names()
        sound = [name for name in names if name not in self._damaged]
        manifests = sorted((place, name) for name in sound if (place := place_of(name)) is not None)
        kept = {name for _, name in manifests[-KEPT:]}
        kept |= {name for (_, attempt), name in manifests if attempt > self._attempt}
        needed: set[str] = set()
        for name in kept:
            try:
                needed |= {part.file for part in self._read(name).parts.values()}
            except (Damaged, OSError):  # read again when it is needed, and named then
                continue
        self._remove(kept | needed)

    def _remove(self, kept: set[str]) -> None:
        """Remove all but what is kept and what a later attempt has written; manifests first."""
        for name in sorted(self.files.names(), key=lambda name: place_of(name) is None):
            if name not in kept and _attempt_of(name) <= self._attempt:
                self.files.remove(name)


def _attempt_of(name: str) -> int:
    _, _, rest = name.partition("-")
    digits = rest.replace(".", "-").partition("-")[0]
    return int(digits) if digits.isdigit() else 0


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
