"""Rows 6 and 7: a secret that the environment holds is masked in what is journaled, and no URI may hold one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.search.ledger import masked
from kerasweep.search.sweepfile import load
from kerasweep.search.tracking_uri import check_uri, goes_in_clear, notes
from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.trial import Cause, Outcome, OutcomeKind
from kerasweep.trackers.events import AttemptEnded, Event, Noticed, SweepClosing, SweepEnded, TrialEnded, encode
from kerasweep.trackers.history import History
from kerasweep.trackers.mirror import params
from kerasweep.trackers.redaction import mask, secrets_of

from ..search.specs import begun, entries

SECRET = "S3CRET/with+signs"  # noqa: S105
SECRET_NAMES = (
    *(
        "MY_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
        "HF_TOKEN",
        "PGPASSWORD",
    ),
    *(
        "OPENAI_API_KEY",
        "WANDB_API_KEY",
        "SSH_PRIVATE_KEY",
        "DB_PWD",
        "AZURE_CLIENT_SECRET",
        "GOOGLE_CREDENTIALS",
        "KEY",
    ),
)
PLAIN = {
    "PATH": "/usr/bin:/bin",
    "KEYBOARD": "deutsch",
    "HOME": "/home/ada",
    "XAUTHORITY": "/run/user/1/xauth",
    "TOKENIZERS_PARALLELISM": "false",
    "TOKEN_LIMIT": "128000",
    "API_KEY": "short",
}


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_variable_is_secret_by_its_name(name: str) -> None:
    """Its value is masked, as it is and as an address would have it."""
    secrets = secrets_of({name: SECRET, **PLAIN})
    assert "S3CRET" not in mask(f"failed with {SECRET} at https://h/?q=S3CRET/with%2Bsigns", secrets)


def test_what_is_no_secret_is_not_masked(tmp_path: Path) -> None:
    """Paths, switches, numbers and short words would be missed in messages."""
    (tmp_path / "key.json").touch()
    assert secrets_of({**PLAIN, "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json")}) == ()


@given(st.text(min_size=6), st.text(), st.text())
def test_no_secret_is_left_wherever_it_stands(secret: str, before: str, after: str) -> None:
    """Whatever it is made of, and whatever stands beside it."""
    secrets = secrets_of({"MY_SECRET": secret})
    for one in secrets:
        assert one not in mask(before + one + after, secrets) or one in "***"


@pytest.mark.parametrize(
    "event",
    [
        TrialEnded(
            trial=0, attempt=1, outcome=Outcome(kind=OutcomeKind.FAILED, reason=SECRET, traceback=f"x {SECRET} y")
        ),
        AttemptEnded(trial=0, attempt=1, cause=Cause.CRASH, why=SECRET, traceback=SECRET),
        SweepClosing(why=SECRET),
        SweepEnded(why=SECRET, exit_code=1),
        Noticed(text=SECRET),
    ],
    ids=lambda event: type(event).__name__,
)
def test_no_message_reaches_the_journal_with_a_secret_in_it(event: Event) -> None:
    """The body that would be written holds nothing of it."""
    assert "S3CRET" in encode(event)[2]
    assert "S3CRET" not in encode(masked(event, (SECRET,)))[2]


def test_a_text_under_the_name_of_a_secret_is_masked_in_mlflow() -> None:
    """A number is not: `key_dim` and `max_token` are sizes."""
    plain = {
        "tokenizer": "bert",
        "token_file": "t.txt",
        "key_dim": 64,
        "max_tokens": 128,
        "activation": "relu",
        "token": 3,
    }
    values = {**plain, "api_key": "S3CRET", "db/password": "S3CRET"}
    record = History.of(entries(begun(0, values))).trials[0]
    shown = {one.key: one.value for one in params(record)}
    assert shown == {**{name: str(value) for name, value in plain.items()}, "api_key": "***", "db/password": "***"}


# Addresses ------------------------------------------------------------------------------------------------------------

WITH_SECRETS = (
    *(
        "http://ada:hunter2@h",
        "https://hunter2@h/x",
        "postgresql://ada:hunter2@h/d",
        "postgresql+psycopg2://h/d?password=hunter2",
    ),
    *("postgresql://h/d?user=ada&PassWord=hunter2", "https://h/?token=hunter2", "mysql://h/d?ssl=1;passwd=hunter2"),
    *("https://h/?api_key=hunter2", "mssql://h?UID=ada&PWD=hunter2", "http://ada:hun%40ter2@h", "http://:hunter2@h"),
)
WITHOUT = (
    "http://localhost:5000",
    "https://h/mail?to=ada@example.org",
    "sqlite:////home/a@b/mlflow.db",
    "databricks://profile",
)


@pytest.mark.parametrize("uri", WITH_SECRETS)
def test_an_address_with_a_password_is_refused_and_not_repeated(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Python, in the file and by `--set`; the message says where credentials go instead."""
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text("def build(hp): ...\n")
    least = "model: model.py:build\nobjective: min val_loss\nfit: {epochs: 3}\nbudget: {trials: 5}\n"
    Path("a.yaml").write_text(least)
    Path("b.yaml").write_text(f"{least}track: {{uri: '{uri}'}}\n")
    calls = (lambda: check_uri(uri, {}), lambda: load("a.yaml", [f"track.uri={uri}"]), lambda: load("b.yaml"))
    for call in calls:
        with pytest.raises(BadInput, match=r"holds a user or a password; .* MLFLOW_TRACKING_PASSWORD") as caught:
            call()
        assert "hunter2" not in str(caught.value)
        assert "ter2" not in str(caught.value)


@pytest.mark.parametrize("uri", WITHOUT)
def test_an_address_without_one_is_taken(uri: str) -> None:
    """An `@` elsewhere is no user."""
    check_uri(uri, {"MLFLOW_TRACKING_PASSWORD": "x", "HOME": "/nowhere"})


@pytest.mark.parametrize(
    ("uri", "clear"),
    [
        *(
            ("http://10.0.0.7:5000", True),
            ("http://mlflow.lab", True),
            ("http://[2001:db8::1]:80", True),
            ("HTTP://h", True),
        ),
        *(
            ("http://localhost:5000", False),
            ("http://127.0.0.1:1", False),
            ("http://127.8.8.8", False),
            ("http://[::1]", False),
        ),
        *(("http://a.localhost", False), ("https://mlflow.lab", False), ("sqlite:///x.db", False), ("http://[", False)),
        ("http://localhost.evil.com", True),
    ],
)
def test_plain_http_beyond_this_machine_is_warned_about(uri: str, clear: bool) -> None:
    """Row 5: once, as a note of the sweep; with credentials it is refused."""
    assert goes_in_clear(uri) == clear
    assert bool(notes(uri)) == clear
    if clear:
        with pytest.raises(BadInput, match="in clear; expected https"):
            check_uri(uri, {"MLFLOW_TRACKING_TOKEN": "x"})
    check_uri(uri, {"HOME": "/nowhere"})


def test_the_file_of_mlflow_counts_as_credentials(tmp_path: Path) -> None:
    """Its client sends what stands there, too."""
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text("[mlflow]\n")
    with pytest.raises(BadInput, match="in clear"):
        check_uri("http://mlflow.lab", {"HOME": str(tmp_path)})
