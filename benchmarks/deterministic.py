"""Measure what `search: {deterministic: true}` costs: the same trials of very different lengths, with it and without.

    python benchmarks/deterministic.py                     # 40 trials of 2 to 20 epochs, 2 slots, medians of 3 runs
    python benchmarks/deterministic.py --trials 8 --runs 1

Proposals are random, so that all ways to run train the same configurations; they take turns. Then the rule alone, for
more slots than a small machine has: trial n begins once trials 0 … n - slots have ended, where lengths are uniform.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

import process
import sweep
from overhead import ONE_THREAD, QUIET, TIMEOUT_S, WORKLOAD, save_data

WAYS = {
    "free": "search: {{sampler: random, stop: none, seed: {seed}}}",
    "keras alone": "search: {{sampler: random, stop: none, seed: {seed}}}\nkeras: {{deterministic: true}}",
    "deterministic": "search: {{sampler: random, stop: none, seed: {seed}, deterministic: true}}",
}
SWEEP = """\
name: {name}
model: digits.py:build
data: digits.py:load
objective: max val_accuracy
fit: {{epochs: {{min: 2, max: 20}}, batch_size: 32}}
{way}
budget: {{trials: {trials}}}
parallel: {slots}
resources: {{cpu: 1}}
"""


def measure(way: str, folder: Path, *, trials: int, slots: int, seed: int) -> dict[str, float]:
    """Run one sweep; return the share of slot time in fit, the seconds from the first trial to the last fit's end, …

    Raises:
        process.Failed: it did not come to its end.
    """
    for name in ("digits.py", "space.py"):
        shutil.copy(WORKLOAD / name, folder)
    search = WAYS[way].format(seed=seed)
    (folder / "sweep.yaml").write_text(SWEEP.format(name=sweep.NAME, way=search, trials=trials, slots=slots))
    data = {"OVERHEAD_DATA": str(folder.parent / "digits.npz"), "OVERHEAD_MEASURES": str(folder / "measures.jsonl")}
    command = [str(Path(sys.executable).parent / "kerasweep"), "run", "sweep.yaml"]
    process.run(command, folder, {**QUIET, **ONE_THREAD, **data}, TIMEOUT_S)
    fits = sweep.fits(folder)
    span = max(one.fit_end for one in fits) - min(one.start for one in fits)
    in_fit = [one.fit_end - one.fit_start for one in fits]
    return {"share": sum(in_fit) / (slots * span), "span_s": span, "fit_s": statistics.fmean(in_fit)}


def rule(lengths: Sequence[float], slots: int, *, window: bool) -> float:
    """Return the share of slot time that trials of these lengths fill, whose slots cost nothing between them."""
    free, settled = [0.0] * slots, 0.0
    ends: list[float] = []
    for number, length in enumerate(lengths):
        if window and number >= slots:
            settled = max(settled, ends[number - slots])
        ends.append(max(heapq.heappop(free), settled) + length)
        heapq.heappush(free, ends[-1])
    return sum(lengths) / (slots * max(ends))


def table(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Return the medians, and the ratio of each to that without."""
    lines = ["| | slot time in fit | first trial to last fit | one fit |", "| --- | --- | --- | --- |"]
    for way, several in runs.items():
        share, span, fit = (statistics.median(one[name] for one in several) for name in ("share", "span_s", "fit_s"))
        before = runs["free"]
        ratio = statistics.median(one["span_s"] / other["span_s"] for one, other in zip(several, before, strict=True))
        lines.append(f"| {way} | {share:.0%} | {span:.1f} s ({ratio:.2f}x) | {fit:.2f} s |")
    return "\n".join(lines)


def rules(trials: int, seeds: int) -> str:
    """Return the shares by the rule alone, means over seeds, for lengths between 2 and 20."""
    lines = ["| slots | free | deterministic |", "| --- | --- | --- |"]
    for slots in (2, 4, 8, 16, 32):
        lengths = [[Random(f"{seed} {n}").uniform(2, 20) for n in range(trials)] for seed in range(seeds)]
        free, held = (statistics.fmean(rule(one, slots, window=window) for one in lengths) for window in (False, True))
        lines.append(f"| {slots} | {free:.0%} | {held:.0%} |")
    return "\n".join(lines)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rule", action="store_true", help="the rule alone, in a second")
    parser.add_argument("--out", type=Path, help="also write every run's measures here, as JSON")
    options = parser.parse_args()
    if not options.rule:
        process.end_with_sigterm()
        work = Path(tempfile.mkdtemp(prefix="deterministic-"))
        save_data(work / "digits.npz")
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for number in range(options.runs):
            for way in WAYS:
                folder = Path(tempfile.mkdtemp(dir=work))
                found = measure(way, folder, trials=options.trials, slots=options.slots, seed=number)
                runs[way].append(found)
                print(f"run {number + 1} of {options.runs}: {way}: {found}", flush=True, file=sys.stderr)
        if options.out:
            options.out.write_text(json.dumps({"cores": os.cpu_count(), "runs": runs}, indent=1))
        print(table(runs) + "\n")
    print(rules(400, 20))
    return 0


if __name__ == "__main__":
    sys.exit(main())
