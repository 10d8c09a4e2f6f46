"""What holds after every fault, checked by one function over journal, MLflow, processes, files and the last words.

I1  no trial is lost: numbers without a gap, each trial ended or live, the budget exact; none runs again unless asked to
I2  no trial has two runs in MLflow, none is touched again after its end
I3  MLflow has the journal's metrics and parameters: none lost, none doubled, values and times the same
I4  no run is left running
I5  the exit code says how it went
I6  the last line says what happened, what is safe and the next command
I7  ten seconds after the end no process, and no half-written file, is left
I8  the same trials were proposed, and ended alike, as in an undisturbed sweep

check(folder)                                                       a journal alone: I1, I2
check(folder, trials=20, runs=in_mlflow("sqlite:///mlflow.db"))     … and MLflow: I2, I3, I4
check(folder, code=3, said=output, processes=rig.all_processes)     … and the command: I5, I6, I7
check(folder, like=undisturbed_folder)                              … and the search (one slot): I8
"""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import psutil

from kerasweep.spaces.trial import Cause, OutcomeKind
from kerasweep.trackers import mirror
from kerasweep.trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Differed,
    Entry,
    GraphicsMeasured,
    Noticed,
    ParametersUsed,
    Reported,
    RoundEnded,
    SlotsPacked,
    StartingPoints,
    SweepAmended,
    SweepClosing,
    SweepEnded,
    SweepRestored,
    SweepResumed,
    SweepStarted,
    Timed,
    TrialAsked,
    TrialEnded,
    TrialRetried,
)
from kerasweep.trackers.history import History, TrialRecord
from kerasweep.trackers.journal import Reader
from kerasweep.trackers.runs import PARENT, SWEEP_ID, TRIAL_KEY
from kerasweep.trackers.status import delivery_status

from ..trackers.fakes import FakeRuns

