"""Tests of population-based training: turns, exploit and explore, what stays on the disk, and that nothing is forgotten."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasweep.search.budget import Budget
from kerasweep.search.decisions import Finish
from kerasweep.search.ledger import sampler_of
from kerasweep.search.lineage import in_words, lineage
from kerasweep.search.objective import Direction, Objective
from kerasweep.search.outcomes import completed
from kerasweep.search.population import Member, Pbt, Plan, Population, Turn, heir_params, perturbed
from kerasweep.search.requests import again
from kerasweep.search.spec import Search, SweepSpec
from kerasweep.search.state import Rules
from kerasweep.spaces.bounds import Bounds
from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.known import Known
from kerasweep.spaces.parameter import Boolean, Choice, Condition, Fixed, Number, Sampling, identity
from kerasweep.spaces.pareto import Point, covers, ordered
from kerasweep.spaces.trial import Cause, Outcome, OutcomeKind, Report
from kerasweep.trackers import mirror
from kerasweep.trackers.events import Donor, Entry, Reported, SweepEnded, SweepStarted, TrialAsked, decode, encode

from .bench import Bench, MemoryBook
from .specs import begun, history, reported, spec
from .specs import completed as whole

PBT = Pbt(population=4, interval=2, mutate=("rate",))
PLAN = Plan(pbt=PBT, epochs=6, seed=7)
RULES = Rules(
    objective=Objective(metric="m", direction=Direction.MAX),
    budget=Budget(trials=100),
    max_epochs=6,
    population=PLAN,
    retry={Cause.INTERRUPTED: 99},
)


def begin(rules: Rules = RULES) -> tuple[Bench, MemoryBook]:
    """Start a sweep on fakes."""
    book = MemoryBook()
    bench = Bench(rules, book)
    bench.record(SweepStarted(spec={}))
    return bench, book


def turn(bench: Bench, slot: int, value: float | None) -> None:
    """Let the trial on a slot do its whole turn, with this value at its end; None: it fails."""
    number, attempt = bench.slots[slot]
    if value is None:
        bench.record(bench.end(number, Outcome(kind=OutcomeKind.FAILED, reason=f"boom {number}")))
        return
    donor = bench.state.live[number].donor
    epoch = PLAN.until(0 if donor is None else donor.epoch)
    bench.record(Reported(trial=number, attempt=attempt, report=Report(epoch=epoch, metrics={"m": value})))
    bench.record(bench.end(number, completed(bench.state, number)))


def asks(book: MemoryBook) -> list[TrialAsked]:
    """Return the trials that were asked for."""
    return [entry.event for entry in book.entries if isinstance(entry.event, TrialAsked)]


def run(bench: Bench, draw: Random, slots: int = 1, failing: float = 0.0) -> Finish:
    """Run a sweep to its end; slots end in any order, values are as `draw` says, and some trials fail."""
    while True:
        for slot in range(slots):
            if slot not in bench.slots and isinstance(answer := bench.fill(slot), Finish):
                bench.record(SweepEnded(why=answer.why, exit_code=answer.exit_code))
                return answer
        busy = draw.choice(sorted(bench.slots))
        turn(bench, busy, None if draw.random() < failing else draw.random())


# Who goes on from whom ------------------------------------------------------------------------------------------------


def test_members_train_by_turns_and_the_worst_goes_on_as_a_copy_of_the_best() -> None:
    """Four founders; then, of the four, the last takes over the first, perturbed, and the others go on by themselves."""
    bench, book = begin()
    for value in (0.4, 0.9, 0.1, 0.6):
        bench.fill(0)
        turn(bench, 0, value)
    for value in (0.5, 0.95, 0.97, 0.7):
        bench.fill(0)
        turn(bench, 0, value)
    assert [one.donor for one in asks(book)] == [
        *(None, None, None, None),
        Donor(trial=0, epoch=2, member=0),
        Donor(trial=1, epoch=2, member=1),
        Donor(trial=5, epoch=4, member=2, explores=True),
        Donor(trial=3, epoch=2, member=3),
    ]
    assert asks(book)[6].params["explored"] is True
    assert bench.state.population.members[2].turn == Turn(
        trial=6, epoch=6, point=Point((0.97,)), seed=1006, params=asks(book)[6].params
    )


clouds = st.lists(
    st.builds(Point, st.tuples(st.integers(0, 3), st.integers(0, 3)), st.sampled_from([0.0, 0.0, 0.5])),
    min_size=2,
    max_size=9,
)


@given(clouds, st.integers(0, 99))
def test_of_several_objectives_nobody_gives_up_what_is_no_worse(cloud: list[Point], number: int) -> None:
    """Whoever is not on the first front may be replaced, by one of the foremost that it is not as good as in every respect."""
    turns = [Turn(trial=at, epoch=2, point=point, seed=at, params={}) for at, point in enumerate(cloud)]
    population = Population(members={at: Member(turn=turn) for at, turn in enumerate(turns)})
    for at, own in enumerate(turns):  # each in turn is the one that is due
        others = {one: replace(there, live=99) for one, there in population.members.items() if one != at}
        donor = Population(members={**others, at: population.members[at]}).next(PLAN, number)
        assert donor is not None
        if donor.trial != at:
            few = min(-(-len(cloud) // 4), len(cloud) // 2)
            assert donor.trial in ordered(cloud)[:few]
            assert at in ordered(cloud)[len(cloud) - few :]
            assert not covers(own.point, turns[donor.trial].point)


def test_a_member_that_breaks_a_constraint_goes_on_as_one_that_does_not() -> None:
    """However good its value; what counts is its last epoch."""
    bench, book = begin(
        replace(RULES, bounds=Bounds.of(["m <= 1"]), population=replace(PLAN, pbt=replace(PBT, population=2)))
    )
    for value in (0.3, 1.5):
        bench.fill(0)
        turn(bench, 0, value)
    for _ in range(2):
        bench.fill(0)
        turn(bench, 0, 0.5)
    assert [one.donor and (one.donor.member, one.donor.trial) for one in asks(book)[2:]] == [(0, 0), (1, 2)]


def test_the_population_ends_when_its_members_have_trained_their_epochs() -> None:
    """Every member reaches the last epoch; no trial is asked for beyond it, whatever the budget would allow."""
    bench, book = begin()
    answer = run(bench, Random(3))
    assert (answer.why, answer.exit_code) == ("the population has trained its 6 epochs", 0)
    members = bench.state.population.members
    assert {one.turn.epoch for one in members.values() if one.turn is not None} == {6}
    assert len(asks(book)) <= 12
    assert bench.state.donors == set()


def test_failures_are_not_repeated_and_epochs_of_a_donor_are_its_own() -> None:
    """`kerasweep retry` has nothing to do, since others have taken the places; the budget counts what was trained."""
    bench, book = begin(replace(RULES, budget=Budget(trials=100, epochs=1000)))
    bench.fill(0)
    turn(bench, 0, None)
    run(bench, Random(3))
    starts = [0 if one.donor is None else one.donor.epoch for one in asks(book)[1:]]
    assert max(starts) > 0
    assert bench.state.account.epochs == sum(PLAN.until(epoch) - epoch for epoch in starts)
    with pytest.raises(BadInput, match="a population goes on without the trials that failed"):
        again(bench.state)


def test_the_budget_ends_it_sooner_and_leaves_what_more_budget_goes_on_from() -> None:
    """Six trials for four members: the checkpoints that may be gone on from stay, and `resume` with more goes on."""
    bench, book = begin(replace(RULES, budget=Budget(trials=6)))
    assert run(bench, Random(1)).why == "the budget of 6 trials is spent"
    kept = bench.state.donors
    assert kept <= {one.turn.trial for one in bench.state.population.members.values() if one.turn is not None}
    more = Bench(RULES, book, book.entries)
    more.resume()
    more.fill(0)
    donor = asks(book)[6].donor
    assert donor is not None
    assert donor.trial in kept


@given(
    seed=st.integers(0, 10**6),
    population=st.integers(2, 6),
    slots=st.integers(1, 8),
    failing=st.sampled_from([0.0, 0.0, 0.3]),
    quantile=st.sampled_from([0.2, 0.25, 0.5]),
)
@settings(max_examples=25, deadline=None)
def test_whatever_the_order_each_turn_goes_on_where_a_checkpoint_is(
    seed: int, population: int, slots: int, failing: float, quantile: float
) -> None:
    """Asynchronously, with failures: a donor has ended there and its checkpoint was kept all the time; no slot waits
    while a member is free; the replayed state is the live one.
    """
    plan = replace(PLAN, pbt=replace(PBT, population=population, quantile=quantile))
    bench, book = begin(replace(RULES, population=plan, budget=Budget(trials=60)))
    draw = Random(seed)
    ended: dict[int, int] = {}
    gone = set[int]()
    while True:
        for slot in range(slots):
            if slot in bench.slots:
                continue
            answer = bench.fill(slot)
            if isinstance(answer, Finish):
                assert bench.replayed == bench.state
                ends = ("the budget of", "the population has trained its 6 epochs", "the first 3 trials failed alike")
                assert answer.why.startswith(ends)
                founders = [one for one in asks(book) if one.donor is None]
                assert len(founders) >= population or answer.why != ends[1]
                return
            assert answer is None or len(bench.slots) >= min(slots, 1)
        assert len(bench.slots) <= population
        for number, _ in bench.slots.values():
            donor = bench.state.live[number].donor
            if donor is not None:
                assert ended[donor.trial] == donor.epoch < plan.epochs
                assert donor.trial in bench.state.donors
                assert donor.trial not in gone
        slot = draw.choice(sorted(bench.slots))
        number = bench.slots[slot][0]
        donor = bench.state.live[number].donor
        fails = draw.random() < failing
        turn(bench, slot, None if fails else draw.random())
        if not fails:
            ended[number] = plan.until(0 if donor is None else donor.epoch)
        gone |= set(ended) - bench.state.donors


@given(seed=st.integers(0, 10**6), deaths=st.lists(st.integers(1, 15), max_size=4))
@settings(max_examples=20, deadline=None)
def test_a_sweep_that_dies_goes_on_exactly(seed: int, deaths: list[int]) -> None:
    """With one slot the same trials go on from the same donors, whatever was killed when."""

    def value(number: int) -> float:
        return Random(f"{seed}/{number}").random()

    def all_of(deaths: list[int]) -> list[TrialAsked]:
        bench, book = begin()
        left = list(deaths)
        steps = 0
        while True:
            if bench.slots:
                turn(bench, 0, value(bench.slots[0][0]))
            elif isinstance(bench.fill(0), Finish):
                return asks(book)
            steps += 1
            if left and steps == left[0]:
                left.pop(0)
                steps = 0
                book.crash()
                bench = Bench(RULES, book, [*book.entries])
                bench.resume()

    assert all_of(deaths) == all_of([])


def test_a_failed_turn_is_done_otherwise_and_a_failed_founder_gives_up_its_place() -> None:
    """A trial that failed with its donor's parameters is tried again with perturbed ones."""
    bench, book = begin()
    for value in (0.4, None, 0.9, 0.1, 0.6):
        bench.fill(0)
        turn(bench, 0, value)
    assert set(bench.state.population.members) == {0, 2, 3, 4}
    bench.fill(0)
    turn(bench, 0, None)
    bench.fill(0)
    first, second = asks(book)[5:]
    assert first.donor == Donor(trial=0, epoch=2, member=0)
    assert second.donor == Donor(trial=0, epoch=2, member=0, explores=True)


