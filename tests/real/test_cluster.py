"""Sweeps on a real Ray cluster of several nodes on this machine: nodes that die and join, slots placed right, two at once."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeGuard

import psutil
import pytest

from kerasweep.cluster.local_cluster import LocalCluster
from kerasweep.trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    SlotsPacked,
    SweepResumed,
    Timed,
    TrialEnded,
)

from .rig import KERASWEEP, Rig, entries, role_of

pytestmark = pytest.mark.real
Make = Callable[..., Rig]

MODEL = """
import json
import os
import pathlib
import time

import keras

HERE = pathlib.Path(__file__).parent
SECONDS = 0.4


def build(hp):
    with (HERE / "seen").open("a") as seen:  # a line of this length is written in one piece
        secret = "MLFLOW_TRACKING_PASSWORD" in os.environ
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
        seen.write(json.dumps({"pid": os.getpid(), "at": time.time(), "gpus": gpus, "secret": secret}) + "\\n")
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, activation="softmax")])
    rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Slow(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        time.sleep(0.02 if (HERE / "hurry").exists() else SECONDS)


def load():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    return {"x": x[:500], "y": y[:500], "validation_data": (x[500:600], y[500:600]), "callbacks": [Slow()]}
"""

SWEEP = """
name: rig
model: model.py:build
data: model.py:load
objective: max val_accuracy
fit: {epochs: 5, batch_size: 100}
search: {sampler: random, seed: 1}
budget: {trials: TRIALS}
resources: RESOURCES
"""


def sweep_file(trials: int, resources: str, more: str = "") -> str:
    """Return a sweep file."""
    return SWEEP.replace("TRIALS", str(trials)).replace("RESOURCES", resources) + more


@pytest.fixture
def up(rig: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Rig]]:
    """Make a rig on whose folder a cluster runs; it is ended by its own command, which leaves nothing."""
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "canary")
    made: list[Rig] = []

    def make(sweep: str, nodes: int, model: str = MODEL, cpus: int = 2, gpus: int = 2) -> Rig:
        made.append(rig(model, sweep))
        code, text = made[0].run("cluster", "up", "--nodes", str(nodes), "--cpus", str(cpus), "--gpus", str(gpus))
        assert code == 0, text
        return made[0]

    yield make
    for one in made:
        assert one.run("cluster", "down")[0] == 0
        deadline = time.monotonic() + 15
        while left := [process for process in one.all_processes() if role_of(process) in ("raylet", "gcs")]:
            assert time.monotonic() < deadline, left
            time.sleep(0.1)


def cluster_of(rig: Rig) -> LocalCluster:
    """Return what `cluster up` has written down."""
    cluster = LocalCluster.read(rig.home)
    assert cluster is not None
    return cluster


def nodes_used(folder: Path) -> dict[str, list[int]]:
    """Return the trials whose training was timed on each node, by the first letters of its name."""
    found: dict[str, list[int]] = defaultdict(list)
    for entry in entries(folder) if (folder / "journal.db").exists() else ():
        if isinstance(entry.event, Timed):
            found[entry.event.slot.partition("-")[0]].append(entry.event.trial)
    return found


def slots_used(folder: Path) -> dict[str, set[str]]:
    """Return the slots that have trained on each node."""
    found: dict[str, set[str]] = defaultdict(set)
    for entry in entries(folder) if (folder / "journal.db").exists() else ():
        if isinstance(entry.event, Timed):
            found[entry.event.slot.partition("-")[0]].add(entry.event.slot)
    return found


def seen(rig: Rig) -> list[dict[str, Any]]:
    """Return what each build has seen of its surroundings, those left out that only looked before the first trial."""
    trainers = {one.event.pid for one in entries(rig.folder) if isinstance(one.event, Timed)}
    lines = (rig.home / "seen").read_text().splitlines()
    return [one for one in map(json.loads, lines) if one["pid"] in trainers]


def gpus_of_slots(rig: Rig) -> dict[str, list[str]]:
    """Return the graphics processors that the slots on each node have seen, one entry a slot."""
    seen_by = {one["pid"]: one["gpus"] for one in seen(rig)}
    slots = {one.event.slot: one.event.pid for one in entries(rig.folder) if isinstance(one.event, Timed)}
    found: dict[str, list[str]] = defaultdict(list)
    for slot, pid in slots.items():
        found[slot.partition("-")[0]].append(seen_by[pid])
    return found


def idle_and_start(folder: Path) -> tuple[list[float], list[float]]:
    """Return the seconds for which slots had no trial between two, and those that slots took to start."""
    placed: dict[tuple[int, int], float] = {}
    begun: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for entry in entries(folder):
        match entry.event:
            case AttemptStarted(trial=trial, attempt=attempt):
                placed[trial, attempt] = entry.at
            case Timed(trial=trial, attempt=attempt, slot=slot) as timed:
                begun[slot].append((placed[trial, attempt], float(timed.times["end"])))
                starts = float(timed.times["start"]) - placed[trial, attempt]
                begun[f"start {slot}"].append((starts, 0.0))
            case _:
                pass
    gaps = [
        later[0] - earlier[1]
        for slot, times in begun.items()
        if not slot.startswith("start ")
        for earlier, later in pairwise(times)
    ]
    return gaps, [times[0][0] for slot, times in begun.items() if slot.startswith("start ")]


def test_a_sweep_loses_a_node_and_uses_one_that_joins(up: Callable[..., Rig]) -> None:
    """Trials of the dead node are tried again, each ends once; no slot is idle for longer than twice an actor's start.

    A slot takes half a graphics processor, seen alone: a node with one has room for two, whatever its processors.
    """
    model = MODEL.replace("SECONDS = 0.4", "SECONDS = 1.0")
    rig = up(sweep_file(160, "{cpu: 1, gpu: 0.5}"), nodes=3, model=model, cpus=4, gpus=1)
    rig.start("run", "sweep.yaml", "--address", "auto")
    *_, last = cluster_of(rig).nodes
    rig.wait(lambda _: last.id[:8] in nodes_used(rig.folder))
    raylet = last.processes[-1].living()
    assert raylet is not None
    raylet.kill()
    killed = time.time()
    joined = rig_command(rig, "cluster", "up", "--nodes", "3", "--cpus", "4", "--gpus", "1")
    assert joined == 0
    new = cluster_of(rig).nodes[-1]
    up_at = time.time()
    assert new.id != last.id
    rig.wait(
        lambda _: [len(slots) for node, slots in slots_used(rig.folder).items() if node != last.id[:8]] == [2, 2, 2]
    )
    (rig.home / "hurry").touch()
    code, text = rig.finish(600.0)
    assert code == 0, text
    rig.check(code, text, trials=160)
    lost = [one.event for one in entries(rig.folder) if isinstance(one.event, AttemptEnded)]
    assert lost
    assert {one.cause for one in lost} == {"lost"}
    assert len(lost) <= 2
    assert not any(one["secret"] for one in seen(rig))
    placed = gpus_of_slots(rig)
    assert len(placed) == 4
    assert all(gpus in (["0"], ["0", "0"]) for gpus in placed.values()), placed
    assert [len(gpus) for node, gpus in placed.items() if node != last.id[:8]] == [2, 2, 2]
    gaps, starts = idle_and_start(rig.folder)
    times = [entry.event.times for entry in entries(rig.folder) if is_on(entry.event, new.id[:8])]
    used = min(float(one["start"]) for one in times) - up_at
    assert starts
    assert max(gaps) <= 2 * max(starts)
    assert used <= 2 * max(starts)
    print(f"\nactor start {min(starts):.1f} to {max(starts):.1f} s, idle between trials at most {max(gaps):.2f} s")  # noqa: T201
    print(f"a node joined {up_at - killed:.1f} s after the kill; its first trial began {used:.1f} s later")  # noqa: T201


def is_on(event: object, node: str) -> TypeGuard[Timed]:
    """Say whether an event has the times of a trial on a node."""
    return isinstance(event, Timed) and event.slot.startswith(f"{node}-")


def rig_command(rig: Rig, *words: str) -> int:
    """Run a command beside the one that runs."""
    return psutil.Popen([KERASWEEP, *words], cwd=rig.home).wait(120)


def test_two_sweeps_share_a_cluster(up: Callable[..., Rig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that holds all slots gives up some for another, a trial at a time, and none is lost for it; a node with
    another Kerasweep is not used; two graphics processors are both of a node's, and none means that none is seen.
    """
    large = up(sweep_file(1000, "{cpu: 1}"), nodes=2)
    old = tmp_path / "old" / "kerasweep-0.0.1.dist-info"
    old.mkdir(parents=True)
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: kerasweep\nVersion: 0.0.1\n")
    path = os.pathsep.join([str(old.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    with monkeypatch.context() as other:
        other.setenv("PYTHONPATH", path)
        assert rig_command(large, "cluster", "up", "--nodes", "3", "--cpus", "2", "--gpus", "2") == 0
    cluster = cluster_of(large)
    (tmp_path / "small").mkdir()
    small = Rig(tmp_path / "small", MODEL, sweep_file(6, "{cpu: 1, gpu: 2}"))
    large.start("run", "sweep.yaml", "--address", cluster.address)
    try:
        large.wait(lambda _: sum(map(len, slots_used(large.folder).values())) == 4)
        done, said = small.run("run", "sweep.yaml", "--address", cluster.address)
        assert done == 0, said
        assert rig_command(large, "stop", "rig") == 0
        code, text = large.finish()
        assert code == 130, text
    finally:
        small.close()
    small.check(done, said, trials=6)
    large.check(code, text)
    causes = {one.event.cause for one in entries(large.folder) if isinstance(one.event, AttemptEnded)}
    assert causes <= {"interrupted"}
    *good, refused = [node.id[:8] for node in cluster.nodes]
    assert set(nodes_used(large.folder)) == set(good)
    (notice,) = [text for text in large.history().notices if refused in text]
    assert "it has kerasweep 0.0.1 (the sweep has" in notice
    assert {one["gpus"] for one in seen(small)} <= {"0,1", "1,0"}
    assert {one["gpus"] for one in seen(large)} == {"-1"}
    assert all(len(slots) == 1 for slots in slots_used(small.folder).values())
    assert any("sees 0" in text for text in small.history().notices)


MEASURED = """
from kerasweep.cluster import graphics_memory

graphics_memory.measure = lambda backend: {"peak_bytes": 2_000_000_000, "total_bytes": 16_000_000_000}
"""


def test_trials_share_a_graphics_processor_once_the_first_are_measured(up: Callable[..., Rig]) -> None:
    """One at a time on the only one there is, then four at once; a resumed sweep begins with four.

    The processor is only counted, so what a trial takes of it is put in the place of what the backend would say.
    """
    model = MODEL.replace("SECONDS = 0.4", "SECONDS = 0.1") + MEASURED
    rig = up(sweep_file(12, "{cpu: 1, gpu: auto}"), nodes=1, model=model, cpus=4, gpus=1)
    code, text = rig.run("run", "sweep.yaml", "--address", "auto")
    assert code == 0, text
    rig.check(code, text, trials=12)
    code, text = rig.run("resume", "rig", "--set", "budget.trials=16")
    assert code == 0, text
    rig.check(code, text, trials=16)
    assert [text for text in rig.history().notices if "share one" in text] == [
        "resources.gpu: auto: the first 4 trials need up to 22% of a gpu; 4 trials share one from now on"
    ]
    events = [entry.event for entry in entries(rig.folder)]
    (packed,) = [index for index, event in enumerate(events) if isinstance(event, SlotsPacked)]
    (resumed,) = [index for index, event in enumerate(events) if isinstance(event, SweepResumed)]
    parts = (events[:packed], events[packed:resumed], events[resumed:])
    assert [most_at_once(part) for part in parts] == [1, 4, 4]
    assert {one["gpus"] for one in seen(rig)} == {"0"}


def most_at_once(events: list[Event]) -> int:
    """Return how many trials were on slots at a time, at most."""
    placed, most = set[int](), 0
    for event in events:
        if isinstance(event, AttemptStarted):
            placed.add(event.trial)
        elif isinstance(event, TrialEnded):
            placed.discard(event.trial)
        most = max(most, len(placed))
    return most


def test_a_cluster_that_is_not_here_is_refused(rig: Make) -> None:
    """One line, exit 2, with the command to type; nothing is left behind."""
    sweep = rig(MODEL, sweep_file(2, "{cpu: 1}"))
    code, text = sweep.run("run", "sweep.yaml", "--address", "10.255.255.1:6379")
    assert code == 2
    assert "ray start --address=10.255.255.1:6379" in text
    assert not (sweep.home / "sweeps").exists()


UNEVEN = """
import os
import time


def train(hp, report):
    rate = hp.Float("rate", 0.0, 1.0)
    time.sleep(1.5 if os.urandom(1)[0] < 64 else 0.05)
    report(epoch=1, loss=rate)
"""

WAITING = """
name: rig
train: model.py:train
objective: min loss
fit: {epochs: 1}
search: {sampler: random, stop: none, seed: 3, deterministic: true}
budget: {trials: 40}
parallel: 4
"""


def test_slots_that_wait_for_others_keep_their_processes(up: Callable[..., Rig]) -> None:
    """Some trials take long, and all are proposed from those before them: at times several slots wait."""
    rig = up(WAITING, nodes=1, model=UNEVEN, cpus=4, gpus=0)
    code, text = rig.run("run", "sweep.yaml", "--address", "auto")
    assert code == 0, text
    timed = [entry.event for entry in entries(rig.folder) if isinstance(entry.event, Timed)]
    assert len({one.trial for one in timed}) == 40
    assert (len({one.slot for one in timed}), len({one.pid for one in timed})) == (4, 4)
