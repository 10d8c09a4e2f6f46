"""Kill the processes of real sweeps of 20 tiny trials at random moments, and check after each that nothing was lost.

python benchmarks/chaos.py                        # fifty kills of each kind; goes on where it stopped
python benchmarks/chaos.py --rounds 3             # three of each
python benchmarks/chaos.py --signals              # commands that get a signal as they start or resume, too
python benchmarks/chaos.py --every 60             # instead: an actor killed every 60 s, total time against undisturbed
python benchmarks/chaos.py --restarts 3           # instead: what the kill of the driver, or of the raylet, costs

A round is one sweep: it loses an actor, a trainer, the tracker and the MLflow server, and, in three sessions that end
with it, the driver, the raylet and the GCS. Each finished round is a line of chaos.jsonl; the table counts all that
are there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.chaos.invariants import check, in_mlflow  # noqa: E402
from tests.real.kills import ENDING, PASSING, Server, finished, interrupt, strike, tiny  # noqa: E402
from tests.real.rig import Rig  # noqa: E402

RESULT = Path(__file__).with_suffix(".jsonl")
LATEST_S = 8.0
"""A signal comes at most so long after the command's start, which takes about as long."""


def one_round(number: int, seed: int, server: Server, *, signals: bool) -> dict[str, Any]:
    """Run a round; return what came to pass, with the invariant that does not hold, if one does not."""
    draw, began = random.Random(seed), time.time()
    passing, ending = draw.sample(PASSING, len(PASSING)), draw.sample(ENDING, len(ENDING))
    sessions = [[*passing[:2], ending[0]], [passing[2], ending[1]], [passing[3], ending[2]]]
    row: dict[str, Any] = {
        "round": number,
        "seed": seed,
        "at": int(began),
        "sessions": sessions,
        "signals": [],
        "verdict": "held",
    }
    home = Path(tempfile.mkdtemp(prefix="chaos-"))
    os.environ["KERASWEEP_RIG"] = str(home)
    sweep = tiny(home, seed, uri=server.uri)
    try:
        row["kills"] = [[one.kind, round(one.after_s, 2)] for one in strike(sweep, sessions, draw, server)]
        row["signals"] = _signals(draw, seed) if signals else []
    except AssertionError as error:
        row["verdict"] = f"BROKEN in {home}: {str(error)[:2000]}"
    finally:
        sweep.close()
    return {**row, "seconds": round(time.time() - began)}


def _signals(draw: random.Random, seed: int) -> list[list[Any]]:
    """Send a signal while a sweep starts, and one while it is resumed; then let it run to its end."""
    home = Path(tempfile.mkdtemp(prefix="chaos-"))
    os.environ["KERASWEEP_RIG"] = str(home)
    sweep, given = tiny(home, seed, trials=4, epochs=2), list[list[Any]]()
    try:
        for command in (("run", "sweep.yaml"), ("resume", "rig")):
            if command[0] == "resume" and not (sweep.folder / "journal.db").exists():
                command = ("run", "sweep.yaml")
            instant, number = interrupt(sweep, command, draw, LATEST_S)
            given.append([number.name, command[0], round(instant, 2)])
        command = ("resume", "rig") if (sweep.folder / "journal.db").exists() else ("run", "sweep.yaml")
        sweep.start(*command)
        code, said = finished(sweep)
        check(sweep.folder, code=code, said=said)
        check(sweep.folder, trials=4, runs=in_mlflow(f"sqlite:///{home / 'mlflow.db'}"), processes=sweep.all_processes)
    finally:
        sweep.close()
    return given


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rounds that are done."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print how often each kind of fault came to pass, and what did not hold."""
    held = [row for row in rows if row["verdict"] == "held"]
    kills = Counter(kind for row in held for kind, _ in row["kills"])
    signals = Counter(f"{name} during {command}" for row in held for name, command, _ in row["signals"])
    print("| fault | times | an invariant broken |\n| --- | --- | --- |")
    for kind, count in [
        *((f"kill -9 of the {one}", kills[one]) for one in (*PASSING, *ENDING)),
        *sorted(signals.items()),
    ]:
        print(f"| {kind} | {count} | 0 |")
    broken = [row for row in rows if row["verdict"] != "held"]
    total = sum(kills.values()) + sum(signals.values())
    print(
        f"\n{total} faults in {len(held)} rounds of {statistics.median(r['seconds'] for r in held or rows):.0f} s held;"
    )
    print(f"{len(broken)} rounds did not:")
    for row in broken:
        print(f"round {row['round']}, seed {row['seed']}: {row['verdict']}")


