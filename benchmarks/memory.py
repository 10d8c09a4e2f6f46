"""Watch a trainer's memory over many trials: what stays behind from each, and what it costs to replace a trainer.

python benchmarks/memory.py                  # 300 tiny trials, one slot
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import process
import sweep
from process import Ran
from sweep import Fit

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "MLFLOW_DISABLE_TELEMETRY": "true", "TF_CPP_MIN_LOG_LEVEL": "2"}
TIMEOUT_S = 7200.0
WORKLOAD = Path(__file__).resolve().parent / "workload"


def memory_at(ran: Ran, pid: int, at: float) -> float:
    """Return the process's memory (MB) in the last sample before `at` that has it, or else in its first one."""
    samples = [(when, memory[pid]) for when, memory in ran.samples if pid in memory]
    if not samples:
        return float("nan")
    index = bisect.bisect_right([when for when, _ in samples], at) - 1
    return samples[max(index, 0)][1] / 1e6


def growth(ran: Ran, fits: Sequence[Fit]) -> list[tuple[int, int, float]]:
    """Return for each trainer, in order: pid, its trials, and the memory (MB) that each but its first left behind."""
    found: list[tuple[int, int, float]] = []
    for pid in dict.fromkeys(one.pid for one in fits):
        own = [one for one in fits if one.pid == pid]
        first, last = memory_at(ran, pid, own[0].fit_end), memory_at(ran, pid, own[-1].fit_end)
        found.append((pid, len(own), (last - first) / max(len(own) - 1, 1)))
    return found


def above(ran: Ran, fits: Sequence[Fit], since: int = 20) -> float:
    """Return the most (MB) that a trainer has had after a trial beyond what the first one had after its trial `since`."""
    if len(fits) < since:
        return float("nan")
    base = memory_at(ran, fits[since - 1].pid, fits[since - 1].fit_end)
    return max(memory_at(ran, one.pid, one.fit_end) for one in fits[since - 1 :]) - base


def cost(fits: Sequence[Fit], slots: int) -> float:
    """Return the share of slot time that new trainers cost: the longer wait for one, and its longer first trial."""
    by_trainer: dict[int, list[Fit]] = {}
    for one in fits:
        by_trainer.setdefault(one.pid, []).append(one)
    usual = [
        (after.start - before.fit_end, after.fit_end - after.start)
        for own in by_trainer.values()
        for before, after in itertools.pairwise(own)
    ]
    wait, trial = (statistics.median(column) for column in zip(*usual, strict=True))
    lost = 0.0
    for own in sorted(by_trainer.values(), key=lambda one: one[0].start)[slots:]:
        first = own[0]
        before = max(one.fit_end for one in fits if one.fit_end <= first.start)
        lost += max(0.0, first.start - before - wait) + max(0.0, first.fit_end - first.start - trial)
    span = max(one.fit_end for one in fits) - min(one.start for one in fits)
    return lost / (slots * span)


def print_report(ran: Ran, fits: Sequence[Fit], *, slots: int, every: int) -> None:
    """Print memory over trials, growth by trainer, and the share of trials that got a new trainer."""
    print(f"{'trial':>6} {'pid':>8} {'memory':>8}")
    for number, one in enumerate(fits, start=1):
        if number == 1 or number % every == 0:
            print(f"{number:>6} {one.pid:>8} {memory_at(ran, one.pid, one.fit_end):>5.0f} MB")
    trainers = growth(ran, fits)
    for pid, trials, left in trainers:
        print(f"trainer {pid}: {trials} trials, {left:.2f} MB left behind by each")
    recycled = max(len(trainers) - slots, 0)
    peak = ran.peaks({one.pid for one in fits})
    print(f"{recycled} of {len(fits)} trials ({recycled / len(fits):.1%}) began in a replaced trainer")
    print(f"{above(ran, fits):.0f} MB at most above what the first trainer had after its 20th trial")
    print(f"{cost(fits, slots):.2%} of slot time went into replacing trainers")
    print("highest: " + ", ".join(f"{role} {bytes_ / 1e6:.0f} MB" for role, bytes_ in peak.items()))
    print(f"{ran.exited - ran.launched:.0f} s in all")


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--every", type=int, default=25, help="print every so many trials")
    options = parser.parse_args()

    process.end_with_sigterm()
    folder = Path(tempfile.mkdtemp(prefix="memory-"))
    command = sweep.write(
        folder,
        WORKLOAD / "tiny.py",
        trials=options.trials,
        slots=options.slots,
        fit={"epochs": 2, "batch_size": 64},
        seed=0,
    )
    try:
        ran = process.run(command, folder, QUIET, TIMEOUT_S)
    except process.Failed as error:
        print(error, file=sys.stderr)
        return 1
    fits = sorted(sweep.fits(folder), key=lambda one: one.fit_end)
    print_report(ran, fits, slots=options.slots, every=options.every)
    return 0


if __name__ == "__main__":
    sys.exit(main())
