"""Tests of confirmation: which trials are trained again when, what that leaves alone, and what the report says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from kerasweep.search.amend import amended
from kerasweep.search.budget import Budget
from kerasweep.search.confirm import Confirm
from kerasweep.search.core import step
from kerasweep.search.curve_rules import Threshold
from kerasweep.search.decisions import Close, Finish, Tick
from kerasweep.search.live import last_words
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.outcomes import completed
from kerasweep.search.requests import again as retried
from kerasweep.search.state import Live, Rules
from kerasweep.search.summary import Summary, confirmed_json, trial_line
from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.trial import Cause, Outcome, OutcomeKind, Report
from kerasweep.trackers import mirror
from kerasweep.trackers.events import (
    AttemptStarted,
    Entry,
    Event,
    Reported,
    SweepAmended,
    SweepClosing,
    SweepEnded,
    SweepStarted,
    TrialAsked,
    TrialEnded,
)
from kerasweep.trackers.history import History
from kerasweep.trackers.leaderboard import note
from kerasweep.trackers.standing import standing_tags

from .bench import Bench, MemoryBook
from .specs import completed as whole
from .specs import history, spec

RULES = Rules(
    objective=Objective(metric="m", direction=Direction.MAX),
    budget=Budget(trials=5),
    max_epochs=2,
    confirm=Confirm(top=2, seeds=3),
)
VALUES = [0.1, 0.9, 0.5, 0.8, 0.2]


def train(bench: Bench, slot: int, value: float | None) -> None:
    """Let the trial on a slot report a value, if any, and end."""
    number, attempt = bench.slots[slot]
    if value is None:
        bench.record(bench.end(number, Outcome(kind=OutcomeKind.FAILED, reason="boom")))
        return
    bench.record(Reported(trial=number, attempt=attempt, report=Report(epoch=1, metrics={"m": value})))
    if slot in bench.slots:
        bench.record(bench.end(number, completed(bench.state, number)))


def run(bench: Bench, confirmed: Mapping[int, float | None] | None = None, slots: int = 1) -> Finish:
    """Run a sweep to its end; runs that confirm have the value of `confirmed`, by the trial."""
    while True:
        for slot in range(slots):
            if slot in bench.slots:
                live = bench.state.live[bench.slots[slot][0]]
                value = VALUES[live.number % 5] if live.confirms is None else (confirmed or {}).get(live.confirms, 0.5)
                train(bench, slot, value)
            elif isinstance(answer := bench.fill(slot), Finish):
                bench.record(SweepEnded(why=answer.why, exit_code=answer.exit_code))
                return answer


def begin(rules: Rules = RULES) -> tuple[Bench, MemoryBook]:
    """Start a sweep on fakes."""
    book = MemoryBook()
    bench = Bench(rules, book)
    bench.record(SweepStarted(spec={}))
    return bench, book


def asks(book: MemoryBook) -> list[TrialAsked]:
    """Return the trials that were asked for."""
    return [entry.event for entry in book.entries if isinstance(entry.event, TrialAsked)]


@pytest.mark.parametrize("slots", [1, 3])
def test_the_best_are_trained_again_when_the_search_is_over(slots: int) -> None:
    """By turns, with the parameters that they had in the end, numbered on; the budget is that of the search alone."""
    bench, book = begin()
    answer = run(bench, slots=slots)
    asked = asks(book)
    assert (answer.why, answer.exit_code, bench.state.counted) == ("the budget of 5 trials is spent", 0, 5)
    assert [one.confirms for one in asked] == [None] * 5 + [1, 3] * 3
    assert [one.trial for one in asked] == list(range(11))
    assert [one.params for one in asked[5:]] == [asked[1].params, asked[3].params] * 3
    ends = {entry.event.trial: entry.seq for entry in book.entries if isinstance(entry.event, TrialEnded)}
    first = next(entry.seq for entry in book.entries if isinstance(entry.event, TrialAsked) and entry.event.confirms)
    assert all(ends[number] < first for number in range(5)), "the best were not known yet"
    assert bench.replayed == bench.state


def test_neither_stop_rules_nor_the_end_of_the_hours_touch_a_run_that_confirms() -> None:
    """A rule that stops every trial, and a budget of time that is spent: the runs train to their ends."""
    rules = replace(RULES, stop=Threshold(epoch=1, value=2.0, score=2.0), budget=Budget(hours=1.0))
    bench, book = begin(rules)
    for slot in (0, 1):
        bench.fill(slot)
        train(bench, slot, 0.5 + slot)
    book.now = 3601.0
    _, (close,) = step(bench.state, Tick(at=book.now))
    assert isinstance(close, Close)
    bench.record(close.event)
    answer = run(bench)
    outcomes = {
        entry.event.trial: entry.event.outcome.kind for entry in book.entries if isinstance(entry.event, TrialEnded)
    }
    assert [one.confirms for one in asks(book)] == [None, None, 1, 0, 1, 0, 1, 0]
    assert {outcomes[number] for number in (0, 1)} == {OutcomeKind.STOPPED}
    assert {outcomes[number] for number in range(2, 8)} == {OutcomeKind.COMPLETED}
    assert answer.why == "the budget of 1 hour is spent"


@pytest.mark.parametrize(
    ("limits", "why", "searched"),
    [
        ({"epochs": 4}, "the budget of 4 epochs is spent", 4),
        ({"no_improvement": 3}, "no better value in 3 trials in a row", 5),
        ({"goal": 0.85}, "the goal of 0.85 is reached: m 0.9 in trial 1", 2),
        ({"slot_hours": 1.0}, "the budget of 1 slot hour is spent", 2),
    ],
)
def test_whatever_ends_the_search_the_best_are_confirmed(limits: dict[str, Any], why: str, searched: int) -> None:
    """At each limit, and at the goal; the runs themselves use up nothing and are not ended by what is spent."""
    bench, book = begin(replace(RULES, budget=Budget(**limits)))
    for number in range(searched):
        bench.fill(0)
        book.now += 1800.0 * ("slot_hours" in limits)
        train(bench, 0, VALUES[number])
    before = bench.state.account
    answer = run(bench, {1: 0.95, 3: 0.96})
    assert (answer.why, answer.exit_code) == (why, 0)
    top = sorted(range(searched), key=lambda number: -VALUES[number])[:2]
    assert [one.confirms for one in asks(book)] == [None] * searched + top * 3
    assert bench.state.account == before
    assert bench.replayed == bench.state


def test_the_end_of_a_grid_is_followed_by_the_confirmation() -> None:
    """A sampler that has nothing left closes the search, not the sweep."""
    bench, book = begin()
    for value in VALUES[:3]:
        bench.fill(0)
        train(bench, 0, value)
    bench.record(SweepClosing(why="the grid is exhausted"))
    assert run(bench).why == "the grid is exhausted"
    assert [one.confirms for one in asks(book)] == [None] * 3 + [1, 2] * 3


def test_more_budget_while_the_best_are_confirmed_searches_on() -> None:
    """`kerasweep set` in the middle of the confirmation, in a window too: the runs train on beside new trials."""
    for window in (None, 2):
        rules = replace(RULES, budget=Budget(trials=3), window=window)
        bench, book = begin(rules)
        for value in VALUES[:3]:
            bench.fill(0)
            train(bench, 0, value)
        bench.fill(0)
        assert bench.state.live[3].confirms == 1
        bench.record(SweepAmended(settings={"budget.trials": 4}, spec={}))
        bench.fill(1)
        assert bench.state.live[4].confirms is None
        run(bench, slots=2)
        runs = Counter(one.confirms for one in asks(book))
        assert runs == {None: 4, 1: 3, 2: 3}, window  # trial 4 has the value 0.2


def test_a_run_that_confirms_is_not_repeated() -> None:
    """`kerasweep retry` takes failures of the search alone, and says why."""
    bench, book = begin()
    run(bench, {1: None})
    failed = next(one.trial for one in asks(book) if one.confirms == 1)
    with pytest.raises(BadInput, match=f"trial {failed} confirms trial 1; only trials of the search run again"):
        retried(bench.state, [failed])
    with pytest.raises(BadInput, match="no trial has failed or was lost"):
        retried(bench.state)


def test_a_cancelled_sweep_confirms_nothing_until_it_is_resumed() -> None:
    """Ctrl-C in the middle of the confirmation ends it; `resume` does what is left, the interrupted run first."""
    bench, book = begin()
    while not any(one.confirms for one in asks(book)):
        if bench.slots:
            train(bench, 0, VALUES[bench.slots[0][0]])
        bench.fill(0)
    bench.record(SweepClosing(why="interrupted", cancel=True, exit_code=130))
    bench.interrupt()
    assert bench.fill(0) == Finish("interrupted", 130)
    bench.record(SweepEnded(why="interrupted", exit_code=130))
    again = Bench(RULES, book, book.entries)
    again.resume()
    again.fill(0)
    assert again.slots[0] == (5, 2)
    run(again)
    assert [one.confirms for one in asks(book)] == [None] * 5 + [1, 3] * 3


def test_more_budget_searches_on_and_confirms_what_is_best_then() -> None:
    """Trials of the old top keep their runs; only what is new among the best is trained again."""
    bench, book = begin(replace(RULES, budget=Budget(trials=2)))
    run(bench)
    assert [one.confirms for one in asks(book)] == [None] * 2 + [1, 0] * 3
    more = Bench(replace(RULES, budget=Budget(trials=4)), book, book.entries)
    more.resume()
    run(more)  # trials 8 and 9 have the values 0.8 and 0.2
    assert [one.confirms for one in asks(book)][8:] == [None] * 2 + [8] * 3
    assert more.state.counted == 4


@given(trials=st.integers(1, 5), top=st.integers(1, 7), seeds=st.integers(1, 4), deaths=st.lists(st.integers(1, 40)))
def test_whatever_dies_each_candidate_gets_its_runs(trials: int, top: int, seeds: int, deaths: list[int]) -> None:
    """The driver may die after any number of events; what was asked for stays, nothing is asked for twice."""
    rules = replace(
        RULES, budget=Budget(trials=trials), confirm=Confirm(top=top, seeds=seeds), retry={Cause.INTERRUPTED: 99}
    )
    bench, book = begin(rules)
    for count in deaths:
        for _ in range(count):
            if bench.slots:
                train(bench, 0, VALUES[bench.slots[0][0] % 5])
            elif isinstance(bench.fill(0), Finish):
                break
        book.crash()
        bench = Bench(rules, book, book.entries)
        bench.resume()
    run(bench)
    runs = Counter(one.confirms for one in asks(book) if one.confirms is not None)
    ranked = sorted(range(trials), key=lambda number: -VALUES[number])[:top]
    assert runs == dict.fromkeys(ranked, seeds)
    assert bench.state.counted == trials


def test_the_weights_of_each_candidates_best_run_stay() -> None:
    """A run's weights are written only where it is the best so far of those that confirm the same trial."""
    bench, _ = begin()
    run(bench, {1: 0.4, 3: 0.7})
    assert bench.state.kept == {1, 3, 2, 5, 6}
    live = Live(number=99, seed=0, params={}, confirms=3)
    assert bench.state.keep_above(live) == 0.7
    assert bench.state.keep_above(replace(live, confirms=None)) == 0.5
    assert bench.state.keep_above(replace(live, confirms=9)) is None


