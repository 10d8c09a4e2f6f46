"""What every sampler keeps to; a test class per sampler inherits from this and says which it is."""

from __future__ import annotations

import copy
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasweep.search.objective import Direction, Objective
from kerasweep.search.sampler import OptunaSampler, Proposal
from kerasweep.spaces.constraints import Constraints
from kerasweep.spaces.known import Declared, Known
from kerasweep.spaces.parameter import (
    Boolean,
    Choice,
    Condition,
    Fixed,
    Interval,
    Number,
    Parameter,
    Sampling,
    identity,
)
from kerasweep.spaces.trial import Json, Outcome, OutcomeKind, Report, Scalar
from kerasweep.trackers.events import (
    AttemptStarted,
    Entry,
    Event,
    ParametersUsed,
    Reported,
    RoundEnded,
    TrialAsked,
    TrialEnded,
    decode,
    encode,
)

from ..strategies import spaces

if TYPE_CHECKING:
    import optuna

ACCURACY = Objective(metric="acc", direction=Direction.MAX)
KINDS = [*OutcomeKind]

DECLARED: Sequence[Parameter] = (
    Number(name="rate", min=1e-5, max=1e-1, integer=False, sampling=Sampling.LOG),
    Number(name="late", min=0.1, max=0.7, integer=False, sampling=Sampling.REVERSE_LOG),
    Number(name="units", min=32, max=512, step=32, integer=True),
    Choice(name="optimizer", values=("adam", "sgd")),
    Number(
        name="momentum",
        min=0.0,
        max=0.9,
        integer=False,
        conditions=(Condition(parent="optimizer", values=("sgd",)),),
    ),
    Boolean(name="bias"),
    Fixed(name="seed", value=3),
)
FOUND: Sequence[Parameter] = (
    Number(name="layers", min=1, max=3, integer=True),
    Choice(name="depth", values=(1, 1.0, True)),
    Choice(name="width", values=(8, 16, 64), ordered=True),
)
WHERE: Sequence[Sequence[str]] = (
    ["units <= 96"],
    ["units <= 96", "rate > 1e-3"],
    ["optimizer == 'sgd' and momentum < 0.3"],
    ["not bias and late > 0.5 and units == 512"],
    ["momentum > 0.5", "seed == 3"],
)


STEPS = Number(name="rate", min=0.01, max=1.0, step=10, integer=False, sampling=Sampling.LOG)
BRANCHES: Sequence[Parameter] = (
    Choice(name="a", values=("x", "y")),
    Number(name="n", min=1, max=3, integer=True, conditions=(Condition(parent="a", values=("x",)),)),
    Boolean(name="b"),
)


def space_of(parameters: Iterable[Parameter]) -> Known:
    """Return the space in which these are declared."""
    return Known.of([Declared(parameter=one) for one in parameters])


