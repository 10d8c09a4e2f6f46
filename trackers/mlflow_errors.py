"""MLflow's errors in our words: which of them pass, and what they say without addresses of objects and passwords.

`MlflowException` has the server's error code where the server answered in JSON, one made of the HTTP status where it
answered otherwise, and `INTERNAL_ERROR` where nobody answered: then the error of `requests` is its cause or its context.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from ..spaces.errors import one_line
from .redaction import redact
from .runs import Busy, Refused, RunGone, Unreachable, Vanished

_TEXT_LIMIT = 200
_PERMANENT = {"INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS"}
_BUSY = {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
_BUSY_STATUS = {408, 429, 502, 503, 504}
_BUSY_TEXT = ("QueuePool", "database is locked", "database table is locked")
_STATUS = re.compile(r"too many (\d{3}) error responses|failed with error code (\d{3})")
_SYSTEM = re.compile(r"\[Errno -?\d+\] ([^\"')\]]+)")


def translated(error: Exception) -> Exception:
    """Return MLflow's error as one of ours."""
    text, code, status = redact(str(error)), str(getattr(error, "error_code", "")), _status(str(error))
    said = in_short(error)
    if code in _BUSY or status in _BUSY_STATUS or any(word in text for word in _BUSY_TEXT):
        return Busy(said)
    if "must be in the 'active' state" in text:
        return RunGone(said)
    if code == "RESOURCE_DOES_NOT_EXIST":
        return Vanished(said)
    if code in _PERMANENT or (type(error) in (ValueError, UnicodeEncodeError) and not code):
        return Refused(said)
    return Unreachable(said)


def timed_out(error: Exception) -> bool:
    """Say whether it took too long for an answer."""
    text = str(error)
    return "API request to" in text and ("timeout exception" in text or "timed out" in text)


def in_short(error: Exception) -> str:
    """Return what happened in a few words, the same ones each time that it happens."""
    text = redact(str(error)) or type(error).__name__
    status = _status(text)
    if status is not None:
        return _answered(status, text)
    if timed_out(error):
        return "no answer in time"
    if "API request to" in text and (system := _SYSTEM.search(text)):
        return system[1].strip().lower()
    if "valid JSON" in text:
        return "its answer was cut short or is no answer of MLflow's"
    if "API request to" in text and ("closed connection" in text or "IncompleteRead" in text or "aborted" in text):
        return "it closed the connection before it had answered"
    return one_line(text, _TEXT_LIMIT)


def _status(text: str) -> int | None:
    found = _STATUS.search(text)
    return int(found[1] or found[2]) if found else None


def _answered(status: int, text: str) -> str:
    try:
        words = f"it answers {status} {HTTPStatus(status).phrase}"
    except ValueError:
        words = f"it answers {status}"
    _, _, body = text.partition("Response body: ")
    plain = one_line(re.sub(r"<[^>]*>", " ", body).strip("'"), _TEXT_LIMIT)
    return f"{words}: {plain}" if plain.strip() else words