def timed(trials: int, disturb: Callable[[Rig, float], bool]) -> float:
    """Return the seconds of a sweep, resumed whenever it ends early, under `disturb(sweep, seconds so far) -> it hit`."""
    home = Path(tempfile.mkdtemp(prefix="chaos-"))
    os.environ["KERASWEEP_RIG"] = str(home)
    sweep = tiny(home, seed=1, trials=trials, epochs=20, epoch_s=0.2)
    began, hits, command = time.monotonic(), 0, tuple[str, ...]()
    try:
        while True:
            launcher = sweep.start(*command)
            while launcher.poll() is None:
                time.sleep(0.1)
                hits += disturb(sweep, time.monotonic() - began)
            seconds = time.monotonic() - began
            code, said = finished(sweep)
            if code != 3:
                break
            command = ("resume", "rig")
        check(sweep.folder, trials=trials, code=code, said=said, processes=sweep.all_processes)
    finally:
        sweep.close()
    print(f"{trials} trials of 4 s, {hits} processes killed: {seconds:.1f} s, exit {code}", flush=True)
    return seconds


def killer(kind: str, every_s: float, times: float = math.inf) -> Callable[[Rig, float], bool]:
    """Return what kills a process of a kind after so many seconds, and again so often."""
    done = 0

    def disturb(sweep: Rig, seconds: float) -> bool:
        nonlocal done
        if done >= times or seconds < every_s * (done + 1) or not (found := sweep.processes(kind)):
            return False
        with suppress(psutil.NoSuchProcess):
            random.choice(found).kill()
        done += 1
        return True

    return disturb


def undisturbed(_sweep: Rig, _seconds: float) -> bool:
    """Kill nothing."""
    return False


def kill_every(every_s: float, trials: int) -> int:
    """Run a sweep undisturbed, and again with an actor killed every so many seconds; print the ratio of the times."""
    alone = timed(trials, undisturbed)
    disturbed = timed(trials, killer("actor", every_s))
    print(f"an actor killed every {every_s:g} s: {disturbed / alone:.2f} x the undisturbed time")
    return 0


def restarts(runs: int, trials: int) -> int:
    """Kill the driver, or the raylet, once in mid-sweep and resume at once; print what that cost, medians of so many runs."""
    alone = statistics.median(timed(trials, undisturbed) for _ in range(runs))
    for kind in ("driver", "raylet"):
        costs = [timed(trials, killer(kind, alone / 2, times=1)) - alone for _ in range(runs)]
        spread = f"{min(costs):.1f} to {max(costs):.1f}"
        print(f"the {kind} killed once, and `resume` at once: {statistics.median(costs):.1f} s more ({spread})")
    return 0


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no further round after so long")
    parser.add_argument("--signals", action="store_true", help="in each round, signals to a command as it starts")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--every", type=float, metavar="SECONDS", help="kill an actor so often; measure the time")
    parser.add_argument("--restarts", type=int, metavar="RUNS", help="measure what a killed driver or raylet costs")
    parser.add_argument("--trials", type=int, help="of these two: trials of four seconds on two slots (150, 20)")
    options = parser.parse_args()
    if options.every:
        return kill_every(options.every, options.trials or 150)
    if options.restarts:
        return restarts(options.restarts, options.trials or 20)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under `nohup` the sweeps would ignore it, too
    began, rows = time.monotonic(), rows_of(options.out)
    server = Server(Path(tempfile.mkdtemp(prefix="chaos-server-")))
    if len(rows) < options.rounds:
        server.start()
        server.wait()
    try:
        for number in range(len(rows), options.rounds):
            if time.monotonic() - began > options.minutes * 60:
                break
            row = one_round(number, random.randrange(1_000_000), server, signals=options.signals)
            rows.append(row)
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"round {number}: {row['verdict'][:200]} in {row['seconds']} s", flush=True)
    finally:
        server.kill()
    print_table(rows)
    return int(any(row["verdict"] != "held" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