class LiveSweep:
    """A sweep on paper: asks, journals, ends trials; `entries` is what a journal would hold."""

    def __init__(self, sampler: OptunaSampler, *, seed: int = 0) -> None:
        self.sampler = sampler
        self.entries: list[Entry] = []
        self.random = random.Random(seed)

    def journal(self, *events: Event) -> None:
        """Have events take the way through the journal's text, and apply them."""
        for event in events:
            entry = Entry(seq=len(self.entries) + 1, at=0.0, event=decode(*encode(event)))
            self.entries.append(entry)
            self.sampler.apply(entry)

    def ask(self, number: int) -> Proposal:
        """Ask for a trial and start it."""
        proposal = self.sampler.propose(number)
        asked = TrialAsked(trial=number, seed=number, params=proposal.params, history_seq=0, attrs=proposal.attrs)
        self.journal(asked, AttemptStarted(trial=number, attempt=1))
        return proposal

    def round(self, number: int, params: Mapping[str, Scalar], specs: Sequence[Parameter], round: int = 0) -> Proposal:
        """Have the model ask for more."""
        self.sampler.learn(list(specs))
        more = self.sampler.extend(number, round + 1, params, specs)
        forms = tuple(one.to_json() for one in specs)
        self.journal(
            RoundEnded(trial=number, attempt=1, round=round, specs=forms, params=more.params, attrs=more.attrs)
        )
        return more

    def use(self, number: int, proposal: Proposal, *, without: Sequence[str] = ()) -> dict[str, Scalar]:
        """Have the model read what was proposed; return it by name."""
        known = self.sampler.space.parameters
        specs = [known[key] for key in proposal.params if known[key].name not in without]
        params = {one.name: proposal.params[identity(one)] for one in specs}
        forms = tuple(one.to_json() for one in specs)
        self.journal(ParametersUsed(trial=number, attempt=1, params=params, specs=forms))
        return params

    def report(self, number: int, values: Iterable[float]) -> None:
        """Report an epoch for each value."""
        for epoch, value in enumerate(values, 1):
            self.journal(Reported(trial=number, attempt=1, report=Report(epoch=epoch, metrics={"acc": value})))

    def end(self, number: int, kind: OutcomeKind, value: float | None = None) -> None:
        """End a trial."""
        epoch = None if value is None else 1
        self.journal(TrialEnded(trial=number, attempt=1, outcome=Outcome(kind=kind, value=value, epoch=epoch)))

    def go_through(self, number: int, kind: OutcomeKind, *, ends: bool = True) -> None:
        """Run one trial, with the random things that happen to trials."""
        proposal = self.ask(number)
        if self.random.random() < 0.5:
            proposal = self.round(number, proposal.params, self.random.sample(FOUND, 2))
        if kind is OutcomeKind.FAILED and self.random.random() < 0.5:
            self.end(number, kind)
            return
        self.use(number, proposal, without=self.random.sample(["bias", "units", "layers"], 1))
        curve = [self.random.random() for _ in range(self.random.randrange(1, 5))]
        if kind is OutcomeKind.FAILED:
            curve.append(float("nan"))
        self.report(number, curve)
        if ends:
            has_value = kind in (OutcomeKind.COMPLETED, OutcomeKind.STOPPED)
            self.end(number, kind, max(curve) if has_value else None)


def study_of(sampler: OptunaSampler) -> list[optuna.trial.FrozenTrial]:
    """Return Optuna's trials."""
    return sampler.study.get_trials()


def plain(trials: Iterable[optuna.trial.FrozenTrial]) -> list[dict[str, Any]]:
    """Return what Optuna knows of trials, but for the time of day."""
    return [
        {
            "state": one.state.name,
            "values": one.values,
            "params": one.params,
            "distributions": {name: str(it) for name, it in one.distributions.items()},
            "curve": one.intermediate_values,
        }
        for one in trials
    ]


