"""Where the tracker's credentials belong: into the environment, never into an address, which is stored and shown."""

from __future__ import annotations

import re

_USER = re.compile(r"//[^/?#]*@|[?&](?:user(?:name)?|pass\w*|pwd|token|api_?key|secret\w*)=", re.IGNORECASE)
_VARIABLES = {
    "postgresql": "PGUSER and PGPASSWORD, or a ~/.pgpass",
    "http": "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    "https": "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
}


def misplaced(uri: str) -> str:
    """Return what is wrong with an address that holds a user or a password, which it does not repeat; else nothing."""
    if not _USER.search(uri):
        return ""
    scheme = re.split(r"[+:]", uri, maxsplit=1)[0].lower()
    where = _VARIABLES.get(scheme, "an MLflow server's MLFLOW_BACKEND_STORE_URI, and track to that server")
    return f"'track.uri' holds a user or a password; expected none: give them in the environment, as {where}"