LEAVE_S = 10.0
STATUS = {
    OutcomeKind.COMPLETED: "FINISHED",
    OutcomeKind.STOPPED: "FINISHED",
    OutcomeKind.INFEASIBLE: "FINISHED",
    OutcomeKind.FAILED: "FAILED",
    OutcomeKind.LOST: "FAILED",
    OutcomeKind.INTERRUPTED: "KILLED",
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as MLflow shows it, not deleted; `points` has (metric, epoch, milliseconds, value in words) as often as kept."""

    run_id: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: Counter[tuple[str, int, int, str]]

    @property
    def trial(self) -> int | None:
        """The trial that it shows; None for the sweep's own."""
        key = self.tags.get(TRIAL_KEY)
        return None if key is None else int(key.rpartition("/")[2])


Runs = Callable[[str], Sequence[Run]]
"""Gives, for a sweep's id, all of its runs."""


def in_fake(mlflow: FakeRuns) -> Runs:
    """Look at the runs of an MLflow in memory."""

    def look(sweep: str) -> list[Run]:
        return [
            Run(
                run_id=key,
                status=run.status.name,
                tags=run.tags,
                params=run.params,
                points=Counter((one.key, one.step, one.at_ms, repr(one.value)) for one in run.points),
            )
            for key, run in mlflow.live.items()
            if run.tags.get(SWEEP_ID) == sweep
        ]

    return look


def in_mlflow(uri: str) -> Runs:
    """Look at the runs of a real MLflow with nothing but its own client, in all experiments."""

    def look(sweep: str) -> list[Run]:
        from mlflow import MlflowClient

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow's own, of SQLAlchemy
            client: Any = MlflowClient(uri)
            places = [one.experiment_id for one in client.search_experiments()]
            query = f"tags.`{SWEEP_ID}` = '{sweep}'"
            found: list[Any] = list(client.search_runs(places, query, max_results=5000))
            return [_seen(client, run) for run in found]

    return look


def _seen(client: Any, run: Any) -> Run:
    points = [one for name in run.data.metrics for one in client.get_metric_history(run.info.run_id, name)]
    return Run(
        run_id=run.info.run_id,
        status=run.info.status,
        tags=run.data.tags,
        params=run.data.params,
        points=Counter((one.key, one.step, one.timestamp, repr(float(one.value))) for one in points),
    )


def entries(folder: Path) -> list[Entry]:
    """Return all that is journaled."""
    with Reader(folder) as reader:
        return list(reader.after())


def check(
    folder: Path,
    *,
    trials: int | None = None,
    runs: Runs | None = None,
    code: int | None = None,
    said: str = "",
    processes: Callable[[], Sequence[psutil.Process]] | None = None,
    like: Path | None = None,
) -> History:
    """Assert the invariants on a sweep at which nobody works any more; return its history.

    Args:
        folder: The sweep's folder.
        trials: So many count against the budget, and all that were asked for have ended.
        runs: The runs of the MLflow that shall have everything; None where it cannot have.
        code: The exit code of the command that came last.
        said: What that command printed.
        processes: Gives those that still live.
        like: The folder of the same sweep, undisturbed.
    """
    journaled = entries(folder)
    check_transitions(journaled)
    history = History.of(journaled)
    if trials is not None:
        check_budget(history, trials)
    if code is not None:
        check_exit(folder, history, code, said)
    if processes is not None:
        check_left(folder, processes)
    if runs is not None:  # the tracker may have had a last word
        check_runs(history, runs(mirror.sweep_id(history)))
    if like is not None:
        check_like(journaled, entries(like))
    return history


# The journal: I1, I2 --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Life:
    """Where a trial stands; `running`: the attempt and round on a slot."""

    attempt: int = 0
    round: int = 0
    running: bool = False
    ended: bool = False
    epochs: set[int] = field(default_factory=set[int])


def check_transitions(journaled: Sequence[Entry]) -> None:
    """Assert that each event may follow those before it."""
    assert [entry.seq for entry in journaled] == list(range(1, len(journaled) + 1)), "the numbers have a gap"
    times = [entry.at for entry in journaled]
    assert times == sorted(times), "the times go back"
    lives: dict[int, _Life] = {}
    at_work = closed = False
    for entry in journaled:
        where = f"event {entry.seq}, {entry.event}"
        match entry.event:
            case SweepStarted():
                assert entry.seq == 1, where
                at_work = True
            case SweepResumed():
                at_work, closed = True, False
            case SweepRestored():
                at_work = False
            case SweepEnded():
                assert at_work, f"the sweep ended twice: {where}"
                assert not any(life.running for life in lives.values()), f"it ended over running trials: {where}"
                at_work = False
            case SweepClosing():
                closed = True
            case SweepAmended():  # more budget opens what closed for want of it; what still is spent closes again
                closed = False
            case StartingPoints():
                assert entry.seq == 2, where
            case TrialAsked(trial=number, confirms=confirms):
                assert at_work, where
                assert not closed or confirms is not None, f"asked for after the closing: {where}"
                assert number == len(lives), f"a number is missing or taken: {where}"
                lives[number] = _Life()
            case Timed() | Noticed() | GraphicsMeasured() | SlotsPacked():
                pass
            case TrialRetried(trial=number):
                assert lives[number].ended, f"to be repeated before its end: {where}"
                lives[number].ended, lives[number].round = False, 0
            case event:
                _check_life(lives[event.trial], event, where)


def _check_life(
    life: _Life,
    event: AttemptStarted | RoundEnded | ParametersUsed | Reported | AttemptEnded | Differed | TrialEnded,
    where: str,
) -> None:
    assert not life.ended, f"touched again after its end: {where}"
    if isinstance(event, AttemptStarted):
        assert not life.running, f"started twice: {where}"
        goes_on = life.round > 0 and (event.attempt, event.round) == (life.attempt, life.round)
        anew = (event.attempt, event.round) == (life.attempt + 1, 0)
        assert goes_on or anew, f"neither the next attempt nor the next round of {life}: {where}"
        life.attempt, life.round, life.running = event.attempt, event.round, True
    elif isinstance(event, TrialEnded):
        life.running, life.ended = False, True
    elif not isinstance(event, Differed):
        assert life.running, f"of a trial that does not run: {where}"
        assert event.attempt == life.attempt, f"of another attempt than {life.attempt}: {where}"
    if isinstance(event, (RoundEnded, AttemptEnded)):
        life.running, life.round = False, life.round + 1 if isinstance(event, RoundEnded) else 0
    if isinstance(event, Reported):
        assert event.report.epoch not in life.epochs, f"an epoch reported twice: {where}"
        life.epochs.add(event.report.epoch)


def check_budget(history: History, trials: int) -> None:
    """Assert that all trials have ended and so many of them count."""
    open_ones = [one.number for one in history.trials.values() if one.outcome is None]
    assert not open_ones, f"asked for and never ended: {open_ones}"
    searched = [one for one in history.trials.values() if one.confirms is None]
    counted = sum(1 for one in searched if one.outcome is not None and one.outcome.counts)
    assert counted == trials, f"{counted} trials count, {trials} were to"


# MLflow: I2, I3, I4 ---------------------------------------------------------------------------------------------------


def check_runs(history: History, runs: Sequence[Run]) -> None:
    """Assert that MLflow shows the sweep and each trial once, with all that is journaled."""
    left = {run.run_id: run.trial for run in runs if run.status == "RUNNING"}
    assert not left, f"left running: {left}"
    parents = [run for run in runs if run.trial is None]
    assert len(parents) == 1, f"{len(parents)} runs of the sweep itself"
    code = None if history.ended is None else history.ended.exit_code
    wanted = "FINISHED" if code == 0 else "KILLED" if code in (None, 130, 143) else "FAILED"
    assert parents[0].status == wanted, f"the sweep's run is {parents[0].status}, its exit code {code}"
    shown = Counter(run.trial for run in runs if run.trial is not None)
    begun = [one for one in history.trials.values() if one.started_at is not None or one.outcome is not None]
    assert shown == Counter(one.number for one in begun), f"runs by trial: {shown}"
    by_number = {run.trial: run for run in runs}
    for trial in begun:
        _check_run(by_number[trial.number], trial, parents[0].run_id)


def _check_run(run: Run, trial: TrialRecord, parent: str) -> None:
    who = f"trial {trial.number}"
    assert run.tags[PARENT] == parent, who
    status = "KILLED" if trial.outcome is None else STATUS[trial.outcome.kind]
    assert run.status == status, f"{who} is {trial.state} and its run {run.status}"
    assert run.params == {name: str(value) for name, value in trial.params.items()}, who
    wanted = Counter(
        (name, epoch, int(trial.reported_at[epoch] * 1000), repr(float(value) if math.isfinite(value) else math.nan))
        for epoch, row in trial.metrics.items()
        for name, value in row.items()
    )
    got = Counter({point: count for point, count in run.points.items() if point[0] != mirror.OBJECTIVE})
    assert got == wanted, f"{who}: lost {wanted - got}, doubled or invented {got - wanted}"
    assert max(run.points.values(), default=1) == 1, f"{who}: {run.points}"


# The command: I5, I6, I7 ----------------------------------------------------------------------------------------------


def check_exit(folder: Path, history: History, code: int, said: str) -> None:
    """Assert that the exit code is what the journal and MLflow say, and that the last line has the next command."""
    last = said.strip().rpartition("\n")[2]
    if history.ended is None:
        assert code in (2, 3, 4, 130, 143), f"exit {code} of a sweep that has not ended"
    elif history.ended.exit_code:
        assert code in (history.ended.exit_code, 4), f"exit {code}, journaled is {history.ended.exit_code}"
    else:
        assert code in (0, 4) or (code == 3 and not delivery_status(folder).complete), f"exit {code} of a sweep done"
    assert "Traceback (most recent call last)" not in said, said
    if code in (3, 130, 143):
        assert "safe" in last or "nothing is lost" in last, f"does not say what is safe: {last!r}"
        assert "kerasweep " in last, f"names no command: {last!r}"


def check_left(folder: Path, processes: Callable[[], Sequence[psutil.Process]]) -> None:
    """Assert that within ten seconds no process is left, nor any file that was to get another name."""
    deadline = time.monotonic() + LEAVE_S
    while left := processes():
        assert time.monotonic() < deadline, f"still there: {[_words(process) for process in left]}"
        time.sleep(0.1)
    stray = [
        path for path in folder.parent.rglob("*") if path.name.startswith(".new-") or path.suffix in {".new", ".part"}
    ]
    assert not stray, f"half-written files: {stray}"


def _words(process: psutil.Process) -> str:
    try:
        return f"{process.pid}: {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return str(process.pid)


# The search: I8 -------------------------------------------------------------------------------------------------------


def check_like(journaled: Sequence[Entry], undisturbed: Sequence[Entry]) -> None:
    """Assert that the same trials were proposed in the same order, and ended alike."""
    assert _asked(journaled) == _asked(undisturbed)
    assert _outcomes(journaled) == _outcomes(undisturbed)


def _asked(journaled: Sequence[Entry]) -> list[tuple[int, int, Mapping[str, Any]]]:
    return [(one.trial, one.seed, one.params) for one in (e.event for e in journaled) if isinstance(one, TrialAsked)]


def _outcomes(journaled: Sequence[Entry]) -> list[tuple[int, OutcomeKind, float | None, int | None]]:
    ended = (entry.event for entry in journaled if isinstance(entry.event, TrialEnded))
    return [(one.trial, one.outcome.kind, one.outcome.value, one.outcome.epoch) for one in ended]


def retried(journaled: Sequence[Entry]) -> Counter[Cause]:
    """Return how many attempts ended without deciding their trial, by cause."""
    return Counter(entry.event.cause for entry in journaled if isinstance(entry.event, AttemptEnded))
