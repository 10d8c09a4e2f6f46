"""Row 15: what others have named or said comes out as text, in the terminal, in JSON, in YAML and in MLflow's note."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text
from ruamel.yaml import YAML

from kerasweep.search.live import last_words, picture
from kerasweep.search.terminal import Terminal, escaped_json, printable
from kerasweep.spaces.trial import Outcome, OutcomeKind, Report
from kerasweep.trackers import leaderboard
from kerasweep.trackers.events import Event, Noticed, Reported, SweepStarted, TrialEnded
from kerasweep.trackers.history import History
from kerasweep.trackers.journal import Journal

from ..search.specs import begun, entries, spec
from .command import command

EVIL = "\x1b]0;owned\x07[red]x[/red]\x9b31m\u202etxt.exe\u2066 [link=http://evil]y[/link] :smiley: \r\x08"
"""A window's title, markup of rich, a C1 control, two marks of direction, a link, an emoji's name, an overwritten line."""
COMMANDS = (
    ["list"],
    ["show", "evil"],
    ["show", "evil", "0"],
    ["show", "evil", "1"],
    ["best", "evil"],
    ["logs", "evil"],
)


def happened() -> list[Event]:
    """Return a sweep in which everything that may be named by others is hostile."""
    metrics = {"acc": 0.5, EVIL: 0.25}
    return [
        *begun(0, {"x": 0.5, EVIL: EVIL, "formula": "=cmd|' /C calc'!A0"}),
        Reported(trial=0, attempt=1, report=Report(epoch=1, metrics=metrics, seconds=0.1)),
        TrialEnded(trial=0, attempt=1, outcome=Outcome(kind=OutcomeKind.COMPLETED, value=0.5, epoch=1)),
        *begun(1),
        TrialEnded(
            trial=1,
            attempt=1,
            outcome=Outcome(kind=OutcomeKind.FAILED, reason=f"ValueError: {EVIL}", traceback=f"All:\n{EVIL}"),
        ),
        Noticed(text=EVIL),
        *begun(2, {EVIL: EVIL}),
    ]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with the hostile sweep and its log in it."""
    folder = tmp_path / "sweeps" / "evil"
    (folder / "logs").mkdir(parents=True)
    with Journal(folder) as journal:
        journal.append(SweepStarted(spec=spec(name="evil").to_json()), *happened())
    (folder / "logs" / "trainer-1.log").write_text(f"=== trial 0, attempt 1, now ===\n{EVIL}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERASWEEP_DIR", raising=False)
    return tmp_path


def is_harmless(text: str) -> bool:
    """Say whether nothing in the text acts on a terminal."""
    return all(char.isprintable() or char in "\n\t" for char in text)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.usefixtures("home")
def test_no_command_lets_a_control_character_through(words: list[str]) -> None:
    """Escape sequences, C1 controls and marks of direction are gone; markup of rich stands there as it was written."""
    said = command(*words)
    assert said.code == 0, said
    assert is_harmless(said.out + said.error), said
    if words[0] == "show":
        assert "[red]x[/red]" in "".join(said.out.split("\n")).replace(" ", ""), said.out
        assert "😃" not in said.out


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.usefixtures("home")
def test_json_holds_all_of_it_and_shows_none_of_it(words: list[str]) -> None:
    """What a program reads is what was journaled; what a person sees of it does nothing."""
    said = command(*words, "--json")
    assert said.code == 0, said
    assert is_harmless(said.out), said.out
    data = json.loads(said.out)
    if words == ["show", "evil", "0"]:
        assert data["params"][EVIL] == EVIL
        assert data["metrics"][0][EVIL] == 0.25


@pytest.mark.usefixtures("home")
def test_the_best_trial_as_yaml_is_read_back_as_it_was() -> None:
    """Escaped, not left out."""
    text = command("best", "evil").out
    assert YAML(typ="safe", pure=True).load(text) == {"x": 0.5, EVIL: EVIL, "formula": "=cmd|' /C calc'!A0"}


def test_the_live_view_cleans_what_it_draws() -> None:
    """In a terminal, with styles: the only escape sequences are rich's own."""
    history = History.of(entries([SweepStarted(spec=spec().to_json()), *happened()]))
    for terminal in (True, False):
        out = io.StringIO()
        console = Terminal()
        console.file, console._force_terminal, console._color_system = out, terminal, None
        console.print(picture(history, 1_700_000_100.0))
        console.print(last_words(history))
        assert "owned" in out.getvalue()
        assert is_harmless(out.getvalue()), out.getvalue()


@given(st.text())
def test_no_way_of_printing_is_left_out(text: str) -> None:
    """Text, strings, cells and heads of tables, titles: the cleaning is below them all."""
    out = io.StringIO()
    console = Terminal()
    console.file = out
    table = Table(text, title=text)
    table.add_row(text)
    table.add_row(Text(text))
    for one in (text, Text(text), table):
        console.print(one)
    assert is_harmless(out.getvalue())


@given(st.text())
def test_escaped_json_means_the_same(text: str) -> None:
    """Also of characters beyond 16 bits."""
    escaped = escaped_json(json.dumps({text: [text]}, ensure_ascii=False))
    assert is_harmless(escaped)
    assert json.loads(escaped) == {text: [text]}


@given(st.text())
def test_what_can_be_printed_stays(text: str) -> None:
    """Only what acts is removed, and nothing twice."""
    assert printable(printable(text)) == printable(text)
    assert [char for char in text if char.isprintable()] == [char for char in printable(text) if char not in "\n\t"]


def test_the_note_in_mlflow_has_no_links_and_no_tags_but_its_own() -> None:
    """A value is shown as it is: no picture is fetched, no script runs, no column is added."""
    evil = {
        "x": "![p](http://evil/p.png)",
        "y": "[z](javascript:alert(1))",
        "z": "<img src=x onerror=alert(1)>|a|b|&lt;",
    }
    events = [
        SweepStarted(spec=spec().to_json()),
        *begun(0, evil),
        TrialEnded(trial=0, attempt=1, outcome=Outcome(kind=OutcomeKind.COMPLETED, value=0.5, epoch=1)),
    ]
    note = leaderboard.note(History.of(entries(events)), "1", "view", {0: "run"})
    row = note.splitlines()[-1]
    assert "![" not in note.replace("\\[", "")
    assert "](javascript" not in row.replace("\\]", "")
    assert "<" not in row
    assert row.replace("\\|", "").count("|") == 3 + 1 + 1 + len(evil)
