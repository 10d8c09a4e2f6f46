"""Each mistake a user can make: one line that says where, what was expected and what to do; nothing left behind.

Those that need no import of the user's code are told at once, and are part of the fast layer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from kerasweep.search.cli import main
from kerasweep.spaces.errors import one_line

from .rig import KERASWEEP, MODEL, Rig

Make = Callable[..., Rig]
SWEEP: Mapping[str, str] = {
    "name": "rig",
    "model": "model.py:build",
    "data": "model.py:load",
    "objective": "max val_accuracy",
    "fit": "{epochs: 2, batch_size: 32}",
    "search": "{sampler: random, seed: 1}",
    "budget": "{trials: 4}",
    "parallel": "2",
}
AT_ONCE_S = 10.0
"""What takes half a second by itself, on a machine that is busy with others."""


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    lines: list[str]
    seconds: float


class Bad:
    """A folder with a sweep file and a model, and `kerasweep` run in it."""

    def __init__(self, home: Path, within: Callable[[Sequence[str]], Said]) -> None:
        self.home = home
        self.file = home / "sweep.yaml"
        self.write()
        (home / "model.py").write_text(MODEL)
        self._within = within

    def write(self, **changes: str) -> None:
        """Write the sweep file with some keys changed; an empty value takes one out."""
        keys = {**SWEEP, **changes}
        self.file.write_text("".join(f"{key}: {value}\n" for key, value in keys.items() if value))

    def run(self, *arguments: str) -> Said:
        """Run a command in a process of its own."""
        began = time.monotonic()
        done = subprocess.run(
            [KERASWEEP, *arguments], cwd=self.home, capture_output=True, text=True, timeout=300, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr.splitlines(), time.monotonic() - began)

    def refused(self, *arguments: str, code: int = 2, run: Callable[..., Said] | None = None) -> str:
        """Run a command that is refused, and leaves nothing; return the one line that it says."""
        before = sorted(self.home.rglob("*"))
        said = (run or self.run)(*(arguments or ("run", "sweep.yaml")))
        assert said.code == code, said
        assert len(said.lines) == 1, said
        assert "Traceback" not in said.lines[0]
        assert said.lines[0] == one_line(said.lines[0], 2000)
        left = [path for path in sorted(self.home.rglob("*")) if path not in before and "__pycache__" not in path.parts]
        assert left == []
        return said.lines[0]

    def refused_at_once(self, *arguments: str, code: int = 2) -> str:
        """Run a command, in this process, that is refused before anything slow begins; return the line."""
        return self.refused(*arguments, code=code, run=self.run_here)

    def run_here(self, *arguments: str) -> Said:
        """Run a command in this process, by the function that the command line is."""
        said = self._within(arguments)
        assert said.out == ""
        assert said.seconds < AT_ONCE_S
        return said


@pytest.fixture
def bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bad:
    """Return a folder with a good sweep, to be spoilt."""
    monkeypatch.delenv("KERASWEEP_DIR", raising=False)
    monkeypatch.chdir(tmp_path)

    def within(arguments: Sequence[str]) -> Said:
        monkeypatch.setattr(sys, "argv", ["kerasweep", *arguments])
        began = time.monotonic()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, out, err.splitlines(), time.monotonic() - began)

    return Bad(tmp_path, within)


# Told at once ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budgets": "{trials: 3}"}, ["unknown key 'budgets'", "did you mean 'budget'"]),
        ({"fit": "{epoch: 3}"}, ["'epoch'", "did you mean 'epochs'"]),
        ({"parallel": "two"}, ["'two'", "expected a whole number"]),
        ({"objective": "maximum val_accuracy"}, ["maximum val_accuracy", "max val_accuracy"]),
        ({"objective": "[max val_accuracy, params]"}, ["'params'", "write `max val_accuracy` or `min val_loss`"]),
        ({"objective": "[max val_loss, min val_loss]"}, ["'val_loss' is there twice"]),
        ({"objective": "[]"}, ["empty list", "[max val_accuracy, min params]"]),
        ({"constraints": "[params <]"}, ["constraints: 'params <' is not understood", "params <= 1e6"]),
        ({"constraints": "[params]"}, ["neither true nor false"]),
        ({"constraints": "params <= 3"}, ["'constraints' is no list"]),
        (
            {"objective": "[max a, min b]", "search": "{stop: {rule: threshold, epoch: 1, value: 1, metric: c}}"},
            ["'search.stop.metric' is 'c'", "expected an objective"],
        ),
        ({"space": "{units: {min: 8, max: 2}}"}, ["min 8 > max 2"]),
        ({"space": "{units: []}"}, ["empty list", "at least one value"]),
        ({"space": "{units: {min: 20, max: 100, step: 32}}"}, ["miss max 100", "the nearest max that fits is 84"]),
        ({"space": "{rate: {min: 0, max: 1, sampling: log}}"}, ["min must be above 0"]),
        ({"space": "{units: {min: 8, max: 32, step: 8, default: 12}}"}, ["not on the grid", "is 8"]),
        ({"space": "{n: {min: 1, max: 2, repeat: {u: [1]}}, u_0: [1]}"}, ["'u_0' is declared twice"]),
        ({"space": "{o: {choice: {0.5: {u: [1]}}}}"}, ["branches on 0.5, a float"]),
        ({"space": "{a: {fixed: 1, when: {b: 1}}, b: {fixed: 1, when: {a: 1}}}"}, ["cyclic condition: a → b → a"]),
        ({"space": "{units: {min: 1, max: 3}}", "where": "[units > 3]"}, ["none of 3 configurations keeps to"]),
        ({"space": "{units: {min: 1, max: 3}}", "where": "[untis > 2]"}, ["'untis'", "did you mean 'units'"]),
        ({"budget": "{trials: 0}"}, ["0", "from 1 to 1000000"]),
        ({"budget": "{hours: 0}"}, ["0", "above 0"]),
        ({"budget": ""}, ["no end", "budget: {trials: 50}"]),
        ({"model": "modle.py:build"}, ["modle.py", "did you mean 'model.py"]),
        ({"model": "model.py:biuld"}, ["biuld", "did you mean 'build'"]),
        ({"data": "model.py:lode"}, ["lode", "did you mean 'load'"]),
        ({"model": "no_such_package.module:build"}, ["no_such_package"]),
        ({"model": ""}, ["'model' is missing", "file.py:name"]),
    ],
    ids=[
        *("unknown key", "unknown fit argument", "wrong type", "objective"),
        *("no direction", "objective twice", "no objective", "half a constraint", "no condition", "no list"),
        *("threshold of no objective", "min above max", "no values"),
        *("a step that misses", "log of 0", "default off the grid", "declared twice", "branch on a float"),
        *("cyclic condition", "unsatisfiable where", "unknown name in where"),
        *("no trials", "no hours", "no budget", "model file", "model name", "data name", "package", "no model"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place(bad: Bad, changes: dict[str, str], words: list[str]) -> None:
    """The line begins with file, line and column, and names what was expected or nearest."""
    bad.write(**changes)
    line = bad.refused_at_once()
    place, _, rest = line.partition(" ")
    assert place.startswith("sweep.yaml:")
    assert len([part for part in place.split(":") if part.isdecimal()]) == 2
    for word in words:
        assert word in rest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: [model.py:build\n", []),
        ("model: model.py:build\nmodel: model.py:build\n", ["twice", "duplicate", "already"]),
        ("model: model.py:build\n\tdata: x\n", []),
        ("", []),
        ("- a\n- b\n", []),
        ("\x00", []),
    ],
    ids=["unclosed", "duplicate", "tab", "empty", "a list", "nul"],
)
def test_a_file_that_is_no_sweep_is_told_with_its_place(bad: Bad, text: str, words: list[str]) -> None:
    """Broken YAML, a key twice, nothing at all."""
    bad.file.write_text(text)
    line = bad.refused_at_once()
    assert line.startswith("sweep.yaml:")
    assert not words or any(word in line for word in words)


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_file_that_is_not_there(bad: Bad, command: str) -> None:
    """The near one in the same folder is named."""
    assert "did you mean 'sweep.yaml'" in bad.refused_at_once(command, "swep.yaml")


def test_the_command_itself_says_it_as_fast(bad: Bad) -> None:
    """In a process of its own: the same line, the same exit code, before anything heavy is imported."""
    bad.write(budget="{trials: 0}")
    began = time.monotonic()
    assert "expected a whole number from 1 to 1000000" in bad.refused()
    assert time.monotonic() - began < AT_ONCE_S


def test_a_setting_that_cannot_be(bad: Bad) -> None:
    """`--set` is told like the file, with its own place."""
    line = bad.refused_at_once("run", "sweep.yaml", "--set", "budget.trials=0")
    assert line.startswith("--set budget.trials=0: ")


@pytest.mark.parametrize("command", ["run", "plan"])
def test_more_processors_than_there_are(bad: Bad, command: str) -> None:
    """One trial's, or all of those at once; and graphics processors where there is none."""
    have = os.cpu_count() or 1
    bad.write(resources=f"{{cpu: {have + 1}}}", parallel="")
    assert f"this machine has {have}" in bad.refused_at_once(command, "sweep.yaml")
    bad.write(parallel=str(have + 1))
    assert f"{have + 1} cpus, this machine has {have}" in bad.refused_at_once(command, "sweep.yaml")
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        bad.write(resources="{gpu: 1}")
        assert "this machine has no gpu" in bad.refused_at_once(command, "sweep.yaml")


