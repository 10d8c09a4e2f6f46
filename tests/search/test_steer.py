"""Tests of `kerasweep.search.steer`: `set` and `retry`, to a driver that answers and to a journal without one."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kerasweep.search import inbox, steer
from kerasweep.search.budget import Budget
from kerasweep.search.inbox import FOLDER, ask, take
from kerasweep.search.ledger import Ledger
from kerasweep.search.requests import heard
from kerasweep.search.spec import SweepSpec
from kerasweep.search.steer import retry_command, set_command
from kerasweep.search.sweeps import read
from kerasweep.spaces.errors import BadInput, Infrastructure
from kerasweep.spaces.trial import OutcomeKind
from kerasweep.trackers.events import Event, SweepEnded, SweepStarted
from kerasweep.trackers.journal import Journal, Lock, Reader

from .specs import begun, completed, ended, spec

FAILURE = [*begun(1), ended(1, OutcomeKind.FAILED, why="boom")]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with a sweep that has ended: a trial completed, one failed."""
    folder = tmp_path / "sweeps" / "small"
    folder.mkdir(parents=True)
    events: list[Event] = [*completed(0, 0.5), *FAILURE, SweepEnded(why="that was it", exit_code=0)]
    with Journal(folder) as journal:
        journal.append(SweepStarted(spec=spec().to_json()), *events)
    return tmp_path


@contextmanager
def driver(home: Path) -> Generator[Ledger]:
    """Be the driver of the sweep: hold it, and answer."""
    folder = home / "sweeps" / "small"
    over = threading.Event()
    with Reader(folder) as reader:
        past = [one for one in reader.after() if not isinstance(one.event, SweepEnded)]
    with Journal(folder) as journal:
        ledger = Ledger(journal, spec(), past)

        def work() -> None:
            while not over.wait(0.005):
                for request in take(folder):
                    inbox.answer(folder, request, lambda request=request: heard(ledger, request, 2))

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield ledger
        finally:
            over.set()
            thread.join()


def test_a_running_sweep_takes_settings_over(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its driver journals them, goes by them and answers."""
    with driver(home) as ledger:
        assert set_command("small", ["budget.trials=9", "parallel=1"], home) == 0
        assert ledger.state.rules.budget.trials == 9
        assert ledger.spec.parallel == 1
    assert capsys.readouterr().out == "small: budget.trials is 9, was 4; parallel is 1, was 2\n"
    history = read(home / "sweeps" / "small")
    assert SweepSpec.from_json(history.spec).budget == Budget(trials=9)
    assert history.notices == ["set: budget.trials is 9, was 4; parallel is 1, was 2"]
    assert not list((home / "sweeps" / "small" / FOLDER).iterdir())


def test_a_running_sweep_takes_trials_up_again(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They wait for a slot."""
    with driver(home) as ledger:
        assert retry_command("small", [], home) == 0
        assert ledger.state.queue == (1,)
        with pytest.raises(BadInput, match="trial 1 waits for a slot"):
            retry_command("small", [1], home)
    assert capsys.readouterr().out == "small: trial 1 runs again\n"
    assert read(home / "sweeps" / "small").trials[1].state == "waiting"


def test_what_a_driver_refuses_is_bad_input(home: Path) -> None:
    """In one line, and nothing has changed."""
    with driver(home) as ledger:
        seq = ledger.journal.seq
        with pytest.raises(BadInput, match="set parallel: the driver of small has places for 2"):
            set_command("small", ["parallel=3"], home)
        with pytest.raises(BadInput, match="must be above 0"):
            set_command("small", ["budget.trials=0"], home)
        with pytest.raises(BadInput, match="there is no trial 7"):
            retry_command("small", [1, 7], home)
        assert ledger.journal.seq == seq


def test_a_sweep_without_a_driver_goes_by_it_when_it_is_resumed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is journaled at once, and says what comes next; what ended stays as it is."""
    folder = home / "sweeps" / "small"
    assert set_command("small", ["budget.trials=9", "limits.trial_s=60"], home) == 0
    assert retry_command("small", [], home) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("limits.trial_s is 60.0, was none; `kerasweep resume small` goes by it")
    assert said[1] == "small: trial 1 runs again with `kerasweep resume small`"
    history = read(folder)
    assert history.reopened
    assert history.trials[1].state == "waiting"
    assert history.trials[1].retries == 1
    assert SweepSpec.from_json(history.spec).budget.trials == 9
    with Journal(folder) as journal, Reader(folder) as reader:
        ledger = Ledger(journal, SweepSpec.from_json(history.spec), reader.after())
        assert (ledger.state.queue, ledger.state.rules.budget.trials) == ((1,), 9)


def test_a_retry_says_what_else_a_spent_budget_needs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Or the sweep would end at once."""
    set_command("small", ["budget.goal=0.5"], home)
    retry_command("small", [], home)
    assert capsys.readouterr().out.splitlines()[1].endswith("`kerasweep resume small --set budget.goal=…`")


@pytest.mark.parametrize("command", ["set", "retry"])
def test_a_mistake_changes_nothing(home: Path, command: str) -> None:
    """Not a byte of the journal."""
    folder = home / "sweeps" / "small"
    with Reader(folder) as reader:
        before = list(reader.after())
    with pytest.raises(BadInput):
        set_command("small", ["budget.trials=0"], home) if command == "set" else retry_command("small", [0], home)
    with Reader(folder) as reader:
        assert list(reader.after()) == before


def test_a_driver_that_hangs_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is taken back, so that it does not take effect an hour later."""
    monkeypatch.setattr(steer, "ANSWER_S", 0.05)
    folder = home / "sweeps" / "small"
    lock = Lock(folder / "journal.lock")
    lock.acquire()
    with pytest.raises(Infrastructure, match=r"has not answered in 0.05 s; nothing is changed"):
        set_command("small", ["budget.trials=9"], home)
    assert take(folder) == []
    lock.release()


def test_a_driver_that_ends_unanswered_leaves_it_to_the_journal(home: Path) -> None:
    """What it has not taken can be done without it; what it has taken may have been done."""
    folder = home / "sweeps" / "small"
    looks = iter([True, False])
    assert ask(folder, {"type": "set"}, 5.0, lambda: next(looks)) is None

    def taken() -> bool:
        take(folder)
        return False

    with pytest.raises(Infrastructure, match="`kerasweep show small` shows how it is"):
        ask(folder, {"type": "set"}, 5.0, taken)


@pytest.mark.parametrize(
    "request_", [{}, {"type": "fly"}, {"type": "retry", "trials": ["x"]}, {"type": "set", "settings": 3}]
)
def test_a_request_of_another_version_does_no_harm(home: Path, request_: dict[str, object]) -> None:
    """It is refused, and the driver goes on."""
    with driver(home) as ledger, pytest.raises(BadInput, match="does not know this request"):
        heard(ledger, request_, 2)


def test_an_answer_goes_nowhere_but_into_the_inbox(home: Path) -> None:
    """Whatever name a request asks for."""
    folder = home / "sweeps" / "small"
    (folder / FOLDER).mkdir()
    before = sorted(path.name for path in home.rglob("*"))
    for name in ("../../x", "x" * 16, "", 3):
        inbox.answer(folder, {"reply": name}, lambda: "done")
    assert sorted(path.name for path in home.rglob("*")) == before
