"""Rows 13 and 14: to look at a sweep runs nothing of it, and no shell reads a name."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from kerasweep.spaces.trial import Outcome, OutcomeKind
from kerasweep.trackers.events import SweepStarted, TrialEnded
from kerasweep.trackers.journal import Journal

from ..search.specs import begun, spec
from .command import command, watched
from .mutations import MODEL, SOUND

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("search", "search/_root", "spaces", "trackers", "cluster")
LOOKS = (
    *(["list"], ["show", "mine"], ["show", "mine", "0"], ["best", "mine"], ["logs", "mine"], ["logs", "mine", "0"]),
    *(["plan", "--no-code", "sweep.yaml"], ["plan", "--no-code", "sweep.yaml", "--set", "budget.trials=9"]),
)
PLANTED = (
    "model.py",
    "sitecustomize.py",
    "keras.py",
    "yaml.py",
    "json.py",
    "conftest.py",
    "rich/__init__.py",
    "mine.pth",
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder: a sweep, its file, and code everywhere that must not run."""
    folder = tmp_path / "sweeps" / "mine"
    (folder / "logs").mkdir(parents=True)
    with Journal(folder) as journal:
        end = TrialEnded(trial=0, attempt=1, outcome=Outcome(kind=OutcomeKind.COMPLETED, value=0.5, epoch=1))
        journal.append(SweepStarted(spec=spec(name="mine", folder=str(tmp_path)).to_json()), *begun(0), end)
    (folder / "logs" / "trainer-1.log").write_text("=== trial 0, attempt 1, now ===\nhello\n")
    (tmp_path / "sweep.yaml").write_text(SOUND[1])
    for place in (tmp_path, folder / "code"):
        for name in PLANTED:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERASWEEP_DIR", raising=False)
    return tmp_path


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
@pytest.mark.parametrize("option", [[], ["--json"]], ids=["", "json"])
def test_looking_runs_nothing(words: list[str], option: list[str], home: Path) -> None:
    """No code below the folder is executed, no process started, nothing written, nobody connected to."""
    command(*words)  # whatever is imported late is imported now
    with watched(str(home)) as done:
        said = command(*words, *option)
    assert said.code == 0, said
    assert done == []


def test_the_watch_would_see_it(home: Path) -> None:
    """The hook is no decoration: running the model is noticed, and so are a process and a file."""
    with watched(str(home)) as done:
        with pytest.raises(SystemExit, match="user code ran"):
            exec(compile(MODEL, str(home / "model.py"), "exec"), {})  # noqa: S102
        (home / "new").write_text("x")
        (home / "new").unlink()
    assert [event for event, _ in done] == ["exec", "open", "os.remove"]


@cache
def calls() -> list[tuple[str, ast.Call]]:
    """Return all calls in the product, each with its file."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.py"))]
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node)
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]


def test_no_shell_reads_a_name() -> None:
    """No call asks for a shell; the one shell there is runs a constant, with the words as its arguments."""
    asks = [place for place, call in calls() for one in call.keywords if one.arg == "shell"]
    shells = [
        place
        for place, call in calls()
        if any(isinstance(one, ast.Constant) and one.value == "/bin/sh" for one in ast.walk(call))
    ]
    forbidden = [
        place for place, call in calls() if ast.unparse(call.func) in ("os.system", "os.popen", "eval", "exec")
    ]
    assert asks == []
    assert forbidden == []
    assert {place.partition(":")[0] for place in shells} == {"cluster/mlflow_server.py"}


def test_nothing_unpickles_but_the_program_that_python_sent() -> None:
    """Row 8: `cloudpickle.loads` stands in one place, and what it reads came over a socket from the user's own process."""
    found = [
        place
        for place, call in calls()
        if ast.unparse(call.func).endswith(("pickle.loads", "pickle.load", "joblib.load", "marshal.loads"))
    ]
    assert [place.partition(":")[0] for place in found] == ["cluster/program.py"]
    arrays = [call for _, call in calls() if ast.unparse(call.func) in ("np.load", "numpy.load")]
    assert arrays
    assert all(
        any(one.arg == "allow_pickle" and ast.unparse(one.value) == "False" for one in call.keywords) for call in arrays
    )
    models = [call for _, call in calls() if ast.unparse(call.func).endswith("load_model")]
    assert models
    assert all(
        any(one.arg == "safe_mode" and ast.unparse(one.value) == "True" for one in call.keywords) for call in models
    )
