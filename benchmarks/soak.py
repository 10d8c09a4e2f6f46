"""Run thousands of tiny trials, and watch what grows: memory, open files, threads and processes of each kind of process.

python benchmarks/soak.py                         # 2,000 trials on two slots, so slow that the tracker keeps up
python benchmarks/soak.py --trial-s 0             # as fast as they go: the overhead alone
python benchmarks/soak.py --trials 400

Slopes are fitted (least squares) over the trials after the first 200 that ended and until the last one does, for the
process of each kind that was seen most often. The overhead of a trial is the slots' time per trial less what its training took.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import final

import psutil

from kerasweep.trackers.history import History
from kerasweep.trackers.journal import Reader

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.real.rig import Rig, role_of  # noqa: E402

SAMPLE_S = 0.3
SETTLED = 200
"""Trials after which nothing but the driver may grow."""
ROLES = ("driver", "actor", "tracker", "trainer", "forkserver", "raylet", "gcs", "launcher")
LOOP = """
import time


def train(hp, report):
    rate = hp.Float("rate", 0.0, 1.0)
    for epoch in range(1, report.epochs + 1):
        time.sleep({trial_s} / report.epochs)
        report(epoch=epoch, loss=rate / epoch)
"""
SWEEP = """
name: rig
train: model.py:train
objective: min loss
fit: {{epochs: {epochs}}}
search: {{sampler: {sampler}, seed: 1}}
budget: {{trials: {trials}}}
parallel: 2
"""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at one process, when so many trials had ended; `private`: memory that it shares with none (bytes)."""

    at: float
    trials: int
    role: str
    pid: int
    rss: int
    private: int
    files: int
    threads: int


def look(sweep: Rig, trials: int) -> list[Sample]:
    """Return a sample of each process of the sweep."""
    samples: list[Sample] = []
    for process in sweep.all_processes():
        with suppress(psutil.Error):
            memory = process.memory_full_info()
            role = role_of(process) or ("launcher" if "kerasweep" in " ".join(process.cmdline()) else "")
            if role:
                samples.append(
                    Sample(
                        at=time.time(),
                        trials=trials,
                        role=role,
                        pid=process.pid,
                        rss=memory.rss,
                        private=memory.uss,
                        files=process.num_fds(),
                        threads=process.num_threads(),
                    )
                )
    return samples


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the least-squares slope of y over x."""
    mean_x, mean_y = (sum(one[axis] for one in points) / len(points) for axis in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def print_report(samples: Sequence[Sample], history: History, slots: int) -> None:
    """Print for each kind of process what it had after the first trials, what at the end, and what each trial added."""
    most = max(one.trials for one in samples)
    settled = [one for one in samples if min(SETTLED, most // 3) <= one.trials < most]
    print("| process | pids | private memory, settled | at the end | change | per trial | files | threads |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for role in ROLES:
        by_pid: Mapping[int, list[Sample]] = defaultdict(list)
        for one in settled:
            if one.role == role:
                by_pid[one.pid].append(one)
        longest = max(by_pid.values(), key=len, default=list[Sample]())
        if len(longest) < 3:
            continue
        first, last = longest[0], longest[-1]
        per_trial = slope([(one.trials, one.private) for one in longest])
        print(
            f"| {role} | {len(by_pid)} | {first.private / 1e6:.1f} MB | {last.private / 1e6:.1f} MB "
            f"| {last.private / first.private - 1:+.1%} | {per_trial / 1e3:+.2f} kB "
            f"| {first.files} to {last.files} | {first.threads} to {last.threads} |"
        )
    ended = [one for one in history.trials.values() if one.ended_at is not None and one.started_at is not None]
    span = max(one.ended_at or 0.0 for one in ended) - min(one.started_at or 0.0 for one in ended)
    training = sum(one["end"] - one["start"] for trial in ended for one in trial.timings)
    print(
        f"\n{len(ended)} trials in {span:.0f} s on {slots} slots: {span * slots / len(ended) * 1e3:.1f} ms of a slot each,"
    )
    print(
        f"of which {training / len(ended) * 1e3:.1f} ms in the trainer: overhead {(span * slots - training) / len(ended) * 1e3:.1f} ms"
    )


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=1, help="reports of each trial")
    parser.add_argument("--trial-s", type=float, default=0.3, help="seconds of each trial; 0: as fast as they go")
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--out", type=Path, help="write all samples there, as JSON")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="soak-"))
    os.environ["KERASWEEP_RIG"] = str(home)
    text = SWEEP.format(epochs=options.epochs, sampler=options.sampler, trials=options.trials)
    sweep = Rig(home, LOOP.format(trial_s=options.trial_s), text)
    samples: list[Sample] = []
    history, reader = History(), None
    output = (home / "output.txt").open("w")
    launcher = sweep.start(output=output)
    try:
        while launcher.poll() is None:
            time.sleep(SAMPLE_S)
            if reader is None and (sweep.folder / "journal.db").exists():
                reader = Reader(sweep.folder)
            for entry in reader.after(history.seq) if reader is not None else ():
                history.apply(entry)
            samples.extend(look(sweep, sum(1 for one in history.trials.values() if one.outcome is not None)))
    finally:
        sweep.close()
        output.close()
    if options.out:
        fields = Sample.__slots__
        options.out.write_text(json.dumps([{name: getattr(one, name) for name in fields} for one in samples]))
    if launcher.returncode and "kerasweep sync" not in (home / "output.txt").read_text():
        print((home / "output.txt").read_text()[-2000:], file=sys.stderr)
        return 1
    print_report(samples, sweep.history(), slots=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