def test_a_tracker_on_a_host_that_is_not_there(bad: Bad) -> None:
    """It is exit 3, since the sweep is fine, and says how to do without; a server that is down is waited for instead."""
    uri = "http://no-such-host.invalid"
    bad.write(track=f'{{uri: "{uri}"}}')
    line = bad.refused_at_once(code=3)
    assert f"nobody answers at the tracker {uri}" in line
    assert "leave `track.uri` out" in line


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://localhost:99999", "is no address"),
        ("http://[::1", "is no address"),
        ("htp://localhost:5000", "did you mean 'http'?"),
        ("sqlite:////nowhere/deep/mlflow.db", "cannot write /nowhere/deep/mlflow.db"),
    ],
)
def test_a_tracker_that_is_no_address(bad: Bad, uri: str, words: str) -> None:
    """A port that cannot be, a scheme that MLflow does not know, a database in a folder that is not there."""
    bad.write(track=f'{{uri: "{uri}"}}')
    line = bad.refused_at_once()
    assert "track.uri" in line
    assert words in line


def test_a_name_that_is_used(bad: Bad) -> None:
    """The message says how to go on with that sweep, and how to begin another."""
    (bad.home / "sweeps" / "rig").mkdir(parents=True)
    line = bad.refused_at_once()
    assert "'rig' is already used" in line
    assert "kerasweep resume rig" in line
    assert "--set name=" in line


