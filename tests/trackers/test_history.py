"""Tests of `kerasweep.trackers.history`."""

from __future__ import annotations

from kerasweep.spaces.trial import Cause, Outcome, OutcomeKind, Report
from kerasweep.trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Differed,
    Entry,
    Event,
    Noticed,
    ParametersUsed,
    Reported,
    RoundEnded,
    SweepClosing,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    Timed,
    TrialAsked,
    TrialEnded,
)
from kerasweep.trackers.history import History, TrialRecord


def fold(*events: Event) -> History:
    """Return the history of events that were journaled at 1.0, 2.0, and so on."""
    return History.of(Entry(seq=index, at=float(index), event=event) for index, event in enumerate(events, 1))


def asked(trial: int = 0) -> TrialAsked:
    """Return the event that begins a trial."""
    return TrialAsked(trial=trial, seed=7, params={"id": 8}, history_seq=0)


def reported(epoch: int, attempt: int = 1, **metrics: float) -> Reported:
    """Return a report of trial 0."""
    return Reported(trial=0, attempt=attempt, report=Report(epoch=epoch, metrics=metrics))


def record(*events: Event) -> TrialRecord:
    """Return what becomes of trial 0, asked at 1.0, by events that follow at 2.0, 3.0, and so on."""
    return fold(asked(), *events).trials[0]


START = AttemptStarted(trial=0, attempt=1)
DONE = TrialEnded(trial=0, attempt=1, outcome=Outcome(kind=OutcomeKind.COMPLETED, value=0.5, epoch=2))


def test_a_sweep_begins_with_its_specification() -> None:
    """What the sweep ran with is there from the first event on."""
    history = fold(SweepStarted(spec={"name": "digits"}, versions={"keras": "3"}, origin={"user": "me"}))
    assert (history.spec, history.versions, history.origin) == ({"name": "digits"}, {"keras": "3"}, {"user": "me"})
    assert (history.started_at, history.session_at, history.last_at, history.seq) == (1.0, 1.0, 1.0, 1)


def test_a_resumed_sweep_is_open_again() -> None:
    """The new specification holds, the first start stays, what ended the session before is past."""
    history = fold(
        SweepStarted(spec={"budget": 1}),
        SweepClosing(why="stop"),
        SweepEnded(why="stop", exit_code=130),
        SweepResumed(spec={"budget": 2}),
    )
    assert history.spec == {"budget": 2}
    assert (history.closing, history.ended) == (None, None)
    assert (history.started_at, history.session_at) == (1.0, 4.0)


def test_an_ended_sweep_says_why() -> None:
    """Closing and end are kept as they were journaled."""
    closing, ended = SweepClosing(why="hours"), SweepEnded(why="hours", exit_code=0)
    history = fold(SweepStarted(spec={}), closing, ended)
    assert (history.closing, history.ended) == (closing, ended)


def test_notices_are_kept_in_order() -> None:
    """What the user should read once is listed."""
    assert fold(Noticed(text="one"), Noticed(text="two")).notices == ["one", "two"]


def test_a_trial_goes_from_waiting_over_running_to_its_outcome() -> None:
    """Each event moves the trial's state and fixes a time."""
    states = [record(*[START, reported(1, loss=1.0), DONE][:count]).state for count in range(4)]
    assert states == ["waiting", "running", "running", "completed"]
    whole = record(START, reported(1, loss=1.0), DONE)
    assert (whole.asked_at, whole.started_at, whole.ended_at) == (1.0, 2.0, 4.0)
    assert whole.reported_at == {1: 3.0}
    assert whole.outcome == DONE.outcome


def test_an_interrupted_trial_waits_and_keeps_its_first_start() -> None:
    """An attempt's end makes the trial wait; the next attempt does not change when it began."""
    lost = AttemptEnded(trial=0, attempt=1, cause=Cause.LOST, why="gone")
    assert record(START, lost).state == "waiting"
    again = record(START, lost, AttemptStarted(trial=0, attempt=2))
    assert (again.state, again.attempt, again.started_at, again.causes) == ("running", 2, 2.0, [Cause.LOST])


def test_the_first_report_of_an_epoch_stands() -> None:
    """A later attempt adds the epochs that the first did not reach, and changes none that it did."""
    trial = record(START, reported(1, loss=1.0), reported(1, 2, loss=9.0), reported(2, 2, loss=0.5))
    assert trial.curve("loss") == [(1, 1.0), (2, 0.5)]
    assert trial.reported_at == {1: 3.0, 2: 5.0}


def test_a_curve_is_in_order_and_leaves_out_what_was_not_logged() -> None:
    """Epochs come ascending whatever their order of arrival; an epoch without the metric has no point."""
    trial = record(reported(2, loss=0.5), reported(1, loss=1.0, val_loss=2.0), reported(3, other=1.0))
    assert trial.curve("loss") == [(1, 1.0), (2, 0.5)]
    assert trial.curve("val_loss") == [(1, 2.0)]
    assert trial.curve("none") == []


def test_the_parameters_are_those_that_the_model_read() -> None:
    """What was proposed is not shown, what was used is; facts once known are not lost to a later event without."""
    used = ParametersUsed(trial=0, attempt=1, params={"units": 8}, facts={"weights": 100})
    assert record(START).params == {}
    trial = record(START, used, ParametersUsed(trial=0, attempt=2, params={"units": 9}))
    assert (trial.params, trial.facts) == ({"units": 9}, {"weights": 100})


def test_a_trial_that_could_not_be_reproduced_is_marked() -> None:
    """One differing epoch marks the trial."""
    assert record(START).reproduced
    assert not record(START, Differed(trial=0, epoch=1)).reproduced


def test_times_are_listed_pass_by_pass() -> None:
    """Where and when each pass ran is kept in order; a round alone changes nothing else."""
    passes = [Timed(trial=0, attempt=1, slot="a", pid=pid, times={"start": 1.0 * pid}) for pid in (5, 6)]
    round_ended = RoundEnded(trial=0, attempt=1, round=0, specs=(), params={})
    trial = record(START, passes[0], round_ended, passes[1])
    assert trial.timings == [{"slot": "a", "pid": 5, "start": 5.0}, {"slot": "a", "pid": 6, "start": 6.0}]
    assert trial.state == "running"


def test_trials_do_not_mix() -> None:
    """An event changes the trial that it is about and no other."""
    history = fold(asked(0), asked(1), AttemptStarted(trial=1, attempt=1), reported(1, loss=1.0))
    assert history.trials[0].curve("loss") == [(1, 1.0)]
    assert history.trials[1].curve("loss") == []
    assert [trial.state for trial in history.trials.values()] == ["waiting", "running"]


def test_a_history_can_be_folded_in_parts() -> None:
    """To apply entries one at a time gives what folding them at once gives."""
    events = [SweepStarted(spec={}), asked(), START, reported(1, loss=1.0), DONE, SweepEnded(why="", exit_code=0)]
    entries = [Entry(seq=index, at=float(index), event=event) for index, event in enumerate(events, 1)]
    parts = History.of(entries[:3])
    for entry in entries[3:]:
        parts.apply(entry)
    assert parts == History.of(entries)