def test_a_turn_that_the_end_of_the_hours_cut_off_is_done_again_as_it_was() -> None:
    """It left no checkpoint of its end: the member stays where it was, and a copy is still perturbed."""
    cut = Population(
        members={0: Member(turn=Turn(trial=3, epoch=2, point=Point((1.0,)), seed=1, params={}), live=9, explores=True)}
    ).end(9, None, failed=False)
    donor = cut.next(replace(PLAN, pbt=replace(PBT, population=1)), 10)
    assert donor == Donor(trial=3, epoch=2, member=0, explores=True)


# Explore --------------------------------------------------------------------------------------------------------------

RATE = Number(name="rate", min=1e-4, max=1e-1, integer=False, sampling=Sampling.LOG)
UNITS = Number(name="units", min=8, max=64, integer=True)
BATCH = Choice(name="batch", values=(16, 32, 64), ordered=True)
KIND = Choice(name="kind", values=("a", "b", "c"))
FLAG = Boolean(name="flag")
CONST = Fixed(name="const", value=3)
CHILD = Number(name="child", min=0, max=1, integer=False, conditions=(Condition(parent="kind", values=("a",)),))
ALL = (RATE, UNITS, BATCH, KIND, FLAG, CONST)
KNOWN = Known(parameters={identity(one): one for one in ALL})