@pytest.mark.parametrize("folder", ["/proc/nope", "model.py/below"])
def test_a_folder_that_cannot_be_written(bad: Bad, folder: str) -> None:
    """The folder is named, and the option that chooses another."""
    line = bad.refused_at_once("run", "sweep.yaml", "--dir", folder)
    assert "cannot write in" in line
    assert "--dir" in line


@pytest.mark.parametrize("command", ["show", "best", "stop", "resume", "sync", "ui"])
def test_a_sweep_that_is_not_there(bad: Bad, command: str) -> None:
    """Every command that takes a name says which there are."""
    assert "no sweep 'digits'" in bad.refused_at_once(command, "digits")


# Found by running the user's code -------------------------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_module_at_all\n" + MODEL, ["No module named 'no_such_module_at_all'", "model.py:1"]),
        (MODEL + "raise ValueError('é' * 300_000)\n", ["ValueError: ééé"]),
        (MODEL.replace("from sklearn", "raise OSError('no data here')\n    from sklearn"), ["no data here", "in load"]),
        (MODEL + "import os\nos._exit(3)\n", ["exited with code 3"]),
    ],
    ids=["missing module", "raises at length", "no data", "exits"],
)
def test_code_that_cannot_be_used_leaves_nothing(bad: Bad, source: str, words: list[str]) -> None:
    """The user's code is imported before anything is made; what it raises is one line with its place."""
    (bad.home / "model.py").write_text(source)
    line = bad.refused()
    for word in words:
        assert word in line


