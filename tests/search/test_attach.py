"""Tests of `kerasweep.search.attach` on journals whose driver is this process, or has gone."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from kerasweep.search import attach as attaching
from kerasweep.search.attach import attach
from kerasweep.search.signals import Interrupt
from kerasweep.spaces.trial import Outcome, OutcomeKind
from kerasweep.trackers.events import AttemptStarted, SweepEnded, SweepResumed, SweepStarted, TrialAsked, TrialEnded
from kerasweep.trackers.history import History
from kerasweep.trackers.journal import Journal

from .specs import spec

DONE = Outcome(kind=OutcomeKind.COMPLETED, value=0.5, epoch=1)


def begun(folder: Path) -> Journal:
    """Return the journal of a sweep with one trial that has ended."""
    folder.mkdir()
    journal = Journal(folder)
    journal.append(
        SweepStarted(spec=spec().to_json()),
        TrialAsked(trial=0, seed=1, params={}, history_seq=1),
        AttemptStarted(trial=0, attempt=1),
        TrialEnded(trial=0, attempt=1, outcome=DONE),
    )
    return journal


def shown(folder: Path) -> tuple[int, str]:
    """Attach, and return the exit code and what was shown."""
    text = io.StringIO()
    code = attach(folder, Console(file=text, width=200))
    return code, text.getvalue()


def test_it_shows_a_sweep_until_its_driver_has_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also one that had ended before and was resumed: it ends with the driver, and with the sweep's exit code."""
    journal = begun(tmp_path / "one")
    journal.append(SweepEnded(why="interrupted", exit_code=130))

    def drive() -> None:
        time.sleep(0.3)
        journal.append(SweepResumed(spec=spec().to_json()))
        journal.append(TrialAsked(trial=1, seed=1, params={}, history_seq=1), AttemptStarted(trial=1, attempt=1))
        journal.append(
            TrialEnded(trial=1, attempt=1, outcome=DONE), SweepEnded(why="stopped on request", exit_code=130)
        )
        journal.close()

    driver = threading.Thread(target=drive)
    driver.start()
    code, text = shown(tmp_path / "one")
    driver.join()
    assert code == 130
    assert "2 completed" in text
    assert "not running" not in text
    assert "stopped on request; nothing is lost: `kerasweep resume one`" in capsys.readouterr().err


def test_one_that_has_ended_says_how(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not running any more; its exit code is the sweep's, or 3 where MLflow lacks the end."""
    journal = begun(tmp_path / "one")
    journal.append(SweepEnded(why="budget", exit_code=0))
    journal.close()
    code, text = shown(tmp_path / "one")
    assert code == 3
    assert text.startswith("one is not running any more\n")
    assert "1 completed" in text
    assert "which are safe: `kerasweep sync one`" in capsys.readouterr().err


def test_one_whose_driver_was_lost_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 3 and the command to resume; an empty journal is nothing to resume."""
    begun(tmp_path / "one").close()
    assert shown(tmp_path / "one")[0] == 3
    assert "the driver of one is gone; what was journaled is safe: `kerasweep resume one`" in capsys.readouterr().err


def test_whoever_leaves_leaves_it_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the view alone, and says how to come back; a SIGTERM to the view is a SIGTERM."""
    journal = begun(tmp_path / "one")
    codes: list[int] = []

    def interrupted(folder: Path, console: Console) -> History:
        raise Interrupt(codes[-1])

    monkeypatch.setattr(attaching, "_follow", interrupted)
    for signal, code in ((130, 0), (143, 143)):
        codes.append(signal)
        got, text = shown(tmp_path / "one")
        assert got == code
        assert "one runs on: `kerasweep attach one` shows it, `kerasweep stop one` stops it" in text
    journal.close()
