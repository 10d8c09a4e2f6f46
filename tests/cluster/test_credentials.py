"""Tests of `kerasweep.cluster.credentials`."""

from __future__ import annotations

from kerasweep.cluster.credentials import taken


def test_credentials_are_taken_out_and_nothing_else() -> None:
    """MLflow's, Databricks's, those of its database, and an address that holds a password; storage keeps its own."""
    secret = {
        "MLFLOW_TRACKING_USERNAME": "u",
        "MLFLOW_TRACKING_PASSWORD": "p",
        "MLFLOW_TRACKING_TOKEN": "t",
        "MLFLOW_TRACKING_URI": "http://u:p@host:5000",
        "DATABRICKS_TOKEN": "t",
        "PGPASSWORD": "p",
        "MYSQL_PWD": "p",
    }
    plain = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_REGISTRY_URI": "http://host:5000/#a@b",
        "AWS_SECRET_ACCESS_KEY": "k",
        "PATH": "/bin",
    }
    environment = {**secret, **plain}
    assert taken(environment) == secret
    assert environment == plain