@pytest.mark.real
def test_a_parameter_that_the_model_never_reads(bad: Bad) -> None:
    """Named before any trial, with the near match among those that it reads."""
    bad.write(space="{learning_rat: {min: 1e-4, max: 1e-2}}")
    line = bad.refused()
    assert "'learning_rat'" in line
    assert "did you mean 'learning_rate'?" in line


@pytest.mark.real
def test_a_name_that_the_model_does_not_log(bad: Bad) -> None:
    """`plan` sees it in one batch, `run` in the first epoch, which leaves nothing; the near match is named."""
    bad.write(constraints="[val_acuracy >= 0.5]")
    assert "'val_acuracy', which `constraints` mentions, is not among the model's metrics" in bad.refused()
    bad.write(objective="max val_acuracy")
    assert (
        "the objective 'val_acuracy' is not among the model's metrics (did you mean 'val_accuracy'?)" in bad.refused()
    )
    said = bad.run("plan", "sweep.yaml")
    assert said.code == 2
    assert "error: sweep.yaml:4: objective 'val_acuracy' is not logged" in said.out
    assert "did you mean 'val_accuracy'?" in said.out
    assert said.out.splitlines()[-1].endswith("kerasweep run sweep.yaml --force")


@pytest.mark.real
def test_run_refuses_what_training_cannot_mend(bad: Bad) -> None:
    """Labels that the model has no units for: one line with its place, and nothing is left behind; plan says the same."""
    source = (bad.home / "model.py").read_text()
    (bad.home / "model.py").write_text(source.replace("Dense(10", "Dense(4"))
    line = bad.refused()
    assert "the labels y go from 0 to 9, but" in line
    assert "`--force` runs it all the same" in line
    said = bad.run("plan", "sweep.yaml", "--json")
    assert said.code == 2
    assert "labels-out-of-range" in {one["code"] for one in json.loads(said.out)["findings"]}


@pytest.mark.real
@pytest.mark.parametrize(
    ("layer", "start", "words"),
    [
        ("Dense(4", "", "the labels y go from 0 to 9, but"),
        ("Dense(10", "{try: [{units_7: 8}]}", "no parameter 'units_7'"),
    ],
    ids=["inspection", "starting point"],
)
def test_a_sweep_that_is_left_alone_is_refused_like_any_other(bad: Bad, layer: str, start: str, words: str) -> None:
    """What is found once it has begun, too: `--detach` waits for that, since nobody could see it later."""
    source = (bad.home / "model.py").read_text()
    (bad.home / "model.py").write_text(source.replace("Dense(10", layer))
    bad.write(start=start, parallel="1")
    assert words in bad.refused("run", "sweep.yaml", "--detach")


@pytest.mark.real
def test_first_trials_that_fail_alike_end_the_sweep(rig: Make) -> None:
    """Three are enough: the error is shown once more at the end, exit 1."""
    broken = MODEL.replace("    model.compile(", "    raise ValueError('the same every time')\n    model.compile(")
    sweep = rig(broken, "".join(f"{key}: {value}\n" for key, value in {**SWEEP, "budget": "{trials: 20}"}.items()))
    code, text = sweep.run()
    assert code == 1, text
    assert "the first 3 trials failed alike: ValueError: the same every time (model.py:" in text
    assert len(sweep.history().trials) <= 4
    assert "Traceback" not in text
