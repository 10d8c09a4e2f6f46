"""The README's blocks of budgets, several objectives, starting points, noise and populations, each as a sweep on digits.

A block takes the place of what the README's first sweep file has under its keys; numbers are lowered by `--set` alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from statistics import fmean, stdev
from typing import Any

import pytest
from ruamel.yaml import YAML

from kerasweep.search.budget import HOUR_S, counted
from kerasweep.search.summary import Summary
from kerasweep.spaces.trial import OutcomeKind
from kerasweep.trackers.history import History, TrialRecord

from ..chaos.invariants import check
from .rig import Rig, rigs
from .test_readme import blocks

pytestmark = pytest.mark.real
LOAD = """

class Slow(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        import pathlib
        import time

        time.sleep(0.2 if pathlib.Path("slow").exists() else 0)


def load():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    return {"x": x[:600], "y": y[:600], "validation_data": (x[600:800], y[600:800]), "callbacks": [Slow()]}
"""
BEFORE = "name: digits-before\nbudget: {trials: 2}\n"


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Return a rig with the README's model, a cluster of one node with two counted gpus, and one `mlflow.db` for all."""
    with pytest.MonkeyPatch.context() as patch:
        makers = rigs(tmp_path_factory.mktemp("readme"), patch)
        one = next(makers)(blocks("python")[0] + LOAD)
        try:
            code, text = one.run("cluster", "up", "--nodes", "1", "--cpus", "2", "--gpus", "2")
            assert code == 0, text
            yield one
        finally:
            one.run("cluster", "down")
            next(makers, None)


def begin(rig: Rig, block: str, name: str = "", **settings: Any) -> None:
    """Start the first sweep file with a block in it; a double underscore in a setting's name is a dot."""
    yaml: Any = YAML(typ="safe")
    first, part = yaml.load(blocks("yaml")[0]), yaml.load(block)
    whole = {key: value for key, value in first.items() if key != "space"} | {"name": name} | part
    with (rig.home / f"{whole['name']}.yaml").open("w") as file:
        yaml.dump(whole, file)
    rig.folder = rig.home / "sweeps" / whole["name"]
    changes = [word for key, value in settings.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]
    rig.start("run", f"{whole['name']}.yaml", "--address", "auto", *changes)


def sweep(rig: Rig, block: str, name: str = "", **settings: Any) -> tuple[History, str]:
    """Run the first sweep file with a block in it to its end; return its checked history, and what was printed."""
    begin(rig, block, name, **settings)
    code, text = rig.finish()
    assert code == 0, text
    return check(rig.folder, code=code, said=text, processes=rig.workers), text


def block(key: str) -> str:
    """Return the README's first block of YAML, but for the whole file, that begins with a key or has a line with it."""
    parts = blocks("yaml")[1:]
    return next((one for one in parts if one.startswith(f"{key}:")), "") or next(
        one for one in parts if f"\n{key}:" in one
    )


def own(history: History) -> list[TrialRecord]:
    """Return the trials of the search."""
    return [one for one in history.trials.values() if one.confirms is None]


def test_several_objectives_with_stopping_and_constraints(sweeps: Rig) -> None:
    """Infeasible ones do not train, the others have both values; `best` exports the front and one trial of it."""
    history, _ = sweep(sweeps, block("objective"), budget__trials=4)
    for one in own(history):
        assert one.outcome is not None
        assert one.outcome.kind is OutcomeKind.INFEASIBLE or one.facts["latency_ms"] > 0
        assert (one.outcome.kind is OutcomeKind.INFEASIBLE) == (not one.metrics)
        assert not one.metrics or one.outcome.values == (one.outcome.value, one.facts["parameters"])
    code, text = sweeps.run("best", "small-digits", "--json")
    assert code == 0, text
    front = json.loads(text)["front"]
    code, text = sweeps.run("best", "small-digits", "--export", "front")
    assert code == 0, text
    folders = {f"t{one['number']:04d}" for one in front}
    assert {path.name for path in (sweeps.home / "front").iterdir()} == folders
    assert all((sweeps.home / "front" / folder / "model.keras").exists() for folder in folders)
    code, text = sweeps.run("best", "small-digits", "--trial", str(front[0]["number"]), "--export", "one")
    assert code == 0, text
    assert (sweeps.home / "one" / "model.keras").exists()


def test_every_trial_is_repeated_and_the_best_are_confirmed(sweeps: Rig) -> None:
    """Each seed has its metrics beside the mean and the spread; the champion is the best by its mean on fresh seeds."""
    small: dict[str, Any] = {"budget__trials": 2, "fit__epochs": 1, "confirm__top": 2, "confirm__seeds": 2}
    history, text = sweep(sweeps, block("repeats"), "noise", **small)
    whole = [one for one in own(history) if one.state == "completed"]
    assert len(own(history)) == 2
    assert whole
    for one in whole:
        each = [one.metrics[epoch][f"repeat_{epoch}/val_accuracy"] for epoch in (1, 2, 3)]
        assert one.outcome is not None
        assert one.outcome.value == pytest.approx(fmean(each))
        assert one.metrics[3]["val_accuracy_std"] == pytest.approx(stdev(each))
    champion, other = Summary.of(history).confirmed()
    fresh = {one.seed for one in history.trials.values() if one.confirms is not None}
    assert len(fresh) == 2
    assert not fresh & {one.seed for one in own(history)}
    assert champion.mean >= other.mean
    assert champion.in_words in text


def test_a_population_hands_on_what_it_has_learned(sweeps: Rig) -> None:
    """Each heir begins where its donor ended, and `show` tells from which trial."""
    history, text = sweep(sweeps, block("pbt"), "population", fit__epochs=4, pbt__population=4)
    assert "the population has trained its 4 epochs" in text
    heirs = [one for one in own(history) if one.donor is not None]
    assert len(heirs) == 4
    assert len(own(history)) == 8
    for one in heirs:
        assert one.donor is not None
        assert sorted(one.metrics) == [3, 4]
        assert max(history.trials[one.donor.trial].metrics) == one.donor.epoch == 2
    first = heirs[0]
    assert first.donor is not None
    code, text = sweeps.run("show", "population", str(first.number))
    assert code == 0, text
    assert f"trial {first.donor.trial}" in text


def test_points_and_an_earlier_sweep_come_first(sweeps: Rig) -> None:
    """The points of the file are the first trials, then what was best before, as far as its values fit."""
    before, _ = sweep(sweeps, BEFORE, fit__epochs=1)
    history, _ = sweep(sweeps, block("start"), "digits-after", fit__epochs=1, budget__trials=4)
    tried = [history.trials[number].params for number in range(4)]
    assert {"learning_rate": 1e-3, "units_0": 64}.items() <= tried[0].items()
    assert tried[1]["learning_rate"] == 1e-2
    best = [one.params["learning_rate"] for one in Summary.of(before).ranked()]
    assert [one["learning_rate"] for one in tried[2:]] == best


def test_each_budget_of_time_ends_a_sweep_in_words(sweeps: Rig) -> None:
    """Two trials of half a gpu each use one gpu; hours are those of drivers; running trials keep what they have."""
    (sweeps.home / "slow").touch()
    long: dict[str, Any] = {
        "fit__epochs": 5000,
        "search__stop": "none",
        "budget__goal": "null",
        "budget__epochs": "null",
    }
    gpus: dict[str, Any] = {"resources__gpu": 0.5, "budget__gpu_hours": 100, "keep__best": 1}
    begin(sweeps, block("budget"), "hours", **long, **gpus)
    history = used_up(sweeps, "gpu_hours")
    assert sum(one.slot_seconds(0) for one in own(history)) * 0.5 >= history.spec["budget"]["gpu_hours"] * HOUR_S
    sweeps.start("resume", "hours", "--address", "auto", "--set", "budget.gpu_hours=null")
    history = used_up(sweeps, "hours")
    assert Summary.of(history).seconds(history.last_at) >= history.spec["budget"]["hours"] * HOUR_S
    (sweeps.home / "slow").unlink()


def used_up(rig: Rig, name: str) -> History:
    """Lower a limit to what is used in two seconds, once two trials have trained; return how the sweep ended by it."""
    history = rig.wait(lambda now: sum(bool(one.running and one.metrics) for one in now.trials.values()) == 2)
    (used,) = [one.used for one in Summary.of(history).used(time.time()) if one.name == name]
    running, launcher = [one.number for one in history.trials.values() if one.running], rig.launcher
    code, text = rig.run("set", "hours", f"budget.{name}={used + 2 / HOUR_S:.6f}")
    assert code == 0, text
    rig.launcher = launcher
    code, text = rig.finish()
    assert code == 0, text
    history = check(rig.folder, code=code, said=text, processes=rig.workers)
    why = f"the budget of {counted(name, history.spec['budget'][name])} is spent"
    assert why in text
    assert history.ended is not None
    assert history.ended.why == why
    for number in running:
        one = history.trials[number]
        assert one.outcome is not None
        assert (one.outcome.kind, one.outcome.reason) == (OutcomeKind.STOPPED, why)
        assert one.outcome.value == max(value for _, value in one.curve("val_accuracy"))
    return history
