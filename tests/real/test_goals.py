"""Several objectives with early stopping and a constraint, the whole way: journal, `best`, its export, MLflow."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from kerasweep.search.results import Result
from kerasweep.spaces.trial import OutcomeKind
from kerasweep.trackers import mirror
from kerasweep.trackers.history import History

from ..chaos.invariants import in_mlflow
from .rig import KERASWEEP, Rig

pytestmark = pytest.mark.real
Make = Callable[..., Rig]

LIMIT = 2500
LEAST = 0.6
SWEEP = f"""
name: rig
model: model.py:build
data: model.py:load
objective: [max val_accuracy, min params]
constraints: ["params <= {LIMIT}", "latency_ms <= 60000", "val_accuracy >= {LEAST}"]
fit: {{epochs: 9, batch_size: 32}}
search: {{sampler: tpe, stop: asha, seed: 4}}
budget: {{trials: 12}}
keep: {{best: 12}}
parallel: 2
"""


def best(home: Path, *arguments: str) -> str:
    """Return what `kerasweep best rig …` prints."""
    command = [KERASWEEP, "best", "rig", *arguments]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def beaten(one: tuple[float, float], others: list[tuple[float, float]]) -> bool:
    """Say whether another pair of accuracy and size is at least as good in both, and better in one."""
    return any(covers(other, one) and other != one for other in others)


def covers(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Say whether a pair is as good as another: where it is less accurate than it must be, that comes before all else."""
    lacking, lacks = (max(0.0, LEAST - accuracy) for accuracy, _ in (one, other))
    return lacking < lacks or (lacking == lacks and one[0] >= other[0] and one[1] <= other[1])


def test_accuracy_against_size_with_halving_and_a_constraint(rig: Make, tmp_path: Path) -> None:
    """One sweep, looked at from every side."""
    sweep = rig(sweep=SWEEP)
    code, text = sweep.run()
    assert code == 0, text
    history = sweep.history()
    trials = list(history.trials.values())
    values = _check_journal(history)
    front = {number for number, pair in values.items() if not beaten(pair, list(values.values()))}
    assert min(values.values())[0] < LEAST <= min(values[number] for number in front)[0], (
        "no trial broke the constraint"
    )

    shown = json.loads(best(tmp_path, "--json"))
    assert shown["objectives"] == ["max val_accuracy", "min params"]
    pairs = [(one["values"]["val_accuracy"], one["values"]["params"]) for one in shown["front"]]
    assert set(pairs) == {values[number] for number in front}
    assert pairs == sorted(pairs, reverse=True)
    table = best(tmp_path)
    assert "val_accuracy" in table
    assert f"{len(pairs)} trial" in table
    _check_export(sweep, shown, pairs)

    runs = in_mlflow(f"sqlite:///{tmp_path / 'mlflow.db'}")(mirror.sweep_id(history))
    _check_mlflow(runs, trials, values, shown)