# Several objectives and constraints -----------------------------------------------------------------------------------

FURTHER = Objective(metric="n", direction=Direction.MIN)
PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8)


def run_pairs(pairs: Sequence[tuple[float, float]], finish: Random, **goals: Any) -> tuple[Bench, MemoryBook]:
    """Run a sweep on three slots whose trials report these values of `m` and `n`, and end in an order drawn at random."""
    one = spec(
        objective=Objective(metric="m", direction=Direction.MAX),
        budget=Budget(trials=len(pairs)),
        confirm=Confirm(top=3, seeds=2),
        **goals,
    )
    book = MemoryBook()
    bench = Bench(one.rules(), book)
    bench.record(SweepStarted(spec=one.to_json()))
    while True:
        answers = [bench.fill(slot) for slot in range(3) if slot not in bench.slots]
        if not bench.slots:
            assert isinstance(answers[0], Finish)
            return bench, book
        slot = finish.choice(list(bench.slots))
        number, attempt = bench.slots[slot]
        m, n = pairs[number if (confirms := bench.state.live[number].confirms) is None else confirms]
        bench.record(Reported(trial=number, attempt=attempt, report=Report(epoch=1, metrics={"m": m, "n": n})))
        bench.record(bench.end(number, completed(bench.state, number)))


@pytest.mark.parametrize(
    "goals", [{}, {"further": (FURTHER,)}, {"bounds": ("n <= 1",)}, {"further": (FURTHER,), "bounds": ("m <= 2",)}]
)
@given(pairs=PAIRS, finish=st.randoms(use_true_random=False))
def test_what_is_confirmed_is_what_the_report_ranks_first(
    goals: dict[str, Any], pairs: list[tuple[int, int]], finish: Random
) -> None:
    """Whatever the goals, and in whatever order trials end: the core's candidates are the first of the searched ranking."""
    bench, book = run_pairs(pairs, finish, **goals)
    summary = Summary.of(History.of(book.entries))
    top = [one.number for one in summary.searched()[:3]]
    assert Counter(one.confirms for one in asks(book) if one.confirms is not None) == dict.fromkeys(top, 2)
    assert {one.number for one in summary.confirmed()} == set(top)
    assert bench.replayed == bench.state