def values(**named: float | str) -> dict[str, float | str]:
    """Return parameters by identity."""
    return {identity(one): named[one.name] for one in (*ALL, CHILD) if one.name in named}


@given(seed=st.integers(0, 10**6), rate=st.floats(1e-4, 1e-1), units=st.integers(8, 64))
def test_a_number_is_multiplied_and_a_value_moves_to_its_neighbour(seed: int, rate: float, units: int) -> None:
    """By 0.8 or 1.2 within its range; an integer moves by one at least; what is not named stays."""
    start = values(rate=rate, units=units, batch=32, kind="a", const=3)
    names = {"rate", "units", "batch", "const"}
    moved = perturbed(start, KNOWN.parameters, names, 0.0, Random(seed))
    assert moved[identity(RATE)] in [pytest.approx(min(max(rate * by, 1e-4), 1e-1)) for by in (0.8, 1.2)]
    assert moved[identity(UNITS)] != units or units in (8, 64)
    assert 8 <= int(moved[identity(UNITS)]) <= 64
    assert moved[identity(BATCH)] in (16, 64)
    assert (moved[identity(KIND)], moved[identity(CONST)]) == ("a", 3)


@pytest.mark.parametrize(("low", "high", "moves"), [(0.0, 0.5, {0.0, 0.1}), (-1.0, 1.0, {-0.4, 0.4}), (-1, 9, {-1, 1})])
def test_a_number_at_zero_moves(low: float, high: float, moves: set[float]) -> None:
    """By a share of its range, an integer by one; at the end of a range one of the two ways is closed."""
    number = Number(name="rate", min=low, max=high, integer=isinstance(low, int))
    key = identity(number)
    moved = {perturbed({key: 0}, {key: number}, {"rate"}, 0.0, Random(seed))[key] for seed in range(20)}
    assert {round(float(one), 6) for one in moved} == moves


