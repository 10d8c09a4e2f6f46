"""Row 25 of the faults: whatever a sweep file holds, the answer is a plan or one line; `benchmarks/fuzz.py` runs 10,000."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from .command import command, watched
from .mutations import MODEL, Case, cases

CASES = 50
LINE = re.compile(r"(sweep\.yaml:\d+:\d+|--set [^\n]*): \S.*\n", re.DOTALL)


def check(case: Case) -> float:
    """Assert that a file in the current folder is planned or refused in one line, and nothing else; return the seconds."""
    Path("sweep.yaml").write_bytes(case.data)
    settings = [word for one in case.settings for word in ("--set", one)]
    with watched(str(Path.cwd())) as done:
        answer = command("plan", "--no-code", "sweep.yaml", *settings)
    assert done == [], f"case {case.seed}"
    said = answer.error
    assert answer.code in (0, 2), f"case {case.seed}: {answer}"
    assert (answer.code == 2) == bool(said), f"case {case.seed}: {answer}"
    if said:
        assert answer.out == "", f"case {case.seed}"
        assert said.count("\n") == 1, f"case {case.seed}: {said!r}"
        assert said.rstrip("\n").isprintable(), f"case {case.seed}: {said!r}"
        assert LINE.fullmatch(said), f"case {case.seed}: {said!r}"
        assert "hunter2" not in said, f"case {case.seed}: {said!r}"
    assert not [char for char in answer.out if not char.isprintable() and char != "\n"], f"case {case.seed}"
    return answer.seconds


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with a model in it that must not be run."""
    (tmp_path / "model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    assert command("plan", "--no-code", "sweep.yaml").code == 2  # whatever is imported late is imported now
    return tmp_path


def test_a_fuzzed_file_is_planned_or_refused_in_one_line(folder: Path) -> None:
    """No traceback, no user code run, nothing written, no password shown, under a second of work for any of them."""
    seed = random.randrange(1_000_000)
    slowest = max((check(case), case.seed) for case in cases(CASES, seed))
    assert slowest[0] < 1.0, f"seed {seed}, {slowest}"