def pair(number: int, *values: float, confirms: int | None = None, broken: float = 0.0) -> list[Event]:
    """Return a trial, or a run that confirms one, which ended with these values."""
    asked = TrialAsked(trial=number, seed=number, params={}, history_seq=0, confirms=confirms)
    outcome = Outcome(
        kind=OutcomeKind.COMPLETED, value=values[0], epoch=1, values=values, violations=(broken,), reason=""
    )
    end = TrialEnded(trial=number, attempt=1, outcome=outcome)
    return [asked, AttemptStarted(trial=number, attempt=1), end]


def test_the_front_of_confirmed_trials_is_that_of_their_means() -> None:
    """A trial that was lucky is not on it any more; each objective has its mean, interval and flattery."""
    size = Objective(metric="params", direction=Direction.MIN)
    events = [*pair(0, 0.9, 50.0), *pair(1, 0.8, 10.0), *pair(2, 0.95, 60.0)]
    for number, (confirms, acc) in enumerate([(0, 0.9), (1, 0.8), (2, 0.7), (0, 0.88), (1, 0.82), (2, 0.72)], 3):
        events += pair(number, acc, {0: 50.0, 1: 10.0, 2: 60.0}[confirms], confirms=confirms)
    one = history(*events, further=(size,), bounds=("acc > 0",), confirm=Confirm(top=3, seeds=2))
    summary = Summary.of(one)
    assert [found.number for found in summary.searched()] == [2, 1, 0]
    assert [found.number for found in summary.confirmed()] == [0, 1, 2]
    assert [found.number for found in summary.front()] == [0, 1]
    champion = summary.confirmed()[0]
    assert champion.means == pytest.approx((0.89, 50.0))
    assert champion.in_words == (
        "on 2 fresh seeds acc 0.89 (95 % t interval 0.76294 to 1.0171), the searched value 0.9 flattered it by 0.01; "
        "params 50, as searched"
    )
    told = confirmed_json(champion)["objectives"]
    assert told["params"]["mean"] == 50.0
    assert told["acc"]["flattered"] == champion.flattered == pytest.approx(0.01)
    tags = standing_tags(one)
    assert (tags["best_trial"], tags["front"]) == ("0", "t0000 acc 0.89, params 50; t0001 acc 0.81, params 10")
    assert tags["confirmed"] == champion.in_words
    assert summary.best() is summary.front()[0]


