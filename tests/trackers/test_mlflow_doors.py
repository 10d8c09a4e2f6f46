"""Row 3 with a real MLflow: the server that `ui` starts, asked as a hostile page or another program would ask it."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

pytestmark = pytest.mark.real

API = "/api/2.0/mlflow/experiments/search"
CREATE = "/ajax-api/2.0/mlflow/experiments/create"
EVIL_HOSTS = (
    "evil.com",
    "evil.com:{port}",
    "127.0.0.1",
    "127.0.0.1:1",
    "10.0.0.7:{port}",
    "localhost.evil.com:{port}",
    "",
)
EVIL_ORIGINS = ("http://evil.com", "http://localhost:1234", "null", "https://127.0.0.1:{port}", "file://")
CLOSED = (
    *("/ajax-api/3.0/mlflow/assistant/config", "/ajax-api/3.0/mlflow/assistant/message", "/ajax-api/3.0/jobs/1"),
    *("/gateway/x/mlflow/invocations", "/ajax-api/3.0/mlflow/gateway/endpoints/list", "/ajax-api/2.0/mlflow/webhooks"),
)


def ask(server: str, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    """Return status and body of one request."""
    parts = urlsplit(server)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        data = None if body is None else json.dumps(body)
        named = {name.replace("_", "-"): value.format(port=parts.port) for name, value in headers.items()}
        connection.request(method, path, body=data, headers={"Content-Type": "application/json", **named})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_page_works(server: str) -> None:
    """The doors are closed to others, not to the user: page, search and a new experiment."""
    status, page = ask(server, "GET", "/")
    assert (status, b"<html" in page.lower()) == (200, True)
    assert ask(server, "POST", API, {"max_results": 1})[0] == 200
    assert ask(server, "POST", CREATE, {"name": "mine"}, Origin=server)[0] == 200


@pytest.mark.parametrize("host", EVIL_HOSTS)
def test_a_wrong_host_gets_nowhere(server: str, host: str) -> None:
    """DNS rebinding: the browser names the host that the page came from."""
    for method, path, body in (
        ("GET", "/", None),
        ("POST", API, {"max_results": 1}),
        ("POST", CREATE, {"name": "theirs"}),
    ):
        assert ask(server, method, path, body, Host=host)[0] == 403
    assert b"theirs" not in ask(server, "POST", API, {"max_results": 100})[1]


@pytest.mark.parametrize("origin", EVIL_ORIGINS)
def test_a_wrong_origin_gets_nowhere(server: str, origin: str) -> None:
    """A page of another site, or of another program's port, writes nothing."""
    assert ask(server, "POST", CREATE, {"name": "theirs"}, Origin=origin)[0] == 403
    assert b"theirs" not in ask(server, "POST", API, {"max_results": 100})[1]


@pytest.mark.parametrize("path", CLOSED)
def test_what_is_not_for_experiments_is_not_there(server: str, path: str) -> None:
    """The assistant would run a shell for whoever asks."""
    for method in ("GET", "POST"):
        assert ask(server, method, path, {} if method == "POST" else None)[0] == 403


def test_a_forged_address_gets_nowhere(server: str) -> None:
    """The server believes in no X-Forwarded-For."""
    assert ask(server, "GET", "/", X_Forwarded_For="10.0.0.1")[0] == 403


def test_it_listens_on_loopback_and_runs_no_jobs(server: str, server_state: Path) -> None:
    """One port, of this machine only; a handful of processes, none of which has the store in its arguments."""
    about = json.loads((server_state / "mlflow-server.json").read_text())
    leader = psutil.Process(about["pid"])
    family = [leader, *leader.children(recursive=True)]
    listening = {
        one.laddr[:2]
        for each in family
        for one in each.net_connections(kind="inet")
        if one.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", about["port"])}
    assert len(family) <= 4
    assert not [each for each in family if about["uri"] in " ".join(each.cmdline())]
