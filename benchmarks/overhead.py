"""Measure what a sweep costs besides training: the same one on several systems, side by side, as one table.

    python benchmarks/overhead.py                            # all systems, 24 trials, 2 slots, medians of 5 runs
    python benchmarks/overhead.py --systems bare glue --trials 4 --runs 1

Systems take turns (A B C A B C …), so that a machine that slows down slows all of them. Nothing needs a network.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast, final

import process
import sweep
from sweep import Fit
from workload import space

TIMEOUT_S = 1800.0
WORKLOAD = Path(__file__).resolve().parent / "workload"

ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "KERAS_BACKEND": "tensorflow",
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One sweep to run."""

    folder: Path
    trials: int
    slots: int
    seed: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A way to run it.

    `parallel`: trials share the machine, so each may use one thread, and the slots are the sweep's; otherwise it is one
    process, one slot. `one_thread` keeps the reference loop to what a trial has elsewhere.
    """

    command: Callable[[Job], list[str]]
    fits: Callable[[Path], list[Fit]]
    parallel: bool = True
    one_thread: bool = True


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """One run; seconds, shares of 1, megabytes."""

    trials: int
    processes: int
    wall_s: float
    first_epoch_s: float
    fit_share: float
    gap_s: float
    between_fits_s: float
    fit_s: float
    memory_mb: Mapping[str, float]


def script(name: str, *flags: str) -> Callable[[Job], list[str]]:
    """Return how to call one of the rivals' scripts."""

    def command(job: Job) -> list[str]:
        numbers = ["--trials", str(job.trials), "--slots", str(job.slots), "--seed", str(job.seed)]
        return [sys.executable, str(WORKLOAD / name), *numbers, *flags]

    return command


def kerasweep(job: Job) -> list[str]:
    """Return how to call Kerasweep."""
    return sweep.write(
        job.folder,
        WORKLOAD / "digits.py",
        WORKLOAD / "space.py",
        trials=job.trials,
        slots=job.slots,
        fit={"epochs": space.EPOCHS, "batch_size": space.BATCH_SIZE},
        seed=job.seed,
    )


def lines(folder: Path) -> list[dict[str, Any]]:
    """Return what the model's file wrote down."""
    path = folder / "measures.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def measured(folder: Path) -> list[Fit]:
    """Return the fits that the model's file wrote down."""
    return [
        Fit(pid=one["pid"], start=one["start"], fit_start=one["fit_start"], fit_end=one["fit_end"])
        for one in lines(folder)
    ]


SYSTEMS = {
    "bare": System(command=script("bare.py"), fits=measured, parallel=False),
    "glue": System(command=script("glue.py"), fits=measured),
    "glue-reuse": System(command=script("glue.py", "--reuse"), fits=measured),
    # One process has the machine to itself: all threads, which is TensorFlow's default.
    "kerastuner": System(command=script("kerastuner.py"), fits=measured, parallel=False, one_thread=False),
    "kerastuner-bayesian": System(
        command=script("kerastuner.py", "--bayesian"), fits=measured, parallel=False, one_thread=False
    ),
    "kerasweep": System(command=kerasweep, fits=sweep.fits),
}
DEFAULT = ("bare", "glue", "glue-reuse", "kerastuner", "kerasweep")


def gaps(fits: Sequence[Fit]) -> list[tuple[float, float]]:
    """Return, for each fit with a predecessor in its slot, the seconds from that one's end to its trial's start and fit.

    No rival names its slots. A trial follows the one before it in its own process; in a new process, the one whose slot
    has been free for longest.
    """
    free: list[Fit] = []
    found: list[tuple[float, float]] = []
    for fit in sorted(fits, key=lambda one: one.start):
        candidates = sorted((one for one in free if one.fit_end <= fit.start), key=lambda one: one.fit_end)
        same = [one for one in candidates if one.pid == fit.pid]
        if before := next(iter(same or candidates), None):
            found.append((fit.start - before.fit_end, fit.fit_start - before.fit_end))
            free.remove(before)
        free.append(fit)
    return found


def measure(system: System, job: Job) -> Measures:
    """Run one sweep.

    Raises:
        process.Failed: the system did not run it to its end.
    """
    threads = ONE_THREAD if system.one_thread else {}
    ran = process.run(system.command(job), job.folder, {**QUIET, **threads, **_workload(job)}, TIMEOUT_S)
    fits = system.fits(job.folder)
    if len(fits) < job.trials:
        raise process.Failed(f"{len(fits)} of {job.trials} trials were trained; see {job.folder / 'output.txt'}")
    between = gaps(fits)
    slots = job.slots if system.parallel else 1
    span = max(one.fit_end for one in fits) - min(one.start for one in fits)
    trainers = {one.pid for one in fits}
    return Measures(
        trials=len(fits),
        processes=len(trainers),
        wall_s=ran.exited - ran.launched,
        first_epoch_s=min(one["first_epoch"] for one in lines(job.folder)) - ran.launched,
        fit_share=sum(one.fit_end - one.fit_start for one in fits) / (slots * span),
        gap_s=_median(gap for gap, _ in between),
        between_fits_s=_median(gap for _, gap in between),
        fit_s=_median(one.fit_end - one.fit_start for one in fits),
        memory_mb={role: bytes_ / 1e6 for role, bytes_ in ran.peaks(trainers).items()},
    )


