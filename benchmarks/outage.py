"""Take the MLflow server away in the middle of a sweep: does training notice, and is anything lost?

    python benchmarks/outage.py                                       # five minutes, beside five undisturbed runs
    python benchmarks/outage.py --outage 60 --trials 80 --runs 2      # a quick look
    python benchmarks/outage.py --how kill                            # ended and started again, not stopped

Runs take turns on one server over SQLite, the disturbed one in the middle. At the end the server is asked for all
runs and all points, which are compared with the journals.
"""

from __future__ import annotations

import argparse
import http.client
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import overhead
import process
import sweep
from process import Ran
from workload import space

from kerasweep.spaces.errors import BadInput
from kerasweep.trackers.history import History
from kerasweep.trackers.journal import Reader
from kerasweep.trackers.status import delivery_status

WORKLOAD = Path(__file__).resolve().parent / "workload"
TRAINING_SAMPLES = 1440
TIMEOUT_S = 3600.0
BEGIN = 0.25
"""The outage begins when so large a share of the trials has ended."""


@final
class Server:
    """An MLflow server over SQLite on a free port, in a session of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.start()

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self._folder}/served.db"]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=os.environ | quiet, stdout=log, stderr=log, start_new_session=True
            )
        while not self.answers():
            if self._process.poll() is not None:
                raise process.Failed(f"the server ended; see {self._folder}/server.log")
            time.sleep(0.2)

    def answers(self) -> bool:
        """Ask whether it is well."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5.0)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def signal(self, number: int) -> None:
        """Send a signal to it and its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def end(self) -> None:
        """End it."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self._process.wait()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """One run; `back_s`: after the server's return so long passed until it had what was journaled by then."""

    outage_s: float
    wall_s: float
    fit_share: float
    steps_per_s: float
    tracker_mb: float
    back_s: float = math.nan


@final
class Outage(threading.Thread):
    """Takes the server away when the sweep is well under way."""

    def __init__(self, server: Server, folder: Path, trials: int, seconds: float, how: str) -> None:
        super().__init__(daemon=True)
        self._server, self._folder, self._trials, self._seconds, self._how = server, folder, trials, seconds, how
        self.lasted_s = 0.0
        self.back_s = math.nan

    def run(self) -> None:
        """Wait, take it away, wait, bring it back, and see how long the delivery takes."""
        while ended(self._folder) < self._trials * BEGIN:
            time.sleep(0.5)
        began = time.time()
        self._server.signal(signal.SIGSTOP if self._how == "stop" else signal.SIGKILL)
        time.sleep(self._seconds)
        if self._how == "stop":
            self._server.signal(signal.SIGCONT)
        else:
            self._server.end()
            self._server.start()
        back = time.time()
        self.lasted_s = back - began
        goal = delivery_status(self._folder).last_seq
        while delivery_status(self._folder).delivered_seq < goal:
            time.sleep(0.1)
        self.back_s = time.time() - back


def ended(folder: Path) -> int:
    """Return how many trials of the sweep in `folder` have ended."""
    try:
        with Reader(folder) as reader:
            return sum(one.outcome is not None for one in History.of(reader.after()).trials.values())
    except BadInput:
        return 0


def measure(server: Server, home: Path, name: str, options: argparse.Namespace, *, disturbed: bool) -> Measures:
    """Run one sweep; an undisturbed one may be shorter, since shares and rates are compared.

    Raises:
        process.Failed: it did not come to its end.
    """
    folder = home / name
    folder.mkdir()
    trials = options.trials if disturbed else options.calm or options.trials
    fit = {"epochs": space.EPOCHS, "batch_size": space.BATCH_SIZE}
    command = sweep.write(
        folder,
        WORKLOAD / "digits.py",
        WORKLOAD / "space.py",
        trials=trials,
        slots=options.slots,
        fit=fit,
        seed=0,
        uri=server.uri,
    )
    outage = Outage(server, folder / "sweeps" / sweep.NAME, trials, options.outage, options.how)
    if disturbed:
        outage.start()
    data = {"OVERHEAD_DATA": str(home / "digits.npz"), "OVERHEAD_MEASURES": str(folder / "measures.jsonl")}
    ran = process.run(
        [*command, "--set", f"track.experiment={name}"],
        folder,
        {**overhead.QUIET, **overhead.ONE_THREAD, **data},
        TIMEOUT_S,
    )
    if disturbed:
        outage.join(120.0)
    fits = sweep.fits(folder)
    in_fit = sum(one.fit_end - one.fit_start for one in fits)
    span = max(one.fit_end for one in fits) - min(one.start for one in fits)
    steps = len(fits) * space.EPOCHS * math.ceil(TRAINING_SAMPLES / space.BATCH_SIZE)
    return Measures(
        outage_s=outage.lasted_s,
        wall_s=ran.exited - ran.launched,
        fit_share=in_fit / (options.slots * span),
        steps_per_s=steps / in_fit,
        tracker_mb=tracker_mb(ran),
        back_s=outage.back_s,
    )