def test_a_champion_keeps_to_the_constraints_on_fresh_seeds() -> None:
    """One whose runs break them is behind one whose runs do not, however good, and it is said."""
    events = [*pair(0, 0.9), *pair(1, 0.8)]
    for number, (confirms, broken) in enumerate([(0, 0.0), (1, 0.0), (0, 0.2), (1, 0.0)], 2):
        events += pair(number, 0.9 if confirms == 0 else 0.8, confirms=confirms, broken=broken)
    one = history(*events, bounds=("recall > 0.5",), confirm=Confirm(top=2, seeds=2))
    champion, other = Summary.of(one).confirmed()
    assert (champion.number, other.number, other.best_run) == (1, 0, 2)
    assert other.in_words.endswith("; 1 of 2 break constraints")
    assert confirmed_json(other)["violations"] == (0.0, 0.2)


# The report -----------------------------------------------------------------------------------------------------------


def again(number: int, confirms: int, *values: float) -> list[Event]:
    """Return the events of a run that confirms a trial; without values it has failed."""
    asked = TrialAsked(trial=number, seed=number, params={}, history_seq=0, confirms=confirms)
    if not values:
        start = AttemptStarted(trial=number, attempt=1)
        end = Outcome(kind=OutcomeKind.FAILED, reason="boom")
        return [asked, start, TrialEnded(trial=number, attempt=1, outcome=end)]
    _, *rest = whole(number, *values)
    return [asked, *rest]


