"""Tests of `kerasweep.trackers.redaction`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.trackers.redaction import redact


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ada:s3cret@db:5432/mlflow",
        "connect to http://ada:s3cret@127.0.0.1:5000/api failed",
        "http://ada:s3cr@s3cret@host/x",
        "http://ada:s3cret/with/slash@host/x",
        "https://s3cret@github.com/ada/repo",
        "password=s3cret",
        "PASSWORD: 's3cret'",
        '{"db_password": "s3cret with blanks"}',
        "export AWS_SECRET_ACCESS_KEY=s3cret",
        "?user=ada&token=s3cret&x=1",
        "api_key=s3cret api-key: s3cret apikey => s3cret",
        "Authorization: Bearer s3cret.s3cret.s3cret",
        "MLFLOW_TRACKING_TOKEN=s3cret",
        "a token such as ghp_s3cret0123456789abcdef",
    ],
)
def test_a_secret_does_not_get_out(text: str) -> None:
    """Neither as a part of an address, nor as a key's value, nor in a well-known form."""
    assert "s3cret" not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/#/experiments/1",
        "http://host:5000/mail?to=ada@example.org",
        "sqlite:////home/ada/mlflow.db",
        "val_accuracy was nan at epoch 3",
        "num_tokens=128, key_dim=64, units: 32",
        "the tokenizer: bert",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """A log must still be worth reading."""
    assert redact(text) == text


def test_the_rest_of_a_line_stays() -> None:
    """Only the secret goes."""
    assert (
        redact("open http://ada:pw@host:5000/x, token=abc; then go")
        == "open http://***@host:5000/x, token=***; then go"
    )


@given(st.text())
def test_twice_is_once(text: str) -> None:
    """What was redacted can pass through again."""
    assert redact(redact(text)) == redact(text)


@given(st.from_regex(r"[A-Za-z0-9!$%^*+_~-]{1,20}", fullmatch=True))
def test_any_password_of_an_address(password: str) -> None:
    """Whatever it is made of."""
    assert f":{password}@" not in redact(f"cannot reach http://ada:{password}@host:80/x")