def tracker_mb(ran: Ran) -> float:
    """Return the tracker's highest memory."""
    return ran.peaks(()).get("tracker", 0) / 1e6


def missing(server: Server, folder: Path, name: str) -> tuple[int, int, int]:
    """Return how many runs, and how many metrics of epochs, MLflow lacks, and how many of either it has too many."""
    from mlflow import MlflowClient

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client: Any = MlflowClient(server.uri)
        experiment = client.get_experiment_by_name(name).experiment_id
        runs: list[Any] = list(client.search_runs([experiment], max_results=10_000))
        points = Counter(
            (run.info.run_name, point.key, point.step, point.timestamp)
            for run in runs
            for key in run.data.metrics
            if key != "objective"
            for point in client.get_metric_history(run.info.run_id, key)
        )
    with Reader(folder / "sweeps" / sweep.NAME) as reader:
        trials = History.of(reader.after()).trials
    wanted = Counter(
        (f"t{number:04d}", key, epoch, int(record.reported_at[epoch] * 1000))
        for number, record in trials.items()
        for epoch, metrics in record.metrics.items()
        for key in metrics
    )
    lost, extra = wanted - points, points - wanted
    return len(trials) + 1 - len(runs), lost.total(), extra.total() + max(0, len(runs) - len(trials) - 1)


def print_table(runs: Sequence[Measures]) -> bool:
    """Print a line for each run, and whether the disturbed one is within the spread of the others."""
    print(f"{'outage':>8} {'whole sweep':>12} {'in fit':>8} {'steps/s':>8} {'tracker':>8} {'all there after':>16}")
    for one in runs:
        after = "" if math.isnan(one.back_s) else f"{one.back_s:.1f} s"
        print(
            f"{one.outage_s:>6.0f} s {one.wall_s:>10.1f} s {one.fit_share:>8.2%} {one.steps_per_s:>8.1f}"
            f" {one.tracker_mb:>5.0f} MB {after:>16}"
        )
    calm = [one for one in runs if not one.outage_s]
    within = True
    for one in (one for one in runs if one.outage_s):
        for word in ("fit_share", "steps_per_s"):
            values = [getattr(other, word) for other in calm]
            value, low, high = getattr(one, word), min(values), max(values)
            inside = value >= low
            within &= inside
            print(f"{word}: {value:.4g}, undisturbed {low:.4g} to {high:.4g}: {'not slower' if inside else 'SLOWER'}")
    return within


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outage", type=float, default=300.0, metavar="SECONDS")
    parser.add_argument("--trials", type=int, default=480)
    parser.add_argument("--calm", type=int, metavar="TRIALS", help="trials of an undisturbed run, if fewer")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5, help="undisturbed runs")
    parser.add_argument(
        "--how", choices=("stop", "kill"), default="stop", help="stopped: it accepts, and never answers"
    )
    options = parser.parse_args()

    process.end_with_sigterm()
    home = Path(tempfile.mkdtemp(prefix="outage-"))
    overhead.save_data(home / "digits.npz")
    server = Server(home)
    runs: list[Measures] = []
    whole = True
    try:
        for turn in range(options.runs + 1):
            disturbed = turn == (options.runs + 1) // 2
            name = f"run-{turn}"
            runs.append(measure(server, home, name, options, disturbed=disturbed))
            runs_, points, extra = missing(server, home / name, name)
            whole &= (runs_, points, extra) == (0, 0, 0)
            print(f"{name}: {runs_} runs and {points} metrics lost, {extra} too many", flush=True)
    except process.Failed as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        server.end()
    return 0 if print_table(runs) and whole else 1


if __name__ == "__main__":
    sys.exit(main())
