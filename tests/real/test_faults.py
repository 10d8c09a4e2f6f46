"""Done or undone by force: kill -9 of each process of a real sweep, signals, and models that misbehave."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from kerasweep.spaces.trial import Cause
from kerasweep.trackers.events import AttemptEnded
from kerasweep.trackers.history import History, TrialRecord

from ..chaos.invariants import check
from .rig import MODEL, PACE, SWEEP, Rig, entries

pytestmark = pytest.mark.real
LONG = SWEEP.replace("epochs: 3", "epochs: 15")
Make = Callable[..., Rig]


def trials_ended(count: int) -> Callable[[History], bool]:
    """Return the condition that so many trials have ended."""
    return lambda history: sum(1 for one in history.trials.values() if one.outcome is not None) >= count


def in_fit(history: History) -> bool:
    """Return the condition that a running trial has reported an epoch."""
    return any(one.running and one.metrics for one in history.trials.values())


def test_a_sweep_survives_the_kill_of_the_fork_server(rig: Make) -> None:
    """Killed in mid-trial it takes its trainers along: that costs attempts at most."""
    sweep = rig(MODEL + PACE, LONG)
    sweep.start()
    sweep.wait(trials_ended(1))
    sweep.wait(in_fit)
    sweep.kill("forkserver")
    sweep.hurry()
    code, text = sweep.finish()
    assert code == 0, text
    sweep.check(code, text, trials=6)


IN_BUILD = MODEL.replace(
    "    model.compile(",
    """    mark = pathlib.Path(__file__).with_name("building")
    if rate != 1e-4 and not mark.exists():  # not the default, at which the model is looked at before the first trial
        mark.write_text(str(os.getpid()))
        time.sleep(600)
    model.compile(""",
).replace("import keras\n", "import os\nimport pathlib\nimport time\n\nimport keras\n", 1)


def test_a_trainer_killed_while_it_builds_is_replaced(rig: Make) -> None:
    """The trial whose model was being built is tried again in another trainer."""
    sweep = rig(IN_BUILD)
    sweep.start()
    mark = sweep.home / "building"
    sweep.wait(lambda _: mark.exists() and mark.read_text())
    os.kill(int(mark.read_text()), signal.SIGKILL)
    code, text = sweep.finish()
    assert code == 0, text
    killed = [one.event for one in entries(sweep.folder) if isinstance(one.event, AttemptEnded)]
    assert [(one.cause, one.attempt) for one in killed] == [(Cause.CRASH, 1)]
    assert "SIGKILL" in killed[0].why
    sweep.check(code, text, trials=6)


def test_trainers_killed_at_random_moments_are_replaced(rig: Make) -> None:
    """Whatever a trainer is doing (idle, building, fitting, ending a trial), its death costs an attempt at most."""
    draw = random.Random(seed := random.randrange(1_000_000))
    sweep = rig(MODEL + PACE, SWEEP.replace("trials: 6", "trials: 16").replace("epochs: 3", "epochs: 8"))
    launcher = sweep.start()
    try:
        sweep.wait(trials_ended(1))
        for _ in range(5):
            time.sleep(draw.uniform(0.5, 2.5))
            trainers = sweep.processes("trainer")
            if launcher.poll() is None and trainers:
                with suppress(psutil.NoSuchProcess):
                    draw.choice(trainers).kill()
        code, text = sweep.finish()
        assert code == 0, text
        sweep.check(code, text, trials=16)
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise


def test_a_second_ctrl_c_ends_within_two_seconds(rig: Make) -> None:
    """The second SIGINT waits for nothing; what was journaled stands, and `resume` completes the sweep."""
    sweep = rig(MODEL + PACE, SWEEP.replace("epochs: 3", "epochs: 60"))
    launcher = sweep.start()
    sweep.wait(in_fit)
    launcher.send_signal(signal.SIGINT)
    sweep.wait(lambda history: history.closing)  # two signals that nobody has seen yet are one
    launcher.send_signal(signal.SIGINT)
    began = time.monotonic()
    code, text = sweep.finish()
    assert time.monotonic() - began < 2.0
    assert code == 130, text
    while left := sweep.all_processes():
        assert time.monotonic() - began < 15.0, left
        time.sleep(0.1)
    check(sweep.folder, code=code, said=text)
    sweep.hurry()
    code, text = sweep.run("resume", "rig")
    assert code == 0, text
    sweep.check(code, text, trials=6)


def test_a_killed_driver_leaves_nothing_and_is_resumed(rig: Make) -> None:
    """After kill -9 of the driver the launcher exits 3 with the command, nothing of the sweep lives, resume completes."""
    sweep = rig(MODEL + PACE, LONG)
    sweep.start()
    sweep.wait(trials_ended(2))
    sweep.wait(in_fit)
    sweep.kill("driver")
    died = time.monotonic()
    code, text = sweep.finish()
    assert code == 3, text
    assert "kerasweep resume rig" in text
    while left := sweep.all_processes():
        assert time.monotonic() - died < 5.0, left
        time.sleep(0.1)
    before = check(sweep.folder, code=code, said=text)
    ended = {number: one.outcome for number, one in before.trials.items() if one.outcome is not None}
    sweep.hurry()
    code, text = sweep.run("resume", "rig")
    assert code == 0, text
    history = sweep.check(code, text, trials=6)
    assert {number: history.trials[number].outcome for number in ended} == ended


def test_ctrl_c_ends_within_ten_seconds_and_is_resumable(rig: Make) -> None:
    """One SIGINT: exit 130 within 10 s, unfinished runs KILLED in MLflow; resume goes on with the same trials."""
    sweep = rig(MODEL + PACE, LONG)
    launcher = sweep.start()
    sweep.wait(trials_ended(1))
    sweep.wait(in_fit)
    launcher.send_signal(signal.SIGINT)
    began = time.monotonic()
    code, text = sweep.finish()
    assert code == 130, text
    assert time.monotonic() - began < 10.0
    sweep.check(code, text)
    sweep.hurry()
    code, text = sweep.run("resume", "rig")
    assert code == 0, text
    sweep.check(code, text, trials=6)


def test_ctrl_c_during_the_start_leaves_nothing(rig: Make) -> None:
    """A SIGINT while TensorFlow is being imported ends the command with 130 and leaves no folder."""
    sweep = rig(MODEL + PACE, LONG)
    launcher = sweep.start()
    sweep.wait(lambda _: sweep.processes("forkserver"))
    launcher.send_signal(signal.SIGINT)
    code, text = sweep.finish(20.0)
    assert code == 130, text
    assert not (sweep.home / "sweeps").exists()


MISBEHAVING = MODEL.replace(
    "def build(hp):",
    """
def build(hp):
    import ctypes, os, time

    kind = hp.Choice("kind", ["good", "raise", "nan", "exit", "segfault", "sleep", "huge"])
    if kind == "raise":
        raise ValueError("this configuration is not for me")
    if kind == "exit":
        os._exit(7)
    if kind == "segfault":
        ctypes.string_at(0)
    if kind == "sleep":
        time.sleep(1e9)
    if kind == "huge":
        np.zeros(10**15)
""",
).replace('"sparse_categorical_crossentropy"', '"sparse_categorical_crossentropy" if kind != "nan" else not_a_number')
NOT_A_NUMBER = """

def not_a_number(y_true, y_pred):
    return keras.ops.mean(y_pred) * float("nan")
"""


def alone(trial: TrialRecord, history: History) -> bool:
    """Say whether no other trial ran while the last attempt of this one did."""
    last = trial.timings[-1]
    others = [one for other in history.trials.values() if other is not trial for one in other.timings]
    return all(one["end"] <= last["start"] or one["start"] >= last["end"] for one in others)


def test_misbehaving_models_fail_with_their_reason_and_the_others_complete(rig: Make) -> None:
    """Raising, NaN, os._exit, a segfault, a hang and a want of memory fail their trial, with the reason; the best is right."""
    sweep = rig(
        MISBEHAVING + NOT_A_NUMBER,
        SWEEP.replace("max val_accuracy", "min val_loss").replace("trials: 6", "trials: 18")
        + "retry: {crash: 0}\nlimits: {trial_s: 8}\nspace:\n  layers: {fixed: 1}\n",
    )
    code, text = sweep.run()
    assert code == 0, text
    history = sweep.check(code, text, trials=18)
    words = {
        "raise": "this configuration is not for me (model.py:",
        "nan": "NonFiniteObjective",
        "exit": "exited with code 7",
        "segfault": "SIGSEGV",
        "sleep": "limits.trial_s",
        "huge": "; its process took up to ",
    }
    kinds: set[str] = set()
    for trial in history.trials.values():
        outcome = trial.outcome
        assert outcome is not None
        kind = str(trial.params.get("kind", ""))
        kinds.add(kind or next(name for name, word in words.items() if word in outcome.reason))
        if kind == "good":
            assert trial.state == "completed"
        elif kind:
            assert trial.state == "failed"
            assert words[kind] in outcome.reason
        if kind == "huge":
            assert trial.causes == [Cause.OOM] * 2
            assert alone(trial, history)
    assert len(kinds) >= 4
    values = [one.outcome.value for one in history.trials.values() if one.outcome and one.outcome.value is not None]
    assert f"{min(values):.5g}" in text
