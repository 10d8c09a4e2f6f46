"""Whole sweeps on digits: the best confirmed on fresh seeds, every trial over several seeds, a population."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from statistics import fmean, stdev

import pytest

from kerasweep.search.summary import Summary
from kerasweep.trackers import mirror
from kerasweep.trackers.history import TrialRecord

from ..chaos.invariants import in_mlflow
from .rig import MODEL, PACE, SWEEP, Rig, check_journal, check_mlflow

pytestmark = pytest.mark.real
Make = Callable[..., Rig]


def value(record: TrialRecord) -> float:
    """Return the value of a trial that has one."""
    assert record.outcome is not None
    assert record.outcome.value is not None
    return record.outcome.value


def tags(sweep: Rig) -> dict[int | None, dict[str, str]]:
    """Return the tags of the sweep's runs in MLflow, by trial; its own under None."""
    runs = in_mlflow(f"sqlite:///{sweep.home / 'mlflow.db'}")(mirror.sweep_id(sweep.history()))
    return {run.trial: dict(run.tags) for run in runs}


def test_the_best_are_confirmed_and_the_champion_is_exported(rig: Make) -> None:
    """Killed in the middle of the confirmation and resumed: each candidate has its runs, and no stop rule touched them."""
    sweep = rig(MODEL + PACE, SWEEP.replace("seed: 1}", "seed: 1, stop: asha}") + "confirm: {top: 2, seeds: 3}\n")
    sweep.start()
    sweep.wait(lambda history: any(one.confirms is not None and one.metrics for one in history.trials.values()))
    sweep.kill("driver")
    assert sweep.finish()[0] == 3
    sweep.hurry()
    code, text = sweep.run("resume", "rig")
    assert code == 0, text
    history = check_journal(sweep.folder, trials=6)
    check_mlflow(sweep.home, history)
    runs = [one for one in history.trials.values() if one.confirms is not None]
    (champion, other), searched = Summary.of(history).confirmed(), Summary.of(history).searched()
    assert sorted(one.confirms or 0 for one in runs) == sorted([searched[0].number, searched[1].number] * 3)
    for one in runs:
        original = history.trials[one.confirms or 0]
        assert dict(one.params) == dict(original.params)
        assert one.seed != original.seed
        assert (one.state, len(one.metrics)) == ("completed", 3)
    assert len({one.seed for one in runs}) == 3
    assert champion.mean >= other.mean
    assert champion.mean == fmean(value(one) for one in runs if one.confirms == champion.number)
    assert champion.in_words in text
    told = tags(sweep)
    assert {told[one.number]["confirms"] for one in runs} == {f"t{one.number:04d}" for one in (champion, other)}
    assert told[None]["best_trial"] == str(champion.number)
    assert told[None]["confirmed"] == champion.in_words
    code, text = sweep.run("best", "rig", "--json")
    best = json.loads(text)
    assert (best["number"], best["confirmed"]["flattered"]) == (champion.number, champion.flattered)
    kept = {path.name for path in (sweep.folder / "checkpoints").iterdir() if (path / "weights.npz").exists()}
    assert str(champion.best_run) in kept
    code, text = sweep.run("best", "rig", "--export", "out")
    assert code == 0, text
    assert champion.in_words in (sweep.home / "out" / "params.yaml").read_text()


def test_a_trial_is_the_mean_over_its_seeds(rig: Make) -> None:
    """Each seed is a fit of its own; the mean and the spread are recorded, and a hopeless trial is not trained on all."""
    space = "space: {learning_rate: {choice: [0.000001, 0.01], ordered: false}}\n"
    rates = ", ".join(f"{{learning_rate: {rate}}}" for rate in (0.01, 0.01, 0.000001, 0.000001, 0.000001))
    start = f"start: {{try: [{rates}]}}\n"  # on two slots one of the good ones is through before a bad one begins
    sweep = rig(sweep=SWEEP.replace("trials: 6", "trials: 5") + "repeats: {seeds: 3, level: 0.1}\n" + space + start)
    code, text = sweep.run()
    assert code == 0, text
    history = check_journal(sweep.folder, trials=5)
    check_mlflow(sweep.home, history)
    whole = [one for one in history.trials.values() if one.state == "completed"]
    for one in whole:
        own = [one.metrics[epoch][f"repeat_{epoch}/val_accuracy"] for epoch in (1, 2, 3)]
        assert list(one.metrics) == [1, 2, 3]
        assert value(one) == pytest.approx(fmean(own))
        assert one.metrics[3]["val_accuracy_std"] == pytest.approx(stdev(own))
        assert len(set(own)) > 1, "the seeds made no difference"
    stopped = [one for one in history.trials.values() if one.state == "stopped"]
    assert [one.number for one in stopped] == [2, 3, 4]
    for one in stopped:
        assert one.outcome is not None
        assert one.outcome.reason.startswith("repeats: after 2 of 3 seeds its mean ")
    assert Summary.of(history).ranked()[0] in whole


