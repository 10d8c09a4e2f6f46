"""Tests of `kerasweep.search.logs` and `kerasweep.cluster.trial_log`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.cluster.trial_log import MARK, of_trial
from kerasweep.trackers.events import SweepStarted
from kerasweep.trackers.journal import Journal

from ..security.command import command
from .specs import begun, spec

TRAINER = """\
Keras is here
=== trial 0, attempt 1, 2026-11-22 08:00:00 ===
loading zero
=== trial 2, attempt 1, 2026-11-22 08:00:01 ===
two\r 10%\r 100%
=== trial 0, attempt 2, 2026-11-22 08:00:02 ===
zero again
"""


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a sweep of four trials with logs, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERASWEEP_DIR", raising=False)
    folder = tmp_path / "sweeps" / "mine"
    (folder / "logs").mkdir(parents=True)
    with Journal(folder) as journal:
        trials = [event for number in range(4) for event in begun(number)]
        journal.append(SweepStarted(spec=spec(name="mine").to_json()), *trials)
    (folder / "logs" / "trainer-7.log").write_text(TRAINER)
    (folder / "logs" / "trainer-8.log").write_text("=== trial 1, attempt 1, x ===\none\n")
    (folder / "logs" / "driver.log").write_text("".join(f"line {number}\n" for number in range(100)))
    (folder / "logs" / "tracker.log").touch()
    (folder / "logs" / "trainer-9.log").symlink_to("/etc/passwd")
    return folder


@pytest.mark.usefixtures("sweep")
def test_the_ends_of_all_logs_are_shown() -> None:
    """The driver's first, empty ones left out, links not followed; --all has the rest."""
    found = json.loads(command("logs", "mine", "--json").out)
    assert list(found) == ["driver.log", "trainer-7.log", "trainer-8.log"]
    assert found["driver.log"] == [f"line {number}" for number in range(50, 100)]
    assert len(json.loads(command("logs", "mine", "--json", "--all").out)["driver.log"]) == 100
    said = command("logs", "mine")
    assert (said.code, "root:" in said.out, "zero again" in said.out) == (0, False, True)


@pytest.mark.usefixtures("sweep")
def test_a_trial_has_the_lines_of_its_trainers_while_they_were_at_it() -> None:
    """Of all its attempts, with the marks; of a progress bar what it came to."""
    found = json.loads(command("logs", "mine", "0", "--json").out)
    assert list(found) == ["trainer-7.log"]
    assert [line for line in found["trainer-7.log"] if not MARK.fullmatch(line)] == ["loading zero", "zero again"]
    assert json.loads(command("logs", "mine", "2", "--json").out)["trainer-7.log"][1] == " 100%"
    assert "one" in command("logs", "mine", "1").out


@pytest.mark.usefixtures("sweep")
def test_a_trial_without_lines_is_said() -> None:
    """One that there is not, and one that no trainer has begun."""
    assert "has no trial 9; it has 4" in command("logs", "mine", "9").error
    said = command("logs", "mine", "3")
    assert (said.code, "no trainer has written about trial 3" in said.error) == (2, True)


def test_a_mark_is_written_as_it_is_read(tmp_path: Path) -> None:
    """In one piece, past Python's buffers."""
    program = "from kerasweep.cluster.trial_log import mark; mark(12, 3); print('x'); mark(13, 1)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    lines = done.stdout.splitlines()
    assert [bool(MARK.fullmatch(line)) for line in lines] == [True, False, True]
    assert list(of_trial(lines, 12)) == lines[:2]


@given(st.lists(st.one_of(st.integers(0, 3).map(lambda n: f"=== trial {n}, attempt 1, t ==="), st.just("text"))))
def test_every_line_after_the_first_mark_is_some_trials(lines: list[str]) -> None:
    """None is lost, none shown twice."""
    shown = sum(len(list(of_trial(lines, number))) for number in range(4))
    first = next((index for index, line in enumerate(lines) if MARK.fullmatch(line)), len(lines))
    assert shown == len(lines) - first
