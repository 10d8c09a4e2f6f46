"""What a tracking URI may hold, and which wire credentials may go over."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ..spaces.errors import BadInput

SECRET = re.compile(r"(?i)//[^/?#]*@|[?&;][^=&#]*(?:passw(?:or)?d|pwd|secret|token|api_?key)[^=&#]*=")
"""A user before the host, or a password in the query."""
CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
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


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
