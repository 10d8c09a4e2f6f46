"""What a tracking URI may hold, and which wire credentials may go over."""

from __future__ import annotations

import http.client
import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ..spaces.errors import BadInput, one_line

SECRET = re.compile(r"(?i)//[^/?#]*@|[?&;][^=&#]*(?:passw(?:or)?d|pwd|secret|token|api_?key)[^=&#]*=")
"""A user before the host, or a password in the query."""
CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
OLDEST = (3, 10)
"""Of servers; before it CVE-2026-2614 (files read) and CVE-2026-2651 (uploads overwritten) are open."""
MEND = "give them in the environment, as MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"


def holds_secret(uri: str) -> bool:
    """Say whether a user or a password stands in the URI, which is recorded and shown."""
    return SECRET.search(uri) is not None


def check_uri(uri: str, environ: Mapping[str, str]) -> None:
    """Refuse a URI that would give a password away.

    Args:
        uri: An MLflow tracking URI.
        environ: Where the credentials of MLflow's client come from.

    Raises:
        BadInput: it holds one, or credentials would go to another machine in clear.
    """
    if holds_secret(uri):
        raise BadInput(f"the tracking URI holds a user or a password; expected none: {MEND}")
    if goes_in_clear(uri) and has_credentials(environ):
        raise BadInput(
            f"the credentials for {uri} would cross the network in clear; expected https, or a server without them"
        )


def goes_in_clear(uri: str) -> bool:
    """Say whether what is sent there leaves this machine unencrypted."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme == "http" and not _is_here(host)


def has_credentials(environ: Mapping[str, str]) -> bool:
    """Say whether MLflow's client would send credentials: from the environment, or the file that it looks into."""
    file = Path(environ.get("HOME", "~")).expanduser() / ".mlflow" / "credentials"
    return any(environ.get(name) for name in CREDENTIALS) or file.is_file()


def notes(uri: str) -> tuple[str, ...]:
    """Return what the user should know of the URI, though it can be used."""
    if not goes_in_clear(uri):
        return ()
    return (f"track: {uri} is plain http: whoever is on the way can read and change what is recorded; https is safe",)


def check_version(uri: str, timeout_s: float = 1.5) -> None:
    """Refuse an MLflow server with holes that are known and closed in later ones; one that does not say is let pass.

    Raises:
        BadInput: it says that it is older than `OLDEST`.
    """
    said = _version_of(uri, timeout_s)
    found = re.match(r"(\d+)\.(\d+)", said)
    if found is not None and (int(found[1]), int(found[2])) < OLDEST:
        raise BadInput(
            f"the MLflow server at {uri} is version {one_line(said, 20)}, in which files of its machine can be read and "
            f"overwritten from outside; upgrade it to {'.'.join(map(str, OLDEST))} or newer"
        )


def _version_of(uri: str, timeout_s: float) -> str:
    """Return what the server says at `/version`, at most a few characters of it; no redirect is followed."""
    parts = urlsplit(uri)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/version")
        answer = connection.getresponse()
        return answer.read(100).decode("ascii", "replace") if answer.status == http.client.OK else ""
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    finally:
        connection.close()


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
