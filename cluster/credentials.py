"""The variables of the environment that hold credentials of MLflow or of its database: the tracker's, never a worker's."""

from __future__ import annotations

import re
from collections.abc import MutableMapping

NAMES = re.compile(
    r"MLFLOW_TRACKING_(USERNAME|PASSWORD|TOKEN|CLIENT_CERT_PATH|AWS_SIGV4|AUTH)|MLFLOW_FLASK_SERVER_SECRET_KEY|"
    r"MLFLOW_AUTH_.*|DATABRICKS_.*|PGPASSWORD|PGPASSFILE|PGSERVICE|PGSERVICEFILE|MYSQL_PWD"
)
"""What MLflow's client reads of its own, of Databricks, and what the drivers of its databases read."""
ADDRESSES = re.compile(r"MLFLOW_.*URI")
USER = re.compile(r"//[^/?#]*@")


def taken(environment: MutableMapping[str, str]) -> dict[str, str]:
    """Take the credentials out of an environment, and return them."""
    return {name: environment.pop(name) for name, value in list(environment.items()) if _secret(name, value)}


def _secret(name: str, value: str) -> bool:
    in_address = ADDRESSES.fullmatch(name) is not None and USER.search(value) is not None
    return in_address or NAMES.fullmatch(name) is not None
