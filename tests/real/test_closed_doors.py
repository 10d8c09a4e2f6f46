"""Real sweeps with canaries: secrets, sockets, modes, pickles; looked at from outside, while they run and after."""

from __future__ import annotations

import ipaddress
import os
import pickle
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from .rig import MODEL, SWEEP, Rig, check_journal, entries, paths_below

pytestmark = pytest.mark.real
Make = Callable[..., Rig]

SECRETS = ("MY_API_KEY", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "PGPASSWORD")
PICKLES = (
    "evil.pkl",
    "tuner.pkl",
    "checkpoints/evil.pkl",
    "code/evil.pkl",
    "logs/searcher-state.pkl",
    "checkpoints/0/evil.pkl",
)
SPY = """
import os
import sys

LOG = os.open(os.path.join(os.environ["KERASWEEP_RIG"], "opened.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def audit(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].endswith(".pkl"):
        os.write(LOG, arguments[0].encode() + b"\\n")


sys.addaudithook(audit)
"""
"""Every Python that starts with it on its path writes down which pickles it opens."""


class Owned:
    """A pickle that leaves a mark when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


class Canaries:
    """A secret in each variable, one in the model, one in the sweep file; and eyes for them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.in_environment = {name: f"S3CRET-{name.lower()}-{uuid.uuid4().hex}" for name in SECRETS}
        self.in_code, self.in_file = (f"CANARY-{what}-{uuid.uuid4().hex}" for what in ("code", "file"))
        for name, secret in self.in_environment.items():
            monkeypatch.setenv(name, secret)

    def found(self, data: bytes, *, sources: bool = False) -> list[str]:
        """Return the canaries in some bytes; where these are a copy of the sources, theirs are at home."""
        words = [*self.in_environment.values(), *(() if sources else (self.in_code, self.in_file))]
        return [word for word in words if word.encode() in data]


class Watch:
    """What was seen of a sweep while it ran: listening sockets, arguments, files outside of its folder, modes."""

    def __init__(self, sweep: Rig, canaries: Canaries, places: list[Path]) -> None:
        self.sweep = sweep
        self.canaries = canaries
        self.places = places
        self.open_doors: set[str] = set()
        self.listening = 0
        self.shown: set[str] = set()
        self.kept: set[str] = set()
        self.open_files: set[str] = set()
        self.processes: set[int] = set()
        self.modes: set[str] = set()

    def look(self) -> None:
        """Look at all processes and files there are now."""
        for process in self.sweep.all_processes():
            try:
                self.processes.add(process.pid)
                if process.name() == "raylet":
                    self.modes.add(process.environ().get("RAY_AUTH_MODE", ""))
                self.shown |= set(self.canaries.found(" ".join(process.cmdline()).encode()))
                connections: list[Any] = process.net_connections(kind="inet")
            except psutil.Error:
                continue
            for one in connections:
                if one.status == psutil.CONN_LISTEN or (one.type == 2 and not one.raddr):
                    self.listening += 1
                    if not ipaddress.ip_address(one.laddr.ip.removeprefix("::ffff:")).is_loopback:
                        self.open_doors.add(f"{one.laddr} {process.cmdline()[:4]}")
        for place in self.places:
            for path in paths_below(place):
                self.read(path)

    def read(self, path: Path) -> None:
        """Look for canaries in a file, and whether others may read it."""
        try:
            about = path.lstat()
            if stat.S_ISREG(about.st_mode) and not path.name.endswith(".log.spy"):
                copies = path.name in ("sweep.yaml", "model.py")
                self.kept |= {f"{path}: {word}" for word in self.canaries.found(path.read_bytes(), sources=copies)}
            reachable = "home" not in path.parts and not any(part.startswith("ks-") for part in path.parts[:-1])
            if reachable and about.st_mode & 0o077 and not stat.S_ISLNK(about.st_mode):
                self.open_files.add(str(path))  # below a scratch folder, which is closed, Ray opens what it likes
        except OSError:  # gone by now
            return


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> Canaries:
    """Plant a secret in each variable."""
    return Canaries(monkeypatch)


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give all processes a temporary folder of their own, with a path short enough for Ray's sockets, and a new home."""
    folder = Path(tempfile.mkdtemp(prefix="k", dir="/tmp"))
    (folder / "home").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv("HOME", str(folder / "home"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def no_umask() -> Iterator[None]:
    """Have every file be open to all that nobody closes."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_a_sweep_lets_nobody_in_and_nothing_out(
    rig: Make, canaries: Canaries, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run and a resume: sockets on loopback only, files private, secrets nowhere, planted pickles never opened."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # of the user's environment; not of a sweep's own Ray
    sweep = rig(
        f"{MODEL}\nNOTE = '{canaries.in_code}'\n", f"{SWEEP}\n# {canaries.in_file}\n".replace("epochs: 3", "epochs: 25")
    )
    watch = Watch(sweep, canaries, [temporary, sweep.folder.parent])
    text = observed(watch, "run", "sweep.yaml")
    roles = {"driver", "tracker", "forkserver", "trainer", "actor", "raylet"}
    assert "S3CRET" not in text
    assert not canaries.found(text.encode())
    assert watch.listening > 3, "no listening socket was seen at all"
    assert len(watch.processes) >= len(roles)
    assert watch.open_doors == set()
    assert watch.modes == {"token"}
    assert watch.shown == set()
    assert watch.kept == set()
    sweep.check(0, text, trials=6)  # also that nothing is at work on the files any more
    check_files(sweep, canaries, temporary, watch)
    check_pickles(sweep, tmp_path, monkeypatch)


def observed(watch: Watch, *words: str) -> str:
    """Run a command to its end under watch; return what it printed."""
    launcher = watch.sweep.start(*words)
    roles: set[str] = set()
    while launcher.poll() is None:
        watch.look()
        roles |= {
            role
            for role in ("driver", "tracker", "forkserver", "trainer", "actor", "raylet")
            if role not in roles and watch.sweep.processes(role)
        }
        time.sleep(0.5)
    code, text = watch.sweep.finish()
    assert code == 0, text
    assert roles == {"driver", "tracker", "forkserver", "trainer", "actor", "raylet"}
    return text


def check_files(sweep: Rig, canaries: Canaries, temporary: Path, watch: Watch) -> None:
    """Assert that what stays on the disk is private, and holds no canary but in the sweep's copies."""
    folder = sweep.folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path for path in (folder, *folder.rglob("*")) if path.lstat().st_mode & 0o077] == []
    database = list(sweep.home.glob("mlflow.db*"))
    assert database
    assert [path for path in database if path.stat().st_mode & 0o077] == []
    assert [canaries.found(path.read_bytes()) for path in database] == [[] for _ in database]
    token = temporary / "home" / ".ray" / "auth_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert watch.open_files == set()
    assert canaries.in_code in (folder / "code" / "model.py").read_text()
    assert canaries.in_file in (folder / "sweep.yaml").read_text()
    assert not list(temporary.glob("ks-*")), "the scratch folder is still there"


def check_pickles(sweep: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that no command opens a pickle that somebody put into the sweep's folder."""
    mark = tmp_path / "owned"
    for name in PICKLES:
        (sweep.folder / name).parent.mkdir(exist_ok=True, parents=True)
        (sweep.folder / name).write_bytes(pickle.dumps(Owned(mark)))
    spy = tmp_path / "spy"
    spy.mkdir()
    (spy / "sitecustomize.py").write_text(SPY)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(spy), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep))
    for words in (["list"], ["show", "rig"], ["show", "rig", "0"], ["logs", "rig"], ["best", "rig", "--export", "out"]):
        code, text = sweep.run(*words)
        assert code == 0, text
    code, text = sweep.run("resume", "rig", "--set", "budget.trials=7")
    assert code == 0, text
    check_journal(sweep.folder, trials=7)
    opened = (tmp_path / "opened.log").read_text().splitlines()
    assert [path for path in opened if str(sweep.folder) in path] == []
    assert not mark.exists()
    pickle.loads((sweep.folder / PICKLES[0]).read_bytes())  # noqa: S301
    assert mark.exists(), "the pickle would have left a mark"