def test_a_front_is_confirmed_under_a_constraint(rig: Make) -> None:
    """Two objectives over two seeds each; the front in the end is that of the means on fresh seeds, and is exported."""
    goals = SWEEP.replace("max val_accuracy", "[max val_accuracy, min params]").replace("epochs: 3", "epochs: 2")
    more = "constraints: [val_loss <= 5, params <= 3000]\nrepeats: 2\nconfirm: {top: 3, seeds: 2}\n"
    sweep = rig(sweep=goals + more)
    code, text = sweep.run()
    assert code == 0, text
    history = check_journal(sweep.folder, trials=6)
    summary = Summary.of(history)
    tried = [one for one in history.trials.values() if one.confirms is None and one.state == "completed"]
    for one in tried:
        assert one.outcome is not None
        accuracies = [one.metrics[epoch][f"repeat_{epoch}/val_accuracy"] for epoch in (1, 2)]
        assert one.outcome.values == (pytest.approx(fmean(accuracies)), one.measured["params"])
        assert one.outcome.violations[1] == 0.0
    confirmed = summary.confirmed()
    assert {one.number for one in confirmed} == {one.number for one in summary.searched()[:3]}
    front = summary.front()
    for one in confirmed:
        runs = [value(history.trials[number]) for number in one.runs]
        assert one.means == (fmean(runs), history.trials[one.number].measured["params"])
        beaten = any(
            all(their >= own for their, own in zip(other.point.scores, one.point.scores, strict=True))
            for other in confirmed
            if other is not one
        )
        assert beaten == (one.number not in [other.number for other in front])
    assert confirmed[0].in_words in text
    told = tags(sweep)[None]
    assert (told["best_trial"], told["confirmed"]) == (str(front[0].number), confirmed[0].in_words)
    assert told["front"].count("val_accuracy") == len(front)
    code, text = sweep.run("best", "rig")
    assert code == 0, text
    assert "by means on fresh seeds" in text
    assert all(one.in_words in text for one in confirmed)
    code, text = sweep.run("best", "rig", "--export", "out")
    assert code == 0, text
    assert {path.name for path in (sweep.home / "out").iterdir()} == {f"t{one.number:04d}" for one in front}
    assert all((sweep.home / "out" / f"t{one.number:04d}" / "model.keras").exists() for one in front)


def test_a_population_goes_on_from_its_best(rig: Make) -> None:
    """Killed in mid-turn and resumed: each member trains its epochs by turns, heirs begin where their donor ended."""
    sweep = rig(
        MODEL + PACE,
        SWEEP.replace("epochs: 3", "epochs: 6").replace("trials: 6", "trials: 50")
        + "space: {units_0: {fixed: 16}, layers: {fixed: 1}}\n"
        + "pbt: {population: 4, interval: 2, mutate: [learning_rate]}\n",
    )
    sweep.start()
    sweep.wait(lambda history: any(one.donor is not None and one.metrics for one in history.trials.values()))
    sweep.kill("driver")
    assert sweep.finish()[0] == 3
    sweep.hurry()
    code, text = sweep.run("resume", "rig")
    assert code == 0, text
    history = check_journal(sweep.folder, trials=len(sweep.history().trials))
    check_mlflow(sweep.home, history)
    heirs = [one for one in history.trials.values() if one.donor is not None]
    assert {one.state for one in history.trials.values()} == {"completed"}
    assert len(heirs) >= 4
    assert history.ended is not None
    assert history.ended.why == "the population has trained its 6 epochs"
    explored = 0
    for one in heirs:
        assert one.donor is not None
        donor = history.trials[one.donor.trial]
        assert max(donor.metrics) == one.donor.epoch
        assert sorted(one.metrics) == [one.donor.epoch + 1, one.donor.epoch + 2]
        rate = one.params["learning_rate"]
        explored += one.donor.explores
        assert (rate != donor.params["learning_rate"]) or not one.donor.explores
        first = one.metrics[one.donor.epoch + 1]
        assert first["learning_rate"] == pytest.approx(float(rate), rel=1e-5)
        before = donor.metrics[one.donor.epoch]["loss"]
        assert first["loss"] < 2 * before + 0.1 or one.donor.explores, "it began anew"
    assert explored > 0
    assert math.isfinite(value(Summary.of(history).ranked()[0]))
    one = heirs[-1]
    assert one.donor is not None
    assert tags(sweep)[one.number]["donor"] == f"t{one.donor.trial:04d} after epoch {one.donor.epoch}"
    code, text = sweep.run("show", "rig", str(one.number))
    assert f"trial {one.donor.trial} to epoch {one.donor.epoch}" in text
    left = list((sweep.folder / "checkpoints").glob("*/epochs"))
    assert left == [], "donors of a population that is done"