SEARCHED: list[Event] = [*whole(0, 0.90), *whole(1, 0.95), *whole(2, 0.80), *whole(3, 0.85)]
PLAN = Confirm(top=2, seeds=3)


def through(**changes: Any) -> History:
    """Return a sweep whose two best were confirmed: the second one is the better one in truth."""
    first = [again(4 + 2 * index, 1, value) for index, value in enumerate((0.70, 0.72, 0.74))]
    second = [again(5 + 2 * index, 0, value) for index, value in enumerate((0.88, 0.86, 0.90))]
    return history(*SEARCHED, *(event for run in first + second for event in run), confirm=PLAN, **changes)


def test_the_champion_is_chosen_by_the_confirmed_mean() -> None:
    """It goes before all others, with its interval and what its searched value was flattered by; runs rank nowhere."""
    summary = Summary.of(through())
    assert [one.number for one in summary.ranked()] == [0, 1, 3, 2]
    champion, other = summary.confirmed()
    assert (champion.number, champion.best_run, champion.values) == (0, 9, (0.88, 0.86, 0.90))
    assert champion.mean == pytest.approx(0.88)
    assert champion.flattered == pytest.approx(0.02)
    assert other.flattered == pytest.approx(0.23)
    assert champion.interval == pytest.approx((0.88 - 0.049683, 0.88 + 0.049683), abs=1e-5)
    words = (
        "acc 0.88 (95 % t interval 0.83032 to 0.92968) on 3 fresh seeds; the searched value 0.9 flattered it by 0.02"
    )
    assert champion.in_words == words
    best = summary.best()
    assert best is not None
    assert best.number == 0
    assert (summary.counted(), summary.counts(), summary.confirming()) == (4, "4 completed", "")
    limits = Budget(trials=4, epochs=4, no_improvement=3)
    used = Summary.of(through(budget=limits)).used(1e9)
    assert {one.name: one.used for one in used} == {"trials": 4, "epochs": 4, "no_improvement": 2}
    assert confirmed_json(champion)["flattered"] == champion.flattered
    console = Console(file=StringIO(), width=200)
    console.print(last_words(summary.history))
    assert words in console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def test_until_all_are_through_the_searched_ranking_stands() -> None:
    """A run that is missing or still trains: no champion yet, and the terminal says how far it is."""
    events = [*SEARCHED, *again(4, 1, 0.7), *again(5, 0, 0.9), *again(6, 1, 0.7)[:3]]
    summary = Summary.of(history(*events, confirm=PLAN))
    assert (summary.confirmed(), summary.confirming()) == ([], "confirming 2/6")
    assert [one.number for one in summary.ranked()] == [1, 0, 3, 2]
    assert trial_line(summary.history.trials[4], summary.objective, 4).startswith("trial 4 confirms trial 1: completed")


