"""Tests of `kerasweep.trackers.mlflow_errors`: what passes, what does not, and how it is said."""

from __future__ import annotations

import json

import pytest

from kerasweep.trackers.mlflow_errors import in_short, timed_out, translated
from kerasweep.trackers.runs import Busy, Refused, RunGone, Unreachable, Vanished

URL = "http://ada:S3CRET@host:5000/api/2.0/mlflow/runs/log-batch"
REFUSED = (
    f"API request to {URL} failed with exception HTTPConnectionPool(host='host', port=5000): Max retries exceeded with "
    "url: /api/2.0/mlflow/runs/log-batch (Caused by NewConnectionError('<urllib3.connection.HTTPConnection object at "
    "0x7f{}>: Failed to establish a new connection: [Errno 111] Connection refused'))"
)


class Said(Exception):
    """An error as MLflow's: with a code."""

    def __init__(self, text: str, code: str = "INTERNAL_ERROR") -> None:
        super().__init__(text)
        self.error_code = code


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (Said(REFUSED.format(1)), Unreachable, "connection refused"),
        (Said(f"API request to {URL} failed with timeout exception Read timed out."), Unreachable, "no answer in time"),
        (Said(f"API request to {URL} failed with exception HTTPConnectionPool(host='host', port=5000): Max retries "
              "exceeded with url: /api (Caused by ReadTimeoutError('Read timed out. (read timeout=10)'))"),
         Unreachable, "no answer in time"),
        (Said(f"API request to {URL} failed with exception (Caused by ResponseError('too many 503 error responses'))"),
         Busy, "it answers 503 Service Unavailable"),
        (Said(f"API request to {URL} failed with exception too many 429 error responses"), Busy,
         "it answers 429 Too Many Requests"),
        (Said(f"API request to {URL} failed with exception too many 500 error responses"), Unreachable,
         "it answers 500 Internal Server Error"),
        (Said("API request to endpoint /x failed with error code 413 != 200. Response body: '<h1>Too  large</h1>'"),
         Unreachable, "Too large"),
        (Said(f"API request to {URL} failed with exception ('Connection aborted.', RemoteDisconnected('Remote end "
              "closed connection without response'))"), Unreachable, "it closed the connection before it had answered"),
        (Said("API request to endpoint was successful but the response body was not in a valid JSON format."),
         Unreachable, "cut short"),
        (json.JSONDecodeError("Expecting value", "", 0), Unreachable, "Expecting value"),
        (Said("BAD_REQUEST: QueuePool limit of size 5 overflow 10 reached", "BAD_REQUEST"), Busy, "QueuePool"),
        (Said("(sqlite3.OperationalError) database is locked", "TEMPORARILY_UNAVAILABLE"), Busy, "locked"),
        (Said("BAD_REQUEST: something", "BAD_REQUEST"), Unreachable, "something"),
        (Said("INVALID_PARAMETER_VALUE: Changing param values is not allowed", "INVALID_PARAMETER_VALUE"), Refused,
         "not allowed"),
        (Said("The run 7 must be in the 'active' state.", "INVALID_PARAMETER_VALUE"), RunGone, "active"),
        (Said("Run with id=7 not found", "RESOURCE_DOES_NOT_EXIST"), Vanished, "not found"),
        (ValueError("Value out of range: 18446744073709551616"), Refused, "out of range"),
    ],
)  # fmt: skip
def test_an_error_in_our_words(error: Exception, kind: type[Exception], words: str) -> None:
    """Only what MLflow will never take is refused, and only what is nobody's fault is busy; nothing secret is said."""
    found = translated(error)
    assert type(found) is kind
    assert words in str(found)
    assert "S3CRET" not in str(found)
    assert "\n" not in str(found)
    assert len(str(found)) <= 300


def test_the_same_trouble_is_said_in_the_same_words() -> None:
    """Addresses of objects differ each time; the log shall not grow by that."""
    assert in_short(Said(REFUSED.format("00ab"))) == in_short(Said(REFUSED.format("11cd")))


def test_a_timeout_is_told_from_a_refusal() -> None:
    """Only that one is answered by more patience."""
    assert timed_out(Said(f"API request to {URL} failed with timeout exception x"))
    assert not timed_out(Said(REFUSED.format(1)))