def _check_journal(history: History) -> dict[int, tuple[float, float]]:
    """Assert what is journaled of each trial; return the values of those that have some."""
    trials = list(history.trials.values())
    outcomes = {one.number: one.outcome for one in trials}
    assert sum(1 for one in outcomes.values() if one is not None and one.counts) == 12
    kinds = {one.kind for one in outcomes.values() if one is not None}
    assert kinds == {OutcomeKind.COMPLETED, OutcomeKind.STOPPED, OutcomeKind.INFEASIBLE}
    values: dict[int, tuple[float, float]] = {}
    for trial in trials:
        assert trial.outcome is not None
        size = trial.facts["parameters"]
        if trial.outcome.kind is OutcomeKind.INFEASIBLE:
            assert trial.outcome.reason == f"constraint 'params <= {LIMIT}' does not hold: params {size}"
            assert not trial.metrics, "it trained"
            assert "latency_ms" not in trial.facts, "what costs time is measured after what costs none"
            continue
        assert size <= LIMIT
        assert trial.facts["latency_ms"] > 0
        curve = dict(trial.curve("val_accuracy"))
        assert trial.outcome.values == (max(curve.values()), size)
        assert curve[trial.outcome.epoch or 0] == trial.outcome.value
        values[trial.number] = (trial.outcome.values[0], trial.outcome.values[1])
        if trial.outcome.kind is OutcomeKind.STOPPED:
            assert trial.outcome.reason.startswith("asha: ")
            assert "by val_accuracy, params" in trial.outcome.reason
            assert ": on front" in trial.outcome.reason
            broken = f"; constraint 'val_accuracy >= {LEAST}' does not hold: val_accuracy 0."
            assert (broken in trial.outcome.reason) == (trial.outcome.values[0] < LEAST)
            peers = [one for one in trials if len(one.metrics) >= len(trial.metrics) and one is not trial]
            there = [(one.metrics[len(trial.metrics)]["val_accuracy"], one.facts["parameters"]) for one in peers]
            own = (trial.metrics[len(trial.metrics)]["val_accuracy"], size)
            assert any(covers(one, own) for one in there), "one of the front was stopped"
    return values


def _check_export(sweep: Rig, shown: dict[str, Any], pairs: list[tuple[float, float]]) -> None:
    """Assert that each trial of the front has its model exported, with the size and the accuracy that are told."""
    import keras
    import numpy as np
    from sklearn.datasets import load_digits

    best(sweep.home, "--export", "out")
    digits = cast(Any, load_digits())
    x_val, y_val = (digits.data[1000:1300] / 16).astype("float32"), digits.target[1000:1300]
    for one, (accuracy, size) in zip(shown["front"], pairs, strict=True):
        folder = sweep.home / "out" / f"t{one['number']:04d}"
        model = cast(Any, keras.saving.load_model(folder / "model.keras", compile=False))
        assert model.count_params() == size
        reached = float((np.argmax(model.predict(x_val, verbose=0), axis=1) == y_val).mean())
        assert reached == pytest.approx(accuracy, abs=0.005)
        assert "params" in (folder / "params.yaml").read_text()
    result = Result(sweep.folder)
    assert [one.number for one in result.front] == [one["number"] for one in shown["front"]]
    assert result.best.number == shown["best"] == shown["front"][0]["number"]
    assert result.best.values == shown["front"][0]["values"]
    table = cast(Any, result.trials)
    assert set(table.loc[table["state"] == "infeasible", "measured/params"] > LIMIT) == {True}
    assert table.loc[result.best.number, "values/params"] == result.best.values["params"]
    last = shown["front"][-1]["number"]
    text = best(sweep.home, "--trial", str(last), "--export", "one")
    assert (sweep.home / "one" / "model.keras").exists(), text


def _check_mlflow(runs: Any, trials: list[Any], values: dict[int, tuple[float, float]], shown: dict[str, Any]) -> None:
    """Assert that each objective is a metric of each trial's run, and that the sweep's run names the front."""
    by_number = {run.trial: run for run in runs}
    for trial in trials:
        run = by_number[trial.number]
        points: dict[str, list[tuple[int, int, str]]] = {}
        for name, step, at_ms, value in run.points:
            points.setdefault(name, []).append((step, at_ms, value))
        assert float(points["params"][0][2]) == trial.facts["parameters"]
        if trial.number not in values:
            assert run.tags["outcome"] == "infeasible"
            assert run.tags["feasible"] == "false"
            continue
        assert run.tags["feasible"] == ("true" if values[trial.number][0] >= LEAST else "false")
        assert "latency_ms" in points
        for column, value in zip(("val_accuracy", "params"), values[trial.number], strict=True):
            assert float(max(points[f"objective/{column}"])[2]) == pytest.approx(value, rel=1e-5)
    front = by_number[None].tags["front"]
    assert [part.split()[0] for part in front.split("; ")] == [f"t{one['number']:04d}" for one in shown["front"]]
    assert by_number[None].tags["best_trial"] == str(shown["best"])
