"""Whole sweeps of a training loop, over folds, and on the JAX backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .rig import MODEL, PACE, SWEEP, Rig, check_journal, check_mlflow

pytestmark = pytest.mark.real
Make = Callable[..., Rig]

LOOP = """

def train(hp, report, data):
    (x, y), (x_val, y_val) = data
    model = build(hp)
    for epoch in range(1, report.epochs + 1):
        for start in range(0, len(x), report.fit["batch_size"]):
            part = slice(start, start + report.fit["batch_size"])
            model.train_on_batch(x[part], y[part])
            report.batch()
        model.reset_metrics()
        loss, accuracy = model.evaluate(x_val, y_val, verbose=0)
        report(epoch=epoch, model=model, val_accuracy=accuracy, val_loss=loss)
"""


def test_a_sweep_of_a_training_loop(rig: Make) -> None:
    """It is stopped by rungs, tracked, and its best model exported as it was at its best epoch."""
    sweep = rig(
        model=MODEL + LOOP,
        sweep=SWEEP.replace("model: model.py:build", "train: model.py:train").replace(
            "seed: 1}", "seed: 1, stop: asha}"
        ),
    )
    code, text = sweep.run()
    assert code == 0, text
    history = check_journal(sweep.folder, trials=6)
    check_mlflow(sweep.home, history)
    assert {record.state for record in history.trials.values()} == {"completed", "stopped"}
    code, text = sweep.run("best", "rig", "--export", "out")
    assert code == 0, text
    assert {path.name for path in (sweep.home / "out").iterdir()} == {"params.yaml", "model.keras"}


def test_a_sweep_over_folds(rig: Make) -> None:
    """A trial has an epoch for each fold; its value is the last mean."""
    whole = "    return (x[:1000], y[:1000]), (x[1000:1300], y[1000:1300])"
    sweep = rig(
        model=MODEL.replace(whole, "    return x[:600], y[:600]"),
        sweep=SWEEP.replace("epochs: 3", "epochs: 2, folds: 3").replace("trials: 6", "trials: 3"),
    )
    code, text = sweep.run()
    assert code == 0, text
    history = check_journal(sweep.folder, trials=3)
    check_mlflow(sweep.home, history)
    for record in history.trials.values():
        assert record.outcome is not None
        assert list(record.metrics) == [1, 2, 3]
        assert record.outcome.value == record.metrics[3]["val_accuracy"]


def test_the_same_sweep_on_jax(rig: Make) -> None:
    """Keras computes with JAX in every trainer; the process that they are forked from has started none of its threads."""
    said = "\n    print('computes with', keras.backend.backend(), flush=True)\n    return model\n"
    sweep = rig(
        model=MODEL.replace("\n    return model\n", said) + PACE,
        sweep=SWEEP.replace("seed: 1}", "seed: 1, stop: asha}") + "keras: {backend: jax}\n",
    )
    sweep.start()
    sweep.wait(lambda history: any(record.metrics for record in history.trials.values()))
    (server,) = sweep.processes("forkserver")
    tasks = Path(f"/proc/{server.pid}/task").glob("*/comm")
    names = [
        name for task in tasks if (name := task.read_text().strip()) != "jemalloc_bg_thd"
    ]  # of an import; it forks
    assert len(names) == 1, names
    sweep.hurry()
    code, text = sweep.finish()
    assert code == 0, text
    history = check_journal(sweep.folder, trials=6)
    check_mlflow(sweep.home, history)
    assert history.spec["keras"]["backend"] == "jax"
    logs = "".join(path.read_text() for path in Path(sweep.folder, "logs").glob("trainer-*.log"))
    assert "computes with jax" in logs
    assert "computes with tensorflow" not in logs
    code, text = sweep.run("best", "rig", "--export", "out")
    assert code == 0, text
    assert (sweep.home / "out" / "model.keras").exists()