def finished(sampler: OptunaSampler) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that Optuna learns from."""
    return [one for one in study_of(sampler) if one.state.name in ("COMPLETE", "PRUNED")]


class SamplerContract(ABC):
    """Valid, deterministic, a function of the journal alone."""

    kind: ClassVar[str]
    arguments: ClassVar[Mapping[str, Json]] = {}
    declared: ClassVar[Sequence[Parameter]] = DECLARED

    @abstractmethod
    def differs_with_history(self) -> bool:
        """Say whether what has happened changes what is proposed."""

    def on(self, space: Known, *where: str, seed: int = 1, duplicates: bool = False) -> OptunaSampler:
        """Return a sampler on a space, with constraints."""
        return OptunaSampler(
            sampler=self.kind,
            arguments=self.arguments,
            seed=seed,
            objective=ACCURACY,
            space=space,
            constraints=Constraints.of(where),
            duplicates=duplicates,
        )

    def make(self, parameters: Sequence[Parameter] | None = None, seed: int = 1) -> OptunaSampler:
        """Return a sampler on a space."""
        return self.constrained(parameters=parameters, seed=seed)

    def constrained(
        self, *where: str, parameters: Sequence[Parameter] | None = None, seed: int = 1, duplicates: bool = False
    ) -> OptunaSampler:
        """Return a sampler on a space with constraints."""
        declared = self.declared if parameters is None else parameters
        return self.on(space_of(declared), *where, seed=seed, duplicates=duplicates)

    def sweep(self, kinds: Sequence[OutcomeKind], *, seed: int = 0, running: int = 0) -> LiveSweep:
        """Return a sweep after trials that ended so, and some that still run."""
        live = LiveSweep(self.make(), seed=seed)
        for number, kind in enumerate(kinds):
            live.go_through(number, kind)
        for number in range(len(kinds), len(kinds) + running):
            live.go_through(number, OutcomeKind.COMPLETED, ends=False)
        return live

    @settings(max_examples=8)
    @given(spaces(), st.integers(0, 2**32 - 1))
    def test_proposals_are_values_of_the_space(self, space: Known, seed: int) -> None:
        """Every active parameter, and only those, has a value in its domain, of its own type."""
        params = self.on(space, seed=seed).propose(0).params
        by_name = {space.parameters[key].name: value for key, value in params.items()}
        for key, one in space.parameters.items():
            assert (key in params) == one.active(by_name)
        check_values(space, params)

    def test_proposals_stay_valid_with_a_history(self) -> None:
        """A sampler that learns keeps to bounds and grids."""
        live = self.sweep([OutcomeKind.COMPLETED] * 15)
        for number in range(15, 25):
            check_values(live.sampler.space, live.ask(number).params)

    def test_the_same_question_has_the_same_answer(self) -> None:
        """Seed, number and history decide; another seed or another number gives another answer."""
        kinds = [OutcomeKind.COMPLETED] * 12
        first, second = (self.sweep(kinds).sampler.propose(12).params for _ in range(2))
        assert first == second
        assert self.sweep(kinds).sampler.propose(13).params != first
        assert self.make(seed=2).propose(0).params != self.make(seed=1).propose(0).params

    def test_numbers_are_proposed_alike_in_any_order(self) -> None:
        """Without a history that differs, trial 3 is trial 3 whoever asked before."""
        one, other = self.make(), self.make()
        ahead = [one.propose(number).params for number in (0, 1, 2, 3)]
        assert [other.propose(number).params for number in (3, 2, 1, 0)] == ahead[::-1]

    def test_history_matters_only_where_it_should(self) -> None:
        """Random search does not learn; another does."""
        empty = self.make().propose(40).params
        live = LiveSweep(self.make())
        for number in range(20):
            proposal = live.ask(number)
            live.use(number, proposal)
            live.end(number, OutcomeKind.COMPLETED, number / 20)
        assert (live.sampler.propose(40).params != empty) == self.differs_with_history()

    @settings(max_examples=5)
    @given(st.lists(st.sampled_from(KINDS), max_size=14), st.integers(0, 3), st.integers(0, 1000))
    def test_a_replayed_sampler_goes_on_as_the_live_one(
        self, kinds: list[OutcomeKind], running: int, seed: int
    ) -> None:
        """Whatever happened, the journal's entries give a sampler with the same study and the same next proposals."""
        live = self.sweep(kinds, seed=seed, running=running)
        replayed = LiveSweep(self.make(), seed=99)
        for entry in live.entries:
            replayed.sampler.apply(entry)
        replayed.entries, replayed.random = list(live.entries), copy.copy(live.random)
        assert plain(finished(replayed.sampler)) == plain(finished(live.sampler))
        assert [one.state for one in study_of(replayed.sampler)] == [one.state for one in study_of(live.sampler)]
        number = len(kinds) + running
        for trial in range(number, number + 3):
            ours, theirs = live.ask(trial), replayed.ask(trial)
            assert (ours.params, dict(ours.attrs)) == (theirs.params, dict(theirs.attrs))
            assert live.round(trial, ours.params, FOUND[:1]) == replayed.round(trial, theirs.params, FOUND[:1])

    @settings(max_examples=3)
    @given(st.integers(0, 1000))
    def test_a_sweep_can_be_resumed_at_any_ask(self, seed: int) -> None:
        """With three trials at a time: whoever folds the journal up to an ask answers it as the live sampler did."""
        live, chance = LiveSweep(self.make(), seed=seed), random.Random(seed)
        running: list[int] = []
        for number in range(14):
            live.use(number, live.ask(number))
            running.append(number)
            if len(running) == 3:
                ending, kind = running.pop(chance.randrange(3)), chance.choice(KINDS)
                value = chance.random() if kind in (OutcomeKind.COMPLETED, OutcomeKind.STOPPED) else None
                live.report(ending, [] if value is None else [value / 2, value])
                live.end(ending, kind, value)
        asks = [one for one in live.entries if isinstance(one.event, TrialAsked)]
        for entry in chance.sample(asks, 3):
            resumed, asked = self.make(), entry.event
            for earlier in live.entries[: entry.seq - 1]:
                resumed.apply(earlier)
            assert isinstance(asked, TrialAsked)
            proposal = resumed.propose(asked.trial)
            assert dict(proposal.params) == dict(asked.params)
            assert json.loads(json.dumps(dict(proposal.attrs))) == asked.attrs

    @pytest.mark.parametrize("history", ["all failed", "one point", "one value", "extremes", "one trial", "no curve"])
    def test_odd_histories_do_no_harm(self, history: str) -> None:
        """Proposals stay values of the space, and a function of the history."""
        answers: list[list[Mapping[str, Scalar]]] = []
        for _ in range(2):
            live = LiveSweep(self.constrained(duplicates=self.kind != "grid"))
            first = live.sampler.propose(0)
            for number in range(1 if history == "one trial" else 14):
                proposal = first if history == "one point" and self.kind != "grid" else live.sampler.propose(number)
                live.journal(TrialAsked(trial=number, seed=0, params=proposal.params, history_seq=0))
                live.use(number, proposal)
                value = {"one value": 0.5, "extremes": 1e300 * (-1) ** number}.get(history, number / 20)
                if history == "all failed":
                    live.report(number, [float("nan")])
                    live.end(number, OutcomeKind.FAILED)
                else:
                    live.report(number, [] if history == "no curve" else [float("nan"), float("inf"), value])
                    live.end(number, OutcomeKind.COMPLETED if number % 2 else OutcomeKind.STOPPED, value)
            answers.append([live.sampler.propose(number).params for number in range(14, 17)])
            for params in answers[-1]:
                check_values(live.sampler.space, params)
        assert answers[0] == answers[1]

    def test_one_configuration_in_a_million_is_no_reason_to_refuse(self) -> None:
        """Where neither draws nor the listing meet what is allowed, it is approached step by step."""
        declared = [Number(name=name, min=1, max=100, integer=True) for name in "abcdef"]
        sampler = self.constrained("a == b and c == d and e == f", parameters=declared)
        for number in range(2):
            proposal = sampler.propose(number)
            assert (proposal.refusal, proposal.end) == ("", "")
            a, b, c, d, e, f = proposal.params.values()
            assert (a, c, e) == (b, d, f)

    # Duplicates ---------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("where", [(), ("a == 'y' or n < 3",)], ids=["all", "where"])
    def test_every_configuration_is_tried_once_and_then_it_says_so(self, where: Sequence[str]) -> None:
        """Three trials at a time, over branches; running trials count."""
        live = LiveSweep(self.constrained(*where, parameters=BRANCHES))
        count = 6 if where else 8
        tried: list[dict[str, Scalar]] = []
        for number in range(count):
            proposal = live.ask(number)
            assert (proposal.end, proposal.refusal) == ("", "")
            tried.append(dict(proposal.params))
            if number >= 3:
                live.use(number - 3, Proposal(params=tried[number - 3]))
                live.report(number - 3, [number / 20])
                live.end(number - 3, OutcomeKind.COMPLETED, number / 20)
        assert len({tuple(sorted(one.items())) for one in tried}) == count
        over = live.sampler.propose(count)
        if self.kind == "grid":
            assert over.end == "the grid is exhausted"
        else:
            assert over.end == f"all {count} configurations{' that `where` allows' if where else ''} have been tried"
        assert over.exit_code == 0

    def test_what_was_interrupted_is_tried_again(self) -> None:
        """It has no result, unlike what failed or was lost, which would only fail again."""
        for kind, again in ((OutcomeKind.INTERRUPTED, True), (OutcomeKind.FAILED, False), (OutcomeKind.LOST, False)):
            live = LiveSweep(self.make(BRANCHES[:1]))
            live.ask(0)
            live.end(0, kind)
            live.use(1, live.ask(1))
            live.end(1, OutcomeKind.COMPLETED, 0.5)
            assert (live.sampler.propose(2).end == "") == again

    def test_a_branch_of_the_code_counts_as_what_the_model_reads(self) -> None:
        """`n` is read in one branch only, by a plain `if`: the other is one configuration, whatever `n` would be."""
        live = LiveSweep(self.make([BRANCHES[0], Number(name="n", min=1, max=3, integer=True)]))
        used: list[dict[str, Scalar]] = []
        while not (proposal := live.sampler.propose(len(used))).end:
            number = len(used)
            live.ask(number)
            plain = "n" if live.sampler.space.named(proposal.params)["a"] == ("y",) else "-"
            used.append(live.use(number, proposal, without=[plain]))
            live.report(number, [0.5])
            live.end(number, OutcomeKind.COMPLETED, 0.5)
        assert len(used) == 4
        assert len({tuple(sorted(one.items())) for one in used}) == 4

    def test_what_fit_reads_later_is_awaited(self) -> None:
        """Until a trial reports, a configuration that agrees with what its build has read may still be another one."""
        live = LiveSweep(self.make([BRANCHES[0], STEPS]))
        for number in range(6):
            proposal = live.ask(number)
            assert proposal.end == ""
            live.use(number, proposal, without=["rate"])
        assert live.sampler.propose(6).end != ""

    def test_a_configuration_is_tried_again_on_request(self) -> None:
        """The sweep then ends by its budget."""
        if self.kind == "grid":
            return
        live = LiveSweep(self.constrained(parameters=BRANCHES[:1], duplicates=True))
        for number in range(5):
            proposal = live.ask(number)
            assert (proposal.end, proposal.refusal) == ("", "")
            live.use(number, proposal)
            live.end(number, OutcomeKind.COMPLETED, 0.5)

    def test_a_round_that_can_only_repeat_a_trial_ends_it(self) -> None:
        """What it read so far is fixed, and all there is to add has been tried."""
        found = Choice(name="late", values=(1, 2))
        live = LiveSweep(self.make([]))
        for number in range(2):
            live.use(number, live.round(number, live.ask(number).params, [found]))
            live.report(number, [0.5])
        refused = live.round(2, {}, [found])
        assert (refused.end, refused.refusal != "") == ("", True)

    def test_only_what_was_used_is_learned_from(self) -> None:
        """A parameter that was proposed and not read is not in the finished trial; a fixed one never is."""
        live = LiveSweep(self.make())
        proposal = live.ask(0)
        used = live.use(0, proposal, without=["units", "bias"])
        live.end(0, OutcomeKind.COMPLETED, 0.5)
        (done,) = finished(live.sampler)
        assert set(done.params) == set(used) - {"seed"}
        assert done.value == 0.5

    def test_a_stopped_trial_is_pruned_with_its_curve(self) -> None:
        """Optuna sees at which epoch it had which value."""
        live = LiveSweep(self.make())
        live.use(0, live.ask(0))
        live.report(0, [0.1, 0.3, 0.2])
        live.end(0, OutcomeKind.STOPPED, 0.3)
        (done,) = finished(live.sampler)
        assert done.state.name == "PRUNED"
        assert done.intermediate_values == {1: 0.1, 2: 0.3, 3: 0.2}

    def test_the_first_report_of_an_epoch_stands(self) -> None:
        """A second attempt's values change nothing that was learned."""
        live = LiveSweep(self.make())
        live.use(0, live.ask(0))
        live.report(0, [0.1, 0.3])
        live.report(0, [0.9, 0.9])
        live.end(0, OutcomeKind.STOPPED, 0.3)
        assert finished(live.sampler)[0].intermediate_values == {1: 0.1, 2: 0.3}

    @settings(max_examples=4)
    @given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=12), st.integers(0, 1000))
    def test_only_completed_stopped_and_failed_trials_are_learned_from(
        self, kinds: list[OutcomeKind], seed: int
    ) -> None:
        """A failed one has no value, and there are nine per value at most; infeasible, lost and interrupted tell nothing."""
        trials = finished(self.sweep(kinds, seed=seed).sampler)
        names = [one.state.name for one in trials]
        stopped = kinds.count(OutcomeKind.STOPPED)
        valued = stopped + kinds.count(OutcomeKind.COMPLETED)
        assert names.count("COMPLETE") == kinds.count(OutcomeKind.COMPLETED)
        assert names.count("PRUNED") == stopped + min(kinds.count(OutcomeKind.FAILED), 9 * valued)
        assert sum(bool(one.intermediate_values) for one in trials if one.state.name == "PRUNED") == stopped
        assert all(one.state.is_finished() for one in study_of(self.sweep(kinds, seed=seed).sampler))

    def test_values_that_are_no_numbers_are_not_learned_from(self) -> None:
        """A curve's NaN and infinities are left out."""
        live = LiveSweep(self.make())
        live.use(0, live.ask(0))
        live.report(0, [0.1, float("nan"), float("inf"), 0.4])
        live.end(0, OutcomeKind.STOPPED, 0.4)
        assert finished(live.sampler)[0].intermediate_values == {1: 0.1, 4: 0.4}

    def test_a_round_keeps_what_was_decided(self) -> None:
        """The values of earlier rounds stay; the new parameters get theirs; nothing is counted twice."""
        live = LiveSweep(self.make())
        first = live.ask(0)
        second = live.round(0, first.params, FOUND[:1])
        third = live.round(0, second.params, FOUND[1:], round=1)
        assert first.params.items() <= second.params.items() <= third.params.items()
        assert set(third.params) - set(first.params) == {identity(one) for one in FOUND}
        check_values(live.sampler.space, third.params)
        assert [one.state.name for one in study_of(live.sampler)] == ["FAIL", "FAIL", "RUNNING"]

    def test_one_name_with_two_ranges_is_two_parameters(self) -> None:
        """Two branches may use a name each in its own way; Optuna keeps them apart."""
        narrow, wide = (Number(name="x", min=0, max=high, integer=True) for high in (1, 1000))
        live = LiveSweep(self.make([]))
        first = live.round(0, live.ask(0).params, [narrow])
        second = live.round(0, first.params, [wide], round=1)
        assert set(second.params) == {identity(narrow), identity(wide)}
        live.use(0, Proposal(params={identity(wide): second.params[identity(wide)]}, attrs={}))
        live.end(0, OutcomeKind.COMPLETED, 0.5)
        (done,) = finished(live.sampler)
        assert list(done.params.values()) == [second.params[identity(wide)]]
        assert "x" not in done.params

    def test_asking_changes_no_history(self) -> None:
        """What has finished stays as it was, to the last bit, however often one asks."""
        live = self.sweep([OutcomeKind.COMPLETED, OutcomeKind.STOPPED] * 4)
        before = plain(finished(live.sampler))
        entries = copy.deepcopy(live.entries)
        for number in range(8, 12):
            live.sampler.propose(number)
        assert plain(finished(live.sampler)) == before
        assert live.entries == entries

    # Constraints --------------------------------------------------------------------------------------------------------

    @settings(max_examples=3)
    @given(st.sampled_from(WHERE), st.integers(0, 2**32 - 1), st.integers(0, 12))
    def test_proposals_keep_to_the_constraints(self, where: Sequence[str], seed: int, done: int) -> None:
        """With a history and without; values stay in bounds and on the grid."""
        live = LiveSweep(self.constrained(*where, seed=seed), seed=seed)
        for number in range(done):
            live.go_through(number, OutcomeKind.COMPLETED)
        for number in range(done, done + 4):
            proposal = live.ask(number)
            assert proposal.refusal == ""
            assert Constraints.of(where).broken(live.sampler.space.named(proposal.params)) is None
            check_values(live.sampler.space, proposal.params)

    def test_constrained_proposals_are_a_function_of_the_journal(self) -> None:
        """However often they were drawn again, live and replayed samplers go on alike."""
        live = LiveSweep(self.constrained("units <= 128", "rate < 1e-3", "bias"))
        for number in range(11):
            live.go_through(number, OutcomeKind.COMPLETED)
        replayed = LiveSweep(self.constrained("units <= 128", "rate < 1e-3", "bias"))
        for entry in live.entries:
            replayed.sampler.apply(entry)
        assert plain(finished(replayed.sampler)) == plain(finished(live.sampler))
        for number in range(11, 14):
            assert live.ask(number).params == replayed.ask(number).params

    def test_a_round_draws_what_is_new_so_that_clauses_hold(self) -> None:
        """A clause over a late-bound parameter is kept to by the new values; earlier ones stay."""
        for seed in range(8):
            live = LiveSweep(self.constrained("layers == 2 or layers * 32 > units", seed=seed))
            first = live.ask(0)
            more = live.round(0, first.params, FOUND)
            assert first.params.items() <= more.params.items()
            assert more.refusal == ""
            assert (
                Constraints.of(["layers == 2 or layers * 32 > units"]).broken(live.sampler.space.named(more.params))
                is None
            )

    def test_what_cannot_keep_to_a_constraint_is_refused(self) -> None:
        """A proposal says so, and the sampler goes on as if the trial had ended."""
        live = LiveSweep(self.constrained("layers > 3"))
        first = live.ask(0)
        assert first.refusal == ""
        more = live.round(0, first.params, FOUND[:1])
        if self.kind != "grid":
            layers = more.params[identity(FOUND[0])]
            assert more.refusal == f"where: 'layers > 3' does not hold for layers {layers}"
        live.end(0, OutcomeKind.INFEASIBLE)
        assert finished(live.sampler) == []
        again = live.sampler.propose(1)
        assert (again.refusal or again.end) != ""

    def test_names_that_no_parameter_has_yet_are_known(self) -> None:
        """So that the user can be told."""
        sampler = self.constrained("layres > 1", "units > 3")
        assert set(sampler.unknown()) == {"layres"}
        sampler.learn(list(FOUND))
        assert sampler.unknown() == {"layres": " (did you mean 'layers'?)"}


def check_values(space: Known, params: Mapping[str, Scalar]) -> None:
    """Assert that all values are in bounds, on the grid, of the right type."""
    for key, value in params.items():
        domain = space.parameters[key].domain
        if isinstance(domain, Interval):
            assert type(value) is (int if domain.integer else float)
            assert domain.low <= value <= domain.high
        else:
            assert (type(value), value) in [(type(one), one) for one in domain.values]
