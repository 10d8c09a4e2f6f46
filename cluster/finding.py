"""What a look at a model and its data found, as data: how bad, what, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ..spaces.trial import Json


class Severity(StrEnum):
    """An error makes training fail or mean nothing; a warning is very likely a mistake; a note is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found.

    `code` is a short name for its kind, which stays the same; `message` says what was found, what was expected and what
    to do; `where` is `file.py:line` of the code to change where that is known, else a function or a key of the sweep.
    """

    severity: Severity
    code: str
    message: str
    where: str = ""

    @property
    def line(self) -> str:
        """`model.py:7: …` on one line."""
        return f"{self.where}: {self.message}" if self.where else self.message

    def to_json(self) -> dict[str, Json]:
        """Return the plain form."""
        return {**asdict(self), "severity": str(self.severity)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """Return what `to_json` wrote."""
        return cls(**{**data, "severity": Severity(data["severity"])})


def error(code: str, where: str, message: str) -> Finding:
    """Return a finding that stops `run`."""
    return Finding(severity=Severity.ERROR, code=code, message=message, where=where)


def warning(code: str, where: str, message: str) -> Finding:
    """Return a finding that is very likely a mistake."""
    return Finding(severity=Severity.WARNING, code=code, message=message, where=where)


def note(code: str, where: str, message: str) -> Finding:
    """Return a finding that is worth knowing."""
    return Finding(severity=Severity.NOTE, code=code, message=message, where=where)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, worst first, each once."""
    return sorted(dict.fromkeys(findings), key=lambda one: list(Severity).index(one.severity))


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """Return those that stop `run`."""
    return [one for one in findings if one.severity is Severity.ERROR]