def test_a_trial_whose_runs_fail_ranks_behind_one_whose_do_not() -> None:
    """What fails on one seed of three is not the champion, however good the others are; all failed: it is not ranked."""
    runs = [
        *again(4, 1, 0.99),
        *again(5, 0, 0.5),
        *again(6, 1),
        *again(7, 0, 0.5),
        *again(8, 1, 0.99),
        *again(9, 0, 0.5),
    ]
    first, second = Summary.of(history(*SEARCHED, *runs, confirm=PLAN)).confirmed()
    assert (first.number, second.number, second.asked) == (0, 1, 3)
    assert "on 2 of 3 fresh seeds" in second.in_words
    runs = [*again(4, 1), *again(5, 0, 0.5), *again(6, 1), *again(7, 0, 0.5), *again(8, 1), *again(9, 0, 0.5)]
    assert [one.number for one in Summary.of(history(*SEARCHED, *runs, confirm=PLAN)).confirmed()] == [0]


def test_a_smaller_objective_is_flattered_the_other_way_round() -> None:
    """Of a loss, a searched value below the mean is the flattering one."""
    changes: dict[str, Any] = {"objective": Objective(metric="acc", direction=Direction.MIN)}
    events = [*whole(0, 0.2), *whole(1, 0.3), *again(2, 0, 0.4), *again(3, 1, 0.25)]
    (best, other) = Summary.of(history(*events, confirm=Confirm(top=2, seeds=1), **changes)).confirmed()
    assert (best.number, other.number) == (1, 0)
    assert best.flattered == pytest.approx(-0.05)
    assert "was worse by 0.05" in best.in_words
    assert other.flattered == pytest.approx(0.2)


def test_mlflow_is_told() -> None:
    """The runs have a tag, the sweep's run names champion, interval and flattery; the ranking is that of the search."""
    one = through()
    assert mirror.trial_tags(one, one.trials[5], "p")["confirms"] == "t0000"
    assert "confirms" not in mirror.trial_tags(one, one.trials[0], "p")
    tags = standing_tags(one)
    assert (tags["best_trial"], tags["best_value"]) == ("0", "0.9")
    assert tags["confirmed"].endswith("flattered it by 0.02")
    assert [record.number for record in mirror.ranking(one)] == [1, 0, 3, 2]
    assert "- t0000: acc 0.88 (95 % t interval" in note(one, "1", "v", {})
    under_way = history(*SEARCHED, *again(4, 1, 0.7), confirm=PLAN)
    assert standing_tags(under_way)["confirmed"] == "under way"


def test_an_ended_sweep_is_confirmed_by_a_setting() -> None:
    """`resume SWEEP --set confirm.top=3` takes the default of five seeds; what makes no sense is refused."""
    assert amended(spec(), ["confirm.top=3"]).confirm == Confirm(top=3, seeds=5)
    assert amended(spec(), ["confirm.top=3", "confirm.seeds=4"]).confirm == Confirm(top=3, seeds=4)
    with pytest.raises(BadInput, match=r"confirm\.seeds: .* expected a whole number from 2 to 1000"):
        amended(spec(), ["confirm.seeds=1"])
    with pytest.raises(BadInput, match="must be above 0"):
        amended(spec(), ["confirm.top=0"])
    assert amended(spec(budget=Budget(trials=4)), ["confirm.top=1"]).rules().confirm.top == 1


def test_an_older_journal_has_no_confirmation() -> None:
    """An ask without the new fields replays, and none is written where there is nothing to say."""
    body = TrialAsked(trial=3, seed=1, params={"a": 1}, history_seq=2).to_json()
    assert body == {"seed": 1, "params": {"a": 1}, "history_seq": 2, "attrs": {}}
    assert not TrialAsked.from_json({**body, "trial": 3}).apart
    assert Entry(seq=1, at=0.0, event=TrialAsked.from_json({**body, "trial": 3, "confirms": 1})).trial == 3