def _workload(job: Job) -> dict[str, str]:
    return {
        "OVERHEAD_DATA": str(job.folder.parent / "digits.npz"),
        "OVERHEAD_MEASURES": str(job.folder / "measures.jsonl"),
    }


def _median(values: Any) -> float:
    found = list(values)
    return statistics.median(found) if found else float("nan")


def save_data(path: Path) -> None:
    """Write scikit-learn's digits where the models read them."""
    import numpy as np
    import sklearn.datasets

    digits = cast(Any, sklearn.datasets).load_digits()
    np.savez(path, x=(digits.data / 16).astype("float32"), y=digits.target)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table; `show` makes a cell of a value."""

    title: str
    value: Callable[[Measures], float]
    show: Callable[[float], str]
    compared: bool = True


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if abs(value) < 1 else f"{value:.1f} s"


def _memory(role: str) -> Row:
    return Row(
        title=f"memory, {role}",
        value=lambda one: one.memory_mb.get(role, 0.0),
        show=lambda value: f"{value:.0f} MB" if value else "-",
        compared=role == "all",
    )


ROWS = (
    Row(title="whole sweep", value=lambda one: one.wall_s, show=_seconds),
    Row(title="cold start to the end of the first epoch", value=lambda one: one.first_epoch_s, show=_seconds),
    Row(title="slot time spent in fit", value=lambda one: one.fit_share, show="{:.0%}".format),
    Row(title="from a fit to the next trial", value=lambda one: one.gap_s, show=_seconds),
    Row(title="from a fit to the next fit", value=lambda one: one.between_fits_s, show=_seconds),
    Row(title="one fit", value=lambda one: one.fit_s, show=_seconds, compared=False),
    Row(title="processes that trained", value=lambda one: one.processes, show="{:.0f}".format, compared=False),
    *map(_memory, ("driver", "trainers", "ray", "tracker", "all")),
)


def table(runs: Mapping[str, Sequence[Measures]]) -> str:
    """Return the medians as a Markdown table; in brackets, as a multiple of Kerasweep's."""
    lines = [["", *runs], *([row.title, *_cells(row, runs)] for row in ROWS)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return "\n".join([padded[0], "| " + " | ".join("-" * width for width in widths) + " |", *padded[1:]])


def _cells(row: Row, runs: Mapping[str, Sequence[Measures]]) -> list[str]:
    medians = {name: _median(map(row.value, several)) for name, several in runs.items()}
    ours = medians.get("kerasweep")
    return [
        f"{row.show(value)} ({value / ours:.2g}x)" if row.compared and ours and name != "kerasweep" else row.show(value)
        for name, value in medians.items()
    ]


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--systems", nargs="+", choices=SYSTEMS, default=DEFAULT, metavar="NAME", help=", ".join(SYSTEMS)
    )
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, help="also write every run's measures here, as JSON")
    parser.add_argument("--work", type=Path, help="where the runs' folders go (default: a new temporary folder)")
    options = parser.parse_args()

    process.end_with_sigterm()
    work = options.work or Path(tempfile.mkdtemp(prefix="overhead-"))
    work.mkdir(parents=True, exist_ok=True)
    work = work.resolve()
    save_data(work / "digits.npz")
    runs: dict[str, list[Measures]] = {name: [] for name in options.systems}
    failed = False
    for number in range(options.runs):
        for name in options.systems:
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-{number}-", dir=work))
            job = Job(folder=folder, trials=options.trials, slots=options.slots, seed=number)
            print(f"run {number + 1} of {options.runs}: {name} …", end=" ", flush=True, file=sys.stderr)
            try:
                runs[name].append(measure(SYSTEMS[name], job))
            except process.Failed as error:
                failed = True
                print(f"failed\n{error}", file=sys.stderr)
                continue
            print(f"{runs[name][-1].wall_s:.1f} s", file=sys.stderr)
            if options.out:
                options.out.write_text(json.dumps(report(options, runs), indent=1))
    if any(runs.values()):
        print(table({name: several for name, several in runs.items() if several}))
    return int(failed)


def report(options: argparse.Namespace, runs: Mapping[str, Sequence[Measures]]) -> dict[str, Any]:
    """Return all runs with what they ran on, as plain data."""
    packages = ("kerasweep", "ray", "optuna", "mlflow", "keras", "keras-tuner", "tensorflow-cpu", "tensorflow")
    return {
        "sweep": {"trials": options.trials, "slots": options.slots, "epochs": space.EPOCHS},
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "versions": {name: found for name in packages if (found := _version(name))},
        "runs": {name: [asdict(one) for one in several] for name, several in runs.items()},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