def test_a_share_is_drawn_anew() -> None:
    """With `resample` 1 every value comes from its whole range."""
    start = values(rate=1e-4, kind="a")
    drawn = [perturbed(start, KNOWN.parameters, {"rate", "kind"}, 1.0, Random(seed)) for seed in range(60)]
    assert {one[identity(KIND)] for one in drawn} == {"a", "b", "c"}
    assert max(float(one[identity(RATE)]) for one in drawn) > 1e-2
    kept = [perturbed(start, KNOWN.parameters, {"rate"}, 0.5, Random(seed))[identity(RATE)] for seed in range(60)]
    assert 15 < sum(float(one) < 2e-4 for one in kept) < 45


def test_what_decides_which_parameters_there_are_stays_and_constraints_hold() -> None:
    """A parent of others is not perturbed; a perturbation that is refused is tried again, and given up at last."""
    known = Known(parameters={**KNOWN.parameters, identity(CHILD): CHILD})
    plan = replace(PLAN, pbt=replace(PBT, mutate=("kind", "rate"), resample=0.0))
    donor = Turn(trial=0, epoch=2, point=Point((1.0,)), seed=1, params=values(rate=0.01, kind="a", child=0.5))
    allowed = heir_params(donor, known, plan, 8, lambda named: "no" if float(named["rate"][0]) > 0.01 else "")
    assert allowed == {**donor.params, identity(RATE): pytest.approx(0.008)}
    assert heir_params(donor, known, plan, 8, lambda _: "no") == donor.params
    assert heir_params(donor, known, plan, 8, lambda _: "") == heir_params(donor, known, plan, 8, lambda _: "")
    several = {heir_params(donor, known, plan, number, lambda _: "")[identity(RATE)] for number in range(20)}
    assert len(several) == 2


# What is shown --------------------------------------------------------------------------------------------------------


def test_the_lineage_is_journaled_and_shown() -> None:
    """From the founder on, with what changed; MLflow has the donor of each trial."""
    donors = (Donor(trial=0, epoch=2, member=0), Donor(trial=1, epoch=4, member=0, explores=True))
    asked = [
        TrialAsked(trial=number, seed=0, params={}, history_seq=0, donor=one) for number, one in enumerate(donors, 1)
    ]
    events = [*whole(0, 0.1, 0.2, params={"rate": 0.1})]
    for number, event in enumerate(asked, 1):
        _, *rest = begun(number, {"rate": 0.1 if number == 1 else 0.12})
        shifted = [
            replace(one, report=replace(one.report, epoch=one.report.epoch + 2 * number))
            for one in reported(number, 0.3, 0.4)
            if isinstance(one, Reported)
        ]
        events += [decode(*encode(event)), *rest, *shifted]
    one = history(*events, pbt=PBT)
    assert SweepSpec.from_json(one.spec).pbt == PBT
    assert in_words(lineage(one, 2)) == (
        "lineage: trial 0 to epoch 2, trial 1 to epoch 4, trial 2 to epoch 6 (rate 0.1 -> 0.12)"
    )
    assert [stretch.trial for stretch in lineage(one, 0)] == [0]
    tags = mirror.trial_tags(one, one.trials[2], "p")
    assert (tags["donor"], tags["member"], tags["explores"]) == ("t0001 after epoch 4", "t0000", "true")


def test_what_cannot_be_meant_is_noted() -> None:
    """Too few trials for all turns; more slots than members."""
    notes = spec(pbt=PBT, fit={"epochs": 6}, parallel=5).notes
    assert [one.partition(":")[0] for one in notes] == ["pbt", "pbt"]
    assert "needs 12 trials for its 6 epochs, the budget has 4" in notes[0]


def test_members_may_begin_alike_where_there_are_fewer_configurations() -> None:
    """Else a small space would end the search before anybody has trained on."""
    two = Known().learn([Boolean(name="flag")])
    for pbt, ends in ((PBT, False), (None, True)):
        sampler = sampler_of(spec(declared=(), pbt=pbt, search=Search(sampler="random", seed=1)))
        sampler.know(list(two.parameters.values()))
        said: list[str] = []
        for number in range(4):
            proposal = sampler.propose(number)
            said.append(proposal.end)
            event = TrialAsked(trial=number, seed=0, params=proposal.params, history_seq=0)
            sampler.apply(Entry(seq=number + 1, at=0.0, event=event))
        assert any(said) == ends