FAILING = MODEL.replace(
    "def build(hp):",
    """
import os


def build(hp):
    if hp.Choice("kind", ["sound", "leaks"]) == "leaks":
        raise ValueError("no login at https://h/?q=1 with " + os.environ["MY_API_KEY"])
""",
)


def test_a_secret_that_the_code_quotes_stops_at_the_journal(rig: Make, canaries: Canaries, temporary: Path) -> None:
    """The message of a failed trial is kept, in journal, MLflow and terminal, without the secret."""
    sweep = rig(FAILING, SWEEP.replace("trials: 6", "trials: 8") + "space:\n  layers: {fixed: 1}\n")
    watch = Watch(sweep, canaries, [temporary, sweep.folder.parent])
    code, text = sweep.run()
    assert code == 0, text
    sweep.check(code, text, trials=8)  # also that nothing is at work on the files any more
    watch.look()
    assert watch.kept == set()
    for words in (["show", "rig", "--json"], ["show", "rig"], ["logs", "rig", "--all"]):
        text += sweep.run(*words)[1]
    failed = [one for one in sweep.history().trials.values() if one.state == "failed"]
    assert failed
    assert all("no login at https://h/?q=1 with ***" in one.outcome.reason for one in failed if one.outcome)
    assert all("with ***" in one.outcome.traceback for one in failed if one.outcome)
    assert "with ***" in text
    assert not canaries.found(text.encode())
    assert entries(sweep.folder)
    for path in sweep.home.glob("mlflow.db*"):
        assert not canaries.found(path.read_bytes())


@pytest.mark.usefixtures("temporary")
def test_a_secret_that_the_code_quotes_at_its_import_is_masked(rig: Make, canaries: Canaries) -> None:
    """The sweep is refused in one line without it, and leaves nothing."""
    sweep = rig(
        "import os\nraise ValueError('no login with ' + os.environ['MY_API_KEY'])\ndef build(hp): ...\ndef load(): ...\n"
    )
    code, text = sweep.run()
    assert (code, "no login with ***" in text) == (2, True), text
    assert not canaries.found(text.encode())
    assert not sweep.folder.exists()
